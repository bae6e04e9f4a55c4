"""The picture beside a quality report: its colours and shares, against pixels counted by hand."""

import numpy as np
import pytest

from glacier_ml.evaluation.figures import NO_DATA
from glacier_ml.evaluation.quality_figure import GROUND, SENSOR, quality_panel
from glacier_ml.scenes.scene import Scene


@pytest.fixture
def scene(tiny_grid):
    """20 x 30 pixels: rows 0 to 9 bright by NDSI, row 19 without data, two negative, three clouds."""
    shape = (20, 30)
    bright = np.arange(20)[:, None] < 10
    pairs = {
        "blue": (0.5, 0.1),
        "green": (0.5, 0.1),
        "red": (0.5, 0.1),
        "nir": (0.4, 0.2),
        "swir1": (0.05, 0.3),
    }
    bands = {
        band: np.broadcast_to(np.where(bright, *pair), shape).astype(np.float32)
        for band, pair in pairs.items()
    }
    bands["swir1"][15, :2] = -0.01
    valid = np.ones(shape, bool)
    valid[19] = False
    quality = {"cloud": np.zeros(shape, bool), "saturated_blue": np.zeros(shape, bool)}
    quality["cloud"][17, :3] = True
    quality["saturated_blue"][0, :6] = True
    return Scene("tiny", bands, valid, tiny_grid(shape=shape), {"date": "2007-09-17"}, quality)


def keys_of(figure):
    return {text.get_text() for text in figure.legends[0].get_texts()}


def panels_of(figure):
    return [axes.images[0].get_array() for axes in figure.axes]


def test_the_shares_are_those_of_the_pixels_with_data(scene):
    mask = np.zeros(scene.shape, bool)
    mask[5:12] = True
    keys = keys_of(quality_panel(scene, mask))
    # 19 rows of 30 have data: 570 pixels. Rows 5-9 are bright inside (150), 0-4 outside (150), 10-11 glacier
    # but not bright (60), 12-18 neither (210), but for the 2 negative ones, whose NDSI is 1 (so 152, 208).
    # 6 are saturated, 3 cloud.
    assert keys == {
        "bright, inside outlines: 26.3 %",
        "bright, outside outlines: 26.7 %",
        "glacier, not bright (debris, shadow, melt): 10.5 %",
        "neither: 36.5 %",
        "blue saturated: 1.1 %",
        "swir1 negative: 0.4 %",
        "flagged as cloud: 0.5 %",
        "no data",
    }


def test_pixels_have_the_colours_of_the_key(scene):
    mask = np.zeros(scene.shape, bool)
    mask[5:12] = True
    _, ground, sensor = panels_of(quality_panel(scene, mask))
    np.testing.assert_allclose(ground[7, 0], GROUND["bright, inside outlines"], atol=1e-6)
    np.testing.assert_allclose(ground[0, 0], GROUND["bright, outside outlines"], atol=1e-6)
    np.testing.assert_allclose(ground[10, 0], GROUND["glacier, not bright (debris, shadow, melt)"], atol=1e-6)
    np.testing.assert_allclose(ground[19, 0], NO_DATA, atol=1e-6)
    np.testing.assert_allclose(sensor[0, 5], SENSOR["blue saturated"], atol=1e-6)
    np.testing.assert_allclose(sensor[15, 1], SENSOR["swir1 negative"], atol=1e-6)
    np.testing.assert_allclose(sensor[17, 2], SENSOR["flagged as cloud"], atol=1e-6)


def test_without_outlines_nothing_is_inside_or_outside(scene):
    figure = quality_panel(scene, None)
    # 300 bright pixels and 2 negative ones of 570.
    assert {"bright: 53.0 %", "not bright: 47.0 %"} < keys_of(figure)
    assert not any("outlines" in key for key in keys_of(figure))
    assert figure.axes[0].get_title() == "false colour (swir1, nir, red)"
    assert figure.get_suptitle() == "tiny, 2007-09-17"
