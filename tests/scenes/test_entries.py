"""The catalog's file: every slip is told with file, entry, key and mend."""

import re

import pytest

from glacier_ml.errors import GlacierError
from glacier_ml.scenes.entries import read_entries

LINE = "{name: a, path: a, place: p, region: r, role: train}"


@pytest.fixture
def entries(tmp_path):
    """Entries of a catalog with this text; the folder `a` lies beside it."""
    (tmp_path / "a").mkdir()

    def read(text):
        (tmp_path / "catalog.yaml").write_text(text)
        return read_entries(tmp_path / "catalog.yaml")

    return read


def with_keys(keys):
    return f"scenes:\n  - {LINE[:-1]}, {keys}}}\n"


def test_a_date_may_be_a_day_or_a_month_quoted_or_not(entries):
    for text, expected in [
        ("2007-09-17", "2007-09-17"), ("'2007-09-17'", "2007-09-17"), ("2007-09", "2007-09")
    ]:  # fmt: skip
        (entry,) = entries(with_keys(f"date: {text}, date_bands: {{swir1: {text}}}"))
        assert entry["date"] == expected
        assert entry["date_bands"] == {"swir1": expected}


def test_paths_are_relative_to_the_catalog(entries, tmp_path):
    (entry,) = entries(f"scenes: [{LINE}]")
    assert entry["path"] == tmp_path / "a"


@pytest.mark.parametrize(
    "address",
    [
        "https://host/a.tif?sig=x//y", "https://host/items/LT05", "https://host/a/", "s3://bucket/a",
        "gs://bucket/a.tif", "az://container/a", "/vsis3/bucket/a.tif", "/vsicurl/https://host/a.tif",
    ],
)  # fmt: skip
def test_a_path_may_be_an_address(entries, address):
    unseen = LINE.replace("role: train", "role: unseen")
    (entry,) = entries(f"scenes: [{unseen.replace('path: a', f'path: {address!r}')}]")
    assert entry["path"] == address


def test_outlines_of_an_address_lie_beside_the_catalog(entries, tmp_path):
    (tmp_path / "drawn.gpkg").touch()
    text = with_keys("outlines: drawn.gpkg").replace("path: a", "path: 's3://bucket/a'")
    (entry,) = entries(text)
    assert entry["outlines"] == tmp_path / "drawn.gpkg"
    without = text.replace(", outlines: drawn.gpkg", "")
    with pytest.raises(GlacierError, match="outlines missing; beside an address none are looked for: name a"):
        entries(without)
    (entry,) = read_entries(tmp_path / "catalog.yaml", existing=False)
    assert "outlines" not in entry


@pytest.mark.parametrize("key", ["outlines", "ground"])
def test_what_is_drawn_is_no_address(entries, key):
    line = (
        rf"catalog.yaml: scene 'a': {key}: https://host/b is an address, .*; download it and name the file$"
    )
    with pytest.raises(GlacierError, match=line):
        entries(with_keys(f"{key}: 'https://host/b?sig=secret'"))


def test_bounds_are_four_numbers_in_degrees(entries):
    (entry,) = entries(with_keys("bounds: [-147.2, 60, -146.9, 61.2]"))
    assert entry["bounds"] == (-147.2, 60.0, -146.9, 61.2)
    # From 179 degrees east to 179 degrees west: across the 180th meridian.
    (entry,) = entries(with_keys("bounds: [179, 60, -179, 61]"))
    assert entry["bounds"] == (179.0, 60.0, -179.0, 61.0)


def test_before_a_download_the_files_need_not_be_there(entries, tmp_path):
    text = with_keys("outlines: b.gpkg").replace("path: a", "path: later")
    with pytest.raises(GlacierError, match="later does not exist"):
        entries(text)
    (entry,) = read_entries(tmp_path / "catalog.yaml", existing=False)
    assert entry["path"] == tmp_path / "later"


