"""Tables of every score and of every pair's difference, with intervals from one set of draws for all maps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from glacier_ml.evaluation.bootstrap import (
    Values,
    defined_mean,
    draw_blocks,
    draw_seeds,
    middle,
    spatial_blocks,
)
from glacier_ml.evaluation.boundaries import pixel_size_m
from glacier_ml.evaluation.scene_maps import Mask, SceneMaps
from glacier_ml.evaluation.scores import SCORES, score_tally
from glacier_ml.evaluation.subsets import ground_subsets
from glacier_ml.evaluation.tallies import occupied_blocks, tally_map

if TYPE_CHECKING:
    import pandas as pd

ALL, CHANGED, UNCHANGED = "all", "changed", "unchanged"
POOLED = "all scenes"
SUBSET_SCORES = ("accuracy", "precision", "recall", "f1", "iou", "ece", "brier")
"""Scores of part of the ground; its borders and its area are no glacier's."""
SCORE_COLUMNS = [
    *("scene", "subset", "classifier", "score", "value", "low", "high"),
    *("lowest", "highest", "seeds", "pixels"),
]
PAIR_COLUMNS = ["scene", "first", "second", "score", "difference", "low", "high", "distinguishable"]


@dataclass(frozen=True)
class Scored:
    """Scores of one classifier on one subset of one scene.

    Attributes
    ----------
    values : dict of str to ndarray
        By score, (seeds,).
    draws : dict of str to ndarray
        By score, (repeats, seeds): of the resampled blocks, the same ones for every classifier.
    pixels, blocks : int
        How many counted.
    """

    values: dict[str, Values]
    draws: dict[str, Values]
    pixels: int
    blocks: int


SceneScores = dict[str, dict[str, Scored]]  # by subset and classifier


def subsets_of(maps: SceneMaps) -> dict[str, Mask]:
    """Parts of a scene that are scored: all valid pixels, changed and unchanged ones, ground classes.

    'changed' are the pixels whose truth is another than that of the earlier outline: there the outline left
    as it was is wrong everywhere by definition, and a map shows whether it saw the change.
    """
    parts = {ALL: maps.valid}
    if maps.earlier is not None:
        changed = maps.truth != maps.earlier
        parts |= {CHANGED: maps.valid & changed, UNCHANGED: maps.valid & ~changed}
    parts |= {name: maps.valid & part for name, part in ground_subsets(maps.labelled).items()}
    return {name: part for name, part in parts.items() if part.any()}


def score_scene(
    maps: SceneMaps,
    side: int,
    repeats: int,
    seed: Sequence[int],
    tell: Callable[[str], None] | None = None,
) -> SceneScores:
    """Score every map of a scene on all of its subsets, as it is and on blocks drawn again.

    Parameters
    ----------
    maps : SceneMaps
        One scene as every classifier maps it.
    side, repeats : int
        Of a block [px]; number of draws.
    seed : sequence of int
        Of the draws of this scene.
    tell : callable, optional
        Hears of each subset that is scored, in words.
    """
    scored: SceneScores = {}
    masks, numbers = maps.masks, spatial_blocks(maps.valid.shape, side)
    for order, (subset, counted) in enumerate(subsets_of(maps).items()):
        blocks = occupied_blocks(numbers, counted)
        weights = draw_blocks(int(blocks.max()), repeats, np.random.default_rng([*seed, order]))
        scored[subset] = {
            name: _score_seeds(maps, name, mapped, counted, blocks, weights, subset == ALL)
            for name, mapped in masks.items()
        }
        if tell:
            tell(f"{maps.name}: {subset}")
    return scored


def _score_seeds(
    maps: SceneMaps,
    name: str,
    masks: Sequence[Mask],
    counted: Mask,
    blocks: NDArray[np.int32],
    weights: NDArray[np.int64],
    whole: bool,
) -> Scored:
    """Score each seed's map of one classifier; boundaries on whole scenes, where they are glaciers'."""
    values: dict[str, list[Values]] = {}
    draws: dict[str, list[Values]] = {}
    probabilities = [None] * len(masks) if name in maps.rules else maps.probabilities.get(name, [None])
    pixel_m = pixel_size_m(maps.labelled.scene)
    for mask, probability in zip(masks, probabilities, strict=True):
        # Boundaries want to know what is valid beside the counted pixels, too.
        tally = tally_map(maps.truth, mask, maps.valid, blocks, pixel_m, probability, boundary=whole)
        for score, value in score_tally(tally.total).items():
            values.setdefault(score, []).append(value)
        for score, drawn in score_tally(tally.resampled(weights)).items():
            draws.setdefault(score, []).append(drawn)
    return Scored(
        {score: np.array(found, dtype=np.float64) for score, found in values.items()},
        {score: np.stack(found, axis=-1) for score, found in draws.items()},
        int(np.count_nonzero(counted)),
        int(blocks.max()),
    )


def seed_weights(maps: Sequence[SceneMaps], repeats: int, seed: int) -> dict[str, Values]:
    """Weights of each classifier's trainings in each draw, (repeats, seeds), the same ones in every scene."""
    counts = {name: len(masks) for one in maps for name, masks in one.masks.items()}
    return {
        name: draw_seeds(count, repeats, np.random.default_rng([seed, 1_000_000 + order]))
        for order, (name, count) in enumerate(counts.items())
    }


