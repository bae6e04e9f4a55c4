"""A scene strip by strip: ceilings, ranges and thumbnails are those of the whole."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from made_networks import ffnn, unet, untrained
from made_scenes import made_scene
from rasterio.windows import Window

from glacier_ml.learning.ensembles import Ensemble
from glacier_ml.products import strips as module
from glacier_ml.products.strips import RangeCheck, SceneStrips, Thumbnail
from glacier_ml.scenes.reading import open_scene, open_source, write_scene
from glacier_ml.scenes.scene import Scene
from glacier_ml.scenes.sources import Source


@pytest.fixture
def folder(tmp_path):
    """A scene whose blue is at its ceiling in a corner and whose last columns have no data."""
    scene = made_scene("any", (700, 60), nodata=4).scene
    blue = scene.bands["blue"].copy()
    blue[600:, :30] = 0.9
    write_scene(replace(scene, bands={**scene.bands, "blue": blue}), tmp_path / "any")
    return tmp_path / "any"


def test_rows_are_those_of_the_whole_scene_and_read_once(folder, monkeypatch):
    whole = open_scene(folder)
    with open_source(folder) as source:
        strips = SceneStrips(source, ("red",))
        asked = []
        read = type(source).read
        monkeypatch.setattr(type(source), "read", lambda self, at: asked.append(at) or read(self, at))
        for first, last in ((0, 256), (0, 192), (192, 448), (384, 640), (200, 300), (444, 700)):
            strip = strips(first, last)
            for band, values in whole.bands.items():
                np.testing.assert_array_equal(strip.bands[band], values[first:last])
            assert strip.grid.transform == whole.grid.transform @ whole.grid.transform.translation(0, first)
            np.testing.assert_array_equal(strip.valid, whole.valid[first:last])
    assert [(one.row_off, one.height) for one in asked] == [(0, 512), (512, 188)]


def test_the_digest_comes_of_the_rows_read_and_of_those_that_nobody_asked_for(folder, monkeypatch):
    whole, asked = open_scene(folder), []
    monkeypatch.setattr(module, "STRIP_ROWS", 100)
    read = Source.read
    monkeypatch.setattr(Source, "read", lambda self, at: asked.append(at.row_off) or read(self, at))
    with open_source(folder) as source:
        strips = SceneStrips(source, ("red",))
        for first in (0, 100, 200, 300, 0, 400):  # the first strip is gone by then, and read anew
            strips(first, first + 50)
        assert strips.digest() == whole.digest == source.digest()
        assert asked == [0, 100, 200, 300, 0, 400, 500, 600]


def test_more_rows_than_a_strip_are_read_at_once_and_strips_long_gone_anew(folder, monkeypatch):
    monkeypatch.setattr(module, "STRIP_ROWS", 100)
    whole, asked = open_scene(folder), []
    with open_source(folder) as source:
        strips = SceneStrips(source, ("red",))
        read = type(source).read
        monkeypatch.setattr(type(source), "read", lambda self, at: asked.append(at) or read(self, at))
        for first, last in ((0, 700), (0, 700), (30, 40)):
            np.testing.assert_array_equal(strips(first, last).bands["red"], whole.bands["red"][first:last])
        assert [(one.row_off, one.height) for one in asked] == [(0, 700)]
        strips = SceneStrips(source, ("red",))
        asked.clear()
        for first in (0, 100, 210, 330, 0):
            np.testing.assert_array_equal(strips(first, first + 5).valid, whole.valid[first : first + 5])
        assert [one.row_off for one in asked] == [0, 100, 200, 300, 0]


def test_threads_that_want_the_same_rows_read_them_once(folder, monkeypatch):
    asked = []
    with open_source(folder) as source:
        strips = SceneStrips(source, ("red",))
        read = type(source).read
        monkeypatch.setattr(type(source), "read", lambda self, at: asked.append(at) or read(self, at))
        with ThreadPoolExecutor(8) as pool:
            scenes = list(pool.map(strips, [500] * 16, [530] * 16))
    assert len(asked) == 1 and {scene.shape for scene in scenes} == {(30, 60)}


def test_saturation_is_told_by_the_whole_scenes_largest_value(folder):
    whole = open_scene(folder)
    assert whole.saturated("blue").sum() == 100 * 30
    with open_source(folder) as source:
        strips = SceneStrips(source, ("red", "blue_saturated"))
        upper, lower = strips(0, 600), strips(500, 700)
        # by its own largest value the upper part would have some pixel at the top, or none by chance
        assert not upper.saturated("blue").any()
        np.testing.assert_array_equal(lower.saturated("blue"), whole.saturated("blue")[500:])
        np.testing.assert_array_equal(lower.stack(("blue_saturated",))[..., 0], whole.saturated("blue")[500:])


def test_the_digest_of_strips_is_the_scenes(folder):
    with open_source(folder) as source:
        assert source.digest() == open_scene(folder).digest


def ranged(network, **ranges):
    return replace(network, origin={"feature_range": {name: list(pair) for name, pair in ranges.items()}})


def test_pixels_outside_the_range_are_counted_by_feature():
    scene = made_scene("any", (40, 50), nodata=10).scene
    rows, _ = np.indices(scene.shape)
    scene = replace(scene, bands={**scene.bands, "nir": (rows / 40).astype("f4")})
    check = RangeCheck(ranged(untrained(ffnn()), nir=(0.25, 0.5), blue=(-1, 2)))
    for first in (0, 15, 30):
        check.add(scene.rows(first, min(first + 15, 40)))
    # Rows 0-9 lie below .25 and rows 21-39 above .5: 29 of 40.
    assert check.shares() == {"nir": 29 / 40, "blue": 0.0} and check.known


def test_of_an_ensemble_the_member_with_the_most_counts():
    scene = made_scene("any", (20, 20)).scene
    narrow, wide = ranged(untrained(ffnn()), red=(5, 6)), ranged(untrained(unet()), red=(-1, 2))
    check = RangeCheck(Ensemble((wide, narrow)))
    check.add(scene)
    assert check.shares() == {"red": 1.0}


def test_a_model_without_ranges_tells_none():
    check = RangeCheck(untrained(ffnn()))
    check.add(made_scene("any", (20, 20)).scene)
    assert not check.known and check.shares() == {}


def test_a_thumbnail_of_strips_is_every_nth_pixel_of_the_whole(tiny_grid):
    rows, columns = np.indices((1850, 40), dtype=np.float32)
    bands = {band: rows * 100 + columns for band in ("red", "nir", "swir1", "blue")}
    scene = Scene("long", bands, np.ones(rows.shape, bool), tiny_grid(rows.shape))
    thumbnail = Thumbnail("long", scene.grid)
    assert thumbnail.step == 3  # 1850 rows: two would leave more than 900
    for first in range(0, 1850, 191):
        last = min(first + 191, 1850)
        thumbnail.add(first, scene.rows(first, last), rows[first:last] / 1850)
    thin, probability = thumbnail.picture()
    np.testing.assert_array_equal(thin.bands["red"], bands["red"][::3, ::3])
    np.testing.assert_array_equal(probability, rows[::3, ::3] / 1850)
    assert set(thin.bands) == {"red", "nir", "swir1"} and thin.grid.transform.a == 90
    assert Window(0, 0, *thin.shape[::-1]).width == 14
