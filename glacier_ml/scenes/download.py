"""A catalog's scenes and their GLIMS outlines from Earth Engine, as scene folders and a catalog of them."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.errors import CRSError, RasterioError
from rasterio.transform import array_bounds
from rasterio.warp import transform_bounds

from glacier_ml.errors import GlacierError
from glacier_ml.scenes.catalog import CATALOG_NAME
from glacier_ml.scenes.earthengine import Client, EarthEngine
from glacier_ml.scenes.entries import read_entries
from glacier_ml.scenes.exports import TAGS
from glacier_ml.scenes.landsat.names import SENSOR_BANDS, sensors_in
from glacier_ml.scenes.rasters import grid_of, open_raster, write_raster
from glacier_ml.scenes.reading import Bounds, window_of
from glacier_ml.scenes.scene import Grid
from glacier_ml.scenes.sources import LARGEST_SCENE, grid_window, strips, whole

QUALITY_FILL = {"QA_PIXEL": 1, "QA_RADSAT": 0}
"""Quality bands and their value where the image is masked: bit 0 of QA_PIXEL is fill, of QA_RADSAT band 1."""

_IMAGE = re.compile(
    r"LANDSAT/(?P<mission>L[TEC]0[45789])/C0[12]/(?P<tier>T1|T2|T1_RT)_TOA/"
    r"(?P<scene>(?P=mission)_\d{6}_\d{8})"
)
_MASKED = -9999.0  # far from any reflectance
_REQUEST = 4_000_000  # pixels; 32 MB as float64, and Earth Engine allows 48 MB a request
_PROPERTIES = {
    "scene_id": "LANDSAT_SCENE_ID",
    "product_id": "LANDSAT_PRODUCT_ID",
    "spacecraft": "SPACECRAFT_ID",
    "date": "DATE_ACQUIRED",
    "sun_elevation_deg": "SUN_ELEVATION",
    "earth_sun_distance": "EARTH_SUN_DISTANCE",
}
_OUTLINES = "outlines.gpkg"
_HEADER = "# Scenes from Earth Engine, bounds in degrees (west, south, east, north).\n"


def download(
    catalog: str | Path, output: str | Path, outlines: bool = True, project: str | None = None,
    client: Client | None = None,
) -> list[Path]:  # fmt: skip
    """Download a catalog's Earth Engine images and the GLIMS outlines of their places.

    Parameters
    ----------
    catalog : str or pathlib.Path
        A catalog's file or the folder that holds it. Its scenes with `earth_engine_id`, an image of a
        collection `..._TOA`, are downloaded: the part inside `bounds`, or all. Their files need not be there.
    output : str or pathlib.Path
        Gets `catalog.yaml` and for each scene a folder of its name: reflectance on the image's own grid, not
        resampled, quality bands and `outlines.gpkg`. Scenes that are there are kept.
    outlines : bool
        Whether to download outlines, too; scenes of role 'unseen' get none.
    project, client : str and Client, optional
        Google Cloud project, default the one of `earthengine set_project`; a stand-in for Earth Engine.

    Returns
    -------
    list of pathlib.Path
        The scene folders, in the catalog's order.

    Raises
    ------
    GlacierError
        Where a catalog or folder breaks a rule or Earth Engine refuses. Nothing is left half-written.
    """
    source, folder = Path(catalog).expanduser(), Path(output).expanduser()
    entries = _wanted(source / CATALOG_NAME if source.is_dir() else source, folder)
    for entry in entries:
        made = folder / entry["name"]
        drawn = outlines and entry["role"] != "unseen" and not (made / _OUTLINES).exists()
        if drawn or not made.exists():
            client = client or EarthEngine(project)
        _complete(entry, made, drawn, client)
    _write_catalog(folder, entries)
    return [folder / entry["name"] for entry in entries]


def _complete(entry: dict[str, Any], made: Path, drawn: bool, client: Client | None) -> None:
    """Download what a scene lacks; without a client it lacks nothing."""
    if client is None or (made.exists() and not drawn):
        print(f"{entry['name']}: is there and kept", file=sys.stderr)
        return
    if not made.exists():
        _download_scene(entry, made, client)
    if drawn:
        _download_outlines(made, client)


def successor(image_id: str, where: str) -> str:
    """Id of an image of top-of-atmosphere reflectance in Collection 2, from its id there or in Collection 1.

    Raises
    ------
    GlacierError
        Where the id is none of such an image.

    Examples
    --------
    >>> successor("LANDSAT/LT05/C01/T1_TOA/LT05_066017_20070917", "columbia-2007")
    'LANDSAT/LT05/C02/T1_TOA/LT05_066017_20070917'
    """
    match = _IMAGE.fullmatch(image_id)
    if match is None:
        raise GlacierError(
            f"{where}: earth_engine_id {image_id!r} is no Landsat image of top-of-atmosphere reflectance; "
            "give one such as LANDSAT/LT05/C02/T1_TOA/LT05_066017_20070917"
        )
    return f"LANDSAT/{match['mission']}/C02/{match['tier']}_TOA/{match['scene']}"


def _wanted(source: Path, folder: Path) -> list[dict[str, Any]]:
    """The catalog's entries that can be downloaded into the folder."""
    if not source.is_file():
        raise GlacierError(
            f"data: {source} is not there; give a catalog whose scenes have an earth_engine_id and bounds"
        )
    entries = [
        _renewed(entry) for entry in read_entries(source, existing=False) if "earth_engine_id" in entry
    ]
    if not entries:
        raise GlacierError(f"{source}: no scene has an earth_engine_id; add one to those to download")
    _check_output(folder, source, entries)
    return entries


