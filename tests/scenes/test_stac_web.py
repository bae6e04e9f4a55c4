"""STAC Items from a web server: what travels, what may be named, and what bad servers do."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from landsat_bundles import SHAPE, band_file, made_bundle, product_id
from made_items import archive_item, made_item, newest_item, written
from range_server import serving
from rasterio.windows import Window

from glacier_ml.errors import GlacierError
from glacier_ml.scenes import addresses
from glacier_ml.scenes.catalog import open_catalog
from glacier_ml.scenes.reading import open_scene
from glacier_ml.scenes.stac import open_item

pytest.importorskip("pystac", reason="the extra stac is not installed")

LARGE = (2048, 2048)
BLUE, QA_PIXEL = band_file("TM", "C2", 1), f"{product_id()}_QA_PIXEL.TIF"


@pytest.fixture(autouse=True)
def straight(monkeypatch):
    """No proxy stands before this machine, and nothing is tried again."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("GDAL_HTTP_MAX_RETRY", "0")


@pytest.fixture
def served(tmp_path):
    """A server of a small Level-1 scene whose Item is item.json."""
    made_item(tmp_path)
    with serving(tmp_path) as server:
        yield server


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """Folder of a scene of 2048 x 2048 pixels of noise, which does not compress, tiled by 256."""
    folder = tmp_path_factory.mktemp("large")
    noise = np.random.default_rng(1).integers(1, 255, LARGE, np.uint8)
    values = {f"B{number}": noise + np.uint8(number) for number in (1, 2, 3, 4, 5, 7)}
    made_item(folder, shape=LARGE, replace=values)
    return folder


def changed(server, change):
    """Address of the served Item after a change."""
    item = archive_item()
    change(item)
    return server.url(written(item, server.folder).name)


def test_opening_fetches_headers_alone_and_a_window_little_more(large):
    size = sum(file.stat().st_size for file in large.iterdir())
    local = open_item(str(large / "item.json"))
    with serving(large) as server:
        source = open_item(server.url("item.json"))
        # Six bands and two quality bands, of each the first 16 kB; QA bands are smaller than that.
        assert sum(server.served.values()) <= 8 * 2**14 + 2**15
        window = Window(700, 900, 256, 256)
        scene, expected = source.read(window), local.read(window)
        assert scene.grid == expected.grid
        for band, values in scene.bands.items():
            np.testing.assert_array_equal(values, expected.bands[band])
        # The window touches 2 x 2 of 8 x 8 tiles, 1/16; GDAL reads in steps of 16 kB.
        for file in local.provenance["files"].values():
            assert server.served[file] < 0.1 * (large / file).stat().st_size
        assert sum(server.served.values()) < 0.1 * size
        assert {status for _, _, status in server.requests} == {200, 206}
        assert {path for _, path, _ in server.requests} <= {file.name for file in large.iterdir()}


def test_a_whole_scene_travels_once(large):
    local = open_item(str(large / "item.json")).read()
    with serving(large) as server:
        scene = open_item(server.url("item.json")).read()
        size = (large / BLUE).stat().st_size
        assert size * 0.95 < server.served[BLUE] < size * 1.05
    assert scene.digest == local.digest
    np.testing.assert_array_equal(scene.quality["cloud"], local.quality["cloud"])


def test_an_address_survives_pathlib(served):
    assert open_scene(Path(served.url("item.json"))).shape == SHAPE


def test_open_scene_reads_the_bounds_alone(large):
    # 1 km or so amid the scene, which lies at 480-541 km east and 6719-6780 km north in UTM 6.
    with serving(large) as server:
        scene = open_scene(server.url("item.json"), bounds=(-147.01, 60.86, -146.99, 60.87))
        assert sum(server.served.values()) < 0.1 * sum(file.stat().st_size for file in large.iterdir())
    assert 30 < scene.shape[0] < 50 and 30 < scene.shape[1] < 50


def test_an_item_of_this_machine_may_name_the_web(tmp_path, served):
    def absolute(item):
        for asset in item["assets"].values():
            asset["href"] = served.url(asset["href"])

    changed(served, absolute)
    (tmp_path / "elsewhere").mkdir()
    path = shutil.move(served.folder / "item.json", tmp_path / "elsewhere")
    assert open_item(str(path)).read().shape == SHAPE


def test_signed_addresses_are_used_and_not_told(served):
    def sign(item):
        for asset in item["assets"].values():
            asset["href"] += "?sig=secret"

    source = open_item(changed(served, sign) + "?sig=secret")
    assert source.read().shape == SHAPE
    assert "secret" not in json.dumps(source.provenance)
    assert source.provenance["files"]["blue"] == BLUE
    served.failing[BLUE] = 403
    with pytest.raises(GlacierError, match="B1.TIF cannot be read .*403") as caught:
        open_item(changed(served, lambda item: item["assets"]["blue"].update(href=f"{BLUE}?sig=secret2")))
    assert "secret" not in str(caught.value)


