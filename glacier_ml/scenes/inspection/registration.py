"""Registration: by how many pixels bands, or a mask and the edges in the image, lie beside each other.

Both are measured by phase correlation of edges in blocks. The correlation surfaces of all blocks are added
up, and the scatter of the sum's peak over resampled blocks tells what the shift is worth.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glacier_ml.scenes.scene import Scene

Field = NDArray[np.float64]
Mask = NDArray[np.bool_]
Block = tuple[slice, slice]

BLOCK = 64
REACH = 8
"""Side of a block and largest shift that is looked for, in pixels; typical values, chosen here."""

BAND_WIDTH, MASK_WIDTH = 1.0, 1.5
"""Standard deviation in pixels of the peak that a perfect match gives: people draw edges less sharply than
a sensor sees them. Chosen here."""

FEWEST_BLOCKS = 6
MOST_BLOCKS = 600
_USABLE = 0.7  # share of a block that must have data
_RESAMPLED = 200
_DARK = 0.01  # reflectance below which the logarithm would show noise as edges; typical value, chosen here


@dataclass(frozen=True)
class Shift:
    """How far something lies from where it should, in pixels.

    Attributes
    ----------
    rows, columns : float
        Positive: further down, further right.
    spread : float
        Standard deviation of the shift's length over blocks drawn again with replacement (bootstrap).
    blocks : int
        Number of blocks that tell.
    """

    rows: float
    columns: float
    spread: float
    blocks: int

    @property
    def length(self) -> float:
        """Length in pixels.

        Examples
        --------
        >>> Shift(3.0, -4.0, 0.1, 20).length
        5.0
        """
        return math.hypot(self.rows, self.columns)

    def exceeds(self, limit: float) -> bool:
        """Whether the shift is longer than a limit by more than twice its spread.

        Examples
        --------
        >>> Shift(0.5, 0.0, 0.05, 20).exceeds(0.3), Shift(0.5, 0.0, 0.15, 20).exceeds(0.3)
        (True, False)
        """
        return self.length - 2 * self.spread > limit


def band_shifts(scenes: Sequence[Scene]) -> dict[str, Shift]:
    """Shift of each band against the scene's other bands.

    Parameters
    ----------
    scenes : sequence of Scene
        Windows of one scene, with the same bands.

    Returns
    -------
    dict of str to Shift
        By band name; bands without enough structure in common are left out. Empty where fewer than three
        bands are there: two that differ do not tell which of them is wrong.
    """
    names = list(scenes[0].bands)
    reference = "red" if "red" in names else names[0]
    surfaces: dict[str, list[Field]] = {name: [] for name in names if name != reference}
    for scene in scenes:
        usable = _far_from_gaps(scene.valid)
        windows = _thinned(_windows(usable), MOST_BLOCKS // len(scenes))
        edges = _band_edges(scene, reference)
        for name, found in surfaces.items():
            found.extend(_surfaces(edges, _band_edges(scene, name), usable, windows, BAND_WIDTH))
    shifts = {name: shift for name, found in surfaces.items() if (shift := _peak(found)) is not None}
    return _against_the_others(shifts, reference) if len(shifts) >= 2 else {}


def mask_shift(scenes: Sequence[Scene], masks: Sequence[Mask]) -> Shift | None:
    """Shift of a glacier mask against the edges in its scene.

    Parameters
    ----------
    scenes : sequence of Scene
        Windows of one scene, with green, nir and swir1.
    masks : sequence of ndarray of bool
        Of the same windows, true on glaciers.

    Returns
    -------
    Shift or None
        Positive: the mask lies too far down, too far right. None where it has too few edges to tell.
    """
    from scipy import ndimage

    surfaces: list[Field] = []
    for scene, mask in zip(scenes, masks, strict=True):
        usable = _far_from_gaps(scene.valid)
        border = ndimage.gaussian_gradient_magnitude(mask.astype(np.float64), 0.7)
        along = [one for one in _windows(usable) if (border[one] * _taper() > 0.1).sum() >= BLOCK // 2]
        windows = _thinned(along, MOST_BLOCKS // len(scenes))
        if windows:
            edges = _ground_edges(scene)
            surfaces.extend(_surfaces(edges, border, usable, windows, MASK_WIDTH))
    return _peak(surfaces)


def _against_the_others(shifts: dict[str, Shift], reference: str) -> dict[str, Shift]:
    """Shifts against the bands' median, so that a shifted reference does not put the blame on the others."""
    rows = float(np.median([0.0, *(shift.rows for shift in shifts.values())]))
    columns = float(np.median([0.0, *(shift.columns for shift in shifts.values())]))
    usual = float(np.median([shift.spread for shift in shifts.values()]))
    blocks = min(shift.blocks for shift in shifts.values())
    told = {
        name: Shift(shift.rows - rows, shift.columns - columns, shift.spread, shift.blocks)
        for name, shift in shifts.items()
    }
    return told | {reference: Shift(-rows, -columns, usual, blocks)}


def _band_edges(scene: Scene, name: str) -> Field:
    """Logarithm of the gradient's magnitude: edges count alike on bright and dark ground."""
    return np.log(_gradient(scene.bands[name], scene.valid) + 1e-3)


