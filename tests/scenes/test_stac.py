"""STAC Items of every catalog's layout, and the lines that refuse what is no scene."""

import json
import socket
import sys

import numpy as np
import pytest
from landsat_bundles import CLOUD, FILL, SATURATED, SHAPE, date_of, made_bundle, reflectance
from made_items import archive_item, bare_item, cloud_item, made_item, newest_item, numbers, written

from glacier_ml.errors import GlacierError
from glacier_ml.scenes.rasters import write_raster
from glacier_ml.scenes.reading import open_scene
from glacier_ml.scenes.scene import BANDS
from glacier_ml.scenes.stac import is_item, open_item

pytest.importorskip("pystac", reason="the extra stac is not installed")


def check_reflectance(scene, sensor_ceiling=True):
    """Every band holds the made bundle's reflectance, but at its fill and, at Level 1, at blue's ceiling."""
    assert tuple(scene.bands) == BANDS
    for band, values in scene.bands.items():
        expected = reflectance(band)
        expected[FILL] = np.nan
        if sensor_ceiling and band == "blue":
            expected[SATURATED] = values[SATURATED]
        np.testing.assert_allclose(values, expected, atol=2e-5)  # half a step of Level 2 is 1.4e-5
    assert np.argwhere(~scene.valid).tolist() == [list(FILL)]


@pytest.mark.parametrize("sensor", ["TM", "ETM+", "OLI"])
@pytest.mark.parametrize("form", ["json", "txt", "xml"])
def test_level_1_by_its_metadata_file(tmp_path, sensor, form):
    made_bundle(tmp_path, sensor, "C2", form)
    source = open_item(str(written(archive_item(sensor, "C2", form), tmp_path)))
    scene = source.read()
    check_reflectance(scene)
    known = source.provenance
    # The metadata file's 30 degrees, not the 30.5 of the Item.
    assert (known["sensor"], known["date"], known["sun_elevation_deg"]) == (sensor, date_of(sensor), 30.0)
    assert (known["level"], known["quantity"], known["method"]) == (1, "toa_reflectance", "mtl")
    assert (known["collection"], known["earth_sun_distance"]) == ("C2", 1.00503)
    assert known["files"]["swir1"].endswith("_B6.TIF" if sensor == "OLI" else "_B5.TIF")
    assert scene.quality["saturated_blue"][SATURATED]
    assert np.argwhere(scene.quality["cloud"]).tolist() == [list(CLOUD)]
    assert json.loads(json.dumps(known)) == known


def test_level_1_by_chander(tmp_path):
    source = open_item(str(made_item(tmp_path, "TM")), method="chander")
    assert source.provenance["method"] == "chander"
    # Radiance was made of Chander's sun, so only d^2 differs: 1.00503 squared.
    expected = reflectance("red")[1:] * 1.00503**2
    np.testing.assert_allclose(source.read().bands["red"][1:], expected, rtol=1e-5)


@pytest.mark.parametrize("sensor", ["TM", "OLI"])
def test_level_2_by_its_scale_once(tmp_path, sensor):
    made_bundle(tmp_path, sensor, "C2L2", drop=("MTL",))
    source = open_item(str(written(cloud_item(sensor), tmp_path)))
    check_reflectance(source.read(), False)
    known = source.provenance
    assert (known["level"], known["quantity"], known["method"]) == (2, "surface_reflectance", "surface")
    assert (known["sensor"], known["sun_elevation_deg"]) == (sensor, 30.5)
    assert known["spacecraft"] == ("LANDSAT_5" if sensor == "TM" else "LANDSAT_8")
    assert source.name.endswith("_02_T1_SR")


def test_level_2_of_stac_1_1(tmp_path):
    made_bundle(tmp_path, "TM", "C2L2", drop=("MTL",))
    check_reflectance(open_item(str(written(newest_item(), tmp_path))).read(), False)


@pytest.mark.parametrize("metadata", [True, False])
def test_level_2_without_a_scale(tmp_path, metadata):
    item = archive_item("TM", "C2L2")
    if not metadata:
        del item["assets"]["MTL.json"]
    made_bundle(tmp_path, "TM", "C2L2", "json")
    source = open_item(str(written(item, tmp_path)))
    check_reflectance(source.read(), False)
    assert source.provenance["method"] == "surface"


