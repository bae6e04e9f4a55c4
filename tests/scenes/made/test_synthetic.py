"""Made scenes: the same seed gives the same pixels, and folders appear whole or not at all."""

import json
from concurrent.futures import ProcessPoolExecutor
from functools import cache

import numpy as np
import pytest
import yaml

from glacier_ml.errors import GlacierError
from glacier_ml.scenes.catalog import open_catalog
from glacier_ml.scenes.made import synthetic
from glacier_ml.scenes.made.ground import GROUND_CLASSES
from glacier_ml.scenes.made.synthetic import (
    MARKER,
    embedded_catalog,
    make_scene,
    planned_scenes,
    synthesize,
)
from glacier_ml.scenes.reading import open_scene

SMALL = (128, 96)
TINY = (16, 16)

made_once = cache(make_scene)  # a second each, whatever their size


@cache
def tiny_once(place, region, date_index=0, seed=0):
    return make_scene(place, region, TINY, date_index, seed)


@pytest.fixture
def two_scenes(monkeypatch):
    """A catalog of two small scenes instead of the default's."""
    monkeypatch.setattr(synthetic, "DEFAULT_SCENES", (("alaska", 1, "train"), ("patagonia", 4, "unseen")))
    monkeypatch.setattr(synthetic, "make_scene", tiny_once)


def test_the_same_arguments_give_the_same_pixels():
    first, second = made_once(3, "alaska", SMALL), make_scene(3, "alaska", SMALL)
    assert first.scene.digest == second.scene.digest
    np.testing.assert_array_equal(first.ground, second.ground)


@pytest.mark.parametrize("change", [{"place": 4}, {"region": "patagonia"}, {"seed": 1}, {"date_index": 1}])
def test_another_place_region_seed_or_date_gives_other_pixels(change):
    arguments = {"place": 3, "region": "alaska", "size": SMALL}
    assert made_once(3, "alaska", SMALL).scene.digest != make_scene(**{**arguments, **change}).scene.digest


def test_further_places_are_other_reliefs():
    digests = {tiny_once(place, "patagonia").scene.digest for place in (0, 4, 9)}
    assert len(digests) == 3


def test_a_scene_has_every_band_and_a_class_for_every_pixel():
    made = make_scene(2, "alaska", SMALL)
    assert made.scene.shape == made.mask.shape == made.ground.shape == SMALL
    assert list(made.scene.bands) == ["blue", "green", "red", "nir", "swir1", "swir2"]
    assert set(np.unique(made.ground)) <= set(GROUND_CLASSES)
    # Place 2 lies at the swath's edge: no data there, and a valid pixel has every band.
    assert 0.5 < made.scene.valid.mean() < 1.0
    assert all(np.isfinite(band[made.scene.valid]).all() for band in made.scene.bands.values())


def test_ground_classes_of_glaciers_lie_on_the_mask_alone():
    made = make_scene(1, "alaska", (256, 192))
    glacier = [number for number, name in GROUND_CLASSES.items() if "glacier" in name]
    np.testing.assert_array_equal(np.isin(made.ground, glacier), made.mask)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"region": "alps"}, "region is one of alaska, patagonia; got 'alps'"),
        ({"size": (100, 96)}, "multiples of 8; got 100 x 96"),
        ({"place": -1}, "start at 0; got -1"),
    ],
)
def test_wrong_arguments_are_told(arguments, message):
    with pytest.raises(GlacierError, match=message):
        make_scene(**{"place": 1, "region": "alaska", **arguments})


def test_synthesize_writes_scenes_that_open_as_made(two_scenes, tmp_path):
    catalog = synthesize(tmp_path / "made", progress=False)
    entries = yaml.safe_load(catalog.read_text())["scenes"]
    assert [entry["role"] for entry in entries] == ["train", "unseen"]
    made = tiny_once(1, "alaska")
    assert open_scene(catalog.parent / entries[0]["path"]).digest == made.scene.digest
    assert (catalog.parent / "made-alaska-1/outlines.tif").is_file()
    assert not (catalog.parent / "made-patagonia-4/outlines.tif").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["made"]


def test_without_numbers_the_default_scenes_are_planned():
    assert planned_scenes() == [(*scene, 0) for scene in synthetic.DEFAULT_SCENES] == planned_scenes(places=3)


