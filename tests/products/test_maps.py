"""Map files as GDAL reads them."""

import math
import os
import resource
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from rasterio.crs import CRS
from written_maps import write_map

from glacier_ml.errors import GlacierError
from glacier_ml.products.maps import abandoned, check_folder, entropy, file_stem, partial_prefix, staged
from glacier_ml.scenes.scene import Grid, Scene

UTM = CRS.from_epsg(32606)
PLACE = Affine(30, 0, 500_000, 0, -30, 6_780_000)


def made_scene(shape=(300, 40), name="made"):
    valid = np.ones(shape, dtype=bool)
    valid[:, 0] = False
    bands = {band: np.where(valid, 0.2, np.nan).astype(np.float32) for band in ("red", "nir", "swir1")}
    return Scene(name, bands, valid, Grid(UTM, PLACE, shape), {"date": "2009-09-06"})


def made_probability(scene):
    probability = np.linspace(0, 1, scene.shape[0], dtype=np.float32)[:, None].repeat(scene.shape[1], axis=1)
    return np.where(scene.valid, probability, np.nan).astype(np.float32)


def test_files_lie_on_the_scenes_grid_with_nodata_and_tags(tmp_path):
    scene = made_scene()
    probability = made_probability(scene)
    files = write_map(scene, probability, 0.5, tmp_path / "new" / "folder", {"model": "unet@1", "run_id": 7})
    assert sorted(path.name for path in (tmp_path / "new" / "folder").iterdir()) == [
        "made_mask.qml",
        "made_mask.tif",
        "made_preview.png",
        "made_probability.qml",
        "made_probability.tif",
        "made_uncertainty.qml",
        "made_uncertainty.tif",
    ]
    with rasterio.open(files.probability) as raster:
        assert (raster.crs, raster.transform, raster.shape) == (UTM, PLACE, scene.shape)
        assert raster.dtypes == ("float32",) and math.isnan(raster.nodata)
        np.testing.assert_array_equal(raster.read(1), probability)
        tags = raster.tags()
    expected = {
        "scene": "made",
        "scene_date": "2009-09-06",
        "threshold": "0.5",
        "model": "unet@1",
        "run_id": "7",
    }
    assert expected.items() <= tags.items()
    assert tags["software"].startswith("glacier_ml")
    assert tags["scene_digest"] == scene.digest
    with rasterio.open(files.mask) as raster:
        assert raster.dtypes == ("uint8",) and raster.nodata == 255
        mask = raster.read(1)
        assert raster.colormap(1)[1] == (86, 180, 233, 255)
        assert expected.items() <= raster.tags().items()
    assert (mask[:, 0] == 255).all()
    np.testing.assert_array_equal(mask[:, 1:], probability[:, 1:] >= 0.5)
    assert files.preview.read_bytes().startswith(b"\x89PNG")
    with rasterio.open(files.uncertainty) as raster:
        assert raster.descriptions == ("uncertainty",) and expected.items() <= raster.tags().items()
        np.testing.assert_allclose(raster.read(1), entropy(probability), equal_nan=True)


def test_maps_are_written_in_silence(tmp_path, capfd):
    scene = made_scene()
    write_map(scene, made_probability(scene), 0.5, tmp_path, {})
    assert capfd.readouterr() == ("", "")  # GDAL's own printing is native


def test_the_entropy_of_a_probability_worked_by_hand():
    # p = 1/4: -(1/4)(-2) - (3/4) log2(3/4) = .5 + .75 x .4150375 = .8112781
    bits = entropy(np.array([0, 0.25, 0.5, 0.75, 1, np.nan], dtype=np.float32))
    np.testing.assert_allclose(bits, [0, 0.8112781, 1, 0.8112781, 0, np.nan], rtol=1e-6, equal_nan=True)


@pytest.mark.parametrize("encoding", ["float32", "uint8"])
def test_rasters_are_cloud_optimized(tmp_path, encoding):
    cogeo = pytest.importorskip("rio_cogeo.cogeo")
    scene = made_scene((700, 520))
    files = write_map(scene, made_probability(scene), 0.5, tmp_path, encoding=encoding, picture=False)
    assert files.preview is None
    for path in (files.probability, files.mask, files.uncertainty):
        assert cogeo.cog_validate(path, strict=True) == (True, [], [])
        with rasterio.open(path) as raster:
            assert raster.overviews(1) == [2, 4]


