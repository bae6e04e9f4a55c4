"""The same ground at several dates: what validates in one scene must not train in another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from glacier_ml.scenes.catalog import LabelledScene
    from glacier_ml.scenes.scene import Grid

Mask = NDArray[np.bool_]


def seen_elsewhere(
    scene: LabelledScene, others: Sequence[LabelledScene], validation: Mapping[str, Mask], gap: int
) -> Mask:
    """Pixels of a scene on or near ground that validates in another scene of its place.

    Parameters
    ----------
    scene : LabelledScene
        Whose pixels are asked about.
    others : sequence of LabelledScene
        All training scenes; those of other places do not count.
    validation : mapping of str to ndarray of bool
        Validation pixels by scene name.
    gap : int
        Width of the ring around that ground which counts as near [px].
    """
    near = np.zeros(scene.scene.shape, dtype=bool)
    for other in others:
        if other is not scene and other.entry.place == scene.entry.place:
            near |= _onto(validation[other.scene.name], other.scene.grid, scene.scene.grid)
    return widen(near, gap) if near.any() else near


def widen(mask: Mask, gap: int) -> Mask:
    """A mask and all pixels up to `gap` rows and columns away from it."""
    from scipy.ndimage import binary_dilation

    return binary_dilation(mask, np.ones((3, 3), dtype=bool), iterations=gap) if gap else mask


def _onto(mask: Mask, source: Grid, target: Grid) -> Mask:
    if source == target:
        return mask
    from rasterio.warp import Resampling, reproject

    moved = np.zeros(target.shape, dtype=np.uint8)
    reproject(
        mask.astype(np.uint8),
        moved,
        src_transform=source.transform,
        src_crs=source.crs,
        dst_transform=target.transform,
        dst_crs=target.crs,
        resampling=Resampling.nearest,
    )
    return moved > 0
