"""Maps to take away: probability and mask as Cloud Optimized GeoTIFFs, a preview, the glacier area."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import rasterio
from numpy.typing import NDArray
from pyproj import CRS, Geod, Transformer

from glacier_ml.errors import GlacierError
from glacier_ml.evaluation.figures import preview
from glacier_ml.scenes.addresses import local_path
from glacier_ml.scenes.rasters import GDAL_ERRORS, check_written, software
from glacier_ml.scenes.scene import Grid, Scene

Encoding = Literal["float32", "uint8"]
NO_DATA = 255
"""Value without data of the mask and of the uint8 probability."""

COLOURS = {0: (0, 0, 0, 0), 1: (86, 180, 233, 255), NO_DATA: (217, 217, 217, 255)}
PERCENT = 100
_BLOCK = 256  # px, so that even scenes of 300 px get an overview
_NODE_SPACING = 64  # px between the nodes at which the area of a pixel is computed


@dataclass(frozen=True)
class MapFiles:
    """What `write_map` wrote.

    Attributes
    ----------
    probability, mask : Path
        Cloud Optimized GeoTIFFs on the scene's grid.
    preview : Path or None
        PNG, where one was asked for.
    area_km2 : float
        Glacier area on the ellipsoid.
    """

    probability: Path
    mask: Path
    preview: Path | None
    area_km2: float


def write_map(
    scene: Scene,
    probability: NDArray[np.float32],
    threshold: float,
    output: str | Path,
    tags: Mapping[str, Any] | None = None,
    encoding: Encoding = "float32",
    picture: bool = True,
) -> MapFiles:
    """Write a scene's map into a folder, made where missing; files of the same scene are replaced.

    Parameters
    ----------
    scene, probability, threshold, output
        What was mapped; float32 (rows, columns), NaN without a value; glacier at or above; the folder.
    tags : mapping, optional
        Of both rasters beside scene, digest, threshold and software: model, run id ...
    encoding : {'float32', 'uint8'}
        'uint8' stores percent (scale 0.01, 255 without data): a quarter of the size.
    picture : bool
        Whether to draw the preview.

    Raises
    ------
    GlacierError
        Where the probability is not on the scene's grid or the folder cannot be written.
    """
    shown = _shown(scene, probability)
    glacier = shown & (probability >= threshold)
    mask = np.where(shown, glacier, NO_DATA).astype(np.uint8)
    files = _files(Path(output), scene.name, picture, area_km2(glacier, scene.grid))
    written = _tags(scene, threshold, files.area_km2, tags or {})
    with staged(Path(output)) as partial:
        values, layer = _encoded(probability, shown, encoding)
        _write_cog(partial / files.probability.name, values, scene.grid, layer, written)
        _write_cog(partial / files.mask.name, mask, scene.grid, _MASK, written)
        if files.preview:
            preview(scene, probability, threshold).savefig(partial / files.preview.name)
    return files


def _files(folder: Path, name: str, picture: bool, area: float) -> MapFiles:
    stem = folder / file_stem(name)
    probability, mask, drawn = (
        Path(f"{stem}_{end}") for end in ("probability.tif", "mask.tif", "preview.png")
    )
    return MapFiles(probability, mask, drawn if picture else None, area)


def check_folder(folder: Path) -> None:
    """Refuse an output folder that could not be written, before any work; makes nothing.

    Raises
    ------
    GlacierError
        Where a file stands in its place, or in that of a folder above it, or writing is not allowed.
    """
    local_path(folder, "output")
    nearest = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    if not nearest.is_dir():
        reason = f"{nearest} is a file"
    elif not os.access(nearest, os.W_OK | os.X_OK):
        reason = f"{nearest} is not yours to write to"
    else:
        return
    raise GlacierError(f"{folder}: the output folder cannot be written ({reason}); choose another")


@contextmanager
def staged(folder: Path) -> Iterator[Path]:
    """Hand out a temporary folder; when the block ends well, move its files into `folder`, else drop them.

    Raises
    ------
    GlacierError
        Where the folder cannot be made or written.
    """
    partial = None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=".partial-", dir=folder))
        yield partial
        for file in sorted(partial.iterdir()):
            os.replace(file, folder / file.name)
    except OSError as error:
        reason = error.strerror or error
        message = f"{folder}: the output folder cannot be written ({reason}); choose another"
        raise GlacierError(message) from error
    finally:
        if partial is not None:
            shutil.rmtree(partial, ignore_errors=True)


def file_stem(name: str) -> str:
    """Name of a scene as the start of a file name.

    Examples
    --------
    >>> file_stem("columbia-2009"), file_stem("alaska/west 3")
    ('columbia-2009', 'alaska_west_3')
    """
    return re.sub(r"[^\w.-]+", "_", name).lstrip(".") or "scene"


def _shown(scene: Scene, probability: NDArray[np.float32]) -> NDArray[np.bool_]:
    if probability.shape != scene.shape:
        raise GlacierError(
            f"{scene.name}: the probability has shape {probability.shape}, the scene {scene.shape}; "
            "map the scene on its own grid"
        )
    return scene.valid & np.isfinite(probability)


def _tags(scene: Scene, threshold: float, area: float, given: Mapping[str, Any]) -> dict[str, str]:
    tags = {
        "TIFFTAG_SOFTWARE": software(),
        "software": software(),
        "scene": scene.name,
        "scene_digest": scene.digest,
        "threshold": f"{threshold:g}",
        "glacier_area_km2": f"{area:.4f}",
    }
    if date := scene.provenance.get("date"):
        tags["scene_date"] = str(date)
    return {**tags, **{key: str(value) for key, value in given.items()}}


@dataclass(frozen=True)
class _Layer:
    """How one raster is stored."""

    nodata: float
    resampling: str
    scale: float = 1.0
    colours: dict[int, tuple[int, int, int, int]] | None = None


_MASK = _Layer(NO_DATA, "mode", colours=COLOURS)


def _encoded(
    probability: NDArray[np.float32], shown: NDArray[np.bool_], encoding: Encoding
) -> tuple[NDArray[Any], _Layer]:
    if encoding == "float32":
        return np.where(shown, probability, np.nan).astype(np.float32), _Layer(np.nan, "average")
    if encoding == "uint8":
        percent = np.rint(PERCENT * np.where(shown, probability, 0))
        return np.where(shown, percent, NO_DATA).astype(np.uint8), _Layer(NO_DATA, "average", 1 / PERCENT)
    raise GlacierError(f"encoding: '{encoding}' is not known; choose float32 or uint8")


def _write_cog(path: Path, values: NDArray[Any], grid: Grid, layer: _Layer, tags: Mapping[str, str]) -> None:
    """Write one band as a Cloud Optimized GeoTIFF, and read it back."""
    try:
        _cog(path, values, grid, layer, tags)
    except GDAL_ERRORS as error:
        raise OSError(f"{path.name}: {error}; the disk may be full") from error
    check_written(path, values)


def _cog(path: Path, values: NDArray[Any], grid: Grid, layer: _Layer, tags: Mapping[str, str]) -> None:
    """GDAL's COG driver makes tiles and overviews."""
    with rasterio.open(
        path,
        "w",
        driver="COG",
        height=values.shape[0],
        width=values.shape[1],
        count=1,
        dtype=values.dtype,
        crs=grid.crs,
        transform=grid.transform,
        nodata=layer.nodata,
        blocksize=_BLOCK,
        compress="deflate",
        predictor="yes",
        overview_resampling=layer.resampling,
    ) as raster:
        raster.write(values, 1)
        raster.set_band_description(1, path.stem.rsplit("_", 1)[-1])
        raster.update_tags(**tags)
        if layer.scale != 1:
            raster.scales = (layer.scale,)
        if layer.colours:
            raster.write_colormap(1, layer.colours)


