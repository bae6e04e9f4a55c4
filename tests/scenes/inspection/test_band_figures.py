"""Figures of bands, and the findings that follow from them."""

import math
from dataclasses import replace

import numpy as np
import pytest
from rasterio.crs import CRS

from glacier_ml.errors import GlacierError
from glacier_ml.scenes.catalog import CatalogEntry, open_catalog
from glacier_ml.scenes.inspection import sample as sample_module
from glacier_ml.scenes.inspection.bands import band_figures, bright, flagged, identical_bands
from glacier_ml.scenes.inspection.report import inspect_scene
from glacier_ml.scenes.inspection.sample import Sample, read_sample, spread_windows
from glacier_ml.scenes.rasters import write_raster
from glacier_ml.scenes.scene import Scene

SHAPE = (24, 32)


def sample_of(grid, bands, quality=None):
    valid = np.logical_and.reduce([np.isfinite(values) for values in bands.values()])
    scene = Scene("a", bands, valid, grid, {}, quality or {})
    return Sample(grid, (scene,), (), (), None, None, (), {})


def bands_of(**values):
    return {band: np.full(SHAPE, value, np.float32) for band, value in values.items()}


def entry_of(path, **keys):
    (entry,) = open_catalog(path).entries
    return replace(entry, **keys)


def codes(path, **keys):
    return {one.code: one for one in inspect_scene(entry_of(path, **keys)).findings}


def test_range_and_negatives_are_counted_where_the_band_has_data(tiny_grid):
    bands = bands_of(green=0.5, nir=0.25, swir1=0.1)
    bands["swir1"][0, :8] = np.nan
    bands["swir1"][1, :19] = -0.01
    bands["nir"][0, :2] = 1.7
    figures, _ = band_figures(sample_of(tiny_grid(), bands), "TM")
    # 24 x 32 = 768 pixels, 8 of them without SWIR: 760; 19 / 760 = 2.5 %.
    assert figures["swir1"]["data_percent"] == pytest.approx(100 * 760 / 768)
    assert figures["swir1"]["negative"] == 19
    assert figures["swir1"]["negative_percent"] == pytest.approx(2.5)
    assert figures["swir1"]["quantiles"]["0%"] == pytest.approx(-0.01)
    assert figures["swir1"]["quantiles"]["50%"] == pytest.approx(0.1)
    assert figures["nir"]["beyond"] == 2
    assert [figures[band]["constant"] for band in bands] == [True, False, False]


def test_saturation_is_told_by_the_quality_masks_then_by_dn_then_by_the_largest_value(tiny_grid):
    # Blue of Landsat 5 with the sun at 30 degrees, DN 1 to 255 in turn: 768 = 3 x 255 + 3.
    number = (np.arange(768) % 255 + 1).reshape(SHAPE)
    blue = (math.pi * (0.765827 * number - 2.28583) / (1944 * 0.5)).astype(np.float32)
    red = np.random.default_rng(0).uniform(0.1, 0.9, SHAPE).astype(np.float32)
    red[0] = 0.95
    flags = np.zeros(SHAPE, bool)
    flags[:6] = True
    bands = {"blue": blue, "red": red, "nir": red.copy()}
    figures, _ = band_figures(sample_of(tiny_grid(), bands, {"saturated_nir": flags}), "TM")
    told = {band: (one["saturation_from"], one["saturated_percent"]) for band, one in figures.items()}
    assert told == {
        "blue": ("DN", pytest.approx(100 * 3 / 768)),
        "red": ("largest value", pytest.approx(100 / 24)),
        "nir": ("quality", pytest.approx(25.0)),
    }


def test_the_usual_rule_for_snow(tiny_grid):
    # NDSI: (0.5 - 0.2) / 0.7 = 0.43, (0.5 - 0.25) / 0.75 = 0.33; negative SWIR counts as 0.005.
    bands = bands_of(green=0.5, nir=0.3, swir1=0.2)
    bands["swir1"][0], bands["swir1"][1], bands["nir"][2] = 0.25, -0.01, 0.11
    bands["green"][3] = np.nan
    (found,) = bright(sample_of(tiny_grid(), bands))
    np.testing.assert_array_equal(found.all(axis=1), [False, True, False, False] + [True] * 20)
    assert bright(sample_of(tiny_grid(), bands_of(green=0.5, nir=0.3))) is None


def test_copies_and_flags_are_told(tiny_grid):
    bands = bands_of(green=0.5, nir=0.3, swir1=0.5)
    bands["green"][0, 0] = bands["swir1"][0, 0] = np.nan
    cloud = np.zeros(SHAPE, bool)
    cloud[:, :8] = True
    found = sample_of(tiny_grid(), bands, {"cloud": cloud, "fill": cloud, "saturated_nir": cloud})
    assert identical_bands(found) == [["green", "swir1"]]
    assert flagged(found) == {"cloud": pytest.approx(100 * 191 / 767)}


@pytest.mark.parametrize("number", [-9999.0, 0.0, 65535.0])
def test_fill_that_no_file_tells_of_is_a_fault_and_counts_as_no_data(tiny_scene_folder, number):
    scene = entry_of(tiny_scene_folder(outlines=False)).open()
    values = {band: one.copy() for band, one in scene.bands.items()}
    for one in values.values():
        one[:, :4] = number
    report = inspect_scene(entry_of(tiny_scene_folder("filled", replace=values)))
    found = {one.code: one for one in report.findings}
    assert found["nodata-number"].severity == "fault"
    assert found["nodata-number"].data == pytest.approx({"number": number, "percent": 12.5})
    assert report.facts["valid_percent"] == pytest.approx(87.5)
    assert "out-of-range" not in found
    assert report.facts["bands"]["red"]["quantiles"]["0%"] > 0


