"""GeoParquet: its header, and the rows of a window by row groups (https://geoparquet.org, version 1.1)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glacier_ml.errors import GlacierError
from glacier_ml.scenes.vectors.layers import VectorLayer, told_in_one_line
from glacier_ml.scenes.vectors.windows import Box

_BATCH = 16_384
"""Rows that are in memory at once where a file has no column of bounding boxes. Chosen here."""

_CORNERS = ("xmin", "ymin", "xmax", "ymax")


def parquet_layer(path: Path, where: str) -> VectorLayer:
    """Read a GeoParquet file's header.

    Raises
    ------
    GlacierError
        Where the file is damaged, is Parquet without geometry, or has no CRS or no polygons.
    """
    import pyarrow.parquet

    with told_in_one_line(where):
        with pyarrow.parquet.ParquetFile(path) as file:
            schema, count = file.schema_arrow, file.metadata.num_rows
        geometry = _geometry(schema, where)
        kinds = [str(kind) for kind in geometry.get("geometry_types") or ["Unknown"]]
        if not any("Polygon" in kind or kind in ("Unknown", "GeometryCollection") for kind in kinds):
            raise GlacierError(
                f"{where}: one layer of polygons is wanted, found none, but {', '.join(kinds)}; "
                "give the outlines' file"
            )
        # Without a key 'crs' the standard means degrees; null means that nobody knows.
        crs = geometry.get("crs", "OGC:CRS84")
        if crs is None:
            raise GlacierError(f"{where}: has no coordinate reference system; write the file again with one")
        left_out = {geometry["name"], *(way[0] for way in (_covering(geometry) or {}).values())}
        return VectorLayer(
            str(path),
            path.stem,
            crs if isinstance(crs, str) else json.dumps(crs),
            tuple(name for name in schema.names if name not in left_out),
            _bounds(geometry.get("bbox")),
            count,
            parquet=True,
        )


def read_parquet(layer: VectorLayer, boxes: list[Box], fields: list[str]) -> tuple[Any, NDArray[Any]]:
    """Read the rows whose geometry may meet one of the boxes.

    Row groups are told apart by the column of bounding boxes; without one every geometry is looked at, few at
    a time.

    Returns
    -------
    attributes, geometry : pandas.DataFrame, ndarray of object
        Row by row; geometry as WKB, None where a row has none.
    """
    import pyarrow
    import pyarrow.parquet

    with pyarrow.parquet.ParquetFile(layer.path) as file:
        schema = file.schema_arrow
        geometry = _geometry(schema, layer.path)
        columns = [*fields, geometry["name"]]
        covering = _covering(geometry)
        if geometry.get("encoding") != "WKB":
            table = _read_native(layer.path, boxes, fields)
        elif covering:
            table = pyarrow.parquet.read_table(
                layer.path, columns=columns, filters=_condition(covering, boxes)
            )
        else:
            batches = [
                _meeting(batch, geometry["name"], boxes)
                for batch in file.iter_batches(_BATCH, columns=columns)
            ]
            table = pyarrow.Table.from_batches(
                batches, pyarrow.schema([schema.field(name) for name in columns])
            )
    wkb = np.array(table.column(columns[-1]).to_pylist() or [], dtype=object)
    return table.select(fields).to_pandas(), wkb


def _geometry(schema: Any, where: str) -> dict[str, Any]:
    """Metadata of the primary geometry column, with its name."""
    content = (schema.metadata or {}).get(b"geo")
    if content is None:
        raise GlacierError(f"{where}: is Parquet without geometry (no 'geo' metadata); give GeoParquet")
    told = json.loads(content)
    name = told["primary_column"]
    geometry = told["columns"][name]
    if not isinstance(geometry, dict) or name not in schema.names:
        raise GlacierError(f"{where}: its 'geo' metadata and its columns differ; write the file again")
    return geometry | {"name": name}


def _covering(geometry: dict[str, Any]) -> dict[str, list[str]] | None:
    """Where each corner's column lies: {'xmin': ['bbox', 'xmin'], ...}."""
    told = geometry.get("covering")
    box = told.get("bbox") if isinstance(told, dict) else None
    if not isinstance(box, dict) or not all(isinstance(box.get(corner), list) for corner in _CORNERS):
        return None
    return {corner: [str(part) for part in box[corner]] for corner in _CORNERS}


def _bounds(told: Any) -> Box | None:
    """Of 4 or, in space, 6 numbers; None where a file spans the 180th meridian and says so by west > east."""
    if not isinstance(told, list) or len(told) not in (4, 6):
        return None
    half = len(told) // 2
    left, bottom, right, top = (float(told[place]) for place in (0, 1, half, half + 1))
    return (left, bottom, right, top) if left <= right else None


def _condition(covering: dict[str, list[str]], boxes: list[Box]) -> Any:
    import pyarrow.compute

    field = {corner: pyarrow.compute.field(*way) for corner, way in covering.items()}
    condition = None
    for left, bottom, right, top in boxes:
        meets = (
            (field["xmin"] <= right)
            & (field["xmax"] >= left)
            & (field["ymin"] <= top)
            & (field["ymax"] >= bottom)
        )
        condition = meets if condition is None else condition | meets
    return condition


def _meeting(batch: Any, name: str, boxes: list[Box]) -> Any:
    """Rows of a batch whose geometry's bounds meet a box."""
    import pyarrow
    import shapely

    wkb = np.array(batch.column(name).to_pylist() or [], dtype=object)
    low_x, low_y, high_x, high_y = shapely.bounds(shapely.from_wkb(wkb, on_invalid="fix")).reshape(-1, 4).T
    kept = np.zeros(len(wkb), bool)
    for left, bottom, right, top in boxes:
        kept |= (low_x <= right) & (high_x >= left) & (low_y <= top) & (high_y >= bottom)
    return batch.filter(pyarrow.array(kept))


def _read_native(path: str, boxes: list[Box], fields: list[str]) -> Any:
    """Rows of a file whose geometry is lists of coordinates, by geopandas; as a table with WKB."""
    import geopandas
    import pyarrow

    frame = geopandas.read_parquet(path)
    low_x, low_y, high_x, high_y = frame.geometry.bounds.to_numpy().T
    kept = np.zeros(len(frame), bool)
    for left, bottom, right, top in boxes:
        kept |= (low_x <= right) & (high_x >= left) & (low_y <= top) & (high_y >= bottom)
    frame = frame[kept]
    table = pyarrow.Table.from_pandas(frame[fields].reset_index(drop=True), preserve_index=False)
    return table.append_column("geometry", pyarrow.array(frame.geometry.to_wkb().tolist(), pyarrow.binary()))
