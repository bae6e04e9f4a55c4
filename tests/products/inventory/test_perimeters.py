"""Lengths of outlines against circles and straight lines."""

import numpy as np
import pytest
from affine import Affine
from rasterio.crs import CRS

from glacier_ml.products.inventory.map_rasters import STRIP
from glacier_ml.products.inventory.perimeters import half_pixel_m, outline_lengths, touching_edge
from glacier_ml.scenes.scene import Grid

# On the central meridian of UTM 6 the ground is 1 / .9996 of the map.
GROUND = 1 / 0.9996


def utm(shape, north=6_780_000):
    return Grid(CRS.from_epsg(32606), Affine(30, 0, 500_000 - 15 * shape[1], 0, -30, north), shape)


def everywhere(labels):
    return np.ones(labels.shape, bool)


@pytest.mark.parametrize("radius", [10, 25, 80])
def test_a_disc_has_the_length_of_its_circle(radius):
    grid = utm((200, 200))
    row, column = np.indices(grid.shape)
    disc = (np.hypot(row - 99.7, column - 100.2) < radius).astype(np.int32)
    length = outline_lengths(disc, everywhere(disc), 1, grid)[1]
    assert length == pytest.approx(2 * np.pi * radius * 30 * GROUND, rel=0.02)


def test_a_disc_of_pixels_that_are_not_square():
    # At 61.17 N a degree of latitude has 111.43 km, one of longitude 111.606 km cos(latitude) (WGS 84).
    grid = Grid(CRS.from_epsg(4326), Affine(0.0003, 0, -147, 0, -0.0003, 61.2), (200, 300))
    row, column = np.indices(grid.shape)
    height, width = 0.0003 * 111_430, 0.0003 * 111_606 * np.cos(np.radians(61.17))
    disc = (np.hypot(height * (row - 99.5), width * (column - 149.5)) < 2000).astype(np.int32)
    length = outline_lengths(disc, everywhere(disc), 1, grid)[1]
    assert length == pytest.approx(2 * np.pi * 2000, rel=0.02)
    assert half_pixel_m(grid) == pytest.approx(np.sqrt(height * width) / 2, rel=1e-3)


def test_strips_do_not_show():
    grid = utm((STRIP + 40, 60))
    row, column = np.indices(grid.shape)
    across = (np.hypot(row - STRIP - 0.3, column - 30.2) < 20).astype(np.int32)
    within = np.roll(across, -200, axis=0)
    lengths = [outline_lengths(one, everywhere(one), 1, grid)[1] for one in (across, within)]
    assert lengths[0] == pytest.approx(lengths[1], rel=1e-5)  # the map's scale differs that little


def test_nunataks_count_and_divides_and_gaps_do_not():
    grid = utm((60, 60))
    labels = np.zeros(grid.shape, np.int32)
    labels[10:50, 10:50] = 1
    valid = everywhere(labels)
    alone = outline_lengths(labels, valid, 1, grid)[1]
    with_hole = labels.copy()
    with_hole[25:35, 25:35] = 0
    hole = np.zeros_like(labels)
    hole[25:35, 25:35] = 1
    both = alone + outline_lengths(hole, valid, 1, grid)[1]
    assert outline_lengths(with_hole, valid, 1, grid)[1] == pytest.approx(both, rel=1e-5)
    halves = labels.copy()
    halves[10:50, 30:50] = 2
    assert outline_lengths(halves, valid, 2, grid).sum() == pytest.approx(alone, rel=1e-9)
    valid[:, 50:] = False  # the right side is where the scene ends
    # A side of 40 pixels less: by the formula's factors for straight lines, 1.05 of its length.
    lost = alone - outline_lengths(labels, valid, 1, grid)[1]
    assert lost == pytest.approx(40 * 30 * GROUND, rel=0.09)


def test_labels_at_the_scenes_edge_or_at_gaps_touch_it():
    labels = np.zeros((9, 9), np.int32)
    labels[0, 4], labels[4, 0], labels[4, 4], labels[7, 7] = 1, 2, 3, 4
    valid = everywhere(labels)
    valid[4, 5] = False  # right of 3
    valid[6, 6] = False  # at a corner of 4
    assert touching_edge(labels, valid, 4).tolist() == [False, True, True, True, False]
