"""Scenes whose reflectance and features are kept in a store, so that many trainings compute them once."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, fields
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from glacier_ml.learning.features import FeatureSet, features_of_bands
from glacier_ml.learning.report_features import report_features
from glacier_ml.learning.store import SampleStore
from glacier_ml.learning.tiles import reflect_to
from glacier_ml.scenes.scene import SATURATION, Scene, check_bands

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]
Key = tuple[object, ...]


@dataclass(frozen=True)
class StoredScene(Scene):
    """A scene of which a store keeps what is computed; in all else the scene itself.

    Attributes
    ----------
    store : SampleStore
        What it keeps is named by the scene's values: a changed copy of the scene is another scene to it.
    """

    store: SampleStore = field(default_factory=SampleStore)

    @cached_property
    def content(self) -> str:
        """Digest of grid, band values and valid pixels."""
        return hashlib.sha256(f"{self.digest} {mask_digest(self.valid)}".encode()).hexdigest()

    @cached_property
    def saturations(self) -> dict[str, str]:
        """Digests of the saturated pixels, which quality masks tell, by the names of `scene.SATURATION`."""
        known = {name: band for name, band in SATURATION.items() if band in self.bands}
        return {name: mask_digest(self.saturated(band)) for name, band in known.items()}

    def key(self, bands: tuple[str, ...]) -> Key:
        """What the stacked bands depend on, their names apart."""
        check_bands(self.name, self.bands, bands)
        return (self.content, *(self.saturations[band] for band in bands if band in SATURATION))


def mask_digest(mask: Mask) -> str:
    """SHA-256 of a mask (rows, columns)."""
    return hashlib.sha256(str(mask.shape).encode() + np.packbits(mask).tobytes()).hexdigest()


def keep_in(store: SampleStore | None, scene: Scene) -> Scene:
    """Give the scene with its computed arrays in a store; None leaves them in memory."""
    if store is None and not isinstance(scene, StoredScene):
        return scene
    values = {one.name: getattr(scene, one.name) for one in fields(Scene)}
    kept = Scene(**values) if store is None else StoredScene(**values, store=store)
    vars(kept)["digest"] = scene.digest  # a cached property: the scene's pixels are read for it once
    return kept


def store_of(*scenes: Scene) -> SampleStore:
    """The store that all these scenes are kept in; one that keeps nothing where there is none."""
    stores = {scene.store.folder: scene.store for scene in scenes if isinstance(scene, StoredScene)}
    alike = len(stores) == 1 and all(isinstance(scene, StoredScene) for scene in scenes)
    return stores.popitem()[1] if alike else SampleStore()


def scene_key(scene: Scene, bands: tuple[str, ...]) -> Key:
    """What the stacked bands depend on; () of a scene without a store, where nothing is looked up."""
    return scene.key(bands) if isinstance(scene, StoredScene) else ()


def scene_stack(scene: Scene, bands: tuple[str, ...], size: int = 1) -> Array:
    """Reflectance (rows, columns, bands), 0 where not valid, reflected up to at least `size` px a side."""
    depends_on = (scene_key(scene, bands), bands, _padded(scene, size))
    return store_of(scene).array("stack", depends_on, lambda: reflect_to(scene.stack(bands), size, size))


def scene_features(scene: Scene, features: FeatureSet, recipe: str = "sound", size: int = 1) -> Array:
    """Features of a whole scene, as `compute_features`, or `report_features` in the report's recipe.

    Parameters
    ----------
    scene : Scene
        With the bands that the features need.
    features : FeatureSet
        What to compute.
    recipe : str
        'sound' or 'report'.
    size : int
        Side that the scene is reflected up to where it is smaller [px].

    Returns
    -------
    ndarray
        float32 (rows, columns, features), 0 where the scene is not valid; read-only where a store keeps it.

    Raises
    ------
    GlacierError
        Where the scene lacks a band.
    """
    bands = features.bands

    def compute() -> Array:
        if recipe == "report":
            return report_features(scene.stack(bands), bands, features)
        return features_of_bands(scene.layers(bands), scene.valid, features)

    depends_on = (scene_key(scene, bands), features.features, recipe, _padded(scene, size))
    return store_of(scene).array("features", depends_on, lambda: reflect_to(compute(), size, size))


def _padded(scene: Scene, size: int) -> tuple[int, int]:
    """What matters of a tile's size: the shape that it has the scene reflected up to."""
    rows, columns = scene.shape
    return int(max(rows, size)), int(max(columns, size))
