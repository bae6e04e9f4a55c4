"""How Landsat's reflectances hang together with the DN: gains, biases and solar irradiances by band."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

from glacier_ml.scenes.landsat.radiometry import ESUN

BANDS = ("blue", "green", "red", "nir", "swir1", "swir2")

# Radiance at DN 1 and at DN 255, W m-2 sr-1 um-1, in the order of BANDS: RADIANCE_MINIMUM and _MAXIMUM of the
# MTL files of Landsat 5 (two periods), Landsat 4 and Landsat 7 (low and high gain). Bands of one scene may
# mix high and low gain, and only blue and green tell Landsat 5's periods apart.
_TM_DARK = (-1.52, -2.84, -1.17, -1.51, -0.37, -0.15)
_ETM_DARK = (-6.2, -6.4, -5.0, -5.1, -1.0, -0.35)
_LIMITS = {
    "TM": (
        ("LANDSAT_5", _TM_DARK, (193.0, 365.0, 264.0, 221.0, 30.2, 16.5)),
        ("LANDSAT_5", _TM_DARK, (169.0, 333.0, 264.0, 221.0, 30.2, 16.5)),
        ("LANDSAT_4", _TM_DARK, (171.0, 336.0, 254.0, 221.0, 31.4, 16.6)),
    ),
    "ETM+": (
        ("LANDSAT_7", _ETM_DARK, (293.7, 300.9, 234.4, 241.1, 47.57, 16.54)),
        ("LANDSAT_7", _ETM_DARK, (191.6, 196.5, 152.9, 157.4, 31.06, 10.80)),
    ),
}

# Solar irradiance, W m-2 um-1, in the order of BANDS. 'MTL' is what the REFLECTANCE_MULT of the MTL files
# implies (Landsat 4 and 7: LT04_L1TP_121034_19890128 and LE07_L1TP_038035_20190618, to the digits that they
# bear); 'USGS 2016' is a table that some MTL files of 2016 follow; 'Chander' is Chander et al. (2009).
IRRADIANCE: dict[str, dict[str, tuple[float, ...]]] = {
    "LANDSAT_5": {
        "MTL": (1944.0, 1759.0, 1490.0, 1033.0, 209.6, 82.24),
        "USGS 2016": (1958.0, 1827.0, 1551.0, 1036.0, 214.9, 80.65),
    },
    "LANDSAT_4": {"MTL": (1943.0, 1758.0, 1485.0, 1033.0, 221.7, 83.24)},
    "LANDSAT_7": {"MTL": (2036.0, 1856.0, 1525.0, 1071.0, 221.6, 81.36)},
}
for _craft, _tables in IRRADIANCE.items():
    _tables["Chander"] = tuple(ESUN[_craft][_band] for _band in BANDS)

# MTL files give REFLECTANCE_MULT to 5 digits and REFLECTANCE_ADD to 6 decimals.
_MULT_ERROR = 5e-5
_ADD_ERROR = 5e-7


@dataclass(frozen=True)
class Gain:
    """How one band's radiance follows from the DN.

    Attributes
    ----------
    sensor, spacecraft : str
        'TM' or 'ETM+'; 'LANDSAT_5'.
    label : str
        Radiance at DN 255, which names the gain: '193', '264'.
    gain, bias : float
        radiance = gain * DN + bias, W m-2 sr-1 um-1.
    irradiance : float
        W m-2 um-1, that of the MTL files.
    """

    sensor: str
    spacecraft: str
    label: str
    gain: float
    bias: float
    irradiance: float

    @property
    def dark(self) -> float:
        """DN at which the radiance is 0."""
        return -self.bias / self.gain

    @property
    def dark_error(self) -> float:
        """How far the digits of an MTL file may shift that DN."""
        return _MULT_ERROR * self.dark + _ADD_ERROR / self.step_overhead

    @property
    def step_overhead(self) -> float:
        """Reflectance per DN with the sun overhead at 1 astronomical unit."""
        return math.pi * self.gain / self.irradiance


FACTOR_ERROR = _MULT_ERROR
"""Relative error of sin(sun elevation)/d^2 from the digits of an MTL file."""


@cache
def gains_of(band: str, sensor: str | None) -> tuple[Gain, ...]:
    """Gains that a band may have been taken with, exact ones before those that old MTL files round.

    Parameters
    ----------
    band : str
        One of the six bands; another has none.
    sensor : str or None
        'TM' or 'ETM+'; None: both.

    Examples
    --------
    >>> [gain.label for gain in gains_of("blue", "TM")]
    ['193', '169', '171', '193, 3 decimals', '169, 3 decimals', '171, 3 decimals']
    >>> round(gains_of("blue", "TM")[0].dark, 3)
    2.985
    """
    if band not in BANDS:
        return ()
    index = BANDS.index(band)
    found: dict[tuple[float, float, float], Gain] = {}
    for decimals in (None, 3):
        for one in (sensor,) if sensor else _LIMITS:
            for craft, low, high in _LIMITS.get(one, ()):
                gain = (high[index] - low[index]) / 254
                bias = low[index] - gain
                label = f"{high[index]:g}"
                if decimals is not None:
                    gain, label = round(gain, decimals), f"{label}, {decimals} decimals"
                irradiance = IRRADIANCE[craft]["MTL"][index]
                entry = Gain(one, craft, label, gain, bias, irradiance)
                found.setdefault((gain, bias, irradiance), entry)
    return tuple(found.values())
