"""Registered models over scenes, from Python and the command line: the same maps, tagged with what mapped."""

import numpy as np
import pytest
import rasterio

import glacier_ml
from glacier_ml.cli import main
from glacier_ml.errors import GlacierError
from glacier_ml.learning.ensembles import Ensemble
from glacier_ml.learning.stitching import Stitching
from glacier_ml.scenes.catalog import open_catalog
from glacier_ml.studies import tracking
from glacier_ml.studies.prediction import load_models, scene_entries
from glacier_ml.studies.seeds import twins

UNET, FFNN = "models:/glacier-unet@champion", "models:/glacier-ffnn@champion"


def read(path):
    with rasterio.open(path) as raster:
        return raster.read(), raster.tags()


def test_python_maps_as_the_command_line_does(beside_project, tiny_project, capsys):
    scenes = tiny_project.catalog.parent
    with pytest.raises(SystemExit) as ended:
        main(["predict", "--data", str(scenes / "blank"), "--output", "typed", "--encoding", "uint8"])
    assert ended.value.code == 0
    written = glacier_ml.map_scenes(UNET, [scenes / "blank"], "called", encoding="uint8", picture=False)
    for kind in ("probability", "mask", "uncertainty"):
        values, tags = read(beside_project / f"typed/blank_{kind}.tif")
        np.testing.assert_array_equal(read(getattr(written["blank"].files, kind))[0], values)
        network = tracking.load_classifier(UNET)
        assert tags["model"] == UNET and tags["model_version"] == "1"
        assert tags["run_id"] == network.origin["run_id"]
        assert float(tags["temperature"]) == pytest.approx(network.temperature, rel=1e-4)
        assert tags["outside_training_range"] != "not known"  # the model tells its ranges


def test_a_trained_model_tells_the_range_of_its_features(beside_project):
    network = tracking.load_classifier(UNET)
    assert list(network.feature_range) == list(network.feature_names)
    low, high = network.feature_range["blue"]
    # Ice of .60 and ground of .10 with noise of .02, times a brightness that is no part of the data.
    assert 0.03 < low < 0.1 and 0.6 < high < 0.7


def test_several_models_map_together(beside_project, tiny_project):
    classifier, tags = load_models(f"{UNET}, {FFNN}")
    assert isinstance(classifier, Ensemble) and tags["model"] == f"{UNET} {FFNN}"
    assert tags["model_version"] == "1 1" and len(tags["run_id"].split()) == 2
    scene = tiny_project.catalog.parent / "blank"
    files = glacier_ml.map_scenes(f"{UNET},{FFNN}", scene, "both", picture=False)["blank"].files
    assert read(files.members)[0].shape[0] == 2 and read(files.spread)[0].max() > 0


def test_seeds_that_were_trained_map_together(beside_project, tiny_project):
    with pytest.raises(GlacierError, match="seeds: 2 trainings of .* are asked for, and 1 there; 'compare'"):
        load_models(FFNN, 2)
    champion, catalog = tracking.load_classifier(FFNN), open_catalog(tiny_project.catalog)
    with tracking.start_run("compare", "compare"):
        (twin,) = twins(champion, catalog, 2)
    ensemble, _ = load_models(FFNN, 2)
    assert [one.digest for one in ensemble.members] == [champion.digest, twin.digest]
    with pytest.raises(GlacierError, match="seeds: several models are named, and seeds are of one"):
        load_models(f"{UNET},{FFNN}", 2)


def test_no_model_is_refused():
    with pytest.raises(GlacierError, match="model: none is named; name models:/"):
        load_models(" , ")


def test_scenes_may_be_a_catalog_a_scene_or_a_list(tiny_project):
    folder = tiny_project.catalog.parent
    names = ["early", "fjord", "late", "blank"]
    assert [entry.name for entry in scene_entries(tiny_project.catalog)] == names
    assert [entry.name for entry in scene_entries(str(folder / "late"))] == ["late"]
    listed = [folder / "late", *open_catalog(tiny_project.catalog).entries[:1]]
    assert [entry.name for entry in scene_entries(listed)] == ["late", "early"]
    with pytest.raises(GlacierError, match="scenes: two are called late; rename one"):
        scene_entries([folder / "late", tiny_project.catalog])


def test_stitching_can_be_chosen_from_python(beside_project, tiny_project):
    scene = tiny_project.catalog.parent / "blank"
    usual = glacier_ml.map_scenes(UNET, scene, "usual", picture=False)["blank"].files
    halo = glacier_ml.map_scenes(UNET, scene, "halo", picture=False, stitching=Stitching("halo"))[
        "blank"
    ].files
    # 200 x 220 px fit one window: nothing is blended, and reflection beyond the stride is out of reach.
    difference = np.abs(read(usual.probability)[0] - read(halo.probability)[0])
    assert difference[:, :190, :210].max() < 1e-5
