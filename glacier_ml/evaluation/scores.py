"""Every score of a map: its name, unit, definition and source, and its value from a tally.

Undefined is NaN, never 0 or 1: a ratio of nothing by nothing, a distance to a boundary that is not there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from glacier_ml.evaluation.boundaries import TOLERANCES
from glacier_ml.evaluation.reliability import brier_score, expected_calibration_error
from glacier_ml.evaluation.tallies import Tally
from glacier_ml.learning.ratios import ratio

Values = NDArray[np.float64]
Better = Literal["higher", "lower", "nearer 0"]


@dataclass(frozen=True)
class Score:
    """What a score is.

    Attributes
    ----------
    name, label : str
        As in tables of numbers, and as people read it.
    unit : str
        '' for a share or another number without unit.
    better : {'higher', 'lower', 'nearer 0'}
        Which way is better.
    definition, reference : str
        In words or as a formula of TP, FP, FN and TN pixels; where it is from.
    """

    name: str
    label: str
    unit: str
    better: Better
    definition: str
    reference: str


_USAGE = "common usage; as in scikit-learn, sklearn.metrics.{}"
_PIXELS = (
    Score(
        "accuracy",
        "accuracy",
        "",
        "higher",
        "(TP + TN) / all: share of the pixels mapped right; high where glacier is rare, whatever the map",
        _USAGE.format("accuracy_score"),
    ),
    Score(
        "precision",
        "precision",
        "",
        "higher",
        "TP / (TP + FP): share of the mapped glacier that is glacier",
        _USAGE.format("precision_score"),
    ),
    Score(
        "recall",
        "recall",
        "",
        "higher",
        "TP / (TP + FN): share of the glacier that is mapped",
        _USAGE.format("recall_score"),
    ),
    Score(
        "f1",
        "F1",
        "",
        "higher",
        "2 TP / (2 TP + FP + FN): harmonic mean of precision and recall",
        _USAGE.format("f1_score"),
    ),
    Score(
        "iou",
        "glacier IoU",
        "",
        "higher",
        "TP / (TP + FP + FN): what is glacier in map and truth, of what is glacier in one of them",
        "Jaccard (1912), New Phytologist 11, 37-50; as in scikit-learn, sklearn.metrics.jaccard_score",
    ),
    Score(
        "kappa",
        "Cohen's kappa",
        "",
        "higher",
        "(p - e) / (1 - e), p the accuracy and e that of chance with as much glacier mapped; 0 is chance, "
        "1 the most",
        "Cohen (1960), Educational and Psychological Measurement 20, 37-46, doi:10.1177/001316446002000104",
    ),
)
_BOUNDARY = tuple(
    Score(
        f"boundary_f1_{tolerance}px",
        f"boundary F1, {tolerance} px",
        "",
        "higher",
        "harmonic mean of the share of the mapped boundary's pixels that lie within "
        f"{tolerance} px of the true one, and of the true one's within {tolerance} px of the mapped one; 0 "
        "where one of them alone has a boundary",
        "after Csurka, Larlus and Perronnin (2013), What is a good evaluation measure for semantic "
        "segmentation?, BMVC; here the tolerance is in pixels, centre to centre",
    )
    for tolerance in TOLERANCES
)
_DISTANCE = (
    Score(
        "distance_mean_m",
        "mean boundary distance",
        "m",
        "lower",
        "mean distance of each boundary's pixels to the nearest one of the other, both directions pooled",
        "average symmetric surface distance, as in MindSpore, mindspore.train.MeanSurfaceDistance",
    ),
    Score(
        "distance_median_m",
        "median boundary distance",
        "m",
        "lower",
        "smallest distance that half of those pixels do not exceed, both directions pooled",
        "definition chosen here, pooled as the mean",
    ),
    Score(
        "distance_p95_m",
        "95 % Hausdorff distance",
        "m",
        "lower",
        "smallest distance that 95 % of one boundary's pixels do not exceed, the larger of both directions",
        "Huttenlocher, Klanderman and Rucklidge (1993), IEEE PAMI, Comparing images using the Hausdorff "
        "distance: a rank for the maximum; 95 % and the larger of both as in MONAI, "
        "monai.metrics.HausdorffDistanceMetric",
    ),
)
_AREA = (
    Score(
        "area_error_km2",
        "area error",
        "km2",
        "nearer 0",
        "(FP - FN) times the area of a pixel at the scene's centre: mapped minus true glacier",
        "definition as in common usage",
    ),
    Score(
        "area_error_percent",
        "area error",
        "%",
        "nearer 0",
        "100 (FP - FN) / (TP + FN): mapped minus true glacier, of the true one",
        "definition as in common usage",
    ),
)
_PROBABILITY = (
    Score(
        "ece",
        "expected calibration error",
        "",
        "lower",
        "mean over pixels of |mean probability - share of glacier| of their bin, 15 bins of equal width",
        "Naeini, Cooper and Hauskrecht (2015), AAAI, 2901-2907; bins as Guo et al. (2017), ICML, "
        "arXiv:1706.04599",
    ),
    Score(
        "brier",
        "Brier score",
        "",
        "lower",
        "mean of (probability - truth)^2, truth 1 for glacier and 0 else",
        "Brier (1950), Monthly Weather Review 78, 1-3; as in scikit-learn, sklearn.metrics.brier_score_loss",
    ),
)
SCORES: dict[str, Score] = {
    score.name: score for score in (*_PIXELS, *_BOUNDARY, *_DISTANCE, *_AREA, *_PROBABILITY)
}


def score_tally(tally: Tally) -> dict[str, Values]:
    """All scores of a tally.

    Parameters
    ----------
    tally : Tally
        With any leading axes.

    Returns
    -------
    dict of str to ndarray
        By the names of `SCORES`, each of the leading axes' shape; NaN where undefined.
    """
    return {
        **pixel_scores(tally.confusion),
        **boundary_scores(tally.matched),
        **distance_scores(tally.distances, tally.edges),
        **area_scores(tally.confusion, tally.pixel_area_km2),
        "ece": expected_calibration_error(tally.bins),
        "brier": brier_score(tally.squared, tally.confusion.sum(axis=-1)),
    }


def pixel_scores(confusion: NDArray) -> dict[str, Values]:
    """Accuracy, precision, recall, F1, glacier IoU and kappa, without unit.

    accuracy (TP + TN) / all, precision TP / (TP + FP), recall TP / (TP + FN), F1 2 TP / (2 TP + FP + FN), IoU
    TP / (TP + FP + FN), kappa 2 (TP TN - FP FN) / ((TP + FP) (FP + TN) + (TP + FN) (FN + TN)); common usage,
    IoU after Jaccard (1912), kappa after Cohen (1960), in full in `SCORES`.

    Parameters
    ----------
    confusion : ndarray
        (..., 4) pixels TP, FP, FN, TN.

    Returns
    -------
    dict of str to ndarray
        Each (...,).

    Examples
    --------
    >>> scores = pixel_scores(np.array([30, 10, 20, 40]))
    >>> {name: round(float(value), 3) for name, value in scores.items()}
    {'accuracy': 0.7, 'precision': 0.75, 'recall': 0.6, 'f1': 0.667, 'iou': 0.5, 'kappa': 0.4}
    """
    tp, fp, fn, tn = np.moveaxis(np.asarray(confusion, np.float64), -1, 0)
    chance = (tp + fp) * (fp + tn) + (tp + fn) * (fn + tn)
    return {
        "accuracy": ratio(tp + tn, tp + fp + fn + tn),
        "precision": ratio(tp, tp + fp),
        "recall": ratio(tp, tp + fn),
        "f1": ratio(2 * tp, 2 * tp + fp + fn),
        "iou": ratio(tp, tp + fp + fn),
        "kappa": ratio(2 * (tp * tn - fp * fn), chance),
    }


def boundary_scores(matched: NDArray) -> dict[str, Values]:
    """Boundary F1 at each tolerance [px], without unit.

    2 P R / (P + R), P the share of the mapped boundary's pixels within the tolerance of the true one, R the
    share of the true one's within that of the mapped one; after Csurka, Larlus and Perronnin (2013).

    Parameters
    ----------
    matched : ndarray
        (..., tolerances, 4), see `Tally`.

    Returns
    -------
    dict of str to ndarray
        Each (...,); NaN where neither map has a boundary, 0 where one alone has.

    Examples
    --------
    Precision 1/2 and recall 1 give 2/3:

    >>> scores = boundary_scores(np.array([[4, 2, 3, 3], [4, 4, 3, 3]]))
    >>> {name: round(float(value), 3) for name, value in scores.items()}
    {'boundary_f1_1px': 0.667, 'boundary_f1_2px': 1.0}
    """
    mapped, right, true, found = np.moveaxis(np.asarray(matched, np.float64), -1, 0)
    # 2 P R / (P + R) with P = right / mapped and R = found / true
    both = ratio(2 * right * found, right * true + found * mapped)
    nothing = np.where(mapped + true > 0, 0.0, np.nan)
    values = np.where(right + found > 0, both, nothing)
    return {f"boundary_f1_{px}px": values[..., place] for place, px in enumerate(TOLERANCES)}


def distance_scores(histograms: NDArray, steps: NDArray) -> dict[str, Values]:
    """Mean, median and 95 % Hausdorff distance of two boundaries [m].

    Mean and median are over the pixels of both boundaries, each with its distance to the nearest of the other
    one: the average symmetric surface distance. The last is the larger of the 95th percentiles of the two
    directions, a ranked Hausdorff distance (Huttenlocher et al., 1993). A percentile is the smallest distance
    that so many percent do not exceed, never one between two that occur.

    Parameters
    ----------
    histograms : ndarray
        (..., 2, steps) boundary pixels by distance, one row a direction.
    steps : ndarray
        (steps,) rising distances [m].

    Returns
    -------
    dict of str to ndarray
        Each (...,); NaN without a pixel, the last one also where one direction has none.

    Examples
    --------
    Distances 0, 0, 30 there and 60 back:

    >>> scores = distance_scores(np.array([[2, 1, 0], [0, 0, 1]]), np.array([0.0, 30.0, 60.0]))
    >>> {name: float(value) for name, value in scores.items()}
    {'distance_mean_m': 22.5, 'distance_median_m': 0.0, 'distance_p95_m': 60.0}
    """
    histograms = np.asarray(histograms, np.float64)
    pooled = histograms.sum(axis=-2)
    return {
        "distance_mean_m": ratio(pooled @ steps, pooled.sum(axis=-1)),
        "distance_median_m": _percentile(pooled, steps, 50),
        "distance_p95_m": _percentile(histograms, steps, 95).max(axis=-1),
    }


def area_scores(confusion: NDArray, pixel_area_km2: float) -> dict[str, Values]:
    """Mapped minus true glacier area [km2], [% of the true one]: (FP - FN) pixels, common usage.

    Above 0 too much glacier is mapped, below too little; errors that cancel do not show.

    Parameters
    ----------
    confusion : ndarray
        (..., 4) pixels TP, FP, FN, TN.
    pixel_area_km2 : float
        Area of one pixel.

    Returns
    -------
    dict of str to ndarray
        Each (...,); NaN without pixels, the percentage also without true glacier.

    Examples
    --------
    >>> scores = area_scores(np.array([30, 10, 20, 40]), 0.0009)
    >>> {name: round(float(value), 4) for name, value in scores.items()}
    {'area_error_km2': -0.009, 'area_error_percent': -20.0}
    """
    tp, fp, fn, tn = np.moveaxis(np.asarray(confusion, np.float64), -1, 0)
    counted = np.where(tp + fp + fn + tn > 0, fp - fn, np.nan)
    return {
        "area_error_km2": counted * pixel_area_km2,
        "area_error_percent": ratio(100 * (fp - fn), tp + fn),
    }


def _percentile(histogram: Values, steps: NDArray, percent: int) -> Values:
    """Smallest step at or below which so many percent lie; (..., steps) -> (...,)."""
    if not len(steps):
        return np.full(histogram.shape[:-1], np.nan)
    below = histogram.cumsum(axis=-1)
    total = below[..., -1]
    # whole numbers on both sides: 0.95 n would be off by a rounding error where it must be met exactly
    place = np.count_nonzero(100 * below < percent * total[..., None], axis=-1)
    return np.where(total > 0, np.asarray(steps)[np.minimum(place, len(steps) - 1)], np.nan)
