"""All classifiers on the same pixels, with what chance alone may do to their differences.

Neighbouring pixels err together, so a difference of two maps is far less certain than its number of pixels
suggests. The intervals here resample whole spatial blocks, the same ones for both maps (a paired block
bootstrap); they hold for the scenes that were compared and say nothing of other places.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from glacier_ml.errors import GlacierError
from glacier_ml.evaluation.metrics import Confusion, confusion
from glacier_ml.learning.splits import number_blocks
from glacier_ml.scenes.rasters import grid_difference

if TYPE_CHECKING:
    import pandas as pd

    from glacier_ml.learning.classifier import Classifier
    from glacier_ml.scenes.catalog import CatalogEntry, LabelledScene

Mask = NDArray[np.bool_]

EARLIER = "earlier outline unchanged"
POOLED = "all scenes"
BLOCK_SIDE = 64
"""Side of a bootstrap block [px]: about 2 km at 30 m (typical value, chosen here)."""


@dataclass(frozen=True)
class SceneMaps:
    """One scene as every classifier maps it.

    Attributes
    ----------
    labelled : LabelledScene
        The scene and its true mask.
    valid : ndarray of bool
        (rows, columns), pixels where the scene and every classifier have a value.
    probabilities : dict of str to ndarray
        float32 (rows, columns) by classifier.
    thresholds : dict of str to float
        Glacier at or above, by classifier.
    earlier : ndarray of bool or None
        Mask of the same place at an earlier date on the same grid.
    """

    labelled: LabelledScene
    valid: Mask
    probabilities: dict[str, NDArray[np.float32]]
    thresholds: dict[str, float] = field(default_factory=dict)
    earlier: Mask | None = None

    @property
    def truth(self) -> Mask:
        """The true glacier mask."""
        return self.labelled.truth

    @property
    def masks(self) -> dict[str, Mask]:
        """Glacier masks by classifier, the earlier outline last."""
        mapped = {name: values >= self.thresholds[name] for name, values in self.probabilities.items()}
        return mapped if self.earlier is None else {**mapped, EARLIER: self.earlier}


def classify_scenes(
    classifiers: Sequence[Classifier],
    labelled: Sequence[LabelledScene],
    earlier: Mapping[str, Mask] | None = None,
) -> list[SceneMaps]:
    """Map every scene with every classifier.

    Parameters
    ----------
    classifiers : sequence of Classifier
        With different names.
    labelled : sequence of LabelledScene
        Scenes with masks.
    earlier : mapping of str to ndarray of bool, optional
        By scene name, see `earlier_outlines`.

    Raises
    ------
    GlacierError
        Where there is nothing to compare, names repeat, or a scene has no mask.
    """
    names = [classifier.name for classifier in classifiers]
    if not labelled or len(set(names)) < len(names):
        raise GlacierError(
            f"compare: needs scenes with outlines and classifiers of different names, came {len(labelled)} "
            f"scenes and {', '.join(names) or 'no classifier'}; give a labelled scene the role test"
        )
    return [_classify(classifiers, one, (earlier or {}).get(one.scene.name)) for one in labelled]


def _classify(classifiers: Sequence[Classifier], labelled: LabelledScene, earlier: Mask | None) -> SceneMaps:
    _ = labelled.truth  # a scene without outlines is told before any map is made
    probabilities = {classifier.name: classifier.probability(labelled.scene) for classifier in classifiers}
    valid = np.logical_and.reduce(
        [labelled.scene.valid, *(np.isfinite(values) for values in probabilities.values())]
    )
    thresholds = {classifier.name: classifier.threshold for classifier in classifiers}
    return SceneMaps(labelled, valid, probabilities, thresholds, earlier)


def compare(
    classifiers: Sequence[Classifier],
    labelled: Sequence[LabelledScene],
    earlier: Mapping[str, Mask] | None = None,
) -> pd.DataFrame:
    """Score all classifiers on the same valid pixels: `score_maps` of `classify_scenes`."""
    return score_maps(classify_scenes(classifiers, labelled, earlier))


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
        thresholds |= one.thresholds
        for name, mask in one.masks.items():
            scored = confusion(one.truth, mask, one.valid)
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


def earlier_outlines(entries: Iterable[CatalogEntry], labelled: Sequence[LabelledScene]) -> dict[str, Mask]:
    """Masks of the same place, on the identical grid, at an earlier date.

    Parameters
    ----------
    entries : iterable of CatalogEntry
        Where to look: training scenes of the catalog.
    labelled : sequence of LabelledScene
        Held-out scenes.

    Returns
    -------
    dict of str to ndarray of bool
        By name of the held-out scene; the latest where there are several. A scene whose place was not seen
        before, or on another grid alone, is not in it. An unknown date counts as the earliest.
    """
    found: dict[str, Mask] = {}
    by_date = sorted(entries, key=_date)
    for held in labelled:
        for entry in by_date:
            same = entry.place is not None and entry.place == held.entry.place
            if not same or entry.name == held.entry.name or _date(entry) >= (_date(held.entry) or "9999"):
                continue
            other = entry.load()
            if other.mask is not None and grid_difference(other.scene.grid, held.scene.grid) is None:
                found[held.scene.name] = other.mask
    return found


def _date(entry: CatalogEntry) -> str:
    """ISO date of a scene, or of its latest band where it has none; '' where unknown."""
    return str(entry.date or max(map(str, (entry.date_bands or {}).values()), default=""))


@dataclass(frozen=True)
class Interval:
    """A difference of mean glacier IoU, second minus first, with its 95 % bootstrap interval.

    Attributes
    ----------
    difference, low, high : float
        The bounds are NaN where a scene has fewer than two blocks: nothing is known then.
    """

    difference: float
    low: float
    high: float

    @property
    def distinguishable(self) -> bool:
        """Whether 0 lies outside the interval."""
        return self.low > 0 or self.high < 0


def spatial_blocks(shape: tuple[int, int], side: int = BLOCK_SIDE) -> NDArray[np.int32]:
    """Block of each pixel of a grid, numbered from 1; those at the lower and right edge may be cut."""
    return number_blocks(shape, side)


def bootstrap_difference(
    truth: Mask | Sequence[Mask],
    first: Mask | Sequence[Mask],
    second: Mask | Sequence[Mask],
    blocks: NDArray[np.integer] | Sequence[NDArray[np.integer]],
    repeats: int = 1000,
    seed: int = 0,
) -> Interval:
    """Paired block bootstrap of the difference of glacier IoU, second minus first.

    Parameters
    ----------
    truth, first, second : ndarray of bool, or a list of them
        True mask and the two maps, of one scene or of several (then of the mean of their IoUs).
    blocks : ndarray of int, or a list of them
        Block of each pixel, from 1, resampled within its scene; pixels of block 0 do not count.
    repeats, seed : int
        Number of resamples and their seed.

    Examples
    --------
    >>> truth = np.ones((4, 4), dtype=bool)
    >>> bootstrap_difference(truth, ~truth, truth, spatial_blocks((4, 4), 2))
    Interval(difference=1.0, low=1.0, high=1.0)
    """
    random = np.random.default_rng(seed)
    counts = [
        np.stack([_block_counts(true, mapped, numbers) for mapped in (one, other)])  # (2, blocks, 2)
        for true, one, other, numbers in zip(*map(_listed, (truth, first, second, blocks)), strict=True)
    ]
    difference = float(_mean_difference(np.array([_ious(one.sum(axis=1)) for one in counts])[..., None])[0])
    if min(one.shape[1] for one in counts) < 2:
        return Interval(difference, float("nan"), float("nan"))
    draws = _mean_difference(np.array([_ious(_resampled(one, repeats, random)) for one in counts]))
    if np.isnan(draws).all():
        return Interval(difference, float("nan"), float("nan"))
    low, high = np.nanpercentile(draws, [2.5, 97.5])
    return Interval(difference, float(low), float(high))


def _resampled(counts: NDArray[np.int64], repeats: int, random: np.random.Generator) -> NDArray[np.int64]:
    """(maps, blocks, 2) -> (maps, repeats, 2): as many blocks drawn with replacement, alike for all maps."""
    blocks = counts.shape[1]
    return random.multinomial(blocks, np.full(blocks, 1 / blocks), size=repeats) @ counts


def _listed(arrays: object) -> list[NDArray]:
    return list(arrays) if isinstance(arrays, (list, tuple)) else [np.asarray(arrays)]


def _block_counts(truth: Mask, mapped: Mask, blocks: NDArray[np.integer]) -> NDArray[np.int64]:
    """(blocks, 2): intersection and union of every block that has pixels."""
    counted = blocks > 0
    numbers, size = blocks[counted], int(blocks.max(initial=0)) + 1
    both = np.bincount(numbers[(truth & mapped)[counted]], minlength=size)
    either = np.bincount(numbers[(truth | mapped)[counted]], minlength=size)
    present = np.bincount(numbers, minlength=size) > 0
    return np.stack([both, either], axis=-1)[present]


def _ious(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    both, either = counts[..., 0], counts[..., 1]
    return np.divide(both, either, out=np.full(both.shape, np.nan), where=either > 0)


def _mean_difference(ious: NDArray[np.float64]) -> NDArray[np.float64]:
    """(scenes, 2, repeats) -> (repeats,): mean over scenes of second minus first, where both are defined."""
    difference = ious[:, 1] - ious[:, 0]
    defined = np.isfinite(difference)
    total = np.where(defined, difference, 0).sum(axis=0)
    return np.divide(total, defined.sum(axis=0), out=np.full(total.shape, np.nan), where=defined.any(axis=0))


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
            [scene[first] for scene in masks],
            [scene[second] for scene in masks],
            blocks,
            repeats,
            seed,
        )
        bounds = (interval.difference, interval.low, interval.high, interval.distinguishable)
        rows.append((first, second, *bounds))
    columns = ["first", "second", "difference", "low", "high", "distinguishable"]
    return pd.DataFrame.from_records(rows, columns=columns)
