"""Which days a band may have been taken on, from the sun that its reflectances were divided by."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from glacier_ml.errors import GlacierError
from glacier_ml.scenes.landsat.passes import (
    Frame,
    Pass,
    crossing,
    crossing_error_hours,
    frames_at,
    passes,
)
from glacier_ml.scenes.landsat.sun import earth_sun_distance, sun_elevation_deg

__all__ = ["CandidateDates", "candidate_dates", "earth_sun_distance", "sun_elevation_deg"]

# How far the sun at a frame's nominal centre may be from the MTL's, degrees: frames drift along and across
# the track; typical value, chosen here.
ELEVATION_ERROR_DEG = 0.2
FIRST_YEAR, LAST_YEAR = 1982, 2100
ANY_YEAR = 2001  # a year without a leap day, to tell days of the year by


@dataclass(frozen=True)
class CandidateDates:
    """Days on end on which the sun would give what was found.

    Attributes
    ----------
    first, last : datetime.date
        UTC days, both included.
    passes : tuple of Pass
        Landsat's passes in these days that themselves fit, in order of time.
    """

    first: date
    last: date
    passes: tuple[Pass, ...]

    @property
    def days(self) -> tuple[date, ...]:
        """UTC days of the passes."""
        return tuple(sorted({one.moment.date() for one in self.passes}))


def candidate_dates(
    sun_factor: float,
    latitude: float,
    longitude: float,
    year: int | None,
    spacecraft: str = "LANDSAT_5",
    tolerance: float = 1e-4,
    with_distance: bool = True,
) -> list[CandidateDates]:
    """Days on which a scene with this sun may have been taken, in order; mostly two windows in a year.

    Parameters
    ----------
    sun_factor, tolerance : float
        sin(sun elevation) / d^2, d in astronomical units, and its uncertainty; sin(sun elevation) alone, as
        OLI's lattice tells it, where not `with_distance`.
    latitude, longitude : float
        A place in the scene, degrees. The sun is that of the centre of a frame that holds it.
    year : int or None
        Year of the UTC days. None: any; the days are those of 2001, wide enough for the drift of the orbit in
        all years, and without passes.
    spacecraft : str
        'LANDSAT_4', 'LANDSAT_5', 'LANDSAT_7', 'LANDSAT_8' or 'LANDSAT_9'.

    Raises
    ------
    GlacierError
        For another spacecraft, a place that is none on earth or a year before 1982.

    Examples
    --------
    Columbia Glacier; the listed scene is LT05_066017_20070917:

    >>> for found in candidate_dates(0.4947, 61.1, -147.1, 2007):
    ...     print(found.first, found.last, *found.days)
    2007-03-21 2007-03-26 2007-03-25
    2007-09-16 2007-09-18 2007-09-17
    2007-09-20 2007-09-21
    """
    _check(latitude, longitude, year)
    wanted = (sun_factor - tolerance, sun_factor + tolerance)
    return _runs(_fitting(wanted, frames_at(latitude, longitude), year, spacecraft, with_distance))


def _check(latitude: float, longitude: float, year: int | None) -> None:
    if not (-90 <= latitude <= 90 and math.isfinite(longitude)):
        raise GlacierError(
            f"candidate dates: latitude is -90 to 90 degrees; got {latitude}, {longitude}; mend the grid"
        )
    if year is not None and not FIRST_YEAR <= year <= LAST_YEAR:
        raise GlacierError(
            f"candidate dates: year is {FIRST_YEAR} (Landsat 4) to {LAST_YEAR}; got {year}; correct the date"
        )


def _fitting(
    wanted: tuple[float, float], frames: list[Frame], year: int | None, spacecraft: str, with_distance: bool
) -> dict[date, list[Pass]]:
    """UTC days on which some frame has such a sun, each with the passes over such frames."""
    error = crossing_error_hours(spacecraft, any_year=year is None)
    told = year or ANY_YEAR
    # Local days and UTC days differ by one at most.
    first, last = date(told, 1, 1) - timedelta(days=1), date(told, 12, 31) + timedelta(days=1)
    fitting: dict[date, list[Pass]] = {}
    for frame in frames:
        over = passes(frame, spacecraft, first, last) if year else ()
        seen = {one.moment.date(): one for one in over}
        for moment in _moments(frame, spacecraft, first, last):
            low, high = _factors(frame, moment, error, with_distance)
            if moment.year == told and low <= wanted[1] and wanted[0] <= high:
                found = fitting.setdefault(moment.date(), [])
                found += [seen[moment.date()]] if moment.date() in seen else []
    return fitting


def _moments(frame: Frame, spacecraft: str, first: date, last: date) -> Iterator[datetime]:
    """When the frame would be seen, were it passed on every day."""
    for number in range((last - first).days + 1):
        yield crossing(frame, spacecraft, first + timedelta(days=number))


def _factors(frame: Frame, moment: datetime, error_hours: float, with_distance: bool) -> tuple[float, float]:
    """Smallest and largest sun factor of a pass, as the moment and the centre may be off."""
    distance = earth_sun_distance(moment.date()) if with_distance else 1.0
    elevations = [
        sun_elevation_deg(frame.latitude, frame.longitude, moment + timedelta(hours=shift * error_hours))
        for shift in (-1, 0, 1)
    ]
    low, high = min(elevations) - ELEVATION_ERROR_DEG, max(elevations) + ELEVATION_ERROR_DEG
    return math.sin(math.radians(low)) / distance**2, math.sin(math.radians(high)) / distance**2


def _runs(fitting: dict[date, list[Pass]]) -> list[CandidateDates]:
    """Days on end put together."""
    runs: list[list[date]] = []
    for day in sorted(fitting):
        if runs and day - runs[-1][-1] == timedelta(days=1):
            runs[-1].append(day)
        else:
            runs.append([day])
    return [
        CandidateDates(
            run[0],
            run[-1],
            tuple(sorted((one for day in run for one in fitting[day]), key=lambda one: one.moment)),
        )
        for run in runs
    ]
