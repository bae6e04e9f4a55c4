"""Sources: scenes before they are read, so that a part of one can be read alone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.windows import Window

from glacier_ml.errors import GlacierError
from glacier_ml.scenes.addresses import is_address
from glacier_ml.scenes.ahead import ahead
from glacier_ml.scenes.landsat.quality import quality_masks
from glacier_ml.scenes.rasters import grid_difference, grid_of, open_raster
from glacier_ml.scenes.scene import Grid, Scene, pixel_digest

LARGEST_MEDIAN = 2.0
"""Reflectance seldom passes 1.2, even of snow facing a low sun; DN start far above. Chosen here."""

FEWEST_JUDGED = 1000
"""Pixels with data of a part of a scene from which on its median tells DN from reflectance: a few bright
pixels are no DN. Chosen here."""

LARGEST_SCENE = 20_000 * 20_000
"""Pixels of the largest grid that is taken for a scene's (a Landsat frame has 8000 x 8000). Chosen here."""

_READERS = 4
"""Threads that read a scene: to decompress takes longer than to digest, and the web is waited for."""

_SURFACE = re.compile(r"(?:^|[._])SR_B\d+$", re.IGNORECASE)


@dataclass(frozen=True)
class Layer:
    """One band of one file, before it is read.

    Attributes
    ----------
    label : str
        What the file calls it.
    path : str
        What GDAL opens: a file, /vsisubfile/..., a URL.
    index : int
        Position in the file, from 1.
    gain, offset : float or None
        Reflectance = gain x value + offset. None: the values are reflectance, by the file's scale and offset.
    fill, ceiling : float or None
        Value without data, beside the file's nodata; value at which the sensor is saturated.
    file : str
        How errors call the file; default the path's last part.
    """

    label: str
    path: str
    index: int = 1
    gain: float | None = None
    offset: float = 0.0
    fill: float | None = None
    ceiling: float | None = None
    file: str = ""

    @property
    def place(self) -> str:
        """File and, where it has several, the band, for errors."""
        file = self.file or Path(self.path).name
        return file if self.label == Path(file).stem else f"{file} band {self.index}"


@dataclass(frozen=True)
class Source:
    """A scene before it is read.

    Attributes
    ----------
    name : str
        The scene's.
    layers : dict of str to Layer
        By band name, in the order of `BANDS`, all on `grid`.
    grid : Grid
        Of the whole scene.
    provenance : dict
        As `Scene.provenance`.
    quality : dict of str to Layer
        Quality bands by kind: 'QA_PIXEL', 'BQA', 'QA_RADSAT' or 'quality' (this package's own).
    """

    name: str
    layers: dict[str, Layer]
    grid: Grid
    provenance: dict[str, Any] = field(default_factory=dict)
    quality: dict[str, Layer] = field(default_factory=dict)

    def read(self, window: Window | None = None, drop: tuple[str, ...] = ()) -> Scene:
        """Read a window of the scene; nothing else of its files is read.

        Parameters
        ----------
        window : rasterio.windows.Window, optional
            Whole pixels inside the grid; default all.
        drop : tuple of str
            Quality masks whose pixels become invalid, such as ('cloud', 'cloud_shadow').

        Returns
        -------
        Scene
            A window without data is read, too: `valid` is false everywhere then.

        Raises
        ------
        GlacierError
            Where a file cannot be read or holds DN, or nothing tells a mask of `drop`.
        """
        window = window or self.window
        bands, quality = {}, {}
        read = ahead(lambda layer: read_layer(layer, window, self.name), self.layers.values(), _READERS)
        for band, (values, saturated) in zip(self.layers, read, strict=True):
            bands[band] = values
            if saturated is not None:
                quality[f"saturated_{band}"] = saturated
        for kind, layer in self.quality.items():
            for mask, flagged in self._masks(kind, layer, window).items():
                quality[mask] = quality[mask] | flagged if mask in quality else flagged
        _check_drop(self.name, drop, quality)
        valid = np.ones((int(window.height), int(window.width)), dtype=bool)
        for values in bands.values():
            valid &= np.isfinite(values)
        for mask in (*drop, "fill"):
            valid &= ~quality.get(mask, np.False_)
        grid = grid_window(self.grid, window)
        return Scene(self.name, bands, valid, grid, dict(self.provenance), quality)

    def _masks(self, kind: str, layer: Layer, window: Window) -> dict[str, NDArray[np.bool_]]:
        values = self._flags(kind, layer, window)
        try:
            masks = quality_masks(values, kind, self.provenance.get("sensor"))
        except GlacierError as error:
            raise GlacierError(f"{self.name}: {layer.place}: {error}") from error
        told = self.provenance.get("masks")
        if kind != "quality" or told is None:
            return masks
        return {mask: flagged for mask, flagged in masks.items() if mask in told.split(",")}

    def _flags(self, kind: str, layer: Layer, window: Window) -> NDArray[np.int64]:
        return _flags(layer, window, self.name, fill=0 if kind == "QA_RADSAT" else 1)

    @property
    def window(self) -> Window:
        """The whole scene."""
        return whole(self.grid)

    def digest(self) -> str:
        """`Scene.digest` of the whole scene, read strip by strip: once through every band."""

        def parts(layer: Layer) -> Iterator[NDArray[np.float32]]:
            return ahead(lambda strip: read_layer(layer, strip, self.name)[0], self.strips(), _READERS)

        return pixel_digest(self.grid, {band: parts(layer) for band, layer in self.layers.items()})

    def quality_digest(self) -> str:
        """SHA-256 of the quality bands; '' without one."""

        def parts(kind: str, layer: Layer) -> Iterator[NDArray[np.int64]]:
            for strip in self.strips():
                yield self._flags(kind, layer, strip)

        bands = {kind: parts(kind, layer) for kind, layer in self.quality.items()}
        return pixel_digest(self.grid, bands) if bands else ""

    def strips(self, rows: int = 512) -> Iterator[Window]:
        """Windows of the scene's whole width that cover it from top to bottom."""
        return strips(self.window, rows)