@pytest.mark.parametrize(
    "bounds",
    [
        "-147", "[1, 2, 3]", "[1, 2, 3, x]", "[1, 2, 3, .nan]", "[1, 2, 3, .inf]", "[1, 2, 3, yes]",
        "[3, 2, 3, 4]", f"[1{400 * '0'}, 2, 3, 4]",
        "[1, 4, 3, 2]", "[-190, 2, 3, 4]", "[1, 2, 3, 91]", "[1, 2, 3, 4, 5]", "{west: 1}", "",
        "[488205, 6754815, 503055, 6781425]",
    ],
)  # fmt: skip
def test_bounds_that_are_none_are_refused(entries, bounds):
    with pytest.raises(
        GlacierError, match=r"scene 'a': bounds: .* must be \[west, south, east, north\] in degrees$"
    ):
        entries(with_keys(f"bounds: {bounds}"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "a catalog is a mapping with the key 'scenes'"),
        ("scenes: []", "a catalog is a mapping with the key 'scenes'"),
        ("scenes: {a: b}", "a catalog is a mapping with the key 'scenes'"),
        ("scenes: [a: [", "cannot be read as YAML"),
        ("scenes: [2007-13-45]", "cannot be read as YAML"),
        (f"scenes: [{LINE}]\nroles: []", "unknown key 'roles'; known are scenes"),
        (f"scenes: [{LINE}]\nscene: []", "unknown key 'scene'; did you mean 'scenes'?"),
        ("scenes: [a]", "scene 1: must be a mapping of keys to values, not 'a'"),
        (
            "scenes: [{name: a, path: a}]",
            "scene 'a': place, region, role missing; each scene needs name, path,",
        ),
        (with_keys("rolle: test"), "scene 'a': unknown key 'rolle'; did you mean 'role'?"),
        (with_keys("cloud: 3"), "scene 'a': unknown key 'cloud'; known are name, path,"),
        (with_keys("name: b"), "key 'name' is given twice"),
        (f"scenes: [{LINE}, {LINE}]", "name: two scenes are called 'a'; rename one"),
        (
            f"scenes: [{LINE.replace('name: a', 'name: 2007')}]",
            "scene 1: name: must be text, not 2007; write it",
        ),
        (
            f"scenes: [{LINE.replace('name: a', 'name: a/b')}]",
            "scene 'a/b': name: 'a/b' must be letters, digits",
        ),
        (
            f"scenes: [{LINE.replace('path: a', 'path: b')}]",
            "scene 'a': path: .*/b does not exist; paths are rel",
        ),
        (
            f"scenes: [{LINE.replace('role: train', 'role: tests')}]",
            "role: 'tests' must be .*; did you mean 'test'?",
        ),
        (f"scenes: [{LINE.replace('place: p', 'place: ')}]", "scene 'a': place: must be text, not nothing"),
        (
            f"scenes: [{LINE.replace('place: p', 'place: no')}]",
            "scene 'a': place: must be text, not yes or no",
        ),
        (with_keys("outlines: b.gpkg"), "scene 'a': outlines: .*/b.gpkg does not exist"),
        (with_keys("ground: [b]"), "scene 'a': ground: must be text, not a list"),
        (with_keys("date: 2007"), "scene 'a': date: 2007 is no date; write YYYY-MM-DD or YYYY-MM"),
        (with_keys("date: 2007-13"), "scene 'a': date: '2007-13' is no date"),
        (with_keys("date: 2007-09-17 21:00:00"), "scene 'a': date: .* is no date"),
        (with_keys("date_bands: 2007-09-17"), "scene 'a': date_bands: must map bands to dates, not a date"),
        (
            with_keys("date_bands: {swir: 2007-09-17}"),
            "date_bands: unknown key 'swir'; did you mean 'swir1'?",
        ),
        (with_keys("date_bands: {swir1: soon}"), "scene 'a': date_bands: swir1: 'soon' is no date"),
        (
            f"scenes: [{LINE.replace('path: a', 'path: ftp://host/a.tif')}]",
            "scene 'a': path: ftp://host/a.tif is not read; addresses begin with http, https, s3, gs and az",
        ),
        (with_keys("sensor: MSI"), "scene 'a': sensor: sensor 'MSI' is not known"),
    ],
)
def test_a_slip_is_told_with_file_entry_and_key(entries, text, message):
    with pytest.raises(GlacierError, match=r"catalog\.yaml: .*" + message.replace("?", r"\?")) as raised:
        entries(text)
    assert not re.search(r"\n", str(raised.value))


def test_unseen_scenes_have_no_outlines(entries, tmp_path):
    (tmp_path / "a" / "drawn.gpkg").touch()
    text = with_keys("outlines: drawn.gpkg").replace("role: train", "role: unseen")
    with pytest.raises(GlacierError, match="outlines: role unseen has none; set role: test"):
        entries(text)
