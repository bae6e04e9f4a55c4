"""From digital numbers (DN) to reflectance: the MTL's own coefficients, Chander et al. (2009), Level 2."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date

from glacier_ml.errors import GlacierError
from glacier_ml.scenes.landsat.metadata import Metadata
from glacier_ml.scenes.landsat.names import SENSOR_BANDS
from glacier_ml.scenes.landsat.sun import earth_sun_distance

METHODS = ("mtl", "chander")
"""Ways from DN to top-of-atmosphere reflectance; they are 0.2 to 5 % apart on Landsat 5.

'mtl': (REFLECTANCE_MULT x DN + REFLECTANCE_ADD) / sin(sun elevation); the distance to the Sun is in the
coefficients. 'chander': pi x L x d^2 / (ESUN x sin(sun elevation)), L as in `radiance_rescaling`.
"""

ESUN: dict[str, dict[str, float]] = {
    spacecraft: dict(zip(("blue", "green", "red", "nir", "swir1", "swir2"), values, strict=True))
    for spacecraft, values in {
        "LANDSAT_4": (1983.0, 1795.0, 1539.0, 1028.0, 219.8, 83.49),
        "LANDSAT_5": (1983.0, 1796.0, 1536.0, 1031.0, 220.0, 83.44),
        "LANDSAT_7": (1997.0, 1812.0, 1533.0, 1039.0, 230.8, 84.90),
    }.items()
}
"""Solar irradiance above the atmosphere, W m-2 um-1, by spacecraft and band: Chander et al. (2009), Remote
Sensing of Environment 113:893-903."""

# Radiance at DN 1 and DN 255 of Landsat 5 TM in W m-2 sr-1 um-1, from 1992 on (Chander et al. 2009).
_TM5_RADIANCE = {
    "blue": (-1.52, 193.0),
    "green": (-2.84, 365.0),
    "red": (-1.17, 264.0),
    "nir": (-1.51, 221.0),
    "swir1": (-0.37, 30.2),
    "swir2": (-0.15, 16.5),
}
_TM5_RADIANCE_BEFORE_1992 = {**_TM5_RADIANCE, "blue": (-1.52, 169.0), "green": (-2.84, 333.0)}

_SURFACE = ("LEVEL2_SURFACE_REFLECTANCE_PARAMETERS",)
_SURFACE_DEFAULT = (2.75e-05, -0.2)  # of every Collection 2 Level-2 product
_RESCALING = ("LEVEL1_RADIOMETRIC_RESCALING", "RADIOMETRIC_RESCALING")
_RADIANCE = ("LEVEL1_MIN_MAX_RADIANCE", "MIN_MAX_RADIANCE")
_PIXEL = ("LEVEL1_MIN_MAX_PIXEL_VALUE", "MIN_MAX_PIXEL_VALUE")
_LARGEST = {"MULT": 100.0, "ADD": 1e4}
"""Coefficients beyond these are no calibration: real ones stay below 2 and 70. Chosen here."""


@dataclass(frozen=True)
class Rescaling:
    """Reflectance = gain x DN + offset, in float64.

    Attributes
    ----------
    gain, offset : float
        Reflectance per DN, and at DN 0.
    fill : float
        DN without data.
    ceiling : float or None
        DN at which the sensor, or the scale, is saturated; None: not known.
    """

    gain: float
    offset: float
    fill: float = 0.0
    ceiling: float | None = None


def rescale(metadata: Metadata, method: str | None, where: str) -> tuple[str, dict[str, Rescaling]]:
    """Rescaling of every band, and the method used.

    Parameters
    ----------
    metadata : Metadata
        The product's.
    method : str or None
        One of `METHODS`. None: 'mtl' where the MTL has REFLECTANCE_MULT_BAND_n, else 'chander'; of a Level-2
        product 'surface', which is all it has.
    where : str
        How errors call the product.

    Returns
    -------
    method : str
        'mtl' or 'chander' (top-of-atmosphere reflectance), or 'surface'.
    bands : dict of str to Rescaling
        By band name. Reflectance is not clipped.

    Raises
    ------
    GlacierError
        Where the method is not known or not to be had of this product, or coefficients are missing or no
        calibration.

    """
    if method not in (None, *METHODS):
        raise GlacierError(f"{where}: method {method!r} is not known; use {' or '.join(METHODS)}")
    if metadata.level == 2:
        return "surface", _surface(metadata, method, where)
    if method is None:
        method = "mtl" if _has_reflectance(metadata) else "chander"
    bands = _by_mtl(metadata, where) if method == "mtl" else _by_chander(metadata, where)
    return method, {
        band: Rescaling(gain, offset, 0.0, _pixel_value(metadata, "MAX", _number_of(metadata, band), where))
        for band, (gain, offset) in bands.items()
    }


def toa_rescaling(
    radiance: tuple[float, float], esun: float, distance: float, sun_elevation_deg: float
) -> tuple[float, float]:
    """Gain and offset of top-of-atmosphere reflectance from those of radiance (Chander et al. 2009, Eq. 2).

    Parameters
    ----------
    radiance : tuple of float
        Gain and offset of radiance, W m-2 sr-1 um-1.
    esun : float
        Solar irradiance above the atmosphere, W m-2 um-1.
    distance : float
        From the Earth to the Sun, astronomical units.
    sun_elevation_deg : float
        Above the horizon.

    Examples
    --------
    >>> gain, offset = toa_rescaling((0.765827, -2.28583), 1983.0, 1.0, 90.0)
    >>> round(gain * 255 + offset, 4)
    0.3058
    """
    factor = math.pi * distance**2 / (esun * math.sin(math.radians(sun_elevation_deg)))
    return radiance[0] * factor, radiance[1] * factor


def radiance_rescaling(metadata: Metadata, where: str) -> dict[str, tuple[float, float]]:
    """Gain and offset of radiance, W m-2 sr-1 um-1, by band name.

    They are the MTL's RADIANCE_MULT and RADIANCE_ADD as they stand; without these, what LMIN and LMAX at
    QCALMIN and QCALMAX give; without these too, Chander et al.'s (2009) table of Landsat 5. MTLs of 2014
    or so round RADIANCE_MULT to three decimals, up to 0.7 % off (`swir2`); the file is followed.

    Raises
    ------
    GlacierError
        Where none of these is to be had, or the values are no calibration.
    """
    numbers = SENSOR_BANDS[metadata.sensor]
    return {band: _radiance(metadata, number, band, where) for number, band in numbers.items()}


def _has_reflectance(metadata: Metadata) -> bool:
    keys = (key for group in _RESCALING for key in metadata.groups.get(group, {}))
    return any(key.startswith("REFLECTANCE_MULT_BAND_") for key in keys)


def _number_of(metadata: Metadata, band: str) -> int:
    return next(number for number, name in SENSOR_BANDS[metadata.sensor].items() if name == band)


def _by_mtl(metadata: Metadata, where: str) -> dict[str, tuple[float, float]]:
    if not _has_reflectance(metadata):
        raise GlacierError(
            f"{where}: the MTL has no REFLECTANCE_MULT_BAND_n, which method 'mtl' needs; use method 'chander'"
        )
    sine = math.sin(math.radians(metadata.sun_elevation_deg))
    bands = {}
    for number, band in SENSOR_BANDS[metadata.sensor].items():
        pair = _pair(metadata, "REFLECTANCE", number, _RESCALING, where)
        if pair is None:
            raise _missing(f"REFLECTANCE_MULT_BAND_{number}", where)
        bands[band] = (pair[0] / sine, pair[1] / sine)
    return bands


def _by_chander(metadata: Metadata, where: str) -> dict[str, tuple[float, float]]:
    esun = ESUN.get(metadata.spacecraft)
    if esun is None:
        raise GlacierError(
            f"{where}: Chander et al. (2009) give no solar irradiance of {metadata.spacecraft}; "
            "use method 'mtl', with an MTL file that has REFLECTANCE_MULT_BAND_n"
        )
    distance = metadata.earth_sun_distance or earth_sun_distance(date.fromisoformat(metadata.date))
    return {
        band: toa_rescaling(radiance, esun[band], distance, metadata.sun_elevation_deg)
        for band, radiance in radiance_rescaling(metadata, where).items()
    }


def _surface(metadata: Metadata, method: str | None, where: str) -> dict[str, Rescaling]:
    if method is not None:
        raise GlacierError(
            f"{where}: a Level-2 product holds surface reflectance, which method {method!r} cannot give; "
            "leave the method out, or take the Level-1 product"
        )
    bands = {}
    for number, band in SENSOR_BANDS[metadata.sensor].items():
        pair = _pair(metadata, "REFLECTANCE", number, _SURFACE, where)
        bands[band] = Rescaling(*(pair or _SURFACE_DEFAULT))
    return bands


def _radiance(metadata: Metadata, number: int, band: str, where: str) -> tuple[float, float]:
    pair = _pair(metadata, "RADIANCE", number, _RESCALING, where)
    if pair is not None:
        return pair
    low, high = (
        _either(metadata, (f"RADIANCE_{long}_BAND_{number}", f"{short}_BAND{number}"), _RADIANCE, where)
        for long, short in (("MINIMUM", "LMIN"), ("MAXIMUM", "LMAX"))
    )
    if low is None and high is None and metadata.spacecraft == "LANDSAT_5":
        table = _TM5_RADIANCE_BEFORE_1992 if metadata.date < "1992" else _TM5_RADIANCE
        low, high = table[band]
    if low is None or high is None:
        raise _missing(f"RADIANCE_MULT_BAND_{number}", where)
    smallest, largest = (_pixel_value(metadata, end, number, where) for end in ("MIN", "MAX"))
    gain = (high - low) / (largest - smallest)
    return _checked((gain, low - gain * smallest), f"RADIANCE_MAXIMUM_BAND_{number}", where)


def _pair(
    metadata: Metadata, quantity: str, number: int, groups: tuple[str, ...], where: str
) -> tuple[float, float] | None:
    keys = [f"{quantity}_{part}_BAND_{number}" for part in ("MULT", "ADD")]
    gain, offset = (metadata.number(key, groups, where) for key in keys)
    if gain is None and offset is None:
        return None
    if gain is None or offset is None:
        raise _missing(keys[0] if gain is None else keys[1], where)
    return _checked((gain, offset), keys[0], where)


def _checked(pair: tuple[float, float], key: str, where: str) -> tuple[float, float]:
    if not (0 < pair[0] <= _LARGEST["MULT"] and abs(pair[1]) <= _LARGEST["ADD"]):
        raise GlacierError(
            f"{where}: {key} gives gain {pair[0]:g} and offset {pair[1]:g}, which is no calibration; "
            "download the MTL file anew"
        )
    return pair


def _pixel_value(metadata: Metadata, end: str, number: int, where: str) -> float:
    """Smallest (MIN) or largest (MAX) DN of the scale."""
    keys = (f"QUANTIZE_CAL_{end}_BAND_{number}", f"QCAL{end}_BAND{number}")
    value = _either(metadata, keys, _PIXEL, where)
    widest = 65535.0 if metadata.sensor == "OLI" else 255.0
    if value is None:
        return 1.0 if end == "MIN" else widest
    if not (0 <= value <= 1 if end == "MIN" else 200 <= value <= widest):
        raise GlacierError(
            f"{where}: QUANTIZE_CAL_{end}_BAND_{number} is {value:g}, not of DN up to {widest:g}; "
            "download the MTL file anew"
        )
    return value


def _either(metadata: Metadata, keys: tuple[str, str], groups: tuple[str, ...], where: str) -> float | None:
    """Value of the newer or the older name of a quantity."""
    value = metadata.number(keys[0], groups, where)
    return metadata.number(keys[1], groups, where) if value is None else value


def _missing(key: str, where: str) -> GlacierError:
    return GlacierError(f"{where}: {key} is missing; download the MTL file anew")
