"""Tallies: counts of blocks that add up to those of the map."""

from dataclasses import fields

import numpy as np
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.crs import CRS

from glacier_ml.errors import GlacierError
from glacier_ml.evaluation.boundaries import pixel_size_m
from glacier_ml.evaluation.scores import score_tally
from glacier_ml.evaluation.tallies import occupied_blocks, tally_map
from glacier_ml.learning.splits import number_blocks
from glacier_ml.products.areas import area_km2
from glacier_ml.scenes.scene import Grid, Scene

PIXEL = (30.0, 30.0)
BLOCK = 5
seeds = st.integers(0, 2**32 - 1)
COUNTED = ("confusion", "squared", "bins", "matched", "distances")


def drawn(seed, shape=(17, 23)):
    """Truth, probability and valid pixels of a scene in patches."""
    random = np.random.default_rng(seed)
    smooth = random.random((2, 6, 8)).repeat(3, 1).repeat(3, 2)[:, : shape[0], : shape[1]]
    probability = np.clip(smooth[1] + random.normal(0, 0.1, shape), 0, 1)
    return smooth[0] < 0.5, probability.astype(np.float32), random.random(shape) < 0.9


def tallied(truth, probability, valid, blocks=None):
    blocks = number_blocks(truth.shape, BLOCK) if blocks is None else blocks
    return tally_map(truth, probability >= 0.5, valid, blocks, PIXEL, probability)


def assert_equal(first, second):
    for name in COUNTED:
        np.testing.assert_allclose(getattr(first, name), getattr(second, name), err_msg=name, atol=1e-9)


def test_two_blocks_worked_by_hand():
    #   truth   1 1 0 | 0 0 0      mapped  1 1 1 | 0 0 0      blocks 1 | 2
    #           1 1 0 | 0 1 0              1 0 0 | 0 0 0      pixel (0, 5) is not valid
    truth = np.array([[1, 1, 0, 0, 0, 0], [1, 1, 0, 0, 1, 0]], dtype=bool)
    mapped = np.array([[1, 1, 1, 0, 0, 0], [1, 0, 0, 0, 0, 0]], dtype=bool)
    valid = np.ones((2, 6), dtype=bool)
    valid[0, 5] = False
    probability = np.where(mapped, 0.75, 0.25)
    tally = tally_map(truth, mapped, valid, number_blocks((2, 6), 3), (30.0, 30.0), probability)
    assert tally.confusion.tolist() == [[3, 1, 1, 1], [0, 0, 1, 4]]
    # right by .25, wrong by .75: 4 x .0625 + 2 x .5625; 4 x .0625 + .5625
    np.testing.assert_allclose(tally.squared, [1.375, 0.8125])
    # .25 is in bin 3 (.2 to .267), .75 in bin 11 (.733 to .8)
    assert tally.bins[0, [3, 11]].tolist() == [[2, 0.5, 1], [4, 3, 3]]
    assert tally.bins[1, [3, 11]].tolist() == [[5, 1.25, 1], [0, 0, 0]]
    # map's boundary: (0, 1) above (1, 1), (0, 2), (1, 0); truth's: (0, 1), (1, 1), and in block 2 (1, 4).
    # Within 1 px of the truth's: all three, as (0, 1) is in both and (0, 2), (1, 0) lie beside; within 1 px
    # of the map's: (0, 1) and (1, 1); (1, 4) is 2.24 px from (0, 2)
    assert tally.matched[:, 0].tolist() == [[3, 3, 2, 2], [0, 0, 1, 0]]
    assert tally.matched[:, 1].tolist() == [[3, 3, 2, 2], [0, 0, 1, 0]]
    steps = {float(step): place for place, step in enumerate(tally.edges)}
    assert tally.distances[0, :, [steps[0.0], steps[30.0]]].tolist() == [[1, 1], [2, 1]]
    assert tally.distances[1, 1, steps[round(30 * 5**0.5, 6)]] == 1
    assert tally.distances.sum() == 6
    assert tally.pixel_area_km2 == pytest.approx(0.0009)


@settings(max_examples=30, deadline=None)
@given(seeds)
def test_blocks_add_up_to_the_map(seed):
    truth, probability, valid = drawn(seed)
    total = tallied(truth, probability, valid).total
    whole = tallied(truth, probability, valid, np.ones(truth.shape, dtype=int)).total
    assert_equal(total, whole)
    expected = score_tally(whole)
    for name, value in score_tally(total).items():
        np.testing.assert_allclose(value, expected[name], err_msg=name)


@settings(max_examples=20, deadline=None)
@given(seeds)
def test_a_resample_adds_blocks_as_often_as_they_were_drawn(seed):
    tally = tallied(*drawn(seed))
    blocks = len(tally.confusion)
    random = np.random.default_rng(seed)
    drawn_blocks = random.integers(0, blocks, (3, blocks))
    weights = np.stack([np.bincount(one, minlength=blocks) for one in drawn_blocks])
    resampled = tally.resampled(np.vstack([np.ones(blocks), weights]))
    for name in COUNTED:
        counts, found = getattr(tally, name), getattr(resampled, name)
        np.testing.assert_allclose(found[0], getattr(tally.total, name), atol=1e-9)
        np.testing.assert_allclose(found[1:], [counts[one].sum(axis=0) for one in drawn_blocks], atol=1e-9)


