"""Bundles: one reflectance from every sensor, collection, metadata form and container."""

import numpy as np
import pytest
from landsat_bundles import (
    CLOUD,
    COLLECTIONS,
    CONTAINERS,
    FILL,
    FORMS,
    SATURATED,
    SENSORS,
    SHADOW,
    SHAPE,
    SNOW,
    band_file,
    date_of,
    made_bundle,
    mtl_groups,
    mtl_text,
    packed,
    product_id,
    reflectance,
    scene_id,
)
from rasterio.windows import Window

from glacier_ml.errors import GlacierError
from glacier_ml.scenes.landsat import archives
from glacier_ml.scenes.landsat.bundles import open_bundle
from glacier_ml.scenes.scene import BANDS

pytestmark = pytest.mark.usefixtures("temporary")

REAL = "LT52240631988227CUB02"


def read(path, window=None, drop=(), name=None, method=None):
    with open_bundle(path, name, method) as source:
        return source.read(window, drop)


def refusal(path, name="2007"):
    """The one line that a bundle is refused with when it is opened or read."""
    with pytest.raises(GlacierError) as caught:
        read(path, name=name)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"{name}: ")
    assert "/vsi" not in str(caught.value)
    assert str(path.parent) not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("collection", COLLECTIONS)
@pytest.mark.parametrize("sensor", SENSORS)
def test_every_bundle_gives_the_same_reflectance(tmp_path, sensor, collection, form, container):
    # landsat_bundles derives it by hand: 0.004 level - 0.02. Before the collections TM and ETM+ have radiance
    # alone, so that d^2 remains: d = 1 - 0.01672 cos(0.9856 deg x (260 - 4)) = 1.00509, squared 1.0102.
    # Level 2 rounds to whole DN: half a DN is 1.4e-5.
    scene = read(packed(made_bundle(tmp_path / "bundle", sensor, collection, form), container))
    chander = collection == "pre" and sensor != "OLI"
    factor, tolerance = (1.0102, 3e-4) if chander else (1.0, 1.4e-5 if collection == "C2L2" else 1e-6)
    assert tuple(scene.bands) == BANDS
    for band in BANDS:
        expected = factor * reflectance(band)
        expected[FILL] = np.nan
        if band == "blue" and collection != "C2L2":
            # At the ceiling: 0.004 x 255 - 0.02 = 1, and OLI's 4e-5 x 65535 - 0.2 = 2.4214.
            expected[SATURATED] = 2.4214 if sensor == "OLI" else factor * 1.0
        np.testing.assert_allclose(scene.bands[band], expected, rtol=0, atol=tolerance)
    assert scene.valid.sum() == scene.valid.size - 1
    assert scene.provenance["method"] == {"C2L2": "surface"}.get(collection, "chander" if chander else "mtl")


@pytest.mark.parametrize("collection", COLLECTIONS)
@pytest.mark.parametrize("sensor", SENSORS)
def test_provenance_tells_where_a_bundle_came_from(tmp_path, sensor, collection):
    path = packed(made_bundle(tmp_path / "bundle", sensor, collection), "tar.gz")
    told = read(path).provenance
    mission = {"TM": "LANDSAT_5", "ETM+": "LANDSAT_7", "OLI": "LANDSAT_8"}[sensor]
    level = 2 if collection == "C2L2" else 1
    assert told["source"] == str(path)
    assert told["files"]["swir2"] == band_file(sensor, collection, 7)
    assert (told["sensor"], told["spacecraft"], told["date"]) == (sensor, mission, date_of(sensor))
    assert told["collection"] == {"pre": "pre", "C1": "C1"}.get(collection, "C2")
    assert (told["level"], told["sun_elevation_deg"]) == (level, 30.0)
    assert told["quantity"] == ("surface_reflectance" if level == 2 else "toa_reflectance")
    assert told["product_id"] == (None if collection == "pre" else product_id(sensor, collection))
    assert told["scene_id"] == scene_id(sensor)
    assert set(told) >= {"earth_sun_distance", "method", "tags"}


def test_a_scene_is_called_by_its_id_unless_it_is_named(tmp_path):
    path = packed(made_bundle(tmp_path / "bundle"), "tar")
    assert read(path).name == product_id()
    assert read(path, name="2007").name == "2007"
    assert read(packed(made_bundle(tmp_path / "old", "TM", "pre"), "zip")).name == scene_id("TM")


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("collection", ["C1", "C2", "C2L2"])
@pytest.mark.parametrize("sensor", SENSORS)
def test_masks_come_from_the_quality_files(tmp_path, sensor, collection, container):
    scene = read(packed(made_bundle(tmp_path / "bundle", sensor, collection), container))
    for mask, pixel in {"cloud": CLOUD, "cloud_shadow": SHADOW, "snow": SNOW, "fill": FILL}.items():
        assert [tuple(place) for place in np.argwhere(scene.quality[mask])] == [pixel], mask
    # Level 2 has no ceiling of its own, but QA_RADSAT.
    assert [tuple(place) for place in np.argwhere(scene.quality["saturated_blue"])] == [SATURATED]
    assert not scene.quality["saturated_green"].any()


