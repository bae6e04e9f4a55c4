"""How good is a map: scores of a glacier mask against the truth, counted on valid pixels.

Every score is a ratio of the four counts of `Confusion`. A ratio of nothing by nothing is undefined and
comes back as NaN, never as 0 or 1: a map without glacier of a scene without glacier is neither a failure
nor a success, and a mean over scenes leaves it out instead of being pulled by a made-up number.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from glacier_ml.errors import GlacierError


@dataclass(frozen=True)
class Confusion:
    """Counts of pixels by truth and prediction; glacier is the positive class.

    Attributes
    ----------
    true_positive, false_positive, false_negative, true_negative : int
        Glacier mapped as glacier, other ground mapped as glacier, glacier missed, other ground left out.

    Examples
    --------
    >>> counts = Confusion(true_positive=6, false_positive=2, false_negative=4, true_negative=8)
    >>> counts.accuracy, counts.precision, counts.recall, counts.iou, counts.kappa
    (0.7, 0.75, 0.6, 0.5, 0.4)
    """

    true_positive: int
    false_positive: int
    false_negative: int
    true_negative: int

    @property
    def pixels(self) -> int:
        """All counted pixels."""
        return self.true_positive + self.false_positive + self.false_negative + self.true_negative

    @property
    def accuracy(self) -> float:
        """Share of the pixels mapped right, (TP + TN) / all, 0 to 1 without unit; NaN without pixels.

        Definition as in scikit-learn's accuracy_score, common usage.
        """
        return _ratio(self.true_positive + self.true_negative, self.pixels)

    @property
    def precision(self) -> float:
        """Share of the mapped glacier that is glacier, TP / (TP + FP), 0 to 1; NaN where none is mapped.

        Definition as in scikit-learn's precision_score, common usage.
        """
        return _ratio(self.true_positive, self.true_positive + self.false_positive)

    @property
    def recall(self) -> float:
        """Share of the glacier that is mapped, TP / (TP + FN), 0 to 1; NaN where there is no glacier.

        Definition as in scikit-learn's recall_score, common usage.
        """
        return _ratio(self.true_positive, self.true_positive + self.false_negative)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall, 2 TP / (2 TP + FP + FN), 0 to 1; NaN where IoU is NaN.

        Definition as in scikit-learn's f1_score, common usage.
        """
        errors = self.false_positive + self.false_negative
        return _ratio(2 * self.true_positive, 2 * self.true_positive + errors)

    @property
    def iou(self) -> float:
        """Glacier intersection over union, TP / (TP + FP + FN), 0 to 1; NaN with none mapped and none there.

        The coefficient of community of Jaccard (1912), New Phytologist 11, 37-50.
        """
        return _ratio(self.true_positive, self.true_positive + self.false_positive + self.false_negative)

    @property
    def kappa(self) -> float:
        """Cohen's kappa: accuracy beyond that of chance, of what is there to gain; -1 to 1 without unit.

        (p - e) / (1 - e), p the accuracy, e the accuracy of a map with as much glacier laid out at random;
        0 is chance. NaN where map and truth hold the same class alone. Cohen (1960), Educational and
        Psychological Measurement 20, 37-46.
        """
        mapped, missed = self.true_positive + self.false_positive, self.false_negative + self.true_negative
        there, other = self.true_positive + self.false_negative, self.false_positive + self.true_negative
        beyond = self.true_positive * self.true_negative - self.false_positive * self.false_negative
        return _ratio(2 * beyond, mapped * other + there * missed)

    def __add__(self, other: Confusion) -> Confusion:
        """Pool the pixels of two maps."""
        return Confusion(
            self.true_positive + other.true_positive,
            self.false_positive + other.false_positive,
            self.false_negative + other.false_negative,
            self.true_negative + other.true_negative,
        )


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")


def confusion(
    truth: NDArray[np.bool_], predicted: NDArray[np.bool_], valid: NDArray[np.bool_] | None = None
) -> Confusion:
    """Count a map against the truth.

    Parameters
    ----------
    truth, predicted : ndarray of bool
        Glacier masks of one shape.
    valid : ndarray of bool, optional
        Pixels that count; all of them without it.

    Returns
    -------
    Confusion

    Raises
    ------
    GlacierError
        Where the shapes differ.

    Examples
    --------
    >>> confusion(np.array([True, True, False]), np.array([True, False, False]))
    Confusion(true_positive=1, false_positive=0, false_negative=1, true_negative=1)
    """
    counted = np.ones(np.shape(truth), dtype=bool) if valid is None else np.asarray(valid, dtype=bool)
    if not np.shape(truth) == np.shape(predicted) == counted.shape:
        raise GlacierError(
            f"confusion: truth, map and valid pixels need one shape, came {np.shape(truth)}, "
            f"{np.shape(predicted)}, {counted.shape}; bring them onto the scene's grid"
        )
    code = 2 * np.asarray(truth, dtype=bool)[counted] + np.asarray(predicted, dtype=bool)[counted]
    true_negative, false_positive, false_negative, true_positive = np.bincount(code, minlength=4).tolist()
    return Confusion(true_positive, false_positive, false_negative, true_negative)


def mean_iou(confusions: Iterable[Confusion]) -> float:
    """Mean over scenes of each scene's glacier IoU; each scene weighs the same, whatever its size.

    Scenes whose IoU is undefined are left out; NaN where it is undefined in all of them.

    Examples
    --------
    >>> mean_iou([Confusion(1, 1, 0, 0), Confusion(1, 0, 0, 5), Confusion(0, 0, 0, 9)])
    0.75
    """
    defined = [counts.iou for counts in confusions if not np.isnan(counts.iou)]
    return float(np.mean(defined)) if defined else float("nan")
