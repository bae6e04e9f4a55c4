"""Scenes of a store: what is kept of them, what it is named by, and that it is bit for bit the same."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_networks import ffnn, unet, untrained
from made_scenes import filled, kept_in, made_scene, with_bands

from glacier_ml.errors import GlacierError
from glacier_ml.learning import stored_scenes
from glacier_ml.learning.features import feature_set
from glacier_ml.learning.parameters import parse_parameters
from glacier_ml.learning.store import SampleStore
from glacier_ml.learning.stored_scenes import StoredScene, scene_features, scene_stack, store_of
from glacier_ml.scenes.scene import Scene

SPECTRAL = feature_set("spectral")


@pytest.fixture
def store(tmp_path):
    return SampleStore(tmp_path)


@pytest.fixture
def counted(monkeypatch):
    """How often features were computed."""
    calls = []
    usual = stored_scenes.features_of_bands
    monkeypatch.setattr(
        stored_scenes, "features_of_bands", lambda *given: calls.append(given[1].shape) or usual(*given)
    )
    return calls


def test_a_kept_scene_is_the_scene_itself_in_all_else(store):
    labelled = made_scene("any", (40, 30), nodata=3)
    kept = kept_in(store, labelled)
    assert isinstance(kept.scene, Scene) and kept.scene.digest == labelled.scene.digest
    assert kept.scene.bands is labelled.scene.bands and kept.mask is labelled.mask
    assert type(kept.scene.rows(3, 9)) is Scene  # a strip of a map is not worth keeping
    assert type(kept_in(None, kept).scene) is Scene
    assert kept_in(None, labelled).scene is labelled.scene


def test_a_scenes_digest_is_not_computed_again(store, monkeypatch):
    labelled = made_scene("any", (40, 30))
    digest = labelled.scene.digest
    monkeypatch.setattr("glacier_ml.scenes.scene.pixel_digest", None)
    assert kept_in(store, labelled).scene.digest == digest
    assert pickle.loads(pickle.dumps(kept_in(store, labelled))).scene.digest == digest


@pytest.mark.parametrize("name", ["spectral", "spectral_saturation", "report_ratio"])
@pytest.mark.parametrize("size", [8, 64])
def test_what_is_kept_is_bit_for_bit_what_is_computed(store, name, size):
    plain = made_scene("any", (50, 37), nodata=3)
    chosen = feature_set(name)
    for recipe in ("sound", "report") if name == "report_ratio" else ("sound",):
        expected = scene_features(plain.scene, chosen, recipe, size)
        for _ in range(2):
            found = scene_features(kept_in(store, plain).scene, chosen, recipe, size)
            np.testing.assert_array_equal(found, expected)
            assert not found.flags.writeable and expected.flags.writeable
    expected = scene_stack(plain.scene, chosen.bands, size)
    np.testing.assert_array_equal(scene_stack(kept_in(store, plain).scene, chosen.bands, size), expected)


def test_features_are_computed_once_by_many_trials(store, counted, mappers):
    labelled = made_scene("any", (50, 37))
    for _ in range(3):
        trial = kept_in(SampleStore(store.folder), labelled).scene
        for name in ("ffnn", "unet"):
            mappers[name].probability(trial)
    assert counted == [(50, 37)]
    mappers["ffnn"].probability(labelled.scene)  # without a store as ever
    assert len(counted) == 2


def report(**changed):
    values = {"network": "unet", "recipe": "report", "tile_size": 32, "levels": 2, "filters": [2, 4]}
    return parse_parameters({**values, "dropout": 0.0, **changed}, "test")


@pytest.fixture(scope="module")
def mappers():
    return {
        "ffnn": untrained(ffnn()),
        "unet": untrained(unet()),
        "report": untrained(report(), features=3),
    }


@pytest.mark.parametrize("name", ["ffnn", "unet", "report"])
@pytest.mark.parametrize("shape", [(20, 20), (64, 300), (270, 257)])
def test_maps_are_bit_for_bit_those_without_a_store(store, mappers, name, shape):
    mapper, labelled = mappers[name], made_scene("any", shape, nodata=5)
    kept = kept_in(store, labelled).scene
    wanted = np.zeros(shape, dtype=bool)
    wanted[: shape[0] // 2, 7:] = True
    for chosen in (None, wanted):
        expected = mapper.probability(labelled.scene, chosen)
        for _ in range(2):
            np.testing.assert_array_equal(mapper.probability(kept, chosen), expected)


@pytest.fixture
def named(tmp_path):
    """Name of the file in which the features of a scene are kept."""
    folders = (tmp_path / str(number) for number in range(100))

    def name(labelled, features="spectral", recipe="sound"):
        store = SampleStore(next(folders))
        scene_features(kept_in(store, labelled).scene, feature_set(features), recipe)
        (file,) = store.folder.iterdir()
        return file.name

    return name


def with_scene(labelled, **changes):
    return replace(labelled, scene=replace(labelled.scene, **changes))


def test_features_are_named_by_pixels_feature_set_and_recipe_alone(named):
    scene = made_scene("any", (40, 30), nodata=3)
    same = [
        made_scene("other", (40, 30), nodata=3, place="elsewhere", region="far", role="test"),
        replace(scene, mask=~scene.mask),
        with_scene(scene, provenance={"date": "2007-09-17"}),
        with_scene(scene, quality={"saturated_blue": scene.mask}),  # no feature here tells of it
    ]
    assert {named(one) for one in same} == {named(scene)}
    hole = scene.scene.valid.copy()
    hole[5, 5] = False
    others = {
        named(with_bands(scene, lambda values: values * 1.01)),
        named(with_scene(scene, valid=hole)),
        named(scene, "report_ratio"),
        named(scene, "report_ratio", "report"),
    }
    assert len(others | {named(scene)}) == 5


def test_masks_of_saturation_matter_where_a_feature_tells_of_them(store, named):
    scene = made_scene("any", (40, 30))
    told = np.zeros((40, 30), dtype=bool)
    told[3, 4] = True
    flagged = with_scene(scene, quality={"saturated_blue": told})
    assert named(scene, "spectral_saturation") != named(flagged, "spectral_saturation")
    chosen = feature_set("spectral_saturation")
    features = [scene_features(kept_in(store, one).scene, chosen) for one in (scene, flagged)]
    assert [values[3, 4, -1] for values in features] == [0, 1]


@given(st.integers(1, 60), st.integers(1, 60))
def test_a_tiles_size_matters_only_where_a_scene_is_padded_to_it(one, other):
    # 40 x 30 px: up to 30 px nothing is padded; from there on every size pads differently
    scene = made_scene("any", (40, 30)).scene
    shapes = [scene_stack(scene, ("blue",), size).shape for size in (one, other)]
    keys = [stored_scenes._padded(scene, size) for size in (one, other)]
    assert [shape[:2] for shape in shapes] == keys
    assert (keys[0] == keys[1]) == (max(one, 30) == max(other, 30))


def test_a_changed_copy_is_not_taken_for_the_scene(store):
    scene = kept_in(store, made_scene("any", (40, 30))).scene
    scene_features(scene, SPECTRAL)
    grey = replace(scene, bands=filled(made_scene("any", (40, 30)), 0.5).scene.bands)
    assert isinstance(grey, StoredScene)
    np.testing.assert_array_equal(scene_features(grey, SPECTRAL)[..., 0], np.float32(0.5))


def test_a_missing_band_is_refused(store):
    scene = kept_in(store, made_scene("any", (40, 30), drop=("blue",))).scene
    with pytest.raises(GlacierError, match="any: blue and blue_saturated missing"):
        scene_features(scene, feature_set("spectral_saturation"))


def test_scenes_share_a_store_only_where_all_are_kept_in_it(store, tmp_path):
    one, other = (kept_in(store, made_scene(name, (20, 20))).scene for name in "ab")
    assert store_of(one, other).folder == store.folder
    elsewhere = kept_in(SampleStore(tmp_path / "elsewhere"), made_scene("b", (20, 20))).scene
    for scenes in ([one, elsewhere], [one, made_scene("b", (20, 20)).scene], []):
        assert store_of(*scenes).folder is None
