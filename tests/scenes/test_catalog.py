"""What `data` may be, and scenes with their labels."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
import yaml
from rasterio.crs import CRS

from glacier_ml.errors import GlacierError
from glacier_ml.scenes.catalog import dataset_digest, open_catalog
from glacier_ml.scenes.made import synthetic
from glacier_ml.scenes.rasters import write_raster

REPORT = Path(__file__).resolve().parents[2] / "experiments" / "catalogs" / "report.yaml"


@pytest.fixture
def write_catalog(tmp_path):
    """Factory of catalog.yaml in tmp_path: one mapping a scene, over defaults that hold."""

    def write(*scenes):
        defaults = {"name": "tiny", "path": "tiny", "place": "columbia", "region": "alaska", "role": "train"}
        path = tmp_path / "catalog.yaml"
        path.write_text(yaml.safe_dump({"scenes": [defaults | scene for scene in scenes]}))
        return path

    return write


def test_a_catalog_names_roles_places_and_dates(tiny_scene_folder, write_catalog, tmp_path):
    tiny_scene_folder("a")
    tiny_scene_folder("b", outlines=False)
    path = write_catalog(
        {"name": "old", "path": "a", "date": "2007-09", "date_bands": {"swir1": "2007-09-17"}},
        {"name": "new", "path": "a", "role": "test", "earth_engine_id": "LANDSAT/LT05/C02/T1_TOA/x"},
        {"name": "other", "path": "b", "role": "unseen"},
    )
    catalog = open_catalog(path)
    assert [entry.name for entry in catalog.entries] == ["old", "new", "other"]
    assert [entry.name for entry in catalog.of_role("test", "unseen")] == ["new", "other"]
    old, new, other = (entry.load() for entry in catalog.entries)
    assert old.scene.name == "old"
    assert old.scene.provenance["date"] == "2007-09"
    assert old.scene.provenance["date_bands"] == {"swir1": "2007-09-17"}
    assert new.scene.provenance["earth_engine_id"] == "LANDSAT/LT05/C02/T1_TOA/x"
    # The upper left quarter is glacier.
    assert old.mask.sum() == 12 * 16
    assert other.mask is None
    assert open_catalog(tmp_path).entries == catalog.entries


def test_one_scene_is_a_catalog(tiny_scene_folder):
    catalog = open_catalog(str(tiny_scene_folder("columbia")))
    (entry,) = catalog.entries
    assert (entry.name, entry.place, entry.region, entry.role) == (
        "columbia",
        "columbia",
        "columbia",
        "train",
    )
    assert entry.load().mask.any()


def test_in_a_bare_folder_outlines_make_the_role(tiny_scene_folder, tmp_path):
    tiny_scene_folder("b", outlines=False)
    tiny_scene_folder("a", west=600_000.0)
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "readme.txt").write_text("no scene")
    catalog = open_catalog(tmp_path)
    assert [(entry.name, entry.role) for entry in catalog.entries] == [("a", "train"), ("b", "unseen")]
    assert [entry.place for entry in catalog.entries] == ["a", "b"]


def test_in_a_bare_folder_scenes_that_overlap_share_a_place(tiny_scene_folder, tmp_path):
    tiny_scene_folder("2007")
    tiny_scene_folder("2009", north=6_780_300.0)  # 10 of 24 rows further north
    tiny_scene_folder("next", west=480_960.0)  # begins where 2007 ends: 32 columns of 30 m
    # A box in degrees around a box in UTM is a little larger, so neighbours count as overlapping, too:
    # the cautious side for leave-one-place-out.
    tiny_scene_folder("far", west=500_000.0)
    assert {entry.name: entry.place for entry in open_catalog(tmp_path).entries} == {
        "2007": "2007", "2009": "2007", "next": "2007", "far": "far"
    }  # fmt: skip


def test_in_a_bare_folder_a_scene_that_cannot_be_placed_is_told_when_it_is_opened(
    tiny_scene_folder, tiny_grid, tmp_path
):
    tiny_scene_folder("good")
    (tiny_scene_folder("torn", north=6_780_300.0) / "blue.tif").write_bytes(b"II*\0 no more")
    site = replace(tiny_grid(), crs=CRS.from_wkt('LOCAL_CS["site grid",UNIT["metre",1]]'))
    for band in ("blue", "green", "red", "nir", "swir1"):
        write_raster(tmp_path / "site" / f"{band}.tif", np.full(site.shape, 0.2, np.float32), site)
    good, placeless, torn = open_catalog(tmp_path).entries
    assert [one.place for one in (good, placeless, torn)] == ["good", "site", "torn"]
    assert good.load().mask.any()
    assert placeless.open().shape == site.shape
    with pytest.raises(GlacierError, match=r"torn: .*blue\.tif cannot be read"):
        torn.open()


def test_without_data_the_made_scenes_serve(monkeypatch, tmp_path):
    monkeypatch.setenv("GLACIER_ML_CACHE", str(tmp_path))
    monkeypatch.setattr(synthetic, "DEFAULT_SCENES", (("alaska", 1, "train"), ("patagonia", 4, "unseen")))
    monkeypatch.setattr(synthetic.make_scene, "__defaults__", ((128, 96), 0, 0))
    first, second = open_catalog("").entries
    labelled = first.load()
    assert labelled.mask.any()
    assert labelled.ground.dtype == np.uint8
    assert set(np.unique(labelled.ground)) <= set(synthetic.GROUND_CLASSES)
    assert second.load().mask is None
    assert open_catalog(None).entries == (first, second)


def test_what_is_no_data_says_what_would_be(tmp_path):
    with pytest.raises(GlacierError, match=r"data: .*absent does not exist; give a catalog"):
        open_catalog(tmp_path / "absent")
    with pytest.raises(GlacierError, match="no catalog and no scene, and holds none"):
        open_catalog(tmp_path)
    (tmp_path / "notes.txt").write_text("no scene")
    with pytest.raises(GlacierError, match="no catalog and no scene, and holds none"):
        open_catalog(tmp_path / "notes.txt")


@pytest.mark.parametrize("path", ["~nosuchuser/x", "x" * 300])
def test_paths_that_cannot_be_are_told(tmp_path, path):
    with pytest.raises(GlacierError, match="data: .* cannot be reached .*; check the path"):
        open_catalog(path)
    (tmp_path / "catalog.yaml").write_text(
        f"scenes: [{{name: a, path: {path}, role: train, place: p, region: r}}]"
    )
    with pytest.raises(GlacierError, match=r"catalog\.yaml: .*: path: .* cannot be reached"):
        open_catalog(tmp_path)


def test_a_scene_and_its_subfolders_scenes_all_count(tiny_scene_folder, tmp_path):
    tiny_scene_folder("outer")
    tiny_scene_folder("outer/inner")
    assert [entry.name for entry in open_catalog(tmp_path / "outer").entries] == ["outer", "inner"]


def test_two_bare_scenes_of_one_name_are_refused(tiny_scene_folder, tmp_path):
    folder = tiny_scene_folder("a")
    with rasterio.open(folder / "red.tif") as red:
        profile = red.profile | {"count": 2}
    for name in ("a.tif", "b.tif"):
        with rasterio.open(tmp_path / name, "w", **profile) as stack:
            stack.descriptions = ("green", "red")
    with pytest.raises(GlacierError, match="are both called a; rename one"):
        open_catalog(tmp_path)


@pytest.mark.parametrize("role", ["train", "test"])
def test_a_labelled_role_without_outlines_is_refused_on_loading(tiny_scene_folder, write_catalog, role):
    tiny_scene_folder(outlines=False)
    (entry,) = open_catalog(write_catalog({"role": role})).entries
    assert entry.open().valid.all()
    with pytest.raises(GlacierError, match=f"tiny: role {role} needs outlines, and .*tiny holds none"):
        entry.load()


def test_named_outlines_and_ground_lie_beside_the_catalog_or_in_the_scene(
    tiny_scene_folder, write_catalog, tmp_path, tiny_grid
):
    folder = tiny_scene_folder()
    one = np.zeros((24, 32), np.uint8)
    one[0, 0] = 1
    write_raster(tmp_path / "drawn.tif", one, tiny_grid())
    write_raster(folder / "ground.tif", one * 3, tiny_grid())
    (entry,) = open_catalog(write_catalog({"outlines": "drawn.tif", "ground": "ground.tif"})).entries
    labelled = entry.load()
    assert labelled.mask.sum() == 1
    assert labelled.ground[0, 0] == 3


def test_ground_on_another_grid_is_refused(tiny_scene_folder, write_catalog, tiny_grid):
    folder = tiny_scene_folder()
    write_raster(folder / "ground.tif", np.zeros((24, 31), np.uint8), tiny_grid(shape=(24, 31)))
    (entry,) = open_catalog(write_catalog({"ground": "ground.tif"})).entries
    with pytest.raises(GlacierError, match=r"tiny: ground\.tif must be uint8 on the scene's grid \(shape"):
        entry.load()


def test_pixels_beyond_the_outline_raster_are_not_valid_for_learning(
    tiny_scene_folder, write_catalog, tiny_grid
):
    folder = tiny_scene_folder()
    write_raster(folder / "outlines.tif", np.ones((24, 16), np.uint8), tiny_grid(shape=(24, 16)))
    (entry,) = open_catalog(write_catalog({})).entries
    assert entry.open().valid.all()
    labelled = entry.load()
    assert labelled.scene.valid.sum() == labelled.mask.sum() == 24 * 16


def test_outlines_that_tell_only_of_nodata_are_refused(tiny_scene_folder, write_catalog, tiny_grid):
    folder = tiny_scene_folder(nodata_columns=16)
    right = tiny_grid(shape=(24, 16), west=480_000.0 + 16 * 30)
    write_raster(folder / "outlines.tif", np.ones((24, 16), np.uint8), right)
    (entry,) = open_catalog(write_catalog({})).entries
    with pytest.raises(GlacierError, match=r"tiny: outlines\.tif tells of no pixel with data"):
        entry.load()


def test_a_date_of_a_band_that_is_not_there_is_refused(tiny_scene_folder, write_catalog):
    tiny_scene_folder()
    (entry,) = open_catalog(write_catalog({"date_bands": {"swir2": "2007-09-17"}})).entries
    with pytest.raises(GlacierError, match="tiny: date_bands names swir2, which the scene lacks"):
        entry.load()


def test_the_digest_is_of_pixels_and_labels(tiny_scene_folder, tmp_path):
    tiny_scene_folder("a")
    tiny_scene_folder("b", seed=1)
    first, second = (entry.load() for entry in open_catalog(tmp_path).entries)
    digest = dataset_digest([first, second])
    assert len(digest) == 64
    assert dataset_digest([second, first]) == digest
    assert dataset_digest([first]) != digest
    assert dataset_digest([replace(first, mask=~first.mask), second]) != digest
    assert dataset_digest([replace(first, mask=None), second]) != digest
    moved = shutil.copytree(tmp_path, tmp_path.with_name("moved"))
    assert dataset_digest([entry.load() for entry in open_catalog(moved).entries]) == digest


def test_the_reports_catalog_opens_with_its_subsets_beside_it(tiny_scene_folder, tmp_path):
    shutil.copy(REPORT, tmp_path)
    for name in ("2007_TOA", "2009_TOA", "geometry8"):
        tiny_scene_folder(name)
    for name in ("geometry3", "geometry4"):
        tiny_scene_folder(name, outlines=False)
    catalog = open_catalog(tmp_path / "report.yaml")
    ids = [entry.earth_engine_id.rpartition("/")[2] for entry in catalog.entries]
    assert ids == [
        "LT05_066017_20070917", "LT05_232094_20070912", "LT05_066017_20090906",
        "LT05_066017_20070917", "LT05_066017_20070917",
    ]  # fmt: skip
    assert all(entry.load().scene.provenance["sensor"] == "TM" for entry in catalog.entries)


@pytest.mark.real_data
def test_the_reports_catalog_says_what_the_scenes_own_catalog_says(real_scenes, tmp_path):
    shutil.copy(REPORT, tmp_path)
    for folder in real_scenes.iterdir():
        if folder.is_dir():
            (tmp_path / folder.name).symlink_to(folder)
    own = {entry.name: entry for entry in open_catalog(real_scenes).entries}
    listed = {entry.name: entry for entry in open_catalog(tmp_path / "report.yaml").entries}
    assert listed.keys() == own.keys()
    for name, entry in listed.items():
        same = {
            "path": own[name].path,
            "outlines": own[name].outlines,
            "sensor": None,
            "earth_engine_id": None,
            "bounds": None,
        }
        assert replace(entry, **same) == own[name]


@pytest.mark.real_data
def test_the_landsat_scenes_as_they_lie(real_scenes):
    catalog = open_catalog(real_scenes)
    assert [entry.name for entry in catalog.of_role("train")] == ["columbia-2007", "patagonia-8"]
    (test,) = (entry.load() for entry in catalog.of_role("test"))
    assert round(float(test.mask[test.scene.valid].mean()), 3) == 0.153
    assert all(entry.load().mask is None for entry in catalog.of_role("unseen"))
