"""Threshold rules that glaciologists use: NDSI, and the red / SWIR band ratio with a median filter.

They answer `probability(scene)` as networks do, with scores between 0 and 1 that are ordered as the rule
orders pixels but not calibrated; `score >= threshold` is exactly the rule's mask.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from glacier_ml.learning.calibration import iou_by_threshold
from glacier_ml.learning.features import normalised_difference
from glacier_ml.learning.splits import training_pixels
from glacier_ml.scenes.scene import Scene

if TYPE_CHECKING:
    from glacier_ml.learning.splits import Split
    from glacier_ml.scenes.catalog import LabelledScene

NDSI_THRESHOLDS = np.round(np.arange(0.0, 0.91, 0.02), 2)
NIR_THRESHOLDS = (0.0, 0.05, 0.08, 0.11, 0.15, 0.2)
RATIO_THRESHOLDS = np.round(np.arange(1.0, 8.01, 0.1), 1)
BLUE_THRESHOLDS = (0.0, 0.05, 0.08, 0.11, 0.14, 0.17, 0.2, 0.25)
MEDIANS = (3, 1)
"""Candidates that the rules are tuned over (typical values, chosen here)."""


@dataclass(frozen=True)
class NdsiClassifier:
    """Normalised difference snow index above a threshold, where near infrared is not as dark as water.

    The score is (1 + NDSI) / 2, and 0 where NIR is at or below its threshold; NDSI = (green - swir1) /
    (green + swir1), Hall et al. (2001).

    Attributes
    ----------
    ndsi : float
        Glacier from this NDSI on. 0.4 and a NIR of 0.11 are the usual rule for snow.
    nir : float
        Glacier above this NIR reflectance.

    Examples
    --------
    >>> NdsiClassifier().threshold
    0.7
    """

    ndsi: float = 0.4
    nir: float = 0.11
    name: str = "NDSI"
    bands: tuple[str, ...] = ("green", "nir", "swir1")

    @property
    def threshold(self) -> float:
        """The NDSI threshold on the scale of the score."""
        return round((1 + self.ndsi) / 2, 6)

    def probability(self, scene: Scene, wanted: NDArray[np.bool_] | None = None) -> NDArray[np.float32]:
        """Score every valid (and wanted) pixel: float32 (rows, columns), NaN elsewhere."""
        green, nir, swir1 = np.moveaxis(scene.stack(self.bands), -1, 0)
        score = (1 + normalised_difference(green, swir1)) / 2
        return _masked(np.where(nir > self.nir, score, 0), scene, wanted)


@dataclass(frozen=True)
class BandRatioClassifier:
    """Red / SWIR1 above a threshold where blue is bright enough, cleaned by a median filter.

    The score is the median of red / (red + swir1), a ratio's monotone twin between 0 and 1, with 0 where
    blue is too dark. Thresholding that median gives the same mask as the median of the thresholded ratio.
    Neighbours without data count as not glacier.

    Attributes
    ----------
    ratio : float
        Glacier from this red / SWIR1 on; 1.8 to 2 is usual.
    blue : float
        Glacier above this blue reflectance: takes out ratios of shadow.
    median : int
        Side of the median filter [px]; 1 does without.
    """

    ratio: float = 2.0
    blue: float = 0.05
    median: int = 3
    name: str = "band ratio"
    bands: tuple[str, ...] = ("blue", "red", "swir1")

    @property
    def threshold(self) -> float:
        """The ratio threshold on the scale of the score."""
        return round(self.ratio / (1 + self.ratio), 6)

    def probability(self, scene: Scene, wanted: NDArray[np.bool_] | None = None) -> NDArray[np.float32]:
        """Score every valid (and wanted) pixel: float32 (rows, columns), NaN elsewhere."""
        from scipy.ndimage import median_filter

        blue, red, swir1 = np.moveaxis(scene.stack(self.bands), -1, 0)
        score = (1 + normalised_difference(red, swir1)) / 2
        bright = np.where((blue > self.blue) & scene.valid, score, np.float32(0))
        return _masked(median_filter(bright, size=self.median, mode="nearest"), scene, wanted)


def _masked(
    score: NDArray[np.floating], scene: Scene, wanted: NDArray[np.bool_] | None
) -> NDArray[np.float32]:
    shown = scene.valid if wanted is None else scene.valid & wanted
    return np.where(shown, score, np.nan).astype(np.float32)


def tune_ndsi(scenes: Sequence[LabelledScene], split: Split) -> NdsiClassifier:
    """Choose NDSI and NIR thresholds with the best mean IoU over the scenes' training pixels."""
    rules = [NdsiClassifier(nir=nir, name="NDSI tuned") for nir in NIR_THRESHOLDS]
    rule, score = _best_rule(rules, (1 + NDSI_THRESHOLDS) / 2, scenes, split)
    return replace(rule, ndsi=round(2 * score - 1, 6))


def tune_band_ratio(scenes: Sequence[LabelledScene], split: Split) -> BandRatioClassifier:
    """Choose ratio, blue threshold and median with the best mean IoU over the scenes' training pixels."""
    rules = [BandRatioClassifier(blue=blue, median=side) for side in MEDIANS for blue in BLUE_THRESHOLDS]
    rule, score = _best_rule(rules, RATIO_THRESHOLDS / (1 + RATIO_THRESHOLDS), scenes, split)
    return replace(rule, ratio=round(score / (1 - score), 6))


def _best_rule(
    rules: Sequence[Any], scores: NDArray[np.float64], scenes: Sequence[LabelledScene], split: Split
) -> tuple[Any, float]:
    """Find the rule and score threshold with the best mean IoU, the first of equals."""
    trained = [(one, pixels) for one in scenes if (pixels := training_pixels(one, split)).any()]
    chosen, best, highest = rules[0], float(scores[0]), -1.0
    for rule in rules:
        ious = []
        for labelled, training in trained:
            probability = rule.probability(labelled.scene)
            ious.append(iou_by_threshold(probability[training], labelled.truth[training], scores))
        mean = np.nan_to_num(ious).mean(axis=0)
        if mean.max() > highest:
            chosen, best, highest = rule, float(scores[mean.argmax()]), float(mean.max())
    return chosen, best
