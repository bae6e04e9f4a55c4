"""Sun on relief: known angles, shadow lengths and directions."""

import numpy as np
import pytest

from glacier_ml.scenes.made.illumination import Sun, cast_shadow, incidence, sky_view


def test_a_slope_that_faces_the_sun_is_brightest():
    # A plane that rises 30 m each 30 m pixel to the north faces south at 45 degrees; a sun at 45
    # degrees in the south meets it head on.
    rows = np.indices((9, 9))[0]
    facing = incidence(-30.0 * rows, 30.0, Sun(45.0, 180.0))
    away = incidence(-30.0 * rows, 30.0, Sun(45.0, 0.0))
    np.testing.assert_allclose(facing, 1.0)
    np.testing.assert_allclose(away, 0.0, atol=1e-9)


@pytest.mark.parametrize(
    ("azimuth", "shaded"),
    [(180.0, (17, 20)), (0.0, (23, 20)), (90.0, (20, 17)), (270.0, (20, 23))],
    ids=["sun in the south, shadow to the north", "north", "east", "west"],
)
def test_a_tower_throws_its_shadow_away_from_the_sun(azimuth, shaded):
    height = np.zeros((41, 41))
    height[20, 20] = 300.0
    # At 45 degrees a tower of 300 m shades 10 pixels of 30 m.
    shadow = cast_shadow(height, 30.0, Sun(45.0, azimuth))
    assert shadow[shaded] == 1.0
    opposite = (40 - shaded[0], 40 - shaded[1])
    assert shadow[opposite] == 0.0
    assert shadow[20, 20] == 0.0


def test_the_shadow_is_as_long_as_the_sun_is_low():
    height = np.zeros((8, 100))
    height[:, 90] = 300.0
    # 300 m / (30 m tan 30 deg) = 17.3 pixels to the west of a wall, the sun being in the east.
    shadow = cast_shadow(height, 30.0, Sun(30.0, 90.0))
    assert (shadow[4, :90] > 0.5).sum() == pytest.approx(17.3, abs=1.0)


def test_flat_ground_lies_in_no_shadow_and_under_open_sky():
    flat = np.zeros((20, 20))
    assert cast_shadow(flat, 30.0, Sun(20.0, 150.0)).max() == 0.0
    np.testing.assert_allclose(sky_view(flat, 30.0), 0.9)


def test_a_hollow_sees_less_sky():
    rows, columns = np.indices((81, 81)) - 40.0
    bowl = 0.3 * (rows**2 + columns**2)
    view = sky_view(bowl, 30.0)
    assert view[40, 40] < 0.9
    assert view.min() >= 0.45
