"""Frames of the Worldwide Reference System 2 and Landsat's passes, held against published scenes."""

import doctest
import re
from datetime import date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glacier_ml.errors import GlacierError
from glacier_ml.scenes.landsat import passes as module
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


def published():
    for spacecraft, text in SCENES.items():
        words = text.split()
        for place, day in zip(words[::2], words[1::2], strict=True):
            yield spacecraft, int(place[:3]), int(place[3:]), datetime.strptime(day, "%Y%m%d").date()


def told(mtl):
    text = mtl.read_bytes().rstrip(b"\0").decode("ascii")
    return dict(re.findall(r"^\s*(\w+) = \"?([^\"\n]*)\"?$", text, re.MULTILINE))


def test_the_examples_hold():
    assert doctest.testmod(module).failed == 0


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
    assert local_mean_time("LANDSAT_5", datetime(1984, 1, 1)) == 9.69
    assert local_mean_time("LANDSAT_5", datetime(2013, 1, 1)) == 10.04
    # Half way from 1995.8 (9.22 h) to 1996.0 (9.24 h).
    assert local_mean_time("LANDSAT_5", datetime(1995, 11, 26)) == pytest.approx(9.23, abs=0.002)
