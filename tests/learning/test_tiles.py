"""Tiles: cutting, the symmetry of the square, and maps stitched without seams."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glacier_ml.errors import GlacierError
from glacier_ml.learning.tiles import (
    SYMMETRIES,
    Mosaic,
    augment_d4,
    blend_weights,
    cut_tiles,
    padded_crop,
    reflect_to,
    transform_d4,
    window_origins,
    windows,
)

# No symmetry of the square maps it onto itself.
ASYMMETRIC = np.arange(9, dtype=np.float32).reshape(3, 3, 1)
symmetries = st.integers(0, SYMMETRIES - 1)


def test_augment_d4_gives_eight_distinct_images():
    images = augment_d4(ASYMMETRIC)
    assert images.shape == (8, 3, 3, 1)
    assert len({image.tobytes() for image in images}) == 8
    np.testing.assert_array_equal(images[0], ASYMMETRIC)


def test_augment_d4_worked_by_hand():
    # 1 2      2 4      4 3      3 1   (quarter turns against the clock), and of its mirror image
    # 3 4      1 3      2 1      4 2    2 1 / 4 3:  1 3 / 2 4,  3 4 / 1 2,  4 2 / 3 1
    square = np.array([[1, 2], [3, 4]])[..., None]
    expected = ["1234", "2413", "4321", "3142", "2143", "1324", "3412", "4231"]
    assert ["".join(map(str, image.ravel())) for image in augment_d4(square)] == expected


@given(symmetries, symmetries)
def test_two_symmetries_in_a_row_are_one_of_the_eight(first, second):
    twice = transform_d4(transform_d4(ASYMMETRIC, first), second)
    assert sum(np.array_equal(twice, image) for image in augment_d4(ASYMMETRIC)) == 1


@given(symmetries)
def test_every_symmetry_is_undone_by_another(symmetry):
    moved = transform_d4(ASYMMETRIC, symmetry)
    assert sum(np.array_equal(image, ASYMMETRIC) for image in augment_d4(moved)) == 1


@given(symmetries, st.integers(1, 7))
def test_labels_move_with_the_image(symmetry, size):
    image = np.random.default_rng(size).random((size, size, 3))
    label = (image[..., :1] > 0.5).astype(float)
    together = transform_d4(np.concatenate([image, label], axis=-1), symmetry)
    np.testing.assert_array_equal(together[..., 3:], transform_d4(label, symmetry))
    np.testing.assert_array_equal(together[..., 3] > 0, together[..., 0] > 0.5)


@given(symmetries)
def test_a_stack_of_tiles_is_transformed_tile_by_tile(symmetry):
    tiles = np.random.default_rng(0).random((3, 4, 4, 2))
    expected = [transform_d4(tile, symmetry) for tile in tiles]
    np.testing.assert_array_equal(transform_d4(tiles, symmetry), expected)


@pytest.mark.parametrize(
    ("shape", "size", "count"),
    [
        ((887, 495), 288, 3 * 1),  # the report: less than double the size is one tile along that side
        ((887, 495), 96, 9 * 5),
        ((1297, 1333), 288, 4 * 4),
        ((1297, 1333), 384, 3 * 3),
        ((575, 575), 288, 1),  # one pixel short of double
        ((576, 576), 288, 4),
    ],
)
def test_cut_tiles_drops_the_remainder(shape, size, count):
    assert cut_tiles(np.zeros((*shape, 1), np.float32), size).shape == (count, size, size, 1)


def test_cut_tiles_go_row_by_row():
    image = np.arange(5 * 7).reshape(5, 7, 1)
    tiles = cut_tiles(image, 2)
    assert tiles[0, ..., 0].tolist() == [[0, 1], [7, 8]]
    assert tiles[1, ..., 0].tolist() == [[2, 3], [9, 10]]
    assert tiles[3, ..., 0].tolist() == [[14, 15], [21, 22]]


def test_a_tile_larger_than_the_image_is_refused():
    with pytest.raises(GlacierError, match="tile_size: 288 px is larger than the image of 100 x 500 px"):
        cut_tiles(np.zeros((100, 500, 3)), 288)


def test_padded_crop_is_zero_beyond_the_image():
    image = np.arange(1, 7).reshape(2, 3)
    assert padded_crop(image, 1, 1, 3).tolist() == [[5, 6, 0], [0, 0, 0], [0, 0, 0]]
    assert padded_crop(image, 0, 0, 2).tolist() == [[1, 2], [4, 5]]
    assert padded_crop(image[..., None], 0, 2, 2).shape == (2, 2, 1)


@pytest.mark.parametrize("shape", [(20, 300), (3, 3), (256, 10)])
def test_reflect_to_gives_at_least_the_size_and_keeps_the_image(shape):
    image = np.random.default_rng(0).random((*shape, 2))
    padded = reflect_to(image, 256, 256)
    assert padded.shape == (256, max(256, shape[1]), 2)
    np.testing.assert_array_equal(padded[: shape[0], : shape[1]], image)
    if shape[0] < 256:
        np.testing.assert_array_equal(padded[shape[0]], padded[shape[0] - 1])  # the edge row comes twice


# Window, overlap of at most half of it, and length of an axis.
layouts = st.integers(2, 40).flatmap(
    lambda window: st.tuples(st.just(window), st.integers(0, window // 2), st.integers(1, 200))
)


@given(layouts)
def test_windows_cover_the_axis_and_none_is_idle(layout):
    window, overlap, length = layout
    origins = window_origins(length, window, overlap)
    covered = np.zeros(length, dtype=int)
    for origin in origins:
        covered[origin : origin + window] += 1
    assert covered.min() >= 1
    assert origins[-1] < length
    assert np.diff(origins).tolist() == [window - overlap] * (len(origins) - 1)


@given(layouts)
def test_weights_of_overlapping_windows_sum_to_one(layout):
    window, overlap, length = layout
    profile = np.sqrt(np.diag(blend_weights(window, overlap)))  # the weights are its product with itself
    total = np.zeros(length + 2 * window)
    for origin in window_origins(length, window, overlap):
        total[origin : origin + window] += profile
    np.testing.assert_allclose(total[overlap : max(overlap, length - window)], 1, rtol=1e-5)


def stitch(image, window, overlap):
    """Cut the windows of an image and stitch them again."""
    rows, columns = (window_origins(length, window, overlap)[-1] + window for length in image.shape)
    padded = reflect_to(image, rows, columns)
    mosaic = Mosaic(image.shape, window, overlap)
    for row, column in windows(image.shape, window, overlap, np.ones(image.shape, bool)):
        mosaic.add(padded[row : row + window, column : column + window], row, column)
    return mosaic.stitched()


@given(st.integers(1, 60), st.integers(1, 60), layouts)
def test_windows_cut_from_an_image_give_that_image(rows, columns, layout):
    window, overlap, _ = layout
    row, column = np.indices((rows, columns), dtype=np.float32)
    smooth = np.sin(row / 7) + column / 10
    np.testing.assert_allclose(stitch(smooth, window, overlap), smooth, rtol=1e-5, atol=1e-5)


def test_windows_of_a_constant_give_the_constant():
    np.testing.assert_allclose(stitch(np.full((100, 77), 0.3, np.float32), 32, 8), 0.3, rtol=1e-6)


def test_windows_that_disagree_are_blended_without_a_step():
    # Left windows say 0, right ones 1: over 8 px of overlap the map rises as sin^2(pi / 2 (i + .5) / 8), by
    # at most sin(pi / 16) = .1951 a pixel (in the middle), and by .0096 at the windows' own edges.
    mosaic = Mosaic((16, 24), 16, 8)
    mosaic.add(np.zeros((16, 16), np.float32), 0, 0)
    mosaic.add(np.ones((16, 16), np.float32), 0, 8)
    profile = mosaic.stitched()[8]
    np.testing.assert_allclose(profile[8:16], np.sin(np.pi * (np.arange(8) + 0.5) / 16) ** 2, rtol=1e-5)
    steps = np.abs(np.diff(profile))
    assert steps.max() == pytest.approx(np.sin(np.pi / 16), rel=1e-4)
    assert steps[[7, 15]] == pytest.approx(0.00960736, rel=1e-4)


def test_a_pixel_that_no_window_reached_is_nan():
    mosaic = Mosaic((4, 8), 4, 0)
    mosaic.add(np.ones((4, 4), np.float32), 0, 0)
    assert np.isnan(mosaic.stitched()[:, 4:]).all()
    assert (mosaic.stitched()[:, :4] == 1).all()


def test_only_windows_that_hold_a_wanted_pixel_are_cut():
    wanted = np.zeros((500, 300), dtype=bool)
    wanted[250, 10] = True  # windows of 256 at 0, 192, 384: rows 250 lie in the first two, column 10 in one
    assert list(windows(wanted.shape, 256, 64, wanted)) == [(0, 0), (192, 0)]
