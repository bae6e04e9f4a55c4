"""Comparisons of made maps, so that verdict and page can be told apart from training."""

from itertools import combinations

import numpy as np
import pandas as pd
from made_classifiers import MadeClassifier, shifted, sure_map
from made_scenes import made_scene

from glacier_ml.evaluation.comparison import Comparison, compare_maps
from glacier_ml.evaluation.scene_maps import EARLIER, SceneMaps, classify_scenes
from glacier_ml.learning.rules import NdsiClassifier


def small_comparison(scenes=None, seeds=2, earlier=True, **options):
    """U-Net with seeds, FFNN and NDSI on small scenes; the first has an earlier outline, 3 px too wide."""
    scenes = scenes or [made_scene("late", (140, 150), nodata=4)]
    contestants = [
        [
            MadeClassifier(_maps(scenes, seed + 1), "unet", threshold=0.5 - 0.1 * seed, origin={"seed": seed})
            for seed in range(seeds)
        ],
        [MadeClassifier(_maps(scenes, 9), "ffnn", origin={"seed": 0})],
        [NdsiClassifier()],
    ]
    first = scenes[0]
    outlines = {first.scene.name: first.mask | shifted(first.mask, 3)} if earlier else {}
    return compare_maps(classify_scenes(contestants, scenes, outlines), **{"repeats": 40, **options})


def _maps(scenes, shift):
    return {one.scene.name: sure_map(shifted(one.mask, shift)) for one in scenes}


def told_comparison(ious, differences, scenes=("late",), earlier=("late",), seeds=None):
    """A comparison by its numbers alone.

    `ious` by classifier, `differences` {(first, second): (difference, low, high)} as first minus second.
    """
    rows = [_row(len(scenes), name, value) for name, value in ious.items()]
    if len(scenes) == 1:
        rows = [{**row, "scene": scenes[0]} for row in rows]
    elif EARLIER in ious:
        rows = [{**row, "scene": earlier[0]} if row["classifier"] == EARLIER else row for row in rows]
    names = [pair for pair in combinations(ious, 2) if pair in differences]
    pairs = pd.DataFrame([_pair(first, second, *differences[first, second]) for first, second in names])
    alone = [EARLIER in pair and set(earlier) != set(scenes) for pair in names]
    scene_pairs = pairs.assign(scene=earlier[0] if earlier else scenes[0])
    maps = [_maps_of(name, ious, name in earlier) for name in scenes]
    kept = pairs[~np.array(alone, dtype=bool)] if names else _no_pairs()
    blank = pd.DataFrame()
    told = scene_pairs if names else _no_pairs()
    return Comparison(maps, pd.DataFrame(rows), kept, told, blank, blank, seeds=seeds or {})


def _row(scenes, name, value):
    bounds = {"value": value, "low": value - 0.05, "high": value + 0.05, "lowest": value, "highest": value}
    where = {"scene": "all scenes" if scenes > 1 else "", "subset": "all", "classifier": name, "score": "iou"}
    return {**where, **bounds, "seeds": 1, "pixels": 100, "scenes": scenes}


def _pair(first, second, difference, low, high):
    """As the comparison stores it: second minus first."""
    told = low > 0 or high < 0
    numbers = {"difference": -difference, "low": -high, "high": -low, "distinguishable": told}
    return {"first": first, "second": second, "score": "iou", **numbers}


def _no_pairs():
    columns = ["first", "second", "score", "difference", "low", "high", "distinguishable", "scene"]
    return pd.DataFrame(columns=columns)


def _maps_of(name, ious, has_earlier):
    labelled = made_scene(name, (8, 8))
    drawn = {one: [sure_map(labelled.mask)] for one in ious if one != EARLIER}
    return SceneMaps(
        labelled,
        labelled.scene.valid,
        drawn,
        {one: [0.5] for one in drawn},
        labelled.mask if has_earlier else None,
    )