def whole(grid: Grid) -> Window:
    """The window that is all of a grid."""
    return Window(0, 0, grid.shape[1], grid.shape[0])


def strips(window: Window, rows: int) -> Iterator[Window]:
    """Windows of a window's whole width that cover it from top to bottom, each of so many rows at most."""
    for top in range(0, window.height, rows):
        height = min(rows, window.height - top)
        yield Window(window.col_off, window.row_off + top, window.width, height)


def _check_drop(name: str, drop: tuple[str, ...], quality: dict[str, NDArray[np.bool_]]) -> None:
    untold = [mask for mask in drop if mask not in quality]
    if untold:
        raise GlacierError(
            f"{name}: drop: {', '.join(untold)} cannot be told from its files (masks: "
            f"{', '.join(quality) or 'none, there is no quality band'}); leave it out"
        )


def grid_window(grid: Grid, window: Window) -> Grid:
    """Grid of a window of a grid."""
    moved = grid.transform @ Affine.translation(window.col_off, window.row_off)
    return Grid(grid.crs, moved, (int(window.height), int(window.width)))


def common_grid(layers: dict[str, Layer], name: str) -> Grid:
    """Grid of all layers, from their headers.

    Raises
    ------
    GlacierError
        Where grids differ, a georeference is missing, the grid is larger than any scene or the values are DN.
    """
    grids = {}
    for band, layer in layers.items():
        with open_raster(layer.path, name) as dataset:
            grids[band] = grid_of(dataset, name)
            _check_type(dataset, layer, name)
    first = next(iter(grids))
    rows, columns = grids[first].shape
    if rows * columns > LARGEST_SCENE:
        raise GlacierError(
            f"{name}: {layers[first].place} has {rows} x {columns} pixels, more than any Landsat scene; "
            "cut it"
        )
    for band, grid in grids.items():
        difference = grid_difference(grids[first], grid)
        if difference:
            raise GlacierError(
                f"{name}: {layers[first].place} and {layers[band].place} are on different grids "
                f"({difference}); export all bands on one grid"
            )
    return grids[first]


