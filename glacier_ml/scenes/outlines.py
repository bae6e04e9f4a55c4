"""Glacier outlines, drawn as polygons or already rasterised, as a mask on a scene's grid."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.enums import Resampling
from rasterio.features import rasterize
from rasterio.warp import reproject

from glacier_ml.errors import GlacierError
from glacier_ml.scenes.rasters import grid_of, lies_on_earth, open_raster
from glacier_ml.scenes.scene import Grid
from glacier_ml.scenes.vectors.inventories import Drawn, OutlineDates, outline_days, rows_for_date
from glacier_ml.scenes.vectors.layers import VECTORS
from glacier_ml.scenes.vectors.mending import Mending
from glacier_ml.scenes.vectors.polygons import WindowPolygons, on_grid, read_window
from glacier_ml.scenes.vectors.windows import grid_bounds

RASTERS = (".tif", ".tiff")
RASTER = "raster"
"""`Labels.source` of outlines that came as a raster; those of polygons are in `vectors.inventories`."""

_NAME = re.compile(r"(.*[^a-z])?(glims(?![a-z])|rgi\d)|glims|rgi|(glacier_?)?outline", re.IGNORECASE)
# What GLIMS and RGI ship beside their outlines.
_BESIDE = re.compile(r"(?:.*[^a-z])?(points|lines|images|intersects|hypso\w*|attributes)", re.IGNORECASE)


class OutlineWarning(UserWarning):
    """Outlines had to be mended, or some were left out: one line that counts them."""


@dataclass(frozen=True)
class Labels:
    """Outlines on a scene's grid.

    Attributes
    ----------
    mask : ndarray of bool
        (rows, columns): true on glaciers.
    known : ndarray of bool
        (rows, columns): true where the outlines tell, which is all but what lies beyond an outline raster.
    debris : ndarray of bool or None
        (rows, columns): true on glaciers under debris; None where the source does not tell them apart.
    dates : OutlineDates or None
        When the outlines' ground was seen; None where the source does not tell.
    source : str
        'GLIMS', 'RGI 7', 'RGI 6', 'polygons' or 'raster'.
    mending : Mending
        What had to be done to the polygons.
    """

    mask: NDArray[np.bool_]
    known: NDArray[np.bool_]
    debris: NDArray[np.bool_] | None = None
    dates: OutlineDates | None = None
    source: str = RASTER
    mending: Mending = Mending()


def names_outlines(file: Path) -> bool:
    """Whether a file's name says that it holds outlines: `glims...`, `rgi...`, `outlines...`.

    Examples
    --------
    >>> names_outlines(Path("glimsRast.tif")), names_outlines(Path("nsidc0770_01.rgi60.Alaska.zip"))
    (True, True)
    >>> names_outlines(Path("blue.tif")), names_outlines(Path("glims_points.shp"))
    (False, False)
    """
    vector = file.suffix.lower() in VECTORS
    if not vector and file.suffix.lower() not in RASTERS:
        return False
    return _NAME.match(file.stem) is not None and not (vector and _BESIDE.fullmatch(file.stem))


def find_outlines(path: str | Path) -> Path | None:
    """Find the outlines that lie in a scene's folder, or beside a scene.

    Parameters
    ----------
    path : str or pathlib.Path
        A scene folder, which may hold `glims...`, `rgi...` or `outlines...` (GeoTIFF, GeoPackage,
        Shapefile, zipped Shapefile, GeoJSON, FlatGeobuf or GeoParquet), or a scene's file. Beside either
        may lie `<its name>_outlines...`.

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
    name = path.resolve().name if path.is_dir() else path.stem.removesuffix(".tar")
    beside = [path.resolve().parent / f"{name}_outlines{suffix}" for suffix in VECTORS + RASTERS]
    found = sorted(inside) or [file for file in beside if file.is_file()]
    if len(found) > 1:
        names = " and ".join(file.name for file in found)
        raise GlacierError(f"{path}: both {names} may be its outlines; name one by 'outlines:' in a catalog")
    return found[0] if found else None


