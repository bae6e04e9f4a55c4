"""Training data: scenes that can be trained on together."""

import pytest
import rasterio
from tiny_studies import experiment_content, write_catalog

from glacier_ml.errors import GlacierError
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
