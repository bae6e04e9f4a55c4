"""Whatever bytes come: metadata and rescalings, or one line that says why not."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from landsat_bundles import COLLECTIONS, FORMS, SENSORS, mtl_groups, mtl_text

from glacier_ml.errors import GlacierError
from glacier_ml.scenes.landsat.metadata import Metadata, read_metadata
from glacier_ml.scenes.landsat.radiometry import METHODS, rescale

REAL = [
    mtl_text(*mtl_groups(sensor, collection), form)
    for sensor in SENSORS
    for collection in COLLECTIONS
    for form in FORMS
]
VALUES = [
    *"nan NaN inf -inf Infinity 1e400 -1e400 1e308 1e-320 - + . 0 -0.0 -1 0x10 1_0 .. / a/b null".split(),
    *'[] {} 2007-02-30 0000-00-00 MSS LANDSAT_4 LANDSAT_9 OLI 02 01 <x/> &a; &#0; \\ "'.split(),
    *("", "9" * 5000, "\u0663", "\xe4", "\0", "\x85", "\u2028", "\ud7ff"),
]
LETTERS = st.characters(codec="utf-8")
CHUNKS = [value.encode() for value in VALUES] + [
    *(b"GROUP = A", b"END_GROUP = A", b"END", b"\xff\xfe", b"\xef\xbb\xbf", b"\\u0000", b"\\ud800"),
    *(b"[" * 5000, b'{"a":' * 5000, b"<a>" * 5000, b"<!DOCTYPE a>", b"<!--", b"]]>", b"<![CDATA["),
    b"<?xml version='1.1' encoding='x'?>",
]


def flip(content, draw):
    where = draw(st.integers(0, max(len(content) - 1, 0)))
    return content[:where] + bytes([draw(st.integers(0, 255))]) + content[where + 1 :]


def insert(content, draw):
    where = draw(st.integers(0, len(content)))
    return content[:where] + draw(st.sampled_from(CHUNKS)) + content[where:]


def cut(content, draw):
    first, last = sorted(draw(st.tuples(*[st.integers(0, len(content))] * 2)))
    return content[:first] if draw(st.booleans()) else content[:first] + content[last:]


def lines(content, draw):
    """Drop, double, move or join lines."""
    all_lines = content.split(b"\n")
    number = draw(st.integers(0, len(all_lines) - 1))
    line = all_lines[number]
    copies = draw(st.sampled_from([[], [line, line], [line[::-1]], [line + line]]))
    rest = [*all_lines[:number], *copies, *all_lines[number + 1 :]]
    if draw(st.booleans()):
        rest.insert(draw(st.integers(0, len(rest))), line)
    return b"\n".join(rest)


def value(content, draw):
    """Replace one line's value, in whatever form it stands."""
    all_lines = content.split(b"\n")
    number = draw(st.integers(0, len(all_lines) - 1))
    line, new = all_lines[number], draw(st.sampled_from(VALUES)).encode()
    for before, after in ((b" = ", b""), (b'": "', b'"'), (b">", b"<")):
        head, mark, tail = line.partition(before)
        if mark:
            kept = tail[tail.find(after) :] if after else b""
            all_lines[number] = head + mark + new + kept
            break
    return b"\n".join(all_lines)


@st.composite
def mutated(draw):
    content = draw(st.sampled_from(REAL))
    for change in draw(
        st.lists(st.sampled_from([flip, insert, cut, lines, value, value]), min_size=1, max_size=4)
    ):
        content = change(content, draw)
    return content


@st.composite
def changed(draw):
    """A file of good form with bad values, so that the values' own checks are reached."""
    root, groups = mtl_groups(draw(st.sampled_from(SENSORS)), draw(st.sampled_from(COLLECTIONS)))
    places = [(name, key) for name, pairs in groups.items() for key in pairs]
    new = st.one_of(st.none(), st.sampled_from(VALUES), st.floats().map(str), st.text(LETTERS, max_size=9))
    for name, key in draw(st.lists(st.sampled_from(places), min_size=1, max_size=3, unique=True)):
        groups[name][key] = draw(new)
        if groups[name][key] is None:
            del groups[name][key]
    return mtl_text(root, groups, draw(st.sampled_from(FORMS)))


def check(content):
    """Reading and rescaling end in finite numbers or in one line."""
    try:
        metadata = read_metadata(content, "MTL")
        assert isinstance(metadata, Metadata)
        assert 0 < metadata.sun_elevation_deg <= 90
        for method in (None, *METHODS):
            check_rescaling(metadata, method)
    except GlacierError as error:
        assert (
            str(error).startswith("MTL: ") and len(str(error).splitlines()) == 1 and str(error).isprintable()
        )
        assert len(str(error)) < 500


def check_rescaling(metadata, method):
    try:
        _, bands = rescale(metadata, method, "MTL")
    except GlacierError as error:
        assert str(error).startswith("MTL: ") and len(str(error).splitlines()) == 1
        return
    for band in bands.values():
        assert band.gain > 0 and math.isfinite(band.offset)
        assert np.isfinite(np.float32(band.gain * 65535 + band.offset))


contents = st.one_of(changed(), mutated(), st.binary(max_size=400))


@settings(max_examples=500, deadline=None, derandomize=True)
@given(contents)
def test_any_content_is_read_or_refused_in_one_line(content):
    check(content)


@pytest.mark.thorough
@pytest.mark.timeout(1800)
@settings(max_examples=10_000, deadline=None, derandomize=True)
@given(contents)
def test_any_content_is_read_or_refused_in_one_line_thoroughly(content):
    check(content)


@pytest.mark.real_data
@settings(max_examples=100, deadline=None, derandomize=True)
@given(data=st.data())
def test_any_change_to_a_real_file_is_read_or_refused(real_toa, data):
    content = data.draw(st.sampled_from(sorted(real_toa.rglob("*_MTL.txt")))).read_bytes()
    for change in data.draw(st.lists(st.sampled_from([flip, insert, cut, lines, value]), max_size=3)):
        content = change(content, data.draw)
    check(content)