def _renewed(entry: dict[str, Any]) -> dict[str, Any]:
    """Entry with the id of Collection 2 and without what the downloaded scene tells better."""
    name, given = entry["name"], entry["earth_engine_id"]
    image_id = successor(given, name)
    if image_id != given:
        print(f"{name}: Collection 1 is no more; {image_id} instead of {given}", file=sys.stderr)
    if "date_bands" in entry:
        print(f"{name}: all bands of an image are of one day; date_bands is left out", file=sys.stderr)
    kept = {key: entry[key] for key in ("name", "place", "region", "role", "bounds") if key in entry}
    return kept | {"earth_engine_id": image_id, "sensor": sensors_in(image_id).pop()}


def _check_output(folder: Path, source: Path, entries: list[dict[str, Any]]) -> None:
    """Refuse a folder whose catalog or scenes would be lost or be taken for others."""
    listed = folder / CATALOG_NAME
    if listed.exists():
        names = {entry["name"] for entry in read_entries(listed, existing=False)}
        others = sorted(names - {entry["name"] for entry in entries})
        if others or listed.resolve() == source.resolve():
            what = f"lists other scenes ({', '.join(others)})" if others else "is the catalog itself"
            raise GlacierError(f"{listed}: {what} and would be replaced; choose another output folder")
    for entry in entries:
        made = folder / entry["name"]
        if made.exists():
            tags = _tags(made)
            if tags.get("SOURCE") != entry["earth_engine_id"] or tags.get("BOUNDS") != _bounds_text(entry):
                raise GlacierError(
                    f"{entry['name']}: {made} is there and no download of {entry['earth_engine_id']} "
                    "within the catalog's bounds; move it away or choose another output folder"
                )


def _bounds_text(entry: dict[str, Any]) -> str:
    return ",".join(f"{one:g}" for one in entry["bounds"]) if "bounds" in entry else "all"


def _tags(made: Path) -> dict[str, str]:
    """Tags of a downloaded scene; none of a folder that is something else."""
    first = next(iter(sorted(made.glob("*.tif"))), None)
    if first is None:
        return {}
    with open_raster(first, made.name) as dataset:
        return dict(dataset.tags())


@contextmanager
def _appearing(path: Path) -> Iterator[Path]:
    """A hidden path beside `path` that becomes it at the end, or vanishes: on an error and on Ctrl-C."""
    partial = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            yield partial
            partial.replace(path)
        finally:
            if partial.is_dir():
                shutil.rmtree(partial, ignore_errors=True)
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise GlacierError(f"{path}: cannot be written ({error}); choose another folder") from error


