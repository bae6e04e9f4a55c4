"""Reliability worked by hand and against scikit-learn."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glacier_ml.evaluation.reliability import (
    BINS,
    bin_of,
    brier_score,
    expected_calibration_error,
    reliability,
    reliability_bins,
)

# Four pixels said to be glacier at .3 (bin 4 of 15: .267 to .333), one is; five at .9 (bin 13), all are.
SAID = np.array([0.3] * 4 + [0.9] * 5)
GLACIER = np.array([True, False, False, False] + [True] * 5)


def drawn(seed, size=400):
    random = np.random.default_rng(seed)
    probability = random.random(size).astype(np.float32)
    return random.random(size) < probability**2, probability


def test_bins_of_a_worked_map():
    bins = reliability_bins(GLACIER, SAID)
    assert bins.shape == (BINS, 3)
    np.testing.assert_allclose(bins[4], [4, 1.2, 1])
    np.testing.assert_allclose(bins[13], [5, 4.5, 5])
    assert bins.sum(axis=0) == pytest.approx([9, 5.7, 6])


def test_the_lower_end_belongs_to_a_bin_and_1_to_the_last():
    ends = np.arange(BINS) / BINS
    assert bin_of(np.append(ends + 1e-12, [0.9999, 1.0])).tolist() == [*range(BINS), 14, 14]


def test_diagram_of_a_worked_map():
    said, seen = reliability(reliability_bins(GLACIER, SAID))
    assert (said[4], seen[4]) == pytest.approx((0.3, 0.25))
    assert (said[13], seen[13]) == pytest.approx((0.9, 1.0))
    assert np.isnan(said).sum() == np.isnan(seen).sum() == BINS - 2


def test_calibration_error_of_a_worked_map():
    # 4/9 |.3 - .25| + 5/9 |.9 - 1| = (.2 + .5) / 9
    assert expected_calibration_error(reliability_bins(GLACIER, SAID)) == pytest.approx(0.7 / 9)


def test_brier_score_of_a_worked_map():
    # (.7^2 + 3 * .3^2 + 5 * .1^2) / 9 = (.49 + .27 + .05) / 9
    squared = np.array(((SAID - GLACIER) ** 2).sum())
    assert brier_score(squared, np.array(9.0)) == pytest.approx(0.81 / 9)


def test_nothing_counted_is_undefined():
    assert math.isnan(expected_calibration_error(np.zeros((BINS, 3))))
    assert math.isnan(brier_score(np.array(0.0), np.array(0.0)))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_the_diagram_is_that_of_scikit_learn(seed):
    from sklearn.calibration import calibration_curve

    truth, probability = drawn(seed)
    seen, said = calibration_curve(truth, probability, n_bins=BINS)
    ours = reliability(reliability_bins(truth, probability))
    np.testing.assert_allclose([one[np.isfinite(one)] for one in ours], [said, seen], rtol=1e-6)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_the_brier_score_is_that_of_scikit_learn(seed):
    from sklearn.metrics import brier_score_loss

    truth, probability = drawn(seed)
    squared = ((probability.astype(np.float64) - truth) ** 2).sum()
    expected = brier_score_loss(truth, probability.astype(np.float64))
    assert brier_score(np.array(squared), np.array(truth.size)) == pytest.approx(expected)


def test_a_probability_that_comes_true_is_calibrated():
    random = np.random.default_rng(0)
    probability = random.random(200_000)
    bins = reliability_bins(random.random(200_000) < probability, probability)
    assert expected_calibration_error(bins) < 0.01
    # said .9 where .6 comes true: the gap is .3
    shifted = reliability_bins(random.random(200_000) < 0.6, np.full(200_000, 0.9))
    assert expected_calibration_error(shifted) == pytest.approx(0.3, abs=0.005)
