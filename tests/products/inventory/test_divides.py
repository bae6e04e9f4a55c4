"""Which glacier a pixel belongs to."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from glacier_ml.products.inventory.divides import allot, connected_ice, grow


def picture(text):
    """Numbers of a picture of digits; dots are 0."""
    return np.array([[int(one) if one != "." else 0 for one in row] for row in text.split()], np.int32)


def test_pixels_that_touch_by_a_corner_are_two_pieces():
    pieces, count = connected_ice(picture("1.. .1. .11") > 0)
    assert count == 2
    np.testing.assert_array_equal(pieces, picture("1.. .2. .22"))


def test_without_outlines_every_piece_is_a_new_glacier():
    np.testing.assert_array_equal(allot(picture("11.1") > 0, None), picture("11.2"))


def test_ice_is_split_where_outlines_meet_and_beyond_by_the_way_over_ice():
    ice = picture(".1111. .1111. .1.... .1..11") > 0
    owners = picture("222333 222333 ...... ......")
    # The tongue below runs on from glacier 2; the piece at the lower right meets no outline: a new one.
    np.testing.assert_array_equal(allot(ice, owners, 3), picture(".2233. .2233. .2.... .2..44"))


def test_the_way_over_ice_counts_and_not_the_distance():
    # The lower row is next to glacier 2 but connected with glacier 1 alone.
    ice = picture("1.2222 1..... 111111") > 0
    owners = picture("1.2222 ...... ......")
    np.testing.assert_array_equal(allot(ice, owners, 2), picture("1.2222 1..... 111111"))


def test_an_outline_without_ice_keeps_its_number():
    assert allot(picture("1..1") > 0, picture("1.2."), 2).tolist() == [[1, 0, 0, 3]]


def test_fronts_grow_as_octagons_and_stop_after_their_steps():
    labels = np.zeros((9, 9), np.int32)
    labels[4, 4] = 1
    grow(labels, np.ones((9, 9), bool), steps=2)
    row, column = np.abs(np.indices((9, 9)) - 4)
    # One step by the sides, one by sides and corners: at most 2 each way, and not the corners of that square.
    np.testing.assert_array_equal(labels == 1, (np.maximum(row, column) <= 2) & (row + column <= 3))


def test_growth_never_leaves_its_piece_by_a_corner():
    ice = picture("11.. 11.. ..11 ..11") > 0
    labels = np.where(picture("1... .... .... ....") > 0, 1, 0).astype(np.int32)
    grow(labels, ice, pieces=connected_ice(ice)[0])
    np.testing.assert_array_equal(labels, picture("11.. 11.. .... ...."))


@settings(max_examples=60, deadline=None)
@given(arrays(bool, (9, 11)), arrays(np.int32, (9, 11), elements=st.integers(0, 3)))
def test_all_ice_is_allotted_and_nothing_else(ice, owners):
    labels = allot(ice, owners, 3)
    np.testing.assert_array_equal(labels > 0, ice)
    inside = ice & (owners > 0)
    np.testing.assert_array_equal(labels[inside], owners[inside])
    pieces, count = connected_ice(ice)
    for piece in range(1, count + 1):
        here = pieces == piece
        met = set(owners[here]) - {0}
        # The numbers in a piece are those of the outlines that it meets; else one new number, its own.
        assert set(labels[here]) == met if met else len(set(labels[here])) == 1 and labels[here].min() > 3
