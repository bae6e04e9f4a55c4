"""The means by which an area is uncertain, each from numbers derived by hand."""

import numpy as np
import pandas as pd
import pytest
from made_maps import write_maps

from glacier_ml.errors import GlacierError
from glacier_ml.products.areas import area_km2
from glacier_ml.products.inventory.areas import PixelAreas, polygon_areas_km2
from glacier_ml.products.inventory.map_rasters import STRIP, find_maps
from glacier_ml.products.inventory.uncertainty import (
    SURROUNDING_PX,
    check_terms,
    combine,
    ensemble_spreads,
    mapped_areas,
    probability_sums,
    zones,
)

PIXEL_KM2 = 900 / 0.9996**2 / 1e6
"""Of a pixel of 30 m at the central meridian of a UTM zone."""


@pytest.fixture
def middle_grid(tiny_grid):
    """Factory of grids on the central meridian of UTM 6."""
    return lambda shape: tiny_grid(shape=shape, west=500_000.0 - 15 * shape[1])


def square(grid, top=10, left=10, side=10, number=1):
    labels = np.zeros(grid.shape, np.int32)
    labels[top : top + side, left : left + side] = number
    return labels


def test_areas_are_those_of_the_ellipsoid_over_strips(tiny_grid):
    grid = tiny_grid(shape=(STRIP + 300, 500), west=300_000.0)
    labels = np.random.default_rng(0).integers(0, 3, grid.shape).astype(np.int32)
    areas = mapped_areas(labels, 2, PixelAreas(grid))
    assert areas[0] == 0
    for number in (1, 2):
        assert areas[number] == pytest.approx(area_km2(labels == number, grid), rel=1e-9)


def test_a_polygons_area_is_less_its_holes_whatever_their_direction():
    from shapely.geometry import Polygon

    # At the equator a tenth of a degree squared has 11.132 km * 11.057 km (WGS 84).
    shell, hole = [(0, 0), (0, 0.1), (0.1, 0.1), (0.1, 0)], [(0.02, 0), (0.02, 0.05), (0.07, 0.05)]
    whole, less = polygon_areas_km2(np.array([Polygon(shell), Polygon(shell, [hole])], object), 4326)
    assert whole == pytest.approx(11.132 * 11.0574, rel=1e-4)
    assert whole - less == pytest.approx(0.05 * 0.05 / 2 / 0.01 * whole, rel=1e-4)


def test_a_zone_is_ice_outline_and_surrounding_less_gaps(middle_grid):
    grid = middle_grid((40, 40))
    labels, valid = square(grid), np.ones(grid.shape, bool)
    owners = square(grid, side=15)
    valid[:, 26:] = False
    allotted = zones(labels, valid, owners) == 1
    assert allotted[10:25, 10:25].all()
    assert allotted[25 + SURROUNDING_PX - 1, 15] and not allotted[25 + SURROUNDING_PX, 15]
    assert allotted[15, 25] and not allotted[15, 26]
    np.testing.assert_array_equal(labels, square(grid))  # untouched


def test_the_probability_sum_is_the_expected_area(tmp_path, middle_grid):
    grid = middle_grid((40, 40))
    labels, valid = square(grid), np.ones(grid.shape, bool)
    probability = np.where(labels == 1, 0.8, 0.0)
    probability[9, 10:20] = 0.4  # a row of ten doubtful pixels beside it
    probability[30:, :] = 1.0  # far away: another's
    write_maps(tmp_path, labels, grid, probability=probability)
    (rasters,) = find_maps(tmp_path)
    sums = probability_sums(rasters, zones(labels, valid, None), 1, PixelAreas(grid))
    # 100 pixels of .8 and 10 of .4 are 84 pixels
    assert sums[1] == pytest.approx(84 * PIXEL_KM2, rel=1e-5)


def test_the_spread_is_the_members_standard_deviation_in_the_zone(tmp_path, middle_grid):
    grid = middle_grid((40, 40))
    labels = square(grid)
    members = [square(grid), square(grid, side=11), square(grid, side=12)]
    members[0][35:, :] = 1  # beyond the zone
    write_maps(tmp_path, labels, grid, members=members)
    (rasters,) = find_maps(tmp_path)
    allotted = zones(labels, np.ones(grid.shape, bool), None)
    spread = ensemble_spreads(rasters, allotted, 1, PixelAreas(grid))
    # 100, 121 and 144 pixels: mean 121 2/3, standard deviation of the sample 22.007575
    assert spread[1] == pytest.approx(22.007575 * PIXEL_KM2, rel=1e-5)


def test_a_zone_without_any_probability_has_no_sum(tmp_path, middle_grid):
    grid = middle_grid((40, 40))
    labels = square(grid, side=4) + square(grid, top=30, side=4, number=2)
    probability = np.where(labels > 0, 1.0, 0.0)
    probability[20:] = np.nan
    write_maps(tmp_path, labels > 0, grid, probability=probability)
    (rasters,) = find_maps(tmp_path)
    sums = probability_sums(rasters, zones(labels, np.ones(grid.shape, bool), None), 3, PixelAreas(grid))
    # The third has no pixel at all: nothing is to be expected of it.
    assert sums.tolist() == pytest.approx([0, 16 * PIXEL_KM2, np.nan, 0], rel=1e-5, nan_ok=True)


@pytest.mark.parametrize("members", [None, 1])
def test_without_several_members_there_is_no_spread(tmp_path, middle_grid, members):
    grid = middle_grid((30, 30))
    write_maps(tmp_path, square(grid), grid, members=members and [square(grid)])
    (rasters,) = find_maps(tmp_path)
    assert np.isnan(ensemble_spreads(rasters, square(grid), 1, PixelAreas(grid))).all()


def test_terms_combine_as_the_root_of_the_sum_of_squares():
    table = pd.DataFrame(
        {
            "area_km2": [10.0, 10.0],
            "half_pixel_buffer_km2": [0.2, 0.2],
            "probability_sum_area_km2": [9.7, 10.0],
            "ensemble_std_km2": [0.6, np.nan],
        }
    )
    every = combine(table, check_terms(("ensemble", "half_pixel", "probability")))
    # .04 + .09 + .36 = .7^2
    assert every["combined_uncertainty_km2"].tolist() == pytest.approx([0.7, 0.2])
    assert every["combined_terms"].tolist() == ["half_pixel+probability+ensemble", "half_pixel+probability"]
    alone = combine(table, ("ensemble",))  # of the second glacier nothing is known: that is not 0
    assert alone["combined_uncertainty_km2"].tolist() == pytest.approx([0.6, np.nan], nan_ok=True)
    assert alone["combined_terms"].tolist() == ["ensemble", ""]
    some = combine(table, ("half_pixel",))
    assert some["combined_uncertainty_km2"].tolist() == [0.2, 0.2]
    with pytest.raises(GlacierError, match="terms: 'guess' is not known; choose among half_pixel, probab"):
        check_terms(("half_pixel", "guess"))
    with pytest.raises(GlacierError, match="terms: none is given"):
        check_terms(())