def test_a_full_disk_is_told_and_leaves_no_map(tmp_path):
    scene = made_scene((300, 300))
    noise = np.random.default_rng(0).random(scene.shape, np.float32)
    probability = np.where(scene.valid, noise, np.nan).astype(np.float32)
    whole = write_map(scene, probability, 0.5, tmp_path / "whole", picture=False)
    size = whole.probability.stat().st_size
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    for lacking in (1, 100, 1000, 20_000, 100_000, size - 100):
        resource.setrlimit(resource.RLIMIT_FSIZE, (size - lacking, hard))  # no file may grow beyond
        try:
            with pytest.raises(GlacierError, match="the output folder cannot be written"):
                write_map(scene, probability, 0.5, tmp_path / "maps", picture=False)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert os.listdir(tmp_path / "maps") == []


def test_percent_encoding_keeps_the_probability_to_half_a_percent(tmp_path):
    scene = made_scene()
    probability = made_probability(scene)
    files = write_map(scene, probability, 0.5, tmp_path, encoding="uint8", picture=False)
    with rasterio.open(files.probability) as raster:
        stored = raster.read(1, masked=True) * raster.scales[0]
    assert (stored.mask == ~scene.valid).all()
    assert np.abs(stored - probability)[scene.valid].max() <= 0.005 + 1e-6


def test_pixels_that_the_classifier_left_out_are_nodata_and_no_area(tmp_path):
    scene = made_scene((20, 20))
    probability = np.ones(scene.shape, dtype=np.float32)
    probability[:10] = np.nan
    files = write_map(scene, probability, 0.5, tmp_path, picture=False)
    with rasterio.open(files.mask) as raster:
        assert (raster.read(1) == 255).sum() == 10 * 20 + 10  # upper half and the scene's nodata column
    # 190 pixels of 900 m2 on the map, .9996^2 of the ground on the central meridian
    assert files.area_km2 == pytest.approx(190 * 900 / 0.9996**2 / 1e6, rel=1e-6)


def test_folder_that_cannot_be_written_is_one_line(tmp_path):
    scene = made_scene((20, 20))
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    with pytest.raises(GlacierError, match="file: the output folder cannot be written"):
        write_map(scene, made_probability(scene), 0.5, blocked)
    assert blocked.read_text() == "not a folder"


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write anywhere")
def test_read_only_folder_is_one_line(tmp_path):
    scene = made_scene((20, 20))
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(GlacierError, match="cannot be written"):
            write_map(scene, made_probability(scene), 0.5, tmp_path)
    finally:
        tmp_path.chmod(0o700)


def test_a_failure_in_the_middle_leaves_the_earlier_files(tmp_path):
    (tmp_path / "map.tif").write_text("earlier")
    with pytest.raises(RuntimeError, match="in the middle"), staged(tmp_path) as partial:
        (partial / "map.tif").write_text("later")
        raise RuntimeError("in the middle")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["earlier"]


def test_what_an_earlier_map_had_and_the_new_one_lacks_is_gone(tmp_path):
    for name in ("one_members.tif", "one_mask.tif", "two_members.tif", "one_map.json"):
        (tmp_path / name).write_text("earlier")
    family = ("one_members.tif", "one_mask.tif", "one_map.json")
    with staged(tmp_path, "one_map.json", family=family) as partial:
        for name in ("one_mask.tif", "one_map.json"):
            (partial / name).write_text("later")
    told = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert told == {"one_mask.tif": "later", "one_map.json": "later", "two_members.tif": "earlier"}


def test_only_the_folders_of_the_dead_are_abandoned(tmp_path):
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    host = socket.gethostname()
    names = {
        "dead": f".partial-one~{host}~{process.pid}~x",
        "alive": f"{partial_prefix('one')}x",
        "elsewhere": ".partial-one~node7~1~x",
        "another": f".partial-one-2~{host}~{process.pid}~x",
        "old": ".partial-one~node8~1~x",
    }
    for name in names.values():
        (tmp_path / name).mkdir()
    os.utime(tmp_path / names["old"], (0, time.time() - 90_000))
    assert {path.name for path in abandoned(tmp_path, "one")} == {names["dead"], names["old"]}


@pytest.mark.parametrize(
    "address", ["s3://bucket/maps", "https://host/maps", "s3:/bucket/maps", "ftp://h/maps"]
)
def test_an_address_is_no_output(address):
    with pytest.raises(GlacierError, match="output: (s3|https|ftp)://.* is an address, .*name a folder"):
        check_folder(Path(address))


def test_without_the_bands_of_a_picture_none_is_drawn(tmp_path):
    scene = made_scene((20, 20))
    scene = Scene("made", {"red": scene.bands["red"]}, scene.valid, scene.grid, {})
    files = write_map(scene, made_probability(scene), 0.5, tmp_path)
    assert files.preview is None and files.mask.is_file()


@given(st.text())
def test_file_stems_stay_in_their_folder(name):
    stem = file_stem(name)
    assert stem and not stem.startswith(".") and "/" not in stem and "\\" not in stem
