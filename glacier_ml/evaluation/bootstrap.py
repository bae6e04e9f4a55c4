"""What chance alone may do to a score: whole spatial blocks and whole trainings are drawn again.

Neighbouring pixels err together, so a score is far less certain than its number of pixels suggests. A draw
takes as many blocks of a scene as it has, with replacement, the same ones for every map (a paired block
bootstrap), and trainings of a network from the seeds that there are, with replacement, the same ones in every
scene. The intervals are the middle 95 % of the draws. They hold for the scenes that were scored and say
nothing of other places.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from glacier_ml.learning.ratios import ratio
from glacier_ml.learning.splits import number_blocks

Mask = NDArray[np.bool_]
Values = NDArray[np.float64]

BLOCK_SIDE = 64
"""Side of a bootstrap block [px]: about 2 km at 30 m (typical value, chosen here)."""
REPEATS = 1000
FEWEST_BLOCKS = 6
"""Fewer give no interval: that five blocks agree by chance alone happens in 2 of 32 cases, more than 5 %."""
_MIDDLE = (2.5, 97.5)  # percent of the draws
_FEWEST_DEFINED = 0.5  # of the draws: an interval of what is seldom defined tells of those few alone


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


def draw_blocks(blocks: int, repeats: int, random: np.random.Generator) -> NDArray[np.int64]:
    """How often each block is drawn: (repeats, blocks), every row summing to `blocks`."""
    return random.multinomial(blocks, np.full(blocks, 1 / blocks), size=repeats)


def draw_seeds(seeds: int, repeats: int, random: np.random.Generator) -> Values:
    """Weight of each training: (repeats, seeds), every row summing to 1.

    Of n trainings n - 1 are drawn, which makes the variance of their mean unbiased: with n draws it is too
    small by (n - 1) / n, and n is small. A single training is always drawn, and its chance is not known.

    Examples
    --------
    >>> draw_seeds(1, 2, np.random.default_rng(0)).tolist()
    [[1.0], [1.0]]
    """
    drawn = max(1, seeds - 1)
    return random.multinomial(drawn, np.full(seeds, 1 / seeds), size=repeats) / drawn


def defined_mean(values: Values, axis: int, weights: Values | None = None) -> Values:
    """Mean along an axis of what is defined, weighted if told; NaN where nothing is.

    Examples
    --------
    >>> defined_mean(np.array([[0.5, np.nan], [1.0, np.nan]]), axis=0)
    array([0.75,  nan])
    """
    weighed = np.broadcast_to(1.0 if weights is None else weights, values.shape)
    weighed = np.where(np.isfinite(values), weighed, 0)
    total, whole = (np.nan_to_num(values) * weighed).sum(axis=axis), weighed.sum(axis=axis)
    return ratio(total, whole)


def enough_blocks(blocks: Sequence[int]) -> bool:
    """Whether blocks, so many of each scene, tell what chance does: 2 a scene, `FEWEST_BLOCKS` in all.

    Examples
    --------
    >>> enough_blocks([5]), enough_blocks([6]), enough_blocks([4, 2]), enough_blocks([12, 1])
    (False, True, True, False)
    """
    return min(blocks, default=0) > 1 and sum(blocks) >= FEWEST_BLOCKS


def middle(draws: Values) -> tuple[float, float]:
    """Bounds of the middle 95 % of the draws that are defined; NaN where fewer than half are."""
    defined = draws[np.isfinite(draws)]
    if not defined.size or defined.size < _FEWEST_DEFINED * draws.size:
        return float("nan"), float("nan")
    low, high = np.percentile(defined, _MIDDLE)
    return float(low), float(high)


def bootstrap_difference(
    truth: Mask | list[Mask],
    first: Mask | list[Mask],
    second: Mask | list[Mask],
    blocks: NDArray[np.integer] | list[NDArray[np.integer]],
    repeats: int = REPEATS,
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
    whole = np.array([_ious(one.sum(axis=1)) for one in counts])  # (scenes, 2)
    difference = float(defined_mean(whole[:, 1] - whole[:, 0], axis=0))
    if min(one.shape[1] for one in counts) < 2:
        return Interval(difference, float("nan"), float("nan"))
    drawn = np.array([_ious(draw_blocks(one.shape[1], repeats, random) @ one) for one in counts])
    return Interval(difference, *middle(defined_mean(drawn[:, 1] - drawn[:, 0], axis=0)))


def iou_interval(
    counts: Sequence[NDArray[np.integer]], repeats: int = REPEATS, seed: int = 0
) -> tuple[float, float]:
    """95 % interval of the mean over scenes of the glacier IoU, from counts by block.

    Parameters
    ----------
    counts : sequence of ndarray
        Of each scene (blocks, 4): true and false positives, false and true negatives.
    repeats, seed : int
        Number of resamples and their seed.

    Returns
    -------
    tuple of float
        Lower and upper bound; NaN where there are too few blocks (`enough_blocks`).

    Examples
    --------
    >>> iou_interval([np.array([[3, 1, 0, 9]] * 6)])
    (0.75, 0.75)
    """
    if not enough_blocks([len(one) for one in counts]):
        return float("nan"), float("nan")
    random = np.random.default_rng(seed)
    pairs = [np.stack([one[:, 0], one[:, :3].sum(axis=1)], axis=-1) for one in counts]
    drawn = np.array([_ious(draw_blocks(len(one), repeats, random) @ one) for one in pairs])
    return middle(defined_mean(drawn, axis=0))


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


def _ious(counts: NDArray[np.int64]) -> Values:
    return ratio(counts[..., 0], counts[..., 1])
