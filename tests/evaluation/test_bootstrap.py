"""What chance may do to a score: draws of blocks and of seeds, and the intervals they give."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glacier_ml.evaluation.bootstrap import (
    bootstrap_difference,
    defined_mean,
    draw_blocks,
    draw_seeds,
    iou_interval,
    middle,
    spatial_blocks,
)


def test_blocks_cover_the_grid_from_one():
    blocks = spatial_blocks((130, 64), 64)
    assert np.unique(blocks, return_counts=True)[1].tolist() == [64 * 64, 64 * 64, 2 * 64]
    assert blocks[0, 0] == 1


def test_interval_of_two_blocks_worked_by_hand():
    # Block 1: first wrong, second right (IoU 0 and 1 of 4 px); block 2: both right. Resamples are
    # {1,1}: 1 - 0; {2,2}: 1 - 1; {1,2}: 1 - 4/8. Of many, a quarter each at the ends: [0, 1].
    truth = np.ones((2, 4), dtype=bool)
    first = np.array([[0, 0, 1, 1]] * 2, dtype=bool)
    interval = bootstrap_difference(truth, first, truth, spatial_blocks((2, 4), 2))
    assert (interval.difference, interval.low, interval.high) == (0.5, 0.0, 1.0)
    assert not interval.distinguishable


def test_interval_of_an_iou_worked_by_hand():
    # Of 6 blocks of 4 px half are all right and half all wrong. k right ones are drawn with chance
    # C(6, k) / 64: IoU k / 6; 0 and 1 have 1.6 % each, less than the 2.5 % cut off at either end, and 1/6 and
    # 5/6 have 9.4 % each.
    right, wrong = [4, 0, 0, 0], [0, 3, 1, 7]
    low, high = iou_interval([np.array([right, wrong] * 3)], repeats=4000)
    assert (low, high) == (pytest.approx(1 / 6), pytest.approx(5 / 6))


def test_interval_of_a_mean_over_scenes_is_narrower_than_of_one():
    scene = np.array([[4, 0, 0, 0], [0, 3, 1, 7]] * 3)
    one, two = iou_interval([scene]), iou_interval([scene] * 2)
    assert one[0] < two[0] and two[1] < one[1]


@pytest.mark.parametrize("blocks", [[], [5], [12, 1]])
def test_too_few_blocks_give_no_interval(blocks):
    counts = [np.ones((number, 4), dtype=int) for number in blocks]
    assert all(math.isnan(bound) for bound in iou_interval(counts))


def test_pixels_of_block_zero_do_not_count():
    truth = np.ones((2, 6), dtype=bool)
    blocks = np.array([[1, 1, 2, 2, 0, 0]] * 2)
    second = np.array([[1, 1, 1, 1, 0, 0]] * 2, dtype=bool)
    assert bootstrap_difference(truth, truth, second, blocks).difference == 0


def test_several_scenes_give_the_difference_of_mean_ious():
    # scene 1: second - first = 1 - 1/2; scene 2: 0 - 1; the mean is -1/4
    truth = np.ones((1, 4), dtype=bool)
    half = np.array([[1, 0, 1, 0]], dtype=bool)
    blocks = np.array([[1, 1, 2, 2]])
    interval = bootstrap_difference([truth, truth], [half, truth], [truth, ~truth], [blocks, blocks])
    assert interval.difference == -0.25
    # every block of a scene is alike, so every resample is too
    assert (interval.low, interval.high) == (-0.25, -0.25)
    assert interval.distinguishable


def test_one_block_tells_nothing_of_chance():
    truth = np.ones((2, 2), dtype=bool)
    interval = bootstrap_difference(truth, ~truth, truth, spatial_blocks((2, 2), 64))
    assert interval.difference == 1
    assert math.isnan(interval.low) and math.isnan(interval.high) and not interval.distinguishable


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_swapping_the_maps_turns_the_interval_around(seed):
    random = np.random.default_rng(seed)
    truth, first, second = random.random((3, 16, 16)) < 0.5
    blocks = spatial_blocks((16, 16), 4)
    there = bootstrap_difference(truth, first, second, blocks, repeats=50)
    back = bootstrap_difference(truth, second, first, blocks, repeats=50)
    np.testing.assert_allclose(
        (back.difference, back.low, back.high), (-there.difference, -there.high, -there.low)
    )
    assert there.low <= there.high


def test_interval_covers_the_difference_of_equal_maps_about_as_often_as_it_says():
    # Two maps with independent errors in whole blocks: their true difference is 0.
    random = np.random.default_rng(0)
    blocks = spatial_blocks((64, 64), 8)
    truth = np.ones((64, 64), dtype=bool)
    covered = 0
    for _ in range(100):
        wrong = random.random((2, blocks.max() + 1)) < 0.3
        interval = bootstrap_difference(truth, ~wrong[0][blocks], ~wrong[1][blocks], blocks, repeats=200)
        covered += interval.low <= 0 <= interval.high
    assert 88 <= covered <= 100  # 95 % +- 3 standard errors of 100 trials


def test_a_draw_takes_as_many_blocks_as_there_are():
    drawn = draw_blocks(7, 50, np.random.default_rng(0))
    assert drawn.shape == (50, 7) and (drawn.sum(axis=1) == 7).all() and (drawn == 0).any()


def test_the_drawn_seeds_have_the_variance_of_a_mean_of_trainings():
    # Of the values 0, 3, 6 the variance is 9 (numpy's ddof=1), that of their mean 9 / 3 = 3.
    weights = draw_seeds(3, 40_000, np.random.default_rng(0))
    means = weights @ np.array([0.0, 3.0, 6.0])
    assert means.mean() == pytest.approx(3, abs=0.05)
    assert means.var() == pytest.approx(np.var([0, 3, 6], ddof=1) / 3, rel=0.03)
    assert set(np.unique(weights)) == {0, 0.5, 1}


def test_a_mean_leaves_out_what_is_undefined():
    values = np.array([[1.0, np.nan], [3.0, 5.0], [np.nan, np.nan]])
    np.testing.assert_array_equal(defined_mean(values, axis=1), [1, 4, np.nan])
    weights = np.array([[0.5, 0.5], [0.25, 0.75], [0.5, 0.5]])
    np.testing.assert_array_equal(defined_mean(values, axis=1, weights=weights), [1, 4.5, np.nan])


def test_the_middle_of_draws_that_are_seldom_defined_is_undefined():
    assert np.isnan(middle(np.full(3, np.nan))).all()
    assert np.isnan(middle(np.array([1.0, 1.0, np.nan, np.nan, np.nan]))).all()
    assert middle(np.array([1.0, 1.0, np.nan, np.nan])) == (1, 1)
    # 0, 1 ... 1000: 2.5 % of the way from 0 to 1000 is 25
    assert middle(np.append(np.arange(1001.0), np.nan)) == (25, 975)
