"""Whatever an Item says: a source, or one line."""

import copy
import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from landsat_bundles import made_bundle
from made_items import archive_item, cloud_item, newest_item

from glacier_ml.errors import GlacierError
from glacier_ml.scenes.sources import Source
from glacier_ml.scenes.stac import is_item, open_item

pytest.importorskip("pystac", reason="the extra stac is not installed")

WORDS = (
    *(
        "",
        " ",
        "\0",
        "\ud800",
        "a\nb",
        "x" * 5000,
        "../..",
        "/",
        "/etc",
        "/vsimem/x",
        "file:///",
        "http://[",
        "//x",
    ),
    *(
        "http://127.0.0.1:1/x.tif",
        "s3://",
        "blue",
        "nir",
        "B5",
        "ST_B6",
        "SR_B3",
        "qa_pixel",
        "MTL.json",
        "L2SP",
    ),
    *(
        "image/tiff",
        "etm+",
        "mss",
        "landsat-8",
        "0.6.0",
        "1.0.0-rc.1",
        "9.9.9",
        "2007-09-17",
        "24:00",
        "0000-00-00",
    ),
    *(
        "Feature",
        "Collection",
        "kelvin",
        "nan",
        "02",
        "eo",
        "item-assets",
        "file",
        "version",
        "sar",
        "checksum",
    ),
)
NUMBERS = (0, 1, -1, 7, 2.75e-05, 1e-300, 1e308, float("nan"), float("inf"), -0.0, 10**400, True, False, None)
FIELDS = (
    *("type", "id", "stac_version", "stac_extensions", "properties", "assets", "links", "collection", "bbox"),
    *(
        "href",
        "roles",
        "eo:bands",
        "raster:bands",
        "bands",
        "scale",
        "offset",
        "nodata",
        "unit",
        "common_name",
    ),
    *(
        "name",
        "alternate",
        "datetime",
        "start_datetime",
        "platform",
        "instruments",
        "raster:scale",
        "license",
    ),
    *("landsat:correction", "landsat:collection_number", "view:sun_elevation", "eo:epsg", "deprecated"),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Bundles of both levels in one folder."""
    folder = tmp_path_factory.mktemp("items")
    for collection in ("C2", "C2L2"):
        made_bundle(folder, "TM", collection, "json")
    return folder


def places(value, path=()):
    """Paths to all values inside a value."""
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        yield from places(one, (*path, key))


def anything(choose, depth=2):
    """Some JSON value."""
    kind = choose.randrange(6 if depth else 3)
    if kind < 2:
        return choose.choice(WORDS)
    if kind == 2:
        return choose.choice(NUMBERS)
    some = [anything(choose, depth - 1) for _ in range(choose.randrange(4))]
    return some if kind < 4 else {choose.choice(FIELDS + WORDS): one for one in some}


def mutated(seed):
    """A catalog's Item with one to five changes: values replaced, removed, added or exchanged."""
    choose = random.Random(seed)
    item = choose.choice((archive_item, cloud_item, newest_item))("TM")
    for _ in range(choose.randrange(1, 6)):
        path = choose.choice([path for path in places(item) if path])
        holder = item
        for key in path[:-1]:
            holder = holder[key]
        action = choose.randrange(4)
        if action == 0:
            del holder[path[-1]]
        elif action == 1 and isinstance(holder, dict):
            holder[choose.choice(FIELDS)] = anything(choose)
        elif action == 2:
            other = choose.choice(list(places(item)))
            value = item
            for key in other:
                value = value[key]
            holder[path[-1]] = copy.deepcopy(value)
        else:
            holder[path[-1]] = anything(choose)
    return item


def check(folder, seed):
    path = folder / "item.json"
    path.write_text(json.dumps(mutated(seed)), encoding="utf-8")
    is_item(str(path))
    try:
        source = open_item(str(path))
    except GlacierError as error:
        assert "\n" not in str(error) and len(str(error)) < 1500
        return
    assert isinstance(source, Source)
    json.dumps(source.provenance, allow_nan=False)
    assert source.name and "/" not in source.name
    try:
        source.read()
    except GlacierError as error:
        assert "\n" not in str(error)


@settings(max_examples=500, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**32))
def test_an_item_is_a_source_or_an_error(folder, seed):
    check(folder, seed)


@pytest.mark.thorough
@pytest.mark.timeout(3600)
def test_ten_thousand_items_are_sources_or_errors(folder):
    for seed in range(10_000):
        check(folder, seed)
