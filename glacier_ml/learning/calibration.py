"""Threshold and temperature of a classifier, chosen on validation pixels alone.

Both see one array a scene and weigh every scene the same, as the objective of the studies does. Pixels
are counted into a histogram first: a million of them cost no more than the counting.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from glacier_ml.errors import GlacierError
from glacier_ml.learning.ratios import ratio
from glacier_ml.scenes.scene import Scene

if TYPE_CHECKING:
    from glacier_ml.learning.splits import Split
    from glacier_ml.scenes.catalog import LabelledScene

THRESHOLDS: NDArray[np.float32] = np.round(np.arange(0.05, 0.955, 0.01), 2).astype(np.float32)
"""Candidates of `best_threshold`: 0.05, 0.06 ... 0.95 (typical values, chosen here)."""

_LOGIT_LIMIT = 14.0  # float32 cannot hold a probability nearer to 1 than about logit 16
_LOGIT_STEP = 0.01
_TEMPERATURES = (0.05, 20.0)


def best_threshold(
    probabilities: Sequence[NDArray[np.floating]],
    truths: Sequence[NDArray[np.bool_]],
    candidates: NDArray[np.floating] = THRESHOLDS,
) -> float:
    """Threshold with the highest mean over scenes of glacier IoU, a pixel being glacier at or above it.

    Parameters
    ----------
    probabilities : sequence of ndarray
        One array of any shape a scene, 0 to 1; NaN pixels are left out.
    truths : sequence of ndarray of bool
        Glacier, of the same shapes.
    candidates : ndarray
        Rising thresholds to choose from.

    Returns
    -------
    float
        Of equally good candidates the one nearest 0.5; 0.5 where no scene has glacier.

    Raises
    ------
    GlacierError
        Where arrays do not pair up or hold no pixel.

    Examples
    --------
    >>> best_threshold([np.array([0.1, 0.2, 0.3, 0.9])], [np.array([False, False, True, True])])
    0.3
    """
    # a scene without glacier has no IoU to raise
    pairs = [pair for pair in _paired(probabilities, truths) if pair[1].any()]
    if not pairs:
        return 0.5
    mean = np.mean([iou_by_threshold(*pair, candidates=candidates) for pair in pairs], axis=0)
    best = np.flatnonzero(mean >= mean.max() - 1e-12)
    chosen = candidates[best[np.argmin(np.abs(candidates[best] - 0.5))]]
    return round(float(chosen), 6)


def iou_by_threshold(
    probability: NDArray[np.floating],
    truth: NDArray[np.bool_],
    candidates: NDArray[np.floating] = THRESHOLDS,
) -> NDArray[np.float64]:
    """Glacier IoU of `probability >= candidate` for each candidate; NaN where undefined.

    Examples
    --------
    >>> iou_by_threshold(np.array([0.2, 0.6]), np.array([False, True]), np.array([0.1, 0.5, 0.7]))
    array([0.5, 1. , 0. ])
    """
    # maps compare in float32: 0.3 must lie on the same side of 0.3 here as there
    single = np.asarray(candidates, dtype=np.float32)
    bins = np.searchsorted(single, probability.astype(np.float32), side="right")
    size = len(candidates) + 1
    mapped_true = _at_or_above(np.bincount(bins[truth], minlength=size))
    mapped = _at_or_above(np.bincount(bins, minlength=size))
    union = np.count_nonzero(truth) + mapped - mapped_true
    return ratio(mapped_true, union)


def _at_or_above(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    return counts[::-1].cumsum()[::-1][1:]


def fit_temperature(
    probabilities: Sequence[NDArray[np.floating]], truths: Sequence[NDArray[np.bool_]]
) -> float:
    """Temperature that minimises the log loss, every scene weighing the same.

    Dividing a network's logits by one number above 1 makes it less sure of itself, below 1 surer; the
    order of the pixels, and so every map at threshold 0.5, stays as it was.

    Parameters
    ----------
    probabilities : sequence of ndarray
        One array of any shape a scene, 0 to 1, before any temperature; NaN pixels are left out.
    truths : sequence of ndarray of bool
        Glacier, of the same shapes.

    Returns
    -------
    float
        Between 0.05 and 20; 1 where only one class is there, because then no temperature is best.

    Raises
    ------
    GlacierError
        Where arrays do not pair up or hold no pixel.
    """
    from scipy.optimize import minimize_scalar

    pairs = _paired(probabilities, truths)
    centres = np.arange(-_LOGIT_LIMIT, _LOGIT_LIMIT + _LOGIT_STEP / 2, _LOGIT_STEP)
    glacier = np.mean([_share(p[t], centres, p.size) for p, t in pairs], axis=0)
    other = np.mean([_share(p[~t], centres, p.size) for p, t in pairs], axis=0)
    if not glacier.any() or not other.any():
        return 1.0

    def log_loss(log_temperature: float) -> float:
        scaled = centres / np.exp(log_temperature)
        return float(glacier @ np.logaddexp(0, -scaled) + other @ np.logaddexp(0, scaled))

    low, high = np.log(_TEMPERATURES)
    return float(np.exp(minimize_scalar(log_loss, bounds=(low, high), method="bounded").x))


def apply_temperature(probability: ArrayLike, temperature: float) -> NDArray[np.float32]:
    """Probability at another temperature: sigmoid(logit(probability) / temperature); NaN stays NaN.

    Examples
    --------
    >>> apply_temperature([0.5, 0.8], 2.0).round(3).tolist()
    [0.5, 0.6669999957084656]
    """
    logits = _logit(np.asarray(probability, dtype=np.float64)) / temperature
    return (1 / (1 + np.exp(-logits))).astype(np.float32)


class Calibratable(Protocol):
    """A classifier that can be given another threshold and temperature."""

    def probability(self, scene: Scene, wanted: NDArray[np.bool_] | None = None) -> NDArray[np.float32]:
        """Glacier probability (rows, columns), NaN where the scene is not valid or a pixel is not wanted."""

    def calibrated(self, threshold: float, temperature: float) -> Self:
        """Give a copy with another threshold and temperature."""


AnyCalibratable = TypeVar("AnyCalibratable", bound=Calibratable)


def calibrate(classifier: AnyCalibratable, scenes: Sequence[LabelledScene], split: Split) -> AnyCalibratable:
    """Fit temperature and threshold on the calibration half of the validation blocks.

    A split with a single validation block has none: the classifier keeps 1 and .5.
    """
    probabilities, truths, raw = [], [], classifier.calibrated(0.5, 1.0)
    for scene in scenes:
        pixels = split.calibration(scene.scene.name) & scene.scene.valid
        if pixels.any():
            probabilities.append(raw.probability(scene.scene, pixels)[pixels])
            truths.append(scene.truth[pixels])
    if not probabilities:
        return raw
    temperature = fit_temperature(probabilities, truths)
    warm = [apply_temperature(probability, temperature) for probability in probabilities]
    return classifier.calibrated(best_threshold(warm, truths), temperature)


def _logit(probability: NDArray[np.floating]) -> NDArray[np.floating]:
    edge = 1 / (1 + np.exp(_LOGIT_LIMIT))
    inside = np.clip(probability, edge, 1 - edge)
    return np.log(inside) - np.log1p(-inside)


def _share(
    probability: NDArray[np.floating], centres: NDArray[np.float64], total: int
) -> NDArray[np.float64]:
    """Share of `total` pixels whose logit falls to each centre."""
    index = np.rint((_logit(probability.astype(np.float64)) - centres[0]) / _LOGIT_STEP).astype(np.int64)
    return np.bincount(index, minlength=len(centres)) / total


def _paired(
    probabilities: Sequence[NDArray[np.floating]], truths: Sequence[NDArray[np.bool_]]
) -> list[tuple[NDArray[np.floating], NDArray[np.bool_]]]:
    """Flat finite pixels by scene."""
    shapes = [np.shape(p) for p in probabilities], [np.shape(t) for t in truths]
    if shapes[0] != shapes[1] or not shapes[0]:
        raise GlacierError(
            f"calibration: one probability and one truth array a scene, of one shape, came {shapes[0]} "
            f"and {shapes[1]}; pass lists with one array a scene"
        )
    pairs = []
    for probability, truth in zip(probabilities, truths, strict=True):
        finite = np.isfinite(probability)
        pairs.append((np.asarray(probability)[finite], np.asarray(truth, dtype=bool)[finite]))
    kept = [pair for pair in pairs if pair[0].size]
    if not kept:
        raise GlacierError(
            "calibration: no pixel has a probability; the calibration half of the validation blocks "
            "needs valid pixels"
        )
    return kept
