"""Polygons back to a file: a GeoPackage, whole or not at all."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from glacier_ml.errors import GlacierError
from glacier_ml.scenes.vectors.vector_layer import told_in_one_line

LAYER = "outlines"

# What GeoPackage calls the row's number and its shape, whatever the case.
_OWN_COLUMNS = ("fid", "geom")


def write_polygons(polygons: Any, output: Path) -> Path:
    """Write polygons with their columns as a GeoPackage of one layer, `outlines`.

    Parameters
    ----------
    polygons : geopandas.GeoDataFrame
        With a CRS. Columns called fid or geom get an underscore; lists and mappings become JSON.
    output : pathlib.Path
        A file that ends in .gpkg; folders on the way are made, a file that is there is replaced.

    Raises
    ------
    GlacierError
        Where the name ends otherwise or the folder cannot be written.
    """
    import pyogrio

    if output.suffix.lower() != ".gpkg":
        raise GlacierError(f"{output}: clipped outlines are a GeoPackage; end the name in .gpkg")
    partial = output.with_name(f".{output.stem}.{os.getpid()}.partial.gpkg")
    with told_in_one_line(str(output), "cannot be written", "choose another folder"):
        output.parent.mkdir(parents=True, exist_ok=True)
        try:
            pyogrio.write_dataframe(
                _plain_columns(polygons),
                partial,
                layer=LAYER,
                driver="GPKG",
                geometry_type="MultiPolygon",
                promote_to_multi=True,
            )
            partial.replace(output)
        finally:
            for leftover in partial.parent.glob(f"{partial.name}*"):
                leftover.unlink(missing_ok=True)
    return output


def _plain_columns(polygons: Any) -> Any:
    """The same frame with columns that a GeoPackage can hold, each under a name of its own in any case."""
    names: dict[Any, str] = {}
    for column in polygons.columns:
        name = str(column)
        while name.lower() in _OWN_COLUMNS or name.lower() in {one.lower() for one in names.values()}:
            name += "_"
        names[column] = name
    shape = polygons.geometry.name
    frame = polygons.rename(columns=names)
    frame = frame.set_geometry(names[shape])
    for name in frame.columns:
        if name != names[shape] and frame[name].dtype == object:
            frame[name] = [_plain(value) for value in frame[name]]
    return frame


def _plain(value: Any) -> Any:
    """Text of what a column of objects may hold; None stays."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, float) and value != value:
        return None
    if isinstance(value, (bytes, bytearray)):
        return value.hex()
    if hasattr(value, "tolist"):
        value = value.tolist()
    return json.dumps(value, default=str) if isinstance(value, (list, dict, tuple)) else str(value)
