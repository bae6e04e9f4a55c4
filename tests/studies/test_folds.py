"""Folds: what each trains on and leaves out, and which experiments may share them."""

from dataclasses import replace

import numpy as np
import pytest
from made_scenes import disc, made_scene, valley
from tiny_studies import RULE, experiment_content, write_catalog

from glacier_ml.errors import GlacierError
from glacier_ml.scenes.catalog import Catalog
from glacier_ml.studies.experiment import Experiment
from glacier_ml.studies.folds import load_folds, make_folds


def experiment(network="ffnn", parameters=None, **changes):
    return Experiment.model_validate(experiment_content(network, parameters, **changes))


@pytest.fixture(scope="module")
def scenes():
    """Two dates of a cape in the north, and a fjord in the south that is held out elsewhere."""
    return (
        made_scene("early", (160, 160), disc, seed=1, place="cape", region="north"),
        made_scene("fjord", (160, 200), valley, seed=2, place="fjord", region="south", role="test"),
        made_scene("late", (160, 160), disc, seed=3, place="cape", region="north"),
    )


def folds_of(scenes, protocol):
    catalog = Catalog(None, tuple(scene.entry for scene in scenes))
    return list(make_folds(RULE, catalog, scenes, protocol))


@pytest.mark.parametrize(
    ("protocol", "held", "trained"),
    [
        ("place", {"cape": {"early", "late"}, "fjord": {"fjord"}}, ["fjord", "cape"]),
        ("region", {"north": {"early", "late"}, "south": {"fjord"}}, ["south", "north"]),
        (
            "scene",
            {"early": {"early"}, "fjord": {"fjord"}, "late": {"late"}},
            ["fjord, late", "early, late", "early, fjord"],
        ),
    ],
)
def test_each_group_is_left_out_once(scenes, protocol, held, trained):
    folds = folds_of(scenes, protocol)
    assert {fold.name: {one.entry.name for one in fold.held} for fold in folds} == held
    assert [fold.trained for fold in folds] == trained
    for fold in folds:
        others = {"early", "fjord", "late"} - held[fold.name]
        assert {one.entry.name for one in fold.data.scenes} == others == set(fold.data.split.scenes)
        for one in fold.held:
            np.testing.assert_array_equal(fold.scored(one), one.scene.valid)


@pytest.mark.parametrize("protocol", ["random", "block"])
def test_one_fold_scores_other_pixels_of_the_same_scenes(scenes, protocol):
    (fold,) = folds_of(scenes, protocol)
    assert fold.data.split.rule.protocol == protocol and fold.trained == "cape, fjord"
    assert fold.held == scenes
    for trained, scored in zip(fold.data.scenes, scenes, strict=True):
        assert (trained.scene.digest, trained.entry) == (scored.scene.digest, scored.entry)
        assert trained.mask is scored.mask
    for one in fold.held:
        scored, name = fold.scored(one), one.scene.name
        assert scored.any() and not (scored & fold.data.split.training(name)).any()
        assert not (scored & fold.data.split.calibration(name)).any()


def test_many_places_are_told_by_their_number():
    scenes = [made_scene(f"p{number}", (96, 96), seed=number) for number in range(5)]
    assert folds_of(scenes, "place")[0].trained == "4 other places"


def test_a_group_alone_cannot_be_left_out(scenes):
    told = "protocol: leaving out a place needs two of them; .* have cape"
    with pytest.raises(GlacierError, match=told):
        folds_of([scenes[0], scenes[2]], "place")


def test_an_unknown_protocol_is_told_before_anything_is_read():
    with pytest.raises(GlacierError, match="protocol: 'plaice' is not a way to split; choose one of block"):
        load_folds([experiment()], "/absent", ["place", "plaice"])


def test_labelled_scenes_of_both_roles_take_part_in_every_protocol(tmp_path):
    folds = load_folds([experiment()], str(write_catalog(tmp_path)), ["scene", "random"])
    assert [fold.name for fold in folds] == ["early", "fjord", "late", "random"]  # blank has no outlines


def test_a_tile_that_fits_no_scene_is_told_before_training(tmp_path):
    large = experiment("unet", {"tile_size": 400})
    with pytest.raises(GlacierError, match="tile_size: 400 px is larger than every scene"):
        load_folds([experiment(), large], str(write_catalog(tmp_path)), ["block"])


def test_experiments_of_one_name_are_refused():
    with pytest.raises(GlacierError, match="two are called 'ffnn', .*; rename one"):
        load_folds([experiment(), experiment(parameters={"nodes": 4})], "/absent", ["place"])


def test_experiments_that_split_differently_are_refused():
    other = experiment("unet", split_seed=5)
    with pytest.raises(GlacierError, match="ffnn and unet split differently .*; give both the same split"):
        load_folds([experiment(), other], "/absent", ["place"])


def test_two_kinds_of_reflectance_are_refused_before_training(tmp_path, scenes, monkeypatch):
    surface = replace(scenes[1].scene, provenance={"quantity": "surface"})
    mixed = (scenes[0], replace(scenes[1], scene=surface))
    monkeypatch.setattr("glacier_ml.studies.folds.load_scenes", lambda *_: mixed)
    with pytest.raises(GlacierError, match="fjord: .*surface"):
        load_folds([experiment()], str(write_catalog(tmp_path)), ["place"])