def tabulate_scores(scored: Mapping[str, SceneScores], weights: Mapping[str, Values]) -> pd.DataFrame:
    """Table of scores (`SCORE_COLUMNS`) from the scores of each scene, by its name.

    Rows of 'all scenes', the mean over scenes, are there for classifiers that mapped every scene that has
    the subset, where several scenes have it.
    """
    import pandas as pd

    rows = []
    for scene, subset, name, parts in _groups(scored):
        for score in SCORES:
            row = _summary(parts, score, weights[name])
            if subset == ALL or (score in SUBSET_SCORES and np.isfinite(row["value"])):
                place = {"scene": scene, "subset": subset, "classifier": name, "score": score}
                rows.append(place | row)
    return pd.DataFrame(rows, columns=SCORE_COLUMNS)


def _groups(scored: Mapping[str, SceneScores]) -> Iterator[tuple[str, str, str, list[Scored]]]:
    """(scene, subset, classifier, scores), of each scene and then of all of them."""
    for scene, subsets in scored.items():
        for subset, classifiers in subsets.items():
            yield from ((scene, subset, name, [one]) for name, one in classifiers.items())
    if len(scored) < 2:
        return
    for subset in dict.fromkeys(subset for subsets in scored.values() for subset in subsets):
        having = [subsets[subset] for subsets in scored.values() if subset in subsets]
        for name in having[0]:
            if len(having) > 1 and all(name in one for one in having):
                yield POOLED, subset, name, [one[name] for one in having]


def _summary(parts: Sequence[Scored], score: str, weights: Values) -> dict[str, Any]:
    """Mean over seeds of the mean over scenes, its interval, and the seeds' extremes."""
    by_seed = defined_mean(np.stack([part.values[score] for part in parts]), axis=0)
    low = high = float("nan")
    if min(part.blocks for part in parts) > 1:
        drawn = defined_mean(np.stack([part.draws[score] for part in parts]), axis=0)
        low, high = middle(defined_mean(drawn, axis=1, weights=weights))
    known = by_seed[np.isfinite(by_seed)]
    return {
        "value": float(defined_mean(by_seed, axis=0)),
        "low": low,
        "high": high,
        "lowest": float(known.min(initial=np.inf)) if known.size else float("nan"),
        "highest": float(known.max(initial=-np.inf)) if known.size else float("nan"),
        "seeds": by_seed.size,
        "pixels": sum(part.pixels for part in parts),
    }


def tabulate_pairs(scored: Mapping[str, SceneScores], weights: Mapping[str, Values]) -> pd.DataFrame:
    """Table of the pairs' differences on all pixels (`PAIR_COLUMNS`), second - first.

    A score that is better nearer 0 is compared by its magnitude. Rows of 'all scenes', the mean over scenes,
    are there for pairs that mapped all of several scenes. Undefined differences are left out.
    """
    import pandas as pd

    whole = {scene: subsets[ALL] for scene, subsets in scored.items()}
    reduced = {
        scene: {name: _reduced(one, weights[name]) for name, one in classifiers.items()}
        for scene, classifiers in whole.items()
    }
    places = {scene: [scene] for scene in reduced} | ({POOLED: list(reduced)} if len(reduced) > 1 else {})
    rows = []
    for place, scenes in places.items():
        enough = min(one.blocks for scene in scenes for one in whole[scene].values()) > 1
        names = [name for name in reduced[scenes[0]] if all(name in reduced[scene] for scene in scenes)]
        for (first, second), score in ((pair, score) for pair in combinations(names, 2) for score in SCORES):
            pairs = [(reduced[scene][first][score], reduced[scene][second][score]) for scene in scenes]
            row = _difference(pairs, enough)
            if np.isfinite(row[0]):
                rows.append((place, first, second, score, *row))
    return pd.DataFrame.from_records(rows, columns=PAIR_COLUMNS)


def _reduced(one: Scored, weights: Values) -> dict[str, tuple[Values, Values]]:
    """Mean over seeds of each score, as it is () and in every draw (repeats,)."""
    means = {}
    for score, about in SCORES.items():
        values, draws = one.values[score], one.draws[score]
        if about.better == "nearer 0":
            values, draws = np.abs(values), np.abs(draws)
        means[score] = defined_mean(values, axis=0), defined_mean(draws, axis=1, weights=weights)
    return means


def _difference(
    pairs: Sequence[tuple[tuple[Values, Values], tuple[Values, Values]]], enough: bool
) -> tuple[float, float, float, bool]:
    """Mean over scenes of second - first, its bounds, and whether 0 lies outside them."""
    difference = defined_mean(np.array([second[0] - first[0] for first, second in pairs]), axis=0)
    if not enough:
        return float(difference), float("nan"), float("nan"), False
    drawn = defined_mean(np.stack([second[1] - first[1] for first, second in pairs]), axis=0)
    low, high = middle(drawn)
    return float(difference), low, high, low > 0 or high < 0
