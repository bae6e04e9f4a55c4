"""Made relief: fractal noise, eroded by running water, deepened to troughs, drowned to fjords."""

from __future__ import annotations

import heapq

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Field = NDArray[np.float64]


def fractal_field(
    rng: np.random.Generator, shape: tuple[int, int], roughness: float, longest: float
) -> Field:
    """Gaussian random field with a power-law spectrum, mean 0 and standard deviation 1.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of the phases.
    shape : tuple of int
        (rows, columns).
    roughness : float
        Exponent of the power spectrum's fall with wavenumber: 2 is rough, 4 smooth.
    longest : float
        Wavelength in pixels above which the spectrum is flat.

    Returns
    -------
    ndarray
        float64 (rows, columns), periodic at the edges.

    Examples
    --------
    >>> field = fractal_field(np.random.default_rng(0), (32, 48), 3.0, 16.0)
    >>> field.shape, round(float(field.std()), 6)
    ((32, 48), 1.0)
    """
    frequency = np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])[None, :])
    amplitude = (frequency**2 + 1.0 / longest**2) ** (-roughness / 4)
    amplitude[0, 0] = 0.0
    spectrum = np.fft.rfft2(rng.standard_normal(shape)) * amplitude
    field = np.fft.irfft2(spectrum, s=shape)
    return (field - field.mean()) / field.std()


def drainage(height: Field, outlet: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Order in which a flood rising from the outlets reaches the cells, and where each cell drains.

    Following the flood back gives every cell a way to an outlet, through pits too.

    Parameters
    ----------
    height : ndarray
        Relief (rows, columns).
    outlet : ndarray of bool
        (rows, columns), the cells where water leaves.

    Returns
    -------
    order, receiver : ndarray of int
        Flat cell indices, (cells,) each. In `order` downstream cells come first; an outlet receives itself.

    Examples
    --------
    >>> order, receiver = drainage(np.array([[0.0, 2.0, 1.0]]), np.array([[True, False, False]]))
    >>> order.tolist(), receiver.tolist()
    ([0, 1, 2], [0, 0, 1])
    """
    rows, columns = height.shape
    # A frame that counts as already reached spares the test of the edges for every neighbour.
    width = columns + 2
    order, receiver = _flood(
        np.pad(height, 1, constant_values=np.inf).ravel().tolist(),
        np.pad(outlet, 1, constant_values=True).ravel().tolist(),
        np.flatnonzero(np.pad(outlet, 1)).tolist(),
        (-1, 1, -width, width, -width - 1, -width + 1, width - 1, width + 1),
    )
    inner = np.full((rows + 2) * width, -1)
    inner.reshape(rows + 2, width)[1:-1, 1:-1] = np.arange(rows * columns).reshape(rows, columns)
    packed = np.empty(rows * columns, dtype=np.int64)
    packed[inner[order]] = inner[np.asarray(receiver)[order]]
    return inner[order], packed


def _flood(
    level: list[float], reached: list[bool], starts: list[int], around: tuple[int, ...]
) -> tuple[list[int], list[int]]:
    """Let water rise from the starts to `around` steps of flat index: order of reaching, and from where."""
    receiver = list(range(len(level)))
    heap = [(level[cell], cell) for cell in starts]
    heapq.heapify(heap)
    order = []
    while heap:
        water, cell = heapq.heappop(heap)
        order.append(cell)
        for step in around:
            beside = cell + step
            if not reached[beside]:
                reached[beside] = True
                receiver[beside] = cell
                heapq.heappush(heap, (max(level[beside], water), beside))
    return order, receiver


def drained_area(order: NDArray[np.int64], receiver: NDArray[np.int64]) -> Field:
    """Count the cells that drain through each cell, itself included; flat (cells,).

    Examples
    --------
    >>> drained_area(np.array([0, 1, 2]), np.array([0, 0, 1])).tolist()
    [3.0, 2.0, 1.0]
    """
    area = [1.0] * order.size
    below = receiver.tolist()
    for cell in reversed(order.tolist()):
        if below[cell] != cell:
            area[below[cell]] += area[cell]
    return np.asarray(area)


def erode(height: Field, outlet: NDArray[np.bool_], strength: float, uplift: Field, steps: int) -> Field:
    """Let rivers cut a relief: dh/dt = uplift - strength * sqrt(drained area) * slope, implicit in time.

    The stream power law; strength and uplift are chosen here for the look of the valleys.

    Parameters
    ----------
    height, uplift : ndarray
        Metres and metres a step, (rows, columns).
    outlet : ndarray of bool
        (rows, columns), cells that keep their height.
    strength : float
        Erosion a step, with area in cells and length in cells.
    steps : int
        Number of steps.
    """
    for _ in range(steps):
        height = height + np.where(outlet, 0.0, uplift)
        order, receiver = drainage(height, outlet)
        factor = (strength * np.sqrt(drained_area(order, receiver))).tolist()
        level, below = height.ravel().tolist(), receiver.tolist()
        for cell in order.tolist():
            down = below[cell]
            if down != cell and level[cell] > level[down]:
                level[cell] = (level[cell] + factor[cell] * level[down]) / (1.0 + factor[cell])
        height = np.asarray(level).reshape(height.shape)
    return height


def carve_troughs(
    height: Field, outlet: NDArray[np.bool_], least_area: float, width: float, fjord_area: float
) -> Field:
    """Widen the large valleys to the parabolas that glaciers leave, and the largest below the sea.

    Parameters
    ----------
    height : ndarray
        Relief in metres above the sea, (rows, columns).
    outlet : ndarray of bool
        (rows, columns).
    least_area : float
        Cells that a valley must drain to be widened.
    width : float
        Half width in cells of a valley that drains `least_area`; it grows with area to the power 0.3.
    fjord_area : float
        Cells that a valley must drain to become a fjord, whose depth grows by 120 m with the square root of
        each doubling of its area.
    """
    order, receiver = drainage(height, outlet)
    area = drained_area(order, receiver).reshape(height.shape)
    carved = height
    for order_of_valley in range(4):
        channel = area >= least_area * 4.0**order_of_valley
        if not channel.any():
            break
        distance, (row, column) = ndimage.distance_transform_edt(~channel, return_indices=True)
        half_width = width * (area[row, column] / least_area) ** 0.3
        size = np.log2(np.maximum(area[row, column] / fjord_area, 1.0))
        fjord = np.where(size > 0, -20.0 - 120.0 * np.sqrt(size), np.inf)
        floor = np.minimum(height[row, column], fjord)
        parabola = floor + 350.0 * np.maximum(distance / half_width - 0.25, 0.0) ** 2
        carved = np.minimum(carved, parabola)
    return ndimage.gaussian_filter(carved, 0.7)


def refine(height: Field, factor: int, detail: Field, amplitude: float) -> Field:
    """Interpolate relief to cells `factor` times finer and add detail that grows with the slope.

    Valley floors stay smooth and walls get gullies: `detail` has standard deviation 1 on the fine grid.
    """
    fine = enlarge(height, factor)
    slope = ndimage.gaussian_filter(np.hypot(*np.gradient(fine)), 2.0 * factor)
    return fine + amplitude * detail * np.clip(slope / slope.mean(), 0.05, 2.0)


def enlarge(field: Field, factor: int) -> Field:
    """Interpolate to cells `factor` times finer (cubic), (rows * factor, columns * factor)."""
    return ndimage.zoom(field, factor, order=3, mode="nearest", grid_mode=True)
