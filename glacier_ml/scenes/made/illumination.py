"""Sun on relief: incidence, cast shadow and the share of sky that a slope sees."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from glacier_ml.scenes.made.relief import Field


@dataclass(frozen=True)
class Sun:
    """Where the sun stands: elevation above the horizon and azimuth clockwise from north, in degrees."""

    elevation_deg: float
    azimuth_deg: float

    @property
    def towards(self) -> tuple[float, float]:
        """Unit step (rows, columns) towards the sun on a grid whose rows run south."""
        azimuth = np.radians(self.azimuth_deg)
        return -float(np.cos(azimuth)), float(np.sin(azimuth))

    def moved(self, elevation_deg: float, azimuth_deg: float) -> Sun:
        """Return a sun that stands higher and further clockwise by some degrees."""
        return Sun(self.elevation_deg + elevation_deg, self.azimuth_deg + azimuth_deg)


def incidence(height: Field, cell: float, sun: Sun) -> Field:
    """Cosine of the angle between sun and surface normal, not below 0.

    Examples
    --------
    Flat ground sees the sine of the sun's elevation:

    >>> float(incidence(np.zeros((3, 3)), 30.0, Sun(30.0, 135.0))[1, 1].round(6))
    0.5
    """
    slope_row, slope_column = np.gradient(height, cell)
    elevation = np.radians(sun.elevation_deg)
    row, column = sun.towards
    climb = slope_row * row + slope_column * column
    cosine = (np.sin(elevation) - np.cos(elevation) * climb) / np.sqrt(1 + slope_row**2 + slope_column**2)
    return np.maximum(cosine, 0.0)


def cast_shadow(height: Field, cell: float, sun: Sun, reach: int = 256) -> Field:
    """Share of each cell that stands in the shadow of higher ground, 0 to 1.

    Parameters
    ----------
    height : ndarray
        Relief in metres, (rows, columns).
    cell : float
        Cell size in metres.
    sun : Sun
        Where the sun stands.
    reach : int
        Distance in cells over which ground throws its shadow, a power of 2.

    Returns
    -------
    ndarray
        float64 (rows, columns).
    """
    drop = cell * np.tan(np.radians(sun.elevation_deg))
    row, column = sun.towards
    # The first comparison leaves the cell itself out; then the reach doubles with every pass.
    horizon = ndimage.shift(height, (-row, -column), order=1, mode="nearest") - drop
    distance = 1
    while distance < reach:
        farther = ndimage.shift(horizon, (-row * distance, -column * distance), order=1, mode="nearest")
        horizon = np.maximum(horizon, farther - distance * drop)
        distance *= 2
    return np.clip((horizon - height) / (0.5 * drop) + 0.5, 0.0, 1.0)


def sky_view(height: Field, cell: float) -> Field:
    """Rough share of the sky that a cell sees: less in hollows, 0.45 to 1 (typical values, chosen here)."""
    hollow = ndimage.gaussian_filter(height, 16) - height
    return np.clip(0.9 - 1.2 * hollow / (16 * cell), 0.45, 1.0)
