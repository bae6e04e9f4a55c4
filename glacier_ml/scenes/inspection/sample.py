"""What an inspection looks at: the whole scene, or strips spread over one that is too large for that."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window

from glacier_ml.errors import GlacierError
from glacier_ml.scenes.catalog import CatalogEntry
from glacier_ml.scenes.inspection.findings import listed
from glacier_ml.scenes.inspection.places import DEGREES, in_system
from glacier_ml.scenes.outlines import Labels, OutlineWarning, read_outlines
from glacier_ml.scenes.reading import open_source
from glacier_ml.scenes.scene import Grid, Scene

LARGEST_SAMPLE = 10_000_000
STRIP_ROWS = 256
"""Pixels that are read at most, and rows of a strip where the scene has more; chosen here."""

FILL_SHARE = 1e-3
"""Share of the pixels from which a number that no ground reflects is fill; typical value, chosen here."""

REFLECTED = (-0.5, 2.5)
"""Beyond these no band measures: numbers there are no reflectance. Typical values, chosen here."""


@dataclass(frozen=True)
class Sample:
    """The part of a scene that is looked at.

    Attributes
    ----------
    grid : Grid
        Of the whole scene.
    scenes : tuple of Scene
        Windows of the scene without the pixels of `fill`.
    masks, known : tuple of ndarray of bool
        Glacier, and whether the outlines tell, for each window; empty without outlines that can be read.
    labels : Labels or None
        The outlines on the whole grid.
    outline_error : str or None
        Why the outlines cannot be read.
    outline_notes : tuple of str
        What had to be mended or left out of them.
    fill : dict of float to float
        Numbers that stand for missing data although no file says so, with their share of the pixels.
    """

    grid: Grid
    scenes: tuple[Scene, ...]
    masks: tuple[NDArray[np.bool_], ...]
    known: tuple[NDArray[np.bool_], ...]
    labels: Labels | None
    outline_error: str | None
    outline_notes: tuple[str, ...]
    fill: dict[float, float]

    @property
    def bands(self) -> tuple[str, ...]:
        """Names of the bands."""
        return tuple(self.scenes[0].bands)

    @property
    def provenance(self) -> dict[str, Any]:
        """As `Scene.provenance`."""
        return self.scenes[0].provenance

    @property
    def pixels(self) -> int:
        """Number of pixels looked at."""
        return sum(scene.valid.size for scene in self.scenes)

    @property
    def valid_pixels(self) -> int:
        """Number of pixels looked at that have data in every band."""
        return sum(int(scene.valid.sum()) for scene in self.scenes)

    def finite(self, band: str) -> NDArray[np.float32]:
        """Values of a band where it has data, in one row."""
        return np.concatenate([one[np.isfinite(one)] for one in (scene.bands[band] for scene in self.scenes)])

    def valid(self, band: str) -> NDArray[np.float32]:
        """Values of a band where every band has data, in one row."""
        return np.concatenate([scene.bands[band][scene.valid] for scene in self.scenes])

    def labelled(self) -> Iterator[tuple[Scene, NDArray[np.bool_], NDArray[np.bool_]]]:
        """Each window with its mask and where the outlines tell."""
        yield from zip(self.scenes, self.masks, self.known, strict=True)

    def centre(self) -> tuple[float, float] | None:
        """Latitude and longitude of the scene's middle in degrees; None where its CRS does not tell."""
        rows, columns = self.grid.shape
        easting, northing = self.grid.transform @ (columns / 2, rows / 2)
        longitude, latitude = in_system(self.grid.crs, DEGREES, [easting], [northing])[:, 0].tolist()
        # NaN is no smaller than anything; some rasters count their longitudes from 0 to 360.
        return (latitude, longitude) if abs(latitude) <= 90 and abs(longitude) <= 360 else None


