"""Stitching: one map from windows, row by row, so that a scene of any size needs the memory of a strip.

Windows start at multiples of their step, which every pooling stride divides: a network pools the same pixels
together whatever part of a scene is mapped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from glacier_ml.errors import GlacierError
from glacier_ml.learning.tiles import (
    SYMMETRIES,
    Mosaic,
    reflect_to,
    transform_d4,
    undo_d4,
    window_origins,
    windows,
)
from glacier_ml.scenes.ahead import ahead

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]
Reader = Callable[[int, int], tuple[Array, Mask]]
"""Features (rows, columns, features) and wanted pixels (rows, columns) of the rows from a first to a last."""
Network = Callable[[Array], Array]
"""Windows (windows, rows, columns, features) to their logits (windows, rows, columns)."""

WINDOW, OVERLAP = 256, 64  # of the stitched map [px]: the same for every network, whatever it trained on
CORE = 256  # side of what is kept of a window with a halo [px]
WINDOWS_AT_ONCE = 4
CALLS_AT_ONCE = 2
"""Of the network while it maps: what one call leaves idle between its operations, another takes."""
LARGEST_HALO = 512  # px: seven levels need 448, eight would need 3 GB for a window alone


@dataclass(frozen=True)
class Stitching:
    """How windows become one map.

    Attributes
    ----------
    blend : {'smooth', 'halo'}
        'smooth': windows of 256 px overlap by 64 px, where one fades into the next. 'halo': windows are as
        much larger than what is kept of them as the network sees around a pixel, so that the map is that of
        one pass over the whole scene, at 2 to 4 times the work up to six levels, 11 times at seven.
    symmetric : bool
        Whether each window is mapped in all eight symmetries of the square and the logits are averaged, at
        eight times the work.
    """

    blend: Literal["smooth", "halo"] = "smooth"
    symmetric: bool = False

    def __post_init__(self) -> None:
        if self.blend not in ("smooth", "halo"):
            raise GlacierError(f"blend: '{self.blend}' is not known; choose smooth or halo")


def stitched_rows(
    network: Network, read: Reader, shape: tuple[int, int], stitching: Stitching, stride: int, radius: int
) -> Iterator[tuple[int, Array]]:
    """Map a scene window by window, from the top to the bottom.

    Parameters
    ----------
    network : callable
        Gives the logits of windows; their sides are multiples of `stride`.
    read : callable
        Gives the features of the asked rows, 0 without data, and which of their pixels are wanted.
    shape : tuple of int
        (rows, columns) of the scene.
    stitching : Stitching
        How.
    stride, radius : int
        By how much the network pools; how far it sees around a pixel, see `networks.receptive_radius` [px].

    Yields
    ------
    int, ndarray
        First row of the next piece, and its float32 logits (rows, columns), NaN where not wanted; a thread
        reads what the next one is of meanwhile.

    Raises
    ------
    GlacierError
        Where the network pools by more than a window's step.
    """
    if WINDOW % (2 * stride):
        raise GlacierError(
            f"levels: the network pools by {stride} px, more than half a window's {WINDOW} px; choose fewer"
        )
    run = _averaged(network) if stitching.symmetric else network
    if stitching.blend == "smooth":
        # So deep a network that windows cannot start every 192 px has them overlap by half.
        overlap = OVERLAP if (WINDOW - OVERLAP) % stride == 0 else WINDOW // 2
        yield from _blended_rows(run, read, shape, overlap)
    else:
        yield from _cropped_rows(run, read, shape, _halo(radius, stride), stride)


def _halo(radius: int, stride: int) -> int:
    """How much larger than its core a window is on either side: the next multiple of the stride."""
    halo = -(-radius // stride) * stride
    if halo > LARGEST_HALO:
        raise GlacierError(
            f"blend: halo: the network sees {radius} px around a pixel, and windows with more than "
            f"{LARGEST_HALO} px around them need too much memory; choose smooth"
        )
    return halo


def _averaged(network: Network) -> Network:
    """The mean of the network's answers to the eight symmetric images of a window."""

    def run(batch: Array) -> Array:
        total = np.zeros(batch.shape[:3], np.float32)
        for symmetry in range(SYMMETRIES):
            answer = network(np.ascontiguousarray(transform_d4(batch, symmetry)))
            total += undo_d4(answer[..., None], symmetry)[..., 0]
        return total / np.float32(SYMMETRIES)

    return run


