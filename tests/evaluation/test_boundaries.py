"""Boundaries and their distances, by hand and against scipy's brute force."""

import numpy as np
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.crs import CRS
from scipy.spatial.distance import cdist

from glacier_ml.evaluation.boundaries import (
    boundary,
    distance_steps,
    distances,
    nearest_step,
    pixel_size_m,
    within,
)
from glacier_ml.scenes.scene import Grid, Scene

seeds = st.integers(0, 2**32 - 1)
pixels = st.sampled_from([(30.0, 30.0), (30.0, 15.0), (10.0, 30.0)])


def drawn(rows):
    return np.array([[mark == "#" for mark in row] for row in rows])


def scene_of(shape=(60, 80), crs="EPSG:32606", transform=None):
    grid = Grid(CRS.from_string(crs), transform or Affine(30, 0, 500_000, 0, -30, 6_700_000), shape)
    return Scene("made", {}, np.ones(shape, dtype=bool), grid)


def test_a_boundary_is_glacier_beside_other_ground():
    mask = drawn(["......", ".####.", ".####.", ".####.", "......"])
    expected = drawn(["......", ".####.", ".#..#.", ".####.", "......"])
    np.testing.assert_array_equal(boundary(mask, np.ones_like(mask)), expected)


def test_nobody_sees_glacier_end_at_the_edge_or_beside_no_data():
    mask = drawn(["##..", "##..", "##.."])
    assert not boundary(np.ones_like(mask), np.ones_like(mask)).any()
    valid = drawn(["##..", "####", "#..#"])
    # row 0: its other ground is not valid; row 1: is; row 2: the glacier left of it is not valid
    np.testing.assert_array_equal(boundary(mask, valid), drawn(["....", ".#..", "...."]))


def test_a_corner_alone_is_no_neighbour():
    mask = drawn(["###", "###", "##."])
    np.testing.assert_array_equal(boundary(mask, np.ones_like(mask)), drawn(["...", "..#", ".#."]))


def test_within_is_a_disc_of_pixel_centres():
    marks = drawn([".....", ".....", "..#..", ".....", "....."])
    np.testing.assert_array_equal(within(marks, 1), drawn([".....", "..#..", ".###.", "..#..", "....."]))
    # two pixels: straight ones and the corner at 1.41, not those at 2.24
    np.testing.assert_array_equal(within(marks, 2), drawn(["..#..", ".###.", "#####", ".###.", "..#.."]))


def test_distances_of_worked_boundaries():
    origin, target = drawn(["#...", "....", "...#"]), drawn([".#..", "....", "...."])
    # (0, 0): one column; (2, 3): two rows and two columns
    found = distances(origin, target, (30.0, 15.0))
    np.testing.assert_allclose(found, [15, np.hypot(60, 30)])
    assert distances(origin, np.zeros_like(target), (30.0, 30.0)).tolist() == [np.inf, np.inf]
    assert distances(np.zeros_like(origin), target, (30.0, 30.0)).shape == (0,)


@settings(max_examples=30, deadline=None)
@given(seeds, pixels)
def test_distances_are_those_of_brute_force(seed, pixel_m):
    origin, target = np.random.default_rng(seed).random((2, 13, 17)) < 0.1
    target[0, 0] = True
    every = cdist(np.argwhere(origin) * pixel_m, np.argwhere(target) * pixel_m)
    np.testing.assert_allclose(distances(origin, target, pixel_m), every.min(axis=1))


@settings(max_examples=30, deadline=None)
@given(seeds, st.sampled_from([1, 2]))
def test_within_is_a_distance_of_so_many_pixels(seed, tolerance):
    marks = np.random.default_rng(seed).random((9, 12)) < 0.1
    marks[4, 4] = True
    near = distances(np.ones_like(marks), marks, (1.0, 1.0)).reshape(marks.shape) <= tolerance
    np.testing.assert_array_equal(within(marks, tolerance), near)


@pytest.mark.parametrize("pixel_m", [(30.0, 30.0), (30.0, 15.0), (29.97, 30.01)])
def test_steps_are_exact_near_and_within_half_a_percent_far(pixel_m):
    shape = (90, 200)
    steps = distance_steps(shape, pixel_m)
    assert (np.diff(steps) > 0).all()
    rows, columns = np.indices(shape)
    every = np.hypot(rows * pixel_m[0], columns * pixel_m[1]).ravel()
    rounded = steps[nearest_step(every, steps)]
    near = every <= 8 * max(pixel_m)
    np.testing.assert_allclose(rounded[near], every[near], atol=1e-6)
    np.testing.assert_allclose(rounded, every, rtol=0.005)
    assert len(steps) < 800


def test_steps_of_a_single_pixel():
    assert distance_steps((1, 1), (30.0, 30.0)).tolist() == [0]


def test_a_pixel_is_measured_on_the_ground():
    # on UTM's central meridian the map is .9996 of the ground: 30 m on the map are 30.012 m
    assert pixel_size_m(scene_of()) == pytest.approx((30 / 0.9996,) * 2, rel=1e-5)
    # a thousandth of a degree at the equator: 6378137 m * pi / 180000 = 111.319 m along it, and
    # (1 - e^2) of that, .9933056, across
    equator = scene_of(crs="EPSG:4326", transform=Affine(0.001, 0, 0, 0, -0.001, 0.03))
    assert pixel_size_m(equator) == pytest.approx((111.319 * 0.9933056, 111.319), rel=1e-5)


def test_a_pixel_at_60_degrees_is_half_as_wide():
    north = scene_of(crs="EPSG:4326", transform=Affine(0.001, 0, 0, 0, -0.001, 60.03))
    row_m, column_m = pixel_size_m(north)
    # N cos(60) with N = a / sqrt(1 - e^2 sin^2) = 6394209 m, M = a (1 - e^2) / (...)^1.5 = 6383454 m
    assert column_m == pytest.approx(6394209 * 0.5 * np.pi / 180_000, rel=1e-4)
    assert row_m == pytest.approx(6383454 * np.pi / 180_000, rel=1e-4)


@pytest.mark.real_data
def test_distances_of_real_outlines_are_those_of_the_distance_transform(real_scenes):
    from scipy.ndimage import distance_transform_edt

    from glacier_ml.scenes.catalog import open_catalog

    entries = {entry.name: entry for entry in open_catalog(real_scenes).entries}
    held, earlier = (entries[f"columbia-{year}"].load() for year in (2009, 2007))
    pixel_m = pixel_size_m(held.scene)
    now, then = (boundary(one.truth, held.scene.valid) for one in (held, earlier))
    expected = distance_transform_edt(~then, sampling=pixel_m)[now]
    np.testing.assert_allclose(distances(now, then, pixel_m), expected)
    assert expected.max() > 240  # beyond the steps that are exact, so that rounding is seen
    steps = distance_steps(now.shape, pixel_m)
    np.testing.assert_allclose(steps[nearest_step(expected, steps)], expected, rtol=0.005)
