"""Small maps of right and wrong pixels: which colour stands where."""

import numpy as np
import pytest
from affine import Affine
from rasterio.crs import CRS

from glacier_ml.evaluation import figures
from glacier_ml.evaluation.outcome_maps import outcome_map
from glacier_ml.scenes.scene import Grid, Scene


def ramp_scene(shape=(60, 80)):
    """A scene that brightens from pixel to pixel, its left 5 columns without data."""
    ramp = np.linspace(0, 1, shape[0] * shape[1], dtype=np.float32).reshape(shape)
    ramp[:, :5] = np.nan
    grid = Grid(CRS.from_epsg(32606), Affine(30, 0, 500_000, 0, -30, 6_700_000), shape)
    return Scene("made", dict.fromkeys(("red", "nir", "swir1"), ramp), np.isfinite(ramp), grid)


@pytest.fixture
def scene():
    return ramp_scene()


@pytest.fixture
def mask(scene):
    """Glacier in the upper 20 rows."""
    return np.arange(60)[:, None] < np.full((1, 80), 20)


def colour_of(name):
    return np.round(255 * np.array(figures.OUTCOMES[name])).astype(np.uint8)


def test_an_outcome_map_shows_right_and_wrong_on_the_shown_pixels(scene, mask):
    shown = np.zeros(scene.shape, dtype=bool)
    shown[10:30, 0:45] = True  # rows 10 to 19 are glacier
    probability = np.full(scene.shape, 0.9, dtype=np.float32)
    image = outcome_map(scene, mask, probability, 0.5, shown)
    assert image.dtype == np.uint8 and image.shape[1:] == (80, 3) and image.shape[0] > 60
    np.testing.assert_array_equal(image[15, 20], colour_of("glacier, mapped"))
    np.testing.assert_array_equal(image[25, 20], colour_of("not glacier, mapped (false positive)"))
    none = outcome_map(scene, mask, 1 - probability, 0.5, shown)
    np.testing.assert_array_equal(none[15, 20], colour_of("glacier, missed (false negative)"))
    np.testing.assert_array_equal(none[25, 20], colour_of("not glacier, left out"))
    # Elsewhere, and where there is no data, the scene shines through, grey and the same in both.
    elsewhere = ~(shown & scene.valid)
    np.testing.assert_array_equal(image[:60][elsewhere], none[:60][elsewhere])
    assert (np.ptp(image[:60][elsewhere].astype(int), axis=-1) == 0).all()


def test_outcome_maps_are_small():
    large = ramp_scene((1300, 900))
    mask = np.zeros(large.shape, dtype=bool)
    image = outcome_map(large, mask, np.zeros(large.shape, np.float32), 0.5, ~mask)
    # Every fourth pixel, since 1300 / 3 = 433 are too many; and a legend.
    assert image.shape[1] == 225 and 325 < image.shape[0] < 325 + 100


@pytest.mark.parametrize("columns", [1, 24, 52, 53, 110])
def test_a_legend_is_as_wide_as_its_map(columns):
    narrow = ramp_scene((60, columns + 5))
    picture = outcome_map(narrow, narrow.valid, np.ones(narrow.shape, np.float32), 0.5, narrow.valid)
    assert picture.shape[1] == columns + 5
