"""What chance may do to a trial's score, from its counts in spatial blocks alone.

A trial leaves the confusion of each block of its validation pixels (`validation_blocks.json`), so that two
trials can be compared long after their maps are gone. Blocks are resampled, not pixels, because neighbouring
pixels err together; trials that were scored on the same blocks are resampled alike (a paired bootstrap), so
that what is hard for both does not count as a difference.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from glacier_ml.errors import GlacierError
from glacier_ml.evaluation.bootstrap import defined_mean
from glacier_ml.learning.ratios import ratio
from glacier_ml.learning.splits import number_blocks

if TYPE_CHECKING:
    import pandas as pd

BlockFile = Mapping[str, Any]
"""Content of `validation_blocks.json`: side, threshold, scenes {name: {block, counts (tp, fp, fn, tn)}}."""
TrialKey = tuple[str, str, int, int]
"""(figure, protocol, seed, trial)."""

SCORES = ("accuracy", "iou")
REPEATS = 2000
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Resampled:
    """A score on all blocks, and on as many resampled ones.

    Attributes
    ----------
    value : float
        On all blocks.
    draws : ndarray
        (repeats,), on resampled blocks; NaN where there are too few blocks to resample.
    blocks : str
        Digest of the blocks and their pixels: trials with one digest were resampled alike.
    freedom : int
        Blocks less the groups (scenes, or all of them) within which they were drawn.
    """

    value: float
    draws: NDArray[np.float64]
    blocks: str
    freedom: int


@dataclass(frozen=True)
class Difference:
    """A difference of two mean scores, first minus second, with its interval.

    Attributes
    ----------
    difference, low, high : float
        The bounds are NaN where too few blocks leave nothing known.
    paired : bool
        Whether both were scored on the same pixels in the same blocks.
    blocks : int
        Degrees of freedom that the blocks leave, before trainings and pairing are weighed.
    """

    difference: float
    low: float
    high: float
    paired: bool
    blocks: int

    @property
    def beyond_chance(self) -> bool:
        """Whether 0 lies outside the interval."""
        return self.low > 0 or self.high < 0


def resample(
    content: BlockFile, score: str, pooled: bool, repeats: int = REPEATS, seed: int = 0
) -> Resampled:
    """Score a trial's blocks, and blocks drawn from them with replacement.

    Of n blocks n - 1 are drawn: the variance of a mean of equal blocks is then unbiased, also for few tiles.

    Parameters
    ----------
    content : mapping
        See `BlockFile`.
    score : {'accuracy', 'iou'}
        Of the glacier class.
    pooled : bool
        True: one score of all pixels, blocks drawn from all scenes at once (as the report scored). False: the
        mean over scenes of each scene's score, blocks drawn within each scene (this project's yardstick).
    repeats, seed : int

    Raises
    ------
    GlacierError
        Where the content is not that of a block file.

    Examples
    --------
    >>> counts = [[6, 1, 1, 2], [2, 0, 0, 8]]
    >>> content = {"side": 64, "scenes": {"there": {"block": [1, 2], "counts": counts}}}
    >>> resample(content, "accuracy", pooled=True).value, resample(content, "iou", pooled=True).value
    (0.9, 0.8)
    """
    numbers, counts = _counts(content)
    groups = [np.concatenate(counts)] if pooled else counts
    digest = _digest(content, numbers, counts)
    value = float(_mean_score([group.sum(axis=0)[None] for group in groups], score)[0])
    freedom = sum(len(group) - 1 for group in groups)
    draws = np.full(repeats, np.nan)
    if min(map(len, groups)) > 1:
        weights = _weights(digest, tuple(map(len, groups)), repeats, seed)
        draws = _mean_score([weight @ group for weight, group in zip(weights, groups, strict=True)], score)
    return Resampled(value, draws, digest, freedom)


@lru_cache(maxsize=4)
def _weights(digest: str, sizes: tuple[int, ...], repeats: int, seed: int) -> list[NDArray[np.float64]]:
    """(repeats, blocks) of each group: alike for all trials that were scored on the same blocks."""
    random = np.random.default_rng([seed, int(digest[:15], 16)])
    drawn = [random.multinomial(size - 1, np.full(size, 1 / size), size=repeats) for size in sizes]
    return [draw * np.float64(len(draw[0]) / (len(draw[0]) - 1)) for draw in drawn]


def _counts(content: BlockFile) -> tuple[list[tuple[str, list[int]]], list[NDArray[np.float64]]]:
    """Block numbers by scene, and (blocks, 4) tp fp fn tn; scenes and blocks without a pixel are left out."""
    numbers, counts = [], []
    try:
        for name, scene in sorted(content["scenes"].items()):
            table = np.asarray(scene["counts"], dtype=np.float64).reshape(-1, 4)
            kept = table.sum(axis=1) > 0
            block = np.asarray(scene["block"])
            if len(block) != len(table):
                raise ValueError(f"{len(block)} blocks and {len(table)} counts")
            if kept.any():
                numbers.append((name, block[kept].tolist()))
                counts.append(table[kept])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise GlacierError(
            f"validation_blocks.json: needs scenes with block and counts (tp, fp, fn, tn) of equal length, "
            f"came {type(error).__name__} {error}; run the trial again"
        ) from error
    if not counts:
        raise GlacierError("validation_blocks.json: holds no pixel; give the trial validation pixels")
    return numbers, counts


def _digest(content: BlockFile, numbers: list, counts: list[NDArray[np.float64]]) -> str:
    """Equal for trials that were scored on the same ground: blocks, their pixels, their glacier."""
    ground = [[table.sum(axis=1).tolist(), table[:, [0, 2]].sum(axis=1).tolist()] for table in counts]
    state = (content.get("side"), numbers, ground)
    return hashlib.sha256(json.dumps(state).encode()).hexdigest()


def _mean_score(groups: Sequence[NDArray[np.float64]], score: str) -> NDArray[np.float64]:
    """[(draws, 4), ...] -> (draws,): mean over groups where the score is defined."""
    return defined_mean(np.stack([_score(group, score) for group in groups]), axis=0)


def _score(counts: NDArray[np.float64], score: str) -> NDArray[np.float64]:
    hit, false, missed, left = np.moveaxis(counts, -1, 0)
    right, whole = (hit + left, counts.sum(axis=-1)) if score == "accuracy" else (hit, hit + false + missed)
    return ratio(right, whole)


def compare_scores(
    first: Sequence[Resampled], second: Sequence[Resampled], comparisons: int = 1, matched: bool = False
) -> Difference:
    """Difference of mean scores, first minus second, with an interval that holds for all comparisons at once.

    The variance is that of the resampled blocks, plus, where a side was trained several times, that of the
    mean over its trainings; the interval is Student's t, with the degrees of freedom of Welch and
    Satterthwaite, at 1 - 0.05 / comparisons (Bonferroni): the tail that the correction asks for lies beyond
    what percentiles of few resampled blocks can show.

    Parameters
    ----------
    first, second : sequence of Resampled
        The trainings of each side: one, or several with other seeds.
    comparisons : int
        How many differences are looked at together.
    matched : bool
        Each of the first is of the same network as its counterpart in the second, as with two thresholds:
        their differences vary, not they.
    """
    from scipy.special import stdtrit

    sides = (first, second)
    means = [float(np.mean([one.value for one in side])) for side in sides]
    difference = means[0] - means[1]
    digests = {one.blocks for side in sides for one in side}
    variances, freedoms = _trainings(sides, matched)
    for digest in sorted(digests):
        drawn, freedom = _drawn(sides, digest)
        variances.append(float(np.nanvar(drawn)) if np.isfinite(drawn).any() else float("nan"))
        freedoms.append(freedom)
    blocks = min(one.freedom for side in sides for one in side)
    total = sum(variances)
    reach = 0.0
    if not total == 0:  # NaN, too
        weighed = sum(part**2 / free for part, free in zip(variances, freedoms, strict=True) if part)
        quantile = stdtrit(total**2 / weighed, 1 - (1 - CONFIDENCE) / (2 * comparisons))
        reach = float(quantile * np.sqrt(total))
    low, high = np.clip([difference - reach, difference + reach], -1, 1).tolist()  # of scores from 0 to 1
    return Difference(difference, low, high, len(digests) == 1, blocks)


def _trainings(sides: Sequence[Sequence[Resampled]], matched: bool) -> tuple[list[float], list[int]]:
    """Variance of the mean over each side's trainings, or over their differences, with degrees of freedom."""
    values = [np.array([one.value for one in side]) for side in sides]
    repeated = [it for it in ([values[0] - values[1]] if matched else values) if len(it) > 1]
    return [float(np.var(it, ddof=1)) / len(it) for it in repeated], [len(it) - 1 for it in repeated]


