"""Many scenes, one model: what is written, what is done again, and what is refused before anything is."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import rasterio
from landsat_bundles import made_bundle
from made_classifiers import MadeClassifier
from made_networks import ffnn, untrained
from made_scenes import disc, valley
from rasterio.crs import CRS
from tiny_studies import SHAPE, write_catalog

from glacier_ml.errors import GlacierError
from glacier_ml.learning.ensembles import Ensemble
from glacier_ml.products import batch
from glacier_ml.products.batch import area_table, check_mapping, map_scenes
from glacier_ml.products.mapping import MapOptions
from glacier_ml.scenes.catalog import CatalogEntry, open_catalog
from glacier_ml.scenes.rasters import write_raster
from glacier_ml.scenes.scene import SURFACE, TOA

MASKS = {"early": disc(SHAPE), "fjord": valley(SHAPE)}
PLAIN = MapOptions(picture=False)


@pytest.fixture
def entries(tmp_path):
    """Two scenes as they lie on disk."""
    return open_catalog(write_catalog(tmp_path / "scenes", ("train", "unseen"))).entries


@pytest.fixture
def classifier():
    """Maps .8 on glaciers and .1 elsewhere."""
    maps = {name: np.where(mask, 0.8, 0.1).astype(np.float32) for name, mask in MASKS.items()}
    return MadeClassifier(maps, threshold=0.4)


@pytest.fixture(scope="module")
def network():
    """A network, which unlike the made classifier can say what it is."""
    return untrained(ffnn())


def times(folder):
    """When each file of a folder was written."""
    return {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}


def test_each_scene_gets_its_maps_on_its_own_grid(entries, classifier, tmp_path):
    written = map_scenes(classifier, entries, tmp_path / "maps", {"model": "models:/glacier-ffnn@champion"})
    assert list(written) == ["early", "fjord"]
    for entry in entries:
        files, grid = written[entry.name].files, entry.open().grid
        with rasterio.open(files.mask) as mask, rasterio.open(files.probability) as probability:
            assert (mask.crs, mask.transform, mask.shape) == (grid.crs, grid.transform, grid.shape)
            np.testing.assert_array_equal(mask.read(1), MASKS[entry.name])
            assert set(np.unique(probability.read(1).round(3)).tolist()) == {
                np.float32(0.1).item(),
                np.float32(0.8).item(),
            }
            tags = mask.tags()
            assert tags["model"] == "models:/glacier-ffnn@champion" and tags["threshold"] == "0.4"
            assert tags["scene_digest"] == entry.open().digest and tags["scene_date"] == entry.date
        # 900 m2 a pixel, but for the grid's scale on the ellipsoid.
        assert files.area_km2 == pytest.approx(MASKS[entry.name].sum() * 900 / 1e6, rel=2e-3)
        assert files.preview.is_file()


def test_the_areas_are_tabled(entries, classifier, tmp_path):
    written = map_scenes(classifier, entries, tmp_path / "maps", options=PLAIN)
    table = area_table(written)
    assert list(table.scene) == ["early", "fjord"]
    assert list(table.area_km2) == [round(mapped.files.area_km2, 3) for mapped in written.values()]
    read = pd.read_csv(tmp_path / "maps/areas.csv")
    pd.testing.assert_frame_equal(read.iloc[:, :4], table.iloc[:, :4])


def test_a_finished_scene_is_not_mapped_again_unless_something_changed(entries, network, tmp_path):
    first = map_scenes(network, entries, tmp_path, options=PLAIN)
    before = times(tmp_path)
    again = map_scenes(network, entries, tmp_path, options=PLAIN)
    assert [mapped.new for mapped in first.values()] == [True, True]
    assert [mapped.new for mapped in again.values()] == [False, False]
    assert [mapped.files for mapped in again.values()] == [mapped.files for mapped in first.values()]
    assert times(tmp_path) | {"areas.csv": 0} == before | {"areas.csv": 0}

    # another threshold, other options, a file that is gone: mapped anew
    def anew(classifier, options=PLAIN):
        return [mapped.new for mapped in map_scenes(classifier, entries, tmp_path, options=options).values()]

    assert anew(network.calibrated(0.3, 1.0)) == [True, True]
    assert anew(network, MapOptions("uint8", picture=False)) == [True, True]
    (tmp_path / "fjord_mask.tif").unlink()
    assert anew(network, MapOptions("uint8", picture=False)) == [False, True]


def test_other_pixels_under_the_same_name_are_mapped_anew(network, tiny_scene_folder, tmp_path):
    def mapped(seed):
        entry = CatalogEntry("one", tiny_scene_folder("one", outlines=False, seed=seed), "x", "y", "unseen")
        return map_scenes(network, [entry], tmp_path / "maps", options=PLAIN)["one"].new

    assert [mapped(0), mapped(0), mapped(1)] == [True, False, True]


def test_a_scene_that_cannot_be_mapped_does_not_stop_the_others(entries, network, tmp_path):
    damaged = tmp_path / "scenes/early/green.tif"
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[:1000] + bytes(4000) + whole[5000:])  # its header is as it was
    with pytest.raises(
        GlacierError, match=r"^1 of 2 scenes not mapped \(early; the others are\): early: .*green"
    ):
        map_scenes(network, entries, tmp_path / "maps", options=PLAIN)
    names = {path.name for path in (tmp_path / "maps").iterdir()}
    assert "fjord_map.json" in names and not any(name.startswith("early") for name in names)
    assert list(pd.read_csv(tmp_path / "maps/areas.csv").scene) == ["fjord"]
    damaged.write_bytes(whole)
    again = map_scenes(network, entries, tmp_path / "maps", options=PLAIN)
    assert {name: mapped.new for name, mapped in again.items()} == {"early": True, "fjord": False}


# A rule that can say what it is: as a network, but there at once.
BATCH = """
import sys
sys.path[:0] = [{root!r}]
from glacier_ml.learning.rules import NdsiClassifier
from glacier_ml.products.batch import map_scenes
from glacier_ml.products.mapping import MapOptions
from glacier_ml.scenes.catalog import open_catalog
entries = open_catalog({scenes!r}).entries
NdsiClassifier.digest = "0.4, 0.11"
map_scenes(NdsiClassifier(), entries, {maps!r}, options=MapOptions(picture=False))
"""


@pytest.mark.parametrize("kills", [3, pytest.param(20, marks=pytest.mark.thorough)])
def test_a_batch_that_is_killed_goes_on_and_leaves_no_half_scene(tmp_path, kills):
    roles = ("unseen",) * 4
    catalog = write_catalog(tmp_path / "scenes", roles)
    maps = tmp_path / "maps"
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    told = {"root": root, "scenes": str(catalog), "maps": str(maps)}
    command = [sys.executable, "-c", BATCH.format(**told)]
    random = np.random.default_rng(kills)
    finished: dict[str, int] = {}
    for _ in range(kills):
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
            while process.poll() is None and not (maps.is_dir() and any(maps.iterdir())):
                time.sleep(0.01)
            time.sleep(random.random() * 0.3)
            process.send_signal(signal.SIGKILL)
        records = {path.name: path.stat().st_mtime_ns for path in maps.glob("*_map.json")}
        assert finished.items() <= records.items()  # what was finished is left as it was
        for record in records:
            stem = record.removesuffix("_map.json")
            for kind in ("probability", "mask", "uncertainty"):
                with rasterio.open(maps / f"{stem}_{kind}.tif") as raster:
                    assert raster.read(1).shape == SHAPE and raster.tags()["scene"] == stem
        finished = records
    assert subprocess.run(command, stderr=subprocess.DEVNULL, check=False).returncode == 0
    assert len(list(maps.glob("*_map.json"))) == 4
    assert not list(maps.glob(".partial-*"))  # what the killed ones had begun is gone


def test_a_single_model_after_an_ensemble_leaves_nothing_of_it(entries, network, tmp_path):
    both = Ensemble((network, network.calibrated(0.4, 2.0)))
    map_scenes(both, entries, tmp_path, options=MapOptions())
    assert (tmp_path / "early_members.tif").is_file() and (tmp_path / "early_preview.png").is_file()
    map_scenes(network, entries, tmp_path, options=PLAIN)
    left = {path.name for path in tmp_path.iterdir()}
    assert not any(word in name for name in left for word in ("members", "spread", "preview"))


def test_a_raster_that_was_cut_short_is_made_anew(entries, network, tmp_path):
    map_scenes(network, entries, tmp_path, options=PLAIN)
    (tmp_path / "fjord_mask.tif").write_bytes(b"")
    again = map_scenes(network, entries, tmp_path, options=PLAIN)
    assert {name: mapped.new for name, mapped in again.items()} == {"early": False, "fjord": True}


def test_another_date_or_quality_band_makes_another_map(network, tiny_scene_folder, tmp_path):
    folder = tiny_scene_folder("one", outlines=False)
    entry = CatalogEntry("one", folder, "x", "y", "unseen", date="2007-01-01")

    def mapped(one):
        return map_scenes(network, [one], tmp_path / "maps", options=PLAIN)["one"]

    assert [mapped(entry).new for _ in range(2)] == [True, False]
    dated = mapped(replace(entry, date="2009-09-06"))
    with rasterio.open(dated.files.mask) as mask:
        assert dated.new and mask.tags()["scene_date"] == "2009-09-06"
    flags = np.zeros((24, 32), np.uint16)
    flags[:, :16] = 1  # bit 0 of QA_PIXEL: fill
    write_raster(folder / "QA_PIXEL.tif", flags, entry.open().grid)
    half = mapped(replace(entry, date="2009-09-06"))
    with rasterio.open(half.files.mask) as mask:
        assert half.new and (mask.read(1) == 255).sum() == 24 * 16


def test_the_table_tells_of_all_maps_in_the_folder(entries, network, tmp_path):
    map_scenes(network, entries[:1], tmp_path, options=PLAIN)
    map_scenes(network, entries[1:], tmp_path, options=PLAIN)
    assert list(pd.read_csv(tmp_path / "areas.csv").scene) == ["early", "fjord"]


def test_two_scenes_whose_files_would_have_one_name_are_refused(entries, network, tmp_path):
    pair = [replace(entries[0], name=name) for name in ("a b", "a_b")]
    with pytest.raises(GlacierError, match="a_b: its maps would be called a_b_..., as those of a b; rename"):
        map_scenes(network, pair, tmp_path / "maps")


def test_maps_inside_the_data_folder_are_no_scenes(entries, network, tmp_path):
    map_scenes(Ensemble((network, network)), entries, tmp_path / "scenes/maps", options=PLAIN)
    (tmp_path / "scenes/catalog.yaml").unlink()
    assert {entry.name for entry in open_catalog(tmp_path / "scenes").entries} == {"early", "fjord"}


def test_maps_beside_and_inside_scenes_leave_the_scenes_what_they_are(entries, network, tmp_path):
    scenes = tmp_path / "scenes"
    both = Ensemble((network, network))
    map_scenes(both, entries[:1], scenes / "early", options=PLAIN)  # into the scene's own folder
    map_scenes(both, entries, scenes, options=PLAIN)
    (scenes / "catalog.yaml").unlink()
    again = open_catalog(scenes).entries
    assert {entry.name for entry in again} == {"early", "fjord"}
    with again[0].source() as source:
        assert set(source.layers) == {"blue", "green", "red", "nir", "swir1"}


def test_what_the_machine_cannot_do_is_told_and_a_bug_is_not_hidden(entries, tmp_path, monkeypatch):
    class Tired(MadeClassifier):
        """A classifier for which there is too little memory, or which has a bug."""

        def probability(self, scene, wanted=None):
            if scene.name == "early":
                raise self.origin["raises"]
            return super().probability(scene, wanted)

    maps = {"fjord": np.full(SHAPE, 0.8, np.float32)}
    with pytest.raises(GlacierError, match=r"1 of 2 scenes not mapped \(early.*MemoryError \(64 GiB\); free"):
        map_scenes(Tired(maps, origin={"raises": MemoryError("64 GiB")}), entries, tmp_path, options=PLAIN)
    assert (tmp_path / "fjord_map.json").is_file()
    with pytest.raises(ZeroDivisionError):
        map_scenes(Tired(maps, origin={"raises": ZeroDivisionError()}), entries, tmp_path, options=PLAIN)


def test_a_map_that_lies_on_another_machines_disk_is_told(entries, classifier, tmp_path, monkeypatch):
    monkeypatch.setattr(batch, "_SECONDS_TO_APPEAR", 1)
    monkeypatch.setattr(batch, "map_on_cluster", lambda job, entries, scheduler: [("early", elsewhere)])
    elsewhere = map_scenes(classifier, entries[:1], tmp_path / "there", options=PLAIN)["early"]
    with pytest.raises(GlacierError, match="early: a worker mapped it, and its map is not in .*here; name"):
        map_scenes(classifier, entries[:1], tmp_path / "here", options=PLAIN, scheduler="local")


def test_the_table_tells_only_of_maps_that_are_there_and_of_their_models(entries, network, tmp_path):
    map_scenes(network, entries, tmp_path, {"model": "a", "model_version": "1"}, PLAIN)
    (tmp_path / "early_mask.tif").unlink()
    (tmp_path / "odd_map.json").write_text('{"format": 1}')
    map_scenes(network, entries[1:], tmp_path, {"model": "b", "model_version": "2"}, PLAIN)
    table = pd.read_csv(tmp_path / "areas.csv")
    assert table[["scene", "model", "model_version", "threshold"]].to_numpy().tolist() == [
        ["fjord", "b", 2, 0.5]
    ]


def test_a_style_that_is_gone_is_made_anew_and_another_name_is_another_map(entries, network, tmp_path):
    map_scenes(network, entries[:1], tmp_path, options=PLAIN)
    (tmp_path / "early_mask.qml").unlink()
    assert map_scenes(network, entries[:1], tmp_path, options=PLAIN)["early"].new
    other = replace(entries[0], name="other")
    (tmp_path / "early_map.json").rename(tmp_path / "other_map.json")
    assert map_scenes(network, [other], tmp_path, options=PLAIN)["other"].new


def test_a_grid_that_lies_nowhere_on_earth_is_refused(network, tiny_scene_folder, tmp_path):
    folder = tiny_scene_folder("site", outlines=False)
    local = CRS.from_wkt('LOCAL_CS["site",UNIT["metre",1]]')
    for path in folder.glob("*.tif"):
        with rasterio.open(path, "r+") as raster:
            raster.crs = local
    entry = CatalogEntry("site", folder, "x", "y", "unseen")
    with pytest.raises(GlacierError, match="site: its CRS does not say where on Earth it lies"):
        map_scenes(network, [entry], tmp_path / "maps")


def test_a_few_bright_pixels_in_a_strip_are_no_dn(network, tiny_scene_folder, tmp_path):
    folder = tiny_scene_folder("bright", outlines=False, shape=(600, 40))
    entry = CatalogEntry("bright", folder, "x", "y", "unseen")
    grid = entry.open().grid
    for path in folder.glob("*.tif"):
        with rasterio.open(path) as raster:
            values = raster.read(1)
        values[:520, 3:] = np.nan
        values[:3, :3] = 2.2
        values[3:520, :3] = np.nan
        write_raster(path, values, grid, nodata=float("nan"))
    assert map_scenes(network, [entry], tmp_path / "maps", options=PLAIN)["bright"].new


def test_a_scene_that_lacks_a_band_is_refused_before_any_is_mapped(entries, classifier, tmp_path):
    (tmp_path / "scenes/fjord/swir1.tif").unlink()
    with pytest.raises(
        GlacierError, match=r"fjord: swir1 missing; needed are .* \(found blue, green, red, nir\)"
    ):
        map_scenes(classifier, entries, tmp_path / "maps")
    assert not (tmp_path / "maps").exists() and classifier.asked == []


def test_a_scene_without_a_pixel_of_data_is_refused_and_leaves_nothing(network, tiny_scene_folder, tmp_path):
    folder = tiny_scene_folder("empty", outlines=False, nodata_columns=32)
    entry = CatalogEntry("empty", folder, "x", "y", "unseen")
    with pytest.raises(GlacierError, match=r"empty: no pixel has data in every band \(blue, green"):
        map_scenes(network, [entry], tmp_path / "maps")
    assert not list((tmp_path / "maps").iterdir())


def test_no_scene_is_refused(classifier, tmp_path):
    with pytest.raises(GlacierError, match="predict: there is no scene to map"):
        check_mapping(classifier, (), tmp_path)


@pytest.mark.parametrize("output", ["taken", "taken/below"])
def test_a_file_in_the_folder_s_place_is_refused_before_any_work(entries, classifier, tmp_path, output):
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(GlacierError, match="the output folder cannot be written .*taken is a file.; choose"):
        map_scenes(classifier, entries, tmp_path / output)
    assert classifier.asked == []


def test_surface_reflectance_is_not_fed_to_what_learned_from_the_top_of_the_atmosphere(tmp_path):
    made_bundle(tmp_path / "scenes/ground", collection="C2L2", shape=SHAPE)
    entries = open_catalog(tmp_path / "scenes").entries
    learned = SimpleNamespace(bands=("blue", "swir1"), quantity=TOA)
    rule = "ground: holds surface reflectance, and toa reflectance is needed"
    with pytest.raises(GlacierError, match=rule):
        check_mapping(learned, entries, tmp_path / "maps")
    check_mapping(SimpleNamespace(bands=("blue", "swir1"), quantity=SURFACE), entries, tmp_path / "maps")
    # Thresholds learned from neither: they take what they are given.
    check_mapping(SimpleNamespace(bands=("blue", "swir1")), entries, tmp_path / "maps")
