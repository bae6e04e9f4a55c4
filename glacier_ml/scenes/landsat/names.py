"""Landsat's own names: sensors, band numbers and scene ids."""

from __future__ import annotations

import re
from datetime import datetime

from glacier_ml.errors import GlacierError

_TM = {1: "blue", 2: "green", 3: "red", 4: "nir", 5: "swir1", 7: "swir2"}
_OLI = {2: "blue", 3: "green", 4: "red", 5: "nir", 6: "swir1", 7: "swir2"}

SENSOR_BANDS: dict[str, dict[int, str]] = {"TM": _TM, "ETM+": _TM, "OLI": _OLI}
"""Band name by band number for each sensor: TM (Landsat 4, 5), ETM+ (7), OLI (8, 9)."""

_SENSOR = re.compile(
    r"""
    (?<![a-z0-9])(?:                            # at the start of a word; '_' parts words
        (?P<id>  LT0?(?=[45]) | LE0?(?=7) | L[CO]0?(?=[89]) ) [45789]   # LT05_..., LT5224063..., LC08
      | landsat [\s_-]? [45789]                                         # LANDSAT_5, Landsat 8
      | (?P<instrument> ETM\+? | TM | OLI ) [45789]?                    # TM, TM5, ETM+
    )(?![a-z])
    """,
    re.VERBOSE | re.IGNORECASE,
)

_DATE = re.compile(
    r"""
    (?<![a-z0-9]) L[TECO] (?:
        0[45789] _ (?:L\d[A-Z]{2}_)? \d{6} _ (?P<date> \d{8} )      # LT05_066017_20070917, LT05_L1TP_...
      | [45789] \d{6} (?P<day> \d{7} )                              # LT52240631988227CUB02: year, day of year
    )(?!\d)
    """,
    re.VERBOSE | re.IGNORECASE,
)

_NUMBER = re.compile(r"(?:^|[._])(?:SR_)?B0?(?P<number>\d{1,2})$", re.IGNORECASE)


def sensor_named(text: str, where: str) -> str:
    """Sensor that a user named: 'TM', 'ETM+', 'OLI', or a mission such as 'Landsat 5' or 'LT05'.

    Raises
    ------
    GlacierError
        Where the text names none or several.

    Examples
    --------
    >>> sensor_named("Landsat 5", "2007_TOA")
    'TM'
    """
    found = sensors_in(text)
    if len(found) != 1:
        raise GlacierError(
            f"{where}: sensor {text!r} is not known; "
            "say TM (Landsat 4, 5), ETM+ (Landsat 7) or OLI (Landsat 8, 9)"
        )
    return found.pop()


def sensors_in(text: str) -> set[str]:
    """Sensors that a file name, a scene id or a tag tells of.

    Examples
    --------
    >>> sensors_in("LANDSAT/LT05/C01/T1_TOA/LT05_066017_20070917")
    {'TM'}
    >>> sensors_in("LC08_L1TP_066017_20200917_20201005_02_T1")
    {'OLI'}
    >>> sensors_in("2007_TOA")
    set()
    """
    return {_sensor(match) for match in _SENSOR.finditer(text)}


def _sensor(match: re.Match[str]) -> str:
    instrument = (match["instrument"] or "").upper()
    if instrument:
        return "ETM+" if instrument.startswith("ETM") else instrument
    mission = match[0][-1]
    return {"4": "TM", "5": "TM", "7": "ETM+"}.get(mission, "OLI")


def date_in(text: str) -> str | None:
    """Day of acquisition, YYYY-MM-DD, that a Landsat scene id in the text tells of.

    Examples
    --------
    >>> date_in("LT05_066017_20070917")
    '2007-09-17'
    >>> date_in("LT52240631988227CUB02_B1.TIF")
    '1988-08-14'
    """
    match = _DATE.search(text)
    if match is None:
        return None
    digits, pattern = (match["date"], "%Y%m%d") if match["date"] else (match["day"], "%Y%j")
    try:
        return datetime.strptime(digits, pattern).date().isoformat()
    except ValueError:
        return None


def band_number(label: str) -> int | None:
    """Landsat band number in a band's description or a file's stem.

    Examples
    --------
    >>> band_number("LT05_L1TP_058014_20110312_20200823_02_T1_B5")
    5
    >>> band_number("blue") is None
    True
    """
    match = _NUMBER.search(label.strip())
    return int(match["number"]) if match else None