def read_mask(path: str | Path, grid: Grid, name: str = "", date: str | None = None) -> NDArray[np.bool_]:
    """Mask of `read_outlines`: (rows, columns), true on glaciers."""
    return read_outlines(path, grid, name, date).mask


def read_labels(
    path: str | Path, grid: Grid, name: str = "", date: str | None = None
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Mask and known of `read_outlines`: (rows, columns), true on glaciers; true where the outlines tell."""
    labels = read_outlines(path, grid, name, date)
    return labels.mask, labels.known


def read_outlines(path: str | Path, grid: Grid, name: str = "", date: str | None = None) -> Labels:
    """Read outlines onto a grid.

    Parameters
    ----------
    path : str or pathlib.Path
        A raster of one band in any CRS and on any grid, sampled at the grid's pixel centres (nearest
        neighbour; any finite value but 0 is glacier), or polygons in any CRS, of which those in the grid's
        window are read (a pixel is glacier where its centre lies in one): RGI 6, RGI 7, GLIMS or one's own.
        Of GLIMS `glac_bound` counts, less `intrnl_rock`.
    grid : Grid
        The scene's.
    name : str, optional
        The scene's, for errors; default the path.
    date : str, optional
        The scene's, YYYY-MM-DD or YYYY-MM: of a glacier that GLIMS outlines on several days
        (`glac_id`, `src_date`), the outline nearest to it counts.

    Raises
    ------
    GlacierError
        Where the file cannot be read, lacks a CRS or misses the scene.

    Warns
    -----
    OutlineWarning
        Where polygons were mended or left out.
    """
    path, where = _checked(path, name)
    if path.suffix.lower() in RASTERS:
        return _labels_of_raster(path, grid, where)
    window = read_window(path, grid, where)
    drawn = rows_for_date(window.frame, window.inventory, date, where)
    _warn(path, window, drawn.notes)
    return _labels_of_polygons(window, drawn, grid, where)


def _labels_of_polygons(window: WindowPolygons, drawn: Drawn, grid: Grid, where: str) -> Labels:
    ice = on_grid(drawn.ice, grid, window.layer, where)
    rock, debris = (on_grid(rows, grid, window.layer, where) for rows in (drawn.rock, drawn.debris))
    mask = _burn(ice, grid) & ~_burn(rock, grid)
    if not mask.any():
        raise GlacierError(f"{where}: no polygon covers a pixel of the scene; give outlines of its place")
    return Labels(
        mask,
        np.ones(grid.shape, np.bool_),
        _burn(debris, grid) & mask if len(debris) else None,
        _dates(ice, window.inventory, grid),
        window.inventory,
        window.mending,
    )


def outline_dates(
    path: str | Path, grid: Grid, name: str = "", date: str | None = None
) -> OutlineDates | None:
    """When the ground that outlines in a grid's window show was seen; arguments as `read_outlines`.

    Returns
    -------
    OutlineDates or None
        None where the source does not tell: rasters, plain polygons, undated ones.

    Raises
    ------
    GlacierError
        As `read_outlines`.
    """
    path, where = _checked(path, name)
    if path.suffix.lower() in RASTERS:
        return None
    window = read_window(path, grid, where)
    drawn: Drawn = rows_for_date(window.frame, window.inventory, date, where)
    return _dates(on_grid(drawn.ice, grid, window.layer, where), window.inventory, grid)


def clip_outlines(path: str | Path, grid: Grid, output: str | Path, name: str = "") -> Path:
    """Write the polygons that meet a grid's window to a GeoPackage, whole, mended and with all their columns.

    GLIMS keeps its several dates and kinds of line: which of them count depends on the scene's date, and is
    told when the file is read.

    Parameters
    ----------
    path, grid, name
        As in `read_outlines`; polygons alone, which keep their CRS.
    output : str or pathlib.Path
        A file that ends in .gpkg, such as `outlines.gpkg` in the scene's folder.

    Returns
    -------
    pathlib.Path
        `output`.

    Raises
    ------
    GlacierError
        As `read_outlines`, where `path` is a raster, or where `output` cannot be written.

    Warns
    -----
    OutlineWarning
        Where polygons were mended or left out.
    """
    from glacier_ml.scenes.vectors.clipping import write_polygons

    path, where = _checked(path, name)
    if path.suffix.lower() in RASTERS:
        raise GlacierError(f"{where}: is a raster, which is not clipped; copy it into the scene's folder")
    window = read_window(path, grid, where, every_column=True)
    meeting = on_grid(window.frame, grid, window.layer, where)
    frame = window.frame.loc[meeting.index[meeting.intersects(_window_shape(grid))]]
    if frame.empty:
        raise GlacierError(f"{where}: no polygon lies in the scene's window; give outlines of its place")
    _warn(path, window, [])
    return write_polygons(frame, Path(output))


def _window_shape(grid: Grid) -> Any:
    """The grid's window as a polygon in its CRS."""
    from shapely.geometry import Polygon

    rows, columns = grid.shape
    corners = ((0, 0), (columns, 0), (columns, rows), (0, rows))
    return Polygon([grid.transform @ corner for corner in corners])


