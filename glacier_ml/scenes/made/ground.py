"""What lies on made land: the ground class of every pixel and its mixture of pure surfaces."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from glacier_ml.scenes.made.relief import Field, fractal_field
from glacier_ml.scenes.made.terrain import CELL, Land, Region

ROCK, VEGETATION, WATER, MELANGE, SNOW, ICE, GLACIER_SNOW, DEBRIS, GLACIER_SHADOW, GROUND_SHADOW = range(10)

GROUND_CLASSES: dict[int, str] = {
    ROCK: "rock",
    VEGETATION: "vegetation",
    WATER: "water",
    MELANGE: "melange",
    SNOW: "seasonal snow outside outlines",
    ICE: "bare glacier ice",
    GLACIER_SNOW: "snow on glacier",
    DEBRIS: "debris on glacier",
    GLACIER_SHADOW: "shadow on glacier",
    GROUND_SHADOW: "shadow on ground",
}

SURFACES = ("rock", "vegetation", "water", "ice", "snow")


@dataclass(frozen=True)
class Cover:
    """Surface of every pixel.

    Attributes
    ----------
    ground : ndarray of uint8
        Ground class before shadow, (rows, columns).
    shares : dict of str to ndarray
        Share of each of `SURFACES`, (rows, columns) each; they sum to 1.
    """

    ground: NDArray[np.uint8]
    shares: dict[str, Field]


def cover_land(rng: np.random.Generator, region: Region, land: Land) -> Cover:
    """Cover a place with rock, vegetation, snow, ice, debris, water and melange."""
    shape = land.bed.shape
    blank = np.zeros(shape)
    shares = {"rock": np.ones(shape), **{name: blank for name in SURFACES[1:]}}
    ground = np.full(shape, ROCK, dtype=np.uint8)
    vegetation = _vegetation(rng, region, land)
    _lay(shares, "vegetation", vegetation)
    ground[vegetation > 0.5] = VEGETATION
    snow = _snow(rng, region, land)
    _lay(shares, "snow", snow * ~land.glacier)
    ground[snow > 0.5] = SNOW
    _lay(shares, "water", land.water.astype(float))
    ground[land.water] = WATER
    floating = _melange(rng, region, land)
    _lay(shares, "ice", floating)
    ground[floating > 0.35] = MELANGE
    _cover_glaciers(rng, region, land, shares, ground)
    return Cover(ground, shares)


def _lay(shares: dict[str, Field], surface: str, share: Field) -> None:
    """Cover a share of every pixel with one surface, on top of what lies there."""
    for name in SURFACES:
        shares[name] = shares[name] * (1.0 - share)
    shares[surface] = shares[surface] + share


def _ramp(field: Field, low: float, high: float) -> Field:
    """0 below `low`, 1 above `high`, linear between."""
    return np.clip((field - low) / (high - low), 0.0, 1.0)


def _steepness(height: Field) -> Field:
    return np.hypot(*np.gradient(ndimage.gaussian_filter(height, 1.0), CELL))


def _vegetation(rng: np.random.Generator, region: Region, land: Land) -> Field:
    """Share of vegetation: below a tree line, thinner on steep ground and on what ice has left lately."""
    tree_line = 0.55 * land.snow_line + 70.0 * fractal_field(rng, land.bed.shape, 3.0, 80.0)
    low = _ramp(tree_line - land.bed, -60.0, 60.0)
    bare = _ramp(_steepness(land.bed), 0.7, 1.1)
    distance = ndimage.distance_transform_edt(~land.glacier)
    young = _ramp(distance + 12.0 * fractal_field(rng, land.bed.shape, 2.5, 30.0), 8.0, 40.0)
    return low * (1.0 - bare) * young


def _snow(rng: np.random.Generator, region: Region, land: Land) -> Field:
    """Share of snow, on glaciers or not: fresh above the tree line, or last winter's in hollows high up."""
    noise = fractal_field(rng, land.bed.shape, 2.8, 40.0)
    steep = _steepness(land.surface)
    if region.winter:
        line = 0.45 * land.snow_line + 60.0 * noise
        return _ramp(land.surface - line, -50.0, 80.0) * (1.0 - _ramp(steep + 0.1 * noise, 1.1, 1.5))
    hollow = ndimage.gaussian_filter(land.bed, 12.0) - land.bed
    north = np.gradient(ndimage.gaussian_filter(land.bed, 2.0), CELL)[0]
    height = (land.surface - land.snow_line) / 160.0
    score = height + 1.6 + 0.7 * noise + hollow / 60.0 + north - 1.2 * _ramp(steep, 0.8, 1.3)
    return _ramp(score, 0.2, 0.6) * ~land.water


def _melange(rng: np.random.Generator, region: Region, land: Land) -> Field:
    """Share of floating ice: dense before the calving fronts, then patches, then single bergs."""
    front = land.water & ndimage.binary_dilation(land.glacier, iterations=2)
    if not front.any():
        return np.zeros(land.bed.shape)
    labels, _ = ndimage.label(land.water)
    fjord = np.isin(labels, np.unique(labels[front]))
    reach = rng.uniform(*region.melange_reach)
    distance = ndimage.distance_transform_edt(~front)
    patches = fractal_field(rng, land.bed.shape, 2.6, 60.0)
    fine = fractal_field(rng, land.bed.shape, 1.2, 8.0)
    density = _ramp(1.0 - distance / reach + 0.18 * patches, -0.1, 0.12)
    bergs = _ramp(fine + 0.6 * patches - 2.0 * distance / reach, 0.9, 1.6)
    return np.clip(density * (0.85 + 0.12 * fine) + bergs, 0.0, 1.0) * fjord


def _cover_glaciers(
    rng: np.random.Generator, region: Region, land: Land, shares: dict[str, Field], ground: NDArray[np.uint8]
) -> None:
    """Lay ice, snow above the firn line and moraines drawn out along the flow on the glaciers."""
    noise = fractal_field(rng, land.bed.shape, 3.0, 60.0)
    line = land.snow_line + 40.0 * noise - (500.0 if region.winter else -60.0)
    snow = _ramp(land.surface - line, -40.0, 60.0)
    debris = _debris(rng, land) * (1.0 - snow)
    for surface, share in (("ice", 1.0), ("snow", snow), ("rock", debris)):
        _lay(shares, surface, np.where(land.glacier, share, 0.0))
    glacier = np.where(snow > 0.5, GLACIER_SNOW, np.where(debris > 0.55, DEBRIS, ICE))
    ground[land.glacier] = glacier[land.glacier]


def _debris(rng: np.random.Generator, land: Land) -> Field:
    """Share of debris: medial moraines along flow lines, lateral ones, and what covers the tongues' ends."""
    shape = land.bed.shape
    place = np.stack([land.source_row, land.source_column])
    bands = ndimage.map_coordinates(fractal_field(rng, shape, 3.0, 50.0), place, order=1, mode="nearest")
    bands = ndimage.gaussian_filter(bands, 1.0)
    below = _ramp(land.snow_line - land.surface, -50.0, 500.0)
    medial = _ramp(bands + 1.3 * below, 1.5, 1.85)
    inside = ndimage.distance_transform_edt(land.glacier)
    lateral = _ramp(11.0 * below - inside + 3.0 * bands, 0.0, 4.0)
    thin = 0.25 * _ramp(bands, -1.0, 1.5) * below
    return np.maximum(np.maximum(medial, lateral), thin) * (0.88 + 0.1 * np.tanh(bands))
