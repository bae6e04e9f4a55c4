"""A study by the report's recipe: its data, what its trials leave, and that nothing of it is registered."""

import json
from dataclasses import replace

import numpy as np
import pytest
import yaml
from tiny_studies import RULE, experiment_content, tiny_training, write_catalog

from glacier_ml.errors import GlacierError
from glacier_ml.learning.parameters import parse_parameters
from glacier_ml.scenes.rasters import write_raster
from glacier_ml.studies import tracking
from glacier_ml.studies.commands import run_study, run_training
from glacier_ml.studies.data import load_training_data
from glacier_ml.studies.experiment import Experiment, read_experiment
from glacier_ml.studies.folds import load_folds
from glacier_ml.studies.registration import Candidate, register
from glacier_ml.studies.trial import run_trial

REPORT = {"network": "ffnn", "recipe": "report", "hidden_layers": 1, "nodes": 8, "epochs": 2}
SMALL = {**REPORT, "epoch_pixels": 4096, "batch_pixels": 256}


def report(**changed):
    return parse_parameters({**SMALL, **changed}, "test")


def sound():
    return Experiment.model_validate(experiment_content()).baseline


def test_the_reports_recipe_pairs_masks_by_index(tmp_path):
    catalog = write_catalog(tmp_path)
    early = load_training_data(catalog, RULE, [sound()]).scenes[0]
    shifted = early.scene.grid.__class__(
        early.scene.grid.crs,
        early.scene.grid.transform @ early.scene.grid.transform.translation(5, 0),
        early.scene.grid.shape,
    )
    write_raster(tmp_path / "early" / "outlines.tif", early.mask, shifted)
    ours, theirs = (load_training_data(catalog, RULE, [one]) for one in (sound(), report()))
    np.testing.assert_array_equal(theirs.scenes[0].mask, early.mask)  # five columns off, and nobody told
    np.testing.assert_array_equal(ours.scenes[0].mask[:, 5:], early.mask[:, :-5])
    assert (ours.recipe, theirs.recipe) == ("sound", "report") and ours.digest != theirs.digest
    assert theirs.origin["recipe"] == "report"


def test_a_study_is_of_one_recipe(tmp_path):
    catalog = write_catalog(tmp_path)
    with pytest.raises(GlacierError, match="recipe: sound and report are both searched"):
        load_training_data(catalog, RULE, [sound(), report()])


def test_parameters_and_data_must_be_of_one_recipe(store):
    with pytest.raises(GlacierError, match="recipe: is report, and the training data were made for sound"):
        run_trial(report(), tiny_training(), seed=0)


def logged(run_id, name):
    return json.loads(json.dumps(tracking.logged_dict(run_id, name)))


def test_a_trial_leaves_its_counts_and_the_batch_really_used(store):
    data = replace(tiny_training(), recipe="report")
    with tracking.start_run("trial", "trial") as run_id:
        fitted = run_trial(report(), data, seed=0, pictures=False)
    told = logged(run_id, "validation_blocks.json")
    assert (told["side"], told["threshold"], sorted(told["scenes"])) == (64, 0.5, ["early", "fjord"])
    hits, alarms, misses, rest = sum(np.sum(one["counts"], axis=0) for one in told["scenes"].values())
    # The thinned epoch of 4096 pixels is tested on as many.
    assert hits + alarms + misses + rest == 4096
    assert fitted.best["val/accuracy"] == pytest.approx((hits + rest) / 4096)
    metrics = tracking.runs.client().get_run(run_id).data.metrics
    assert (metrics["batch_pieces"], metrics["batch_used"]) == (1, 256)
    assert metrics["best/iou"] == pytest.approx(hits / (hits + alarms + misses))


def test_a_sound_trial_leaves_the_counts_of_its_validation_blocks(store):
    data = tiny_training()
    with tracking.start_run("trial", "trial") as run_id:
        run_trial(sound(), data, seed=0, pictures=False)
    told = logged(run_id, "validation_blocks.json")
    for scene in data.scenes:
        counts = np.sum(told["scenes"][scene.scene.name]["counts"], axis=0)
        pixels = data.split.validation(scene.scene.name)
        assert counts.sum() == pixels.sum()
        assert counts[0] + counts[2] == (scene.mask & pixels).sum()


def test_nothing_of_the_reports_recipe_is_registered(store, tiny_classifier):
    theirs = replace(tiny_classifier, parameters=report())
    with pytest.raises(GlacierError, match="glacier-ffnn: recipe: report is .* never registered"):
        register(Candidate(theirs, {}, "run", "trial 0"), "ffnn", tiny_training())


def test_commands_that_register_or_fold_refuse_it_at_the_door(store):
    content = experiment_content(search={}) | {"parameters": SMALL}
    path = store / "ffnn.yaml"
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(GlacierError, match="ffnn.yaml: recipe: report is .* never registered"):
        run_study("ffnn", str(path), None, trials=1, seed=0)
    with pytest.raises(GlacierError, match="ffnn: recipe: report heeds no fold, its split leaks"):
        load_folds([read_experiment(path)], None, ["place"])
    with pytest.raises(GlacierError, match="ffnn.yaml: recipe: report is .* never registered"):
        run_training(str(path), None, None, None, True, 0)


def test_a_network_trained_by_the_recipe_has_no_score_of_ground_that_it_trained_on(store, capsys):
    path = store / "ffnn.yaml"
    path.write_text(yaml.safe_dump(experiment_content(search={}) | {"parameters": SMALL, "final_epochs": 1}))
    run_training(str(path), str(write_catalog(store / "scenes")), None, None, False, 0)
    (run,) = [one for one in tracking.runs.client().search_runs(["1"]) if one.data.tags["kind"] == "train"]
    assert "val/iou" in run.data.metrics and not [one for one in run.data.metrics if "score/" in one]
    assert tracking.run_classifier(run.info.run_id).threshold == 0.5
    assert "on the report's own, leaky test samples" in capsys.readouterr().out
