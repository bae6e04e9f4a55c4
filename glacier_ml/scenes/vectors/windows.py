"""A scene's window in the coordinates of a file of polygons, and what to say where nothing lies in it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from glacier_ml.errors import GlacierError
from glacier_ml.scenes.scene import Grid
from glacier_ml.scenes.vectors.vector_layer import VectorLayer, told_in_one_line

Box = tuple[float, float, float, float]
"""Smallest x and y, largest x and y."""

_EDGE_POINTS = 21
_MARGIN = 0.02

_LARGEST_SCALE = 100.0
"""How much a projection may enlarge a scene; Mercator does so by 11 at 85 degrees. Chosen here."""


def grid_bounds(grid: Grid) -> Box:
    """Bounds of a grid in its CRS, also of one that is turned."""
    rows, columns = grid.shape
    corners = [grid.transform @ corner for corner in ((0, 0), (columns, 0), (columns, rows), (0, rows))]
    x, y = zip(*corners, strict=True)
    return min(x), min(y), max(x), max(y)


def read_crs(text: str, where: str) -> Any:
    """Parse a CRS to pyproj's, without heights; GlacierError where PROJ does not know it."""
    from pyproj import CRS

    with told_in_one_line(where, "has a coordinate reference system that PROJ does not know", "correct it"):
        crs = CRS.from_user_input(text)
        return crs.sub_crs_list[0] if crs.is_compound else crs


def window_boxes(grid: Grid, layer: VectorLayer, where: str) -> list[Box]:
    """Boxes in a layer's coordinates that cover a grid's window.

    One, or two where it spans the 180th meridian; the same a turn further where the layer counts its
    longitudes from 0 to 360.

    Raises
    ------
    GlacierError
        Where the layer's coordinate reference system has no coordinates for the window.
    """
    crs = read_crs(layer.crs, where)
    left, bottom, right, top = _window(grid, crs, where)
    if not crs.is_geographic:
        return [_widened((left, bottom, right, top))]
    if left <= right:
        boxes = [_widened((left, bottom, right, top))]
    else:
        boxes = [_widened((left, bottom, 180.0, top)), _widened((-180.0, bottom, right, top))]
    turned = [
        (low + turn, south, high + turn, north) for low, south, high, north in boxes for turn in (-360, 360)
    ]
    return boxes + [box for box in turned if layer.bounds is not None and _meet(box, layer.bounds)]


def _window(grid: Grid, crs: Any, where: str) -> Box:
    """Bounds of the grid; left > right where they span the 180th meridian."""
    from pyproj import Transformer

    west, south, east, north = grid_bounds(grid)
    with told_in_one_line(where, "its coordinates cannot be related to the scene's", "check its CRS"):
        transformer = Transformer.from_crs(grid.crs.to_wkt(), crs, always_xy=True)
        bounds: Box = transformer.transform_bounds(west, south, east, north, densify_pts=_EDGE_POINTS)
        if all(map(math.isfinite, bounds)):
            _check_scale(bounds, grid, crs, where)
            return bounds
        x, y = np.meshgrid(np.linspace(west, east, _EDGE_POINTS), np.linspace(south, north, _EDGE_POINTS))
        x, y = transformer.transform(x.ravel(), y.ravel())
    # Where a part of the window has no coordinates in the file's CRS, no polygon of the file can lie there.
    finite = np.isfinite(x) & np.isfinite(y)
    if not finite.any():
        raise _no_coordinates(crs, where)
    found = (x[finite].min(), y[finite].min(), x[finite].max(), y[finite].max())
    _check_scale(found, grid, crs, where)
    return found


def _check_scale(bounds: Box, grid: Grid, crs: Any, where: str) -> None:
    """Refuse a projection at whose end the scene lies: its box would be half the world, or more."""
    if crs.is_geographic or grid.crs.is_geographic:
        return
    west, south, east, north = grid_bounds(grid)
    size = math.hypot(east - west, north - south) * grid.crs.linear_units_factor[1]
    unit = crs.axis_info[0].unit_conversion_factor if crs.axis_info else 1.0
    if math.hypot(bounds[2] - bounds[0], bounds[3] - bounds[1]) * unit > _LARGEST_SCALE * size:
        raise _no_coordinates(crs, where)


