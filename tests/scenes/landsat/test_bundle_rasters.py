"""Rasters of bundles: the nodata tag at the ceiling, damaged and lying files, and the real bundle."""

import shutil
import struct

import numpy as np
import pytest
import rasterio
from landsat_bundles import CONTAINERS, FILL, SHAPE, band_file, made_bundle, packed, product_id, reflectance
from rasterio.windows import Window

from glacier_ml.errors import GlacierError
from glacier_ml.scenes import sources
from glacier_ml.scenes.landsat.bundles import LARGEST_METADATA, is_bundle, open_bundle
from glacier_ml.scenes.scene import BANDS

pytestmark = pytest.mark.usefixtures("temporary")

REAL = "LT52240631988227CUB02"
RED = band_file("TM", "C2", 3)


def read(path, window=None, method=None):
    with open_bundle(path, None, method) as source:
        return source.read(window)


def refusals(folder, window=None):
    """The lines that the bundle is refused with in each container; all the same, and each one line."""
    lines = []
    for container in CONTAINERS:
        path = packed(folder, container)
        with pytest.raises(GlacierError) as caught, open_bundle(path, "2007", None) as source:
            source.read(window)
        lines.append(str(caught.value))
    for line in lines:
        assert "\n" not in line
        assert line.startswith("2007: ")
        assert "/vsi" not in line
        assert str(folder.parent) not in line
    return lines


def retag(file, nodata):
    """Give a file a nodata tag."""
    with rasterio.open(file, "r+") as dataset:
        dataset.nodata = nodata


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize(("sensor", "ceiling"), [("TM", 255), ("OLI", 65535)])
def test_a_nodata_tag_at_the_ceiling_is_saturation_but_where_every_band_has_it(
    tmp_path, sensor, ceiling, container
):
    # Pixel (0, 1): blue alone is at the ceiling, as over snow. Pixel (3, 5): every band, a margin.
    folder = made_bundle(tmp_path / "bundle", sensor)
    for file in folder.glob("*_B[1-7].TIF"):
        with rasterio.open(file, "r+") as dataset:
            if dataset.shape == SHAPE:
                values = dataset.read(1)
                values[3, 5] = ceiling
                dataset.write(values, 1)
                dataset.nodata = ceiling
    scene = read(packed(folder, container))
    assert [tuple(place) for place in np.argwhere(~scene.valid)] == [FILL, (3, 5)]
    assert scene.quality["saturated_blue"][0, 1]
    assert scene.bands["blue"][0, 1] == pytest.approx(2.4214 if sensor == "OLI" else 1.0)
    for band in BANDS:
        assert np.isnan(scene.bands[band][3, 5])
        assert not scene.quality[f"saturated_{band}"][3, 5]


def test_another_nodata_tag_holds(tmp_path):
    # Red at (2, 2): index 14, level 30 + 20 + 14 = 64.
    folder = made_bundle(tmp_path / "bundle")
    retag(folder / RED, 64)
    scene = read(folder)
    assert [tuple(place) for place in np.argwhere(np.isnan(scene.bands["red"]))] == [FILL, (2, 2)]


def test_a_path_that_gdal_would_misread_is_refused(tmp_path):
    folder = made_bundle(tmp_path / "what?")
    assert read(folder).valid.sum() == 23
    retag(folder / RED, 255)
    with pytest.raises(GlacierError, match="holds a question mark; rename"):
        read(folder)


def test_bands_of_mixed_size_are_refused(tmp_path):
    folder = made_bundle(tmp_path / "bundle", replace={"B3": np.full((4, 7), 9)})
    for line in refusals(folder):
        assert f"and {RED} are on different grids (shape (4, 6) against (4, 7))" in line


def test_a_quality_file_of_another_size_is_refused(tmp_path):
    folder = made_bundle(tmp_path / "bundle", replace={"QA_PIXEL": np.full((5, 6), 9)})
    for line in refusals(folder):
        assert f"{product_id()}_QA_PIXEL.TIF are on different grids" in line


