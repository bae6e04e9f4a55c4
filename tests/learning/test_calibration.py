"""Threshold and temperature on cases with a known answer."""

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glacier_ml.errors import GlacierError
from glacier_ml.evaluation.metrics import confusion
from glacier_ml.learning.calibration import (
    THRESHOLDS,
    apply_temperature,
    best_threshold,
    fit_temperature,
    iou_by_threshold,
)


def test_candidates_are_hundredths():
    assert len(THRESHOLDS) == 91
    assert THRESHOLDS[[0, 45, -1]].tolist() == pytest.approx([0.05, 0.5, 0.95])


def test_iou_by_threshold_worked_by_hand():
    # glacier .3 .6 .9, other .2 .7:  at .25: 3/4; at .5: 2/4 (.6 .7 .9 mapped, union 4); at .8: 1/3
    probability = np.array([0.3, 0.6, 0.9, 0.2, 0.7])
    truth = np.array([True, True, True, False, False])
    ious = iou_by_threshold(probability, truth, np.array([0.25, 0.5, 0.8]))
    np.testing.assert_allclose(ious, [3 / 4, 2 / 4, 1 / 3])


@given(
    st.lists(st.tuples(st.floats(0, 1, width=32), st.booleans()), min_size=1, max_size=40),
    st.integers(0, 90),
)
def test_iou_by_threshold_is_that_of_the_thresholded_map(pixels, candidate):
    probability = np.array([pixel[0] for pixel in pixels], dtype=np.float32)
    truth = np.array([pixel[1] for pixel in pixels])
    threshold = float(THRESHOLDS[candidate])
    expected = confusion(truth, probability >= threshold).iou
    np.testing.assert_equal(iou_by_threshold(probability, truth)[candidate], expected)


def test_threshold_separates_separable_classes_nearest_to_a_half():
    # any threshold above .2 and up to .8 is right: .5 is the nearest to .5
    assert best_threshold([np.array([0.2, 0.8])], [np.array([False, True])]) == 0.5
    # above .6 up to .8: .61; above .2 up to .3: .3
    assert best_threshold([np.array([0.6, 0.8])], [np.array([False, True])]) == 0.61
    assert best_threshold([np.array([0.2, 0.3])], [np.array([False, True])]) == 0.3


def test_threshold_weighs_scenes_alike():
    # Scene 1 (2 px) wants above .6, scene 2 (a hundred times the pixels) up to .3:
    # at .3 scene 1 has IoU 1/2, scene 2 has 1: mean .75; at .61 scene 1 has 1, scene 2 has 0: mean .5
    small = np.array([0.6, 0.9]), np.array([False, True])
    large = np.repeat([0.2, 0.3], 100), np.repeat([False, True], 100)
    assert best_threshold([small[0], large[0]], [small[1], large[1]]) == 0.3
    # with the small scene thrice it is worth 3 votes: at .61 (3 x 1 + 0) / 4, at .3 (3 x .5 + 1) / 4
    assert best_threshold([small[0]] * 3 + [large[0]], [small[1]] * 3 + [large[1]]) == 0.61


def test_pixels_without_probability_are_left_out():
    probability, truth = np.array([np.nan, 0.2, 0.3, np.nan]), np.array([True, False, True, False])
    assert best_threshold([probability], [truth]) == 0.3


def test_threshold_without_glacier_is_a_half():
    assert best_threshold([np.array([0.1, 0.9])], [np.array([False, False])]) == 0.5


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_temperature_of_made_probabilities_is_found_again(temperature):
    # Truth is drawn with sigmoid(logit); the network says sigmoid(logit * temperature).
    random = np.random.default_rng(0)
    logits = random.normal(0, 2, 200_000)
    truth = random.random(200_000) < 1 / (1 + np.exp(-logits))
    said = 1 / (1 + np.exp(-logits * temperature))
    assert fit_temperature([said], [truth]) == pytest.approx(temperature, rel=0.03)


def test_applied_temperature_halves_the_logit():
    # logit(.8) = ln 4; halved: ln 2, probability 2/3
    np.testing.assert_allclose(apply_temperature([0.5, 0.8], 2.0), [1 / 2, 2 / 3], rtol=1e-5)
    assert np.isnan(apply_temperature([np.nan], 2.0)).all()


@given(st.floats(0.01, 0.99), st.floats(0.1, 10))
def test_temperature_keeps_the_side_of_a_half(probability, temperature):
    side = np.sign(probability - 0.5)
    warm = float(apply_temperature(probability, temperature)) - 0.5
    assert warm * side >= -1e-6


def test_temperature_of_one_class_is_one():
    assert fit_temperature([np.array([0.2, 0.9])], [np.array([True, True])]) == 1.0


def test_certain_and_wrong_pixels_stay_finite():
    assert 1 < fit_temperature([np.array([0.0, 1.0, 1.0])], [np.array([True, False, True])]) <= 20


def test_a_million_pixels_are_quick():
    random = np.random.default_rng(0)
    probability = random.random(1_000_000, dtype=np.float32)
    truth = random.random(1_000_000) < probability
    start = time.perf_counter()
    best_threshold([probability], [truth])
    fit_temperature([probability], [truth])
    assert time.perf_counter() - start < 3


def test_scenes_must_pair_up():
    with pytest.raises(GlacierError, match="one probability and one truth array a scene"):
        best_threshold([np.zeros(3)], [np.zeros(2, dtype=bool)])
    with pytest.raises(GlacierError, match="no pixel has a probability"):
        fit_temperature([np.array([np.nan])], [np.array([True])])
