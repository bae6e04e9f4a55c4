"""Scenes from every layout that users have, and the lines that refuse what is no scene."""

import json
import time
from dataclasses import replace

import numpy as np
import pytest
import rasterio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from landsat_bundles import made_bundle
from rasterio.crs import CRS

from glacier_ml.errors import GlacierError
from glacier_ml.scenes.rasters import write_raster
from glacier_ml.scenes.reading import holds_scene, open_scene, scene_grid, write_scene
from glacier_ml.scenes.scene import Scene

FIVE = ("blue", "green", "red", "nir", "swir1")


@pytest.fixture
def stack(tmp_path, tiny_grid):
    """Factory of one GeoTIFF with a band for each label; band i holds i / 100 everywhere."""

    def write(labels, filename="export.tif", dtype="float32", tags=None, values=None):
        grid = tiny_grid()
        profile = {"driver": "GTiff", "height": 24, "width": 32, "count": len(labels), "dtype": dtype}
        with rasterio.open(
            tmp_path / filename, "w", crs=grid.crs, transform=grid.transform, **profile
        ) as file:
            for index, label in enumerate(labels, 1):
                file.write(np.full(grid.shape, index / 100 if values is None else values, dtype), index)
                if label:
                    file.set_band_description(index, label)
            file.update_tags(**(tags or {}))
        return tmp_path / filename

    return write


def first_values(scene):
    """Hundredths of reflectance in the first pixel, by band: the index of the band in `stack`'s file."""
    return {band: round(float(values[0, 0]) * 100) for band, values in scene.bands.items()}


def test_a_folder_with_one_file_a_band(tiny_scene_folder, tiny_grid):
    folder = tiny_scene_folder("columbia", nodata_columns=3)
    scene = open_scene(folder)
    assert scene.name == "columbia"
    assert tuple(scene.bands) == FIVE
    assert scene.grid == tiny_grid()
    assert {values.dtype for values in scene.bands.values()} == {np.dtype("float32")}
    # 3 of 32 columns are NaN.
    assert scene.valid.mean() == 29 / 32
    assert not scene.valid[:, 29:].any()
    assert scene_grid(folder, "columbia") == scene.grid


def test_swir_alone_is_swir1_and_capitals_do_not_matter(tiny_scene_folder):
    folder = tiny_scene_folder()
    expected = open_scene(folder)
    (folder / "swir1.tif").rename(folder / "swir.tif")
    (folder / "blue.tif").rename(folder / "Blue.TIF")
    scene = open_scene(folder)
    assert scene.digest == expected.digest
    assert scene.provenance["files"] == {
        "blue": "Blue.TIF", "green": "green.tif", "red": "red.tif", "nir": "nir.tif", "swir1": "swir.tif"
    }  # fmt: skip


def test_numbered_files_are_read_by_the_sensor_in_their_name(tiny_scene_folder):
    folder = tiny_scene_folder()
    expected = open_scene(folder)
    for number, band in enumerate(FIVE, 1):
        (folder / f"{band}.tif").rename(folder / f"LT05_066017_20070917_B{number}.TIF")
    scene = open_scene(folder)
    assert scene.digest == expected.digest
    assert scene.provenance["sensor"] == "TM"
    assert scene.provenance["date"] == "2007-09-17"


def test_earth_engine_names_files_scene_dot_band(tiny_scene_folder):
    folder = tiny_scene_folder()
    for band in FIVE:
        (folder / f"{band}.tif").rename(folder / f"image.{band}.tif")
    assert tuple(open_scene(folder).bands) == FIVE


def test_one_file_with_named_bands_in_any_order(stack):
    path = stack(["nir", "SWIR", "blue", "thermal", "red", "green", "swir2"])
    scene = open_scene(path)
    assert scene.name == "export"
    assert first_values(scene) == {"blue": 3, "green": 6, "red": 5, "nir": 1, "swir1": 2, "swir2": 7}


@pytest.mark.parametrize(
    ("filename", "tags", "sensor", "expected"),
    [
        ("LT05_066017_20070917.tif", None, None, {"blue": 1, "red": 3, "nir": 4, "swir1": 5, "swir2": 7}),
        ("export.tif", {"SPACECRAFT_ID": "LANDSAT_7"}, None, {"blue": 1, "red": 3, "nir": 4, "swir1": 5}),
        ("export.tif", {"SENSOR": "OLI"}, None, {"blue": 2, "red": 4, "nir": 5, "swir1": 6, "swir2": 7}),
        ("export.tif", None, "Landsat 8", {"blue": 2, "red": 4, "nir": 5, "swir1": 6, "swir2": 7}),
        # What the user says counts for more than what a name says.
        ("LT05_066017_20070917.tif", None, "OLI", {"blue": 2, "red": 4, "nir": 5, "swir1": 6}),
    ],
)
def test_band_numbers_mean_what_the_sensor_says(stack, filename, tags, sensor, expected):
    path = stack([f"B{number}" for number in range(1, 8)] + ["QA_PIXEL"], filename, tags=tags)
    values = first_values(open_scene(path, sensor=sensor))
    assert {band: values[band] for band in expected} == expected