def _blended_rows(
    run: Network, read: Reader, shape: tuple[int, int], overlap: int
) -> Iterator[tuple[int, Array]]:
    """Windows that overlap; what one row of windows leaves over waits for the next one."""
    rows, columns = shape
    mosaic = Mosaic((WINDOW, columns), WINDOW, overlap)
    origins = window_origins(rows, WINDOW, overlap)
    # The last windows reach beyond the scene, which is reflected there: as many rows before its end.
    firsts = [max(0, min(row, 2 * rows - row - WINDOW)) for row in origins]
    spans = [(first, min(row + WINDOW, rows)) for row, first in zip(origins, firsts, strict=True)]
    strips = ahead(lambda span: read(*span), spans)
    for row, first in zip(origins, firsts, strict=True):
        # No features are held here, so that those of the next strip take their place in memory.
        wanted = _add_windows(run, mosaic, *next(strips), row - first, overlap)
        done = rows - row if row == origins[-1] else WINDOW - overlap
        yield row, np.where(wanted[:done], mosaic.stitched()[:done], np.float32(np.nan))
        mosaic = mosaic.moved_up(WINDOW - overlap)


def _add_windows(
    run: Network, mosaic: Mosaic, features: Array, wanted: Mask, before: int, overlap: int
) -> Mask:
    """Map a row of windows, which begins after `before` rows of a strip, into the mosaic of its rows.

    Gives which pixels of these are wanted.
    """
    columns = wanted.shape[1]
    places = [place for _, place in windows((WINDOW, columns), WINDOW, overlap, wanted[before:])]

    def mapped(start: int) -> Array:
        some = places[start : start + WINDOWS_AT_ONCE]
        return run(np.stack([_window(features, before, column) for column in some]))

    batches = ahead(mapped, range(0, len(places), WINDOWS_AT_ONCE), CALLS_AT_ONCE)
    for values, column in zip(chain.from_iterable(batches), places, strict=True):
        mosaic.add(values, 0, column)
    return wanted[before:]


def _window(features: Array, row: int, column: int) -> Array:
    """A window (WINDOW, WINDOW, features) of a strip, reflected where it reaches beyond."""
    left = max(0, min(column, 2 * features.shape[1] - column - WINDOW))
    piece = reflect_to(features[:, left : column + WINDOW], row + WINDOW, column - left + WINDOW)
    return piece[row : row + WINDOW, column - left : column - left + WINDOW]


def _cropped_rows(
    run: Network, read: Reader, shape: tuple[int, int], halo: int, stride: int
) -> Iterator[tuple[int, Array]]:
    """Windows of which the middle is kept; at the scene's edges they end with it, as one pass would."""
    rows, columns = shape
    height, width = (-(-length // stride) * stride for length in shape)  # reflected up to the next stride
    tops = range(0, rows, CORE)
    spans = [(max(0, top - halo), min(height, top + CORE + halo)) for top in tops]
    strips = ahead(lambda span: read(span[0], min(span[1], rows)), spans)
    for top, (first, last), (features, wanted) in zip(tops, spans, strips, strict=True):
        padded = reflect_to(features, last - first, width)
        kept = min(CORE, rows - top)
        piece = np.full((kept, columns), np.nan, dtype=np.float32)
        inner = slice(top - first, top - first + kept)
        for left in range(0, columns, CORE):
            right = min(left + CORE, columns)
            if not wanted[inner, left:right].any():
                continue
            low, high = max(0, left - halo), min(width, left + CORE + halo)
            values = run(np.ascontiguousarray(padded[None, :, low:high]))[0]
            piece[:, left:right] = values[inner, left - low : right - low]
        yield top, np.where(wanted[inner], piece, np.float32(np.nan))
