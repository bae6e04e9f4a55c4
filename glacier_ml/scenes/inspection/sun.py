"""Which days a band may have been taken on, from the sun that its reflectances were divided by."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from glacier_ml.errors import GlacierError
from glacier_ml.scenes.landsat.passes import (
    Frame,
    crossing,
    crossing_error_hours,
    frames_at,
    passes,
)
from glacier_ml.scenes.landsat.sun import earth_sun_distance, sun_elevation_deg

__all__ = [
    "CandidateDates",
    "CandidatePass",
    "candidate_dates",
    "closest_pass",
    "earth_sun_distance",
    "sun_elevation_deg",
]

# How far the sun at a frame's nominal centre may be from the MTL's, degrees: frames drift along and across
# the track; typical value, chosen here.
ELEVATION_ERROR_DEG = 0.2
FIRST_YEAR, LAST_YEAR = 1982, 2100
ANY_YEAR = 2001  # a year without a leap day, to tell days of the year by


@dataclass(frozen=True)
class CandidatePass:
    """A pass whose sun comes near that found.

    Attributes
    ----------
    frame : Frame
        Path, row and centre.
    moment : datetime.datetime
        UTC.
    misfit_deg : float
        Elevation of the sun found less that predicted: within 0.1 where all is well known.
    """

    frame: Frame
    moment: datetime
    misfit_deg: float


@dataclass(frozen=True)
class CandidateDates:
    """Days on end on which the sun would give what was found.

    Attributes
    ----------
    first, last : datetime.date
        UTC days, both included.
    passes : tuple of CandidatePass
        Landsat's passes in these days that themselves fit, in order of time.
    """

    first: date
    last: date
    passes: tuple[CandidatePass, ...]

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
    """UTC days on which a scene with this sun may have been taken; mostly two windows in a year.

    Parameters
    ----------
    sun_factor, tolerance : float
        sin(sun elevation) / d^2, d in astronomical units, and its uncertainty; sin(sun elevation) alone, as
        OLI's lattice tells it, where not `with_distance`.
    latitude, longitude : float
        A place in the scene, degrees. The sun is that of the centre of a frame that holds it.
    year : int or None
        None: any; days of 2001, wide enough for the drift of the orbit in all years, without passes.
    spacecraft : str
        'LANDSAT_4', 'LANDSAT_5', 'LANDSAT_7', 'LANDSAT_8' or 'LANDSAT_9'.

    Raises
    ------
    GlacierError
        For another spacecraft, a place that is none on earth or a year before 1982.

    Examples
    --------
    >>> for found in candidate_dates(0.4947, 61.1, -147.1, 2007):
    ...     print(found.first, found.last, *found.days)
    2007-03-21 2007-03-23
    2007-03-25 2007-03-26 2007-03-25
    2007-09-16 2007-09-18 2007-09-17
    2007-09-20 2007-09-21
    """
    _check(latitude, longitude, year)
    sun = _Sun(sun_factor, tolerance, with_distance)
    return _runs(_fitting(sun, frames_at(latitude, longitude), year, spacecraft))


@dataclass(frozen=True)
class _Sun:
    """What was found: sin(elevation), divided by d^2 or not."""

    factor: float
    tolerance: float
    with_distance: bool

    def sines(self, day: date) -> tuple[float, float, float]:
        """The least, the likeliest and the largest sine of the elevation on a day."""
        scale = earth_sun_distance(day) ** 2 if self.with_distance else 1.0
        spread = (self.factor - self.tolerance, self.factor, self.factor + self.tolerance)
        return (spread[0] * scale, spread[1] * scale, spread[2] * scale)


def closest_pass(found: list[CandidateDates]) -> CandidatePass | None:
    """The pass whose sun comes nearest to that found; None without passes.

    Examples
    --------
    The visible bands of the same file:

    >>> one = closest_pass(candidate_dates(0.7273, 61.1, -147.1, 2007))
    >>> one.moment.date().isoformat(), one.frame.path, abs(one.misfit_deg) < 0.05
    ('2007-07-15', 66, True)
    """
    every = [one for run in found for one in run.passes]
    return min(every, key=lambda one: abs(one.misfit_deg), default=None)


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
    sun: _Sun, frames: list[Frame], year: int | None, spacecraft: str
) -> dict[date, list[CandidatePass]]:
    """UTC days on which some frame has such a sun, each with the passes over such frames."""
    error = timedelta(hours=crossing_error_hours(spacecraft, any_year=year is None))
    told = year or ANY_YEAR
    # Local days and UTC days differ by one at most.
    first, last = date(told, 1, 1) - timedelta(days=1), date(told, 12, 31) + timedelta(days=1)
    fitting: dict[date, list[CandidatePass]] = {}
    for frame in frames:
        seen = {one.moment for one in passes(frame, spacecraft, first, last)} if year else set()
        for moment in _moments(frame, spacecraft, first, last):
            if moment.year != told:
                continue
            low, likely, high = _elevations(frame, moment, error)
            least, sine, most = sun.sines(moment.date())
            if _sine(low) <= most and least <= _sine(high):
                found = fitting.setdefault(moment.date(), [])
                misfit = math.degrees(math.asin(min(sine, 1.0))) - likely
                found += [CandidatePass(frame, moment, misfit)] if moment in seen else []
    return fitting


def _moments(frame: Frame, spacecraft: str, first: date, last: date) -> Iterator[datetime]:
    """When the frame would be seen, were it passed on every day."""
    for number in range((last - first).days + 1):
        yield crossing(frame, spacecraft, first + timedelta(days=number))


def _elevations(frame: Frame, moment: datetime, error: timedelta) -> tuple[float, float, float]:
    """Least, predicted and largest elevation of the sun, as the moment and the centre may be off."""
    early, likely, late = (
        sun_elevation_deg(frame.latitude, frame.longitude, moment + shift * error) for shift in (-1, 0, 1)
    )
    return (
        min(early, likely, late) - ELEVATION_ERROR_DEG,
        likely,
        max(early, likely, late) + ELEVATION_ERROR_DEG,
    )


def _sine(elevation_deg: float) -> float:
    return math.sin(math.radians(min(90.0, elevation_deg)))


def _runs(fitting: dict[date, list[CandidatePass]]) -> list[CandidateDates]:
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