def test_band_numbers_without_a_sensor_are_refused_with_the_mend(stack):
    with pytest.raises(GlacierError, match=r"export: B1, B2, B3 are other bands on TM .* 'sensor: TM'"):
        open_scene(stack(["B1", "B2", "B3"]))


def test_two_sensors_in_the_names_are_refused(stack):
    path = stack(["B1", "B2"], tags={"NOTE": "LT05 matched to LC08"})
    with pytest.raises(GlacierError, match="sensors OLI and TM are both named"):
        open_scene(path)


def test_unnamed_bands_are_refused(stack):
    with pytest.raises(
        GlacierError, match=r"bands of export\.tif are not named \(descriptions: none, none\)"
    ):
        open_scene(stack(["", ""]))


def test_a_folder_that_holds_one_stack_is_that_scene(stack, tiny_scene_folder):
    path = stack(FIVE)
    folder = path.parent / "scene"
    folder.mkdir()
    path.rename(folder / "export.tif")
    write_raster(folder / "outlines.tif", np.ones((24, 32), np.uint8), open_scene(folder).grid)
    assert holds_scene(folder)
    assert open_scene(folder).name == "scene"


def test_what_is_no_scene_says_what_it_holds(tmp_path, tiny_grid):
    write_raster(tmp_path / "ndsi.tif", np.zeros((24, 32), np.float32), tiny_grid())
    assert not holds_scene(tmp_path)
    with pytest.raises(GlacierError, match=r"no scene folder; it needs blue\.tif.*\(found ndsi\.tif\)"):
        open_scene(tmp_path)
    with pytest.raises(GlacierError, match="absent does not exist"):
        open_scene(tmp_path / "absent")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -9999.0])
def test_nan_infinity_and_nodata_are_not_valid(tiny_scene_folder, value):
    folder = tiny_scene_folder()
    with rasterio.open(folder / "red.tif", "r+") as file:
        values = file.read(1)
        values[2, 3] = value
        file.write(values, 1)
        file.nodata = -9999.0
    scene = open_scene(folder)
    assert np.argwhere(~scene.valid).tolist() == [[2, 3]]
    assert np.isnan(scene.bands["red"][2, 3])
    assert scene.stack(FIVE)[2, 3].tolist() == [0, 0, 0, 0, 0]


def test_a_scene_without_any_valid_pixel_is_refused(tiny_scene_folder):
    nothing = np.full((24, 32), np.nan, np.float32)
    with pytest.raises(GlacierError, match="tiny: no pixel has data in every band"):
        open_scene(tiny_scene_folder(replace={"nir": nothing}))


@pytest.mark.parametrize(
    "values",
    [
        np.full((24, 32), 57, np.uint8),
        np.full((24, 32), 1, np.uint16),  # dark, but whole numbers of a sensor
        np.full((24, 32), 57, np.float32),
        np.full((24, 32), 3500, np.int16),
    ],
)
def test_dn_are_refused(tiny_scene_folder, values):
    with pytest.raises(GlacierError, match=r"tiny: green\.tif holds DN, not reflectance .* convert"):
        open_scene(tiny_scene_folder(replace={"green": values}))


def test_a_scale_in_the_file_makes_reflectance_of_whole_numbers(tiny_scene_folder):
    folder = tiny_scene_folder(replace={"green": np.full((24, 32), 20_000, np.uint16)})
    with rasterio.open(folder / "green.tif", "r+") as file:
        file.scales, file.offsets = (2.75e-05,), (-0.2,)
    # 2.75e-5 * 20000 - 0.2 = 0.35
    np.testing.assert_allclose(open_scene(folder).bands["green"], 0.35, atol=1e-6)


@pytest.mark.parametrize(
    ("where", "difference"),
    [
        ({"shape": (24, 31)}, "shape"),
        ({"epsg": 32607}, "CRS EPSG:32606 against EPSG:32607"),
        ({"west": 480_030.0}, "transform"),
    ],
)
def test_bands_on_two_grids_are_refused_by_both_names(tiny_scene_folder, tiny_grid, where, difference):
    folder = tiny_scene_folder()
    grid = tiny_grid(**where)
    write_raster(folder / "swir1.tif", np.full(grid.shape, 0.1, np.float32), grid)
    match = rf"tiny: blue\.tif and swir1\.tif are on different grids \({difference}"
    with pytest.raises(GlacierError, match=match):
        open_scene(folder)