def test_fill_in_one_band_alone_is_told_and_zero_swir_is_not_fill(tiny_scene_folder):
    values = np.full(SHAPE, 0.2, np.float32)
    values[0] = -32768
    assert "nodata-number" in codes(tiny_scene_folder("one", replace={"nir": values}))
    values[0] = 0.0
    assert "nodata-number" not in codes(tiny_scene_folder("zero", replace={"nir": values}))


def test_a_scene_of_fill_alone_is_unreadable(tiny_scene_folder):
    empty = {band: np.zeros(SHAPE, np.float32) for band in ("blue", "green", "red", "nir", "swir1")}
    with pytest.raises(GlacierError, match=r"filled: no pixel has data in every band \(0 counts as none\)"):
        read_sample(entry_of(tiny_scene_folder("filled", replace=empty)))


def test_a_constant_a_copied_and_a_missing_band_are_told(tiny_scene_folder):
    found = codes(tiny_scene_folder("constant", replace={"red": np.full(SHAPE, 0.3, np.float32)}))
    assert "red is 0.3 in every pixel" in found["constant-band"].message
    green = entry_of(tiny_scene_folder("first")).open().bands["green"]
    found = codes(tiny_scene_folder("copy", replace={"red": green}))
    assert found["identical-bands"].message.startswith("green and red hold the same values")
    found = codes(tiny_scene_folder("dropped", drop=("nir", "swir1")))
    assert found["no-ndsi"].message.startswith("without nir and swir1 what is NDSI-bright")


def test_values_that_are_hardly_reflectance_are_told(tiny_scene_folder):
    values = np.full(SHAPE, 0.2, np.float32)
    values[0, 0] = 1.9
    few = codes(tiny_scene_folder("few", replace={"nir": values}))["out-of-range"]
    assert few.severity == "note"
    assert few.message.startswith("nir holds 1 value hardly possible for reflectance (range 0.2 to 1.9)")
    values[0, 0] = -0.01
    few = codes(tiny_scene_folder("negative", shape=(240, 320), replace={"nir": np.tile(values, (10, 10))}))
    # 100 of 76800 pixels are 0.13 %.
    assert "negative values: nir 100 pixels (0.1 %)" in few["negative-reflectance"].message
    values[:2] = 1.9 + np.arange(64).reshape(2, 32) / 1000
    assert codes(tiny_scene_folder("many", replace={"nir": values}))["out-of-range"].severity == "fault"


def test_a_scene_on_a_grid_that_lies_nowhere_is_told(tmp_path, tiny_grid):
    nowhere = replace(tiny_grid(), crs=CRS.from_wkt('LOCAL_CS["site grid",UNIT["metre",1]]'))
    for band in ("green", "nir", "swir1"):
        values = np.random.default_rng(0).uniform(0.1, 0.3, SHAPE).astype(np.float32)
        write_raster(tmp_path / "nowhere" / f"{band}.tif", values, nowhere)
    report = inspect_scene(CatalogEntry("nowhere", tmp_path / "nowhere", "p", "r", "unseen", "2007-09-17"))
    assert {one.code for one in report.faults} == {"place-unknown", "identical-bands"}
    assert report.facts["latitude"] is None
    text = report.to_text()
    assert ", site grid, place unknown (p)" in text
    assert "its CRS (site grid) and" in report.faults[0].message


def test_degrees_beyond_the_globe_are_no_place(tmp_path, tiny_grid):
    beyond = replace(tiny_grid(), crs=CRS.from_epsg(4326))  # easting 480000, northing 6780000
    values = np.random.default_rng(0).uniform(0.1, 0.3, SHAPE).astype(np.float32)
    write_raster(tmp_path / "beyond" / "nir.tif", values, beyond)
    report = inspect_scene(CatalogEntry("beyond", tmp_path / "beyond", "p", "r", "unseen", "2007-09-17"))
    assert {one.code for one in report.faults} == {"place-unknown"}


@pytest.mark.parametrize("shape", [(100, 100), (3000, 40), (9000, 8000), (300, 80_000), (20_000, 20_000)])
def test_windows_lie_inside_apart_and_within_the_limit(shape):
    windows = list(spread_windows(shape))
    ends = [0] + [window.row_off + window.height for window in windows]
    assert all(window.row_off >= end for window, end in zip(windows, ends[:-1], strict=True))
    assert ends[-1] <= shape[0]
    assert sum(window.height * window.width for window in windows) <= max(20e6, 256 * shape[1])
    if shape[0] * shape[1] <= 20e6:
        assert [(window.width, window.height) for window in windows] == [(shape[1], shape[0])]


def test_a_large_scene_is_looked_at_in_strips(tiny_scene_folder, monkeypatch):
    folder = tiny_scene_folder("large", shape=(1024, 128), nodata_columns=32)
    whole = inspect_scene(entry_of(folder)).facts
    monkeypatch.setattr(sample_module, "LARGEST_SAMPLE", 2 * 256 * 128)
    strips = inspect_scene(entry_of(folder))
    assert strips.facts["pixels_read"] == 2 * 256 * 128
    assert "strips with 50 % of the pixels" in strips.to_text()
    for key in ("valid_percent", "rows", "columns", "latitude"):
        assert strips.facts[key] == whole[key]
    # The first and the last 256 of 1024 rows: the upper is half glacier as the whole scene's upper half is.
    assert strips.facts["outlines"]["glacier_percent"] == whole["outlines"]["glacier_percent"]