def _no_coordinates(crs: Any, where: str) -> GlacierError:
    return GlacierError(
        f"{where}: its CRS {crs.name} has no usable coordinates for the scene's place; "
        "correct the CRS or give outlines of the scene's place"
    )


def _widened(box: Box) -> Box:
    """A little larger, for what edges bow between the points that were looked at."""
    left, bottom, right, top = box
    x, y = _MARGIN * (right - left), _MARGIN * (top - bottom)
    return left - x, bottom - y, right + x, top + y


def _meet(first: Box, second: Box) -> bool:
    return all(first[low] <= second[low + 2] and second[low] <= first[low + 2] for low in (0, 1))


def reason_for_nothing(grid: Grid, layer: VectorLayer, bounds: Box | None, where: str) -> str:
    """Say why no polygon lies in the window: a wrong CRS, polygons elsewhere, or none at all.

    Parameters
    ----------
    grid : Grid
        The scene's.
    layer : VectorLayer
        The file's.
    bounds : tuple of float or None
        Of all its polygons; None where it has none.
    where : str
        What errors begin with.
    """
    if bounds is None or not all(map(math.isfinite, bounds)):
        return "holds no polygon at all; give outlines of the scene's place"
    crs = read_crs(layer.crs, where)
    extent = f"x {bounds[0]:.6g} to {bounds[2]:.6g}, y {bounds[1]:.6g} to {bounds[3]:.6g}"
    in_degrees = max(map(abs, bounds[::2])) <= 360 and max(map(abs, bounds[1::2])) <= 90
    if crs.is_geographic and not in_degrees:
        return _no_degrees(bounds, extent, crs)
    if not crs.is_geographic and in_degrees:
        return (
            f"its coordinates ({extent}) look like degrees, but the unit of its CRS {crs.name} is the "
            f"{crs.axis_info[0].unit_name if crs.axis_info else 'metre'}; "
            "give it the CRS that it was drawn in"
        )
    apart = _distance_km(grid, crs, bounds)
    far = f": they lie {apart:,.0f} km or more away by its CRS {crs.name}" if apart and apart >= 0.5 else ""
    return f"no polygon covers a pixel of the scene{far}; give outlines of its place"


def _no_degrees(bounds: Box, extent: str, crs: Any) -> str:
    if max(map(abs, bounds[::2])) <= 90 and max(map(abs, bounds[1::2])) <= 360:
        return f"its coordinates ({extent}) have the latitude first; write the longitude first"
    return (
        f"its coordinates ({extent}) are no degrees, but the unit of its CRS {crs.name} is the degree; "
        "give it the CRS that it was drawn in"
    )


def _distance_km(grid: Grid, crs: Any, bounds: Box) -> float | None:
    """Kilometres from the scene's centre to the polygons' bounds; None where it cannot be told."""
    from pyproj import CRS, Geod, Transformer

    west, south, east, north = grid_bounds(grid)
    degrees = CRS.from_epsg(4326)
    there = Transformer.from_crs(grid.crs.to_wkt(), crs, always_xy=True)
    x, y = there.transform((west + east) / 2, (south + north) / 2)
    back = Transformer.from_crs(crs, degrees, always_xy=True)
    centre = back.transform(x, y)
    apart = []
    for turn in (-360, 0, 360) if crs.is_geographic else (0,):
        nearest = (min(max(x + turn, bounds[0]), bounds[2]), min(max(y, bounds[1]), bounds[3]))
        place = back.transform(*nearest)
        if np.isfinite([centre, place]).all():
            apart.append(Geod(ellps="WGS84").inv(*centre, *place)[2] / 1000)
    return min(apart, default=None)