def _drawn(sides: Sequence[Sequence[Resampled]], digest: str) -> tuple[NDArray[np.float64], int]:
    """(repeats,): what the trials on these blocks add to the difference in each draw."""
    parts, freedom = [], 1
    for sign, side in zip((1, -1), sides, strict=True):
        for one in side:
            if one.blocks == digest:
                parts.append(sign * one.draws / len(side))
                freedom = max(1, one.freedom)
    return np.sum(parts, axis=0), freedom


def count_blocks(
    truth: NDArray[np.bool_], mapped: NDArray[np.bool_], shown: NDArray[np.bool_], side: int = 64
) -> dict[str, list]:
    """Count a map's confusion in square blocks: one scene's entry of `validation_blocks.json`.

    Parameters
    ----------
    truth, mapped, shown : ndarray of bool
        (rows, columns): glacier, mapped as glacier, pixels that count.
    side : int
        Of a block [px].

    Returns
    -------
    dict
        block: numbers from 1 of the blocks with a pixel that counts; counts: [tp, fp, fn, tn] of each.

    Examples
    --------
    >>> glacier = np.array([[True, True, False, False]])
    >>> count_blocks(glacier, np.array([[True, False, True, False]]), np.ones((1, 4), bool), side=2)
    {'block': [1, 2], 'counts': [[1, 0, 1, 0], [0, 1, 0, 1]]}
    """
    numbers = number_blocks(truth.shape, side)
    present = np.unique(numbers[shown])
    cases = (truth & mapped, ~truth & mapped, truth & ~mapped, ~truth & ~mapped)
    size = int(numbers.max(initial=0)) + 1
    counts = [np.bincount(numbers[case & shown], minlength=size)[present] for case in cases]
    return {"block": present.tolist(), "counts": np.stack(counts, axis=-1).tolist()}


