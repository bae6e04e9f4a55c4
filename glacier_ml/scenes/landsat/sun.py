"""Where the sun stands: its elevation at a place and moment, and its distance."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, time

_EPOCH = datetime(2000, 1, 1, 12, tzinfo=UTC)  # J2000.0, to a minute (Terrestrial Time runs ahead of UTC)


def earth_sun_distance(day: date) -> float:
    """Distance of the sun at noon UTC, astronomical units, to about 1e-4.

    Parameters
    ----------
    day : datetime.date

    Returns
    -------
    float
        0.983 to 1.017.

    Notes
    -----
    The Kepler orbit in the low-precision formulae of Meeus (1998), Astronomical Algorithms, chapter 25.

    Examples
    --------
    An MTL file gives 1.0149567 for this day:

    >>> round(earth_sun_distance(date(2010, 8, 1)), 3)
    1.015
    """
    _, anomaly, eccentricity = _orbit(datetime.combine(day, time(12), UTC))
    return 1.000001018 * (1 - eccentricity**2) / (1 + eccentricity * math.cos(anomaly))


def sun_elevation_deg(latitude: float, longitude: float, moment: datetime) -> float:
    """Elevation of the sun's centre above the horizon, without refraction, to about 0.02 degrees.

    Parameters
    ----------
    latitude, longitude : float
        Degrees, north and east positive.
    moment : datetime.datetime
        UTC; a moment without a time zone is taken as UTC.

    Returns
    -------
    float
        Degrees, -90 to 90.

    Notes
    -----
    Meeus (1998), Astronomical Algorithms, chapters 12, 22 and 25.

    Examples
    --------
    Noon at Greenwich on the day of an equinox: 90 - 51.5 degrees.

    >>> round(sun_elevation_deg(51.48, 0.0, datetime(2007, 9, 23, 11, 52)), 1)
    38.5
    """
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    ecliptic, _, _ = _orbit(moment)
    days = _days(moment)
    obliquity = math.radians(23.43929 - 3.563e-7 * days)
    ascension = math.atan2(math.cos(obliquity) * math.sin(ecliptic), math.cos(ecliptic))
    declination = math.asin(math.sin(obliquity) * math.sin(ecliptic))
    sidereal = math.radians((280.46062 + 360.98564737 * days + longitude) % 360)
    place = math.radians(latitude)
    sine = math.sin(place) * math.sin(declination) + math.cos(place) * math.cos(declination) * math.cos(
        sidereal - ascension
    )
    return math.degrees(math.asin(min(1.0, max(-1.0, sine))))


def _days(moment: datetime) -> float:
    return (moment - _EPOCH).total_seconds() / 86400


def _orbit(moment: datetime) -> tuple[float, float, float]:
    """The sun's apparent ecliptic longitude and true anomaly (radians), and the orbit's eccentricity."""
    days = _days(moment)
    century = days / 36525
    mean_longitude = 280.46646 + 36000.76983 * century
    mean_anomaly = math.radians(357.52911 + 35999.05029 * century)
    eccentricity = 0.016708634 - 0.000042037 * century
    centre = (
        (1.914602 - 0.004817 * century) * math.sin(mean_anomaly)
        + (0.019993 - 0.000101 * century) * math.sin(2 * mean_anomaly)
        + 0.000289 * math.sin(3 * mean_anomaly)
    )
    node = math.radians(125.04 - 1934.136 * century)
    apparent = mean_longitude + centre - 0.00569 - 0.00478 * math.sin(node)
    return math.radians(apparent % 360), mean_anomaly + math.radians(centre), eccentricity
