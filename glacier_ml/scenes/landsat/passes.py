"""When and where Landsat passes: the Worldwide Reference System 2 and its 16-day cycle."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache

from glacier_ml.errors import GlacierError

PATHS, ROWS = 233, 248
CYCLE_DAYS = 16
ORBIT_DAYS = CYCLE_DAYS / PATHS
INCLINATION_DEG = 98.2
FIRST_PATH_LONGITUDE = -64.6  # where path 1 crosses the equator southward, in row 60
EQUATOR_ROW = 60
LAST_DAY_ROW = 122  # rows beyond are northbound, at night
_FLATTENING_SQUARED = 0.00669438  # WGS 84: first eccentricity squared
_KM_PER_DEGREE = 111.2
# Half a scene's length and width and the drift allowed for, km; typical values, chosen here.
SCENE_HALF_KM = (92.0, 95.0)
DRIFT_KM = 8.0

# The cycle's phase: Landsat 5 crossed path 66 on 2007-09-17 (LT05_066017_20070917), here at 10 h local mean
# time. The others' phases are those of published scene ids.
_EPOCH = datetime(2007, 9, 17, tzinfo=UTC)
_EPOCH_PATH, _EPOCH_HOUR = 66, 10.0
_PHASE_DAYS = {"LANDSAT_4": 8, "LANDSAT_5": 0, "LANDSAT_7": 8, "LANDSAT_8": 0, "LANDSAT_9": 8}

# Local mean solar time of the southward crossing of the equator, (year, hours), straight lines between.
# Worked out from the times in the MTL and ANG files of single scenes (named in the tests), but for Landsat 7
# after 2020.3, which is drawn on, and Landsat 9, taken as 8.
_CROSSING = {
    "LANDSAT_4": ((1989.07, 9.75),),
    "LANDSAT_5": (
        (1984.48, 9.68), (1984.65, 9.71), (1985.46, 9.71), (1986.06, 9.66), (1986.74, 9.54), (1986.87, 9.51),
        (1988.24, 9.71), (1988.62, 9.72), (1989.40, 9.68), (1990.85, 9.53), (1991.92, 9.61), (1992.87, 9.56),
        (1994.53, 9.51), (1995.07, 9.41), (1995.75, 9.22), (1995.99, 9.24), (1998.10, 9.80), (1998.87, 9.86),
        (2002.61, 9.78), (2003.58, 9.82), (2005.10, 9.98), (2005.68, 10.01), (2007.03, 10.12),
        (2007.34, 10.12), (2007.71, 10.09), (2008.91, 9.93), (2009.50, 10.02), (2009.93, 10.05),
        (2010.76, 10.04),
    ),
    "LANDSAT_7": (
        (2007.18, 10.05), (2017.91, 10.25), (2019.16, 10.10), (2019.46, 10.03), (2019.92, 9.91),
        (2020.29, 9.79), (2022.0, 9.1),
    ),
    "LANDSAT_8": ((2020.35, 10.19),),
    "LANDSAT_9": ((2022.0, 10.19),),
}  # fmt: skip
# How far off these may be, hours; typical values, chosen here.
_CROSSING_ERROR = {
    "LANDSAT_4": 0.25, "LANDSAT_5": 0.1, "LANDSAT_7": 0.2, "LANDSAT_8": 0.1, "LANDSAT_9": 0.1,
}  # fmt: skip


@dataclass(frozen=True)
class Frame:
    """A scene of the reference system.

    Attributes
    ----------
    path, row : int
        1 to 233, 1 to 122.
    latitude, longitude : float
        Of its centre, degrees, to about 0.1.
    """

    path: int
    row: int
    latitude: float
    longitude: float


@dataclass(frozen=True)
class Pass:
    """A frame and the moment (UTC) at which Landsat is above its centre."""

    frame: Frame
    moment: datetime


@cache
def frame_of(path: int, row: int) -> Frame:
    """Frame of a path and row.

    Raises
    ------
    GlacierError
        For a path beyond 233 or a row beyond 122.

    Examples
    --------
    >>> frame = frame_of(47, 27)
    >>> round(frame.latitude, 1), round(frame.longitude, 1)
    (47.5, -123.4)
    """
    if not (1 <= path <= PATHS and 1 <= row <= LAST_DAY_ROW):
        raise GlacierError(
            f"WRS-2: path is 1 to {PATHS} and row 1 to {LAST_DAY_ROW}; got {path} and {row}; "
            "read them from the scene id"
        )
    ahead = math.radians((row - EQUATOR_ROW) * 360 / ROWS)
    tilt = math.radians(INCLINATION_DEG)
    sine = -math.sin(ahead) * math.sin(tilt)
    latitude = math.degrees(math.atan(sine / math.sqrt(1 - sine**2) / (1 - _FLATTENING_SQUARED)))
    # Westward in space, as the orbit is retrograde, and by the earth's turning meanwhile.
    along = math.degrees(math.atan2(math.cos(tilt) * math.sin(ahead), math.cos(ahead)))
    turned = 360 * ORBIT_DAYS * (row - EQUATOR_ROW) / ROWS
    longitude = _crossing_longitude(path) + along - turned
    return Frame(path, row, latitude, (longitude + 180) % 360 - 180)


def frames_at(latitude: float, longitude: float) -> list[Frame]:
    """Frames that hold a place, by path and row; several where they overlap.

    Examples
    --------
    >>> [(frame.path, frame.row) for frame in frames_at(-4.33, -50.07)]
    [(224, 63)]
    """
    rows = [row for row in range(1, LAST_DAY_ROW + 1) if abs(frame_of(1, row).latitude - latitude) < 2.5]
    return [
        frame_of(path, row)
        for path in range(1, PATHS + 1)
        for row in rows
        if _holds(frame_of(path, row), latitude, longitude)
    ]


def local_mean_time(spacecraft: str, when: datetime) -> float:
    """Local mean solar time, hours, at which a Landsat crosses the equator southward.

    Raises
    ------
    GlacierError
        For a spacecraft that is not of Landsat 4, 5, 7, 8 and 9.

    Examples
    --------
    >>> round(local_mean_time("LANDSAT_5", datetime(1995, 8, 1)), 2)
    9.27
    """
    year = when.year + (when.timetuple().tm_yday - 1) / 365.25
    nodes = _CROSSING[_known(spacecraft)]
    before = [node for node in nodes if node[0] <= year]
    after = [node for node in nodes if node[0] > year]
    if not before or not after:
        return (before or after)[-1 if before else 0][1]
    (start, low), (end, high) = before[-1], after[0]
    return low + (high - low) * (year - start) / (end - start)


def crossing_error_hours(spacecraft: str, any_year: bool = False) -> float:
    """How far `local_mean_time` may be off; with `any_year` that of 2001, told of any other year.

    Examples
    --------
    >>> crossing_error_hours("LANDSAT_5")
    0.1
    """
    error = _CROSSING_ERROR[_known(spacecraft)]
    if any_year:
        usual = local_mean_time(spacecraft, datetime(2001, 7, 1))
        error += max(abs(hours - usual) for _, hours in _CROSSING[spacecraft])
    return error


def crossing(frame: Frame, spacecraft: str, day: date) -> datetime:
    """Moment (UTC) at which a Landsat that passes on that local day is above the frame's centre.

    The day is that of the equator crossing in local mean time; over Fiji the UTC day is the one before.
    """
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    hours = local_mean_time(spacecraft, midnight) - _crossing_longitude(frame.path) / 15
    return midnight + timedelta(hours=hours, days=_after_equator(frame.row))


def passes(frame: Frame, spacecraft: str, first: date, last: date) -> Iterator[Pass]:
    """Passes over a frame whose local day lies between two days, both included.

    Examples
    --------
    >>> over = passes(frame_of(66, 17), "LANDSAT_5", date(2007, 7, 1), date(2007, 9, 30))
    >>> [one.moment.date().isoformat() for one in over][::2]
    ['2007-07-15', '2007-08-16', '2007-09-17']
    """
    day = first + timedelta(days=(_local_day(frame.path, spacecraft) - first).days % CYCLE_DAYS)
    while day <= last:
        yield Pass(frame, crossing(frame, spacecraft, day))
        day += timedelta(days=CYCLE_DAYS)


def _local_day(path: int, spacecraft: str) -> date:
    """Some local day on which a Landsat takes a path.

    Orbit after orbit lies 16 paths further west, and 233 orbits make a cycle: path p is taken 102 (p - 66)
    orbits after path 66, as 16 x 102 = 1 modulo 233.
    """
    orbits = 102 * (path - _EPOCH_PATH) % PATHS
    start = _EPOCH + timedelta(hours=_EPOCH_HOUR - _crossing_longitude(_EPOCH_PATH) / 15)
    moment = start + timedelta(days=orbits * ORBIT_DAYS + _PHASE_DAYS[_known(spacecraft)])
    return (moment + timedelta(hours=_crossing_longitude(path) / 15)).date()


def _crossing_longitude(path: int) -> float:
    return (FIRST_PATH_LONGITUDE - (path - 1) * 360 / PATHS + 180) % 360 - 180


def _after_equator(row: int) -> float:
    return ORBIT_DAYS * (row - EQUATOR_ROW) / ROWS


def _known(spacecraft: str) -> str:
    if spacecraft not in _PHASE_DAYS:
        raise GlacierError(f"spacecraft: needed is one of {', '.join(_PHASE_DAYS)}; got {spacecraft!r}")
    return spacecraft


def _holds(frame: Frame, latitude: float, longitude: float) -> bool:
    """Whether a frame, its corners somewhat widened, holds a place."""
    ahead = frame_of(frame.path, frame.row % LAST_DAY_ROW + 1)
    sign = 1 if ahead.row > frame.row else -1
    course = _offset_km(frame, ahead.latitude, ahead.longitude)
    length = sign * math.hypot(*course)
    place = _offset_km(frame, latitude, longitude)
    along = (place[0] * course[0] + place[1] * course[1]) / length
    across = (place[0] * course[1] - place[1] * course[0]) / length
    return abs(along) <= SCENE_HALF_KM[0] + DRIFT_KM and abs(across) <= SCENE_HALF_KM[1] + DRIFT_KM


def _offset_km(frame: Frame, latitude: float, longitude: float) -> tuple[float, float]:
    """East and north of a frame's centre; good near by."""
    east = (longitude - frame.longitude + 180) % 360 - 180
    scale = math.cos(math.radians((latitude + frame.latitude) / 2))
    return east * scale * _KM_PER_DEGREE, (latitude - frame.latitude) * _KM_PER_DEGREE
