"""Polygons made valid: what is enclosed stays, holes stay, nothing is invented."""

import numpy as np
import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_outlines import rectangle, write_outlines
from shapely.geometry import GeometryCollection, LineString, MultiPolygon, Point, Polygon, box

from glacier_ml.scenes.outlines import OutlineWarning, read_mask
from glacier_ml.scenes.vectors.mending import Mending, find_duplicates, mend, polygons_of

BOW = Polygon([(0, 0), (4, 4), (4, 0), (0, 4)])
POINTS = st.tuples(st.integers(0, 20), st.integers(0, 20))
RINGS = st.lists(POINTS, min_size=3, max_size=12)


def mended(*geometries, geographic=False):
    polygons, kept, mending = mend(np.array([*geometries, None], dtype=object)[:-1], geographic)
    return list(polygons), kept.tolist(), mending


def test_a_bow_tie_becomes_its_two_triangles():
    (polygon,), _, mending = mended(BOW)
    # Two triangles of base 4 and height 2.
    assert polygon.area == 8
    assert polygon.is_valid
    assert mending == Mending(mended=1)


def test_ground_enclosed_twice_counts_once():
    twice = MultiPolygon([box(0, 0, 4, 4), box(2, 0, 6, 4)])
    (polygon,), _, mending = mended(twice)
    assert polygon.area == 24
    assert mending.mended == 1


def test_holes_stay_holes():
    holed = box(0, 0, 10, 10).difference(box(3, 3, 5, 5))
    (polygon,), _, mending = mended(holed)
    assert polygon.equals(holed)
    assert mending == Mending()
    crossing = Polygon(BOW.exterior.coords, [[(3.2, 1.8), (3.4, 1.8), (3.4, 2.0), (3.2, 2.0)]])
    (polygon,), _, _ = mended(crossing)
    assert polygon.area == pytest.approx(8 - 0.04)


def test_a_hole_outside_of_its_polygon_is_no_ground():
    (polygon,), _, mending = mended(
        Polygon(box(0, 0, 4, 4).exterior.coords, [box(6, 6, 9, 9).exterior.coords])
    )
    assert polygon.equals(box(0, 0, 4, 4))
    assert mending.mended == 1


def test_what_cannot_be_used_is_left_out_and_counted():
    hollow = Polygon([(0, 0), (1, 1), (2, 2)])
    with np.errstate(invalid="ignore"):
        endless = Polygon([(0, 0), (1, float("nan")), (2, 2)])
    polygons, kept, mending = mended(None, Polygon(), hollow, endless, box(0, 0, 1, 1))
    assert kept == [False, False, False, False, True]
    assert mending == Mending(empty=4)


def test_lines_and_points_are_no_outlines_and_not_counted():
    polygons, kept, mending = mended(Point(0, 0), LineString([(0, 0), (1, 1)]), box(0, 0, 1, 1))
    assert kept == [False, False, True]
    assert mending == Mending()


def test_of_a_collection_the_polygons_count():
    nested = GeometryCollection([Point(9, 9), GeometryCollection([box(0, 0, 2, 2), box(1, 0, 3, 2)])])
    (polygon,), _, _ = mended(GeometryCollection([nested, LineString([(0, 0), (9, 9)])]))
    assert polygon.area == 6
    assert polygons_of(GeometryCollection([Point(0, 0)])).is_empty


def test_space_is_flattened():
    (polygon,), _, mending = mended(shapely.force_3d(box(0, 0, 1, 1), 812.5))
    assert not polygon.has_z
    assert mending == Mending()


def test_a_leap_over_the_180th_meridian_is_no_fault():
    leaping = Polygon([(179, 60), (-179, 60), (-179, 61), (179, 61)])
    halves = MultiPolygon([box(179, 60, 180, 61), box(-180, 60, -179, 61)])
    for given_ in (leaping, halves):
        (polygon,), _, mending = mended(given_, geographic=True)
        assert polygon.bounds == (179, 60, 181, 61)
        assert polygon.area == 2
        assert mending == Mending()
    around = box(-180, -90, 180, -80)
    (polygon,), _, _ = mended(around, geographic=True)
    assert polygon.equals(around)


