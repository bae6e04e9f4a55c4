"""The made sensor: Landsat's numbers, saturation, noise; and the made ground's confusable classes."""

import numpy as np
import pytest

from glacier_ml.scenes.made.ground import DEBRIS, GROUND_CLASSES, ICE, MELANGE, ROCK
from glacier_ml.scenes.made.illumination import Sun
from glacier_ml.scenes.made.reflectance import BIAS, GAIN, SOLAR_IRRADIANCE, digitise
from glacier_ml.scenes.made.synthetic import make_scene
from glacier_ml.scenes.scene import BANDS


@pytest.fixture(scope="module")
def alaska():
    return make_scene(4, "alaska")


def test_values_lie_on_the_lattice_of_whole_numbers(alaska):
    sun = np.sin(np.radians(alaska.scene.provenance["sun_elevation_deg"]))
    for index, band in enumerate(BANDS):
        values = alaska.scene.bands[band][alaska.scene.valid].astype(float)
        numbers = (values * SOLAR_IRRADIANCE[index] * sun / np.pi - BIAS[index]) / GAIN[index]
        np.testing.assert_allclose(numbers, np.rint(numbers), atol=0.01)
        assert numbers.min() > 0.9
        assert numbers.max() < 255.1


@pytest.mark.parametrize(("elevation", "ceiling"), [(30.0, 0.62), (40.0, 0.48), (50.0, 0.40)])
def test_blue_saturates_where_the_real_sensor_does(elevation, ceiling):
    values = digitise(np.random.default_rng(0), np.full((5, 5), 1.2), 0, Sun(elevation, 160.0))
    np.testing.assert_allclose(values, ceiling, atol=0.008)


def test_noise_is_of_about_one_number():
    rng = np.random.default_rng(0)
    values = digitise(rng, np.full((100, 100), 0.2), 1, Sun(30.0, 160.0)).astype(float)
    step = np.pi * GAIN[1] / (SOLAR_IRRADIANCE[1] * 0.5)
    # 0.8 before rounding, whose own variance is 1/12: sqrt(0.64 + 0.083) = 0.85.
    assert values.std() / step == pytest.approx(0.85, abs=0.05)


def test_melange_looks_like_ice_and_debris_like_rock(alaska):
    for first, second in ((MELANGE, ICE), (DEBRIS, ROCK)):
        for band in ("green", "nir"):
            values = alaska.scene.bands[band]
            low, high = np.quantile(values[alaska.ground == second], [0.05, 0.95])
            assert low < np.median(values[alaska.ground == first]) < high, (GROUND_CLASSES[first], band)


def test_regions_differ_in_snow():
    snow = {
        region: (make_scene(1, region, (128, 96)).scene.bands["green"] > 0.5).mean()
        for region in ("alaska", "patagonia")
    }
    assert snow["patagonia"] > snow["alaska"]
