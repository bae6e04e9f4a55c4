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
    enough_blocks,
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
    *("lowest", "highest", "seeds", "pixels", "scenes"),
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

    Rows of 'all scenes' are means over scenes: of a subset that several have, for classifiers that mapped
    all of these, over the scenes in which the score is defined for every classifier (`shared_scenes`). Scores
    that are better nearer 0 go in with their magnitude there, so that errors of two scenes never cancel.
    """
    import pandas as pd

    rows = []
    for scene, subset, classifiers in _groups(scored):
        shared = {score: shared_scenes(list(classifiers.values()), score) for score in SCORES}
        for name, parts in classifiers.items():
            for score in SCORES:
                kept = [part for part, counts in zip(parts, shared[score], strict=True) if counts]
                row = _summary(kept, score, weights[name], scene == POOLED)
                if subset == ALL or (score in SUBSET_SCORES and np.isfinite(row["value"])):
                    place = {"scene": scene, "subset": subset, "classifier": name, "score": score}
                    rows.append(place | row)
    return pd.DataFrame(rows, columns=SCORE_COLUMNS)


def shared_scenes(classifiers: Sequence[Sequence[Scored]], score: str) -> NDArray[np.bool_]:
    """Scenes over which a score is averaged, the same ones for every classifier.

    A scene without glacier has an IoU of 0 for maps with a false alarm, and none for maps without: it counts
    for nobody then, or the better map would have the worse mean. Maps that have the score nowhere, such as
    outlines the calibration, take no scene from the others.

    Parameters
    ----------
    classifiers : sequence of sequence of Scored
        By classifier and scene.
    score : str
        Its name.

    Returns
    -------
    ndarray of bool
        (scenes,).
    """
    defined = np.array([[np.isfinite(one.values[score]).any() for one in parts] for parts in classifiers])
    shared: NDArray[np.bool_] = np.all(defined[defined.any(axis=1)], axis=0)
    return shared


def _groups(scored: Mapping[str, SceneScores]) -> Iterator[tuple[str, str, dict[str, list[Scored]]]]:
    """(scene, subset, scores by classifier), of each scene and then of all of them."""
    for scene, subsets in scored.items():
        for subset, classifiers in subsets.items():
            yield scene, subset, {name: [one] for name, one in classifiers.items()}
    for subset in dict.fromkeys(subset for subsets in scored.values() for subset in subsets):
        having = [subsets[subset] for subsets in scored.values() if subset in subsets]
        everywhere = [name for name in having[0] if all(name in one for one in having)]
        if len(having) > 1 and everywhere:
            yield POOLED, subset, {name: [one[name] for one in having] for name in everywhere}


def _summary(parts: Sequence[Scored], score: str, weights: Values, pooled: bool) -> dict[str, Any]:
    """Mean over scenes of the mean over seeds, its interval, and the seeds' extremes."""
    values = np.array([part.values[score] for part in parts]).reshape(len(parts), weights.shape[1])
    draws = [part.draws[score] for part in parts]
    if pooled and SCORES[score].better == "nearer 0":
        values, draws = np.abs(values), [np.abs(one) for one in draws]
    low = high = float("nan")
    if enough_blocks([part.blocks for part in parts]):
        by_scene = [defined_mean(one, axis=1, weights=weights) for one in draws]
        low, high = middle(np.mean(by_scene, axis=0))  # undefined where it is in one of the scenes
    by_seed = values.mean(axis=0) if parts else np.full(weights.shape[1], np.nan)
    known = by_seed[np.isfinite(by_seed)]
    return {
        "value": _plain_mean(defined_mean(values, axis=1)),
        "low": low,
        "high": high,
        "lowest": float(known.min()) if known.size else float("nan"),
        "highest": float(known.max()) if known.size else float("nan"),
        "seeds": weights.shape[1],
        "pixels": sum(part.pixels for part in parts),
        "scenes": len(parts),
    }


def _plain_mean(values: Values) -> float:
    return float(values.mean()) if values.size else float("nan")


def tabulate_pairs(scored: Mapping[str, SceneScores], weights: Mapping[str, Values]) -> pd.DataFrame:
    """Table of the pairs' differences on all pixels (`PAIR_COLUMNS`), second - first.

    A score that is better nearer 0 is compared by its magnitude. Rows of 'all scenes', the mean over the same
    scenes as in `tabulate_scores`, are there for pairs that mapped all of several scenes. Undefined
    differences are left out.
    """
    import pandas as pd

    rows = []
    for place, subset, classifiers in _groups(scored):
        if subset != ALL:
            continue
        reduced = {
            name: [_reduced(one, weights[name]) for one in parts] for name, parts in classifiers.items()
        }
        blocks = [one.blocks for one in next(iter(classifiers.values()))]  # the same for all
        for score in SCORES:
            kept = np.flatnonzero(shared_scenes(list(classifiers.values()), score))
            enough = enough_blocks([blocks[scene] for scene in kept])
            for first, second in combinations(classifiers, 2):
                pairs = [(reduced[first][scene][score], reduced[second][scene][score]) for scene in kept]
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
    difference = _plain_mean(np.array([second[0] - first[0] for first, second in pairs]))
    if not enough:
        return difference, float("nan"), float("nan"), False
    low, high = middle(np.mean([second[1] - first[1] for first, second in pairs], axis=0))
    return difference, low, high, low > 0 or high < 0
