"""Sources: windows of scenes, and what one band of one file means."""

import numpy as np
import pytest
import rasterio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rasterio.windows import Window

from glacier_ml.errors import GlacierError
from glacier_ml.scenes.rasters import write_raster
from glacier_ml.scenes.sources import Layer, Source, common_grid, grid_window


@pytest.fixture
def numbers(tmp_path, tiny_grid):
    """A Source of one uint8 band, 24 x 32, that counts 0, 1, 2 ... 255, 0, 1 ... row by row."""
    grid = tiny_grid()
    values = np.arange(24 * 32).reshape(24, 32).astype(np.uint8)
    path = write_raster(tmp_path / "B1.tif", values, grid)
    layer = Layer("B1", str(path), gain=0.002, offset=-0.01, fill=0, ceiling=255)
    return Source("counted", {"blue": layer}, grid, {"sensor": "TM"})


def test_gain_offset_fill_and_ceiling(numbers):
    scene = numbers.read()
    # Row 0: DN 0 is fill, DN 10 gives 0.002 * 10 - 0.01 = 0.01; row 7 column 31 is DN 7 * 32 + 31 = 255.
    assert np.isnan(scene.bands["blue"][0, 0]) and not scene.valid[0, 0]
    assert scene.bands["blue"][0, 10] == np.float32(0.01)
    # DN 1 gives 0.002 - 0.01 = -0.008: reflectance is not clipped.
    assert scene.bands["blue"][0, 1] == np.float32(-0.008)
    assert scene.quality["saturated_blue"].sum() == 3  # 768 values count to 255 three times
    assert scene.quality["saturated_blue"][7, 31]
    assert scene.saturated("blue").sum() == 3


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(top=st.integers(0, 23), left=st.integers(0, 31), height=st.integers(1, 24), width=st.integers(1, 32))
def test_a_window_is_a_crop_of_the_whole(numbers, top, left, height, width):
    height, width = min(height, 24 - top), min(width, 32 - left)
    whole, part = numbers.read(), numbers.read(Window(left, top, width, height))
    crop = (slice(top, top + height), slice(left, left + width))
    np.testing.assert_array_equal(part.bands["blue"], whole.bands["blue"][crop])
    np.testing.assert_array_equal(part.quality["saturated_blue"], whole.quality["saturated_blue"][crop])
    # Cells are 30 m: column 2 begins 60 m east, row 1 ends 30 m further south.
    assert part.grid.transform.c == whole.grid.transform.c + 30 * left
    assert part.grid.transform.f == whole.grid.transform.f - 30 * top


def test_strips_cover_a_scene_once(numbers):
    strips = list(numbers.strips(rows=10))
    assert [(strip.row_off, strip.height) for strip in strips] == [(0, 10), (10, 10), (20, 4)]
    assert {strip.width for strip in strips} == {32}
    stacked = np.vstack([numbers.read(strip).bands["blue"] for strip in strips])
    np.testing.assert_array_equal(stacked, numbers.read().bands["blue"])


def test_dropping_what_nothing_tells_is_refused(numbers):
    with pytest.raises(GlacierError, match=r"^counted: drop: cloud cannot be told.*masks: saturated_blue"):
        numbers.read(drop=("cloud",))


def test_dropped_pixels_are_invalid_and_keep_their_values(numbers):
    scene = numbers.read(drop=("saturated_blue",))
    assert not scene.valid[7, 31]
    assert np.isfinite(scene.bands["blue"][7, 31])


def test_a_grid_larger_than_any_scene_is_refused(tmp_path, tiny_grid, monkeypatch):
    path = write_raster(tmp_path / "blue.tif", np.zeros((24, 32), np.float32), tiny_grid())
    monkeypatch.setattr("glacier_ml.scenes.sources.LARGEST_SCENE", 700)
    with pytest.raises(
        GlacierError, match=r"blue.tif has 24 x 32 pixels, more than any Landsat scene; cut it"
    ):
        common_grid({"blue": Layer("blue", str(path))}, "huge")


def test_a_sparse_file_that_only_claims_its_size_costs_nothing(tmp_path, tiny_grid):
    # 500,000 x 500,000 pixels in a file of some kilobytes: a decompression bomb.
    grid = tiny_grid()
    profile = {"driver": "GTiff", "height": 500_000, "width": 500_000, "count": 1, "dtype": "uint8"}
    path = tmp_path / "blue.tif"
    with rasterio.open(
        path, "w", crs=grid.crs, transform=grid.transform, tiled=True, blockxsize=16384, blockysize=16384,
        sparse_ok=True, bigtiff="yes", **profile,
    ):  # fmt: skip
        pass
    assert path.stat().st_size < 1e6
    with pytest.raises(GlacierError, match="500000 x 500000 pixels"):
        common_grid({"blue": Layer("blue", str(path), gain=1.0)}, "bomb")


def test_complex_numbers_are_no_reflectance(tmp_path, tiny_grid):
    path = write_raster(tmp_path / "blue.tif", np.zeros((24, 32), np.complex64), tiny_grid())
    with pytest.raises(GlacierError, match="blue.tif holds complex64, not numbers"):
        common_grid({"blue": Layer("blue", str(path))}, "odd")


def test_the_grid_of_a_window(tiny_grid):
    grid = grid_window(tiny_grid(), Window(2, 1, 4, 3))
    assert grid.shape == (3, 4)
    assert (grid.transform.c, grid.transform.f) == (480_060.0, 6_779_970.0)
