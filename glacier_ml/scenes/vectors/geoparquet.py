"""GeoParquet: its header, and the rows of a window by row groups (https://geoparquet.org, version 1.1)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glacier_ml.errors import GlacierError
from glacier_ml.scenes.vectors.vector_layer import VectorLayer, told_in_one_line
from glacier_ml.scenes.vectors.windows import Box

_BATCH = 16_384
"""Rows that are in memory at once where a file has no column of bounding boxes. Chosen here."""

_BUFFER = 2**20
"""Bytes of a column read at a time. Chosen here."""

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

    The columns of bounding boxes say which row groups to read; without them every geometry is looked at, few
    at a time.

    Returns
    -------
    attributes, geometry : pandas.DataFrame, ndarray of object
        Row by row; geometry as WKB, None where a row has none.
    """
    import pyarrow
    import pyarrow.parquet

    with pyarrow.parquet.ParquetFile(layer.path, buffer_size=_BUFFER) as file:
        schema = file.schema_arrow
        geometry = _geometry(schema, layer.path)
        columns = [*fields, geometry["name"]]
        if geometry.get("encoding") != "WKB":
            table = _read_native(layer.path, boxes, fields)
        else:
            batches = [
                batch
                for group in range(file.num_row_groups)
                for batch in _meeting_batches(file, group, columns, _covering(geometry), boxes)
            ]
            wanted = pyarrow.schema([schema.field(name) for name in columns])
            table = pyarrow.Table.from_batches(batches, wanted)
    # Arrow looks at text only when it is used, and that is too late to tell of damage.
    table.validate(full=True)
    wkb = np.array(table.column(columns[-1]).to_pylist() or [], dtype=object)
    return table.select(fields).to_pandas(), wkb


def _meeting_batches(
    file: Any, group: int, columns: list[str], covering: dict[str, list[str]] | None, boxes: list[Box]
) -> Iterator[Any]:
    """Rows of a row group that meet a box; the geometry, which is last, is only read where some may."""
    import pyarrow
    import shapely

    meets = None
    if covering:
        # Not by the group's statistics: pyarrow ends the process where a damaged file's are asked for.
        looked_at = [".".join(way) for way in covering.values()]
        meets = [
            _in_boxes([_column(batch, covering[corner]) for corner in _CORNERS], boxes)
            for batch in file.iter_batches(_BATCH, row_groups=[group], columns=looked_at)
        ]
        if not any(part.any() for part in meets):
            return
    for number, batch in enumerate(file.iter_batches(_BATCH, row_groups=[group], columns=columns)):
        if meets is not None:
            kept = meets[number]
        else:
            wkb = np.array(batch.column(columns[-1]).to_pylist() or [], dtype=object)
            bounds = shapely.bounds(shapely.from_wkb(wkb, on_invalid="fix"))
            kept = _in_boxes(list(bounds.reshape(-1, 4).T), boxes)
        yield batch.filter(pyarrow.array(kept)).select(columns)


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


def _column(batch: Any, way: list[str]) -> NDArray[np.float64]:
    column = batch.column(way[0])
    for part in way[1:]:
        column = column.field(part)
    return np.asarray(column.to_numpy(zero_copy_only=False), np.float64)


def _in_boxes(corners: list[NDArray[np.float64]], boxes: list[Box]) -> NDArray[np.bool_]:
    low_x, low_y, high_x, high_y = corners
    kept = np.zeros(len(low_x), bool)
    for left, bottom, right, top in boxes:
        kept |= (low_x <= right) & (high_x >= left) & (low_y <= top) & (high_y >= bottom)
    return kept


def _read_native(path: str, boxes: list[Box], fields: list[str]) -> Any:
    """Rows of a file whose geometry is lists of coordinates, by geopandas; as a table with WKB."""
    import geopandas
    import pyarrow

    frame = geopandas.read_parquet(path)
    frame = frame[_in_boxes(list(frame.geometry.bounds.to_numpy().T), boxes)]
    table = {name: pyarrow.array(frame[name], from_pandas=True) for name in fields}
    wkb = pyarrow.array(frame.geometry.to_wkb().tolist(), pyarrow.binary())
    return pyarrow.table(table | {frame.geometry.name: wkb})
