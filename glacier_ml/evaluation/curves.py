"""Scores over thresholds, and reliability: what a classifier's probabilities are worth beyond one mask."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from glacier_ml.evaluation.bootstrap import defined_mean
from glacier_ml.evaluation.reliability import BINS, reliability, reliability_bins
from glacier_ml.evaluation.scene_maps import SceneMaps
from glacier_ml.evaluation.scores import pixel_scores
from glacier_ml.learning.calibration import THRESHOLDS

if TYPE_CHECKING:
    import pandas as pd

CURVE_SCORES = ("iou", "f1", "precision", "recall", "accuracy")


def threshold_table(maps: Sequence[SceneMaps]) -> pd.DataFrame:
    """Table of scores by threshold, means over seeds: each of THRESHOLDS, and each classifier's own.

    Returns
    -------
    pandas.DataFrame
        Columns scene, classifier, threshold, own and `CURVE_SCORES`. Rows with `own` score every seed at its
        own threshold, and name the mean of these.
    """
    import pandas as pd

    rows = []
    for one in maps:
        for name, probabilities in one.probabilities.items():
            truth = one.truth[one.valid]
            own = one.thresholds[name]
            seeds = [probability[one.valid] for probability in probabilities]
            curves = np.stack([confusion_by_threshold(truth, seed, THRESHOLDS) for seed in seeds])
            points = [
                confusion_by_threshold(truth, seed, np.array([threshold]))
                for seed, threshold in zip(seeds, own, strict=True)
            ]
            table = np.concatenate([curves, np.stack(points)], axis=1)  # (seeds, thresholds, 4)
            means = {score: defined_mean(pixel_scores(table)[score], axis=0) for score in CURVE_SCORES}
            shown = [*(round(float(value), 2) for value in THRESHOLDS), float(np.mean(own))]
            for place, threshold in enumerate(shown):
                values = {score: float(means[score][place]) for score in CURVE_SCORES}
                about = {"scene": one.name, "classifier": name, "threshold": threshold}
                rows.append(about | {"own": place == len(THRESHOLDS)} | values)
    return pd.DataFrame(rows)


def confusion_by_threshold(
    truth: NDArray[np.bool_], probability: NDArray[np.floating], candidates: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Count a map at several rising thresholds at once, glacier at or above each.

    Returns
    -------
    ndarray
        (thresholds, 4) pixels TP, FP, FN, TN.

    Examples
    --------
    >>> truth, probability = np.array([False, True, True]), np.array([0.2, 0.6, 0.4])
    >>> confusion_by_threshold(truth, probability, np.array([0.1, 0.5])).tolist()
    [[2.0, 1.0, 0.0, 0.0], [1.0, 0.0, 1.0, 1.0]]
    """
    # Maps compare in float32: 0.3 must lie on the same side of 0.3 here as there.
    single = np.asarray(candidates, dtype=np.float32)
    place = np.searchsorted(single, probability.astype(np.float32), side="right")
    size = len(single) + 1
    glacier, other = (np.bincount(place[case], minlength=size).astype(float) for case in (truth, ~truth))
    hits, alarms = (counts[::-1].cumsum()[::-1][1:] for counts in (glacier, other))
    return np.stack([hits, alarms, glacier.sum() - hits, other.sum() - alarms], axis=-1)


def reliability_table(maps: Sequence[SceneMaps]) -> pd.DataFrame:
    """Table of the bins of a reliability diagram, the pixels of all seeds pooled.

    Returns
    -------
    pandas.DataFrame
        Columns scene, classifier, bin (0, 1, ...), pixels, probability (mean, NaN in an empty bin), glacier
        (share). Rules give scores, no probabilities, and have no rows.
    """
    import pandas as pd

    rows = []
    for one in maps:
        truth = one.truth[one.valid]
        for name in (name for name in one.probabilities if name not in one.rules):
            bins = np.sum([reliability_bins(truth, it[one.valid]) for it in one.probabilities[name]], axis=0)
            said, seen = reliability(bins)
            for number in range(BINS):
                counted = (int(bins[number, 0]), float(said[number]), float(seen[number]))
                rows.append((one.name, name, number, *counted))
    columns = ["scene", "classifier", "bin", "pixels", "probability", "glacier"]
    return pd.DataFrame.from_records(rows, columns=columns)
