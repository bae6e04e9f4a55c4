"""Made glaciers: ice gathers above the snow line, flows down and stops; flow lines lead upstream."""

import numpy as np
import pytest

from glacier_ml.scenes.made.glaciers import calve, flow_sources, glacier_mask, grow_ice

# A valley that falls 60 m to the south each cell of 200 m, between walls of 40 m a cell.
ROWS, COLUMNS = np.indices((40, 15))
VALLEY = 2500.0 - 60.0 * ROWS + 40.0 * np.abs(COLUMNS - 7)


def grown(snow_line, years=200.0):
    return grow_ice(VALLEY, np.zeros_like(VALLEY), 200.0, snow_line, years, 2.0)


def test_no_ice_where_the_snow_line_lies_above_the_land():
    assert grown(5000.0).max() == 0.0


def test_ice_flows_below_the_snow_line_along_the_valley():
    ice = grown(2200.0)
    assert (ice >= 0).all()
    # The floor lies below the snow line from row 5 on, (2500 - 2200) / 60 = 5; the ice itself raises the
    # surface by up to 200 m, 4 rows more. Only flow brings ice beyond, and melt ends it.
    assert ice[11, 7] > 50.0
    assert ice[-1, 7] == 0.0
    assert ice[12, 7] > 2 * ice[12, 0]


def test_a_lower_snow_line_grows_more_ice():
    assert grown(2200.0).sum() > 1.5 * grown(2400.0).sum()


def test_without_flow_a_year_adds_the_balance():
    # Flat ground 100 m above the snow line: 0.007 a year x 100 m = 0.7 m in the first year.
    ice = grow_ice(np.full((6, 7), 1100.0), np.zeros((6, 7)), 100.0, 1000.0, 1.0, 1.0)
    np.testing.assert_allclose(ice, 0.7)


def test_ice_in_deep_water_breaks_off_only_where_the_sea_reaches():
    bed = np.full((3, 6), -100.0)
    ice = np.array([[0.0, 90.0, 90.0, 300.0, 90.0, 300.0]] * 3)
    # 90 m of ice in 100 m of water floats (100 > 0.9 x 90); the cells behind the 300 m are a lake's.
    np.testing.assert_array_equal(calve(bed, ice, 0.9)[0], [0.0, 0.0, 0.0, 300.0, 90.0, 300.0])


def test_land_ice_never_calves():
    np.testing.assert_array_equal(calve(np.full((2, 2), 5.0), np.ones((2, 2)), 0.9), np.ones((2, 2)))


def test_specks_and_pinholes_leave_the_mask():
    ice = np.zeros((20, 20))
    ice[4:14, 4:14] = 50.0
    ice[8, 8] = 0.0  # a pinhole: filled
    ice[18, 18] = 50.0  # a speck: dropped
    assert glacier_mask(ice, 10.0, 20).sum() == 100


@pytest.mark.parametrize("steps", [5, 50])
def test_flow_lines_lead_upstream_and_stop_at_the_glaciers_edge(steps):
    surface = -1.0 * np.indices((30, 9))[0]
    glacier = np.zeros((30, 9), dtype=bool)
    glacier[5:25, 2:7] = True
    row, column = flow_sources(surface, glacier, steps, 1.0)
    # Row 20's ice came from `steps` rows above, but from no higher than the glacier's top at row 5.
    assert row[20, 4] == pytest.approx(max(20 - steps, 5), abs=0.51)
    assert column[20, 4] == 4.0
    assert (row[0, 0], column[0, 0]) == (0.0, 0.0)
