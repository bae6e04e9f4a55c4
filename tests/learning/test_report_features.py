"""The report's features: scaled by hand, unclipped, and shifted by the rest of their image."""

import numpy as np
import pytest

from glacier_ml.learning.features import compute_features, feature_set
from glacier_ml.learning.report_features import min_max, report_features

RATIO, NDSI = feature_set("report_ratio"), feature_set("report_ndsi")


def row(*pixels):
    """An image of one row, reflectances in the order of `RATIO.bands`: blue, swir1, red, green, nir."""
    return np.float32([pixels])


def test_least_and_largest_of_the_known_values_become_0_and_1():
    # known 2, 4, 10: least 2, largest 10; (4 - 2) / 8 = .25
    values, known = np.float32([2, 4, 10, -7, 99]), np.array([1, 1, 1, 0, 0], bool)
    assert min_max(values, known).tolist() == [0, 0.25, 1, 0, 0]


@pytest.mark.parametrize("values", [[3, 3], [np.nan, np.inf], [np.nan, 5]])
def test_without_two_values_there_is_nothing_to_scale(values):
    assert min_max(np.float32(values), np.array([True, True])).tolist() == [0, 0]


def test_the_first_three_features_worked_by_hand():
    # blue .1 .3 .5 -> 0 .5 1; swir1 / red 2 6 10, unclipped -> 0 .5 1;
    # ndwi (green - nir) / (green + nir): .2 / .4 = .5, 0, -.5 -> 1 .5 0
    image = row([0.1, 0.4, 0.2, 0.3, 0.1], [0.3, 0.6, 0.1, 0.2, 0.2], [0.5, 0.5, 0.05, 0.1, 0.3])
    expected = [[[0, 0, 1], [0.5, 0.5, 0.5], [1, 1, 0]]]
    np.testing.assert_allclose(report_features(image, RATIO.bands, RATIO), expected, atol=1e-6)


def test_the_other_three_worked_by_hand():
    # bands blue, swir1, green: swir1 .1 .2 .5 -> 0 .25 1; ndsi .4 / .6, 0, -.4 / .6 -> 1 .5 0
    image = np.float32([[[0.2, 0.1, 0.5], [0.4, 0.2, 0.2], [0.6, 0.5, 0.1]]])
    expected = [[[0, 0, 1], [0.5, 0.25, 0.5], [1, 1, 0]]]
    np.testing.assert_allclose(report_features(image, NDSI.bands, NDSI), expected, atol=1e-6)


@pytest.mark.parametrize("nothing", [[np.nan] * 5, [0] * 5, [0.9, np.nan, 0.1, 0.1, 0.1]])
def test_pixels_without_data_are_0_and_move_no_other(nothing):
    some = [[0.1, 0.4, 0.2, 0.3, 0.1], [0.3, 0.6, 0.1, 0.2, 0.2]]
    whole = report_features(row(*some, nothing), RATIO.bands, RATIO)
    assert not whole[0, 2].any()
    np.testing.assert_array_equal(whole[:, :2], report_features(row(*some), RATIO.bands, RATIO))


def test_a_denominator_of_0_is_no_number_and_moves_no_other():
    image = row([0.1, 0.4, 0.2, 0.3, 0.1], [0.3, 0.6, 0.1, 0.2, 0.2], [0.2, 0.5, 0.0, 0.3, 0.3])
    ratio = report_features(image, RATIO.bands, RATIO)[0, :, 1]
    assert ratio.tolist() == [0, 1, 0]  # 2, 6, and nothing


def test_one_odd_pixel_shifts_every_other_as_ours_do_not():
    image = np.random.default_rng(0).uniform(0.05, 0.6, (8, 8, 5)).astype(np.float32)
    odd = image.copy()
    odd[0, 0] = [5, 5, 0.001, 5, 0.1]
    others = np.s_[1:, 1:]
    before, after = (report_features(one, RATIO.bands, RATIO)[others] for one in (image, odd))
    assert (np.abs(before - after) > 0.1).mean() > 0.5
    ours = [compute_features(one, RATIO.bands, RATIO)[others] for one in (image, odd)]
    np.testing.assert_array_equal(*ours)
