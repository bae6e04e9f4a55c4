"""Outlines paired with a scene by array index, as the report had them: kept to show what it costs.

A raster of outlines in degrees and a scene in UTM of equal shape look as if they fitted, and do not.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from rasterio.warp import transform

from glacier_ml.errors import GlacierError
from glacier_ml.scenes.catalog import LabelledScene
from glacier_ml.scenes.outlines import RASTERS
from glacier_ml.scenes.rasters import grid_difference, grid_of, open_raster

if TYPE_CHECKING:
    from glacier_ml.scenes.scene import Grid


def index_paired(labelled: LabelledScene) -> LabelledScene:
    """Give a labelled scene with the raster of its outlines laid on it row by row, whatever its grid.

    Parameters
    ----------
    labelled : LabelledScene
        Polygons, and a raster that is on the scene's grid already, leave it as it is.

    Returns
    -------
    LabelledScene
        Valid wherever the scene has data: a raster paired by index tells of all its pixels.

    Raises
    ------
    GlacierError
        Where raster and scene have different shapes.
    """
    entry = labelled.entry
    if entry.outlines is None or entry.outlines.suffix.lower() not in RASTERS:
        return labelled
    with open_raster(entry.outlines, entry.name) as dataset:
        grid = grid_of(dataset, entry.name)
        values = dataset.read(1, masked=True)
    if grid_difference(labelled.scene.grid, grid) is None:
        return labelled
    if grid.shape != labelled.scene.shape:
        raise GlacierError(
            f"{entry.name}: {entry.outlines.name} has {grid.shape[0]} x {grid.shape[1]} px and the scene "
            f"{labelled.scene.shape[0]} x {labelled.scene.shape[1]}; pairing by index (recipe: report) needs "
            "equal shapes; use recipe: sound"
        )
    mask = np.isfinite(values.data) & (values.data != 0) & ~np.ma.getmaskarray(values)
    finite = [np.isfinite(band) for band in labelled.scene.bands.values()]
    scene = replace(labelled.scene, valid=np.logical_and.reduce(finite))
    return replace(labelled, scene=scene, mask=mask, debris=None)


def index_offsets(grid: Grid, other: Grid) -> NDArray[np.float64]:
    """How far apart equal indices of two grids lie on the ground, in pixels of the first.

    Returns
    -------
    ndarray
        (2, 2, 2): (row, column) offset of the pixel that the other grid has at each corner: upper and lower,
        left and right.
    """
    last_row, last_column = grid.shape[0] - 0.5, grid.shape[1] - 0.5
    rows, columns = np.meshgrid([0.5, last_row], [0.5, last_column], indexing="ij")
    x, y = other.transform @ (columns.ravel(), rows.ravel())
    x, y = (np.asarray(values) for values in transform(other.crs, grid.crs, x, y))
    found_columns, found_rows = ~grid.transform @ (x, y)
    offsets = np.stack([found_rows - rows.ravel(), found_columns - columns.ravel()], axis=-1)
    return offsets.reshape(2, 2, 2)
