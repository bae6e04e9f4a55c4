"""Frames of the Worldwide Reference System 2 and Landsat's passes, held against published scenes."""

import re
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glacier_ml.errors import GlacierError
from glacier_ml.scenes.landsat.passes import (
    PATHS,
    crossing_error_hours,
    frame_of,
    frames_at,
    local_mean_time,
    passes,
)

# Path and row, and UTC day, of published scenes.
SCENES = {
    "LANDSAT_4": (
        "121034 19890128 035027 19890712 143021 19890818 030031 19890420 009057 19890604 063018 19880611"
    ),
    "LANDSAT_5": (
        "066017 20070917 047027 20101006 218072 20100801 030025 19860927 224063 19880814 058014 20110312 "
        "217076 20110813 202026 20031017 177044 19840826 233013 19890629 066017 19990927 040028 20060706 "
        "160023 20110814 023031 19890630 195051 19950807 092086 20090216 043030 20000421 060018 19851028"
    ),
    "LANDSAT_7": (
        "038035 20190618 122039 20210212 043030 20000429 233013 20000331 023031 19990704 159023 20210826 "
        "001005 20120713 091014 20120313"
    ),
    "LANDSAT_8": (
        "231076 20130601 152038 20200611 144045 20210302 227065 20191129 190024 20200418 042034 20170616 "
        "222077 20140301 199029 20170527 195028 20200507"
    ),
    "LANDSAT_9": "116035 20250504 193023 20220624 232077 20231002 112081 20220209 092081 20220621",
}


# UTC day, path and row of other scenes, and the second of the day at which the ephemeris in their ANG files
# begins; it lasts 28 s.
EPHEMERIDES = {
    "LANDSAT_5": (
        "19840624 200034 37104 19840826 177061 29316 19850618 201036 37621 19860124 205052 39314 "
        "19861114 199046 36423 19890528 169047 25914 19901109 199053 36651 19911203 170055 26242 "
        "19921030 190039 33090 19940713 201053 37315 19950128 170064 25716 19951001 164056 22642 "
        "19951227 165058 23109 19980205 202034 38296 19980305 206040 39952 19981115 199050 37751 "
        "20020813 168052 26048 20030802 198037 36933 20050208 170070 27921 20050308 174071 29454 "
        "20050330 184041 32457 20050908 182072 32520 20070113 202038 39527 20070505 202035 39440 "
        "20070916 196037 37171 20081127 174045 28640 20090704 203047 39741 20091208 166057 26373 "
        "20100206 202047 39503"
    ),
    "LANDSAT_7": (
        "20070309 195042 36766 20171128 174055 30010 20190227 198042 38055 20190511 197051 37745 "
        "20191202 176079 30119 20200329 202036 38364 20200416 200038 37608"
    ),
    # The times of the centre of LC08_L1TP_195028_20200507 and LT04_L1TP_121034_19890128, less 14 s.
    "LANDSAT_8": "20200507 195028 36964",
    "LANDSAT_4": "19890128 121034 8054",
}


def ephemerides():
    for spacecraft, text in EPHEMERIDES.items():
        words = text.split()
        for day, place, second in zip(words[::3], words[1::3], words[2::3], strict=True):
            midnight = datetime.strptime(day, "%Y%m%d").replace(tzinfo=UTC)
            yield spacecraft, int(place[:3]), int(place[3:]), midnight + timedelta(seconds=int(second) + 14)


@pytest.mark.parametrize(("spacecraft", "path", "row", "moment"), list(ephemerides()))
def test_published_times_are_met_within_two_minutes(spacecraft, path, row, moment):
    near = timedelta(days=1)
    over = passes(frame_of(path, row), spacecraft, (moment - near).date(), (moment + near).date())
    assert min(abs(one.moment - moment) for one in over) < timedelta(minutes=2)


def published():
    for spacecraft, text in SCENES.items():
        words = text.split()
        for place, day in zip(words[::2], words[1::2], strict=True):
            yield spacecraft, int(place[:3]), int(place[3:]), datetime.strptime(day, "%Y%m%d").date()


def told(mtl):
    text = mtl.read_bytes().rstrip(b"\0").decode("ascii")
    return dict(re.findall(r"^\s*(\w+) = \"?([^\"\n]*)\"?$", text, re.MULTILINE))


