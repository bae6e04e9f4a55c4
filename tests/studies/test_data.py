"""Training data: scenes that can be trained on together."""

from dataclasses import replace

import joblib
import numpy as np
import pytest
import rasterio
from made_networks import untrained
from tiny_studies import experiment_content, tiny_training, write_catalog

from glacier_ml.errors import GlacierError
from glacier_ml.evaluation.yardstick import block_counts
from glacier_ml.learning import stored_scenes
from glacier_ml.learning.parameters import parse_parameters
from glacier_ml.learning.samples import collect_samples, feature_statistics
from glacier_ml.learning.store import SampleStore
from glacier_ml.studies.data import MixedDataWarning, load_training_data
from glacier_ml.studies.experiment import Experiment


@pytest.fixture
def rule():
    return Experiment.model_validate(experiment_content()).split_rule


def tag_all(folder, **tags):
    for file in folder.glob("*.tif"):
        with rasterio.open(file, "r+") as dataset:
            dataset.update_tags(**tags)


def test_surface_and_top_of_atmosphere_reflectance_do_not_train_together(tmp_path, rule):
    catalog = write_catalog(tmp_path)
    tag_all(tmp_path / "fjord", QUANTITY="surface_reflectance")
    with pytest.raises(GlacierError, match="fjord: holds surface reflectance, and toa reflectance is needed"):
        load_training_data(catalog, rule)


def test_what_the_scenes_hold_travels_with_the_model(tmp_path, rule):
    catalog = write_catalog(tmp_path)
    assert load_training_data(catalog, rule).origin["quantity"] == "toa_reflectance"
    for name in ("early", "fjord"):
        tag_all(tmp_path / name, QUANTITY="surface_reflectance")
    assert load_training_data(catalog, rule).origin["quantity"] == "surface_reflectance"


def test_two_ways_to_reflectance_are_told(tmp_path, rule):
    catalog = write_catalog(tmp_path)
    for name, method in (("early", "mtl"), ("fjord", "chander")):
        tag_all(tmp_path / name, METHOD=method)
    with pytest.warns(MixedDataWarning, match="two ways, .*: early by mtl and fjord by chander; import"):
        load_training_data(catalog, rule)


def arrays_of(data):
    """Every array that training data carry."""
    for labelled in data.scenes:
        yield from labelled.scene.bands.values()
        yield from (labelled.scene.valid, labelled.truth)
    for part in data.split.scenes.values():
        yield from (part.use, part.blocks)


def outcome(data):
    """What a trial makes of training data: batches, statistics, what is counted of a map."""
    sizes = {"tile_size": 32, "levels": 2, "base_filters": 4, "batch_pixels": 4096, "learning_rate": 0.1}
    found = []
    for brightness in (0.0, 0.1):
        parameters = parse_parameters({"network": "unet", "brightness": brightness, **sizes}, "test")
        samples = collect_samples(data.scenes, data.split, parameters, 0)
        found += [*samples.batch(0, 1), *feature_statistics(data.scenes, data.split, "spectral")]
    return found, block_counts(untrained(parameters), data.scenes, data.split.validation)


@pytest.mark.parametrize("kept", [True, False])
def test_read_only_memory_maps_of_all_arrays_serve_as_the_arrays_do(tmp_path, kept):
    data = tiny_training()
    store = SampleStore(tmp_path / "samples") if kept else None
    joblib.dump(replace(data, store=store), tmp_path / "data")
    mapped = joblib.load(tmp_path / "data", mmap_mode="r")
    for one, other in zip(arrays_of(data), arrays_of(mapped), strict=True):
        assert isinstance(other, np.memmap) and not other.flags.writeable
        np.testing.assert_array_equal(other, one)
    assert (mapped.digest, mapped.split.digest) == (data.digest, data.split.digest)
    (expected, counts), (found, counted) = outcome(data), outcome(mapped)
    for one, other in zip(expected, found, strict=True):
        np.testing.assert_array_equal(other, one)
    assert counted == counts
    assert (mapped.store.folder if mapped.store else None) == (tmp_path / "samples" if kept else None)
    assert (tmp_path / "samples").exists() == kept


def test_the_store_comes_and_goes_with_the_data(tmp_path):
    data = tiny_training()
    kept = replace(data, store=SampleStore(tmp_path))
    assert {scene.scene.store.folder for scene in kept.scenes} == {tmp_path}
    assert [scene.entry for scene in kept.scenes] == [scene.entry for scene in data.scenes]
    assert {type(scene.scene).__name__ for scene in replace(kept, store=None).scenes} == {"Scene"}


def test_a_study_that_goes_on_finds_what_it_has_computed(tmp_path, rule, monkeypatch):
    monkeypatch.setenv("GLACIER_ML_CACHE", str(tmp_path / "cache"))
    catalog, calls = write_catalog(tmp_path), []
    usual = stored_scenes.features_of_bands
    monkeypatch.setattr(
        stored_scenes, "features_of_bands", lambda *given: calls.append(given) or usual(*given)
    )
    for _ in range(2):
        data = load_training_data(catalog, rule)
        assert data.store.folder == tmp_path / "cache" / "samples"
        feature_statistics(data.scenes, data.split, "spectral")
    assert len(calls) == 2  # of two scenes
