"""Every score worked by hand from a map, and against other tools."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from glacier_ml.evaluation.boundaries import boundary
from glacier_ml.evaluation.metrics import Confusion
from glacier_ml.evaluation.scores import SCORES, pixel_scores, score_tally
from glacier_ml.evaluation.tallies import tally_map

PIXEL = (30.0, 30.0)
seeds = st.integers(0, 2**32 - 1)


def scored(truth, mapped, valid=None, **options):
    """Scores of a whole map as numbers."""
    valid = np.ones(truth.shape, dtype=bool) if valid is None else valid
    tally = tally_map(truth, mapped, valid, np.ones(truth.shape, dtype=int), PIXEL, **options)
    return {name: float(value) for name, value in score_tally(tally.total).items()}


def halves(edge, shape=(10, 20)):
    """Glacier left of a column."""
    return np.broadcast_to(np.arange(shape[1]) < edge, shape)


def blobs(seed, shape=(16, 20)):
    """Two masks of a few patches and the pixels that are valid."""
    noise = np.random.default_rng(seed).random((3, shape[0] // 4, shape[1] // 4)).repeat(4, 1).repeat(4, 2)
    holes = np.random.default_rng(seed).random((2, *shape)) < 0.05
    return (noise[0] < 0.5) ^ holes[0], (noise[1] < 0.5) ^ holes[1], noise[2] < 0.9


def test_every_score_is_described_in_the_order_of_its_table():
    found = scored(halves(5), halves(6))
    assert list(found) == list(SCORES)
    for name, score in SCORES.items():
        assert score.name == name and score.label and score.definition and score.reference
        assert score.better in ("higher", "lower", "nearer 0")
    assert {name: score.unit for name, score in SCORES.items() if score.unit} == {
        "distance_mean_m": "m",
        "distance_median_m": "m",
        "distance_p95_m": "m",
        "area_error_km2": "km2",
        "area_error_percent": "%",
    }


def test_a_map_one_column_too_wide():
    # 10 x 20 px, 50 glacier, 60 mapped: TP 50, FP 10, FN 0, TN 140
    found = scored(halves(5), halves(6))
    assert found["accuracy"] == pytest.approx(190 / 200)
    assert found["precision"] == pytest.approx(50 / 60)
    assert found["recall"] == 1
    assert found["f1"] == pytest.approx(100 / 110)
    assert found["iou"] == pytest.approx(50 / 60)
    # right by chance (60 * 50 + 140 * 150) / 200^2 = .6; (.95 - .6) / .4
    assert found["kappa"] == pytest.approx(0.875)
    # boundaries are the columns 4 and 5, 30 m apart
    assert found["boundary_f1_1px"] == found["boundary_f1_2px"] == 1
    assert [found[f"distance_{name}_m"] for name in ("mean", "median", "p95")] == [30, 30, 30]
    # 10 px of 900 m2
    assert found["area_error_km2"] == pytest.approx(0.009)
    assert found["area_error_percent"] == pytest.approx(20)


def test_a_map_two_columns_too_narrow():
    found = scored(halves(5), halves(3))
    assert (found["boundary_f1_1px"], found["boundary_f1_2px"]) == (0, 1)
    assert found["distance_p95_m"] == 60
    assert found["area_error_km2"] == pytest.approx(-0.018)
    assert found["area_error_percent"] == pytest.approx(-40)


def test_distances_with_a_false_alarm_far_away():
    # Both boundaries hold column 4, 10 px, at 0 m; the map has one pixel more, (0, 14), 10 columns away.
    mapped = halves(5).copy()
    mapped[0, 14] = True
    found = scored(halves(5), mapped)
    # P = 10 / 11, R = 1: 2 P / (P + 1) = 20 / 21
    assert found["boundary_f1_1px"] == pytest.approx(20 / 21)
    assert found["distance_mean_m"] == pytest.approx(300 / 21, rel=0.005)  # 8 px and more are rounded
    assert found["distance_median_m"] == 0
    # 95 % of 11 are 10.45: the eleventh, 300 m, is needed; back, all are 0
    assert found["distance_p95_m"] == pytest.approx(300, rel=0.005)


def test_the_95th_percentile_leaves_one_of_twenty_out():
    # Map boundary of 20 px: 19 on the truth's, one far away; 95 % of 20 are exactly 19.
    mapped = halves(5, (19, 20)).copy()
    mapped[0, 14] = True
    assert scored(halves(5, (19, 20)), mapped)["distance_p95_m"] == 0


def test_probability_scores_of_a_worked_map():
    # 50 px of .9, all glacier; 150 of .2, none
    probability = np.where(halves(5), 0.9, 0.2)
    found = scored(halves(5), probability >= 0.5, probability=probability)
    assert found["ece"] == pytest.approx((50 * 0.1 + 150 * 0.2) / 200)
    assert found["brier"] == pytest.approx((50 * 0.01 + 150 * 0.04) / 200)


def test_an_outline_has_no_probability():
    found = scored(halves(5), halves(6))
    assert math.isnan(found["ece"]) and math.isnan(found["brier"])


def test_a_map_without_glacier_of_ground_without_glacier_is_undefined():
    nothing = np.zeros((4, 4), dtype=bool)
    found = scored(nothing, nothing)
    defined = {name for name, value in found.items() if not math.isnan(value)}
    assert defined == {"accuracy", "area_error_km2"}


def test_glacier_missed_entirely():
    found = scored(halves(5), np.zeros((10, 20), dtype=bool))
    assert found["boundary_f1_1px"] == found["boundary_f1_2px"] == found["recall"] == found["kappa"] == 0
    assert math.isnan(found["distance_mean_m"]) and math.isnan(found["distance_p95_m"])
    assert found["area_error_percent"] == -100


def test_no_pixel_at_all():
    found = scored(halves(5), halves(5), valid=np.zeros((10, 20), dtype=bool))
    assert all(math.isnan(value) for value in found.values())


@settings(max_examples=25, deadline=None)
@given(seeds)
def test_swapping_map_and_truth(seed):
    truth, mapped, valid = blobs(seed)
    there, back = scored(truth, mapped, valid), scored(mapped, truth, valid)
    swapped = {"precision": "recall", "recall": "precision"}
    for name in there.keys() - {"area_error_km2", "area_error_percent"}:
        np.testing.assert_allclose(back[swapped.get(name, name)], there[name], err_msg=name)
    np.testing.assert_allclose(back["area_error_km2"], -there["area_error_km2"])


@settings(max_examples=25, deadline=None)
@given(seeds)
def test_boundary_scores_are_those_of_brute_force(seed):
    truth, mapped, valid = blobs(seed)
    ends = [np.argwhere(boundary(mask, valid)) for mask in (mapped, truth)]
    found = scored(truth, mapped, valid)
    if not all(map(len, ends)):
        return
    every = cdist(*ends)
    there, back = every.min(axis=1), every.min(axis=0)
    for tolerance in (1, 2):
        precision, recall = (there <= tolerance).mean(), (back <= tolerance).mean()
        expected = 2 * precision * recall / (precision + recall) if precision + recall else 0
        assert found[f"boundary_f1_{tolerance}px"] == pytest.approx(expected)
    pooled = 30 * np.concatenate([there, back])
    ranked = [np.percentile(one, 95, method="inverted_cdf") for one in (there, back)]
    assert found["distance_mean_m"] == pytest.approx(pooled.mean(), rel=0.005)
    median = np.percentile(pooled, 50, method="inverted_cdf")
    assert found["distance_median_m"] == pytest.approx(median, rel=0.005)
    assert found["distance_p95_m"] == pytest.approx(30 * max(ranked), rel=0.005)


@settings(max_examples=8, deadline=None)
@given(seeds)
def test_scores_are_those_of_scikit_learn(seed):
    from sklearn import metrics

    truth, mapped, valid = blobs(seed)
    probability = np.where(mapped, 0.5, 0) + 0.5 * np.random.default_rng(seed).random(truth.shape)
    truth[0, :2] = mapped[0, :2] = [True, False]  # both classes in both
    valid[0, :2] = True
    found = scored(truth, mapped, valid, probability=probability)
    pair = truth[valid], mapped[valid]
    expected = {
        "accuracy": metrics.accuracy_score(*pair),
        "precision": metrics.precision_score(*pair),
        "recall": metrics.recall_score(*pair),
        "f1": metrics.f1_score(*pair),
        "iou": metrics.jaccard_score(*pair),
        "kappa": metrics.cohen_kappa_score(*pair),
        "brier": metrics.brier_score_loss(truth[valid], probability[valid]),
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected)


@given(st.lists(st.integers(0, 10**7), min_size=4, max_size=4))
def test_the_same_scores_as_of_a_confusion(counts):
    found, confusion = pixel_scores(np.array(counts)), Confusion(*counts)
    for name, value in found.items():
        np.testing.assert_allclose(value, getattr(confusion, name), rtol=1e-9, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("axis", [(), (3,), (2, 5)])
def test_leading_axes_are_kept(axis):
    counts = np.random.default_rng(0).integers(1, 50, (*axis, 4))
    found = pixel_scores(counts)
    assert {value.shape for value in found.values()} == {axis}
    for place in np.ndindex(axis):
        alone = pixel_scores(counts[place])
        assert all(found[name][place] == alone[name] for name in found)


def test_a_map_nearer_to_the_truth_is_better_by_every_score_of_maps():
    found = [scored(halves(10), halves(edge)) for edge in (14, 13, 12, 11, 10)]
    for name, score in SCORES.items():
        values = np.array([one[name] for one in found])
        if score.better == "nearer 0":
            values = np.abs(values)
        rises = np.diff(values) * (1 if score.better == "higher" else -1)
        assert (rises >= 0).all() or name in ("ece", "brier")
        assert rises.any() or name in ("recall", "ece", "brier")  # recall is 1 in all of them
