"""An inventory on disk: GeoPackage, GeoJSON, Shapefile, GeoParquet or FlatGeobuf, by the file's suffix."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from glacier_ml.errors import GlacierError
from glacier_ml.products.inventory.schemas import SHAPEFILE_NAMES
from glacier_ml.products.maps import check_folder
from glacier_ml.scenes.vectors.vector_layer import told_in_one_line

if TYPE_CHECKING:
    import geopandas

LAYER = "glacier_outlines"

_DRIVERS = {
    ".gpkg": "GPKG",
    ".geojson": "GeoJSON",
    ".json": "GeoJSON",
    ".shp": "ESRI Shapefile",
    ".fgb": "FlatGeobuf",
}
_PARQUET = (".parquet", ".geoparquet")
SUFFIXES = (*_DRIVERS, *_PARQUET)

_OPTIONS: dict[str, dict[str, Any]] = {
    # RFC 7946 wants longitude and latitude, exterior rings counter-clockwise, and no 'crs'.
    "GeoJSON": {"layer": LAYER, "RFC7946": "YES"},
    "GPKG": {"layer": LAYER, "geometry_type": "MultiPolygon", "promote_to_multi": True},
    "FlatGeobuf": {"layer": LAYER, "geometry_type": "MultiPolygon", "promote_to_multi": True},
    "ESRI Shapefile": {"encoding": "UTF-8"},
}


def check_output(output: Path) -> None:
    """Refuse a file that could not be written, before any work.

    Raises
    ------
    GlacierError
        Where the suffix is not known, a folder stands in its place, or its folder cannot be written.
    """
    if output.suffix.lower() not in SUFFIXES:
        raise GlacierError(
            f"{output}: an inventory is no '{output.suffix}'; end the name in one of {' '.join(SUFFIXES)}"
        )
    if output.is_dir():
        raise GlacierError(f"{output}: is a folder; give the name of a file")
    check_folder(output.parent)


def write_outlines(frame: geopandas.GeoDataFrame, path: Path) -> None:
    """Write an inventory's rows; a Shapefile gets the names of `SHAPEFILE_NAMES`.

    Parameters
    ----------
    frame : geopandas.GeoDataFrame
        Typed columns, polygons in longitude and latitude.
    path : pathlib.Path
        Ends in one of `SUFFIXES`.

    Raises
    ------
    GlacierError
        Where it cannot be written.
    """
    import pyogrio

    with told_in_one_line(str(path), "cannot be written", "choose another folder"):
        if path.suffix.lower() in _PARQUET:
            frame.to_parquet(path, index=False, schema_version="1.1.0", write_covering_bbox=True)
            return
        driver = _DRIVERS[path.suffix.lower()]
        named = frame.rename(columns=SHAPEFILE_NAMES) if driver == "ESRI Shapefile" else frame
        pyogrio.write_dataframe(named, path, driver=driver, **_OPTIONS[driver])
