"""Samples: from labelled scenes to the batches that a network trains on, augmented on the fly."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from glacier_ml.errors import GlacierError
from glacier_ml.learning.features import FeatureSet, compute_features, feature_set
from glacier_ml.learning.parameters import AnyParameters, FfnnParameters
from glacier_ml.learning.splits import Split
from glacier_ml.learning.stored_scenes import (
    StoredScene,
    mask_digest,
    scene_features,
    scene_key,
    scene_stack,
    store_of,
)
from glacier_ml.learning.tiles import SYMMETRIES, transform_d4
from glacier_ml.scenes.scene import check_bands

if TYPE_CHECKING:
    from glacier_ml.scenes.catalog import LabelledScene

Array = NDArray[np.float32]
STATISTICS_PIXELS = 500_000  # drawn from each scene for the normalisation
RANGE_PIXELS = 100_000  # of these, for quantiles
RANGE_QUANTILES = (0.01, 0.99)


@dataclass(frozen=True)
class TrainingScene:
    """One scene, ready to be cut.

    Attributes
    ----------
    stack : ndarray
        (rows, columns, bands) reflectance, or (rows, columns, features), 0 where not valid.
    target : ndarray of bool
        (rows, columns, 2): whether a pixel is glacier, and whether it trains.
    pixels : ndarray
        Flat indices of the training pixels, of weight 0 none.
    """

    stack: Array
    target: NDArray[np.bool_]
    pixels: NDArray[np.int64]


@dataclass(frozen=True)
class Samples:
    """Everything a network is trained from; batches are a pure function of (seed, epoch, step).

    Attributes
    ----------
    parameters : UnetParameters or FfnnParameters
        Those of the network.
    scenes : tuple of TrainingScene
        Those with training pixels.
    bands : tuple of str
        That the features need.
    seed : int
        Of what is drawn.
    glacier_weight : float
        Of glacier pixels that train; the others' is 1.
    computed : bool
        Whether the scenes' stacks hold features, which is so only where no reflectance is disturbed.
    """

    parameters: AnyParameters
    scenes: tuple[TrainingScene, ...]
    bands: tuple[str, ...]
    seed: int
    glacier_weight: float = 1.0
    computed: bool = False

    @property
    def tiles_per_batch(self) -> int:
        """As many tiles as come nearest to `batch_pixels`, at least one."""
        return max(1, round(self.parameters.batch_pixels / self.parameters.tile_size**2))

    @property
    def steps(self) -> int:
        """Batches that come nearest to `epoch_pixels`, at least one: equal pixels for every tile size."""
        pixels = self.tiles_per_batch * self.parameters.tile_size**2
        return max(1, round(self.parameters.epoch_pixels / pixels))

    @property
    def features(self) -> int:
        """Number of features of a pixel."""
        return len(feature_set(self.parameters.features).features)

    def batch(self, epoch: int, step: int) -> tuple[Array, Array]:
        """Draw one batch.

        Returns
        -------
        features : ndarray
            (tiles, size, size, features), or (pixels, features) for the per-pixel network.
        target : ndarray
            (..., 2): label and weight.
        """
        random = np.random.default_rng([self.seed, epoch, step])
        stack, target = self._cut(random)
        features = stack if self.computed else self._computed(self._disturb(stack, random))
        if isinstance(self.parameters, FfnnParameters):
            return features.reshape(-1, features.shape[-1]), target.reshape(-1, 2)
        if self.parameters.augment:
            drawn = np.array([random.integers(SYMMETRIES) for _ in features])
            features, target = _turned(features, drawn), _turned(target, drawn)
        return np.ascontiguousarray(features), np.ascontiguousarray(target)

    def _computed(self, stack: Array) -> Array:
        return compute_features(stack, self.bands, feature_set(self.parameters.features))

    def _cut(self, random: np.random.Generator) -> tuple[Array, Array]:
        """Cut tiles around random training pixels; scenes take turns: each is drawn equally often."""
        size, count = self.parameters.tile_size, self.tiles_per_batch
        owners = np.sort((random.integers(len(self.scenes)) + np.arange(count)) % len(self.scenes))
        pieces = []
        for owner in np.unique(owners):
            scene = self.scenes[owner]
            number = int((owners == owner).sum())
            chosen = random.choice(scene.pixels, size=number)
            if size == 1:  # single pixels have no corner to draw
                pieces.append(_pick(scene, chosen))
                continue
            corners = np.stack(np.unravel_index(chosen, scene.target.shape[:2]), axis=1)
            corners = corners - random.integers(size, size=(number, 2))
            corners = np.clip(corners, 0, np.array(scene.target.shape[:2]) - size)
            pieces.append(_gather(scene, corners, size))
        stack, target = (np.concatenate(part) for part in zip(*pieces, strict=True))
        return stack, self._weighed(target)

    def _weighed(self, target: NDArray[np.bool_]) -> Array:
        """Label and weight (..., 2) of what is glacier and of what trains."""
        label, trains = target[..., 0], target[..., 1]
        weight = trains * np.where(label, np.float32(self.glacier_weight), np.float32(1))
        return np.stack([label.astype(np.float32), weight], axis=-1)

    def _disturb(self, stack: Array, random: np.random.Generator) -> Array:
        """Jitter brightness by tile and add sensor noise by value; what has no data stays 0."""
        if self.parameters.brightness:
            spread = self.parameters.brightness
            factor = random.uniform(1 - spread, 1 + spread, size=(len(stack), 1, 1, 1))
            stack = stack * factor.astype(np.float32)
        if self.parameters.noise:
            noise = random.standard_normal(stack.shape, dtype=np.float32) * np.float32(self.parameters.noise)
            stack = np.where((stack != 0).any(axis=-1, keepdims=True), stack + noise, np.float32(0))
        return stack


def _turned(tiles: Array, symmetries: NDArray[np.int64]) -> Array:
    """Tiles, each turned and mirrored as its symmetry says; those of one symmetry at once."""
    turned = np.empty_like(tiles)
    for symmetry in np.unique(symmetries):
        alike = np.flatnonzero(symmetries == symmetry)
        turned[alike] = transform_d4(tiles[alike], int(symmetry))
    return turned


def _pick(scene: TrainingScene, pixels: NDArray[np.int64]) -> tuple[Array, NDArray[np.bool_]]:
    """Tiles of one pixel each, sooner than by `_gather`."""
    stack = scene.stack.reshape(-1, scene.stack.shape[-1]).take(pixels, axis=0)
    return stack[:, None, None], scene.target.reshape(-1, 2).take(pixels, axis=0)[:, None, None]


def _gather(scene: TrainingScene, corners: NDArray[np.int64], size: int) -> tuple[Array, NDArray[np.bool_]]:
    rows, columns = corners.T

    def gathered(values: NDArray[Any]) -> NDArray[Any]:
        # A view of all windows, of which whole ones are copied: pixel by pixel takes twice as long.
        every = np.moveaxis(sliding_window_view(values, (size, size), axis=(0, 1)), 2, -1)
        return every[rows, columns]

    return gathered(scene.stack), gathered(scene.target)


def check_samples(scenes: Sequence[LabelledScene], parameters: AnyParameters) -> None:
    """Check, before any work, that scenes can serve these parameters.

    Raises
    ------
    GlacierError
        Where a tile is larger than every scene, or a band is missing.
    """
    size = parameters.tile_size
    side = min if parameters.recipe == "report" else max  # the report's tiles are never padded
    if all(size > side(scene.scene.shape) for scene in scenes):
        largest = max((scene.scene.shape for scene in scenes), key=max)
        raise GlacierError(
            f"tile_size: {size} px is larger than every scene (the largest has "
            f"{largest[0]} x {largest[1]} px); choose a smaller tile"
        )
    for scene in scenes:
        check_bands(scene.scene.name, scene.scene.bands, feature_set(parameters.features).bands)


def collect_samples(
    scenes: Sequence[LabelledScene], split: Split, parameters: AnyParameters, seed: int
) -> Samples:
    """Prepare the training pixels of scenes for one set of parameters; raises as `check_samples`.

    What scenes of one store (`stored_scenes`) need is computed by the first call that needs it.
    """
    check_samples(scenes, parameters)
    chosen = feature_set(parameters.features)
    with_labels = [scene for scene in scenes if split.training(scene.scene.name).any()]
    weight = _glacier_weight(with_labels, split, parameters)
    kept = all(isinstance(scene.scene, StoredScene) for scene in with_labels)
    computed = kept and not parameters.brightness and not parameters.noise
    glacier = bool(np.float32(weight) != 0)
    prepared = tuple(
        _prepare(scene, split, chosen, parameters.tile_size, glacier, computed) for scene in with_labels
    )
    return Samples(parameters, prepared, chosen.bands, seed, weight, computed)


def _prepare(
    scene: LabelledScene, split: Split, chosen: FeatureSet, size: int, glacier: bool, computed: bool
) -> TrainingScene:
    """Prepare one scene; `glacier` says whether its glacier pixels have a weight."""
    training = split.training(scene.scene.name)
    if computed:
        stack = scene_features(scene.scene, chosen, size=size)
    else:
        stack = scene_stack(scene.scene, chosen.bands, size)

    def target() -> NDArray[np.bool_]:
        both = np.zeros((*stack.shape[:2], 2), dtype=bool)  # padding does not train
        both[: training.shape[0], : training.shape[1]] = np.stack([scene.truth, training], axis=-1)
        return both

    store = store_of(scene.scene)
    depends_on = (mask_digest(scene.truth), mask_digest(training), stack.shape[:2]) if store.folder else ()
    both = store.array("target", depends_on, target)
    pixels = store.array(
        "pixels",
        (*depends_on, glacier),
        lambda: np.flatnonzero(both[..., 1] if glacier else both[..., 1] & ~both[..., 0]),
    )
    return TrainingScene(stack, both, pixels)


def _glacier_weight(scenes: Sequence[LabelledScene], split: Split, parameters: AnyParameters) -> float:
    if parameters.glacier_weight != "balanced":
        return float(parameters.glacier_weight)
    # Scenes are drawn equally often, so their mean fraction is what the network meets.
    fraction = np.mean([scene.truth[split.training(scene.scene.name)].mean() for scene in scenes])
    return float((1 - fraction) / fraction)


class FeatureStatistics(NamedTuple):
    """Each feature on the training pixels, every scene counting alike; all float64 (features,).

    Attributes
    ----------
    mean, variance : ndarray
        What a network normalises by.
    low, high : ndarray
        Quantiles .01 and .99: two in a hundred training pixels lie outside; a scene of which many more do is
        not like them.
    """

    mean: NDArray[np.float64]
    variance: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


def feature_statistics(scenes: Sequence[LabelledScene], split: Split, features: str) -> FeatureStatistics:
    """Statistics of a feature set on the training pixels.

    They depend on the data and the split alone: validation and held-out pixels never enter.
    """
    chosen = feature_set(features)
    drawn_from = [scene for scene in scenes if split.training(scene.scene.name).any()]
    store = store_of(*(scene.scene for scene in drawn_from))
    depends_on = [
        (scene_key(scene.scene, chosen.bands), mask_digest(split.training(scene.scene.name)))
        for scene in drawn_from
        if store.folder
    ]
    values = store.array(
        "statistics",
        (tuple(depends_on), chosen.features),
        lambda: _statistics(_draw(scene, split, chosen) for scene in drawn_from),
    )
    return FeatureStatistics(*values)


def _draw(scene: LabelledScene, split: Split, chosen: FeatureSet) -> Array:
    """Features (pixels, features) of evenly drawn training pixels of a scene."""
    training = np.flatnonzero(split.training(scene.scene.name))
    pixels = training[:: max(1, len(training) // STATISTICS_PIXELS)]
    if isinstance(scene.scene, StoredScene):
        values = scene_features(scene.scene, chosen)
        return values.reshape(-1, values.shape[-1])[pixels]
    stack = scene.scene.stack(chosen.bands).reshape(-1, len(chosen.bands))[pixels]
    return compute_features(stack, chosen.bands, chosen)


def _statistics(drawn: Iterable[Array]) -> NDArray[np.float64]:
    """Mean, variance and the two quantiles (4, features) of scenes' pixels, one scene after the other."""
    means, squares, columns = [], [], []
    for values in drawn:
        wide = values.astype(np.float64)
        means.append(wide.mean(axis=0))
        squares.append((wide**2).mean(axis=0))
        fewer = values[:: max(1, len(values) // RANGE_PIXELS)]
        columns.append(np.sort(fewer.T, axis=1))
    mean = np.mean(means, axis=0)
    quantiles = [[_quantile(one, share) for one in zip(*columns, strict=True)] for share in RANGE_QUANTILES]
    return np.stack([mean, np.maximum(np.mean(squares, axis=0) - mean**2, 1e-6), *quantiles])


def _quantile(parts: Sequence[Array], share: float) -> float:
    """Smallest value that a share of the pixels does not exceed, each part (sorted) counting alike.

    By halving: to sort all parts together would take more than twice the time and memory for twice the parts.

    >>> _quantile([np.float32([1, 2]), np.float32([0, 0, 3, 5])], 0.75)
    2.0
    """
    high = np.float32(max(part[-1] for part in parts))
    low = np.nextafter(min(part[0] for part in parts), np.float32(-np.inf))
    while low < (middle := low + (high - low) / 2) < high:
        reached = np.mean([np.searchsorted(part, middle, side="right") / len(part) for part in parts])
        low, high = (low, middle) if reached >= share else (middle, high)
    return float(high)