def test_masked_pixels_can_be_dropped(tmp_path):
    # 24 pixels, one fill, one cloud, one shadow.
    path = made_bundle(tmp_path / "bundle")
    assert read(path).valid.sum() == 23
    assert read(path, drop=("cloud", "cloud_shadow")).valid.sum() == 21


@pytest.mark.parametrize("sensor", SENSORS)
def test_saturation_is_told_without_a_quality_file(tmp_path, sensor):
    scene = read(made_bundle(tmp_path / "bundle", sensor, quality=False))
    assert "cloud" not in scene.quality
    assert [tuple(place) for place in np.argwhere(scene.quality["saturated_blue"])] == [SATURATED]


def test_the_bqa_of_landsat_8_before_the_collections_is_left_alone(tmp_path):
    # Its bits are not those of Collection 1, see `Metadata.quality_files`: it would mask at random.
    folder = made_bundle(tmp_path / "bundle", "OLI", "pre")
    (folder / f"{scene_id('OLI')}_BQA.TIF").write_bytes((folder / f"{scene_id('OLI')}_B3.TIF").read_bytes())
    assert read(folder).quality.keys() == {f"saturated_{band}" for band in BANDS}


@pytest.mark.parametrize("container", CONTAINERS)
def test_windows_are_crops_of_the_whole(tmp_path, container):
    path = packed(made_bundle(tmp_path / "bundle", shape=(50, 40)), container)
    whole = read(path)
    for top, left, height, width in [
        (0, 0, 50, 40),
        (0, 0, 1, 1),
        (49, 39, 1, 1),
        (7, 3, 20, 31),
        (0, 5, 50, 2),
    ]:
        part = read(path, Window(left, top, width, height))
        inside = np.s_[top : top + height, left : left + width]
        for band in BANDS:
            np.testing.assert_array_equal(part.bands[band], whole.bands[band][inside])
        assert set(part.quality) == set(whole.quality)
        for mask, flags in whole.quality.items():
            np.testing.assert_array_equal(part.quality[mask], flags[inside])
        assert part.grid.transform @ (0, 0) == whole.grid.transform @ (left, top)
        assert part.shape == (height, width)


def test_a_tar_is_read_without_unpacking_and_only_where_it_is_needed(tmp_path, monkeypatch, temporary):
    # 600 x 600 noise: 9 blocks of 256 x 256 a band, and a tar of about 2 MB. A window of one pixel takes one
    # block of each file.
    noise = np.random.default_rng(0).integers(1, 255, (600, 600))
    numbers = (1, 2, 3, 4, 5, 7)
    folder = made_bundle(
        tmp_path / "bundle", shape=(600, 600), replace={f"B{number}": noise for number in numbers}
    )
    path = packed(folder, "tar")
    monkeypatch.setattr(archives, "_copy", None)
    with open_bundle(path, None, None) as source:
        assert source.grid.shape == (600, 600)
        assert all(layer.path.startswith("/vsisubfile/") for layer in source.layers.values())
        assert list(temporary.iterdir()) == []
        # What lies in other blocks may be damaged: it is not read. Blocks lie in their order.
        damage_the_second_half(path, source)
        scene = source.read(Window(3, 2, 1, 1))
        assert scene.bands["red"][0, 0] == pytest.approx(0.004 * noise[2, 3] - 0.02, abs=1e-6)
        with pytest.raises(GlacierError, match=r"_B1.TIF cannot be read"):
            source.read(Window(599, 599, 1, 1))