def test_redirects_are_followed(served):
    served.moved |= {"one": served.url("item.json"), "blue": served.url(BLUE)}
    changed(served, lambda item: item["assets"]["blue"].update(href=served.url("blue")))
    assert open_item(served.url("one")).read().shape == SHAPE


@pytest.mark.parametrize("target", ["file:///etc/hostname", "ftp://127.0.0.1/item.json"])
def test_a_redirect_leads_nowhere_but_the_web(served, target):
    served.moved["one"] = target
    with pytest.raises(GlacierError, match="one cannot be fetched"):
        open_item(served.url("one"))


@pytest.mark.parametrize(
    "href", ["file:///etc/hostname", "/vsicurl/x", "gdal://x", "zip+file:///x.zip!y.tif"]
)
def test_an_item_from_the_web_names_nothing_of_this_machine(served, tmp_path, href):
    line = "cannot be read .*404" if href.startswith("/") else "is not on the web"
    with pytest.raises(GlacierError, match=line):
        open_item(changed(served, lambda item: item["assets"]["blue"].update(href=href)))


VRT = """<VRTDataset rasterXSize="6" rasterYSize="4"><SRS>EPSG:32606</SRS>
<GeoTransform>480000,30,0,6780000,0,-30</GeoTransform><VRTRasterBand dataType="Byte" band="1">
<SimpleSource><SourceFilename>{}</SourceFilename></SimpleSource></VRTRasterBand></VRTDataset>"""


def test_a_raster_from_the_web_that_names_a_file_is_refused(served):
    path = served.folder / "blue.vrt.tif"
    path.write_text(VRT.format(served.folder / BLUE))
    with rasterio.open(path) as dataset:
        assert dataset.driver == "VRT"
    with pytest.raises(GlacierError, match="blue.vrt.tif cannot be read"):
        open_item(changed(served, lambda item: item["assets"]["blue"].update(href=path.name)))


def test_a_redirect_of_a_band_leads_nowhere_but_the_web(served):
    served.moved["blue.tif"] = (served.folder / BLUE).as_uri()
    with pytest.raises(GlacierError, match="blue.tif cannot be read"):
        open_item(changed(served, lambda item: item["assets"]["blue"].update(href="blue.tif")))


def test_alternates_on_s3_where_requests_are_paid_for(tmp_path, monkeypatch):
    made_bundle(tmp_path / "bucket", "TM", "C2L2", drop=("MTL",))
    item = newest_item()
    for asset in item["assets"].values():
        asset["alternate"] = {"s3": {"href": f"s3://bucket/{asset['href']}"}}
        asset["href"] = f"login/{asset['href']}"
    written(item, tmp_path)
    with serving(tmp_path) as server:
        with pytest.raises(GlacierError, match="404"):
            open_item(server.url("item.json"))
        for key, value in {
            "AWS_REQUEST_PAYER": "requester",
            "AWS_NO_SIGN_REQUEST": "YES",
            "AWS_HTTPS": "NO",
            "AWS_VIRTUAL_HOSTING": "FALSE",
            "AWS_S3_ENDPOINT": server.host,
        }.items():
            monkeypatch.setenv(key, value)
        assert open_item(server.url("item.json")).read().shape == SHAPE


def test_a_placeless_raster_from_the_web(served):
    profile = {"driver": "GTiff", "height": 4, "width": 6, "count": 1, "dtype": "uint8"}
    with rasterio.open(served.folder / "placeless.tif", "w", transform=Affine.scale(30), **profile):
        pass
    with pytest.raises(GlacierError, match=r"placeless\.tif has no coordinate reference system") as caught:
        open_item(
            changed(served, lambda item: item["assets"]["blue"].update(href="placeless.tif?sig=secret"))
        )
    assert "secret" not in str(caught.value)


def test_a_server_without_ranges_is_told_in_a_line(large):
    with serving(large, ranges=False) as server:
        line = r"B1\.TIF cannot be read .*must be a GeoTIFF sent by byte ranges"
        with pytest.raises(GlacierError, match=line):
            open_item(server.url("item.json"))


def test_an_item_that_is_not_there(served):
    with pytest.raises(
        GlacierError, match=r"none.json cannot be fetched \(HTTP 404 Not Found\); check the address"
    ):
        open_item(served.url("none.json"))


def test_a_server_that_is_not_there():
    with serving(".") as server:
        address = server.url("item.json")
    with pytest.raises(GlacierError, match="item.json cannot be fetched .*refused"):
        open_item(address)


def test_a_band_of_a_server_that_is_not_there(served, tmp_path):
    with serving(".") as server:
        address = server.url("blue.tif")
    with pytest.raises(GlacierError, match="blue.tif cannot be read .*connect"):
        open_item(changed(served, lambda item: item["assets"]["blue"].update(href=address)))


