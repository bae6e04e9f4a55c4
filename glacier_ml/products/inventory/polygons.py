"""From labelled pixels to valid polygons, nunataks as holes, neighbours edge to edge."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from glacier_ml.products.inventory.divides import Labels
from glacier_ml.products.inventory.perimeters import half_pixel_m
from glacier_ml.scenes.scene import Grid
from glacier_ml.scenes.vectors.mending import mend

RGI_CRS = "EPSG:4326"
"""Longitude and latitude on WGS 84, as RGI and GLIMS have them."""

_LONGEST_EDGE_PX = 4
"""An edge of the grid is no geodesic: in shorter ones areas of polygons and pixels agree to 1e-6, those of
glaciers one pixel wide to 1e-5."""

_STEPS_A_PX = 4096
"""Points put on long edges lie on these fractions, so that both neighbours of an edge get the same ones."""


def outline_labels(
    labels: Labels, grid: Grid, simplify_m: float | None = None
) -> tuple[NDArray[np.int32], NDArray[Any]]:
    """Draw the outline of each label.

    The polygons of the pixels are an exact coverage: neighbours share every point of their divides. It is
    simplified as a whole (shapely.coverage_simplify, after Visvalingam and Whyatt), so that divides stay
    shared and neighbours neither overlap nor part.

    Parameters
    ----------
    labels : ndarray of int32
        (rows, columns); 0 is not drawn.
    grid : Grid
        Theirs.
    simplify_m : float, optional
        Corners whose triangle has less than this length squared of area are left out; 0 or None keeps every
        corner of a pixel. Twice a pixel's side takes the staircase away: of a
        disc of 100 pixels across 44 of 380 points are left.

    Returns
    -------
    numbers : ndarray of int32
        (n,) the labels that occur, ascending.
    polygons : ndarray of object
        (n,) valid shapely Polygons, MultiPolygons where a label is in several pieces; longitude and latitude.
    """
    import shapely

    numbers, pieces = _traced(labels)
    # Every pixel's side gets its points: where three glaciers meet, the straight edge of one needs one, too.
    dense = shapely.segmentize(pieces, 1.0)
    tolerance = (simplify_m or 0.0) / (2 * half_pixel_m(grid))
    drawn = shapely.coverage_simplify(_rounded(dense, 1), tolerance)
    found, position = np.unique(numbers, return_inverse=True)
    whole = _gathered(drawn, position, len(found))
    return found, _in_degrees(whole, grid)


def _traced(labels: Labels) -> tuple[NDArray[np.int32], NDArray[Any]]:
    """Labels and polygons, in columns and rows, of all pieces that are connected by sides."""
    from rasterio.features import shapes
    from shapely.geometry import shape

    numbers, pieces = [], []
    for drawn, number in shapes(labels, mask=labels > 0, connectivity=4):
        numbers.append(int(number))
        pieces.append(shape(drawn))
    return np.array(numbers, np.int32), np.array(pieces, dtype=object)


def _rounded(polygons: NDArray[Any], steps: int) -> NDArray[Any]:
    import shapely

    return shapely.transform(polygons, lambda xy: np.rint(xy * steps) / steps)


def _gathered(pieces: NDArray[Any], position: NDArray[np.intp], count: int) -> NDArray[Any]:
    """One geometry for each position: a Polygon, or a MultiPolygon of its pieces."""
    import shapely

    order = np.argsort(position, kind="stable")
    several = shapely.multipolygons(pieces[order], indices=position[order], out=np.empty(count, object))
    single = shapely.get_num_geometries(several) == 1
    several[single] = shapely.get_geometry(several[single], 0)
    return several


def _in_degrees(polygons: NDArray[Any], grid: Grid) -> NDArray[Any]:
    """Polygons in columns and rows as longitude and latitude; mended where that makes one invalid."""
    import shapely
    from pyproj import Transformer

    if not len(polygons):
        return polygons
    short = _rounded(shapely.segmentize(polygons, _LONGEST_EDGE_PX), _STEPS_A_PX)
    transformer = Transformer.from_crs(grid.crs.to_wkt(), RGI_CRS, always_xy=True)

    def moved(places: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.column_stack(transformer.transform(*(grid.transform @ (places[:, 0], places[:, 1]))))

    mended, kept, _ = mend(shapely.transform(short, moved), geographic=True)
    drawn = polygons.copy()
    drawn[kept] = mended
    return shapely.orient_polygons(drawn)