def _ground_edges(scene: Scene) -> Field:
    """Where the ground changes: edges of NDSI, SWIR and NIR, each on a scale from 0 to 1."""
    green, nir, swir1 = (np.maximum(scene.bands[name], _DARK) for name in ("green", "nir", "swir1"))
    edges = np.zeros(scene.shape)
    for values in ((green - swir1) / (green + swir1), np.log(swir1), np.log(nir)):
        gradient = _gradient(values, scene.valid, 1.0)
        usual = float(np.median(gradient[scene.valid])) if scene.valid.any() else 0.0
        edges += gradient / (gradient + usual + 1e-9)
    return edges


def _gradient(values: NDArray[Any], valid: Mask, width: float = 0.7) -> Field:
    from scipy import ndimage

    level = float(np.median(values[valid])) if valid.any() else 0.0
    filled = np.where(valid, values, level).astype(np.float64)
    gradient: Field = ndimage.gaussian_gradient_magnitude(filled, width)
    return gradient


def _far_from_gaps(valid: Mask) -> Mask:
    """Pixels whose gradient is not that of the edge of the data, which all bands share."""
    from scipy import ndimage

    near: Mask = ndimage.binary_dilation(~valid, iterations=4)
    return ~near


def _windows(usable: Mask) -> list[Block]:
    """Half-overlapping blocks with data."""
    rows, columns = (range(0, length - BLOCK + 1, BLOCK // 2) for length in usable.shape)
    found = [(slice(row, row + BLOCK), slice(column, column + BLOCK)) for row in rows for column in columns]
    return [window for window in found if usable[window].mean() >= _USABLE]


def _thinned(windows: list[Block], most: int) -> list[Block]:
    """At most about `most` of the blocks, evenly spread."""
    return windows[:: max(1, round(len(windows) / max(1, most)))]


@cache
def _taper() -> Field:
    return np.outer(np.hanning(BLOCK), np.hanning(BLOCK))


@cache
def _low_pass(width: float) -> Field:
    """Transfer function of a Gaussian of `width` pixels, for the half spectrum of a block."""
    squared = np.fft.fftfreq(BLOCK)[:, None] ** 2 + np.fft.rfftfreq(BLOCK)[None] ** 2
    low_pass: Field = np.exp(-2 * np.pi**2 * width**2 * squared)
    return low_pass


def _surfaces(
    fixed: Field, moved: Field, usable: Mask, windows: list[Block], width: float
) -> Iterator[Field]:
    """Phase correlation of each block, (2 REACH + 1) squared, its middle at no shift."""
    side = 2 * REACH + 1
    for window in windows:
        spectra = [_spectrum(values[window], usable[window]) for values in (fixed, moved)]
        cross = np.conj(spectra[0]) * spectra[1]
        strength = np.abs(cross)
        if strength.max() > 0:
            # Only the phase counts; the tiny addend keeps frequencies without content at nought.
            phase = cross / (strength + 1e-9 * strength.max()) * _low_pass(width)
            surface = np.fft.irfft2(phase, (BLOCK, BLOCK))
            yield np.roll(surface, (REACH, REACH), (0, 1))[:side, :side]


def _spectrum(values: Field, usable: Mask) -> NDArray[np.complex128]:
    centred = np.where(usable, values - values[usable].mean(), 0.0)
    return np.asarray(np.fft.rfft2(centred * _taper()), dtype=np.complex128)


def _peak(surfaces: list[Field]) -> Shift | None:
    """Peak of the surfaces' sum and its scatter; None where blocks are few or the peak lies at the rim."""
    if len(surfaces) < FEWEST_BLOCKS:
        return None
    stacked = np.stack([surface.ravel() for surface in surfaces])
    count = len(stacked)
    found = _top(stacked.sum(axis=0))
    if found is None:
        return None
    draws = np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), size=_RESAMPLED)
    drawn = [top for one in draws @ stacked if (top := _top(one)) is not None]
    if len(drawn) < 0.9 * _RESAMPLED:
        return None
    spread = float(np.sqrt(np.var(np.array(drawn), axis=0).sum()))
    return Shift(found[0], found[1], spread, count)


def _top(flat: Field) -> tuple[float, float] | None:
    """Maximum by a Gaussian through it and its neighbours, from the middle; None at the rim."""
    side = 2 * REACH + 1
    surface = flat.reshape(side, side)
    row, column = (int(one) for one in np.unravel_index(surface.argmax(), surface.shape))
    if not (0 < row < side - 1 and 0 < column < side - 1) or surface[row, column] <= 0:
        return None
    height = surface[row, column]
    down = np.log(np.maximum(surface[row - 1 : row + 2, column], 1e-3 * height))
    right = np.log(np.maximum(surface[row, column - 1 : column + 2], 1e-3 * height))
    return row - REACH + _vertex(down), column - REACH + _vertex(right)


def _vertex(three: Field) -> float:
    """Vertex of the parabola through three equidistant values, from the middle one, which is the largest."""
    curvature = three[0] - 2 * three[1] + three[2]
    return float(0.5 * (three[0] - three[2]) / curvature) if curvature < 0 else 0.0
