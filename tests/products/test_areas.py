"""Areas against the ellipsoid."""

import math
import tracemalloc

import numpy as np
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.crs import CRS

from glacier_ml.products import areas
from glacier_ml.products.areas import area_km2, pixel_areas
from glacier_ml.scenes.scene import Grid

UTM = CRS.from_epsg(32606)
PLACE = Affine(30, 0, 500_000, 0, -30, 6_780_000)


def test_area_on_utms_central_meridian():
    # The scale is .9996 there: 100 x 100 pixels of 30 m are 9 / .9996^2 = 9.007204 km2. 50 columns
    # beside it the scale is larger by (1500 / 6.39e6)^2 / 2 = 3e-8.
    grid = Grid(UTM, Affine(30, 0, 498_500, 0, -30, 6_780_000), (100, 100))
    assert area_km2(np.ones((100, 100), dtype=bool), grid) == pytest.approx(9.007204, rel=1e-6)


def test_area_of_a_geographic_grid_at_the_equator():
    # a square arc second: (pi / 648000)^2 x M N, with N = 6378137 m and M = 6335439.327 m (WGS 84)
    second = 1 / 3600
    grid = Grid(CRS.from_epsg(4326), Affine(second, 0, 10, 0, -second, second / 2), (1, 1))
    expected = (math.pi / 648000) ** 2 * 6378137 * 6335439.327 / 1e6
    assert area_km2(np.ones((1, 1), dtype=bool), grid) == pytest.approx(expected, rel=1e-8)


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from([4326, 32606, 32618, 3857, 3413, 3035, 2263]),
    st.floats(-60, 60),
    st.floats(0, 1),
    st.tuples(st.integers(1, 200), st.integers(1, 200)),
)
def test_area_is_that_of_the_geodesic_polygon(epsg, turn, where, shape):
    from pyproj import CRS as Projection  # noqa: N811 (rasterio's CRS has the name)
    from pyproj import Transformer

    # a point inside the projection's area of use, whatever its units; the grid may be turned
    projection = Projection.from_epsg(epsg)
    west, south, east, north = projection.area_of_use.bounds
    latitude = max(south, -80) + (min(north, 80) - max(south, -80)) * (0.2 + 0.6 * where)
    there = Transformer.from_crs(projection.geodetic_crs, projection, always_xy=True)
    x, y = there.transform(west + (east - west) * (0.2 + 0.6 * where), latitude)
    metre = 1 / 111_000 if projection.is_geographic else 1 / projection.axis_info[0].unit_conversion_factor
    transform = Affine.translation(x, y) @ Affine.rotation(turn) @ Affine.scale(30 * metre, -30 * metre)
    rows, columns = shape
    steps = np.linspace(0, 1, 50)[:-1]
    edge = [(columns * s, 0) for s in steps] + [(columns, rows * s) for s in steps]
    edge += [(columns * (1 - s), rows) for s in steps] + [(0, rows * (1 - s)) for s in steps]
    ring = np.array([transform @ corner for corner in edge])
    back = Transformer.from_crs(projection, projection.geodetic_crs, always_xy=True)
    polygon, _ = projection.get_geod().polygon_area_perimeter(*back.transform(*ring.T))
    grid = Grid(CRS.from_epsg(epsg), transform, shape)
    assert area_km2(np.ones(shape, dtype=bool), grid) == pytest.approx(abs(polygon) / 1e6, rel=2e-5)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_areas_of_parts_add_up(seed, share):
    grid = Grid(CRS.from_epsg(4326), Affine(0.01, 0, -147, 0, -0.01, 61), (130, 70))
    part = np.random.default_rng(seed).random(grid.shape) < share
    whole = area_km2(np.ones(grid.shape, dtype=bool), grid)
    assert area_km2(part, grid) + area_km2(~part, grid) == pytest.approx(whole, rel=1e-9)


def test_nodes_reach_every_edge():
    rows, columns, areas = pixel_areas(Grid(UTM, PLACE, (130, 1)))
    assert rows.tolist() == [0, 43, 86, 129]
    assert columns.tolist() == [0]
    assert areas.shape == (4, 1)


def test_area_across_the_date_line():
    grid = Grid(CRS.from_epsg(4326), Affine(0.01, 0, 179.9, 0, -0.01, 0.1), (20, 20))
    there = Grid(CRS.from_epsg(4326), Affine(0.01, 0, 10, 0, -0.01, 0.1), (20, 20))
    everything = np.ones((20, 20), dtype=bool)
    assert area_km2(everything, grid) == pytest.approx(area_km2(everything, there), rel=1e-9)


@settings(deadline=None)
@given(st.integers(1, 700))
def test_weights_are_those_of_linear_interpolation(length):
    nodes = areas._nodes(length)
    expected = np.stack([np.interp(np.arange(length), nodes, hat) for hat in np.eye(len(nodes))], axis=1)
    np.testing.assert_allclose(areas._weights(length, nodes).toarray(), expected, atol=1e-12)


def test_weights_of_a_long_scene_need_little_memory():
    nodes = areas._nodes(100_000)
    tracemalloc.start()
    areas._weights(100_000, nodes)
    # two weights and two places a pixel, some copies of them: well below the 1.25 GB of all pairs
    assert tracemalloc.get_traced_memory()[1] < 20e6
    tracemalloc.stop()
