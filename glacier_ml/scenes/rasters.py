"""One band of a GeoTIFF and its grid, read and written whole."""

from __future__ import annotations

import os
import re
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio._err import CPLE_BaseError
from rasterio.crs import CRS
from rasterio.errors import NotGeoreferencedWarning, RasterioError

from glacier_ml.errors import GlacierError
from glacier_ml.scenes.addresses import file_of, is_address, shown, whole_address
from glacier_ml.scenes.remote import gdal_name, unread, web_settings
from glacier_ml.scenes.scene import Grid

GDAL_ERRORS = (RasterioError, CPLE_BaseError)
"""What GDAL raises; the second is what rasterio lets through where the disk is full."""

_OPENING = threading.Lock()  # what is done with warnings concerns all threads

_REMOTE = re.compile(r"/vsi|[a-z][a-z0-9]+://", re.IGNORECASE)


@contextmanager
def open_raster(path: str | Path, where: str) -> Iterator[Any]:
    """Open a raster for reading; whatever GDAL cannot read becomes a one-line error.

    Parameters
    ----------
    path : str or pathlib.Path
        The raster; a text may also be a URL or one of GDAL's /vsi... paths.
    where : str
        What the error begins with: a scene's name.

    Yields
    ------
    rasterio.DatasetReader

    Raises
    ------
    GlacierError
        Where the file is missing or damaged; at an address, `remote.UnfoundError` where it is not there or
        may not be read.
    """
    text = whole_address(str(path))
    if not _REMOTE.match(text) and not _is_file(text):
        raise GlacierError(f"{where}: {shown(text)} is not a file; give the path of a GeoTIFF")
    try:
        with _opened(text) as dataset:
            yield dataset
    except (RasterioError, UnicodeError) as error:  # the latter: a damaged name inside the file, or its own
        if is_address(text):
            raise unread(text, error, where) from error
        reason = " ".join(str(error.__cause__ or error).split())
        raise GlacierError(f"{where}: {shown(text)} cannot be read ({reason}); replace the file") from error


def lies_on_earth(crs: CRS) -> bool:
    """Whether a CRS says where on Earth its coordinates lie; that of a building site does not.

    Examples
    --------
    >>> lies_on_earth(CRS.from_epsg(32606)), lies_on_earth(CRS.from_wkt('LOCAL_CS["site",UNIT["metre",1]]'))
    (True, False)
    """
    return bool(crs.is_geographic or crs.is_projected)


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except (OSError, ValueError):  # a name that no file can have
        return False


@contextmanager
def _opened(text: str) -> Iterator[Any]:
    if not is_address(text):
        # What is called a GeoTIFF must be one: a VRT under that name could name other files.
        driver = "GTiff" if text.lower().endswith((".tif", ".tiff")) else None
        with _dataset(text, driver) as dataset:
            yield dataset
        return
    # GeoTIFF alone: a VRT from the web could name files of this machine.
    with rasterio.Env(**web_settings()), _dataset(gdal_name(text), "GTiff") as dataset:
        yield dataset


def _dataset(text: str, driver: str | None) -> Any:
    with _OPENING, warnings.catch_warnings():
        # grid_of tells the same, as an error and with the file's name.
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        return rasterio.open(text, driver=driver)


def grid_of(dataset: Any, where: str) -> Grid:
    """Grid of an open raster.

    Raises
    ------
    GlacierError
        Where the raster has no coordinate reference system or no geotransform.
    """
    if dataset.crs is None or dataset.transform.is_identity:
        lacking = "coordinate reference system" if dataset.crs is None else "geotransform"
        raise GlacierError(
            f"{where}: {file_of(dataset.name)} has no {lacking}, so its place is unknown; "
            "export it as a georeferenced GeoTIFF"
        )
    return Grid(dataset.crs, dataset.transform, (dataset.height, dataset.width))