def _download_scene(entry: dict[str, Any], made: Path, client: Client) -> None:
    from tqdm import tqdm

    name, image_id = entry["name"], entry["earth_engine_id"]
    info = client.image_info(image_id, name)
    grid, quality = _grid(info, entry)
    bands = {name: f"B{number}" for number, name in SENSOR_BANDS[entry["sensor"]].items()}
    tags = _scene_tags(info, entry)
    windows = list(strips(whole(grid), max(1, _REQUEST // grid.shape[1])))
    with (
        _appearing(made) as partial,
        tqdm(total=len(windows) * (len(bands) + len(quality)), desc=name, unit="request") as bar,
    ):

        def fetch(band: str, fill: float) -> NDArray[Any]:
            parts = []
            for strip in windows:
                part = client.pixels(image_id, band, grid_window(grid, strip), fill, name)
                if part.shape != (strip.height, strip.width):
                    raise GlacierError(f"{name}: Earth Engine gave {part.shape} pixels of {band}; try again")
                parts.append(part)
                bar.update(1)
            return np.concatenate(parts)

        for band, label in bands.items():
            values = fetch(label, _MASKED).astype(np.float32)
            values[~np.isfinite(values) | (values == _MASKED)] = np.nan
            if np.isnan(values).all():
                raise GlacierError(
                    f"{name}: {image_id} has no data within the bounds; correct bounds or image"
                )
            write_raster(partial / f"{band}.tif", values, grid, float("nan"), tags, band)
        for label in quality:
            bits = fetch(label, QUALITY_FILL[label]).astype(np.uint16)
            write_raster(partial / f"{label}.tif", bits, grid, None, tags, label)


def _grid(info: dict[str, Any], entry: dict[str, Any]) -> tuple[Grid, list[str]]:
    """Grid of the pixels to download, and the quality bands that the image has."""
    name = entry["name"]
    try:
        bands = {band["id"]: band for band in info["bands"]}
        lacking = [f"B{number}" for number in SENSOR_BANDS[entry["sensor"]] if f"B{number}" not in bands]
        if lacking:
            raise GlacierError(f"{name}: the image has no {', '.join(lacking)}; choose another")
        first = bands[f"B{next(iter(SENSOR_BANDS[entry['sensor']]))}"]
        width, height = (int(one) for one in first["dimensions"])
        grid = Grid(CRS.from_user_input(first["crs"]), Affine(*first["crs_transform"]), (height, width))
        transform = grid.transform
        upright = (
            np.isfinite(transform).all() and transform.b == transform.d == 0 != transform.a * transform.e
        )
        if min(width, height) < 1 or width * height > LARGEST_SCENE or not upright:
            raise ValueError(f"{height} x {width} pixels, {tuple(transform)[:6]}")
    except (KeyError, TypeError, ValueError, ArithmeticError, CRSError) as error:
        raise GlacierError(
            f"{name}: Earth Engine tells no grid of the image ({error!r}); choose another"
        ) from error
    if "bounds" in entry:
        grid = grid_window(grid, window_of(grid, entry["bounds"], name))
    return grid, [label for label in QUALITY_FILL if label in bands]


def _scene_tags(info: dict[str, Any], entry: dict[str, Any]) -> dict[str, str]:
    """Tags of the scene's files, from the image's properties; those that importing writes, and the bounds."""
    properties = info.get("properties") or {}
    known = {key: properties.get(told) for key, told in _PROPERTIES.items()}
    known |= {"sensor": entry["sensor"], "collection": "C2", "level": 1, "quantity": "toa_reflectance"}
    known |= {"method": "as given", "source": entry["earth_engine_id"]}
    tags = {TAGS[key]: str(value) for key, value in known.items() if value is not None}
    return tags | {"BOUNDS": _bounds_text(entry)}


def _download_outlines(made: Path, client: Client) -> None:
    """GLIMS outlines of all days that touch the scene, with all their columns, in degrees."""
    import geopandas
    from pyogrio.errors import DataLayerError, DataSourceError

    with open_raster(next(iter(sorted(made.glob("*.tif")))), made.name) as dataset:
        bounds = _degrees(grid_of(dataset, made.name), made.name)
    features = client.outlines(bounds, made.name)
    frame = geopandas.GeoDataFrame.from_features(features, crs="EPSG:4326") if features else None
    if frame is not None:
        shapes = [_polygons(shape) for shape in frame.geometry]
        drawn = [shape is not None and not shape.is_empty for shape in shapes]
        frame = frame.set_geometry(shapes, crs="EPSG:4326")[drawn]
    if frame is None or frame.empty:
        raise GlacierError(
            f"{made.name}: GLIMS has no outline there; set role: unseen, correct the bounds or leave them out"
        )
    with _appearing(made / _OUTLINES) as partial:
        try:
            frame.to_file(partial, layer="outlines", driver="GPKG", engine="pyogrio")
        except (DataSourceError, DataLayerError) as error:
            raise OSError(str(error)) from error


def _degrees(grid: Grid, name: str) -> Bounds:
    try:
        corners = array_bounds(*grid.shape, grid.transform)
        west, south, east, north = transform_bounds(grid.crs, "EPSG:4326", *corners, densify_pts=21)
    except (RasterioError, ValueError) as error:
        raise GlacierError(f"{name}: its place in degrees cannot be told ({error})") from error
    return west, south, east, north


def _polygons(shape: Any) -> Any:
    """Polygons of a geometry: Earth Engine adds the lines that some outlines degenerate into."""
    import shapely

    if shape is None or shape.geom_type in ("Polygon", "MultiPolygon"):
        return shape
    return shapely.MultiPolygon([part for part in shapely.get_parts(shape) if part.geom_type == "Polygon"])


def _write_catalog(folder: Path, entries: list[dict[str, Any]]) -> None:
    """Catalog of the downloaded scenes; their days are the images'."""
    scenes = []
    for entry in entries:
        date = _tags(folder / entry["name"]).get(TAGS["date"])
        values = {"name": entry["name"], "path": entry["name"]} | entry | ({"date": date} if date else {})
        scenes.append(values | ({"bounds": list(entry["bounds"])} if "bounds" in entry else {}))
    text = _HEADER + yaml.safe_dump({"scenes": scenes}, sort_keys=False, allow_unicode=True)
    with _appearing(folder / CATALOG_NAME) as partial:
        partial.write_text(text, encoding="utf-8")
