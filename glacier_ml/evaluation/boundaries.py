"""Where glacier ends: the boundary of a mask, and how far two boundaries lie apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from glacier_ml.scenes.scene import Grid, Scene

Mask = NDArray[np.bool_]

TOLERANCES = (1, 2)
"""Tolerances of the boundary F1 [px]."""

_EXACT = 8  # px up to which every distance of the grid is a step of its own
_GROWTH = 1.01  # from one step to the next beyond


def boundary(mask: Mask, valid: Mask) -> Mask:
    """Glacier pixels that have a valid 4-neighbour without glacier.

    Where glacier meets the edge of the scene or pixels without data, nobody saw it end: no boundary there.

    Parameters
    ----------
    mask, valid : ndarray of bool
        Glacier, and the pixels that count; (rows, columns).

    Returns
    -------
    ndarray of bool
        (rows, columns).

    Examples
    --------
    >>> boundary(np.array([[1, 1, 1, 0]], dtype=bool), np.ones((1, 4), dtype=bool)).astype(int)
    array([[0, 0, 1, 0]])
    """
    other = np.pad(valid & ~mask, 1)
    beside = other[2:, 1:-1] | other[:-2, 1:-1] | other[1:-1, 2:] | other[1:-1, :-2]
    return valid & mask & beside


def within(marks: Mask, tolerance: int) -> Mask:
    """Pixels whose centre lies at most `tolerance` pixels from that of a marked one.

    Examples
    --------
    >>> within(np.array([[0, 0, 0], [0, 0, 0], [1, 0, 0]], dtype=bool), 1).astype(int)
    array([[0, 0, 0],
           [1, 0, 0],
           [1, 1, 0]])
    """
    rows, columns = marks.shape
    padded = np.pad(marks, tolerance)
    reached = np.zeros(marks.shape, dtype=bool)
    for down, right in np.ndindex(2 * tolerance + 1, 2 * tolerance + 1):
        if (down - tolerance) ** 2 + (right - tolerance) ** 2 <= tolerance**2:
            reached |= padded[down : down + rows, right : right + columns]
    return reached


def distances(origin: Mask, target: Mask, pixel_m: tuple[float, float]) -> NDArray[np.float64]:
    """Distance of each marked pixel of `origin` to the nearest one of `target`, centre to centre.

    Parameters
    ----------
    origin, target : ndarray of bool
        Boundaries of one grid.
    pixel_m : tuple of float
        Ground distance of one row and of one column [m], see `pixel_size_m`.

    Returns
    -------
    ndarray
        (marked pixels of `origin`, row by row) [m]; infinite without a marked pixel in `target`.

    Examples
    --------
    >>> left, right = np.array([[True, False, False]]), np.array([[False, False, True]])
    >>> distances(left, right, (30.0, 30.0))
    array([60.])
    """
    from scipy.spatial import KDTree

    if not target.any():
        return np.full(np.count_nonzero(origin), np.inf)
    scale = np.asarray(pixel_m, dtype=np.float64)
    found, _ = KDTree(np.argwhere(target) * scale, balanced_tree=False).query(np.argwhere(origin) * scale)
    return found


def distance_steps(shape: tuple[int, int], pixel_m: tuple[float, float]) -> NDArray[np.float64]:
    """Rising distances to which those of a grid are rounded, so that they can be counted.

    Up to 8 px of the longer side they are all distances that the grid knows, so that nothing is rounded;
    beyond, they grow by 1 % to the diagonal of the grid, so that nothing is wrong by more than 0.5 %.

    Parameters
    ----------
    shape : tuple of int
        (rows, columns).
    pixel_m : tuple of float
        Ground distance of one row and of one column [m].

    Returns
    -------
    ndarray
        (steps,) [m], from 0.

    Examples
    --------
    >>> distance_steps((1, 4), (30.0, 30.0)).tolist()
    [0.0, 30.0, 60.0, 90.0]
    """
    row_m, column_m = pixel_m
    near = _EXACT * max(pixel_m)
    farthest = float(np.hypot((shape[0] - 1) * row_m, (shape[1] - 1) * column_m))
    rows = np.arange(min(shape[0] - 1, near // row_m) + 1) * row_m
    columns = np.arange(min(shape[1] - 1, near // column_m) + 1) * column_m
    lattice = np.hypot(rows[:, None], columns[None, :]).astype(np.float64)
    exact = np.unique(np.round(lattice[lattice <= near * (1 + 1e-9)], 6))
    if farthest <= near:
        return exact
    steps = int(np.ceil(np.log(farthest / near) / np.log(_GROWTH)))
    return np.concatenate([exact, near * _GROWTH ** np.arange(1, steps + 1)])


def nearest_step(found: NDArray[np.float64], steps: NDArray[np.float64]) -> NDArray[np.intp]:
    """Index of the step nearest to each distance."""
    return np.searchsorted((steps[1:] + steps[:-1]) / 2, found)


def pixel_size_m(scene: Scene) -> tuple[float, float]:
    """Ground distance of one row and of one column at the scene's centre, on the ellipsoid.

    Parameters
    ----------
    scene : Scene
        On a projected or geographic grid.

    Returns
    -------
    tuple of float
        (row, column) [m].
    """
    return pixel_size_at(scene.grid, scene.shape[0] / 2)


def pixel_size_at(grid: Grid, row: float) -> tuple[float, float]:
    """Ground distance of one row and of one column at the middle of a row of a grid, on the ellipsoid.

    Parameters
    ----------
    grid : Grid
        Projected or geographic.
    row : float
        0 at the upper side of the first.

    Returns
    -------
    tuple of float
        (row, column) [m].
    """
    from pyproj import CRS, Transformer

    crs = CRS.from_wkt(grid.crs.to_wkt())
    geodetic = crs.geodetic_crs or crs
    transformer, geod = Transformer.from_crs(crs, geodetic, always_xy=True), geodetic.get_geod()
    middle = grid.shape[1] / 2
    lengths = []
    for down, right in ((0.5, 0), (0, 0.5)):
        ends = [(middle + sign * right, row + sign * down) for sign in (-1, 1)]
        eastings, northings = zip(*(grid.transform @ end for end in ends), strict=True)
        longitudes, latitudes = transformer.transform(eastings, northings)
        lengths.append(geod.inv(longitudes[0], latitudes[0], longitudes[1], latitudes[1])[2])
    return lengths[0], lengths[1]