def _check_type(dataset: Any, layer: Layer, name: str) -> None:
    if layer.index > dataset.count or (
        layer.index == 1 and layer.label == Path(layer.file or layer.path).stem and dataset.count > 1
    ):
        raise GlacierError(f"{name}: {layer.place} has {dataset.count} bands, not one; keep one band a file")
    kind = np.dtype(dataset.dtypes[layer.index - 1])
    if kind.kind not in "iuf":
        raise GlacierError(f"{name}: {layer.place} holds {kind}, not numbers; export reflectance as float32")
    if layer.gain is None and kind.kind in "iu" and dataset.scales[layer.index - 1] == 1.0:
        raise holds_numbers(name, layer, str(kind))


def holds_numbers(name: str, layer: Layer, what: str) -> GlacierError:
    """Error of a file of DN where reflectance is wanted."""
    if _SURFACE.search(layer.label):
        mend = "set its scale 2.75e-05 and offset -0.2 (surface reflectance), or export it so"
    elif is_address(layer.path):
        mend = "import the scene (import_scene) and put the reflectance there"
    else:
        mend = "add the scene's MTL file to its folder, or convert it to reflectance (0 to about 1) first"
    return GlacierError(f"{name}: {layer.place} holds DN, not reflectance ({what}); {mend}")


def read_layer(
    layer: Layer, window: Window, name: str
) -> tuple[NDArray[np.float32], NDArray[np.bool_] | None]:
    """Reflectance of a window of a layer, NaN without data, and its saturated pixels where that can be told.

    Raises
    ------
    GlacierError
        Where the file cannot be read or holds DN.
    """
    with open_raster(layer.path, name) as dataset:
        raw = dataset.read(layer.index, window=window, masked=True)
        whole_band = raw.shape == dataset.shape
        scale, offset = dataset.scales[layer.index - 1], dataset.offsets[layer.index - 1]
    with np.errstate(over="ignore"):  # fill beyond float32 becomes infinite and thus invalid
        values = raw.data.astype(np.float32, copy=False)
    lacking = ~np.isfinite(values) | raw.mask
    if layer.fill is not None:
        lacking |= raw.data == layer.fill
    if layer.gain is not None:
        scale, offset = layer.gain, layer.offset
    if (scale, offset) != (1.0, 0.0):
        values = (raw.data * np.float64(scale) + offset).astype(np.float32)
    np.copyto(values, np.float32(np.nan), where=lacking)
    if layer.gain is None:
        known = values.size - np.count_nonzero(lacking)
        if whole_band or known >= FEWEST_JUDGED:
            _check_reflectance(values, lacking, layer, name)
    saturated = None if layer.ceiling is None else ~lacking & (raw.data >= layer.ceiling)
    return values, saturated


def median_reflectance(values: NDArray[np.float32]) -> float:
    """Median of the values that are not 0, which is often what stands where there is no data; 0 without any.

    >>> median_reflectance(np.array([0, 0, 0, 0.4, 0.6, 120], dtype=np.float32)).__round__(3)
    0.6
    """
    there = values[values != 0]
    # float64: the mean of the middle two could overflow float32
    return float(np.median(there.astype(np.float64))) if len(there) else 0.0


def _check_reflectance(
    values: NDArray[np.float32], lacking: NDArray[np.bool_], layer: Layer, name: str
) -> None:
    there = np.count_nonzero(values) - np.count_nonzero(lacking)  # NaN is not 0
    if 2 * np.count_nonzero(values > LARGEST_MEDIAN) < there:
        return  # counting is quicker than sorting
    median = median_reflectance(values[~lacking])
    if median > LARGEST_MEDIAN:
        raise holds_numbers(name, layer, f"{values.dtype}, median {median:g}")


def _flags(layer: Layer, window: Window, name: str, fill: int) -> NDArray[np.int64]:
    """Bits of a quality band; `fill` where a float is no number."""
    with open_raster(layer.path, name) as dataset:
        raw = dataset.read(layer.index, window=window)
    if raw.dtype.kind == "f":  # Earth Engine's exports turn the bits into floats where other bands are
        raw = np.where(np.isfinite(raw) & (raw >= 0) & (raw < 2**31), raw, fill)
    return raw.astype(np.int64)
