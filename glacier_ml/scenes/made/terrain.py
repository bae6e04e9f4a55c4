"""Made land: relief, sea and glaciers of one place, before the sun and the sensor come in."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from glacier_ml.scenes.made.glaciers import calve, flow_sources, glacier_mask, grow_ice
from glacier_ml.scenes.made.illumination import Sun
from glacier_ml.scenes.made.relief import Field, carve_troughs, enlarge, erode, fractal_field, refine

CELL = 30.0
# Ice and rivers are modelled on cells of 4 x 4 pixels, the first rivers on 8 x 8.
COARSE = 4
MARGIN = (96, 128)


@dataclass(frozen=True)
class Region:
    """What the places of one region have in common; all values typical, chosen here.

    Attributes
    ----------
    name : str
        Region as the catalog says it.
    epsg : int
        UTM zone of the scenes.
    north : float
        Northing in metres of the scenes' upper edge.
    month_day : str
        Month and day of the scenes.
    sun : Sun
        Where the sun stands on the first date.
    sea_share : float
        Share of the modelled land below sea level before fjords are cut.
    fjord_share : float
        Share of the modelled land that a valley must drain to become a fjord.
    glacier_share : tuple of float
        Range of the share of a scene that is glacier, roughly.
    firmness : tuple of float
        Range of the ratio of water depth to ice thickness above which ice breaks off.
    melange_reach : tuple of float
        Range of the length in pixels of the melange before a tidewater front.
    winter : bool
        Fresh snow on everything above the tree line; else only last winter's patches remain.
    """

    name: str
    epsg: int
    north: float
    month_day: str
    sun: Sun
    sea_share: float
    fjord_share: float
    glacier_share: tuple[float, float]
    firmness: tuple[float, float]
    melange_reach: tuple[float, float]
    winter: bool


REGIONS = {
    "alaska": Region(
        name="alaska",
        epsg=32606,
        north=6_780_000.0,
        month_day="09-17",
        sun=Sun(30.0, 162.0),
        sea_share=0.05,
        fjord_share=0.11,
        glacier_share=(0.20, 0.34),
        firmness=(0.45, 0.9),
        melange_reach=(70.0, 190.0),
        winter=False,
    ),
    "patagonia": Region(
        name="patagonia",
        epsg=32718,
        north=4_620_000.0,
        month_day="09-20",
        sun=Sun(27.5, 48.0),
        sea_share=0.04,
        fjord_share=0.10,
        glacier_share=(0.33, 0.46),
        firmness=(0.45, 0.9),
        melange_reach=(20.0, 75.0),
        winter=True,
    ),
}


@dataclass(frozen=True)
class Land:
    """A place on its pixels, with a margin around the scene that throws shadows and feeds glaciers.

    Attributes
    ----------
    bed, surface : ndarray
        Height in metres of the ground and of ice or sea on it, (rows, columns).
    glacier, water : ndarray of bool
        (rows, columns).
    source_row, source_column : ndarray
        Where the ice of each pixel came from, in pixels.
    snow_line : float
        Height in metres above which the glaciers gain mass.
    """

    bed: Field
    surface: Field
    glacier: NDArray[np.bool_]
    water: NDArray[np.bool_]
    source_row: Field
    source_column: Field
    snow_line: float

    def cropped(self, window: tuple[slice, slice]) -> Land:
        """Return the part inside a window of rows and columns."""
        names = ("bed", "surface", "glacier", "water", "source_row", "source_column")
        return replace(self, **{name: getattr(self, name)[window] for name in names})


def make_land(rng: np.random.Generator, region: Region, size: tuple[int, int], retreat: float) -> Land:
    """Make a place: `size` (rows, columns) pixels of scene, multiples of 8, and `MARGIN` around them.

    `retreat` in metres raises the snow line.
    """
    size = (size[0] + 2 * MARGIN[0], size[1] + 2 * MARGIN[1])
    coarse = (size[0] // COARSE, size[1] // COARSE)
    bed = _coarse_relief(rng, region, coarse)
    firmness = rng.uniform(*region.firmness)
    snow_line = _snow_line(bed, firmness, rng.uniform(*region.glacier_share)) + retreat
    ragged = firmness * (1.0 + 0.15 * fractal_field(rng, coarse, 3.0, 12.0))
    ice = calve(bed, _coarse_ice(bed, snow_line), ragged)
    detail = fractal_field(rng, size, 2.6, 24.0)
    return _fine_land(refine(bed, COARSE, detail, 18.0), bed, ice, snow_line)


def _fine_land(fine_bed: Field, bed: Field, ice: Field, snow_line: float) -> Land:
    """Bring coarse bed and ice onto the pixels, where ridges of the finer bed pierce thin ice."""
    # Smoothing takes the ripples of the implicit steps out of the surface.
    smooth = ndimage.gaussian_filter(bed + ice, 1.5)
    top = enlarge(np.where(ice > 5.0, smooth, bed), COARSE)
    thick = np.minimum(enlarge(ice, COARSE), top - fine_bed + 10.0)
    glacier = glacier_mask(thick, 12.0, 150)
    surface = np.where(glacier, np.maximum(top, fine_bed), np.maximum(fine_bed, 0.0))
    surface = np.where(glacier, ndimage.gaussian_filter(surface, 2.0), surface)
    water = (fine_bed < 0) & ~glacier
    half = ndimage.gaussian_filter(top, 4.0)[::2, ::2]
    row, column = flow_sources(half, glacier[::2, ::2], 130, 1.0)
    return Land(fine_bed, surface, glacier, water, _doubled(row), _doubled(column), snow_line)


def _doubled(position: Field) -> Field:
    return 2.0 * position.repeat(2, axis=0).repeat(2, axis=1)


def _coarse_relief(rng: np.random.Generator, region: Region, shape: tuple[int, int]) -> Field:
    """Heights above the sea in metres on the coarse cells."""
    half = (shape[0] // 2, shape[1] // 2)
    outlet = np.zeros(half, dtype=bool)
    first = (_icefield if region.winter else _ranges)(rng, half, outlet)
    bed = enlarge(first, 2) + 15.0 * fractal_field(rng, shape, 3.0, 20.0)
    outlet = np.kron(outlet, np.ones((2, 2), dtype=bool))
    bed = erode(bed, outlet, 0.15, np.full(shape, 8.0), 3)
    bed = bed - np.quantile(bed, region.sea_share)
    return carve_troughs(bed, outlet, 150.0, 3.2, region.fjord_share * bed.size)


def _inland(rng: np.random.Generator, shape: tuple[int, int], bearing: float) -> Field:
    """Ramp from 0 at the coast to 1 inland, towards `bearing` (0 = up the rows, 90 = along the columns)."""
    row, column = np.indices(shape) / (np.array(shape) - 1.0)[:, None, None] - 0.5
    angle = np.radians(bearing + rng.uniform(-30.0, 30.0))
    return 0.5 - row * np.cos(angle) + column * np.sin(angle)


def _ranges(rng: np.random.Generator, shape: tuple[int, int], outlet: NDArray[np.bool_]) -> Field:
    """Mountain ranges that rise inland, deeply cut by rivers that leave to the south."""
    outlet[-1] = True
    inland = _inland(rng, shape, 0.0)
    start = 300.0 + 120.0 * fractal_field(rng, shape, 3.2, 40.0) + 900.0 * inland
    uplift = (0.2 + 1.1 * inland) * (1.0 + 0.35 * fractal_field(rng, shape, 3.0, 30.0))
    return erode(start, outlet, 0.25, 55.0 * np.maximum(uplift, 0.05), 16)


def _icefield(rng: np.random.Generator, shape: tuple[int, int], outlet: NDArray[np.bool_]) -> Field:
    """High plateau in the east whose western edge rivers have cut into."""
    outlet[:, 0] = True
    inland = _inland(rng, shape, 90.0)
    plateau = 900.0 / (1.0 + np.exp(14.0 * (0.55 - inland)))
    ranges = 350.0 * np.exp(-4.0 * np.abs(fractal_field(rng, shape, 3.6, 30.0)))
    start = 500.0 + 160.0 * fractal_field(rng, shape, 3.2, 40.0) + plateau + ranges
    uplift = np.clip(1.0 + 0.4 * fractal_field(rng, shape, 3.0, 30.0), 0.2, 2.0)
    return erode(start, outlet, 0.14, 40.0 * uplift, 12)


def _snow_line(bed: Field, firmness: float, share: float) -> float:
    """Height above which the glaciers must gain mass to cover a share of the scene, by bisection."""
    shown = tuple(slice(margin // (2 * COARSE), -margin // (2 * COARSE)) for margin in MARGIN)
    low, high = np.quantile(bed[bed > 0], [0.2, 1.0])
    for _ in range(6):
        line = (low + high) / 2
        ice = calve(bed[::2, ::2], _rough_ice(bed, line), firmness)[shown]
        low, high = (line, high) if (ice > 12.0).mean() > share else (low, line)
    return float((low + high) / 2)


def _rough_ice(bed: Field, snow_line: float) -> Field:
    """Thickness in metres after 500 years on cells twice as large."""
    rough = bed[::2, ::2]
    return grow_ice(rough, np.zeros_like(rough), 2 * COARSE * CELL, snow_line, 500.0, 2.5)


def _coarse_ice(bed: Field, snow_line: float) -> Field:
    """Ice thickness in metres after 600 years, the first 500 on cells twice as large."""
    start = np.maximum(enlarge(_rough_ice(bed, snow_line), 2), 0.0)
    return grow_ice(bed, start, COARSE * CELL, snow_line, 100.0, 1.0)
