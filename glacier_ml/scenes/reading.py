"""Scenes from whatever people have: folders, GeoTIFFs, Landsat bundles, STAC Items; and back to files.

All but bundles may lie at an address: on the web, or in an object store.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote

from rasterio.errors import RasterioError
from rasterio.transform import array_bounds, rowcol
from rasterio.warp import transform_bounds
from rasterio.windows import Window

from glacier_ml.errors import GlacierError
from glacier_ml.scenes.addresses import address_named, file_of, is_address, local_path, shown, whole_address
from glacier_ml.scenes.exports import TAGS, grid_of_export, holds_export, open_export
from glacier_ml.scenes.landsat.bundles import is_bundle, open_bundle
from glacier_ml.scenes.landsat.names import sensor_named
from glacier_ml.scenes.landsat.quality import encode_quality
from glacier_ml.scenes.outlines import names_outlines
from glacier_ml.scenes.rasters import lies_on_earth, write_raster
from glacier_ml.scenes.scene import Grid, Scene
from glacier_ml.scenes.sources import Source, whole
from glacier_ml.scenes.stac import is_item, open_item

Bounds = tuple[float, float, float, float]
"""West, south, east, north in degrees (WGS 84); west is the larger where they span the 180th meridian."""

_ARCHIVES = (".tar.gz", ".tgz", ".tar", ".zip")


def open_scene(
    path: str | Path, name: str | None = None, sensor: str | None = None, method: str | None = None,
    bounds: Bounds | None = None, drop: tuple[str, ...] = (),
) -> Scene:  # fmt: skip
    """Read a scene of reflectance.

    Parameters
    ----------
    path : str or pathlib.Path
        A folder with one GeoTIFF a band (`blue`, `green`, ..., `swir1` or `swir`, or ending in B1, B2, ...),
        one GeoTIFF of bands described so, a Landsat bundle with its MTL (folder, `.tar`, `.tar.gz`, `.zip`)
        or a STAC Item (`.json`). Thermal bands are left out. Or the address of a GeoTIFF (ending in `.tif`),
        of a folder of `<band>.tif` (on the web ending in a slash) or of a STAC Item (http, https), which is
        read by windows: see `addresses.kind_of`.
    name, sensor, method : str, optional
        See `open_source`.
    bounds : tuple of float, optional
        West, south, east, north in degrees: only this is read.
    drop : tuple of str
        Quality masks whose pixels become invalid. By default none: Landsat's cloud mask takes ice for cloud.

    Returns
    -------
    Scene
        float32 bands, NaN where the file has nodata, NaN or an infinity; valid where every band has data.

    Raises
    ------
    GlacierError
        As `open_source`, and where no pixel has data in every band or the bounds miss it.
    """
    with open_source(path, name, sensor, method) as source:
        scene = source.read(window_of(source.grid, bounds, source.name), drop)
    if not scene.valid.any():
        bands = ", ".join(scene.bands)
        raise GlacierError(
            f"{scene.name}: no pixel has data in every band ({bands}); check the files' nodata"
        )
    return scene


@contextmanager
def open_source(
    path: str | Path, name: str | None = None, sensor: str | None = None, method: str | None = None
) -> Iterator[Source]:
    """Open a scene without reading it.

    Parameters
    ----------
    path : str or pathlib.Path
        See `open_scene`.
    name : str, optional
        Default the scene's id, where files tell it, else its folder's or file's name.
    sensor : str, optional
        What band numbers mean: 'TM', 'ETM+', 'OLI'; else MTL, tags, file names and the folder's are asked.
    method : str, optional
        From DN to reflectance: 'mtl' (default where the MTL has the keys) or 'chander' (Chander et al. 2009).

    Yields
    ------
    Source
        To be read inside the block: what an archive was unpacked to is gone afterwards.

    Raises
    ------
    GlacierError
        Where there is no band, a band number could mean two, grids differ, the georeference is missing or the
        values are DN without an MTL; where an address cannot be read, or not for whoever asks.
    """
    if _names_item(path, name or "scene"):
        yield _of_sensor(open_item(str(path), name, method), sensor)
        return
    place = str(path) if is_address(whole_address(str(path))) else local_path(path, name or "scene")
    if isinstance(place, Path) and is_bundle(place):
        with open_bundle(place, name, method) as source:
            yield _of_sensor(source, sensor)
        return
    name = name or scene_name(place)
    if method is not None:
        raise GlacierError(f"{name}: method {method} needs an MTL file, and there is none; leave it out")
    yield open_export(place, name, sensor)


def _names_item(path: str | Path, where: str) -> bool:
    """Whether a STAC Item is named, or another JSON, which is told then that it is none."""
    address = address_named(str(path), where)
    if address is None:
        return is_item(str(path)) or str(path).lower().endswith(".json")
    if file_of(address).lower().endswith((*_ARCHIVES, ".vrt", ".yaml", ".yml")):
        raise GlacierError(
            f"{where}: {shown(address)} is not read from the web, as a GeoTIFF, a scene folder and a STAC "
            "Item are; download it"
        )
    return is_item(str(path))


def _of_sensor(source: Source, said: str | None) -> Source:
    """Give the source back, unless its metadata name another sensor than the user."""
    told = source.provenance.get("sensor")
    if said and told and sensor_named(said, source.name) != told:
        raise GlacierError(
            f"{source.name}: sensor {said} is named for it, and its metadata say {told}; leave the sensor out"
        )
    return source


def window_of(grid: Grid, bounds: Bounds | None, name: str) -> Window:
    """Smallest window of a grid's whole pixels that covers the bounds, as far as they overlap; all without.

    Raises
    ------
    GlacierError
        Where the bounds are none or miss the scene.
    """
    if bounds is None:
        return whole(grid)
    west, south, east, north = bounds
    inside = -180 <= west <= 180 and -180 <= east <= 180 and -90 <= south < north <= 90
    if not inside or west == east or not all(map(math.isfinite, bounds)):
        raise GlacierError(
            f"{name}: bounds {','.join(f'{one:g}' for one in bounds)} are not west,south,east,north "
            "in degrees; correct them"
        )
    if not lies_on_earth(grid.crs):
        raise GlacierError(f"{name}: its CRS does not say where on Earth it lies; leave bounds out")
    try:
        left, bottom, right, top = transform_bounds("EPSG:4326", grid.crs, *bounds, densify_pts=21)
        rows, columns = rowcol(
            grid.transform, [left, right, left, right], [top, bottom, bottom, top], op=lambda value: value
        )
    except (RasterioError, ValueError, OverflowError) as error:
        raise GlacierError(f"{name}: bounds cannot be told on its grid ({error}); correct them") from error
    height, width = grid.shape
    first = [max(0, math.floor(min(one) + 1e-6)) for one in (rows, columns)]
    last = [min(end, math.ceil(max(one) - 1e-6)) for one, end in ((rows, height), (columns, width))]
    if first[0] >= last[0] or first[1] >= last[1]:
        lies = transform_bounds(grid.crs, "EPSG:4326", *array_bounds(height, width, grid.transform))
        raise GlacierError(
            f"{name}: bounds miss the scene, which lies at {','.join(f'{one:.3f}' for one in lies)}; "
            "give west,south,east,north in degrees"
        )
    return Window(first[1], first[0], last[1] - first[1], last[0] - first[0])


def scene_name(path: Path | str) -> str:
    """Name of a scene that nobody named: its folder's, or its file's without the suffix.

    A text is an address.

    Examples
    --------
    >>> scene_name(Path("shelf/LT05_L1TP_066017_20070917_20200829_02_T1.tar.gz"))
    'LT05_L1TP_066017_20070917_20200829_02_T1'
    >>> scene_name("https://example.org/LT05%20small.tif?sig=secret")
    'LT05_small'
    """
    if isinstance(path, str):
        return _name_at(path)
    if path.is_dir():
        return path.resolve().name
    suffix = next((suffix for suffix in _ARCHIVES if path.name.lower().endswith(suffix)), path.suffix)
    return path.name.removesuffix(path.name[len(path.name) - len(suffix) :] if suffix else "")


def _name_at(address: str) -> str:
    """Name by an address; files will be called so."""
    plain = re.sub(r"[^\w.-]+", "_", unquote(file_of(address)), flags=re.ASCII).lstrip("._-")
    return re.sub(r"\.(?:tiff?|(?:geo)?json)$", "", plain, flags=re.IGNORECASE)[:100] or "scene"


def scene_grid(path: Path, name: str) -> Grid:
    """Grid of a scene, from headers alone.

    Raises
    ------
    GlacierError
        Where there is no band or no georeference.
    """
    if is_bundle(path) or is_item(str(path)):
        with open_source(path, name) as source:
            return source.grid
    return grid_of_export(path, name)


def holds_scene(path: Path) -> bool:
    """Whether a path looks like a scene: band files, a GeoTIFF of several bands, a bundle or a STAC Item.

    Raises
    ------
    GlacierError
        Where a lone GeoTIFF cannot be read.
    """
    if names_outlines(path) and path.is_file():
        return False
    return is_bundle(path) or is_item(str(path)) or holds_export(path)


def write_scene(scene: Scene, folder: Path) -> None:
    """Write a scene as a folder with one float32 GeoTIFF a band, NaN = no data.

    Parameters
    ----------
    scene : Scene
        What its provenance knows of date, sensor and sun becomes tags of each file; its quality masks become
        `quality.tif`.
    folder : pathlib.Path
        Made where it is missing; band files in it are replaced.

    Raises
    ------
    GlacierError
        Where the folder cannot be written.
    """
    told = {tag: scene.provenance.get(key) for key, tag in TAGS.items() if key != "source"}
    told["MASKS"] = ",".join(scene.quality) or None
    tags = {tag: str(value) for tag, value in told.items() if value is not None}
    for band, values in scene.bands.items():
        write_raster(Path(folder) / f"{band}.tif", values, scene.grid, float("nan"), tags, band)
    if scene.quality:
        flags = encode_quality(scene.quality, scene.shape)
        write_raster(Path(folder) / "quality.tif", flags, scene.grid, tags=tags, band="quality")