def test_two_files_of_one_band_are_refused(tiny_scene_folder):
    folder = tiny_scene_folder()
    (folder / "swir.tif").write_bytes((folder / "swir1.tif").read_bytes())
    with pytest.raises(GlacierError, match=r"swir\.tif and swir1\.tif are both swir1; keep one"):
        open_scene(folder)


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_a_scene_without_a_place_is_refused(tiny_scene_folder):
    folder = tiny_scene_folder()
    profile = {"driver": "GTiff", "height": 24, "width": 32, "count": 1, "dtype": "float32"}
    for band in FIVE:
        with rasterio.open(folder / f"{band}.tif", "w", **profile) as file:
            file.write(np.full((24, 32), 0.1, np.float32), 1)
    with pytest.raises(GlacierError, match=r"tiny: blue\.tif has no coordinate reference system"):
        open_scene(folder)


def test_a_band_file_of_several_bands_is_refused(tiny_scene_folder, stack):
    folder = tiny_scene_folder()
    stack(["", ""], "blue.tif").replace(folder / "blue.tif")
    with pytest.raises(GlacierError, match=r"blue\.tif has 2 bands, not one"):
        open_scene(folder)


def test_provenance_is_plain_json(tiny_scene_folder):
    folder = tiny_scene_folder(tags={"SENSOR": "TM", "DATE": "2009-09-06"})
    provenance = open_scene(folder).provenance
    assert json.loads(json.dumps(provenance)) == provenance
    assert provenance["source"] == str(folder)
    assert (provenance["sensor"], provenance["date"]) == ("TM", "2009-09-06")
    assert provenance["sizes"]["nir.tif"] == (folder / "nir.tif").stat().st_size


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(arrays(np.float32, (3, 4), elements=st.floats(-0.0625, 1.5, width=32) | st.just(np.nan)))
def test_a_written_scene_comes_back_whole(tmp_path, tiny_grid, values):
    grid = tiny_grid(shape=(3, 4))
    values[[0, -1], 0] = 0.25  # one pixel with both bands at least
    bands = {"green": values, "swir2": values[::-1].copy()}
    valid = np.isfinite(values) & np.isfinite(values[::-1])
    scene = Scene("made", bands, valid, grid, {"sensor": "TM", "date": "2007-09"})
    write_scene(scene, tmp_path / "made")
    again = open_scene(tmp_path / "made")
    assert again.digest == scene.digest
    np.testing.assert_array_equal(again.valid, valid)
    assert (again.provenance["sensor"], again.provenance["date"]) == ("TM", "2007-09")


@pytest.mark.real_data
def test_the_landsat_scenes_are_read_quickly(real_scenes):
    begin = time.process_time()  # not the wall's: the test may share its cores
    scene = open_scene(real_scenes / "geometry8")
    assert time.process_time() - begin < 2.0
    assert scene.shape == (1297, 1333)
    assert scene.grid.crs.to_epsg() == 32618
    assert tuple(scene.bands) == FIVE
    # A few SWIR values are negative and stay so; nothing is near DN.
    assert -0.1 < np.nanmin(scene.bands["swir1"]) < 0
    assert np.nanmax(scene.bands["nir"]) < 2


def test_bounds_of_a_scene_on_a_site_grid_are_refused(tmp_path, tiny_grid):
    site = replace(tiny_grid(), crs=CRS.from_wkt('LOCAL_CS["site grid",UNIT["metre",1]]'))
    write_raster(tmp_path / "site" / "nir.tif", np.full(site.shape, 0.2, np.float32), site)
    with pytest.raises(GlacierError, match="site: its CRS does not say where on Earth it lies; leave"):
        open_scene(tmp_path / "site", bounds=(-148.0, 60.0, -146.0, 62.0))


def test_a_sensor_that_the_metadata_deny_is_refused(tmp_path):
    bundle = made_bundle(tmp_path / "bundle")
    assert open_scene(bundle, sensor="Landsat 5").provenance["sensor"] == "TM"
    with pytest.raises(GlacierError, match="sensor OLI is named for it, and its metadata say TM; leave"):
        open_scene(bundle, sensor="OLI")


def test_the_masks_of_a_written_scene_come_back_and_no_others(tmp_path, tiny_scene_folder):
    scene = open_scene(tiny_scene_folder())
    cloud = np.zeros(scene.shape, bool)
    cloud[3, 4] = True
    write_scene(replace(scene, quality={"cloud": cloud}), tmp_path / "written")
    again = open_scene(tmp_path / "written")
    assert list(again.quality) == ["cloud"]
    np.testing.assert_array_equal(again.quality["cloud"], cloud)
    with pytest.raises(GlacierError, match="drop: cloud_shadow cannot be told from its files .masks: cloud"):
        open_scene(tmp_path / "written", drop=("cloud_shadow",))