@pytest.mark.parametrize(
    "address", ["https://", "http://[", "http://a b/", "http://127.0.0.1:x/", "s3://bucket/i"]
)
def test_what_is_no_address_of_an_item(address):
    with pytest.raises(GlacierError, match="cannot be fetched"):
        open_item(address)


def test_an_item_is_fetched_by_http_alone():
    with pytest.raises(GlacierError, match="an Item is fetched by http and https: give such an address"):
        open_scene("s3://bucket/item.json")


def test_a_silent_server(served, monkeypatch):
    monkeypatch.setattr(addresses, "SILENCE_S", 0.2)
    served.silent.add("item.json")
    with pytest.raises(GlacierError, match="item.json cannot be fetched .*timed out"):
        open_item(served.url("item.json"))


def test_a_slow_server(served, monkeypatch):
    # 150 s have passed whenever one looks at the clock, and a fetch may take 120 s.
    monkeypatch.setattr(addresses, "monotonic", iter(range(0, 10**6, 150)).__next__)
    with pytest.raises(GlacierError, match=r"item.json cannot be fetched \(not whole after 120 s\)"):
        open_item(served.url("item.json"))


def test_a_server_that_hangs_up(served):
    served.cut.add("item.json")
    with pytest.raises(GlacierError, match=r"item.json cannot be fetched \(\d+ bytes are lacking\)"):
        open_item(served.url("item.json"))
    served.cut = {BLUE}
    with pytest.raises(GlacierError, match="B1.TIF cannot be read"):
        open_item(served.url("item.json"))


def test_a_silent_server_of_bands(served, monkeypatch):
    monkeypatch.setenv("GDAL_HTTP_TIMEOUT", "1")
    served.silent.add(BLUE)
    with pytest.raises(GlacierError, match="B1.TIF cannot be read"):
        open_item(served.url("item.json"))


def test_bands_fail_while_they_are_read(served, large):
    with serving(large) as server:
        source = open_item(server.url("item.json"))
        server.failing[BLUE] = 500
        with pytest.raises(GlacierError, match="B1.TIF cannot be read"):
            source.read()


def test_an_item_that_is_too_large(served, monkeypatch):
    monkeypatch.setattr(addresses, "LARGEST_FILE", 100)
    with pytest.raises(GlacierError, match="more than 0 MiB; give the address of one STAC Item"):
        open_item(served.url("item.json"))


@pytest.mark.parametrize("content", [b"", b"<html>login</html>", b"\xff\xfe", b"[" * 100_000, b'{"a": 1'])
def test_what_is_not_json(served, content):
    (served.folder / "item.json").write_bytes(content)
    with pytest.raises(GlacierError, match=r"item.json is not JSON \(.*\); give the address of a STAC Item"):
        open_item(served.url("item.json"))


def test_a_login_page_in_place_of_the_metadata(served):
    (served.folder / f"{product_id()}_MTL.json").write_bytes(b"<!DOCTYPE html><html>login</html>")
    with pytest.raises(GlacierError, match="MTL.json"):
        open_item(served.url("item.json"))


def test_dn_without_metadata_and_scale(served):
    line = "B1.TIF holds DN, and the Item has neither a metadata file .* nor a scale"
    with pytest.raises(GlacierError, match=line):
        open_item(changed(served, lambda item: item["assets"].pop("MTL.json")))
    with pytest.raises(GlacierError, match="method mtl needs a metadata file, and the Item has none"):
        open_item(served.url("item.json"), method="mtl")


def test_the_sun_below_the_horizon(served):
    path = served.folder / f"{product_id()}_MTL.json"
    path.write_text(path.read_text().replace("30.00000000", "-5.0"))
    with pytest.raises(GlacierError, match="SUN_ELEVATION|sun"):
        open_item(served.url("item.json"))


def test_metadata_of_another_sensor(served):
    with pytest.raises(GlacierError, match="the Item is of OLI, its metadata file of TM"):
        open_item(changed(served, lambda item: item["properties"].update(instruments=["oli"])))


def test_bands_on_different_grids(served, tiny_grid):
    from glacier_ml.scenes.rasters import write_raster

    write_raster(
        served.folder / "fine.tif", np.ones((12, 18), np.uint8), tiny_grid(shape=(12, 18), cell=10.0)
    )
    with pytest.raises(GlacierError, match=r"are on different grids \(shape \(4, 6\) against \(12, 18\)"):
        open_item(changed(served, lambda item: item["assets"]["swir16"].update(href="fine.tif")))


def test_an_address_is_data_like_any_other(served):
    (entry,) = open_catalog(served.url("item.json")).entries
    assert entry.role == "unseen"
    scene = entry.open()
    assert scene.shape == SHAPE and scene.provenance["date"] == "2007-09-17"
