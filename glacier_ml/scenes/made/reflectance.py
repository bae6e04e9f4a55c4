"""What Landsat 5 TM sees of made ground: reflectances, air, sensor noise, 8-bit numbers, saturation."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from glacier_ml.scenes.made.ground import Cover
from glacier_ml.scenes.made.illumination import Sun, cast_shadow, incidence, sky_view
from glacier_ml.scenes.made.relief import Field, fractal_field
from glacier_ml.scenes.made.terrain import CELL, Land, Region
from glacier_ml.scenes.scene import BANDS

# Landsat 5 TM bands 1, 2, 3, 4, 5, 7: radiance = gain * DN + bias in W m-2 sr-1 um-1 (Chander et al. 2009)
# and the solar irradiance in W m-2 um-1 that the MTL files' reflectance coefficients imply.
GAIN = (0.765827, 1.448189, 1.043976, 0.876024, 0.120354, 0.065551)
BIAS = (-2.28583, -4.28819, -2.21398, -2.38602, -0.49035, -0.21555)
SOLAR_IRRADIANCE = (1944.0, 1759.0, 1490.0, 1033.0, 209.6, 82.24)
NOISE_DN = 0.8  # typical value, chosen here

# Reflectances at the ground by band, as in BANDS: typical values, chosen here so that the made scenes'
# quantiles come near those of real ones (docs/made_scenes.md).
REFLECTANCE = {
    "rock": (0.075, 0.095, 0.110, 0.135, 0.155, 0.130),
    "vegetation": (0.025, 0.050, 0.036, 0.250, 0.115, 0.050),
    "water": (0.030, 0.030, 0.015, 0.006, 0.001, 0.001),
    "ice": (0.265, 0.255, 0.235, 0.185, 0.011, 0.009),
    "snow": (0.740, 0.730, 0.690, 0.580, 0.050, 0.040),
    "winter snow": (0.960, 0.940, 0.900, 0.820, 0.085, 0.070),
}
PATH_REFLECTANCE = (0.080, 0.046, 0.027, 0.014, 0.001, 0.001)
TRANSMITTANCE = (0.80, 0.85, 0.89, 0.93, 0.97, 0.97)
SKYLIGHT = (0.22, 0.15, 0.11, 0.07, 0.03, 0.02)
# How much brightness varies within a surface: standard deviation of its logarithm.
VARIATION = {"rock": 0.22, "vegetation": 0.22, "water": 0.15, "ice": 0.22, "snow": 0.08}


def observe(
    rng: np.random.Generator, region: Region, land: Land, cover: Cover, sun: Sun, window: tuple[slice, slice]
) -> tuple[dict[str, NDArray[np.float32]], Field]:
    """Top-of-atmosphere reflectance by band inside the window, and the cast shadow there (0 to 1)."""
    cosine = incidence(land.surface, CELL, sun)
    shadow = cast_shadow(land.surface, CELL, sun)
    # Where a slope turns away from the sun it is as dark as in cast shadow.
    direct = (cosine * (1.0 - shadow) / np.sin(np.radians(sun.elevation_deg)))[window]
    sky = sky_view(land.surface, CELL)[window]
    texture = _textures(rng, land.bed.shape, window)
    bands = {}
    for index, band in enumerate(BANDS):
        ground = _ground_reflectance(region, cover, texture, index)
        skylight = SKYLIGHT[index]
        light = (1.0 - skylight) * direct + skylight * sky
        seen = PATH_REFLECTANCE[index] + TRANSMITTANCE[index] * ground * light
        # The sensor's point spread: neighbours mix.
        bands[band] = digitise(rng, ndimage.gaussian_filter(seen, 0.55), index, sun)
    return bands, np.maximum(shadow[window], direct < 0.12)


def _textures(
    rng: np.random.Generator, shape: tuple[int, int], window: tuple[slice, slice]
) -> dict[str, tuple[Field, Field]]:
    """Correlated brightness and spectral tilt of each surface, standard deviation 1."""
    return {
        name: (fractal_field(rng, shape, 2.0, 30.0)[window], fractal_field(rng, shape, 2.6, 60.0)[window])
        for name in VARIATION
    }


def _ground_reflectance(
    region: Region, cover: Cover, texture: dict[str, tuple[Field, Field]], index: int
) -> Field:
    """Mixture of the pure surfaces' reflectances in one band, textured."""
    total = np.zeros(cover.ground.shape)
    tilt_of_band = (index - 2.5) / 5.0
    for name, share in cover.shares.items():
        pure = REFLECTANCE["winter snow" if name == "snow" and region.winter else name][index]
        brightness, tilt = texture[name]
        spread = VARIATION[name]
        total += share * pure * np.exp(spread * (brightness + 0.6 * tilt_of_band * tilt) - spread**2 / 2)
    return total


def digitise(rng: np.random.Generator, reflectance: Field, index: int, sun: Sun) -> NDArray[np.float32]:
    """Reflectance as the sensor gives it: noisy, rounded to whole numbers 1 to 255, saturated above.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of the noise.
    reflectance : ndarray
        Top-of-atmosphere reflectance, (rows, columns).
    index : int
        Position of the band in `BANDS`.
    sun : Sun
        Where the sun stands; the Earth-Sun distance is taken as 1.

    Returns
    -------
    ndarray
        float32 reflectance (rows, columns).

    Examples
    --------
    Blue cannot tell snow from brighter snow (facts: about 0.62 with the sun at 30 degrees):

    >>> values = digitise(np.random.default_rng(0), np.array([[0.7, 0.9]]), 0, Sun(30.0, 160.0))
    >>> values.round(2).tolist()
    [[0.6200000047683716, 0.6200000047683716]]
    """
    to_reflectance = np.pi / (SOLAR_IRRADIANCE[index] * np.sin(np.radians(sun.elevation_deg)))
    number = (reflectance / to_reflectance - BIAS[index]) / GAIN[index]
    number = np.clip(np.rint(number + NOISE_DN * rng.standard_normal(reflectance.shape)), 1, 255)
    return ((GAIN[index] * number + BIAS[index]) * to_reflectance).astype(np.float32)