@pytest.mark.parametrize("version", ["0.8.1", "1.0.0-beta.2"])
def test_an_older_item_names_bands_by_position(tmp_path, version):
    made_bundle(tmp_path, form="json")
    item = archive_item() | {"stac_version": version, "stac_extensions": ["eo"]}
    keys = [key for key, asset in item["assets"].items() if "eo:bands" in asset]
    item["properties"]["eo:bands"] = [item["assets"][key]["eo:bands"][0] for key in keys]
    for position, key in enumerate(keys):
        item["assets"][f"band-{position}"] = item["assets"].pop(key) | {"eo:bands": [position]}
    check_reflectance(open_item(str(written(item, tmp_path))).read())


@pytest.mark.parametrize("pattern", ["B{}", "B0{}", "SR_B{}"])
def test_assets_told_by_numbered_keys(tmp_path, pattern):
    made_bundle(tmp_path)
    item = bare_item()
    product = item["id"]
    for number in (1, 2, 3, 4, 5, 6, 7):
        item["assets"][pattern.format(number)] = {"href": f"{product}_B{number}.TIF"}
    item["assets"]["MTL"] = {"href": f"{product}_MTL.txt"}
    check_reflectance(open_item(str(written(item, tmp_path))).read())


@pytest.fixture
def floats(tmp_path, tiny_grid):
    """Factory of an Item of float reflectance, band i at i / 10; `change(item)` alters it."""

    def write(change=lambda item: None):
        item = bare_item()
        item["id"] = "reflectance"
        del item["properties"]["landsat:correction"]
        for position, key in enumerate(("blue", "green", "red", "nir", "swir16"), 1):
            values = np.full(SHAPE, position / 10, np.float32)
            write_raster(tmp_path / f"{key}.tif", values, tiny_grid(shape=SHAPE))
            item["assets"][key] = {"href": f"./{key}.tif", "type": "image/tiff"}
        change(item)
        return str(written(item, tmp_path))

    return write


def test_float_reflectance_is_taken_as_given(floats):
    source = open_item(floats(), "mine")
    scene = source.read()
    assert [round(float(values[0, 0]), 6) for values in scene.bands.values()] == [0.1, 0.2, 0.3, 0.4, 0.5]
    assert (scene.name, source.provenance["method"], source.provenance["quantity"]) == (
        "mine",
        "as given",
        None,
    )


def test_a_scale_of_one_and_nodata_by_the_item(floats):
    def change(item):
        item["assets"]["red"]["raster:bands"] = [{"scale": 1.0, "offset": 0, "nodata": 0.3}]
        item["assets"]["blue"]["raster:bands"] = [{"scale": 0.5, "offset": 0.25}]

    scene = open_item(floats(change)).read()
    assert float(scene.bands["blue"][0, 0]) == pytest.approx(0.3)  # 0.5 x 0.1 + 0.25
    assert scene.bands["red"].shape == SHAPE


def test_a_missing_band_is_no_matter(floats):
    source = open_item(floats(lambda item: item["assets"].pop("nir")))
    assert tuple(source.layers) == ("blue", "green", "red", "swir1")


def test_one_asset_of_all_bands(tmp_path, floats, tiny_grid):
    import rasterio

    def change(item):
        for key in ("blue", "green", "red", "nir", "swir16"):
            del item["assets"][key]
        names = [{"name": "green"}, {"name": "aerosol"}, {"common_name": "swir16"}]
        item["assets"]["data"] = {"href": "all.tif", "bands": names}

    grid = tiny_grid(shape=SHAPE)
    profile = {"driver": "GTiff", "height": SHAPE[0], "width": SHAPE[1], "count": 3, "dtype": "float32"}
    with rasterio.open(tmp_path / "all.tif", "w", crs=grid.crs, transform=grid.transform, **profile) as file:
        file.write(np.arange(1, 4, dtype="float32")[:, None, None] / 10 * np.ones((1, *SHAPE), "float32"))
    scene = open_item(floats(change)).read()
    assert {band: round(float(values[0, 0]), 6) for band, values in scene.bands.items()} == {
        "green": 0.1,
        "swir1": 0.3,
    }


def test_pictures_do_not_stand_for_bands(floats):
    picture = {"href": "tci.tif", "roles": ["visual"], "eo:bands": [{"common_name": "red"}]}
    scene = open_item(floats(lambda item: item["assets"].update(visual=picture))).read()
    assert round(float(scene.bands["red"][0, 0]), 6) == 0.3


def test_the_name_is_fit_for_a_file(floats):
    assert open_item(floats(lambda item: item.update(id="../../etc/x y"))).name == "etc_x_y"