def test_scores_of_all_draws_at_once_are_those_of_each():
    tally = tallied(*drawn(1))
    weights = np.random.default_rng(0).multinomial(len(tally.confusion), [1 / 20] * 20, size=6)
    together = score_tally(tally.resampled(weights))
    for draw, weight in enumerate(weights):
        alone = score_tally(tally.resampled(weight[None]).total)
        for name, values in together.items():
            assert values.shape == (6,)
            np.testing.assert_allclose(values[draw], alone[name], err_msg=name)


def test_pixels_of_block_0_and_invalid_ones_count_nowhere():
    truth, probability, valid = drawn(2)
    blocks = np.where(np.arange(truth.shape[1]) < 12, number_blocks(truth.shape, BLOCK), 0)
    tally = tallied(truth, probability, valid, blocks)
    counted = valid & (blocks > 0)
    assert tally.total.confusion.sum() == tally.total.bins[:, 0].sum() == counted.sum()
    # what a map says where nobody counts changes no count but the nearest boundary's
    other = np.where(counted, probability, np.nan)
    again = tally_map(truth, probability >= 0.5, valid, blocks, PIXEL, other)
    assert_equal(tally, again)


def test_the_nearest_boundary_may_lie_in_another_block():
    truth = np.broadcast_to(np.arange(12) < 3, (4, 12))
    mapped = np.broadcast_to(np.arange(12) < 8, (4, 12))
    tally = tally_map(truth, mapped, np.ones((4, 12), dtype=bool), number_blocks((4, 12), 6), PIXEL)
    assert score_tally(tally)["distance_mean_m"].tolist() == [150, 150]


def test_a_block_without_pixels_is_a_row_of_zeros():
    truth, probability, valid = drawn(3)
    tally = tallied(truth, probability, valid, np.where(number_blocks(truth.shape, BLOCK) == 4, 7, 0))
    assert len(tally.confusion) == 7
    assert not tally.confusion[:6].any() and tally.confusion[6].any()
    assert np.isnan(score_tally(tally)["iou"][:6]).all()


def test_part_of_the_ground_has_no_boundary():
    truth, probability, valid = drawn(4)
    tally = tally_map(
        truth, probability >= 0.5, valid, number_blocks(truth.shape, BLOCK), PIXEL, boundary=False
    )
    found = score_tally(tally.resampled(np.ones((2, len(tally.confusion)))))
    undefined = {name for name, values in found.items() if np.isnan(values).all()}
    assert undefined == {
        "boundary_f1_1px",
        "boundary_f1_2px",
        "distance_mean_m",
        "distance_median_m",
        "distance_p95_m",
        "ece",
        "brier",
    }
    assert {values.shape for values in found.values()} == {(2,)}


def test_the_area_is_that_of_the_ellipsoid():
    shape = (40, 60)
    grid = Grid(CRS.from_epsg(32606), Affine(30, 0, 420_000, 0, -30, 6_780_000), shape)
    scene = Scene("made", {}, np.ones(shape, dtype=bool), grid)
    mask = np.indices(shape).sum(axis=0) < 50
    tally = tally_map(
        ~mask, mask, scene.valid, np.ones(shape, dtype=int), pixel_size_m(scene), boundary=False
    )
    mapped = tally.total.confusion[1] * tally.pixel_area_km2
    assert mapped == pytest.approx(area_km2(mask, grid), rel=1e-4)


def test_the_same_steps_for_every_map_of_a_scene():
    truth, probability, valid = drawn(5)
    assert tallied(truth, probability, valid).edges.tolist() == tallied(truth, truth, valid).edges.tolist()


def test_blocks_are_numbered_anew_where_they_hold_pixels():
    blocks = np.array([[1, 1, 2, 2], [3, 3, 0, 4]])
    counted = np.array([[True, False, False, False], [True, True, True, True]])
    assert occupied_blocks(blocks, counted).tolist() == [[1, 0, 0, 0], [2, 2, 0, 3]]
    assert not occupied_blocks(blocks, np.zeros((2, 4), dtype=bool)).any()


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"mapped": np.zeros((3, 4), dtype=bool)}, r"one shape \(rows, columns\), came \(3, 3\), \(3, 4\)"),
        ({"blocks": np.full((3, 3), -1)}, "blocks are numbered from 1, 0 does not count, came -1"),
        ({"probability": np.full((3, 3), np.nan)}, "9 counted pixels lack a probability from 0 to 1"),
        ({"probability": np.full((3, 3), 1.5)}, "9 counted pixels lack a probability"),
    ],
)
def test_what_cannot_be_tallied_is_told(change, match):
    ones = np.ones((3, 3), dtype=bool)
    arguments = {"truth": ones, "mapped": ones, "valid": ones, "blocks": ones.astype(int), "pixel_m": PIXEL}
    with pytest.raises(GlacierError, match=match):
        tally_map(**(arguments | change))


def test_weights_must_fit_the_blocks():
    tally = tallied(*drawn(6))
    with pytest.raises(GlacierError, match=r"shape \(draws, 20 blocks\), came \(2, 3\)"):
        tally.resampled(np.ones((2, 3)))


def test_the_counted_fields_are_all_there_are():
    names = {field.name for field in fields(tallied(*drawn(7)))}
    assert names == {*COUNTED, "edges", "pixel_area_km2"}
