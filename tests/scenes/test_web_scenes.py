"""Scenes at addresses: one GeoTIFF, or a folder of band files, on the web and in object stores."""

import json
import shutil

import numpy as np
import pytest
import rasterio
from affine import Affine
from landsat_bundles import made_bundle
from made_items import made_item
from range_server import BODIES, KINDS, serving, straighten
from rasterio.windows import Window

from glacier_ml.errors import GlacierError
from glacier_ml.scenes.catalog import open_catalog
from glacier_ml.scenes.importing import import_scene
from glacier_ml.scenes.reading import open_scene, open_source, write_scene
from glacier_ml.scenes.remote import UnfoundError

SIZE, TILE = 512, 128
BANDS = ("blue", "green", "red", "nir", "swir1")


@pytest.fixture(autouse=True)
def straight(monkeypatch, tmp_path):
    """Nothing stands between the tests and the server."""
    straighten(monkeypatch, tmp_path)


@pytest.fixture
def stored(monkeypatch):
    """Factory of a path's address by its kind; GDAL takes the server for the store."""

    def address(server, kind, path):
        for name, value in server.stores().items():
            monkeypatch.setenv(name, value)
        return server.address(kind, path)

    return address


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """Folder of scene.tif: five bands of noise, which does not compress, in 4 x 4 tiles each."""
    folder = tmp_path_factory.mktemp("large")
    profile = {
        "driver": "GTiff", "height": SIZE, "width": SIZE, "count": 5, "dtype": "float32", "nodata": np.nan,
        "crs": "EPSG:32606", "transform": Affine(30, 0, 480_000, 0, -30, 6_780_000), "tiled": True,
        "blockxsize": TILE, "blockysize": TILE, "interleave": "band",
    }  # fmt: skip
    with rasterio.open(folder / "scene.tif", "w", **profile) as dataset:
        # Said first, so that the header holds it.
        dataset.descriptions = BANDS
        dataset.update_tags(SENSOR="TM", DATE="2007-09-17")
        dataset.write(np.random.default_rng(1).random((5, SIZE, SIZE), np.float32))
    return folder


@pytest.fixture(scope="module")
def shelf(tmp_path_factory):
    """Folder of LT05, a scene folder as importing writes it, with masks."""
    folder = tmp_path_factory.mktemp("shelf")
    (one,) = import_scene(made_bundle(folder / "bundle"), folder, progress=False)
    shutil.rmtree(folder / "bundle")
    one.folder.rename(folder / "LT05")
    return folder


@pytest.fixture
def imported(shelf, tmp_path):
    """A copy of the shelf."""
    return shutil.copytree(shelf, tmp_path / "shelf")


@pytest.mark.parametrize("kind", KINDS)
def test_a_window_of_a_geotiff_is_all_that_travels(large, stored, kind):
    window = Window(TILE, TILE, TILE, TILE)
    with open_source(large / "scene.tif") as source:
        expected = source.read(window)
    with serving(large) as server:
        with open_source(stored(server, kind, "scene.tif")) as source:
            assert source.name == "scene" and source.provenance["date"] == "2007-09-17"
            # The header, of which GDAL reads 16 kB.
            assert server.served["scene.tif"] <= 2**14
            scene = source.read(window)
        # One of 16 tiles a band, 64 kB, with what GDAL's steps of 16 kB add on either side.
        assert server.served["scene.tif"] <= 2**14 + 5 * (TILE * TILE * 4 + 2 * 2**14)
        assert {status for _, _, status in server.requests} <= {200, 206}
        assert {path for _, path, _ in server.requests} == {"scene.tif"}
    assert scene.digest == expected.digest


def test_numbered_bands_need_the_sensor(large, tmp_path):
    path = shutil.copy(large / "scene.tif", tmp_path / "scene.tif")
    with rasterio.open(path, "r+") as dataset:
        dataset.descriptions = ("B1", "B2", "B3", "B4", "B5")
        dataset.update_tags(SENSOR="")
    with serving(tmp_path) as server:
        address = server.url("scene.tif")
        with pytest.raises(GlacierError, match=r"B1, B2, .* are other bands on TM .*; say which by"):
            open_scene(address)
        assert list(open_scene(address, sensor="TM").bands) == list(BANDS)