def test_what_is_taken_for_an_item(tmp_path, floats):
    assert is_item("https://example.org/x") and is_item("https://example.org/x.json?a") and is_item(floats())
    (tmp_path / "outlines.json").write_text('{"type": "FeatureCollection", "features": []}')
    (tmp_path / "broken.json").write_text("{")
    for name in ("outlines.json", "broken.json", "none.json", "blue.tif", "\0.json", "x" * 300 + ".json"):
        assert not is_item(str(tmp_path / name))


def test_without_pystac_the_extra_is_named(floats, monkeypatch):
    monkeypatch.setitem(sys.modules, "pystac", None)
    with pytest.raises(GlacierError, match=r"needs pystac; install glacier_ml\[stac\]"):
        open_item(floats())


@pytest.mark.real_data
@pytest.mark.parametrize("method", [None, "chander"])
def test_a_real_scene_by_its_item_is_the_scene_by_its_folder(tmp_path, real_toa, method):
    folder = real_toa / "LT52240631988227CUB02"
    item = bare_item()
    item["properties"]["landsat:correction"] = "L1TP"
    for key, number in numbers("TM").items():
        item["assets"][key] = {"href": str(folder / f"{folder.name}_B{number}.TIF")}
    item["assets"]["MTL.txt"] = {"href": (folder / f"{folder.name}_MTL.txt").as_uri()}
    scene = open_item(str(written(item, tmp_path)), method=method).read()
    expected = open_scene(folder, method=method)
    assert scene.digest == expected.digest
    told = ("scene_id", "product_id", "date", "sun_elevation_deg", "method", "quantity", "sensor", "level")
    assert [scene.provenance[key] for key in told] == [expected.provenance[key] for key in told]


def test_pystac_asks_nothing_of_the_web(floats, monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    collection = {"rel": "collection", "href": "https://example.org/collection"}
    assert open_item(floats(lambda item: item["links"].append(collection))).layers


CHANGES = {
    "is a Collection; give the address of one of its Items": lambda item: item.update(type="Collection"),
    "is a Catalog": lambda item: item.update(type="Catalog"),
    "is a collection of features; give one Item": lambda item: item.update(type="FeatureCollection"),
    "is no STAC Item": lambda item: item.pop("assets"),
    "no usable id, stac_version": lambda item: item.update(id=1, stac_version=None),
    "no usable asset red": lambda item: item["assets"].update(red={}),
    r"no asset is a GeoTIFF of one of .* \(assets: ANG.txt, thumbnail\)": lambda item: [
        item["assets"].pop(key) for key in ("blue", "green", "red", "nir", "swir16")
    ],
    "bands are numbered and the Item names no sensor": lambda item: (
        item.update(assets={"B1": {"href": "blue.tif"}}, id="x"),
        item["properties"].update(platform="sentinel-2a", instruments=["msi"]),
    ),
    "assets blue-2 and blue-3 are both blue": lambda item: (
        item["assets"].update(
            {f"blue-{i}": {"href": "blue.tif", "eo:bands": [{"common_name": "blue"}]} for i in (2, 3)}
        ),
        item["assets"].pop("blue"),
    ),
    "asset red has scale 'many'": lambda item: item["assets"]["red"].update({"raster:scale": "many"}),
    "asset red has scale nan": lambda item: item["assets"]["red"].update({"raster:scale": float("nan")}),
    "asset red has scale 0 ": lambda item: item["assets"]["red"].update({"raster:scale": 0}),
    "asset red has scale 0.1 and offset 99": lambda item: item["assets"]["red"].update(
        {"raster:bands": [{"scale": 0.1, "offset": 99}]}
    ),
    "nothing.tif is not a file": lambda item: item["assets"]["red"].update(href="nothing.tif"),
    "/vsicurl/x.tif cannot be read; an Item may name": lambda item: item["assets"]["red"].update(
        href="/vsicurl/x.tif"
    ),
    "is no address": lambda item: item["assets"]["red"].update(href="http://[x/red.tif"),
    "is no valid Item": lambda item: item["properties"].update(datetime="yesterday"),
}


@pytest.mark.parametrize("line", CHANGES)
def test_what_is_no_scene_is_refused_in_a_line(floats, line):
    with pytest.raises(GlacierError, match=line) as caught:
        open_item(floats(CHANGES[line]), "mine")
    assert str(caught.value).startswith("mine: ") and "\n" not in str(caught.value)