def read_sample(entry: CatalogEntry) -> Sample:
    """Read what of a catalog's scene is looked at, with its outlines.

    Raises
    ------
    GlacierError
        Where the scene cannot be read or has no data at all. Outlines that cannot be read are told in the
        sample.
    """
    with open_source(entry.path, entry.name, entry.sensor) as source:
        windows = list(spread_windows(source.grid.shape, LARGEST_SAMPLE))
        scenes = tuple(source.read(window) for window in windows)
        grid = source.grid
    fill = _fill_numbers(scenes)
    if fill:
        scenes = tuple(_without(scene, fill) for scene in scenes)
    if not any(scene.valid.any() for scene in scenes):
        told = f" ({listed([f'{number:g}' for number in fill])} counts as none)" if fill else ""
        raise GlacierError(f"{entry.name}: no pixel has data in every band{told}; check the files' nodata")
    labels, error, notes = _read_outlines(entry, grid, scenes[0].provenance.get("date"))
    parts = [window.toslices() for window in windows] if labels else []
    masks = tuple(labels.mask[part] for part in parts) if labels else ()
    known = tuple(labels.known[part] for part in parts) if labels else ()
    return Sample(grid, scenes, masks, known, labels, error, notes, fill)


def spread_windows(shape: tuple[int, int], most: int = LARGEST_SAMPLE) -> Iterator[Window]:
    """Windows over a scene: all of it, or strips spread evenly that hold at most about `most` pixels.

    Examples
    --------
    >>> [window.row_off for window in spread_windows((7000, 8000))]
    [0, 2248, 4496, 6744]
    """
    rows, columns = shape
    count = max(1, most // (STRIP_ROWS * columns))
    if rows * columns <= most or rows <= STRIP_ROWS * count:
        yield Window(0, 0, columns, rows)
        return
    tops = np.linspace(0, rows - STRIP_ROWS, count) if count > 1 else [(rows - STRIP_ROWS) / 2]
    for top in tops:
        yield Window(0, int(top), columns, STRIP_ROWS)


def _read_outlines(
    entry: CatalogEntry, grid: Grid, date: str | None
) -> tuple[Labels | None, str | None, tuple[str, ...]]:
    """Outlines, why they cannot be read, and what was mended in them."""
    if entry.outlines is None:
        return None, None, ()
    day = entry.date or date or next(iter(entry.date_bands.values()), None)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", OutlineWarning)
        try:
            labels = read_outlines(entry.outlines, grid, entry.name, day)
        except GlacierError as error:
            return None, str(error), ()
    return labels, None, tuple(str(one.message) for one in told)


def _fill_numbers(scenes: tuple[Scene, ...]) -> dict[float, float]:
    """Numbers that stand for missing data: no reflectance, or the same in every band and not positive."""
    counts: dict[float, int] = {}
    for scene in scenes:
        bands = list(scene.bands.values())
        same = np.logical_and.reduce([values == bands[0] for values in bands]) & (bands[0] <= 0)
        beyond = [np.isfinite(one) & ((one < REFLECTED[0]) | (one > REFLECTED[1])) for one in bands]
        odd = [one[there] for one, there in zip(bands, beyond, strict=True)]
        for values in [*odd, bands[0][same]] if len(bands) > 1 else odd:
            numbers, times = np.unique(values, return_counts=True)
            for number, count in zip(numbers.tolist(), times.tolist(), strict=True):
                counts[number] = counts.get(number, 0) + count
    pixels = sum(scene.valid.size for scene in scenes)
    frequent = [number for number, count in counts.items() if count >= FILL_SHARE * pixels]
    return {number: sum(_pixels_at(scene, number) for scene in scenes) / pixels for number in frequent}


def _pixels_at(scene: Scene, number: float) -> int:
    """Pixels that have a number in one band or another."""
    return int(np.logical_or.reduce([values == number for values in scene.bands.values()]).sum())


def _without(scene: Scene, fill: dict[float, float]) -> Scene:
    """The scene with NaN for the numbers that stand for missing data."""
    numbers = np.array(list(fill), dtype=np.float32)
    bands = {}
    for band, values in scene.bands.items():
        bands[band] = np.where(np.isin(values, numbers), np.float32(np.nan), values)
    valid = scene.valid & np.logical_and.reduce([np.isfinite(values) for values in bands.values()])
    return replace(scene, bands=bands, valid=valid)
