"""Quality bands: fill, cloud, shadow and saturation masks from Landsat's bits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glacier_ml.errors import GlacierError
from glacier_ml.scenes.landsat.names import SENSOR_BANDS

_BANDS = tuple(SENSOR_BANDS["TM"].values())
_SURFACES = ("fill", "dilated_cloud", "cloud", "cloud_shadow", "snow", "water")

MASKS = (*_SURFACES, *(f"saturated_{band}" for band in _BANDS))
"""Names of the masks; a mask's place is its bit in this package's own quality.tif."""

_BITS = {
    "QA_PIXEL": {"fill": 0, "dilated_cloud": 1, "cloud": 3, "cloud_shadow": 4, "snow": 5, "water": 7},
    "BQA": {"fill": 0, "cloud": 4},
    "quality": {mask: bit for bit, mask in enumerate(MASKS)},
}
# Collection 1: two bits of confidence each, of which 3 is high; shadow and snow have no bit of their own.
_BQA_CONFIDENCE = {"cloud_shadow": 7, "snow": 9}
_BQA_UNUSED = 13, 0b111


def quality_masks(values: NDArray[Any], kind: str, sensor: str | None) -> dict[str, NDArray[np.bool_]]:
    """Masks that a quality band gives, by name as in `MASKS`.

    Nothing is dropped for being cloud unless asked for: CFMask, which flags the clouds, takes much bright ice
    and snow for cloud, so that dropping would leave out the glaciers that are to be mapped.

    Parameters
    ----------
    values : array of int
        Of any shape and integer type.
    kind : str
        'QA_PIXEL' or 'QA_RADSAT' (Collection 2), 'BQA' (Collection 1) or 'quality' (`encode_quality`).
    sensor : str or None
        'TM', 'ETM+' or 'OLI'; 'QA_RADSAT' needs it.

    Returns
    -------
    dict of str to array of bool
        Of the values' shape. Of BQA's shadow and snow, those of high confidence; its saturation counts bands
        without naming them and is left out. Of QA_RADSAT, the six bands that this package uses.

    Raises
    ------
    GlacierError
        Where the kind or the sensor is not known, the values are no integers, or a BQA has the bits of
        Landsat 8 products before Collection 1, which mean other things.

    Examples
    --------
    >>> masks = quality_masks(np.array([1, 22280]), "QA_PIXEL", "TM")
    >>> masks["fill"].tolist(), masks["cloud"].tolist()
    ([True, False], [False, True])
    """
    if values.dtype.kind not in "iu":
        raise GlacierError(f"{kind}: values are {values.dtype}, not integers; convert the quality band")
    bits = _saturation_bits(sensor) if kind == "QA_RADSAT" else _BITS.get(kind)
    if bits is None:
        raise GlacierError(f"quality band {kind!r} is not known; use {', '.join((*_BITS, 'QA_RADSAT'))}")
    masks = {mask: (values >> bit) & 1 == 1 for mask, bit in bits.items()}
    return masks | _confident(values) if kind == "BQA" else masks


def encode_quality(masks: Mapping[str, NDArray[np.bool_]], shape: tuple[int, ...]) -> NDArray[np.uint16]:
    """Pack masks into one value a pixel, a mask's bit being its place in `MASKS`.

    Raises
    ------
    GlacierError
        Where a mask is not known or of another shape.

    Examples
    --------
    >>> encode_quality({"fill": np.array([True, False]), "cloud": np.array([False, True])}, (2,)).tolist()
    [1, 4]
    """
    packed = np.zeros(shape, np.uint16)
    for name, mask in masks.items():
        if name not in MASKS or mask.shape != tuple(shape):
            raise GlacierError(
                f"mask {name!r} of shape {mask.shape} does not fit; masks are {', '.join(MASKS)}, "
                f"of shape {tuple(shape)}"
            )
        packed |= np.where(mask, np.uint16(1 << MASKS.index(name)), np.uint16(0))
    return packed


def _saturation_bits(sensor: str | None) -> dict[str, int]:
    """Bit n - 1 is band n, of every sensor."""
    if sensor not in SENSOR_BANDS:
        raise GlacierError(
            f"QA_RADSAT: its bits need a sensor, not {sensor!r}; use {', '.join(SENSOR_BANDS)}"
        )
    return {f"saturated_{band}": number - 1 for number, band in SENSOR_BANDS[sensor].items()}


def _confident(values: NDArray[Any]) -> dict[str, NDArray[np.bool_]]:
    bit, three = _BQA_UNUSED
    if np.any((values >> bit) & three):
        raise GlacierError(
            "BQA: bits 13 to 15 are set, as in Landsat 8 products before Collection 1, whose bits mean other "
            "things; remove the BQA file or take the scene from Collection 2"
        )
    return {mask: (values >> bit) & 3 == 3 for mask, bit in _BQA_CONFIDENCE.items()}