def _checked(path: str | Path, name: str) -> tuple[Path, str]:
    """Path and what errors begin with, where the path is a file that may hold outlines."""
    path = Path(path)
    where = f"{name}: {path.name}" if name else str(path)
    formats = " ".join(RASTERS + VECTORS)
    if not path.is_file() or path.suffix.lower() not in RASTERS + VECTORS:
        raise GlacierError(f"{where}: {path} is no file of outlines; give one of {formats}")
    return path, where


def _warn(path: Path, window: WindowPolygons, notes: list[str]) -> None:
    told = window.mending.phrases() + notes
    if told:
        warnings.warn(f"{path.name}: {', '.join(told)}", OutlineWarning, stacklevel=3)


def _labels_of_raster(path: Path, grid: Grid, where: str) -> Labels:
    with open_raster(path, where) as dataset:
        if dataset.count != 1:
            raise GlacierError(
                f"{where}: an outline raster has one band, this has {dataset.count}; keep that one"
            )
        source_grid = grid_of(dataset, where)
        values = dataset.read(1, masked=True)
    _check_related(source_grid.crs, grid.crs, where)
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
    return Labels(sampled == 2, sampled > 0)


def _check_related(crs: CRS, wanted: CRS, where: str) -> None:
    if crs != wanted and not (lies_on_earth(crs) and lies_on_earth(wanted)):
        raise GlacierError(
            f"{where}: its coordinates cannot be related to the scene's; check the CRS of both"
        )


def _burn(polygons: Any, grid: Grid) -> NDArray[np.bool_]:
    if polygons.empty:
        return np.zeros(grid.shape, np.bool_)
    burnt = rasterize(
        polygons.geometry, grid.shape, transform=grid.transform, all_touched=False, dtype="uint8"
    )
    return burnt.astype(np.bool_)


def _dates(ice: Any, inventory: str, grid: Grid) -> OutlineDates | None:
    """Of the polygons in the window, weighted by their area there."""
    import pandas
    import shapely

    first, last, middle = outline_days(ice, inventory)
    polygons = np.asarray(ice.geometry.array, dtype=object)
    inside = shapely.clip_by_rect(polygons, *grid_bounds(grid))
    area = pandas.Series(shapely.area(inside), index=ice.index)
    seen = area > 0
    dated = seen & middle.notna()
    if not dated.any():
        return None
    start = first[dated].min()
    days = (middle[dated] - start).dt.total_seconds() / 86_400
    mean = start + pandas.Timedelta(days=float(np.average(days, weights=area[dated])))
    told = [day.date().isoformat() for day in (start, last[dated].max(), mean)]
    return OutlineDates(told[0], told[1], told[2], float(1 - area[dated].sum() / area[seen].sum()))
