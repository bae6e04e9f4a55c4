"""One window of a scene that shows what the whole is like."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]


def typical_window(
    truth: Mask, valid: Mask, side: int, share: float, start: int = 0, step: int = 16
) -> tuple[int, int]:
    """Origin (row, column) of the window whose glacier share is nearest to a given one.

    Only windows count that have .9 of the valid pixels of the fullest one.

    Parameters
    ----------
    truth, valid : ndarray of bool
        (rows, columns) of the scene.
    side : int
        Of the window [px]; it is cut where the scene is smaller.
    share : float
        Glacier pixels wanted among the window's valid pixels, 0 to 1.
    start, step : int
        Origins are 0, `start`, `start + step` and so on, as far as the window lies inside.

    Examples
    --------
    >>> truth = np.arange(8)[None, :] < np.full((8, 1), 4)
    >>> typical_window(truth, np.ones((8, 8), dtype=bool), side=4, share=0.5, step=1)
    (0, 2)
    """
    rows, columns = (sorted({0, *range(start, max(1, length - side + 1), step)}) for length in truth.shape)
    pixels, glacier = (_window_sums(mask, rows, columns, side) for mask in (valid, truth & valid))
    shares = np.divide(glacier, pixels, out=np.full(pixels.shape, np.inf), where=pixels > 0)
    distance = np.where(pixels >= 0.9 * pixels.max(), np.abs(shares - share), np.inf)
    row, column = divmod(int(np.argmin(distance)), len(columns))
    return rows[row], columns[column]


def _window_sums(mask: Mask, rows: list[int], columns: list[int], side: int) -> NDArray[np.int64]:
    """Pixels of the mask in each window: (rows, columns)."""
    sums = np.pad(mask.astype(np.int64), ((1, 0), (1, 0))).cumsum(axis=0).cumsum(axis=1)
    tops, lefts = np.array(rows), np.array(columns)
    bottoms, rights = np.minimum(tops + side, mask.shape[0]), np.minimum(lefts + side, mask.shape[1])
    return (
        sums[np.ix_(bottoms, rights)]
        - sums[np.ix_(tops, rights)]
        - sums[np.ix_(bottoms, lefts)]
        + sums[np.ix_(tops, lefts)]
    )