def grid_difference(first: Grid, second: Grid) -> str | None:
    """How two grids differ, in words; None where they are one grid.

    Examples
    --------
    >>> from affine import Affine
    >>> from rasterio.crs import CRS
    >>> utm = CRS.from_epsg(32606)
    >>> near = Grid(utm, Affine(30, 0, 600000, 0, -30, 6700000), (20, 30))
    >>> grid_difference(near, Grid(utm, near.transform, (20, 31)))
    'shape (20, 30) against (20, 31)'
    >>> grid_difference(near, near) is None
    True
    """
    if first.shape != second.shape:
        return f"shape {first.shape} against {second.shape}"
    if first.crs != second.crs:
        return f"CRS {first.crs.to_string()} against {second.crs.to_string()}"
    # A thousandth of a pixel: beyond the rounding of any writer, within the accuracy of any map.
    tolerance = 1e-3 * abs(first.transform.determinant) ** 0.5
    corners = [(0, 0), (first.shape[1], 0), (0, first.shape[0])]
    for corner in corners:
        offset = np.subtract(first.transform @ corner, second.transform @ corner)
        if np.abs(offset).max() > tolerance:
            return f"transform {first.transform.to_gdal()} against {second.transform.to_gdal()}"
    return None


def write_raster(
    path: Path,
    values: NDArray[Any],
    grid: Grid,
    nodata: float | None = None,
    tags: Mapping[str, str] | None = None,
    band: str | None = None,
) -> Path:
    """Write one band as a tiled, deflated GeoTIFF; the file appears whole or not at all.

    Parameters
    ----------
    path : pathlib.Path
        Where to; folders on the way are made.
    values : ndarray
        (rows, columns) of `grid`, of the type that the file shall have; booleans become 0 and 1.
    nodata : float, optional
        The value of pixels without data.
    tags, band : mapping of str to str and str, optional
        Metadata of the file, name of the band.

    Raises
    ------
    GlacierError
        Where the shape is not the grid's or the folder cannot be written.
    """
    if values.shape != grid.shape:
        raise GlacierError(f"{path}: values of shape {values.shape} do not fit the grid's {grid.shape}")
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            _write(partial, values, grid, nodata, tags or {}, band)
            check_written(partial, values)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    except (OSError, *GDAL_ERRORS, UnicodeError) as error:
        raise GlacierError(f"{path}: cannot be written ({error}); choose another folder") from error
    return path


def software() -> str:
    """Name and version of this package, for the tags of what it writes."""
    try:
        return f"glacier_ml {version('glacier_ml')}"
    except PackageNotFoundError:  # run from a packaged model or a source tree
        return "glacier_ml"


def check_written(path: Path, values: NDArray[Any]) -> None:
    """Read a file back: GDAL keeps quiet where the disk is full when it closes one.

    Raises
    ------
    OSError
        Where the file's first band does not hold the values.
    """
    try:
        with rasterio.open(path) as dataset:
            same = np.array_equal(dataset.read(1), values, equal_nan=values.dtype.kind == "f")
    except RasterioError:
        same = False
    if not same:
        raise OSError("it is not what was written; the disk may be full")


def _write(
    path: Path,
    values: NDArray[Any],
    grid: Grid,
    nodata: float | None,
    tags: Mapping[str, str],
    band: str | None,
) -> None:
    values = values.astype(np.uint8) if values.dtype == np.bool_ else values
    profile = {
        "driver": "GTiff",
        "height": grid.shape[0],
        "width": grid.shape[1],
        "count": 1,
        "dtype": values.dtype,
        "crs": grid.crs,
        "transform": grid.transform,
        "nodata": nodata,
        "compress": "deflate",
        "predictor": 3 if values.dtype.kind == "f" else 2,
        "tiled": True,
        "blockxsize": 256,
        "blockysize": 256,
    }
    with rasterio.open(path, "w", **profile) as dataset:
        dataset.write(values, 1)
        dataset.update_tags(**tags)
        if band:
            dataset.set_band_description(1, band)
