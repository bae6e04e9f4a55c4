"""Features: spectral bands and indices, in named sets.

A feature is a pure function of the reflectances of one pixel, clipped to stated bounds: never of the rest
of its image. A new feature is one line in `FEATURES`, a new set one line in `FEATURE_SETS`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from glacier_ml.errors import GlacierError

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]

# Reflectance below which a ratio or an index is noise: about one DN of Landsat 5's bands (typical value).
FLOOR = np.float32(0.005)
PIXELS_AT_ONCE = 65_536
"""Of which features are computed together: what is computed on the way stays in a processor's cache."""


@dataclass(frozen=True)
class Feature:
    """One feature: the bands it needs, the formula on them, and the bounds it is clipped to."""

    bands: tuple[str, ...]
    formula: Callable[..., Array]
    bounds: tuple[float, float]


def normalised_difference(first: Array, second: Array) -> Array:
    """(first - second) / (first + second), with both clipped at `FLOOR` from below.

    >>> normalised_difference(np.float32(0.6), np.float32(0.2)).round(3)
    np.float32(0.5)
    """
    first, second = np.maximum(first, FLOOR), np.maximum(second, FLOOR)
    return (first - second) / (first + second)


def ratio(numerator: Array, denominator: Array) -> Array:
    """Numerator / denominator, with both clipped at `FLOOR` from below.

    >>> ratio(np.float32(0.1), np.float32(0.4)).round(3)
    np.float32(0.25)
    """
    return np.divide(np.maximum(numerator, FLOOR), np.maximum(denominator, FLOOR), dtype=np.float32)


def log_ratio(numerator: Array, denominator: Array) -> Array:
    """Natural logarithm of `ratio`: symmetric in numerator and denominator, without its outliers."""
    return np.log(ratio(numerator, denominator), dtype=np.float32)


def _band(reflectance: Array) -> Array:
    return reflectance


# Bounds of reflectance: sunlit slopes and the affine offset of the sensor leave 0..1 (typical value).
_REFLECTANCE = (-0.05, 1.6)

# ndsi: Hall et al. (2001), the formula that the report prints as NDWI; ndwi: McFeeters (1996).
FEATURES: dict[str, Feature] = {
    **{
        name: Feature((name,), _band, _REFLECTANCE)
        for name in ("blue", "green", "red", "nir", "swir1", "swir2")
    },
    "ndsi": Feature(("green", "swir1"), normalised_difference, (-1.0, 1.0)),
    "ndwi": Feature(("green", "nir"), normalised_difference, (-1.0, 1.0)),
    "swir1_red": Feature(("swir1", "red"), ratio, (0.0, 5.0)),
    "log_red_swir1": Feature(("red", "swir1"), log_ratio, (-4.0, 6.0)),
    "blue_saturated": Feature(("blue_saturated",), _band, (0.0, 1.0)),
}

FEATURE_SETS: dict[str, tuple[str, ...]] = {
    "spectral": ("blue", "green", "red", "nir", "swir1", "ndsi", "ndwi", "log_red_swir1"),
    "spectral_saturation": (
        *("blue", "green", "red", "nir", "swir1", "ndsi", "ndwi", "log_red_swir1"),
        "blue_saturated",
    ),
    "spectral_swir2": (*("blue", "green", "red", "nir", "swir1", "swir2", "ndsi", "ndwi", "log_red_swir1"),),
    "report_ratio": ("blue", "swir1_red", "ndwi"),
    "report_ndsi": ("blue", "swir1", "ndsi"),
    "false_colour": ("swir1", "nir", "red"),
}


@dataclass(frozen=True)
class FeatureSet:
    """A named, ordered choice of features.

    Attributes
    ----------
    name : str
        Key of `FEATURE_SETS`.
    features : tuple of str
        Feature names, in the order of the last axis.
    """

    name: str
    features: tuple[str, ...]

    @property
    def bands(self) -> tuple[str, ...]:
        """Bands that the features need, each once, in order of first use.

        >>> feature_set("report_ratio").bands
        ('blue', 'swir1', 'red', 'green', 'nir')
        """
        return tuple(dict.fromkeys(band for name in self.features for band in FEATURES[name].bands))


def feature_set(name: str) -> FeatureSet:
    """Look up a feature set.

    Raises
    ------
    GlacierError
        Where the name is unknown.
    """
    if name not in FEATURE_SETS:
        raise GlacierError(
            f"features: '{name}' is not a feature set; choose one of {', '.join(FEATURE_SETS)}"
        )
    return FeatureSet(name, FEATURE_SETS[name])


def compute_features(stack: Array, bands: tuple[str, ...], features: FeatureSet) -> Array:
    """Compute features from reflectances.

    Parameters
    ----------
    stack : ndarray
        (..., bands) reflectance; where a pixel has no data NaN, or 0 in every band as `Scene.stack` has it.
    bands : tuple of str
        Names along the last axis.
    features : FeatureSet
        What to compute.

    Returns
    -------
    ndarray
        float32 (..., features), finite; every feature is 0 where the pixel has no data.

    Raises
    ------
    GlacierError
        Where `bands` lacks one that a feature needs.
    """
    missing = [band for band in features.bands if band not in bands]
    if missing:
        raise GlacierError(
            f"features '{features.name}' need {' and '.join(missing)} (found {', '.join(bands)}); "
            "choose another feature set or add the band"
        )
    columns = {band: stack[..., bands.index(band)] for band in features.bands}
    return features_of_bands(columns, np.ones(stack.shape[:-1], dtype=bool), features)


def features_of_bands(columns: Mapping[str, Array], valid: Mask, features: FeatureSet) -> Array:
    """Compute features from bands that lie apart: what `compute_features` does, without stacking them.

    Parameters
    ----------
    columns : mapping of str to ndarray
        (...) reflectance by band, of those that the features need.
    valid : ndarray of bool
        (...) pixels that may have data.
    features : FeatureSet
        What to compute.

    Returns
    -------
    ndarray
        float32 (..., features), finite; every feature is 0 where the pixel has no data.
    """
    shape = valid.shape or (1,)
    computed = np.empty((*shape, len(features.features)), dtype=np.float32)
    at_once = max(1, PIXELS_AT_ONCE // max(1, math.prod(shape[1:])))
    for start in range(0, shape[0], at_once):
        part = slice(start, start + at_once)
        some = {band: values.reshape(shape)[part] for band, values in columns.items()}
        _fill(computed[part], some, valid.reshape(shape)[part], features)
    return computed.reshape((*valid.shape, len(features.features)))


def _fill(computed: Array, columns: Mapping[str, Array], valid: Mask, features: FeatureSet) -> None:
    known = np.zeros(valid.shape, dtype=bool)
    for values in columns.values():
        known |= values != 0
    known &= valid
    for values in columns.values():
        known &= np.isfinite(values)
    lacking = not known.all()
    if lacking:
        columns = {band: np.where(known, values, np.float32(0)) for band, values in columns.items()}
    for position, name in enumerate(features.features):
        feature = FEATURES[name]
        values = feature.formula(*(columns[band] for band in feature.bands))
        np.clip(values, *feature.bounds, out=computed[..., position])
    if lacking:
        computed[~known] = 0
