"""One band to a file and back, whole or not at all."""

import os
import resource
import struct

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.errors import NotGeoreferencedWarning

from glacier_ml.errors import GlacierError
from glacier_ml.scenes.rasters import grid_difference, grid_of, open_raster, write_raster
from glacier_ml.scenes.scene import Grid


@pytest.mark.parametrize("dtype", ["float32", "uint8", "bool"])
def test_values_grid_and_tags_come_back(tmp_path, tiny_grid, dtype):
    grid = tiny_grid()
    values = (np.arange(24 * 32).reshape(24, 32) % 2).astype(dtype)
    write_raster(tmp_path / "deep" / "band.tif", values, grid, tags={"SENSOR": "TM"}, band="blue")
    with open_raster(tmp_path / "deep" / "band.tif", "tiny") as dataset:
        np.testing.assert_array_equal(dataset.read(1), values)
        assert grid_difference(grid_of(dataset, "tiny"), grid) is None
        assert dataset.tags()["SENSOR"] == "TM"
        assert dataset.descriptions == ("blue",)
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["band.tif"]


def test_values_of_another_shape_are_refused(tmp_path, tiny_grid):
    with pytest.raises(GlacierError, match=r"shape \(3, 4\) do not fit the grid's \(24, 32\)"):
        write_raster(tmp_path / "band.tif", np.zeros((3, 4)), tiny_grid())
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path, tiny_grid):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(GlacierError, match="cannot be written .* choose another folder"):
        write_raster(tmp_path / "file" / "band.tif", np.zeros((24, 32)), tiny_grid())


def test_a_failed_write_leaves_the_old_file(tmp_path, tiny_grid):
    path = write_raster(tmp_path / "band.tif", np.ones((24, 32), np.uint8), tiny_grid())
    with pytest.raises(TypeError):  # no GeoTIFF of text: a caller's bug, told by rasterio
        write_raster(path, np.full((24, 32), "a"), tiny_grid())
    assert rasterio.open(path).read(1).all()
    assert [file.name for file in tmp_path.iterdir()] == ["band.tif"]


def test_a_full_disk_is_told_however_little_is_lacking(tmp_path, tiny_grid):
    grid = tiny_grid(shape=(300, 300))
    values = np.random.default_rng(0).random(grid.shape, np.float32)
    size = write_raster(tmp_path / "whole.tif", values, grid, tags={"DATE": "2007-09-17"}).stat().st_size
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    for lacking in (1, 10, 100, 400, 1000, 10_000, size - 100):
        resource.setrlimit(resource.RLIMIT_FSIZE, (size - lacking, hard))  # no file may grow beyond
        try:
            with pytest.raises(GlacierError, match=r"red\.tif: cannot be written"):
                write_raster(tmp_path / "red.tif", values, grid, tags={"DATE": "2007-09-17"})
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert os.listdir(tmp_path) == ["whole.tif"]


def test_a_virtual_raster_by_the_name_of_a_geotiff_is_not_opened(tmp_path, tiny_grid):
    secret = write_raster(tmp_path / "secret.tif", np.ones((24, 32), np.uint8), tiny_grid())
    (tmp_path / "red.tif").write_text(
        '<VRTDataset rasterXSize="32" rasterYSize="24"><VRTRasterBand dataType="Byte" band="1"><SimpleSource>'
        f"<SourceFilename>{secret}</SourceFilename></SimpleSource></VRTRasterBand></VRTDataset>"
    )
    with (
        pytest.raises(GlacierError, match=r"one: .*red\.tif cannot be read"),
        open_raster(tmp_path / "red.tif", "one"),
    ):
        pass


def test_a_missing_and_a_damaged_file_are_named(tmp_path):
    (tmp_path / "damaged.tif").write_bytes(b"II*\x00 no more")
    with pytest.raises(GlacierError, match=r"tiny: .*damaged\.tif cannot be read"):
        with open_raster(tmp_path / "damaged.tif", "tiny"):
            pass
    with pytest.raises(GlacierError, match=r"tiny: .*absent\.tif is not a file"):
        with open_raster(tmp_path / "absent.tif", "tiny"):
            pass


@pytest.mark.parametrize(
    ("lacking", "place"),
    [
        ("coordinate reference system", {"transform": Affine(30, 0, 0, 0, -30, 0)}),
        ("geotransform", {"crs": 32606}),
    ],
)
@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_a_file_without_a_place_is_refused(tmp_path, lacking, place):
    profile = {"driver": "GTiff", "height": 4, "width": 5, "count": 1, "dtype": "uint8"}
    with rasterio.open(tmp_path / "placeless.tif", "w", **profile, **place):
        pass
    with pytest.raises(GlacierError, match=rf"tiny: placeless\.tif has no {lacking}"):
        with open_raster(tmp_path / "placeless.tif", "tiny") as dataset:
            grid_of(dataset, "tiny")


def test_grids_differ_by_shape_crs_or_a_shift_of_half_a_pixel(tiny_grid):
    grid = tiny_grid()
    assert grid_difference(grid, tiny_grid(shape=(25, 32))) == "shape (24, 32) against (25, 32)"
    assert grid_difference(grid, tiny_grid(epsg=32607)) == "CRS EPSG:32606 against EPSG:32607"
    assert "transform" in grid_difference(grid, tiny_grid(west=480_015.0))
    # A writer's rounding, a millimetre in 480 km, is no difference; a pixel size 0.1 % larger is one.
    assert grid_difference(grid, tiny_grid(west=480_000.001)) is None
    assert "transform" in grid_difference(
        grid, Grid(grid.crs, grid.transform @ Affine.scale(1.001), grid.shape)
    )


def test_rasterio_still_warns_where_nobody_asked_for_a_grid(tmp_path):
    profile = {"driver": "GTiff", "height": 4, "width": 5, "count": 1, "dtype": "uint8"}
    with pytest.warns(NotGeoreferencedWarning):
        rasterio.open(tmp_path / "placeless.tif", "w", **profile).close()
    with open_raster(tmp_path / "placeless.tif", "tiny") as dataset:
        assert dataset.count == 1


def test_a_damaged_name_inside_a_file_is_told_in_one_line(tmp_path, tiny_grid):
    path = write_raster(tmp_path / "blue.tif", np.zeros((24, 32), np.float32), tiny_grid())
    # The name counts only without the key of the EPSG code, 3072: it becomes 3071, which means nothing.
    key = struct.pack("<4H", 3072, 0, 1, 32606)
    content = path.read_bytes()
    assert b"WGS 84 / UTM" in content and key in content
    content = content.replace(b"WGS 84 / UTM", b"WGS 84 \xd7 UTM").replace(key, b"\xff\x0b" + key[2:])
    path.write_bytes(content)
    with pytest.raises(GlacierError, match=r"^scene: .*blue\.tif cannot be read"):
        with open_raster(path, "scene") as dataset:
            grid_of(dataset, "scene")
