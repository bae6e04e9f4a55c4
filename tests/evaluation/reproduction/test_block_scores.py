"""Scores from counts in blocks, and their intervals against scipy's t intervals."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_trials import content
from scipy import stats

from glacier_ml.errors import GlacierError
from glacier_ml.evaluation.metrics import confusion
from glacier_ml.evaluation.reproduction.block_scores import (
    compare_scores,
    count_blocks,
    resample,
    sweep_thresholds,
)

FIRST = np.array([0.9, 0.85, 0.95, 0.8, 0.9, 0.92, 0.7, 0.88])
SECOND = np.array([0.85, 0.86, 0.9, 0.78, 0.82, 0.9, 0.66, 0.86])
DRAWS = 20_000  # the bootstrap's variance is then within about 1 % of its own limit


def accuracy(accuracies, side=64, **options):
    return resample(content(accuracies, side), "accuracy", pooled=True, repeats=DRAWS, **options)


def test_a_paired_interval_is_that_of_the_paired_t_test_where_blocks_are_equal():
    found = compare_scores([accuracy(FIRST)], [accuracy(SECOND)])
    expected = stats.ttest_rel(FIRST, SECOND).confidence_interval(0.95)
    assert found.paired and found.blocks == 7
    assert found.difference == pytest.approx((FIRST - SECOND).mean())
    np.testing.assert_allclose([found.low, found.high], expected, rtol=0.03)


def test_an_unpaired_interval_is_welchs():
    found = compare_scores([accuracy(FIRST, side=96)], [accuracy(SECOND, side=288)])
    expected = stats.ttest_ind(FIRST, SECOND, equal_var=False).confidence_interval(0.95)
    assert not found.paired
    np.testing.assert_allclose([found.low, found.high], expected, rtol=0.03)


def test_comparisons_widen_the_interval_as_bonferroni_says():
    one = compare_scores([accuracy(FIRST)], [accuracy(SECOND)])
    seven = compare_scores([accuracy(FIRST)], [accuracy(SECOND)], comparisons=7)
    widened = (seven.high - seven.difference) / (one.high - one.difference)
    assert widened == pytest.approx(stats.t.ppf(1 - 0.025 / 7, 7) / stats.t.ppf(0.975, 7))


def test_intervals_of_few_blocks_hold_as_often_as_they_say():
    random = np.random.default_rng(0)
    held = 0
    for _ in range(400):
        pair = 0.8 + random.normal(0, 0.05, 6) + random.normal(0, 0.02, (2, 6))
        sides = [[resample(content(side), "accuracy", pooled=True, repeats=200)] for side in pair]
        found = compare_scores(*sides)
        held += found.low <= 0 <= found.high
    assert 0.92 < held / 400 < 0.98  # the true difference is 0


def test_scores_are_pooled_or_a_mean_over_scenes():
    counts = {"a": [[3, 1, 0, 0], [0, 0, 0, 4]], "b": [[8, 0, 8, 0], [0, 0, 0, 8]]}
    scenes = {name: {"block": [1, 2], "counts": table} for name, table in counts.items()}
    # pooled: 11 of 20 glacier or mapped; by scene 3 of 4 and 8 of 16. Accuracy: 23 of 32; 7 of 8, 16 of 24.
    expected = {("iou", True): 11 / 20, ("iou", False): 5 / 8}
    expected |= {("accuracy", True): 23 / 32, ("accuracy", False): (7 / 8 + 16 / 24) / 2}
    for (score, pooled), value in expected.items():
        assert resample({"scenes": scenes}, score, pooled).value == pytest.approx(value)


def test_a_scene_of_one_block_leaves_no_interval():
    lone = {
        "here": {"block": [4], "counts": [[3, 1, 0, 0]]},
        "there": {"block": [1, 2], "counts": [[1] * 4] * 2},
    }
    one = resample({"scenes": lone}, "iou", pooled=False)
    found = compare_scores([one], [one])
    assert np.isnan(one.draws).all()
    assert np.isnan([found.low, found.high]).all() and not found.beyond_chance


def test_trainings_that_differ_widen_the_interval():
    # No block differs from another: .8 and .9 against .8. The mean .85 has the variance .005 / 2, of which
    # one degree of freedom tells: .05 +- 12.706 sqrt(.0025).
    twice = [accuracy(np.full(5, level)) for level in (0.8, 0.9)]
    found = compare_scores(twice, [accuracy(np.full(5, 0.8))])
    assert found.difference == pytest.approx(0.05)
    assert found.high - found.difference == pytest.approx(12.706 * 0.05, rel=1e-3)


def test_an_interval_ends_where_scores_do():
    # .4 and .9 against .5: .15 +- 12.706 sqrt(.125 / 2) = 3.2 in either direction.
    twice = [accuracy(np.full(5, level)) for level in (0.4, 0.9)]
    found = compare_scores(twice, [accuracy(np.full(5, 0.5))])
    assert (found.low, found.high) == (-1, 1)


def test_two_cuts_of_the_same_networks_differ_by_what_their_differences_do():
    # Blocks are alike, so that the trainings alone vary: each network loses .1 and .12 by its other cut.
    # Unmatched .8 and .9 against .7 and .78: variances .005 / 2 and .0032 / 2; matched .0002 / 2.
    first = [accuracy(np.full(5, level)) for level in (0.8, 0.9)]
    second = [accuracy(np.full(5, level)) for level in (0.7, 0.78)]
    found = compare_scores(first, second, matched=True)
    assert found.difference == pytest.approx(0.11)
    assert found.high - found.difference == pytest.approx(12.706 * 0.01, rel=1e-3)
    apart = compare_scores(first, second)
    assert apart.high - apart.difference > 4 * np.sqrt((0.005 + 0.0032) / 2)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=9), st.sampled_from(["accuracy", "iou"]))
@settings(max_examples=25, deadline=None)
def test_a_trial_never_differs_from_itself(accuracies, score):
    one = resample(content(accuracies), score, pooled=False, repeats=50)
    found = compare_scores([one], [one], comparisons=3)
    assert found.difference == found.low == found.high == 0 and not found.beyond_chance


@pytest.mark.parametrize(
    "wrong",
    [{}, {"scenes": []}, {"scenes": {"a": {"block": [1]}}}, {"scenes": {"a": {"block": [1], "counts": []}}}],
)
def test_what_is_no_block_file_is_told(wrong):
    with pytest.raises(GlacierError, match=r"validation_blocks.json: needs scenes with block and counts"):
        resample(wrong, "iou", pooled=True)


def test_blocks_without_a_pixel_are_told():
    with pytest.raises(GlacierError, match="holds no pixel"):
        resample({"scenes": {"a": {"block": [1], "counts": [[0, 0, 0, 0]]}}}, "iou", pooled=True)


def test_counts_of_blocks_add_up_to_the_confusion_of_the_map():
    random = np.random.default_rng(1)
    truth, mapped, shown = random.random((3, 50, 70)) < np.array([0.4, 0.5, 0.8])[:, None, None]
    found = count_blocks(truth, mapped, shown, side=16)
    whole = confusion(truth, mapped, shown)
    kinds = (whole.true_positive, whole.false_positive, whole.false_negative, whole.true_negative)
    assert np.sum(found["counts"], axis=0).tolist() == list(kinds)
    assert found["block"] == list(range(1, 21))  # 4 x 5 blocks


def test_a_sweep_of_thresholds_scores_each_as_a_trial():
    probability = np.array([[0.2, 0.6, np.nan], [0.8, 0.4, 0.9]])
    truth = np.array([[False, True, True], [True, False, False]])
    maps = {"a": (truth, probability, np.ones((2, 3), bool))}
    trials, blocks = sweep_thresholds(maps, (0.5, 0.7), ("wished_threshold", "sound", 4))
    assert trials["threshold"].tolist() == [0.5, 0.7] and trials["seed"].tolist() == [4, 4]
    assert blocks["wished_threshold", "sound", 4, 0]["scenes"]["a"]["counts"] == [[2, 1, 0, 2]]
    assert blocks["wished_threshold", "sound", 4, 1]["scenes"]["a"]["counts"] == [[1, 1, 1, 2]]