def area_km2(mask: NDArray[np.bool_], grid: Grid) -> float:
    """Area of a mask on the ellipsoid, whatever the grid's projection.

    Parameters
    ----------
    mask : ndarray of bool
        (rows, columns) on the grid.
    grid : Grid
        Projected or geographic.

    Returns
    -------
    float
        Square kilometres; see `pixel_areas` for the method.
    """
    rows, columns, areas = pixel_areas(grid)
    across = _weights(grid.shape[1], columns)
    down = _weights(grid.shape[0], rows)
    total = 0.0
    for start in range(0, grid.shape[0], 512):  # strips bound the memory of a whole frame
        strip = mask[start : start + 512].astype(np.float64)
        total += float((down[start : start + 512].T @ strip @ across * areas).sum())
    return total / 1e6


def pixel_areas(grid: Grid) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Compute the true area of the pixels at a mesh of nodes, about every 64th pixel and the edges.

    The Jacobian of (column, row) to (longitude, latitude), by central differences over one pixel, times
    the ellipsoid's area of a square radian, M N cos(latitude), with M and N the radii of curvature in
    meridian and prime vertical. Between the nodes the area is linear to better than 1e-4 for pixels of up
    to 0.01 degrees.

    Parameters
    ----------
    grid : Grid

    Returns
    -------
    rows, columns : ndarray
        Positions of the nodes [px].
    areas : ndarray
        (rows, columns) area of one pixel [m2].
    """
    rows, columns = (_nodes(length) for length in grid.shape)
    row, column = np.meshgrid(rows + 0.5, columns + 0.5, indexing="ij")
    shifts = {"right": (0, 0.5), "left": (0, -0.5), "lower": (0.5, 0), "upper": (-0.5, 0)}
    crs = CRS.from_wkt(grid.crs.to_wkt())
    geodetic = crs.geodetic_crs or crs
    transformer = Transformer.from_crs(crs, geodetic, always_xy=True)
    places = {}
    for name, (down, right) in shifts.items():
        places[name] = np.stack(transformer.transform(*(grid.transform @ (column + right, row + down))))
    by_column, by_row = places["right"] - places["left"], places["lower"] - places["upper"]
    for step in (by_column, by_row):
        step[0] = (step[0] + 180) % 360 - 180  # across the date line
    square_degrees = np.abs(by_column[0] * by_row[1] - by_column[1] * by_row[0])
    latitude = (places["upper"][1] + places["lower"][1]) / 2
    return rows, columns, square_degrees * _square_degree(latitude, geodetic.get_geod())


def _square_degree(latitude: NDArray[np.float64], geod: Geod) -> NDArray[np.float64]:
    """Area of a square degree at a latitude [m2]: M N cos(latitude), M N = a^2 (1 - e^2) / w^4."""
    radians = np.radians(latitude)
    w_squared = 1 - geod.es * np.sin(radians) ** 2
    return np.radians(1) ** 2 * geod.a**2 * (1 - geod.es) * np.cos(radians) / w_squared**2


def _nodes(length: int) -> NDArray[np.float64]:
    return np.linspace(0, length - 1, 1 + -(-(length - 1) // _NODE_SPACING))


def _weights(length: int, nodes: NDArray[np.float64]) -> NDArray[np.float64]:
    """(length, nodes) linear interpolation from the nodes to every pixel."""
    pixels = np.arange(length)
    return np.stack([np.interp(pixels, nodes, hat) for hat in np.eye(len(nodes))], axis=1)