@pytest.mark.parametrize(
    ("kind", "end"), [("http", "/"), ("/vsicurl", "/"), ("s3", "/"), ("s3", ""), ("/vsigs", ""), ("az", "")]
)
def test_a_scene_folder_is_found_by_its_bands_names(shelf, stored, kind, end):
    expected = open_scene(shelf / "LT05")
    with serving(shelf) as server:
        scene = open_scene(stored(server, kind, f"LT05{end}"))
        assert {path for _, path, status in server.requests if status in (200, 206)} == {
            f"LT05/{file.name}" for file in (shelf / "LT05").glob("*.tif")
        }
    assert scene.name == "LT05" and scene.digest == expected.digest
    assert sorted(scene.quality) == sorted(expected.quality) != []
    for mask, flagged in expected.quality.items():
        np.testing.assert_array_equal(scene.quality[mask], flagged)
    np.testing.assert_array_equal(scene.valid, expected.valid)
    same = expected.provenance.keys() - {"source", "sizes"}
    assert {key: scene.provenance[key] for key in same} == {key: expected.provenance[key] for key in same}
    assert scene.provenance.keys() == expected.provenance.keys() - {"sizes"}


@pytest.mark.real_data
def test_a_folder_of_the_reports_names(real_scenes, stored):
    # Its swir1 is called swir.tif.
    expected = open_scene(real_scenes / "2007_TOA")
    with serving(real_scenes) as server:
        server.bodies = BODIES
        scene = open_scene(stored(server, "s3", "2007_TOA"))
    assert scene.digest == expected.digest and list(scene.bands) == list(BANDS)


def test_bands_that_nobody_may_list_are_lacking(imported, stored):
    # S3 answers 403 where a key is lacking and the reader may not list the bucket.
    (imported / "LT05" / "swir2.tif").unlink()
    with serving(imported) as server:
        server.failing["LT05/swir2.tif"], server.bodies = 403, BODIES
        scene = open_scene(stored(server, "s3", "LT05"))
    assert list(scene.bands) == list(BANDS)


def test_a_band_that_fails_is_not_taken_for_one_that_is_lacking(shelf):
    with serving(shelf) as server:
        server.failing["LT05/swir2.tif"] = 500
        line = r"LT05: http://.*/LT05/swir2.tif cannot be read \(.*500\); check the address and the network"
        with pytest.raises(GlacierError, match=line):
            open_scene(server.url("LT05/"))


def test_masks_that_are_told_must_be_there(imported):
    (imported / "LT05" / "quality.tif").unlink()
    with serving(imported) as server, pytest.raises(GlacierError, match=r"LT05: quality.tif of .*/LT05/ is"):
        open_scene(server.url("LT05/"))


def test_a_folder_without_a_quality_band(tmp_path, tiny_scene_folder):
    tiny_scene_folder("tiny", outlines=False)
    with serving(tmp_path) as server:
        scene = open_scene(server.url("tiny/"))
    assert scene.digest == open_scene(tmp_path / "tiny").digest and scene.quality == {}


def test_a_folder_without_a_band(tmp_path, stored):
    line = r"none: {}.*/none/? holds none of blue.tif, green.tif, .*; give the address of a scene folder"
    with serving(tmp_path) as server:
        with pytest.raises(GlacierError, match=line.format("http://")):
            open_scene(server.url("none/"))
        server.bodies = BODIES
        with pytest.raises(GlacierError, match=line.format("s3://")):
            open_scene(stored(server, "s3", "none"))


def test_files_of_dn_are_told_to_be_imported(tmp_path, tiny_scene_folder):
    values = np.full((24, 32), 100, np.uint8)
    tiny_scene_folder("dn", outlines=False, replace=dict.fromkeys(BANDS, values))
    with (
        serving(tmp_path) as server,
        pytest.raises(GlacierError, match="blue.tif holds DN.* import the scene"),
    ):
        open_scene(server.url("dn/"))


def test_what_signs_an_address_is_used_and_not_told(shelf, large, tmp_path):
    for folder, path in ((shelf, "LT05/"), (large, "scene.tif")):
        with serving(folder) as server:
            address = server.url(path).replace("http://", "http://me:secret@") + "?sig=secret"
            catalog = open_catalog(address)
            scene = catalog.entries[0].open()
            assert "secret" not in json.dumps([scene.provenance, scene.name, str(catalog.source)])
            assert scene.provenance["source"] == server.url(path)
            write_scene(scene, tmp_path / "out" / scene.name)
    assert all(b"secret" not in file.read_bytes() for file in (tmp_path / "out").rglob("*.tif"))


