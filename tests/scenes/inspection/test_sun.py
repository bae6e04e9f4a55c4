"""The sun's place and distance, and the days that a sun factor leaves."""

import math
import re
from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from glacier_ml.errors import GlacierError
from glacier_ml.scenes.inspection.lattice import find_lattice
from glacier_ml.scenes.inspection.sun import (
    candidate_dates,
    closest_pass,
    earth_sun_distance,
    sun_elevation_deg,
)
from glacier_ml.scenes.landsat.passes import frames_at, passes
from glacier_ml.scenes.reading import open_scene

COLUMBIA = (61.05, -147.08)
VALDEZ_3, VALDEZ_4 = (61.51, -146.04), (61.17, -146.58)
PATAGONIA_8 = (-49.55, -73.75)


def days_of(found):
    return {day for one in found for day in one.days}


def held(found, day):
    return any(one.first <= day <= one.last for one in found)


def told(mtl):
    text = mtl.read_bytes().rstrip(b"\0").decode("ascii")
    return dict(re.findall(r"^\s*(\w+) = \"?([^\"\n]*)\"?$", text, re.MULTILINE))


@pytest.mark.real_data
def test_the_sun_of_real_metadata_files(real_toa):
    files = sorted(real_toa.glob("**/*_MTL.txt"))
    assert len(files) == 4
    for file in files:
        mtl = told(file)
        centre = [
            sum(float(mtl[f"CORNER_{place}_{axis}_PRODUCT"]) for place in ("UL", "UR", "LL", "LR")) / 4
            for axis in ("LAT", "LON")
        ]
        moment = datetime.fromisoformat(f"{mtl['DATE_ACQUIRED']}T{mtl['SCENE_CENTER_TIME'][:8]}+00:00")
        # The mean of the product's corners is up to 0.02 degrees from the centre that the MTL goes by.
        assert sun_elevation_deg(*centre, moment) == pytest.approx(float(mtl["SUN_ELEVATION"]), abs=0.03)
        if "EARTH_SUN_DISTANCE" in mtl:
            distance = float(mtl["EARTH_SUN_DISTANCE"])
            assert earth_sun_distance(moment.date()) == pytest.approx(distance, abs=1e-4)


def test_the_sun_by_hand():
    # On the day of an equinox the noon sun stands at 90 degrees less the latitude; 23.44 more at a solstice.
    assert sun_elevation_deg(0, 0, datetime(2007, 3, 21, 12, 7)) == pytest.approx(89.9, abs=0.2)
    assert sun_elevation_deg(60, 0, datetime(2007, 6, 21, 12, 2)) == pytest.approx(53.44, abs=0.02)
    assert sun_elevation_deg(-60, 180, datetime(2007, 12, 22, 0)) == pytest.approx(53.44, abs=0.02)
    assert sun_elevation_deg(90, 77, datetime(2007, 12, 22)) == pytest.approx(-23.44, abs=0.02)


def test_the_distance_by_hand():
    # Perihelion early in January, aphelion early in July: 1.0000 -+ 0.0167 astronomical units.
    distances = {date(2007, 1, 1) + timedelta(days=n): 0.0 for n in range(365)}
    distances = {day: earth_sun_distance(day) for day in distances}
    assert min(distances, key=distances.get).month == 1
    assert max(distances, key=distances.get).month == 7
    assert min(distances.values()) == pytest.approx(0.9833, abs=1e-4)
    assert max(distances.values()) == pytest.approx(1.0167, abs=1e-4)


def test_a_moment_without_a_zone_is_utc():
    naive = datetime(2007, 9, 17, 20, 47)
    there = naive.replace(tzinfo=UTC).astimezone(timezone(timedelta(hours=-8)))
    expected = sun_elevation_deg(*COLUMBIA, naive.replace(tzinfo=UTC))
    assert sun_elevation_deg(*COLUMBIA, naive) == sun_elevation_deg(*COLUMBIA, there) == expected


def test_swir1_of_columbia_2007_is_of_the_listed_day():
    found = candidate_dates(0.4947, *COLUMBIA, 2007)
    assert days_of(found) == {date(2007, 3, 25), date(2007, 9, 17)}
    assert sum((one.last - one.first).days + 1 for one in found) <= 14
    assert [(one.frame.path, one.frame.row) for run in found for one in run.passes] == [(66, 17), (66, 17)]


def test_the_other_bands_of_columbia_2007_are_of_mid_july():
    found = candidate_dates(0.7273, *COLUMBIA, 2007)
    assert held(found, date(2007, 7, 15))
    # Path 66's own day, and a neighbour's; the pass of 2007-05-28 had a higher sun.
    assert days_of(found) == {date(2007, 7, 13), date(2007, 7, 15)}
    assert all(one.last < date(2007, 5, 28) or one.first > date(2007, 7, 1) for one in found)


def test_columbia_2009_is_of_the_listed_day():
    assert days_of(candidate_dates(0.54675, *COLUMBIA, 2009)) == {date(2009, 9, 6)}


@pytest.mark.parametrize("place", [VALDEZ_3, VALDEZ_4])
def test_valdez_is_of_the_listed_day(place):
    assert date(2007, 9, 17) in days_of(candidate_dates(0.4947, *place, 2007))


