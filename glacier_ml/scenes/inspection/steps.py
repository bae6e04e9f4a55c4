"""The common step of numbers that lie on a lattice, and whether they lie on one at all."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

# What rounding to float32 may move a value by, in units in its last place: one half where the exporter
# computed in double, more where it did so in single precision; typical value, chosen here.
ROUNDING_ULPS = 4.0
# A step must be this many times the rounding to be told from chance; typical value, chosen here.
SEPARATION = 12.0
# How many steps by chance may fit, all trials together, before a lattice is not believed.
CHANCE = 1e-6
# Share of the values that may lie off the lattice (resampled, painted over) and leave it believed.
OFF_SHARE = 0.02
# Finer steps than those of 16-bit products and of values rounded to 5 decimals are no DN: bilinear weights of
# whole hundredths make them.
SMALLEST_STEP = 5e-6
# Reflectances beyond are no data or no reflectances; their rounding would drown the lattice.
LARGEST_VALUE = 16.0
# Most DN that a lattice may span: 16 bits.
LARGEST_SPAN = 65535
# So many levels tell a step without the smallest, the largest and the most frequent one.
FEWEST_USUAL = 4
# A step is looked for among so many of the most frequent values, in turn.
TRIES = (32, 256, 12)


@dataclass(frozen=True)
class Fit:
    """Equally spaced values, found among many.

    Attributes
    ----------
    step, anchor : float
        The spacing, and the smallest value on the lattice.
    span : int
        Steps between the smallest and the largest value on the lattice.
    levels : int
        Distinct values on the lattice.
    slack : float
        Largest distance of these from the lattice, at least one unit in the last place of float32.
    residual : float
        Largest distance of any value from the lattice, in steps; values at a clip left out.
    off_share : float
        Share of the values that lie off the lattice, clipped ones left out.
    """

    step: float
    anchor: float
    span: int
    levels: int
    slack: float
    residual: float
    off_share: float

    @property
    def step_error(self) -> float:
        """Relative uncertainty of the step."""
        return 2 * self.slack / (self.step * self.span)


def common_step(values: NDArray[np.float32]) -> Fit | None:
    """Find the largest step that values lie on, whatever multiples of it are missing.

    Parameters
    ----------
    values : ndarray
        float32, any shape; what is not finite is left out, and 0 and 1, where exporters clip. The smallest
        and the largest of the rest may be clips as well, and the most frequent one a fill value.

    Returns
    -------
    Fit or None
        None where the values are on no lattice or are too few to tell.

    Examples
    --------
    >>> fit = common_step(np.float32([0.10, 0.14, 0.16, 0.22, 0.24, 0.30]) + np.float32(0.003))
    >>> round(fit.step, 5), fit.span
    (0.02, 10)
    >>> common_step(np.random.default_rng(0).random(5000, dtype=np.float32)) is None
    True
    """
    levels, counts = np.unique(values[np.isfinite(values)], return_counts=True)
    inner = (levels != 0) & (levels != 1) & (np.abs(levels) < LARGEST_VALUE)
    levels, counts = levels[inner].astype(np.float64), counts[inner]
    if levels.size < 3:
        return None
    for number in TRIES:
        order = np.argsort(-counts, kind="stable")[:number]
        found = _likely_step(np.sort(levels[order]), levels[order[0]])
        fit = _spread(levels, counts, *found) if found else None
        if fit is not None or number >= levels.size:
            return fit
    return None


def rounding(values: Numbers) -> float:
    """What rounding to float32 may have moved values by: those near 1 by 2.4e-7.

    Examples
    --------
    >>> round(rounding(np.array([0.2, 0.9])) * 1e7, 2)
    2.38
    """
    return ROUNDING_ULPS * float(np.spacing(np.float32(np.abs(values).max())))


def _likely_step(levels: Numbers, often: float) -> tuple[float, float] | None:
    """Step and value of some level; three levels may be strange to the lattice.

    The smallest and the largest may be where an exporter clips, the most frequent a fill value. A strange
    level fits some finer lattice, as anything does. That is believed only where it is the likelier: where the
    other levels may all share a remainder by chance.
    """
    fine = _largest_step(levels)
    usual = levels != often
    usual[[0, -1]] = False
    coarse = _largest_step(levels[usual]) if usual.sum() >= FEWEST_USUAL else None
    if coarse is None or fine is None:
        return fine or coarse
    times = round(coarse[0] / fine[0])
    if times < 2:
        return fine
    steps = (levels[~usual] - coarse[1]) / coarse[0]
    strange = int((np.abs(steps - np.rint(steps)) * coarse[0] > rounding(levels)).sum())
    fitted = math.log(times) + strange * math.log(min(1.0, 2 * rounding(levels) / fine[0]))
    shared = -(int(usual.sum()) - 1) * math.log(times)
    return coarse if shared < fitted else fine


def _largest_step(levels: Numbers) -> tuple[float, float] | None:
    """Step and value of some level, such that all levels fit; the levels ascend."""
    noise = rounding(levels)
    gaps = np.diff(levels)
    start = int(np.argmin(gaps))
    gap = float(gaps[start])
    finest = max(SMALLEST_STEP, SEPARATION * noise)
    most = int(min(gap / finest, LARGEST_SPAN * gap / (levels[-1] - levels[0])))
    for divisor in range(1, most + 1):
        step = gap / divisor
        if divisor * (2 * noise / step) ** (levels.size - 2) > CHANCE:
            return None
        found = _extended(levels, start, step, noise)
        if found is not None:
            return found
    return None


def _extended(levels: Numbers, start: int, step: float, noise: float) -> tuple[float, float] | None:
    """Refine a step from near levels to ever farther ones; None as soon as one does not fit.

    A step known from two levels is too rough to count the steps to a far one; each round of least squares
    counts only as far as the last round's step allows.
    """
    offset = levels - levels[start]
    distance = np.abs(offset)
    reach = float(offset[start + 1])
    seen = 0
    while seen < levels.size:
        near = distance <= 0.2 * step * reach / (2 * noise)
        number = int(near.sum())
        if number <= max(seen, 1):
            return None
        index = np.rint(offset[near] / step)
        if np.any(np.diff(index) == 0):
            return None
        step, base = _line(index, offset[near])
        if np.abs(offset[near] - base - step * index).max() > noise:
            return None
        seen, reach = number, float(np.ptp(offset[near]))
    return step, float(levels[start] + base)


def _line(index: Numbers, values: Numbers) -> tuple[float, float]:
    """Least squares: slope and value at index 0."""
    centre, mean = index.mean(), values.mean()
    slope = ((index - centre) * (values - mean)).sum() / ((index - centre) ** 2).sum()
    return float(slope), float(mean - slope * centre)


def _spread(levels: Numbers, counts: NDArray[np.intp], step: float, base: float) -> Fit | None:
    """Hold a step against all levels and refine it on those that fit."""
    noise = rounding(levels)
    on = np.ones(levels.size, dtype=bool)
    for _ in range(2):
        index = np.rint((levels - base) / step)
        on = np.abs(levels - base - step * index) <= noise
        if on.sum() < 3:
            return None
        step, base = _line(index[on], levels[on])
    index = np.rint((levels - base) / step)
    deviation = np.abs(levels - base - step * index)
    kept = on.copy()
    kept[1:-1] = True  # an end that is off the lattice is a clip
    # A saturated or otherwise constant area says nothing about a lattice.
    weights = np.where(kept & (np.arange(levels.size) != counts.argmax()), counts, 0)
    if weights[~on].sum() > OFF_SHARE * max(weights.sum(), 1):
        return None
    first, last = index[on][0], index[on][-1]
    slack = max(float(deviation[on].max()), rounding(levels) / ROUNDING_ULPS)
    return Fit(
        step=float(step),
        anchor=float(base + step * first),
        span=int(last - first),
        levels=int(on.sum()),
        slack=slack,
        residual=float(deviation[kept].max() / step),
        off_share=float(counts[kept & ~on].sum() / counts[kept].sum()),
    )
