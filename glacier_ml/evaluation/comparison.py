"""All classifiers on the same pixels, with what chance alone may do to their differences.

Neighbouring pixels err together, so a difference of two maps is far less certain than its number of pixels
suggests. The intervals here resample whole spatial blocks, the same ones for both maps, and the trainings of
each network (`glacier_ml.evaluation.bootstrap`); they hold for the scenes that were compared and say nothing
of other places.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from glacier_ml.evaluation.bootstrap import BLOCK_SIDE, REPEATS
from glacier_ml.evaluation.curves import reliability_table, threshold_table
from glacier_ml.evaluation.scene_maps import EARLIER, SceneMaps, classify_scenes, earlier_outlines
from glacier_ml.evaluation.score_tables import (
    ALL,
    CHANGED,
    POOLED,
    UNCHANGED,
    score_scene,
    seed_weights,
    tabulate_pairs,
    tabulate_scores,
)

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "ALL",
    "BLOCK_SIDE",
    "CHANGED",
    "EARLIER",
    "POOLED",
    "REPEATS",
    "UNCHANGED",
    "Comparison",
    "SceneMaps",
    "classify_scenes",
    "compare_maps",
    "earlier_outlines",
]


@dataclass(frozen=True)
class Comparison:
    """All classifiers on the same pixels of the same scenes: every score, every difference, with intervals.

    Intervals are the middle 95 % of a bootstrap over spatial blocks and seeds, for these scenes.

    Attributes
    ----------
    maps : list of SceneMaps
        What was scored.
    scores : pandas.DataFrame
        Columns scene, subset, classifier, score, value, low, high, lowest, highest, seeds, pixels, scenes.
        `value` is the mean over `seeds` trainings, of which `lowest` and `highest` are the extremes. The
        scene 'all scenes', there with several, is the mean over those `scenes` in which every classifier
        has the score; of scores that are better nearer 0 it is the mean magnitude. Bounds are NaN where
        there are fewer than six blocks, or a scene has one. Subset 'all' has every score of
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
    repeats: int = REPEATS
    seeds: dict[str, list[int]] = field(default_factory=dict)

    @property
    def overall(self) -> str:
        """Where the scores of all scenes together stand: 'all scenes', or the only scene's name."""
        return POOLED if len(self.maps) > 1 else self.maps[0].name


def compare_maps(
    maps: Sequence[SceneMaps],
    side: int = BLOCK_SIDE,
    repeats: int = REPEATS,
    seed: int = 0,
    tell: Callable[[str], None] | None = None,
) -> Comparison:
    """Score all maps on the same pixels, and every pair of them, with intervals for these scenes.

    Parameters
    ----------
    maps : sequence of SceneMaps
        See `classify_scenes`.
    side, repeats, seed : int
        Side of a bootstrap block [px]; number of draws; seed of the draws.
    tell : callable, optional
        Hears of each part of the work, in words.

    Returns
    -------
    Comparison
    """
    scored = {
        one.name: score_scene(one, side, repeats, [seed, number], tell) for number, one in enumerate(maps)
    }
    weights = seed_weights(maps, repeats, seed)
    pairs = tabulate_pairs(scored, weights)
    overall = POOLED if len(maps) > 1 else maps[0].name
    return Comparison(
        maps=list(maps),
        scores=tabulate_scores(scored, weights),
        pairs=pairs[pairs.scene == overall].drop(columns="scene").reset_index(drop=True),
        scene_pairs=pairs[pairs.scene != POOLED].reset_index(drop=True),
        thresholds=threshold_table(maps),
        reliability=reliability_table(maps),
        side=side,
        repeats=repeats,
        seeds={name: seeds for name, seeds in maps[0].seeds.items() if seeds},
    )
