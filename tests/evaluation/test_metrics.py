"""Scores against numbers worked by hand."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glacier_ml.errors import GlacierError
from glacier_ml.evaluation.metrics import Confusion, confusion, mean_iou

counts = st.integers(0, 1000)
confusions = st.builds(Confusion, counts, counts, counts, counts)


def test_counts_of_a_worked_map():
    # truth      1 1 1 0   mapped  1 0 1 1
    #            0 0 0 0           0 0 1 0
    # both glacier: 2; mapped alone: 2; missed: 1; neither: 3
    truth = np.array([[1, 1, 1, 0], [0, 0, 0, 0]], dtype=bool)
    mapped = np.array([[1, 0, 1, 1], [0, 0, 1, 0]], dtype=bool)
    assert confusion(truth, mapped) == Confusion(2, 2, 1, 3)


def test_pixels_that_are_not_valid_count_nowhere():
    truth = np.array([True, True, False, False])
    mapped = np.array([True, False, True, False])
    valid = np.array([True, False, False, True])
    assert confusion(truth, mapped, valid) == Confusion(1, 0, 0, 1)


def test_scores_worked_by_hand():
    # TP 30, FP 10, FN 20, TN 40: accuracy 70/100, precision 30/40, recall 30/50,
    # F1 60/90, IoU 30/60
    scored = Confusion(30, 10, 20, 40)
    assert scored.pixels == 100
    assert scored.accuracy == 0.7
    assert scored.precision == 0.75
    assert scored.recall == 0.6
    assert scored.f1 == pytest.approx(2 / 3)
    assert scored.iou == 0.5
    # by chance right: 40 mapped x 50 there + 60 left out x 50 others of 100 x 100: .5; (.7 - .5) / (1 - .5)
    assert scored.kappa == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("scored", "undefined"),
    [
        (
            Confusion(0, 0, 0, 9),
            {"precision", "recall", "f1", "iou", "kappa"},
        ),  # no glacier mapped, none there
        (Confusion(0, 0, 4, 5), {"precision"}),  # none mapped
        (Confusion(0, 4, 0, 5), {"recall"}),  # none there
        (Confusion(0, 0, 0, 0), {"accuracy", "precision", "recall", "f1", "iou", "kappa"}),  # no pixel
    ],
)
def test_a_ratio_of_nothing_by_nothing_is_nan(scored, undefined):
    names = ("accuracy", "precision", "recall", "f1", "iou", "kappa")
    scores = {name: getattr(scored, name) for name in names}
    assert {name for name, score in scores.items() if math.isnan(score)} == undefined


def test_all_background_is_accurate_and_worth_nothing():
    # 20 % glacier, none mapped: accuracy .8, IoU 0
    scored = confusion(np.arange(100) < 20, np.zeros(100, dtype=bool))
    assert (scored.accuracy, scored.iou) == (0.8, 0.0)


def test_kappa_is_0_for_chance_and_below_for_worse():
    # 20 of 100 px glacier; 10 mapped, a fifth of them right, as chance has it
    assert Confusion(2, 8, 18, 72).kappa == 0
    assert Confusion(20, 0, 0, 80).kappa == 1
    assert Confusion(0, 50, 50, 0).kappa == -1


@settings(max_examples=30, deadline=None)  # the import is slow
@given(confusions)
def test_kappa_is_that_of_scikit_learn(scored):
    from sklearn.metrics import cohen_kappa_score

    if not math.isnan(scored.kappa):
        truth, mapped = [1, 0, 1, 0], [1, 1, 0, 0]
        weights = (
            scored.true_positive,
            scored.false_positive,
            scored.false_negative,
            scored.true_negative,
        )
        expected = cohen_kappa_score(truth, mapped, sample_weight=weights)
        assert scored.kappa == pytest.approx(expected, abs=1e-12)


@given(confusions)
def test_f1_and_iou_order_maps_alike(scored):
    # F1 = 2 IoU / (1 + IoU)
    if not math.isnan(scored.iou):
        assert scored.f1 == pytest.approx(2 * scored.iou / (1 + scored.iou))


@given(confusions, confusions)
def test_pooling_adds_pixels(first, second):
    pooled = first + second
    assert pooled.pixels == first.pixels + second.pixels
    assert pooled.true_positive == first.true_positive + second.true_positive


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans()), min_size=1))
def test_every_valid_pixel_is_counted_once(pixels):
    truth, mapped, valid = np.array(pixels).T
    assert confusion(truth, mapped, valid).pixels == valid.sum()


def test_mean_iou_weighs_scenes_alike_and_leaves_undefined_ones_out():
    # 1/2 of 2 px, 3/4 of 4000 px, undefined: (1/2 + 3/4) / 2
    assert mean_iou([Confusion(1, 1, 0, 0), Confusion(3000, 0, 1000, 0), Confusion(0, 0, 0, 7)]) == 0.625
    assert math.isnan(mean_iou([Confusion(0, 0, 0, 7)]))


def test_shapes_must_agree():
    with pytest.raises(GlacierError, match=r"one shape, came \(2,\), \(3,\)"):
        confusion(np.zeros(2, dtype=bool), np.zeros(3, dtype=bool))
