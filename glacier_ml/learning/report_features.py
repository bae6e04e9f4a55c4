"""The report's features: three a pixel, unclipped, each scaled by the least and the largest of its image.

A pixel's value then depends on the rest of its image: one odd pixel, or another window of the same frame,
shifts them all. `glacier_ml.learning.features` is how it is done otherwise.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from glacier_ml.learning.features import FeatureSet

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]

_FORMULAS: dict[str, tuple[tuple[str, ...], Callable[..., Array]]] = {
    "blue": (("blue",), lambda blue: blue),
    "swir1": (("swir1",), lambda swir1: swir1),
    "swir1_red": (("swir1", "red"), lambda swir1, red: swir1 / red),
    "ndwi": (("green", "nir"), lambda green, nir: (green - nir) / (green + nir)),
    "ndsi": (("green", "swir1"), lambda green, swir1: (green - swir1) / (green + swir1)),
}


def min_max(values: Array, known: Mask) -> Array:
    """Scale values so that the least of the known ones is 0 and the largest 1.

    Parameters
    ----------
    values : ndarray
        Of any shape; what is not finite counts as unknown.
    known : ndarray of bool
        Of the same shape.

    Returns
    -------
    ndarray
        float32; 0 where unknown, and everywhere where all known values are the same.

    Examples
    --------
    >>> min_max(np.float32([2, 4, 6, 99]), np.array([True, True, True, False])).tolist()
    [0.0, 0.5, 1.0, 0.0]
    """
    known = known & np.isfinite(values)
    scaled = np.zeros(values.shape, np.float32)
    if known.any():
        least, largest = values[known].min(), values[known].max()
        if largest > least:
            scaled[known] = (values[known] - least) / (largest - least)
    return scaled


def report_features(stack: Array, bands: tuple[str, ...], features: FeatureSet) -> Array:
    """Features (rows, columns, features) of one image as the report computed them.

    Parameters
    ----------
    stack : ndarray
        (rows, columns, bands) reflectance of the whole image; where a pixel has no data NaN, or 0 in every
        band as `Scene.stack` has it.
    bands : tuple of str
        Names along the last axis.
    features : FeatureSet
        'report_ratio' or 'report_ndsi'.

    Returns
    -------
    ndarray
        float32, from 0 to 1; 0 where the pixel has no data or a ratio's denominator is 0.
    """
    known = np.isfinite(stack).all(axis=-1) & (stack != 0).any(axis=-1)
    computed = []
    for name in features.features:
        needed, formula = _FORMULAS[name]
        with np.errstate(divide="ignore", invalid="ignore"):
            values = formula(*(stack[..., bands.index(band)] for band in needed))
        computed.append(min_max(values, known))
    return np.stack(computed, axis=-1)
