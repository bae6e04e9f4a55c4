"""Tiles: the square pieces that a network sees; their symmetry, and how a map is stitched from them."""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy

import numpy as np
from numpy.typing import NDArray

from glacier_ml.errors import GlacierError

SYMMETRIES = 8  # the order of D4, the symmetry group of the square


def transform_d4(tiles: NDArray, symmetry: int) -> NDArray:
    """Apply one of the eight symmetries of the square.

    Parameters
    ----------
    tiles : ndarray
        (..., size, size, features); the last axis is left alone.
    symmetry : int
        0 to 7: `symmetry % 4` quarter turns, and a reflection first from 4 on.

    Examples
    --------
    >>> square = np.array([[1, 2], [3, 4]])[..., None]
    >>> transform_d4(square, 1)[..., 0].tolist()
    [[2, 4], [1, 3]]
    """
    if symmetry >= 4:
        tiles = np.flip(tiles, axis=-2)
    return np.rot90(tiles, symmetry % 4, axes=(-3, -2))


def undo_d4(tiles: NDArray, symmetry: int) -> NDArray:
    """Undo `transform_d4`.

    >>> square = np.array([[1, 2], [3, 4]])[..., None]
    >>> undo_d4(transform_d4(square, 5), 5)[..., 0].tolist()
    [[1, 2], [3, 4]]
    """
    turned = np.rot90(tiles, -(symmetry % 4), axes=(-3, -2))
    return np.flip(turned, axis=-2) if symmetry >= 4 else turned


def augment_d4(tile: NDArray) -> NDArray:
    """All eight images of a tile: (size, size, features) -> (8, size, size, features)."""
    return np.stack([transform_d4(tile, symmetry) for symmetry in range(SYMMETRIES)])


def cut_tiles(image: NDArray, size: int) -> NDArray:
    """Cut non-overlapping tiles from the upper left corner; the remainder is dropped.

    Parameters
    ----------
    image : ndarray
        (rows, columns, features).
    size : int
        Side of a tile [px].

    Returns
    -------
    ndarray
        (tiles, size, size, features).

    Examples
    --------
    >>> cut_tiles(np.zeros((887, 495, 3)), 288).shape
    (3, 288, 288, 3)
    """
    rows, columns = image.shape[0] // size, image.shape[1] // size
    if rows == 0 or columns == 0:
        raise GlacierError(
            f"tile_size: {size} px is larger than the image of {image.shape[0]} x {image.shape[1]} px; "
            "choose a smaller tile"
        )
    whole = image[: rows * size, : columns * size]
    return whole.reshape(rows, size, columns, size, -1).swapaxes(1, 2).reshape(-1, size, size, image.shape[2])


def padded_crop(image: NDArray, row: int, column: int, size: int) -> NDArray:
    """Crop (size, size, ...) at (row, column); what lies beyond the image is 0."""
    crop = image[row : row + size, column : column + size]
    short = (size - crop.shape[0], size - crop.shape[1])
    if short == (0, 0):
        return crop
    return np.pad(crop, [(0, short[0]), (0, short[1])] + [(0, 0)] * (image.ndim - 2))


def window_origins(length: int, window: int, overlap: int) -> list[int]:
    """Origins of windows that cover an axis, `window - overlap` apart.

    The last one may reach beyond the end: origins stay multiples of the step, so that a network with pooling
    sees every pixel in the same phase.

    >>> window_origins(500, 256, 64)
    [0, 192, 384]
    >>> window_origins(100, 256, 64)
    [0]
    """
    step = window - overlap
    count = max(1, -(-(length - overlap) // step))
    return [index * step for index in range(count)]


def tile_origins(length: int, size: int) -> list[int]:
    """Origins of tiles that cover an axis without overlap; a last one, shifted back, covers the remainder.

    >>> tile_origins(500, 96)
    [0, 96, 192, 288, 384, 404]
    >>> tile_origins(90, 96)
    [0]
    """
    origins = list(range(0, length - size + 1, size)) or [0]
    return origins if origins[-1] + size >= length else [*origins, length - size]


def blend_weights(window: int, overlap: int) -> NDArray[np.float32]:
    """Weights (window, window) that fall off as a raised cosine over the overlap; neighbours sum to 1.

    Flat at either end, so that a window's own edge, where the network saw least, weighs next to nothing. The
    last two of one window and the first two of the next lie on the same pixels:

    >>> [round(float(weight), 3) for weight in blend_weights(8, 2)[4]]
    [0.146, 0.854, 1.0, 1.0, 1.0, 1.0, 0.854, 0.146]
    """
    profile = np.ones(window, dtype=np.float32)
    if overlap:
        ramp = np.sin(np.pi / 2 * (np.arange(overlap, dtype=np.float32) + 0.5) / overlap) ** 2
        profile[:overlap] = np.minimum(profile[:overlap], ramp)
        profile[-overlap:] = np.minimum(profile[-overlap:], ramp[::-1])
    return profile[:, None] * profile[None, :]


def windows(
    shape: tuple[int, int], window: int, overlap: int, wanted: NDArray[np.bool_]
) -> Iterator[tuple[int, int]]:
    """Origins (row, column) of the windows that hold a wanted pixel."""
    for row in window_origins(shape[0], window, overlap):
        for column in window_origins(shape[1], window, overlap):
            if wanted[row : row + window, column : column + window].any():
                yield row, column


def reflect_to(image: NDArray, rows: int, columns: int) -> NDArray:
    """Pad (rows, columns, ...) at its lower and right edge by reflection to at least the size asked for."""
    pad = [(0, max(0, rows - image.shape[0])), (0, max(0, columns - image.shape[1]))]
    if pad == [(0, 0), (0, 0)]:
        return image
    return np.pad(image, pad + [(0, 0)] * (image.ndim - 2), mode="symmetric")


class Mosaic:
    """A map under construction: overlapping windows, blended by weight.

    Parameters
    ----------
    shape : tuple of int
        (rows, columns) of the map.
    window, overlap : int
        Side and overlap of the windows [px].
    """

    def __init__(self, shape: tuple[int, int], window: int, overlap: int) -> None:
        self.weights = blend_weights(window, overlap)
        self.total = np.zeros(shape, dtype=np.float32)
        self.weight = np.zeros(shape, dtype=np.float32)

    def add(self, values: NDArray[np.float32], row: int, column: int) -> None:
        """Add a window's values (window, window) at (row, column); what lies beyond the map is dropped."""
        rows = min(values.shape[0], self.total.shape[0] - row)
        columns = min(values.shape[1], self.total.shape[1] - column)
        place = (slice(row, row + rows), slice(column, column + columns))
        weights = self.weights[:rows, :columns]
        self.total[place] += values[:rows, :columns] * weights
        self.weight[place] += weights

    def moved_up(self, rows: int) -> Mosaic:
        """A mosaic of the same size whose first rows are this one's from `rows` on; below it is empty."""
        moved = copy(self)
        left = self.total.shape[0] - rows
        moved.total, moved.weight = np.zeros_like(self.total), np.zeros_like(self.weight)
        moved.total[:left], moved.weight[:left] = self.total[rows:], self.weight[rows:]
        return moved

    def stitched(self) -> NDArray[np.float32]:
        """The blended map (rows, columns), NaN where no window came."""
        with np.errstate(invalid="ignore"):
            return np.where(self.weight > 0, self.total / self.weight, np.float32(np.nan))
