"""All classifiers on the same pixels, with what chance alone may do to their differences.

Neighbouring pixels err together, so a difference of two maps is far less certain than its number of pixels
suggests. The intervals here resample whole spatial blocks, the same ones for both maps, and the trainings of
each network (`glacier_ml.evaluation.bootstrap`); they hold for the scenes that were compared and say nothing
of other places.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from glacier_ml.evaluation.bootstrap import BLOCK_SIDE, bootstrap_difference, spatial_blocks
from glacier_ml.evaluation.metrics import Confusion, confusion
from glacier_ml.evaluation.scene_maps import EARLIER, Mask, SceneMaps, classify_scenes, earlier_outlines

if TYPE_CHECKING:
    import pandas as pd

    from glacier_ml.learning.classifier import Classifier
    from glacier_ml.scenes.catalog import LabelledScene

__all__ = [
    "BLOCK_SIDE",
    "EARLIER",
    "POOLED",
    "Comparison",
    "SceneMaps",
    "classify_scenes",
    "earlier_outlines",
]

POOLED = "all scenes"


@dataclass(frozen=True)
class Comparison:
    """All classifiers on the same pixels of the same scenes: every score, every difference, with intervals.

    Intervals are the middle 95 % of a bootstrap over spatial blocks and seeds, for these scenes.

    Attributes
    ----------
    maps : list of SceneMaps
        What was scored.
    scores : pandas.DataFrame
        Columns scene, subset, classifier, score, value, low, high, lowest, highest, seeds, pixels. `value` is
        the mean over `seeds` trainings, of which `lowest` and `highest` are the extremes. The scene
        'all scenes', there with several, is the mean over scenes. Subset 'all' has every score of
        `glacier_ml.evaluation.scores.SCORES`, undefined ones as NaN; the others ('changed' and 'unchanged'
        since an earlier outline, ground classes) those that are defined there.
    pairs : pandas.DataFrame
        Columns first, second, score, difference, low, high, distinguishable: second - first, mean over
        scenes, of pairs that mapped every scene; of scores that are better nearer 0, of their magnitudes.
    scene_pairs : pandas.DataFrame
        The same with a column scene, of every scene by itself.
    thresholds : pandas.DataFrame
        Columns scene, classifier, threshold, own, iou, f1, precision, recall, accuracy: means over seeds, at
        thresholds .05 to .95, and at the classifiers' own, where `own` is true.
    reliability : pandas.DataFrame
        Columns scene, classifier, bin, pixels, probability, glacier: of the classifiers that give
        probabilities, 15 bins of equal width, pixels of all seeds pooled.
    side, repeats : int
        Side of a bootstrap block [px], number of draws.
    seeds : dict of str to list of int
        By network, the seeds that it was trained from.
    """

    maps: list[SceneMaps]
    scores: pd.DataFrame
    pairs: pd.DataFrame
    scene_pairs: pd.DataFrame
    thresholds: pd.DataFrame
    reliability: pd.DataFrame
    side: int = BLOCK_SIDE
    repeats: int = 1000
    seeds: dict[str, list[int]] = field(default_factory=dict)

    @property
    def overall(self) -> str:
        """Where the scores of all scenes together stand: 'all scenes', or the only scene's name."""
        return POOLED if len(self.maps) > 1 else self.maps[0].name


def compare(
    classifiers: Sequence[Classifier],
    labelled: Sequence[LabelledScene],
    earlier: Mapping[str, Mask] | None = None,
) -> pd.DataFrame:
    """Score all classifiers on the same valid pixels: `score_maps` of `classify_scenes`."""
    return score_maps(classify_scenes([[one] for one in classifiers], labelled, earlier))


def score_maps(maps: Sequence[SceneMaps]) -> pd.DataFrame:
    """Table of scores, one row a scene and classifier.

    Returns
    -------
    pandas.DataFrame
        Columns scene, classifier, accuracy, precision, recall, f1, iou, threshold, pixels. The threshold of
        an outline is NaN. With several scenes, rows of the scene 'all scenes' pool the pixels of classifiers
        that mapped every scene.
    """
    import pandas as pd

    counts: dict[str, dict[str, Confusion]] = {}
    thresholds: dict[str, float] = {}
    rows = []
    for one in maps:
        thresholds |= {name: own[0] for name, own in one.thresholds.items()}
        for name, masks in one.masks.items():
            scored = confusion(one.truth, masks[0], one.valid)
            counts.setdefault(name, {})[one.labelled.scene.name] = scored
            rows.append(_row(one.labelled.scene.name, name, scored, thresholds))
    for name, by_scene in counts.items():
        if len(by_scene) == len(maps) > 1:
            pooled = sum(by_scene.values(), Confusion(0, 0, 0, 0))
            rows.append(_row(POOLED, name, pooled, thresholds))
    return pd.DataFrame(rows)


def _row(scene: str, name: str, scored: Confusion, thresholds: dict[str, float]) -> dict[str, object]:
    scores = ("accuracy", "precision", "recall", "f1", "iou")
    return {
        "scene": scene,
        "classifier": name,
        **{score: getattr(scored, score) for score in scores},
        "threshold": thresholds.get(name, float("nan")),
        "pixels": scored.pixels,
    }


def compare_pairs(
    maps: Sequence[SceneMaps], side: int = BLOCK_SIDE, repeats: int = 1000, seed: int = 0
) -> pd.DataFrame:
    """Differences of mean IoU of each pair of maps, with their intervals for these scenes.

    Returns
    -------
    pandas.DataFrame
        Columns first, second, difference, low, high, distinguishable; difference = second - first. Pairs
        with an outline that not every scene has are left out.
    """
    import pandas as pd

    masks = [one.masks for one in maps]
    blocks = [np.where(one.valid, spatial_blocks(one.valid.shape, side), 0) for one in maps]
    names = [name for name in masks[0] if all(name in scene for scene in masks)]
    rows = []
    for first, second in combinations(names, 2):
        interval = bootstrap_difference(
            [one.truth for one in maps],
            [scene[first][0] for scene in masks],
            [scene[second][0] for scene in masks],
            blocks,
            repeats,
            seed,
        )
        bounds = (interval.difference, interval.low, interval.high, interval.distinguishable)
        rows.append((first, second, *bounds))
    columns = ["first", "second", "difference", "low", "high", "distinguishable"]
    return pd.DataFrame.from_records(rows, columns=columns)
