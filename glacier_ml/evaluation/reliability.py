"""Reliability: whether glacier comes as often as a map's probability says.

The functions work on bins, counts that add up over pixels, blocks and scenes, whatever their leading axes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from glacier_ml.learning.ratios import ratio

BINS = 15
"""Bins of equal width from 0 to 1, the number that Guo et al. (2017) take."""


def bin_of(probability: NDArray[np.floating]) -> NDArray[np.intp]:
    """Index of the bin of each probability; a bin holds its lower end, the last one also 1.

    Examples
    --------
    >>> bin_of(np.array([0.0, 0.5, 0.99, 1.0])).tolist()
    [0, 7, 14, 14]
    """
    return np.minimum(np.asarray(probability, np.float64) * BINS, BINS - 1).astype(np.intp)


def reliability_bins(truth: NDArray[np.bool_], probability: NDArray[np.floating]) -> NDArray[np.float64]:
    """Count pixels into bins of their probability.

    Parameters
    ----------
    truth : ndarray of bool
        Glacier.
    probability : ndarray
        0 to 1, of the same shape.

    Returns
    -------
    ndarray
        (BINS, 3): pixels, sum of their probability, glacier among them.

    Examples
    --------
    >>> bins = reliability_bins(np.array([False, True]), np.array([0.25, 0.25]))
    >>> bins[3].tolist()
    [2.0, 0.5, 1.0]
    """
    index, values = bin_of(probability).ravel(), np.asarray(probability, np.float64).ravel()
    weights = (None, values, np.asarray(truth, np.float64).ravel())
    return np.stack([np.bincount(index, weight, minlength=BINS) for weight in weights], axis=-1).astype(float)


def reliability(bins: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean probability and share of glacier of each bin, the two axes of a reliability diagram.

    Parameters
    ----------
    bins : ndarray
        (..., BINS, 3), see `reliability_bins`.

    Returns
    -------
    probability, glacier : ndarray
        (..., BINS), 0 to 1; NaN where a bin is empty.
    """
    pixels = bins[..., 0]
    return ratio(bins[..., 1], pixels), ratio(bins[..., 2], pixels)


def expected_calibration_error(bins: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over pixels of the gap between what their bin says and what it holds.

    sum_b n_b / n |mean probability of b - share of glacier in b|, the form for two classes, of the
    probability of glacier, of Naeini et al. (2015, Proc. AAAI, 2901-2907), weighted as in Guo et al. (2017,
    Proc. ICML, arXiv:1706.04599). It says nothing of gaps that cancel within a bin.

    Parameters
    ----------
    bins : ndarray
        (..., BINS, 3), see `reliability_bins`.

    Returns
    -------
    ndarray
        (...,), 0 to 1, less is better; NaN without pixels.

    Examples
    --------
    Of two pixels at .25 one is glacier (gap .25), of two at .9 both are (gap .1):

    >>> bins = reliability_bins(np.array([0, 1, 1, 1], bool), np.array([0.25, 0.25, 0.9, 0.9]))
    >>> float(expected_calibration_error(bins).round(3))
    0.175
    """
    pixels = bins[..., 0].sum(axis=-1)
    gaps = np.abs(bins[..., 1] - bins[..., 2]).sum(axis=-1)
    return ratio(gaps, pixels)


def brier_score(squared: NDArray[np.float64], pixels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean squared difference of the probability and the truth (1 glacier, 0 not).

    Half of what Brier (1950, Monthly Weather Review 78, 1-3) sums over both classes, as is usual now.

    Parameters
    ----------
    squared : ndarray
        (...,) sum of the squared differences.
    pixels : ndarray
        (...,) their number.

    Returns
    -------
    ndarray
        (...,), 0 to 1, less is better; NaN without pixels.

    Examples
    --------
    >>> float(brier_score(np.array(0.9**2 + 0.1**2), np.array(2.0)).round(3))
    0.41
    """
    return ratio(squared, pixels)