@pytest.mark.parametrize("data", [b"", b"II", b"no TIFF at all", b"<VRTDataset>", b"\x89HDF\r\n\x1a\n"])
def test_what_is_no_tiff_is_not_opened(tmp_path, data):
    # GDAL would open a VRT, whatever its name, and read the files that it names.
    folder = made_bundle(tmp_path / "bundle")
    (folder / RED).write_bytes(data)
    for line in refusals(folder):
        assert f"{RED} is no TIFF" in line


@pytest.mark.parametrize("kept", [8, 60, 0.5])
def test_a_truncated_tiff_is_refused(tmp_path, kept):
    folder = made_bundle(tmp_path / "bundle")
    whole = (folder / RED).read_bytes()
    (folder / RED).write_bytes(whole[: kept if kept > 1 else int(kept * len(whole))])
    for line in refusals(folder):
        assert f"{RED} cannot be read" in line


def test_a_damaged_block_is_refused(tmp_path):
    # Noise of 300 x 300: the deflated blocks lie between the first bytes and the directory at the end.
    noise = np.random.default_rng(0).integers(1, 255, (300, 300))
    folder = made_bundle(tmp_path / "bundle", shape=(300, 300), replace={"B3": noise})
    whole = bytearray((folder / RED).read_bytes())
    whole[len(whole) // 3 : len(whole) // 3 + 100] = bytes(100)
    (folder / RED).write_bytes(whole)
    for line in refusals(folder):
        assert f"{RED} cannot be read" in line


@pytest.mark.parametrize(("kind", "count"), [("float32", 1), ("uint8", 3), ("complex64", 1)])
def test_what_holds_no_numbers_of_a_sensor_is_refused(tmp_path, kind, count):
    folder = made_bundle(tmp_path / "bundle")
    with rasterio.open(folder / RED) as dataset:
        profile = dataset.profile | {"dtype": kind, "count": count, "predictor": 1}
    (folder / RED).unlink()
    with rasterio.open(folder / RED, "w", **profile):
        pass
    for line in refusals(folder):
        assert f"{RED} has {count} bands of {kind}, not one of uint8, uint16, int16" in line


def test_a_file_without_a_georeference_is_named(tmp_path):
    folder = made_bundle(tmp_path / "bundle")
    with rasterio.open(folder / RED) as dataset:
        profile = dataset.profile | {"crs": None}
    (folder / RED).unlink()
    with rasterio.open(folder / RED, "w", **profile):
        pass
    for line in refusals(folder):
        assert f"{RED} has no coordinate reference system" in line


@pytest.mark.parametrize("letter", [b"\xd7", b"\x1e", b"\n"])
def test_a_damaged_name_of_the_coordinate_system_is_told_in_one_line(tmp_path, letter):
    # The name counts only without the key of the EPSG code, 3072: it becomes 3071, which means nothing.
    folder = made_bundle(tmp_path / "bundle")
    whole, key, other = (
        (folder / RED).read_bytes(),
        struct.pack("<4H", 3072, 0, 1, 32606),
        struct.pack("<H", 3071),
    )
    assert b"WGS 84 / UTM" in whole and key in whole
    whole = whole.replace(b"WGS 84 / UTM", b"WGS 84 " + letter + b" UTM").replace(key, other + key[2:])
    (folder / RED).write_bytes(whole)
    for line in refusals(folder):
        assert RED in line
        assert line.isprintable()


def lying_tiff(width, height, block):
    """A TIFF of 8 + 14 tags that declares a size; its one strip or tile is a few bytes of deflate."""
    tags = [(256, 4, width), (257, 4, height), (258, 3, 8), (259, 3, 8), (262, 3, 1), (277, 3, 1)]
    tags += [(322, 4, block), (323, 4, block), (324, 4, 8), (325, 4, 20)]
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    return b"II*\0" + struct.pack("<I", 28) + bytes(20) + struct.pack("<H", len(tags)) + entries + bytes(4)


@pytest.mark.parametrize("side", [300_000, 30_000])
@pytest.mark.parametrize("block", [256, 30_000, 2**30])
def test_a_tiff_that_lies_about_its_size_is_refused(tmp_path, side, block):
    folder = made_bundle(tmp_path / "bundle")
    for file in folder.glob("*_B*.TIF"):
        file.write_bytes(lying_tiff(side, side, block))
    assert len(refusals(folder, Window(100, 100, 2, 2))) == len(CONTAINERS)


def test_a_tiff_that_expands_without_measure_is_refused(tmp_path, monkeypatch):
    # 20,001 x 20,001 pixels that were never written need no room in the file.
    monkeypatch.setattr(sources, "LARGEST_SCENE", 300 * 300)
    folder = made_bundle(tmp_path / "bundle", shape=(301, 300))
    for line in refusals(folder, Window(0, 0, 1, 1)):
        assert "has 301 x 300 pixels, more than any Landsat scene" in line


def test_metadata_of_many_megabytes_is_not_read(tmp_path):
    folder = made_bundle(tmp_path / "bundle")
    mtl = folder / f"{product_id()}_MTL.txt"
    mtl.write_bytes(mtl.read_bytes().ljust(LARGEST_METADATA + 1, b"\0"))
    for line in refusals(folder):
        assert "more than 1048576 bytes" in line
    mtl.write_bytes(mtl.read_bytes()[:65_535])
    assert read(folder).valid.sum() == 23


def test_a_bundle_is_told_by_its_metadata_or_its_suffix(tmp_path):
    folder = made_bundle(tmp_path / "bundle")
    assert is_bundle(folder)
    for container in CONTAINERS:
        assert is_bundle(packed(folder, container))
    assert is_bundle(tmp_path / "X.TGZ")
    assert not is_bundle(folder / RED)
    assert not is_bundle(tmp_path / "missing")
    assert not is_bundle(tmp_path)
    assert not is_bundle(tmp_path / ("x" * 5000))
    assert not is_bundle(tmp_path / "with\0null")


@pytest.mark.real_data
def test_the_real_bundle_is_the_same_in_every_container_and_its_peers(tmp_path, real_toa):
    folder = tmp_path / REAL
    folder.mkdir()
    for file in (real_toa / REAL).glob(f"{REAL}_*"):
        shutil.copyfile(file, folder / file.name)
    scenes = [read(packed(folder, container)) for container in CONTAINERS]
    assert scenes[0].name == REAL
    assert scenes[0].shape == (310, 287)
    assert scenes[0].valid.all()
    for scene in scenes[1:]:
        assert scene.digest == scenes[0].digest
    part = read(packed(folder, "tar"), Window(200, 100, 50, 60))
    for band in BANDS:
        np.testing.assert_array_equal(part.bands[band], scenes[0].bands[band][100:160, 200:250])
    # The peer took another table of the Sun's irradiance and another distance: where it was not clipped at 0,
    # the two are proportional, by Chander's ESUN over the peer's and by d^2.
    chander = (1983, 1796, 1536, 1031, 220.0, 83.44)
    with rasterio.open(real_toa / REAL / "PEER_spatialEco_Landsat_TM5.tif") as dataset:
        peers = dict(zip(BANDS, dataset.read(), strict=True))
    for band, own, other in zip(BANDS, chander, (1958, 1827, 1551, 1036, 214.9, 80.65), strict=True):
        seen = peers[band] > 0
        ratio = scenes[0].bands[band][seen] * own / (peers[band][seen] * other)
        np.testing.assert_allclose(ratio, np.median(ratio), rtol=2e-5)
        assert np.median(ratio) == pytest.approx(1, abs=1e-3)


def test_reflectance_of_the_factory_is_what_its_comment_says():
    # Green's first level is 40: 0.004 x 40 - 0.02 = 0.14; one pixel on, 0.144.
    np.testing.assert_allclose(reflectance("green")[0, :2], [0.14, 0.144])