@pytest.mark.parametrize(("spacecraft", "path", "row", "day"), list(published()))
def test_published_scenes_lie_on_passes(spacecraft, path, row, day):
    near = timedelta(days=20)
    days = [one.moment.date() for one in passes(frame_of(path, row), spacecraft, day - near, day + near)]
    assert day in days


def test_passes_are_16_days_apart_and_between_the_days():
    first, last = date(2007, 1, 1), date(2007, 12, 31)
    over = list(passes(frame_of(66, 17), "LANDSAT_5", first, last))
    assert len(over) == 23  # 365 / 16 = 22.8
    gaps = {round((b.moment - a.moment) / timedelta(days=1), 2) for a, b in zip(over, over[1:], strict=False)}
    assert gaps == {16.0}
    assert list(passes(frame_of(66, 17), "LANDSAT_5", last, first)) == []


@pytest.mark.real_data
def test_frames_and_times_of_real_metadata_files(real_toa):
    files = sorted(real_toa.glob("**/*_MTL.txt"))
    assert len(files) == 4
    for file in files:
        mtl = told(file)
        frame = frame_of(int(mtl["WRS_PATH"]), int(mtl["WRS_ROW"]))
        for mine, axis in ((frame.latitude, "LAT"), (frame.longitude, "LON")):
            corners = [float(mtl[f"CORNER_{place}_{axis}_PRODUCT"]) for place in ("UL", "UR", "LL", "LR")]
            assert mine == pytest.approx(sum(corners) / 4, abs=0.15)
        moment = datetime.fromisoformat(f"{mtl['DATE_ACQUIRED']}T{mtl['SCENE_CENTER_TIME'][:8]}+00:00")
        day = moment.date()
        one = next(passes(frame, "LANDSAT_5", day, day))
        assert abs(one.moment - moment) < timedelta(hours=crossing_error_hours("LANDSAT_5"))


@settings(max_examples=200, deadline=None)
@given(st.integers(1, PATHS), st.integers(1, 122))
def test_a_frame_holds_its_own_centre(path, row):
    frame = frame_of(path, row)
    assert frame in frames_at(frame.latitude, frame.longitude)


@settings(max_examples=200, deadline=None)
@given(st.floats(-81, 81), st.floats(-180, 180))
def test_every_place_lies_in_some_frame(latitude, longitude):
    # Rows are 161 km apart and neighbouring paths at most 172 km, less than a scene's length and width.
    found = frames_at(latitude, longitude)
    assert found
    assert all(abs(frame.latitude - latitude) < 2.5 for frame in found)


def test_neighbouring_paths_overlap_ever_more_poleward():
    numbers = [len({frame.path for frame in frames_at(latitude, 20.0)}) for latitude in (0, 61, 75, 80)]
    assert numbers == sorted(numbers)
    assert numbers[0] <= 2
    assert numbers[-1] >= 5


def test_no_frame_at_the_poles():
    assert frames_at(90, 0) == frames_at(-90, 10) == []


@pytest.mark.parametrize(("path", "row"), [(0, 1), (234, 1), (1, 0), (1, 123)])
def test_a_frame_that_is_none(path, row):
    with pytest.raises(GlacierError, match=f"got {path} and {row}"):
        frame_of(path, row)


@pytest.mark.parametrize("spacecraft", ["LANDSAT_6", "", "landsat_5"])
def test_an_unknown_spacecraft(spacecraft):
    with pytest.raises(GlacierError, match="needed is one of LANDSAT_4"):
        local_mean_time(spacecraft, datetime(2000, 1, 1))
    with pytest.raises(GlacierError, match="got"):
        crossing_error_hours(spacecraft)
    with pytest.raises(GlacierError, match="got"):
        next(passes(frame_of(1, 1), spacecraft, date(2000, 1, 1), date(2000, 2, 1)))


def test_the_local_time_keeps_its_last_value_beyond_the_table():
    assert local_mean_time("LANDSAT_5", datetime(1984, 1, 1)) == 9.68
    assert local_mean_time("LANDSAT_5", datetime(2013, 1, 1)) == 10.04
    # Half way from 1995.07 (9.41 h) to 1995.75 (9.22 h).
    assert local_mean_time("LANDSAT_5", datetime(1995, 5, 31)) == pytest.approx(9.315, abs=0.002)
