"""Polygons on tiny grids, written as every kind of file of outlines."""

import zipfile
from pathlib import Path

import geopandas
import numpy as np
from shapely.geometry import box


def rectangle(grid, top, left, bottom, right):
    """Polygon over rows top..bottom and columns left..right of a north-up grid, in pixel edges."""
    west, north = grid.transform @ (left, top)
    east, south = grid.transform @ (right, bottom)
    return box(west, south, east, north)


def expected(grid, top, left, bottom, right):
    """Mask of the same rows and columns."""
    mask = np.zeros(grid.shape, bool)
    mask[top:bottom, left:right] = True
    return mask


def write_outlines(path, geometries, crs, **columns):
    """Write geometries by the path's suffix; of a zip, a Shapefile in a folder."""
    frame = geopandas.GeoDataFrame(columns or {"id": range(len(geometries))}, geometry=geometries, crs=crs)
    path = Path(path)
    if path.suffix in (".parquet", ".geoparquet"):
        frame.to_parquet(path, write_covering_bbox=path.suffix == ".geoparquet")
    elif path.suffix in (".zip", ".shz"):
        loose = path.with_name(f"{path.name}_loose")
        loose.mkdir()
        frame.to_file(loose / "drawn.shp")
        zip_files(path, loose, "RGI2000-v7.0-G-01_alaska")
    else:
        frame.to_file(path)
    return path


def zip_files(path, folder, inside=""):
    """Zip all files of a folder, below a folder inside the archive."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.iterdir()):
            archive.write(file, f"{inside}/{file.name}" if inside else file.name)
    return path