def test_patagonia_is_of_september():
    found = candidate_dates(0.46219, *PATAGONIA_8, 2007)
    assert [(one.first.month, one.last.month) for one in found] == [(3, 4), (9, 9)]
    closest = closest_pass(found)
    assert (closest.frame.path, closest.frame.row) == (232, 94)
    assert closest.moment.date() == date(2007, 9, 12)
    assert abs(closest.misfit_deg) < 0.05


@pytest.mark.parametrize(
    ("factor", "day"),
    [(0.72733, date(2007, 7, 15)), (0.49466, date(2007, 9, 17)), (0.54675, date(2009, 9, 6))],
)
def test_the_sun_of_columbia_comes_within_a_twentieth_of_a_degree(factor, day):
    closest = closest_pass(candidate_dates(factor, *COLUMBIA, day.year))
    assert (closest.moment.date(), closest.frame.path, closest.frame.row) == (day, 66, 17)
    assert abs(closest.misfit_deg) < 0.05


def test_no_pass_is_closest_where_there_is_none():
    assert closest_pass([]) is None
    assert closest_pass(candidate_dates(0.4947, *COLUMBIA, None)) is None


def test_any_year_gives_wider_windows_without_passes():
    narrow, wide = (candidate_dates(0.4947, *COLUMBIA, year) for year in (2001, None))
    assert not days_of(wide)
    for one in narrow:
        assert held(wide, one.first) and held(wide, one.last)
    assert held(wide, date(2001, 9, 17))
    assert sum((one.last - one.first).days + 1 for one in wide) < 80


@pytest.mark.parametrize("factor", [-1.0, 0.95, 1.5, math.nan, math.inf])
def test_no_day_has_such_a_sun_at_61_degrees_north(factor):
    assert candidate_dates(factor, *COLUMBIA, 2007) == []


def test_the_sine_alone_for_oli():
    # 2019-07-16, path 66: d = 1.0164, so that the factor lies 3 % below the sine.
    one = next(
        one
        for frame in frames_at(*COLUMBIA)
        if (frame.path, frame.row) == (66, 17)
        for one in passes(frame, "LANDSAT_8", date(2019, 7, 10), date(2019, 7, 26))
    )
    sine = math.sin(math.radians(sun_elevation_deg(one.frame.latitude, one.frame.longitude, one.moment)))
    found = candidate_dates(sine, *COLUMBIA, 2019, "LANDSAT_8", with_distance=False)
    assert one.moment.date() in days_of(found)
    assert one.moment.date() not in days_of(candidate_dates(sine, *COLUMBIA, 2019, "LANDSAT_8"))


@pytest.mark.parametrize("place", [(91.0, 0.0), (math.nan, 0.0), (0.0, math.inf)])
def test_a_place_that_is_none(place):
    with pytest.raises(GlacierError, match="candidate dates: latitude"):
        candidate_dates(0.5, *place, 2007)


@pytest.mark.parametrize("year", [1971, 0, -3, 9999])
def test_a_year_without_landsat(year):
    with pytest.raises(GlacierError, match="1982"):
        candidate_dates(0.5, *COLUMBIA, year)


def test_an_unknown_spacecraft_has_no_days():
    with pytest.raises(GlacierError, match="LANDSAT_5"):
        candidate_dates(0.5, *COLUMBIA, 2007, "SENTINEL_2")


@settings(max_examples=100, deadline=None)
@given(
    st.floats(-75, 75),
    st.floats(-180, 180),
    st.integers(1984, 2011),
    st.integers(0, 22),
    st.floats(-0.1, 0.1),
)
def test_the_day_that_a_sun_was_made_for_is_found(latitude, longitude, year, number, late):
    frame = frames_at(latitude, longitude)[0]
    over = [
        one
        for one in passes(frame, "LANDSAT_5", date(year, 1, 2), date(year, 12, 30))
        if one.moment.year == year
    ]
    one = over[number % len(over)]
    moment = one.moment + timedelta(hours=late)
    elevation = sun_elevation_deg(frame.latitude, frame.longitude, moment)
    assume(elevation > 3)
    factor = math.sin(math.radians(elevation)) / earth_sun_distance(moment.date()) ** 2
    found = candidate_dates(factor, latitude, longitude, year)
    assert one.moment.date() in days_of(found)
    assert all(earlier.last < later.first for earlier, later in zip(found, found[1:], strict=False))


@pytest.mark.real_data
def test_the_lattices_of_the_landsat_scenes_lead_to_their_days(real_scenes):
    expected = {
        ("2007_TOA", "swir1"): date(2007, 9, 17),
        ("2007_TOA", "red"): date(2007, 7, 15),
        ("2009_TOA", "red"): date(2009, 9, 6),
        ("geometry3", "green"): date(2007, 9, 17),
        ("geometry4", "blue"): date(2007, 9, 17),
    }
    for (name, band), day in expected.items():
        found = find_lattice(open_scene(real_scenes / name).bands[band], band)
        place = {"geometry3": VALDEZ_3, "geometry4": VALDEZ_4}.get(name, COLUMBIA)
        assert day in days_of(candidate_dates(found.sun_factor, *place, day.year, tolerance=found.tolerance))