def damage_the_second_half(path, source):
    """Overwrite the second half of each file in a tar, but for its end, where the directory is."""
    with path.open("r+b") as file:
        for layer in source.layers.values():
            offset, size = map(int, layer.path.removeprefix("/vsisubfile/").partition(",")[0].split("_"))
            file.seek(offset + size // 2)
            file.write(bytes(size // 2 - 1000))


@pytest.mark.parametrize("container", ["tar.gz", "zip"])
@pytest.mark.parametrize("collection", ["C2", "C2L2"])
@pytest.mark.parametrize("sensor", SENSORS)
def test_only_the_files_that_make_the_scene_are_unpacked(tmp_path, temporary, sensor, collection, container):
    # Six bands, QA_PIXEL, QA_RADSAT and the metadata; no thermal or panchromatic band, angle or by-product.
    folder = made_bundle(tmp_path / "bundle", sensor, collection)
    for ending in ("SAA", "VZA", "ST_QA", "ST_TRAD", "SR_CLOUD_QA", "SR_QA_AEROSOL", "SR_ATMOS_OPACITY"):
        (folder / f"{product_id(sensor, collection)}_{ending}.TIF").write_bytes(b"")
    for ending in ("ANG.txt", "thumb_small.jpeg", "SR_stac.json", "GCP.txt"):
        (folder / f"{product_id(sensor, collection)}_{ending}").write_bytes(b"")
    with open_bundle(packed(folder, container)):
        assert sum(file.is_file() for file in temporary.rglob("*")) == 9


def test_opening_reads_headers_alone(tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("pixels were read")

    monkeypatch.setattr("glacier_ml.scenes.sources.read_layer", refuse)
    with open_bundle(made_bundle(tmp_path / "bundle"), None, None) as source:
        assert source.grid.shape == SHAPE


def test_names_match_in_whatever_case(tmp_path):
    folder = made_bundle(tmp_path / "bundle")
    for file in list(folder.iterdir()):
        file.rename(folder / file.name.lower())
    assert read(folder).valid.sum() == 23


def test_files_that_the_metadata_does_not_name_are_found_by_the_id(tmp_path):
    folder = made_bundle(tmp_path / "bundle", drop=("MTL",))
    root, groups = mtl_groups()
    for group in groups.values():
        for key in [key for key in group if key.startswith("FILE_NAME")]:
            del group[key]
    (folder / "X_MTL.txt").write_bytes(mtl_text(root, groups))
    scene = read(folder)
    assert scene.provenance["files"]["blue"] == band_file("TM", "C2", 1)
    assert scene.quality["cloud"].sum() == 1


def test_the_metadata_decides_what_a_file_is(tmp_path):
    folder = made_bundle(tmp_path / "bundle", drop=("MTL",))
    root, groups = mtl_groups()
    (folder / band_file("TM", "C2", 1)).rename(folder / "first.tif")
    groups["PRODUCT_CONTENTS"]["FILE_NAME_BAND_1"] = "first.tif"
    (folder / "X_MTL.txt").write_bytes(mtl_text(root, groups))
    for container in CONTAINERS:
        assert read(packed(folder, container)).provenance["files"]["blue"] == "first.tif"


@pytest.mark.parametrize("container", CONTAINERS)
def test_bundles_of_the_oldest_names_can_be_read(tmp_path, container):
    # Until 2012 files ended in B10, B20, ... B70, and the metadata's keys were BAND1_FILE_NAME and so on.
    folder = made_bundle(tmp_path / "bundle", "TM", "pre", drop=("MTL", "B6"))
    root, groups = mtl_groups("TM", "pre")
    product = groups["PRODUCT_METADATA"]
    for number in (1, 2, 3, 4, 5, 7):
        name = f"L5066017_01720070917_B{number}0.TIF"
        (folder / product.pop(f"FILE_NAME_BAND_{number}")).rename(folder / name)
        product[f"BAND{number}_FILE_NAME"] = name
    (folder / "L5066017_01720070917_MTL.txt").write_bytes(mtl_text(root, groups))
    scene = read(packed(folder, container))
    assert scene.provenance["files"]["swir2"] == "L5066017_01720070917_B70.TIF"
    np.testing.assert_allclose(scene.bands["red"][1:], 1.0102 * reflectance("red")[1:], rtol=0, atol=1e-4)


def test_of_several_forms_one_is_taken(tmp_path):
    folder = made_bundle(tmp_path / "bundle", form=FORMS)
    (folder / f"{product_id()}_MTL.xml").write_bytes(b"not read")
    (folder / f"{product_id()}_MTL.json").write_bytes(b"not read")
    assert read(folder).valid.sum() == 23


def test_two_products_in_one_folder_are_refused(tmp_path):
    folder = made_bundle(tmp_path / "bundle")
    made_bundle(folder, "OLI", form="json")
    told = refusal(folder)
    assert f"{product_id('TM')}_MTL.txt" in told
    assert f"{product_id('OLI')}_MTL.json" in told


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("sensor", SENSORS)
def test_a_missing_band_is_named(tmp_path, sensor, container):
    path = packed(made_bundle(tmp_path / "bundle", sensor, drop=("B7",)), container)
    assert f"{band_file(sensor, 'C2', 7)} (swir2) is missing" in refusal(path)


def test_one_file_for_two_bands_is_refused(tmp_path):
    folder = made_bundle(tmp_path / "bundle", drop=("MTL",))
    root, groups = mtl_groups()
    groups["PRODUCT_CONTENTS"]["FILE_NAME_BAND_2"] = band_file("TM", "C2", 1).lower()
    (folder / "X_MTL.txt").write_bytes(mtl_text(root, groups))
    assert "for two bands" in refusal(folder)


def test_a_name_in_the_metadata_leads_nowhere_else(tmp_path):
    folder = made_bundle(tmp_path / "bundle", drop=("MTL", "B1"))
    made_bundle(tmp_path / "other")
    root, groups = mtl_groups()
    groups["PRODUCT_CONTENTS"]["FILE_NAME_BAND_1"] = f"../other/{band_file('TM', 'C2', 1)}"
    (folder / "X_MTL.txt").write_bytes(mtl_text(root, groups))
    assert "not a plain file name" in refusal(folder)