def test_signatures_stay_out_of_errors(large):
    with serving(large, ranges=False) as server:
        address = server.url("scene.tif").replace("http://", "http://me:secret@") + "?sig=secret"
        with pytest.raises(GlacierError, match=r"scene.tif cannot be read .*sent by byte ranges") as caught:
            open_scene(address)
    assert "secret" not in str(caught.value)


def test_a_virtual_raster_from_the_web_is_refused(large):
    vrt = f"<VRTDataset rasterXSize='9' rasterYSize='9'><!-- {large} --></VRTDataset>"
    with serving(large) as server:
        (large / "virtual.tif").write_text(vrt)
        for address in (server.url("virtual.tif"), f"/vsicurl/{server.url('virtual.tif')}"):
            with pytest.raises(GlacierError, match="virtual.tif cannot be read"):
                open_scene(address)


def test_many_addresses_in_one_catalog(large, imported, tmp_path, stored, tiny_scene_folder):
    here = tiny_scene_folder("here")
    shutil.copy(large / "scene.tif", imported)
    (imported / "item").mkdir()
    made_item(imported / "item")
    with serving(imported) as server:
        paths = {
            "one": stored(server, "s3", "scene.tif"),
            "folder": stored(server, "gs", "LT05"),
            "item": server.url("item/item.json"),
            "here": "here",
        }
        rows = [f"  - {{name: {name}, path: '{path}', place: p, region: r, role: unseen}}" for name, path in
                paths.items()]  # fmt: skip
        (tmp_path / "catalog.yaml").write_text("scenes:\n" + "\n".join(rows) + "\n")
        scenes = {entry.name: entry.open() for entry in open_catalog(tmp_path / "catalog.yaml").entries}
    assert scenes["one"].digest == open_scene(large / "scene.tif").digest
    assert scenes["folder"].digest == open_scene(imported / "LT05").digest
    assert scenes["item"].digest == open_scene(imported / "item" / "item.json").digest
    assert scenes["here"].digest == open_scene(here).digest
    assert scenes["one"].provenance["place"] == "p"


def test_outlines_beside_the_catalog_label_a_scene_from_the_web(tmp_path, tiny_scene_folder):
    folder = tiny_scene_folder("tiny")
    shutil.move(folder / "outlines.tif", tmp_path / "drawn.tif")
    with serving(tmp_path) as server:
        row = f"name: a, path: '{server.url('tiny/')}', place: p, region: r, role: train, outlines: drawn.tif"
        (tmp_path / "catalog.yaml").write_text(f"scenes: [{{{row}}}]")
        (entry,) = open_catalog(tmp_path / "catalog.yaml").entries
        # A quarter of 24 x 32 pixels.
        assert entry.load().truth.sum() == 192


def test_an_address_is_imported(large, tmp_path):
    with serving(large) as server:
        (one,) = import_scene(server.url("scene.tif") + "?sig=secret", tmp_path, progress=False)
    assert one.folder == tmp_path / "scene" and one.provenance["source"] == "scene.tif"
    assert open_scene(one.folder).digest == open_scene(large / "scene.tif").digest


@pytest.mark.parametrize("name", ["scene.tar.gz", "scene.zip", "scene.vrt", "catalog.yaml"])
def test_what_is_read_from_this_machine_alone(name):
    line = rf"https://127.0.0.1/{name} is not read from the web, .*; download it$"
    with pytest.raises(GlacierError, match=line) as caught:
        open_scene(f"https://127.0.0.1/{name}?sig=secret")
    assert not isinstance(caught.value, UnfoundError)


@pytest.mark.parametrize(
    "address", ["ftp://host/a.tif", "file:///a.tif", "/vsizip/a.zip/a.tif", "/vsicurl/ftp://a"]
)
def test_addresses_of_another_kind(address):
    line = "is not read; addresses begin with http, https, s3, gs and az"
    for read in (open_scene, open_catalog):
        with pytest.raises(GlacierError, match=line):
            read(address)
