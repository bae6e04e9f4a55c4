"""Cross-validation: what each fold trains on and scores."""

from types import SimpleNamespace

import numpy as np
import pytest
from made_classifiers import MadeClassifier, sure_map
from made_scenes import disc, made_scene, valley
from tiny_studies import experiment_content, write_catalog

from glacier_ml.errors import GlacierError
from glacier_ml.scenes.catalog import Catalog
from glacier_ml.studies import tracking, validation
from glacier_ml.studies.experiment import Experiment
from glacier_ml.studies.tracking.runs import client
from glacier_ml.studies.validation import cross_validate, load_folds, make_folds

EXPERIMENT = Experiment.model_validate(experiment_content("ffnn"))


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
    return list(make_folds(EXPERIMENT, catalog, scenes, protocol))


@pytest.mark.parametrize(
    ("protocol", "held"),
    [
        ("place", {"cape": {"early", "late"}, "fjord": {"fjord"}}),
        ("region", {"north": {"early", "late"}, "south": {"fjord"}}),
        ("scene", {"early": {"early"}, "fjord": {"fjord"}, "late": {"late"}}),
    ],
)
def test_each_group_is_left_out_once(scenes, protocol, held):
    folds = folds_of(scenes, protocol)
    assert {fold.name: {one.entry.name for one in fold.held} for fold in folds} == held
    for fold in folds:
        trained = {one.entry.name for one in fold.data.scenes}
        assert trained == {"early", "fjord", "late"} - held[fold.name] == set(fold.data.split.scenes)


@pytest.mark.parametrize("protocol", ["random", "block"])
def test_one_fold_scores_other_pixels_of_the_same_scenes(scenes, protocol):
    (fold,) = folds_of(scenes, protocol)
    assert fold.data.split.rule.protocol == protocol
    assert fold.held == fold.data.scenes == scenes
    perfect = MadeClassifier({one.scene.name: sure_map(one.mask) for one in scenes})
    validation.score_fold(fold, perfect)
    for name, asked in perfect.asked:
        assert asked.any() and not (asked & fold.data.split.training(name)).any()


def test_a_group_alone_cannot_be_left_out(scenes):
    told = "protocol: leaving out a place needs two of them; .* have cape"
    with pytest.raises(GlacierError, match=told):
        folds_of([scenes[0], scenes[2]], "place")


def test_an_unknown_protocol_is_told_before_anything_is_read():
    with pytest.raises(GlacierError, match="protocol: 'plaice' is not a way to split; choose one of block"):
        load_folds(EXPERIMENT, "/absent", "plaice")


def test_the_held_out_part_is_scored_whole_at_the_threshold_of_the_training_part(scenes):
    fold = next(fold for fold in folds_of(scenes, "place") if fold.name == "fjord")
    # Glacier .3 and ground .1 on what was trained on: the threshold lies between. On the fjord a map of all
    # glacier at .3 has the IoU of its share of glacier.
    maps = {one.scene.name: np.where(one.mask, 0.3, 0.1).astype(np.float32) for one in fold.data.scenes}
    maps["fjord"] = np.full((160, 200), 0.3, dtype=np.float32)
    classifier = MadeClassifier(maps)
    (row,) = validation.score_fold(fold, classifier)
    assert row["scene"] == "fjord" and row["recall"] == 1
    assert row["iou"] == row["precision"] == row["accuracy"] == pytest.approx(scenes[1].mask.mean())


def test_every_fold_and_seed_is_a_nested_run_and_a_row(store, scenes, monkeypatch):
    trained = []

    def run_trial(parameters, data, *, seed, **options):
        trained.append((seed, parameters.epochs, {one.entry.name for one in data.scenes}))
        return SimpleNamespace(
            classifier=MadeClassifier({one.scene.name: sure_map(one.mask) for one in scenes})
        )

    monkeypatch.setattr(validation, "run_trial", run_trial)
    with tracking.start_run("cross-validate-place", "cross_validate") as parent:
        table = cross_validate(EXPERIMENT, folds_of(scenes, "place"), 2)
    # Cape's fold trains on the fjord and scores two scenes, the fjord's the other way round, by two seeds.
    assert trained == [
        (0, 2, {"fjord"}),
        (1, 2, {"fjord"}),
        (0, 2, {"early", "late"}),
        (1, 2, {"early", "late"}),
    ]
    assert list(zip(table.fold, table.seed, table.scene, strict=True)) == [
        *[("cape", seed, scene) for seed in (0, 1) for scene in ("early", "late")],
        *[("fjord", seed, "fjord") for seed in (0, 1)],
    ]
    assert (table.iou == 1).all()
    runs = client().search_runs(
        [client().get_run(parent).info.experiment_id], f"tags.`mlflow.parentRunId` = '{parent}'"
    )
    assert {run.info.run_name for run in runs} == {
        "fold-cape-0",
        "fold-cape-1",
        "fold-fjord-0",
        "fold-fjord-1",
    }
    assert {run.data.metrics.get("test/iou_fjord") for run in runs} == {1.0, None}


def test_labelled_scenes_of_both_roles_take_part(tmp_path):
    folds = load_folds(EXPERIMENT, str(write_catalog(tmp_path)), "scene")
    assert [fold.name for fold in folds] == ["early", "fjord", "late"]  # blank has no outlines


def test_a_tile_that_fits_no_scene_is_told_before_training(tmp_path):
    large = Experiment.model_validate(experiment_content("ffnn", {"tile_size": 400}))
    with pytest.raises(GlacierError, match="tile_size: 400 px is larger than every scene"):
        load_folds(large, str(write_catalog(tmp_path)), "block")
