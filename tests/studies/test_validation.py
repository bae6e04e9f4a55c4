"""Cross-validation: what is scored, tracked, and never trained twice."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
from made_classifiers import MadeClassifier, sure_map
from made_scenes import disc, made_scene, valley
from test_folds import experiment, folds_of

from glacier_ml.scenes.made.ground import DEBRIS, ICE, ROCK
from glacier_ml.studies import tracking, validation
from glacier_ml.studies.tracking.runs import client
from glacier_ml.studies.validation import COLUMNS, cross_validate, mean_scores, score_fold, write_scores

EXPERIMENT = experiment()


@pytest.fixture(scope="module")
def scenes():
    """Two dates of a cape in the north, and a fjord in the south that is held out elsewhere."""
    return (
        made_scene("early", (160, 160), disc, seed=1, place="cape", region="north"),
        made_scene("fjord", (160, 200), valley, seed=2, place="fjord", region="south", role="test"),
        made_scene("late", (160, 160), disc, seed=3, place="cape", region="north"),
    )


@pytest.fixture
def trained(scenes, monkeypatch):
    """What was trained, without training: perfect maps, and a single baseline that maps nothing."""
    calls = []

    def run_trial(parameters, data, *, seed, on_epoch, **options):
        calls.append((seed, parameters.epochs, {one.entry.name for one in data.scenes}))
        for epoch in range(parameters.epochs):
            on_epoch(epoch, {"val/iou": 0.5})
        maps = {one.scene.name: sure_map(one.mask) for one in scenes}
        return SimpleNamespace(classifier=MadeClassifier(maps))

    empty = {one.scene.name: np.zeros(one.scene.shape, np.float32) for one in scenes}
    monkeypatch.setattr(validation, "run_trial", run_trial)
    monkeypatch.setattr(validation, "fit_baselines", lambda *_, **__: [MadeClassifier(empty, name="NDSI")])
    return calls


def validated(scenes, seeds=1, protocol="place", experiments=(EXPERIMENT,)):
    with tracking.start_run("cross-validate", "cross_validate") as parent:
        table = cross_validate(experiments, folds_of(scenes, protocol), seeds)
    return table, parent


def children(parent):
    return client().search_runs(
        [client().get_run(parent).info.experiment_id], f"tags.`mlflow.parentRunId` = '{parent}'"
    )


def test_every_fold_and_seed_is_a_nested_run_and_a_row(store, scenes, trained):
    table, parent = validated(scenes, seeds=2)
    # Cape's fold trains on the fjord and scores two scenes, the fjord's the other way round, by two seeds.
    fjord, cape = {"fjord"}, {"early", "late"}
    assert trained == [(0, 2, fjord), (1, 2, fjord), (0, 2, cape), (1, 2, cape)]
    assert list(table.columns) == list(COLUMNS)
    networks = table[table.kind == "network"]
    assert list(zip(networks.fold, networks.seed, networks.scene, strict=True)) == [
        *[("cape", seed, scene) for seed in (0, 1) for scene in ("early", "late")],
        *[("fjord", seed, "fjord") for seed in (0, 1)],
    ]
    assert (networks[["iou", "kappa"]] == 1).all(axis=None) and (networks.area_error_km2 == 0).all()
    names = {f"ffnn-place-{fold}-{seed}" for fold in ("cape", "fjord") for seed in (0, 1)}
    assert {run.info.run_name for run in children(parent)} == names
    assert {run.data.metrics.get("test/iou_fjord") for run in children(parent)} == {1.0, None}


def test_baselines_are_scored_once_a_fold_on_the_same_pixels(store, scenes, trained):
    table, _ = validated(scenes, seeds=2)
    baseline = table[table.kind == "baseline"]
    assert list(zip(baseline.fold, baseline.scene, baseline.classifier, strict=True)) == [
        ("cape", "early", "NDSI"),
        ("cape", "late", "NDSI"),
        ("fjord", "fjord", "NDSI"),
    ]
    # Nothing is mapped: all glacier is missed, and of nothing mapped no precision can be told.
    assert (baseline.iou == 0).all() and (baseline.area_error_percent == -100).all()
    assert baseline.precision.isna().all() and table.precision.dtype == float
    networks = table[(table.kind == "network") & (table.seed == 0)]
    assert list(baseline.pixels) == list(networks.pixels)


def test_a_finished_fold_is_not_trained_again_and_gives_the_same_rows(store, scenes, trained, capsys):
    first, _ = validated(scenes)
    assert len(trained) == 2
    again, parent = validated(scenes, seeds=2)
    # Both folds of seed 0 are there: seed 1 alone is trained.
    assert [seed for seed, *_ in trained[2:]] == [1, 1]
    assert len(children(parent)) == 2
    kept = again[(again.kind == "baseline") | (again.seed == 0)].reset_index(drop=True)
    assert kept.equals(first[list(COLUMNS)])
    assert "ffnn-place-cape-0: finished before as run" in capsys.readouterr().err


@pytest.mark.parametrize(
    "changes", [{"parameters": {"nodes": 4}}, {"final_epochs": 3}, {"split": {"fraction": 0.3, "block": 40}}]
)
def test_other_parameters_epochs_or_split_are_another_fold(scenes, changes):
    other = experiment(**changes)

    def key(one):
        (fold, _) = folds_of(scenes, "place") if one is EXPERIMENT else other_folds()
        parameters = one.baseline.model_copy(update={"epochs": one.final_epochs})
        return validation.fold_key(parameters, fold, 0)

    def other_folds():
        from glacier_ml.scenes.catalog import Catalog
        from glacier_ml.studies.folds import make_folds

        return make_folds(other.split_rule, Catalog(None, ()), scenes, "place")

    assert key(EXPERIMENT) == key(EXPERIMENT) != key(other)


def test_an_interrupted_fold_is_trained_again(store, scenes, trained, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(validation, "calibrate", interrupt)
        with pytest.raises(KeyboardInterrupt):
            validated(scenes)
    assert len(trained) == 1
    validated(scenes)
    assert [names for *_, names in trained] == [{"fjord"}, {"fjord"}, {"early", "late"}]


def test_ground_classes_are_scored_apart(scenes):
    ground = np.full((160, 160), ROCK, np.uint8)
    ground[scenes[0].mask] = ICE
    ground[80:][scenes[0].mask[80:]] = DEBRIS
    parted = SimpleNamespace(**{**vars(scenes[0]), "ground": ground, "truth": scenes[0].mask})
    (fold, _) = folds_of([scenes[0], scenes[1]], "place")
    fold = validation.Fold(fold.protocol, fold.name, fold.data, (parted,))
    upper = sure_map(scenes[0].mask)
    upper[80:] = 0  # misses all debris
    rows = score_fold(fold, MadeClassifier({"early": upper}))
    right = {row["subset"]: row["accuracy"] for row in rows[1:]}
    assert right == {"clean ice": 1.0, "debris": 0.0, "rock": 1.0}
    assert sum(row["pixels"] for row in rows[1:]) == rows[0]["pixels"] == 160 * 160


def test_the_held_out_part_is_scored_whole_at_the_classifiers_threshold(scenes):
    (_, fold) = folds_of(scenes, "place")
    # A map of all glacier at .3 has the IoU of its share of glacier where the threshold lies below, 0 above.
    flat = MadeClassifier({"fjord": np.full((160, 200), 0.3, np.float32)}, threshold=0.2)
    (row,) = score_fold(fold, flat)
    share = scenes[1].mask.mean()
    assert (row["scene"], row["recall"], row["threshold"], row["pixels"]) == ("fjord", 1, 0.2, 32_000)
    assert row["iou"] == row["precision"] == row["accuracy"] == pytest.approx(share)
    # (FP - FN) / (TP + FN) of all mapped; 900 m2 a pixel, a UTM pixel's true area within .1 %.
    assert row["area_error_percent"] == pytest.approx(100 * (1 / share - 1))
    assert row["area_error_km2"] == pytest.approx(32_000 * (1 - share) * 9e-4, rel=2e-3)
    (row,) = score_fold(fold, flat.calibrated(0.4, 1.0))
    assert row["iou"] == 0 and row["precision"] is None


def test_the_threshold_comes_from_the_training_part(store, scenes, trained, monkeypatch):
    # Glacier .3 and ground .1 on what is trained on: the threshold that is fitted lies between.
    def dim(parameters, data, **options):
        maps = {one.scene.name: np.where(one.mask, 0.3, 0.1).astype(np.float32) for one in scenes}
        return SimpleNamespace(classifier=MadeClassifier(maps))

    monkeypatch.setattr(validation, "run_trial", dim)
    table, _ = validated(scenes)
    networks = table[table.kind == "network"]
    assert (networks.iou == 1).all() and (networks.threshold < 0.5).all()


def test_what_is_written_and_logged_names_the_worst_first(store, scenes, trained):
    table, _ = validated(scenes)
    assert write_scores(table, "out") == ["folds.csv", "points.png", "summary.txt"]
    text = (store / "out/summary.txt").read_text()
    assert text.startswith("worst finding: FFNN trained on fjord maps cape with IoU 1.000, where NDSI")
    metrics = mean_scores(table)
    assert metrics == {"place/ffnn/iou": 1.0, "place/NDSI/iou": 0.0}
    assert all(math.isfinite(value) for value in metrics.values())
