"""The command `inventory`, its pictures, and the real scenes."""

import os
from pathlib import Path

import geopandas
import numpy as np
import pandas as pd
import pytest
import rasterio
import shapely
from made_maps import write_maps
from pyproj import Geod
from test_cli import run
from written_maps import write_map

from glacier_ml.errors import GlacierError
from glacier_ml.evaluation.figures import FALSE_COLOUR
from glacier_ml.learning.rules import NdsiClassifier
from glacier_ml.products import strips
from glacier_ml.products.inventory.cautions import InventoryWarning
from glacier_ml.products.inventory.compilation import inventory as made_inventory
from glacier_ml.products.inventory.options import InventoryOptions
from glacier_ml.products.inventory.outline_picture import outlines_figure, thinned_scene
from glacier_ml.scenes.addresses import whole_address
from glacier_ml.scenes.catalog import open_catalog
from glacier_ml.scenes.sources import Source

ICE = shapely.box(-147.35, 61.14, -147.34, 61.15)


def inventory(maps, output, **chosen):
    return made_inventory(maps, output, InventoryOptions(**chosen))


def map_of(entry, folder):
    """Write the map of the NDSI rule, whose scores are no calibrated probabilities; gives the scene."""
    rule, scene = NdsiClassifier(), entry.open()
    write_map(scene, rule.probability(scene), rule.threshold, folder, {"model": "NDSI"}, picture=False)
    return scene


def test_the_command_writes_tells_and_draws_on_the_scene(tmp_path, tiny_scene_folder, capfd):
    folder = tiny_scene_folder("scenes/peak", shape=(60, 80))
    (entry,) = open_catalog(tmp_path / "scenes").entries
    scene = map_of(entry, tmp_path / "maps")
    output = tmp_path / "out" / "peak.geojson"
    options = ("--maps", tmp_path / "maps", "--output", output, "--schema", "glims", "--data", folder.parent)
    assert run("inventory", *options, "--terms", "half_pixel", "--simplify", "", "--outlines", "") == 0
    told = capfd.readouterr()
    # A quarter of 60 x 80 pixels, beside UTM 6's central meridian.
    assert told.out.splitlines()[0].startswith("peak: 1 glacier, 1.08")
    names = ["peak.geojson", "peak_areas.png", "peak_glaciers.csv", "peak_outlines.png", "peak_summary.csv"]
    assert sorted(path.name for path in output.parent.iterdir()) == names
    assert set(told.out.splitlines()[1:]) == {str(output.parent / name) for name in names}
    frame = geopandas.read_file(output)
    assert (frame["line_type"][0], frame["combined_terms"][0]) == ("glac_bound", "half_pixel")
    figure = outlines_figure(scene, frame)
    (ring,) = figure.axes[0].collections[0].get_segments()
    # The ice is rows 0 to 29 and columns 0 to 39.
    assert (ring.min(axis=0).round(3).tolist(), ring.max(axis=0).round(3).tolist()) == ([0, 0], [40, 30])


def test_bad_input_is_one_line_and_exit_status_2(tmp_path, tiny_grid, capfd):
    assert run("inventory", "--maps", tmp_path / "none") == 2
    assert capfd.readouterr().err.splitlines() == [
        f"glacier-ml: error: {tmp_path}/none: is not a folder of maps; give the one that predict wrote"
    ]
    write_maps(tmp_path / "maps", np.ones((24, 32)), tiny_grid())
    assert run("inventory", "--maps", tmp_path / "maps", "--output", tmp_path / "a.kml") == 2
    assert "a.kml: an inventory is no '.kml'" in capfd.readouterr().err


def test_scenes_that_were_not_mapped_are_refused_first(tmp_path, tiny_grid, tiny_scene_folder):
    write_maps(tmp_path / "maps", np.ones((24, 32)), tiny_grid())
    tiny_scene_folder("scenes/other")
    with pytest.raises(GlacierError, match=r"holds no scene peak to draw outlines on \(found other\)"):
        inventory(tmp_path / "maps", tmp_path / "a.gpkg", data=tmp_path / "scenes")