def sweep_thresholds(
    probabilities: Mapping[str, tuple[NDArray[np.bool_], NDArray[np.floating], NDArray[np.bool_]]],
    thresholds: Sequence[float],
    key: tuple[str, str, int],
    side: int = 64,
) -> tuple[pd.DataFrame, dict[TrialKey, BlockFile]]:
    """Cut one network's map at several thresholds, each as if it were a trial of its own.

    Parameters
    ----------
    probabilities : mapping
        Scene name to (truth, probability, shown), each (rows, columns): validation pixels where `shown`.
    thresholds : sequence of float
        Glacier at or above.
    key : tuple
        (figure, protocol, seed), as they stand in the two results.
    side : int
        Of a block [px].

    Returns
    -------
    trials : pandas.DataFrame
        figure, protocol, seed, trial, threshold; one row a threshold.
    blocks : dict
        (figure, protocol, seed, trial) to the content of a block file.
    """
    import pandas as pd

    rows: list[dict[str, Any]] = []
    blocks: dict[TrialKey, BlockFile] = {}
    for trial, threshold in enumerate(map(float, thresholds)):
        scenes = {
            name: count_blocks(truth, probability >= threshold, shown & np.isfinite(probability), side)
            for name, (truth, probability, shown) in probabilities.items()
        }
        known = dict(zip(("figure", "protocol", "seed"), key, strict=True))
        rows.append(known | {"trial": trial, "threshold": threshold})
        blocks[*key, trial] = {"side": side, "threshold": threshold, "scenes": scenes}
    return pd.DataFrame(rows), blocks
