"""Glacier outlines, drawn as polygons or already rasterised, as a mask on a scene's grid."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.features import rasterize
from rasterio.transform import array_bounds
from rasterio.warp import reproject, transform_bounds

from glacier_ml.errors import GlacierError
from glacier_ml.scenes.rasters import grid_of, open_raster
from glacier_ml.scenes.scene import Grid

VECTORS = (".gpkg", ".shp", ".geojson", ".json", ".fgb")
RASTERS = (".tif", ".tiff")
_NAME = re.compile(r"(glims|rgi|outline|glacier_?outline)", re.IGNORECASE)


def names_outlines(file: Path) -> bool:
    """Whether a file's name says that it holds outlines: `glims...`, `rgi...`, `outlines...`.

    Examples
    --------
    >>> names_outlines(Path("glimsRast.tif")), names_outlines(Path("blue.tif"))
    (True, False)
    """
    return file.suffix.lower() in VECTORS + RASTERS and _NAME.match(file.stem) is not None


def find_outlines(path: str | Path) -> Path | None:
    """Find the outlines that lie in a scene's folder, or beside a scene.

    Parameters
    ----------
    path : str or pathlib.Path
        A scene folder, which may hold `glims...`, `rgi...` or `outlines...` (GeoTIFF, GeoPackage,
        Shapefile, GeoJSON or FlatGeobuf), or a scene's GeoTIFF. Beside either may lie
        `<its name>_outlines...`.

    Returns
    -------
    pathlib.Path or None

    Raises
    ------
    GlacierError
        Where several files could be meant.
    """
    path = Path(path)
    inside = [file for file in path.iterdir() if names_outlines(file)] if path.is_dir() else []
    name = path.resolve().name if path.is_dir() else path.stem
    beside = [path.resolve().parent / f"{name}_outlines{suffix}" for suffix in VECTORS + RASTERS]
    found = sorted(inside) or [file for file in beside if file.is_file()]
    if len(found) > 1:
        names = " and ".join(file.name for file in found)
        raise GlacierError(f"{path}: both {names} may be its outlines; name one by 'outlines:' in a catalog")
    return found[0] if found else None


def read_mask(path: str | Path, grid: Grid, name: str = "", date: str | None = None) -> NDArray[np.bool_]:
    """Mask of `read_labels`: (rows, columns), true on glaciers."""
    return read_labels(path, grid, name, date)[0]


def read_labels(
    path: str | Path, grid: Grid, name: str = "", date: str | None = None
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Read outlines onto a grid.

    Parameters
    ----------
    path : str or pathlib.Path
        A raster of one band in any CRS and on any grid, sampled at the grid's pixel centres (nearest
        neighbour; any finite value but 0 is glacier), or polygons in any CRS (a pixel is glacier where
        its centre lies in one). Of GLIMS polygons only `glac_bound` counts, less `intrnl_rock`.
    grid : Grid
        The scene's.
    name : str, optional
        The scene's, for errors; default the path.
    date : str, optional
        The scene's, YYYY-MM-DD or YYYY-MM: of a glacier that GLIMS outlines on several days
        (`glac_id`, `src_date`), the outline nearest to it counts.

    Returns
    -------
    mask, known : ndarray of bool
        (rows, columns): true on glaciers; true where the outlines tell, which is all but what lies
        beyond an outline raster.

    Raises
    ------
    GlacierError
        Where the file cannot be read, lacks a CRS or misses the scene.
    """
    path = Path(path)
    where = f"{name}: {path.name}" if name else str(path)
    formats = " ".join(RASTERS + VECTORS)
    if not path.is_file() or path.suffix.lower() not in RASTERS + VECTORS:
        raise GlacierError(f"{where}: {path} is no file of outlines; give one of {formats}")
    if path.suffix.lower() in RASTERS:
        return _labels_of_raster(path, grid, where)
    return _mask_of_polygons(path, grid, where, date), np.ones(grid.shape, np.bool_)