@pytest.mark.usefixtures("without_plot")
def test_scenes_that_are_there_are_drawn_and_the_rest_is_told(tmp_path, tiny_grid, tiny_scene_folder):
    far = tiny_grid(north=6_900_000.0)
    write_maps(tmp_path / "maps", np.ones((24, 32)), tiny_grid())
    write_maps(tmp_path / "maps", np.ones((24, 32)), far, stem="gone")
    tiny_scene_folder("scenes/peak")
    with pytest.warns(InventoryWarning, match="scenes: holds no scene gone to draw outlines on; the others"):
        files = inventory(tmp_path / "maps", tmp_path / "a.gpkg", data=tmp_path / "scenes")
    assert [path.name for path in files.pictures] == ["a_peak_outlines.png"]
    assert files.pictures[0].stat().st_size > 1000


def test_a_scene_without_the_bands_of_a_picture_is_refused_first(tmp_path, tiny_grid, tiny_scene_folder):
    write_maps(tmp_path / "maps", np.ones((24, 32)), tiny_grid())
    tiny_scene_folder("scenes/peak", drop=("nir",))
    with pytest.raises(GlacierError, match="peak: nir missing; needed are swir1, nir, red"):
        inventory(tmp_path / "maps", tmp_path / "out" / "a.gpkg", data=tmp_path / "scenes")
    assert not (tmp_path / "out").exists()


def test_pictures_read_scenes_strip_by_strip_and_small_ones_whole(tmp_path, tiny_scene_folder, monkeypatch):
    folder = tiny_scene_folder("scenes/peak", shape=(60, 80), nodata_columns=3)
    (entry,) = open_catalog(folder.parent).entries
    frame, scene = geopandas.GeoDataFrame(geometry=[ICE], crs=4326), entry.open()
    small = thinned_scene(entry)
    assert (small.grid, small.provenance) == (scene.grid, scene.provenance)
    np.testing.assert_array_equal(small.valid, scene.valid)
    for band in FALSE_COLOUR:
        np.testing.assert_array_equal(small.bands[band], scene.bands[band])
    monkeypatch.setattr(strips, "display_step", lambda shape: 7)
    heights = []
    read = Source.read

    def counted(source, window=None, drop=()):
        heights.append(source.window.height if window is None else window.height)
        return read(source, window, drop)

    monkeypatch.setattr(Source, "read", counted)
    monkeypatch.setattr(Source.strips, "__defaults__", (16,))
    thin = thinned_scene(entry)
    assert heights == [16, 16, 16, 12]  # never the whole
    assert thin.shape == (9, 12)  # 60 / 7 and 80 / 7, upwards
    np.testing.assert_array_equal(thin.bands["nir"], scene.bands["nir"][::7, ::7])
    rings = [outlines_figure(one, frame).axes[0].collections[0].get_segments()[0] for one in (scene, thin)]
    np.testing.assert_allclose(rings[1] * 7, rings[0], atol=1e-6)


@pytest.mark.usefixtures("without_plot")
def test_home_is_known_and_addresses_are_no_place_for_maps(tmp_path, tiny_grid, monkeypatch):
    write_maps(tmp_path / "maps", np.ones((24, 32)), tiny_grid())
    monkeypatch.setenv("HOME", str(tmp_path))
    first = inventory("~/maps", "~/first.gpkg")
    assert first.outlines == tmp_path / "first.gpkg"
    with pytest.warns(InventoryWarning, match="touched the edge"):
        inventory("~/maps", "~/again.gpkg", outlines="~/first.gpkg")
    monkeypatch.chdir(tmp_path)
    for option in ("output", "maps", "outlines"):
        for address in ("s3://bucket/x.gpkg", Path("https://example.org/x.gpkg")):
            named = {"maps": "maps", "output": "x.gpkg"} | {option: address}
            line = f"{option}: {whole_address(str(address))} is an address, and --{option} lies on this machi"
            with pytest.raises(GlacierError, match=line):
                inventory(named.pop("maps"), named.pop("output"), **named)
    assert sorted(path.name for path in tmp_path.glob("*.gpkg")) == ["again.gpkg", "first.gpkg"]
    assert not any(name in ("s3:", "https:") for name in os.listdir())


@pytest.fixture(scope="module")
def columbia(real_scenes, tmp_path_factory):
    """Folder with the maps of Columbia Glacier, 2007 and 2009."""
    folder = tmp_path_factory.mktemp("columbia")
    for entry in open_catalog(real_scenes).entries:
        if entry.name.startswith("columbia"):
            map_of(entry, folder / "maps")
    return folder


