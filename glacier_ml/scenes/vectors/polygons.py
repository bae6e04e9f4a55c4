"""Polygons of a scene's window, from any file of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glacier_ml.errors import GlacierError
from glacier_ml.scenes.scene import Grid
from glacier_ml.scenes.vectors.inventories import COLUMNS, GLIMS, inventory_of, outline_keys
from glacier_ml.scenes.vectors.layers import polygon_layer
from glacier_ml.scenes.vectors.mending import Mending, find_duplicates, has_finite_points, mend
from glacier_ml.scenes.vectors.vector_layer import VectorLayer, told_in_one_line
from glacier_ml.scenes.vectors.windows import Box, read_crs, reason_for_nothing, window_boxes

LONGEST_EDGE_M = 5000.0
"""Over so much a straight edge in degrees bows by less than 2 m up to 70 degrees north. Chosen here."""


_MOST_EDGES = 10_000
"""Of that length around a polygon; a longer one is cut to the window first. Chosen here."""


@dataclass(frozen=True)
class WindowPolygons:
    """The polygons of a file that may meet a scene's window.

    Attributes
    ----------
    frame : geopandas.GeoDataFrame
        Valid polygons with the file's columns, in the file's CRS.
    inventory : str
        'GLIMS', 'RGI 7', 'RGI 6' or 'polygons'.
    mending : Mending
        What had to be done to them.
    layer : VectorLayer
        Where they are from.
    """

    frame: Any
    inventory: str
    mending: Mending
    layer: VectorLayer


def read_window(path: Path, grid: Grid, where: str, every_column: bool = False) -> WindowPolygons:
    """Read the polygons of a window, and nothing else of the file, and mend them.

    Parameters
    ----------
    path : pathlib.Path
        A file of one of the suffixes `layers.VECTORS`.
    grid : Grid
        The scene's.
    where : str
        What errors begin with.
    every_column : bool
        Whether all columns are wanted, as they are called there; else those of `inventories.COLUMNS`, in
        small letters.

    Raises
    ------
    GlacierError
        Where the file cannot be read, has no CRS or a wrong one, or no polygon near the window.
    """
    layer = polygon_layer(path, where)
    boxes = window_boxes(grid, layer, where)
    inventory = inventory_of(list(layer.fields))
    fields = [name for name in layer.fields if every_column or name.lower() in COLUMNS]
    with told_in_one_line(where):
        attributes, geometry = _read(layer, boxes, fields)
        polygons, kept, mending = mend(geometry, read_crs(layer.crs, where).is_geographic)
        attributes = attributes[kept].reset_index(drop=True)
        frame = attributes.rename(columns=str.lower) if not every_column else attributes
        if not every_column and frame.columns.duplicated().any():
            frame = frame.loc[:, ~frame.columns.duplicated()]
        keys = outline_keys(attributes.rename(columns=str.lower), inventory)
        repeated = find_duplicates(polygons, keys, scoped=inventory == GLIMS)
    if not len(polygons):
        raise GlacierError(f"{where}: {reason_for_nothing(grid, layer, _bounds_of_all(layer, where), where)}")
    mending = Mending(mending.mended, mending.empty, int(repeated.sum()))
    return WindowPolygons(
        _framed(frame[~repeated], polygons[~repeated], layer, where), inventory, mending, layer
    )


def _framed(attributes: Any, polygons: NDArray[Any], layer: VectorLayer, where: str) -> Any:
    import geopandas

    named = "geometry" if "geometry" not in attributes.columns else "outline"
    crs = read_crs(layer.crs, where)
    return geopandas.GeoDataFrame(
        attributes.reset_index(drop=True).assign(**{named: polygons}), geometry=named, crs=crs
    )


def _read(layer: VectorLayer, boxes: list[Box], fields: list[str]) -> tuple[Any, NDArray[Any]]:
    """Attributes and WKB of the rows whose bounds meet a box."""
    if layer.parquet:
        from glacier_ml.scenes.vectors.geoparquet import read_parquet

        return read_parquet(layer, boxes, fields)
    import pandas

    tables, geometry, seen = [], [], np.array([], int)
    for box in boxes:
        rows, wkb, table = _read_box(layer, box, fields)
        new = ~np.isin(rows, seen)
        seen = np.concatenate([seen, rows[new]])
        tables.append(table[new])
        geometry.append(wkb[new])
    return pandas.concat(tables, ignore_index=True), np.concatenate(geometry)


def _read_box(layer: VectorLayer, box: Box, fields: list[str]) -> tuple[NDArray[Any], NDArray[Any], Any]:
    import pandas
    import pyogrio.raw

    asked = {
        "layer": layer.name,
        "columns": fields,
        "bbox": box,
        "return_fids": True,
        "datetime_as_string": True,
    }
    try:
        told, rows, wkb, values = pyogrio.raw.read(layer.path, **asked)
    except UnicodeDecodeError:
        # Shapefiles often name another encoding than the one they are written in.
        told, rows, wkb, values = pyogrio.raw.read(layer.path, encoding="ISO-8859-1", **asked)
    # GDAL yields the columns in the file's order.
    table = pandas.DataFrame(dict(zip(told["fields"], values, strict=True)), index=range(len(rows)))
    return rows, wkb, table


def _bounds_of_all(layer: VectorLayer, where: str) -> Box | None:
    """Bounds of the whole layer; the file is read for them where its header does not tell."""
    if layer.bounds is not None or layer.parquet:
        return layer.bounds
    import pyogrio

    with told_in_one_line(where):
        bounds = pyogrio.read_info(layer.path, layer=layer.name, force_total_bounds=True)["total_bounds"]
    return None if bounds is None else tuple(float(one) for one in bounds)  # type: ignore[return-value]


def on_grid(polygons: Any, grid: Grid, layer: VectorLayer, where: str) -> Any:
    """Polygons in a grid's CRS, with points added to long edges: straight there, they are not straight here.

    Parameters
    ----------
    polygons : geopandas.GeoDataFrame
        Valid ones, in any CRS.
    grid : Grid
        The scene's.
    layer : VectorLayer
        Where they are from.
    where : str
        What errors begin with.
    """
    import shapely

    crs = polygons.crs
    drawn = np.asarray(polygons.geometry.array, dtype=object)
    if crs.is_geographic:
        longest = LONGEST_EDGE_M / 111_000
    else:
        longest = LONGEST_EDGE_M / (crs.axis_info[0].unit_conversion_factor if crs.axis_info else 1.0)
    with told_in_one_line(where, "cannot be projected onto the scene", "check its CRS"):
        # Some point lies where the scene's projection ends, or absurdly far: not the part near the scene.
        boxes = shapely.union_all([shapely.box(*box) for box in window_boxes(grid, layer, where)])
        beyond = shapely.length(drawn) > _MOST_EDGES * longest
        drawn[beyond] = shapely.intersection(drawn[beyond], boxes)
        drawn = shapely.segmentize(drawn, longest)
        moved = polygons.set_geometry(drawn, crs=crs).to_crs(grid.crs.to_wkt())
        beyond = ~has_finite_points(np.asarray(moved.geometry.array, dtype=object))
        if beyond.any():
            drawn[beyond] = shapely.intersection(drawn[beyond], boxes)
            moved = polygons.set_geometry(drawn, crs=crs).to_crs(grid.crs.to_wkt())
    finite = has_finite_points(np.asarray(moved.geometry.array, dtype=object))
    return moved[finite & ~moved.geometry.is_empty]
