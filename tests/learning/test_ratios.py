"""A part of a whole, and of nothing."""

import numpy as np

from glacier_ml.learning.ratios import ratio


def test_the_share_of_nothing_is_undefined_and_of_whole_numbers_exact():
    np.testing.assert_array_equal(
        ratio(np.array([[3, 0], [1, 0]]), np.array([4, 0])), [[0.75, np.nan], [0.25, np.nan]]
    )
    assert ratio(1, 4) == 0.25 and np.isnan(ratio(0, 0)) and ratio(0, 4).dtype == np.float64
