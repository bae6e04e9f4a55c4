"""Polygons of labelled pixels: valid, exact, edge to edge."""

import numpy as np
import pytest
import shapely
from affine import Affine
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from rasterio.crs import CRS

from glacier_ml.products.areas import area_km2
from glacier_ml.products.inventory.areas import PixelAreas, polygon_areas_km2
from glacier_ml.products.inventory.polygons import outline_labels
from glacier_ml.products.inventory.uncertainty import mapped_areas
from glacier_ml.scenes.scene import Grid

GRIDS = {
    "utm": (CRS.from_epsg(32606), Affine(30, 0, 480_000, 0, -30, 6_780_000)),
    "polar": (CRS.from_epsg(3413), Affine(30, 0, -2_000_000, 0, -30, 1_000_000)),
    "web mercator": (CRS.from_epsg(3857), Affine(60, 0, -16_370_000, 0, -60, 8_660_000)),
    "degrees": (CRS.from_epsg(4326), Affine(0.0003, 0, -147, 0, -0.0003, 61.2)),
    "turned": (CRS.from_epsg(32606), Affine(26, 15, 480_000, 15, -26, 6_780_000)),
}


PAIR = np.full((9, 12), 2, np.int32)
"""Two pixels of 1 in the lower left corner, whose upper side alone has a point of the others'."""
PAIR[7, 0], PAIR[8, :2] = 0, 1


def grid_called(name, shape):
    return Grid(*GRIDS[name], shape)


@settings(max_examples=60, deadline=None)
@given(
    arrays(np.int32, (9, 12), elements=st.integers(0, 3)),
    st.sampled_from(sorted(GRIDS)),
    st.sampled_from([None, 30.0, 200.0]),
)
@example(PAIR, "web mercator", None)
def test_any_labels_give_valid_polygons_that_never_overlap(labels, name, simplify):
    grid = grid_called(name, labels.shape)
    numbers, polygons = outline_labels(labels, grid, simplify)
    assert numbers.tolist() == sorted(set(labels.ravel()) - {0})
    assert shapely.is_valid(polygons).all()
    assert shapely.coverage_is_valid(polygons)
    if simplify is None:
        areas = mapped_areas(labels, 3, PixelAreas(grid))
        # Points of a neighbour on one long side alone: between geodesics and the grid's lines lie at most
        # L^3 tan(latitude) / 12 R = 0.04 m2 an edge of 4 pixels (web mercator, 61 N: L = 116 m), of 3365 m2.
        assert polygon_areas_km2(polygons, 4326) == pytest.approx(areas[numbers], rel=1.2e-5)
        assert areas.sum() == pytest.approx(area_km2(labels > 0, grid), rel=1e-12)


def test_nunataks_are_holes_and_pieces_are_parts():
    labels = np.zeros((12, 20), np.int32)
    labels[1:9, 1:9] = 1
    labels[3:5, 3:6] = 0  # a nunatak
    labels[6, 6] = 0  # another
    labels[2:4, 12:15] = 1  # a piece of the same glacier
    labels[9:11, 9:12] = 2  # touches the first at a corner
    _, (first, second) = outline_labels(labels, grid_called("utm", labels.shape))
    assert (first.geom_type, second.geom_type) == ("MultiPolygon", "Polygon")
    assert sorted(len(part.interiors) for part in first.geoms) == [0, 2]
    # 64 - 6 - 1 + 6 pixels of 900 m2 on the map, less than .9996^2 of the ground within .1 %
    assert polygon_areas_km2(np.array([first]), 4326)[0] == pytest.approx(
        63 * 900 / 0.9996**2 / 1e6, rel=1e-3
    )
    assert all(
        part.exterior.is_ccw and not any(hole.is_ccw for hole in part.interiors) for part in first.geoms
    )


def test_where_three_meet_the_straight_edge_gets_a_point():
    labels = np.ones((10, 20), np.int32)
    labels[5:, :10], labels[5:, 10:] = 2, 3
    _, polygons = outline_labels(labels, grid_called("utm", labels.shape))
    points = [set(map(tuple, shapely.get_coordinates(one))) for one in polygons]
    assert len(points[0] & points[1] & points[2]) == 1


@pytest.mark.parametrize("simplify", [60.0, 90.0])
def test_simpler_outlines_keep_divides_shared_and_most_of_the_area(simplify):
    row, column = np.indices((120, 120))
    ice = np.hypot(row - 60, column - 60) < 50
    labels = np.where(ice, 1 + (column + 0.4 * row > 85), 0).astype(np.int32)
    grid = grid_called("utm", labels.shape)
    _, exact = outline_labels(labels, grid)
    _, simple = outline_labels(labels, grid, simplify)
    assert shapely.is_valid(simple).all() and shapely.coverage_is_valid(simple)
    assert shapely.get_num_coordinates(simple).sum() < shapely.get_num_coordinates(exact).sum() / 2
    assert shapely.area(shapely.intersection(*simple)) == 0
    assert shapely.area(simple) == pytest.approx(shapely.area(exact), rel=0.02)


def test_an_outline_across_the_180th_meridian_stays_in_one_piece():
    grid = Grid(CRS.from_epsg(32601), Affine(30, 0, 330_000, 0, -30, 7_200_000), (40, 2000))
    labels = np.ones(grid.shape, np.int32)
    _, (polygon,) = outline_labels(labels, grid)
    west, _, east, _ = polygon.bounds
    assert east - west < 2 and west < 180 < east
    assert polygon_areas_km2(np.array([polygon]), 4326)[0] == pytest.approx(
        area_km2(labels > 0, grid), rel=1e-6
    )


def test_no_label_gives_no_polygon():
    numbers, polygons = outline_labels(np.zeros((5, 5), np.int32), grid_called("utm", (5, 5)))
    assert len(numbers) == len(polygons) == 0
