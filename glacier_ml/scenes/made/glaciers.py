"""Made glaciers: ice that accumulates above a snow line, flows down the relief and melts or calves below."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.linalg import solve_banded

from glacier_ml.scenes.made.relief import Field

# Shallow ice with Glen's exponent 3: 2 A (rho g)^3 / 5, in m^-3 a^-1; typical value, chosen here.
DEFORMATION = 2.0e-5
# Bounds the flow of the steepest ice, which shallow ice overstates; typical value, chosen here.
LARGEST_DIFFUSIVITY = 4.0e5


def grow_ice(bed: Field, ice: Field, cell: float, snow_line: float, years: float, step: float) -> Field:
    """Thickness of ice after some years of accumulation, flow and melt.

    The shallow ice approximation, implicit along rows and columns in turn.

    Parameters
    ----------
    bed, ice : ndarray
        Height of the ground and thickness of the ice at the start in metres, (rows, columns).
    cell : float
        Cell size in metres.
    snow_line : float
        Height in metres where a year's snowfall equals its melt.
    years, step : float
        Time to run and length of a step.

    Returns
    -------
    ndarray
        Thickness in metres, (rows, columns).
    """
    for _ in range(round(years / step)):
        surface = bed + ice
        balance = np.clip(0.007 * (surface - snow_line), -9.0, 2.2)
        along_rows, along_columns = _diffusivities(surface, ice, cell)
        scale = step / cell**2
        moved = _implicit(surface + step * balance, along_columns.T * scale, transposed=True)
        moved = _implicit(moved, along_rows * scale, transposed=False)
        ice = np.maximum(moved - bed, 0.0)
    return ice


def _diffusivities(surface: Field, ice: Field, cell: float) -> tuple[Field, Field]:
    """Diffusivity on the faces between columns (rows, columns - 1) and between rows (rows - 1, columns)."""
    slope_rows, slope_columns = np.gradient(surface, cell)
    steepness = np.asarray(slope_rows**2 + slope_columns**2)
    faces = []
    for axis in (1, 0):
        first, second = [slice(None)] * 2, [slice(None)] * 2
        first[axis], second[axis] = slice(None, -1), slice(1, None)
        one, two = tuple(first), tuple(second)
        # The upper cell's thickness: bare rock above a glacier must not flow into it.
        thickness = np.where(surface[one] > surface[two], ice[one], ice[two])
        diffusivity = DEFORMATION * thickness**5 * 0.5 * (steepness[one] + steepness[two])
        faces.append(np.minimum(diffusivity, LARGEST_DIFFUSIVITY))
    return faces[0], faces[1]


def _implicit(field: Field, face: Field, transposed: bool) -> Field:
    """One implicit diffusion step along the rows (or columns): all lines at once as one banded system."""
    lines = field.T if transposed else field
    coupling = np.zeros_like(lines)
    coupling[:, 1:] = face
    left = coupling.ravel()
    right = np.append(left[1:], 0.0)
    banded = np.zeros((3, left.size))
    banded[0, 1:] = -right[:-1]
    banded[1] = 1.0 + left + right
    banded[2, :-1] = -left[1:]
    solved = solve_banded((1, 1), banded, lines.ravel(), check_finite=False).reshape(lines.shape)
    return solved.T if transposed else solved


def calve(bed: Field, ice: Field, firmness: Field | float) -> Field:
    """Break off the ice that stands in water too deep for it, as far as the open sea reaches.

    Parameters
    ----------
    bed, ice : ndarray
        Height of the ground above the sea and thickness of the ice in metres, (rows, columns).
    firmness : float or ndarray
        Largest ratio of water depth to ice thickness that stands; about 0.9 is ice that floats.

    Examples
    --------
    Ice 100 m thick stands in 50 m of water, not in 95 m; behind it, a deep basin stays filled:

    >>> bed = np.array([[-200.0, -95.0, -50.0, -300.0]])
    >>> calve(bed, np.array([[0.0, 100.0, 100.0, 200.0]]), 0.9).tolist()
    [[0.0, 0.0, 100.0, 200.0]]
    """
    afloat = (bed < 0) & (-bed > firmness * ice)
    labels, _ = ndimage.label(afloat)
    open_sea = np.unique(labels[afloat & (ice < 1.0)])
    return np.where(afloat & np.isin(labels, open_sea), 0.0, ice)


def glacier_mask(ice: Field, least_thickness: float, least_cells: int) -> NDArray[np.bool_]:
    """Where the ice is a glacier: thick enough, without specks and with holes only of some size.

    Examples
    --------
    >>> ice = np.zeros((5, 6)); ice[1:4, 1:4] = 50.0; ice[2, 2] = 0.0; ice[0, 5] = 50.0
    >>> int(glacier_mask(ice, 10.0, 4).sum())
    9
    """
    glacier = _drop_small(ice > least_thickness, least_cells)
    return ~_drop_small(~glacier, max(least_cells // 2, 1))


def _drop_small(mask: NDArray[np.bool_], least_cells: int) -> NDArray[np.bool_]:
    labels, _ = ndimage.label(mask)
    large = np.bincount(labels.ravel()) >= least_cells
    large[0] = False
    return large[labels]


def flow_sources(
    surface: Field, glacier: NDArray[np.bool_], steps: int, stride: float
) -> tuple[Field, Field]:
    """Trace the flow upstream: the (row, column) from which each glacier cell's ice came.

    Cells on one flow line share a source, so a pattern read at the sources is drawn out along the flow:
    this makes medial moraines.

    Parameters
    ----------
    surface : ndarray
        Height of the ice surface, (rows, columns); smoothed beforehand.
    glacier : ndarray of bool
        (rows, columns).
    steps : int
        Largest number of steps upstream.
    stride : float
        Length of a step in cells.

    Returns
    -------
    row, column : ndarray
        float64 (rows, columns) each; off the glacier a cell is its own source.
    """
    slope = np.asarray(np.gradient(surface))
    direction = slope / (np.hypot(*slope) + 1e-6)
    origin = np.stack(np.nonzero(glacier)).astype(float)
    here, moving = origin.copy(), np.ones(origin.shape[1], dtype=bool)
    limit = np.array(surface.shape)[:, None] - 1
    for _ in range(steps):
        there = here[:, moving]
        cells = tuple(np.rint(there).astype(int))
        there = np.clip(there + stride * direction[:, *cells], 0, limit)
        inside = glacier[tuple(np.rint(there).astype(int))]
        index = np.flatnonzero(moving)
        here[:, index[inside]] = there[:, inside]
        moving[index[~inside]] = False
    row, column = np.indices(surface.shape).astype(float)
    row[glacier], column[glacier] = here
    return row, column