@settings(max_examples=500, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(shell=RINGS, hole=RINGS)
def test_mending_adds_no_ground_beyond_the_hull(shell, hole):
    drawn = Polygon(shell, [hole])
    polygons, kept, mending = mended(drawn)
    assert mending.mended + mending.empty <= 1
    for polygon in polygons:
        assert polygon.is_valid
        assert polygon.geom_type in ("Polygon", "MultiPolygon")
        hull = shapely.convex_hull(drawn)
        assert polygon.area <= hull.area * (1 + 1e-9)
        assert polygon.difference(hull.buffer(1e-9)).area < 1e-9
    if drawn.is_valid and drawn.area:
        assert polygons[0].equals(drawn)
        assert mending == Mending()


@settings(max_examples=200, deadline=None, derandomize=True)
@given(shapes=st.lists(RINGS.map(Polygon), min_size=1, max_size=5), copies=st.integers(1, 3))
def test_copies_are_duplicates_and_nothing_else(shapes, copies):
    polygons, _, _ = mended(*shapes)
    polygons = np.array([*polygons, None], dtype=object)[:-1]
    once = find_duplicates(polygons, [""] * len(polygons), scoped=False)
    repeated = np.concatenate([polygons] * copies)
    found = find_duplicates(repeated, [""] * len(repeated), scoped=False)
    assert found.sum() == once.sum() + (copies - 1) * len(polygons)
    np.testing.assert_array_equal(found[: len(polygons)], once)


def test_the_same_ring_from_another_point_is_the_same():
    first = Polygon([(0, 0), (4, 0), (4, 4), (0, 4)])
    again = Polygon([(4, 4), (0, 4), (0, 0), (4, 0)])
    backwards = Polygon([(0, 4), (4, 4), (4, 0), (0, 0)])
    shapes = np.array([first, again, backwards], dtype=object)
    assert find_duplicates(shapes, [""] * 3, scoped=False).tolist() == [False, True, True]
    # GLIMS repeats a shape at another date; RGI's two ids of one shape are one glacier.
    assert find_duplicates(shapes, ["a", "b", "a"], scoped=True).tolist() == [False, False, True]
    assert find_duplicates(shapes, ["a", "b", "a"], scoped=False).tolist() == [False, True, True]


def test_an_id_drawn_twice_on_the_same_ground_keeps_the_larger_and_parts_apart_stay():
    # Of 16 the second shares 9 of its 9; the third lies apart; the fourth shares 4 of 12.
    shapes = [box(0, 0, 4, 4), box(1, 1, 4, 4), box(9, 9, 10, 10), box(2, 2, 4, 8)]
    found = find_duplicates(np.array(shapes, dtype=object), ["a"] * 4, scoped=False)
    assert found.tolist() == [False, True, False, False]
    unnamed = find_duplicates(np.array(shapes, dtype=object), [""] * 4, scoped=False)
    assert unnamed.tolist() == [False] * 4


def test_all_of_it_is_told_in_one_warning(tmp_path, tiny_grid):
    grid = tiny_grid()
    west, north = grid.transform @ (2, 2)
    # A bow tie over 10 x 10 pixels: its centres that lie in the left and right triangle.
    bow = Polygon([(west, north), (west + 300, north - 300), (west + 300, north), (west, north - 300)])
    shapes = [bow, rectangle(grid, 15, 15, 18, 18), rectangle(grid, 15, 15, 18, 18), None]
    path = write_outlines(tmp_path / "glims.geojson", shapes, 32606)
    with pytest.warns(OutlineWarning) as told:
        mask = read_mask(path, grid)
    # A row without a shape lies in no window; GDAL leaves it out.
    assert [str(one.message) for one in told] == [
        "glims.geojson: 1 invalid polygon mended, 1 duplicate left out"
    ]
    # Centres on the diagonals may fall to either side: 50 pixels give or take 10, and 9.
    assert mask.sum() - 9 == pytest.approx(50, abs=10)
    assert not mask[2:5, 6:8].any()
