"""What a map gets right and wrong, counted by block: every score is a function of these counts.

Counts add up. The tally of a scene is the sum of those of its blocks, and that of a bootstrap resample is a
sum in which some blocks come twice and some not at all: a map is looked at once, however often it is scored.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from glacier_ml.errors import GlacierError
from glacier_ml.evaluation.boundaries import (
    TOLERANCES,
    boundary,
    distance_steps,
    distances,
    nearest_step,
    within,
)
from glacier_ml.evaluation.reliability import BINS, bin_of

Mask = NDArray[np.bool_]
Counts = NDArray[np.float64]

_COUNTED = ("confusion", "squared", "bins", "matched", "distances")


@dataclass(frozen=True)
class Tally:
    """Counts of a map against the truth; the leading axes are free.

    As counted they are (blocks,), resampled (draws,), and none in `total`. All counts are float64, so that
    sums of many blocks run at the speed of a matrix product; whole numbers stay exact to 9e15.

    Attributes
    ----------
    confusion : ndarray
        (..., 4) pixels: glacier mapped, other ground mapped, glacier missed, other ground left out.
    squared : ndarray
        (...,) sum of (probability - truth)^2; NaN where the map has no probability, as an outline.
    bins : ndarray
        (..., BINS, 3) pixels, sum of probability and glacier pixels by bin of probability; NaN likewise.
    matched : ndarray
        (..., tolerances, 4) boundary pixels of the map, those of them within the tolerance of the truth's,
        boundary pixels of the truth, those within the tolerance of the map's; NaN where not looked for.
    distances : ndarray
        (..., 2, steps) boundary pixels by their distance: from map to truth, from truth to map.
    edges : ndarray
        (steps,) those distances [m], see `distance_steps`; none where boundaries were not looked for.
    pixel_area_km2 : float
        Area of one pixel.
    """

    confusion: Counts
    squared: Counts
    bins: Counts
    matched: Counts
    distances: Counts
    edges: Counts
    pixel_area_km2: float

    @property
    def total(self) -> Tally:
        """Sum over the first axis."""
        return self._summed(lambda counts: counts.sum(axis=0))

    def resampled(self, weights: NDArray) -> Tally:
        """Sum over the first axis, once a draw, each block as often as its weight says.

        Parameters
        ----------
        weights : ndarray
            (draws, blocks).

        Returns
        -------
        Tally
            With leading axis (draws,).

        Raises
        ------
        GlacierError
            Where there is not one weight a block.
        """
        weights, blocks = np.asarray(weights, np.float64), len(self.confusion)
        if weights.ndim != 2 or weights.shape[1] != blocks:
            raise GlacierError(
                f"resampling: weights need the shape (draws, {blocks} blocks), came {weights.shape}; "
                "draw them for the blocks of this tally"
            )
        return self._summed(lambda counts: _weighted(weights, counts))

    def _summed(self, add: Callable[[Counts], Counts]) -> Tally:
        counts = {name: add(getattr(self, name)) for name in _COUNTED}
        return Tally(**counts, edges=self.edges, pixel_area_km2=self.pixel_area_km2)


def _weighted(weights: Counts, counts: Counts) -> Counts:
    flat = weights @ counts.reshape(len(counts), int(np.prod(counts.shape[1:])))
    return flat.reshape(len(weights), *counts.shape[1:])


def tally_map(
    truth: Mask,
    mapped: Mask,
    valid: Mask,
    blocks: NDArray[np.integer],
    pixel_m: tuple[float, float],
    probability: NDArray[np.floating] | None = None,
    boundary: bool = True,
) -> Tally:
    """Count a map against the truth, block by block.

    Parameters
    ----------
    truth, mapped, valid : ndarray of bool
        Glacier, glacier as mapped, and pixels that are known in both; (rows, columns).
    blocks : ndarray of int
        Block of each pixel, from 1; those of block 0 do not count, but may be the nearest of a boundary.
    pixel_m : tuple of float
        Ground distance of one row and of one column [m], see `pixel_size_m`.
    probability : ndarray, optional
        Of glacier, 0 to 1 where pixels count; without it scores of probability are undefined.
    boundary : bool
        Whether to look at boundaries; not for part of the ground: its borders are no glacier's.

    Returns
    -------
    Tally
        Leading axis (largest block number,); block n is row n - 1, zeros where no pixel counts.

    Raises
    ------
    GlacierError
        Where shapes differ, block numbers are negative, or a counted pixel has no probability from 0 to 1.
    """
    truth, mapped, valid = (np.asarray(one, dtype=bool) for one in (truth, mapped, valid))
    _check_shapes(truth, mapped, valid, blocks, probability)
    size, numbers = int(blocks.max(initial=0)), np.where(valid, blocks, 0)
    pixels = _pixels(truth, mapped, probability, numbers, size)
    ends = _boundaries(truth, mapped, valid, numbers, pixel_m, size) if boundary else _no_boundaries(size)
    return Tally(*pixels, *ends, pixel_m[0] * pixel_m[1] / 1e6)


def occupied_blocks(blocks: NDArray[np.integer], counted: Mask) -> NDArray[np.int32]:
    """Number anew, from 1 and without a gap, the blocks that hold a counted pixel; 0 elsewhere.

    Examples
    --------
    >>> occupied_blocks(np.array([[1, 1, 2, 5]]), np.array([[False, True, False, True]]))
    array([[0, 1, 0, 2]], dtype=int32)
    """
    kept = np.where(counted, blocks, 0)
    present = np.bincount(kept.ravel()) > 0
    present[0] = False
    return np.where(present, np.cumsum(present), 0).astype(np.int32)[kept]


def _check_shapes(
    truth: Mask,
    mapped: Mask,
    valid: Mask,
    blocks: NDArray[np.integer],
    probability: NDArray[np.floating] | None,
) -> None:
    shapes = [one.shape for one in (truth, mapped, valid, blocks, probability) if one is not None]
    if len(set(shapes)) > 1 or truth.ndim != 2:
        raise GlacierError(
            "tally: truth, map, valid pixels, blocks and probability need one shape (rows, columns), came "
            f"{', '.join(map(str, shapes))}; bring them onto the scene's grid"
        )
    if blocks.min(initial=0) < 0:
        raise GlacierError(
            f"tally: blocks are numbered from 1, 0 does not count, came {blocks.min()}; number them anew"
        )
    if probability is not None:
        inside = (probability >= 0) & (probability <= 1)
        lost = np.count_nonzero(valid & (blocks > 0) & ~inside)
        if lost:
            raise GlacierError(
                f"tally: {lost} counted pixels lack a probability from 0 to 1; leave them out of valid"
            )


def _counts(rows: NDArray[np.intp], columns: NDArray[np.integer], shape: tuple[int, int]) -> Counts:
    """How often each pair of row and column occurs, (rows, columns)."""
    return np.bincount(rows * shape[1] + columns, minlength=shape[0] * shape[1]).reshape(shape).astype(float)


def _pixels(
    truth: Mask,
    mapped: Mask,
    probability: NDArray[np.floating] | None,
    blocks: NDArray[np.integer],
    size: int,
) -> tuple[Counts, Counts, Counts]:
    """(blocks, 4) confusion, (blocks,) squared differences and (blocks, BINS, 3) bins of reliability."""
    counted = blocks > 0
    rows, seen = blocks[counted].astype(np.intp) - 1, truth[counted]
    confusion = _counts(rows, 3 - 2 * seen - mapped[counted], (size, 4))[:, [0, 2, 1, 3]]
    if probability is None:
        return confusion, np.full(size, np.nan), np.full((size, BINS, 3), np.nan)
    said = probability[counted].astype(np.float64)
    squared = np.bincount(rows, (said - seen) ** 2, minlength=size)
    index = rows * BINS + bin_of(said)
    parts = [np.bincount(index, weight, minlength=size * BINS) for weight in (None, said, seen)]
    bins = np.stack(parts, axis=-1).reshape(size, BINS, 3)
    return confusion, squared.astype(float), bins.astype(float)


def _no_boundaries(size: int) -> tuple[Counts, Counts, Counts]:
    return np.full((size, len(TOLERANCES), 4), np.nan), np.zeros((size, 2, 0)), np.zeros(0)


def _boundaries(
    truth: Mask,
    mapped: Mask,
    valid: Mask,
    blocks: NDArray[np.integer],
    pixel_m: tuple[float, float],
    size: int,
) -> tuple[Counts, Counts, Counts]:
    """(blocks, tolerances, 4) matches, (blocks, 2, steps) distances, and the steps."""
    ends = boundary(mapped, valid), boundary(truth, valid)
    steps = distance_steps(truth.shape, pixel_m)
    matched, histograms = np.zeros((size, len(TOLERANCES), 4)), np.zeros((size, 2, len(steps)))
    for direction, (origin, target) in enumerate((ends, ends[::-1])):
        rows = blocks[origin].astype(np.intp) - 1
        kept = rows >= 0
        matched[:, :, 2 * direction] = np.bincount(rows[kept], minlength=size)[:, None]
        for position, tolerance in enumerate(TOLERANCES):
            near = within(target, tolerance)[origin] & kept
            matched[:, position, 2 * direction + 1] = np.bincount(rows[near], minlength=size)
        if target.any():
            places = nearest_step(distances(origin, target, pixel_m)[kept], steps)
            histograms[:, direction] = _counts(rows[kept], places, (size, len(steps)))
    return matched, histograms, steps