def test_further_places_train_and_leave_the_tests_alone():
    planned = planned_scenes(places=6)
    for region in ("alaska", "patagonia"):
        training = [place for where, place, role, _ in planned if where == region and role == "train"]
        assert training == [1, 2, 3, 6, 7, 8]  # 4 and 5 are the default's places to test on
    assert [scene for scene in planned if scene[2] != "train"] == [
        ("alaska", 4, "test", 0),
        ("patagonia", 4, "test", 0),
        ("alaska", 5, "unseen", 0),
    ]


def test_fewer_places_train_on_the_first():
    assert [scene[:2] for scene in planned_scenes(places=1)] == [
        ("alaska", 1),
        ("patagonia", 1),
        ("alaska", 4),
        ("patagonia", 4),
        ("alaska", 5),
    ]


def test_later_dates_of_training_places_are_tests():
    later = planned_scenes(places=1, dates=3)[5:]
    assert later == [(region, 1, "test", date) for date in (1, 2) for region in ("alaska", "patagonia")]


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({"places": 0}, "places goes from 1 to 40; got 0"),
        ({"places": 41}, "places goes from 1 to 40; got 41"),
        ({"dates": 6}, "dates goes from 1 to 5; got 6"),
    ],
)
def test_numbers_out_of_range_are_told_before_anything_is_written(numbers, message, tmp_path):
    with pytest.raises(GlacierError, match=message):
        synthesize(tmp_path / "made", **numbers)
    assert list(tmp_path.iterdir()) == []


def test_a_later_date_is_a_scene_of_its_own_at_the_same_place(two_scenes, tmp_path):
    entries = open_catalog(synthesize(tmp_path / "made", progress=False, dates=2)).entries
    assert [(entry.name, entry.role, entry.date) for entry in entries] == [
        ("made-alaska-1", "train", "2007-09-17"),
        ("made-patagonia-4", "unseen", "2007-09-20"),
        ("made-alaska-1-2009", "test", "2009-09-17"),
    ]
    assert entries[0].place == entries[2].place
    first, later = entries[0].load(), entries[2].load()
    assert later.scene.digest == tiny_once(1, "alaska", date_index=1).scene.digest
    assert later.scene.grid == first.scene.grid


def test_ice_shrinks_from_date_to_date():
    shares = [made_once(1, "alaska", SMALL, date).mask.mean() for date in (0, 2)]
    assert shares[0] > shares[1] > 0


def test_synthesize_replaces_its_own_result(two_scenes, tmp_path):
    synthesize(tmp_path / "made", progress=False)
    synthesize(tmp_path / "made", seed=5, progress=False)
    assert json.loads((tmp_path / "made" / MARKER).read_text())["seed"] == 5


def test_synthesize_leaves_what_it_did_not_write(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(GlacierError, match="did not write; name a new or empty folder"):
        synthesize(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_synthesize_refuses_a_file(tmp_path):
    (tmp_path / "made").write_text("")
    with pytest.raises(GlacierError, match="is a file"):
        synthesize(tmp_path / "made")


def test_a_failure_leaves_nothing_half_written(two_scenes, tmp_path, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("interrupted")

    monkeypatch.setattr(synthetic, "write_made", fail)
    with pytest.raises(RuntimeError, match="interrupted"):
        synthesize(tmp_path / "made", progress=False)
    assert list(tmp_path.iterdir()) == []


def test_the_cache_is_filled_once(two_scenes, tmp_path, monkeypatch):
    monkeypatch.setenv("GLACIER_ML_CACHE", str(tmp_path))
    first = embedded_catalog()
    changed = first.stat().st_mtime_ns
    assert embedded_catalog() == first
    assert first.stat().st_mtime_ns == changed


def _fill(_):
    return str(embedded_catalog())


def test_processes_that_fill_the_cache_together_agree(two_scenes, tmp_path, monkeypatch):
    monkeypatch.setenv("GLACIER_ML_CACHE", str(tmp_path))
    with ProcessPoolExecutor(2) as pool:
        catalogs = set(pool.map(_fill, range(2)))
    assert len(catalogs) == 1
    assert [path.name for path in tmp_path.iterdir()] == [f"made-scenes-{synthetic.GENERATOR_VERSION}-0"]