@pytest.mark.real_data
@pytest.mark.usefixtures("without_plot")
def test_areas_of_a_real_scene_agree_with_counted_pixels_and_geodesics(columbia):
    files = inventory(columbia / "maps", columbia / "c2007.gpkg", scene="columbia-2007", minimum_area=0)
    frame = geopandas.read_file(files.outlines)
    with rasterio.open(columbia / "maps" / "columbia-2007_mask.tif") as raster:
        mask, bounds = raster.read(1), raster.bounds
    # The map's scale near the central meridian: .9996 (1 + x^2 / 2 R^2), x from 500 km east.
    east = (bounds.left + bounds.right) / 2 - 500_000
    scale = 0.9996 * (1 + east**2 / (2 * 6_385_000**2))
    assert frame["area_km2"].sum() == pytest.approx((mask == 1).sum() * 9e-4 / scale**2, rel=2e-5)
    assert shapely.is_valid(np.asarray(frame.geometry)).all()
    geod = Geod(ellps="WGS84")
    geodesic = [abs(geod.geometry_area_perimeter(one)[0]) / 1e6 for one in frame.geometry]
    assert frame["area_km2"].tolist() == pytest.approx(geodesic, rel=1e-6)


@pytest.mark.real_data
@pytest.mark.usefixtures("without_plot")
def test_a_real_scene_against_an_earlier_one_of_ours(columbia):
    then = inventory(columbia / "maps", columbia / "then.gpkg", scene="columbia-2007", simplify=60)
    # The fjord is full of ice on water in both years, and the rule maps it.
    outside = pytest.warns(InventoryWarning, match="more ice outside of their existing outline")
    with outside, pytest.warns(InventoryWarning, match="touched the edge of the earlier scene"):
        now = inventory(
            columbia / "maps", columbia / "now.gpkg", scene="columbia-2009", outlines=then.outlines
        )
    before, rows = pd.read_csv(then.glaciers), pd.read_csv(now.glaciers)
    known = rows[rows["outline_id"].notna()]
    assert set(known["glacier_id"]) == set(before["glacier_id"])  # those that are not mapped any more, too
    assert known["share_seen"].min() > 0.9
    with rasterio.open(columbia / "maps" / "columbia-2009_mask.tif") as raster:
        mapped = (raster.read(1) == 1).sum() * 9e-4
    # All ice of 2009 is some glacier's, but for specks that were not there in 2007.
    assert rows["area_km2"].sum() == pytest.approx(mapped, rel=0.01)
    assert shapely.coverage_is_valid(np.asarray(geopandas.read_file(now.outlines).geometry))


@pytest.mark.real_data
@pytest.mark.usefixtures("without_plot")
def test_columbias_retreat_between_two_outlines_exceeds_the_uncertainty(real_scenes, tmp_path):
    entries = {entry.name: entry for entry in open_catalog(real_scenes).entries}
    counts, grid = {}, None
    for year in ("2007", "2009"):
        labelled = entries[f"columbia-{year}"].load()
        mask, grid = np.where(labelled.scene.valid, labelled.truth, 255), labelled.scene.grid
        write_maps(tmp_path / year, mask, grid, stem="columbia", scene_date=f"{year}-09-01")
        counts[year] = (mask == 1).sum()
    then = inventory(tmp_path / "2007", tmp_path / "then.gpkg")
    with pytest.warns(InventoryWarning):
        now = inventory(tmp_path / "2009", tmp_path / "now.gpkg", outlines=then.outlines)
    row = pd.read_csv(now.summary).iloc[0]
    # By counted pixels; the README of the scenes says 19.8 % and 15.3 % of 887 x 495 pixels: 17.8 km2 less.
    lost = (counts["2007"] - counts["2009"]) * 9e-4
    assert lost == pytest.approx(17.8, rel=0.02)
    assert row["change_km2"] == pytest.approx(-lost, rel=0.02)
    assert (row["verdict_independent"], row["verdict_correlated"]) == ("shrank", "shrank")
    assert row["change_uncertainty_correlated_km2"] < lost / 2
