"""Relief: drainage reaches the outlets, rivers cut down, troughs only lower the land."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glacier_ml.scenes.made.relief import carve_troughs, drainage, drained_area, enlarge, erode, fractal_field

SHAPE = (12, 15)


def south(shape):
    """Outlets along the last row."""
    outlet = np.zeros(shape, dtype=bool)
    outlet[-1] = True
    return outlet


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(1.0, 4.0))
def test_fractal_fields_are_standardised_and_repeat(seed, roughness):
    first = fractal_field(np.random.default_rng(seed), SHAPE, roughness, 8.0)
    assert first.mean() == pytest.approx(0.0, abs=1e-9)
    assert first.std() == pytest.approx(1.0)
    np.testing.assert_array_equal(first, fractal_field(np.random.default_rng(seed), SHAPE, roughness, 8.0))


def test_a_rougher_field_varies_more_from_cell_to_cell():
    steps = [
        np.abs(np.diff(fractal_field(np.random.default_rng(1), (64, 64), roughness, 64.0))).mean()
        for roughness in (2.0, 4.0)
    ]
    assert steps[0] > 2 * steps[1]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_all_cells_drain_to_the_outlets(seed):
    height = np.random.default_rng(seed).random(SHAPE)
    outlet = south(SHAPE)
    order, receiver = drainage(height, outlet)
    assert sorted(order.tolist()) == list(range(height.size))
    rank = np.empty(height.size, dtype=int)
    rank[order] = np.arange(height.size)
    inner = ~outlet.ravel()
    # Every cell but an outlet hands its water to a cell nearer the outlet in the flood's order.
    assert (rank[receiver[inner]] < rank[inner]).all()
    area = drained_area(order, receiver)
    assert area[outlet.ravel()].sum() == height.size


def test_a_pit_drains_over_its_lowest_rim():
    # The pit (1) can leave over 3 to the left outlet or over 5 to nothing: its receiver is the cell 3.
    height = np.array([[0.0, 3.0, 1.0, 5.0]])
    _, receiver = drainage(height, np.array([[True, False, False, False]]))
    assert receiver.tolist() == [0, 0, 1, 2]


def test_erosion_lowers_land_and_leaves_outlets():
    height = 100.0 + 10.0 * np.random.default_rng(0).random(SHAPE)
    height[-1] = 0.0
    eroded = erode(height, south(SHAPE), 0.3, np.zeros(SHAPE), 3)
    assert (eroded <= height).all()
    assert (eroded[-1] == 0).all()
    assert eroded[:-1].mean() < height[:-1].mean() - 5.0


def test_troughs_only_lower_and_the_largest_valley_becomes_a_fjord():
    rows, columns = np.indices((40, 41))
    # A valley along the middle column that falls to the south.
    height = 10.0 * (40.0 - rows) + 20.0 * np.abs(columns - 20)
    carved = carve_troughs(height, south(height.shape), 60.0, 2.0, 300.0)
    assert carved[-3, 20] < 0 < height[-3, 20]
    assert carved[2, 20] > 0
    assert carved.mean() < height.mean()


def test_enlarging_keeps_a_constant():
    assert enlarge(np.full((3, 4), 7.0), 4).shape == (12, 16)
    np.testing.assert_allclose(enlarge(np.full((3, 4), 7.0), 4), 7.0)