def _labels_of_raster(path: Path, grid: Grid, where: str) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    with open_raster(path, where) as dataset:
        if dataset.count != 1:
            raise GlacierError(
                f"{where}: an outline raster has one band, this has {dataset.count}; keep that one"
            )
        source_grid = grid_of(dataset, where)
        values = dataset.read(1, masked=True)
    glacier = np.isfinite(values.data) & (values.data != 0) & ~np.ma.getmaskarray(values)
    # 0 = beyond the raster, 1 = not glacier, 2 = glacier: one pass samples both outline and extent.
    sampled = np.zeros(grid.shape, np.uint8)
    reproject(
        glacier.astype(np.uint8) + np.uint8(1),
        sampled,
        src_transform=source_grid.transform,
        src_crs=source_grid.crs,
        src_nodata=0,
        dst_transform=grid.transform,
        dst_crs=grid.crs,
        dst_nodata=0,
        resampling=Resampling.nearest,
    )
    if not sampled.any():
        raise GlacierError(f"{where}: does not overlap the scene; give outlines of its place")
    return sampled == 2, sampled > 0


def _mask_of_polygons(path: Path, grid: Grid, where: str, date: str | None) -> NDArray[np.bool_]:
    polygons = _read_polygons(path, grid, where)
    rock = polygons.iloc[:0]
    if "line_type" in polygons:
        bounds = polygons[polygons["line_type"] == "glac_bound"]
        rock = polygons[polygons["line_type"] == "intrnl_rock"]
        polygons = bounds
    if {"glac_id", "src_date"} <= set(polygons.columns):
        polygons = _of_date(polygons, where, date)
        if "anlys_id" in polygons:
            rock = rock[rock["anlys_id"].isin(polygons["anlys_id"])]
    mask = _burn(polygons, grid) & ~_burn(rock, grid)
    if not mask.any():
        raise GlacierError(f"{where}: no polygon covers a pixel of the scene; give outlines of its place")
    return mask


def _read_polygons(path: Path, grid: Grid, where: str) -> Any:
    """Polygons in the scene's window, in the grid's CRS."""
    import geopandas
    import pyogrio
    from pyogrio.errors import DataSourceError

    try:
        layers = pyogrio.list_layers(path)
        names = [str(name) for name, kind in layers if kind is None or "Polygon" in kind or kind == "Unknown"]
        if len(names) != 1:
            raise GlacierError(
                f"{where}: one layer of polygons is wanted, found {', '.join(names) or 'none'}; "
                "keep the one to use"
            )
        crs = pyogrio.read_info(path, layer=names[0])["crs"]
        if crs is None:
            raise GlacierError(
                f"{where}: has no coordinate reference system; add it (a .prj file for a Shapefile)"
            )
        window = array_bounds(*grid.shape, grid.transform)
        bbox = transform_bounds(grid.crs, crs, *window, densify_pts=21)
        frame = geopandas.read_file(path, layer=names[0], bbox=bbox, engine="pyogrio")
    except DataSourceError as error:
        reason = " ".join(str(error).split())
        raise GlacierError(f"{where}: cannot be read ({reason}); replace the file") from error
    frame = frame[frame.geometry.notna() & frame.geom_type.isin(["Polygon", "MultiPolygon"])]
    return frame.to_crs(grid.crs.to_wkt())


def _of_date(polygons: Any, where: str, date: str | None) -> Any:
    """For each glacier the outlines of the day nearest to the scene's."""
    import pandas

    days = pandas.to_datetime(polygons["src_date"], errors="coerce", utc=True)
    repeated = days.groupby(polygons["glac_id"]).nunique() > 1
    if not repeated.any():
        return polygons
    if date is None:
        raise GlacierError(
            f"{where}: outlines glacier {repeated.idxmax()} on several days; "
            "say the scene's 'date:' in a catalog"
        )
    apart = (days - pandas.Timestamp(date, tz="UTC")).abs()
    nearest = apart.groupby(polygons["glac_id"]).transform("min")
    return polygons[(apart == nearest) | nearest.isna()]


def _burn(polygons: Any, grid: Grid) -> NDArray[np.bool_]:
    if polygons.empty:
        return np.zeros(grid.shape, np.bool_)
    burnt = rasterize(
        polygons.geometry, grid.shape, transform=grid.transform, all_touched=False, dtype="uint8"
    )
    return burnt.astype(np.bool_)
