"""Importing: a scene folder whole or none, strip by strip, with its provenance in the tags."""

import json
from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
from landsat_bundles import (
    CLOUD,
    COLLECTIONS,
    CONTAINERS,
    FILL,
    SATURATED,
    made_bundle,
    mtl_groups,
    mtl_text,
    packed,
    product_id,
    reflectance,
    scene_id,
)
from rasterio.windows import Window
from rio_cogeo.cogeo import cog_validate
from shapely.geometry import box

from glacier_ml.errors import GlacierError
from glacier_ml.scenes import importing
from glacier_ml.scenes.importing import ImportOptions, import_scene
from glacier_ml.scenes.reading import open_scene
from glacier_ml.scenes.scene import BANDS


@pytest.fixture
def bundle(tmp_path):
    """A made Collection 2 bundle of Landsat 5."""
    return made_bundle(tmp_path / "bundle")


def bring(source, output, progress=False, **chosen):
    return import_scene(source, output, ImportOptions(**chosen), progress)


def files_below(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("collection", COLLECTIONS)
@pytest.mark.parametrize("container", CONTAINERS)
def test_a_bundle_becomes_a_folder_of_reflectance_cogs(tmp_path, container, collection):
    source = packed(made_bundle(tmp_path / "bundle", collection=collection), container)
    (imported,) = bring(source, tmp_path / "scenes")
    assert imported.folder.parent == tmp_path / "scenes"
    quality = [] if collection == "pre" else ["quality.tif"]
    if collection == "pre":  # without a quality band the sensor's ceiling is told still
        quality = ["quality.tif"]
    assert files_below(imported.folder) == sorted([f"{band}.tif" for band in BANDS] + quality)
    for file in imported.folder.iterdir():
        valid, errors, warnings = cog_validate(file)
        assert valid and not errors and not warnings
    direct, again = open_scene(source), open_scene(imported.folder)
    for band in BANDS:
        np.testing.assert_array_equal(again.bands[band], direct.bands[band])
    np.testing.assert_array_equal(again.valid, direct.valid)
    assert not again.valid[FILL]
    assert set(again.quality) == set(
        direct.quality
    )  # a mask that nothing told is not there, instead of empty
    for mask, flagged in direct.quality.items():
        np.testing.assert_array_equal(again.quality[mask], flagged)


def test_provenance_travels_in_the_tags(tmp_path, bundle):
    (imported,) = bring(bundle, tmp_path / "scenes")
    with rasterio.open(imported.folder / "red.tif") as dataset:
        tags, description = dataset.tags(), dataset.descriptions[0]
    assert description == "red"
    assert tags["SCENE_ID"] in (scene_id(), product_id())
    assert tags["PRODUCT_ID"] == product_id()
    assert (tags["SENSOR"], tags["SPACECRAFT"], tags["DATE"]) == ("TM", "LANDSAT_5", "2007-09-17")
    assert float(tags["SUN_ELEVATION"]) == 30.0
    assert (tags["QUANTITY"], tags["METHOD"]) == ("toa_reflectance", "mtl")
    # (0.002 DN - 0.01) / sin 30 degrees
    assert (float(tags["GAIN"]), float(tags["OFFSET"])) == (pytest.approx(0.004), pytest.approx(-0.02))
    assert tags["SOFTWARE"].startswith("glacier_ml ") and tags["TIFFTAG_SOFTWARE"] == tags["SOFTWARE"]
    assert str(tmp_path) not in json.dumps(tags)
    known = open_scene(imported.folder).provenance
    assert known["sun_elevation_deg"] == 30.0 and known["level"] == 1 and known["method"] == "mtl"
    assert known["date"] == "2007-09-17" and known["sensor"] == "TM"


def test_the_method_is_the_users_choice_and_recorded(tmp_path, bundle):
    (by_mtl,) = bring(bundle, tmp_path / "mtl")
    (by_table,) = bring(bundle, tmp_path / "chander", method="chander")
    first, second = open_scene(by_mtl.folder), open_scene(by_table.folder)
    assert (first.provenance["method"], second.provenance["method"]) == ("mtl", "chander")
    # The made RADIANCE_MULT is 0.002 ESUN / pi: the two methods differ by d^2 = 1.00503^2 alone.
    ratio = second.bands["red"] / first.bands["red"]
    np.testing.assert_allclose(ratio[first.valid], 1.0050300**2, rtol=1e-5)


def test_strips_and_bounds_give_the_same_pixels(tmp_path, monkeypatch):
    monkeypatch.setattr(importing, "STRIP", 16)
    bundle = made_bundle(tmp_path / "bundle", shape=(50, 40))
    (whole,) = bring(bundle, tmp_path / "whole")
    np.testing.assert_allclose(
        open_scene(whole.folder).bands["nir"][1:], reflectance("nir", (50, 40))[1:], atol=1e-6
    )
    # Rows 20 to 39 and columns 10 to 29 of 30 m cells from (480000, 6780000) in UTM 6 north.
    inside = geopandas.GeoSeries(
        [box(480_000 + 330, 6_780_000 - 1170, 480_000 + 870, 6_780_000 - 630)], crs="EPSG:32606"
    )
    (part,) = bring(bundle, tmp_path / "part", bounds=tuple(inside.to_crs("EPSG:4326").total_bounds))
    cut, grid = open_scene(part.folder), open_scene(whole.folder).grid
    column, row = (round(one) for one in ~grid.transform @ (cut.grid.transform.c, cut.grid.transform.f))
    # The smallest window of whole pixels that covers the bounds, turned as degrees lie on the grid.
    assert 18 <= row <= 21 and 8 <= column <= 11
    assert 18 <= cut.shape[0] <= 24 and 18 <= cut.shape[1] <= 24
    whole_nir = open_scene(whole.folder).bands["nir"]
    crop = whole_nir[row : row + cut.shape[0], column : column + cut.shape[1]]
    np.testing.assert_array_equal(cut.bands["nir"], crop)
    assert sum(file.stat().st_size for file in part.folder.iterdir()) > 0


def test_clouds_stay_unless_dropped_and_saturation_is_told(tmp_path, bundle):
    (kept,) = bring(bundle, tmp_path / "kept")
    (dropped,) = bring(bundle, tmp_path / "dropped", drop=("cloud",))
    assert open_scene(kept.folder).valid[CLOUD]
    assert open_scene(kept.folder).quality["cloud"][CLOUD]
    again = open_scene(dropped.folder)
    assert not again.valid[CLOUD] and np.isnan(again.bands["red"][CLOUD])
    # 4 x 6 pixels, 1 fill: 23 with data, 1 of them saturated in blue and 1 cloud: 4.3 %.
    assert "saturated blue 4.3 %" in str(kept) and "cloud 4.3 %" in str(kept)
    assert open_scene(kept.folder).saturated("blue")[SATURATED]
    assert open_scene(kept.folder).saturated("blue").sum() == 1


def test_a_mask_that_nothing_tells_is_refused(tmp_path):
    bundle = made_bundle(tmp_path / "bundle", collection="pre")
    with pytest.raises(GlacierError, match="drop: cloud cannot be told from its files"):
        bring(bundle, tmp_path / "scenes", drop=("cloud",))
    assert not files_below(tmp_path / "scenes")


def test_a_folder_of_several_becomes_several(tmp_path):
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    packed(made_bundle(tmp_path / "one"), "tar", shelf / f"{product_id()}.tar")
    made_bundle(shelf / "other", sensor="OLI")
    found = bring(shelf, tmp_path / "scenes")
    assert sorted(one.provenance["sensor"] for one in found) == ["OLI", "TM"]
    assert len({one.folder for one in found}) == 2


def test_the_same_scene_twice_is_refused_before_anything_is_written(tmp_path):
    shelf = tmp_path / "shelf"
    made_bundle(shelf / "first")
    made_bundle(shelf / "second")
    with pytest.raises(GlacierError, match=r"second: is scene .*, and so is .*first; keep one of them"):
        bring(shelf, tmp_path / "scenes")
    assert not (tmp_path / "scenes").exists()


def test_both_levels_of_a_scene_are_two_products(tmp_path):
    shelf = tmp_path / "shelf"
    for collection in ("C2", "C2L2"):
        made_bundle(shelf / collection, collection=collection)
    found = bring(shelf, tmp_path / "scenes")
    assert [one.provenance["quantity"] for one in found] == ["toa_reflectance", "surface_reflectance"]


def test_what_is_there_already_stays_unless_told_otherwise(tmp_path, bundle):
    (imported,) = bring(bundle, tmp_path / "scenes")
    before = {file: file.stat().st_mtime_ns for file in imported.folder.iterdir()}
    with pytest.raises(GlacierError, match="is there already; name another output"):
        bring(bundle, tmp_path / "scenes", method="chander")
    assert {file: file.stat().st_mtime_ns for file in imported.folder.iterdir()} == before
    bring(bundle, tmp_path / "scenes", method="chander", overwrite=True)
    assert open_scene(imported.folder).provenance["method"] == "chander"
    assert [path.name for path in (tmp_path / "scenes").iterdir()] == [imported.name]


@pytest.mark.parametrize("ending", [KeyboardInterrupt, GlacierError])
def test_an_import_that_ends_early_leaves_nothing(tmp_path, bundle, monkeypatch, ending):
    def ended(*_):
        raise ending("the user went")

    monkeypatch.setattr(importing, "_finish", ended)
    with pytest.raises(ending):
        bring(bundle, tmp_path / "scenes")
    assert not (tmp_path / "scenes").exists()


def test_a_truncated_band_leaves_nothing(tmp_path, bundle):
    file = next(bundle.glob("*_B3.TIF"))
    file.write_bytes(file.read_bytes()[:-40])
    with pytest.raises(GlacierError, match=r"_B3\.TIF"):
        bring(bundle, tmp_path / "scenes")
    assert not files_below(tmp_path / "scenes")


def test_outlines_of_the_window_come_along(tmp_path):
    bundle = made_bundle(tmp_path / "bundle", shape=(40, 40))
    # Rows and columns 10 to 19 of 30 m; and a glacier far away.
    near = box(480_300, 6_779_400, 480_600, 6_779_700)
    far = box(580_300, 6_779_400, 580_600, 6_779_700)
    geopandas.GeoDataFrame({"rgi_id": ["a", "b"]}, geometry=[near, far], crs="EPSG:32606").to_file(
        tmp_path / "region.gpkg"
    )
    (imported,) = bring(bundle, tmp_path / "scenes", outlines=tmp_path / "region.gpkg")
    brought = geopandas.read_file(imported.folder / "outlines.gpkg")
    assert list(brought["rgi_id"]) == ["a"]


def test_a_name_that_would_leave_the_output_is_refused(tmp_path, monkeypatch):
    bundle = made_bundle(tmp_path / "bundle")
    root, groups = mtl_groups()
    for pairs in groups.values():
        for key in ("LANDSAT_PRODUCT_ID", "LANDSAT_SCENE_ID"):
            if key in pairs:
                pairs[key] = "../../evil"
    next(bundle.glob("*_MTL.txt")).write_bytes(mtl_text(root, groups))
    before = files_below(tmp_path)
    try:
        bring(bundle, tmp_path / "deep/er/scenes")
    except GlacierError:
        assert files_below(tmp_path) == before
    assert not list(tmp_path.parent.glob("evil*")) and not list(tmp_path.glob("evil*"))


def test_an_export_is_imported_as_it_is(tmp_path, tiny_scene_folder):
    folder = tiny_scene_folder("LT05_066017_20070917")
    (imported,) = bring(folder, tmp_path / "scenes")
    assert imported.name == "LT05_066017_20070917"
    before, after = open_scene(folder), open_scene(imported.folder)
    np.testing.assert_array_equal(after.bands["red"], before.bands["red"])
    assert (after.provenance["method"], after.provenance["date"]) == ("as given", "2007-09-17")


def test_no_scene_at_the_source(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(
        GlacierError, match="source: .*empty is no scene and holds none; give a Landsat bundle"
    ):
        bring(tmp_path / "empty", tmp_path / "scenes")
    with pytest.raises(GlacierError, match="source: .*nowhere does not exist"):
        bring(tmp_path / "nowhere", tmp_path / "scenes")


def test_a_progress_bar_is_shown(tmp_path, bundle, capfd):
    bring(bundle, tmp_path / "scenes", progress=True)
    told = capfd.readouterr().err
    assert "100%" in told and product_id() in told or scene_id() in told


@pytest.mark.real_data
def test_the_real_bundle_is_imported(tmp_path, real_toa):
    (imported,) = bring(real_toa / "LT52240631988227CUB02", tmp_path / "scenes", method="chander")
    scene = open_scene(imported.folder)
    assert imported.name == "LT52240631988227CUB02"
    assert scene.shape == (310, 287) and scene.provenance["sun_elevation_deg"] == 49.75588889
    with rasterio.open(Path(real_toa) / "LT52240631988227CUB02/LT52240631988227CUB02_B1.TIF") as dataset:
        number = int(dataset.read(1, window=Window(100, 100, 1, 1))[0, 0])
    # Chander et al. (2009): pi (0.671 DN - 2.19134) d^2 / (1983 sin 49.756), d = 1.0129 on 14 August.
    by_hand = np.pi * (0.671 * number - 2.19134) * 1.0129**2 / (1983 * np.sin(np.radians(49.75588889)))
    assert scene.bands["blue"][100, 100] == pytest.approx(by_hand, rel=2e-3)
