"""Damaged files of every format: outlines or one line, and nothing left beside them."""

import tempfile
import warnings
from pathlib import Path

import geopandas
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_outlines import rectangle, write_outlines

from glacier_ml.errors import GlacierError
from glacier_ml.scenes.outlines import OutlineWarning, clip_outlines, read_outlines
from glacier_ml.scenes.vectors.layers import VECTORS

FUZZ = {
    "deadline": None,
    "derandomize": True,
    "database": None,
    "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
}
PLACE = st.floats(0, 1, exclude_max=True)
DAMAGE = st.one_of(
    st.tuples(st.just("cut"), PLACE),
    st.tuples(st.just("drop"), PLACE, PLACE),
    st.tuples(st.just("set"), st.lists(st.tuples(PLACE, st.integers(0, 255)), min_size=1, max_size=40)),
)


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """Files of every format by suffix: name -> content."""
    from affine import Affine
    from rasterio.crs import CRS

    from glacier_ml.scenes.scene import Grid

    grid = Grid(CRS.from_epsg(32606), Affine(30, 0, 480_000, 0, -30, 6_780_000), (24, 32))
    shapes = [rectangle(grid, 4, 6, 14, 16), rectangle(grid, 5, 7, 7, 9)]
    degrees = list(geopandas.GeoSeries(shapes, crs=32606).to_crs(4326))
    columns = {
        "line_type": ["glac_bound", "intrnl_rock"],
        "glac_id": ["G1", "G1"],
        "anlys_id": [1, 1],
        "src_date": ["2001-01-01T00:00:00"] * 2,
        "glac_name": ["\u00e9", "\u00fc"],
    }
    files = {}
    for suffix in VECTORS:
        folder = tmp_path_factory.mktemp("sound")
        write_outlines(folder / f"glims{suffix}", degrees, 4326, **columns)
        files[suffix] = {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}
    return grid, files


def damaged(content, damage):
    kind, *where = damage
    size = len(content)
    if kind == "cut":
        return content[: int(where[0] * size)]
    if kind == "drop":
        first, last = sorted(int(place * size) for place in where)
        return content[:first] + content[last:]
    changed = bytearray(content)
    for place, value in where[0]:
        changed[int(place * size)] = value
    return bytes(changed)


def outlines_or_one_line(grid, files, suffix, number, damage):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        names = sorted(files[suffix])
        for file in names:
            hit = file == names[number % len(names)]
            (folder / file).write_bytes(damaged(files[suffix][file], damage) if hit else files[suffix][file])
        path = folder / f"glims{suffix}"
        for read in (
            lambda: read_outlines(path, grid, date="2002-01-01"),
            lambda: clip_outlines(path, grid, folder / "out" / "clipped.gpkg"),
        ):
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                warnings.simplefilter("ignore", OutlineWarning)
                try:
                    read()
                except GlacierError as error:
                    assert "\n" not in str(error)
        assert {file.name for file in folder.iterdir()} - {"out"} == set(names)
        written = [file.name for file in (folder / "out").iterdir()] if (folder / "out").exists() else []
        assert written in ([], ["clipped.gpkg"])


@settings(max_examples=500, **FUZZ)
@given(suffix=st.sampled_from(VECTORS), number=st.integers(0, 4), damage=DAMAGE)
def test_damage(sound, suffix, number, damage):
    outlines_or_one_line(*sound, suffix, number, damage)


@pytest.mark.thorough
@pytest.mark.timeout(3600)
@settings(max_examples=5_000, **FUZZ)
@given(suffix=st.sampled_from(VECTORS), number=st.integers(0, 4), damage=DAMAGE)
def test_much_damage(sound, suffix, number, damage):
    outlines_or_one_line(*sound, suffix, number, damage)
