"""From trials to a registered model: what is fitted where, which candidate wins, what the registry says."""

from types import SimpleNamespace

import numpy as np
import pytest
from made_classifiers import MadeClassifier, sure_map
from made_scenes import with_mask
from tiny_studies import experiment_content, tiny_training

from glacier_ml.learning.training import TrainingFailed
from glacier_ml.studies import registration, tracking
from glacier_ml.studies.experiment import Experiment
from glacier_ml.studies.registration import (
    Candidate,
    model_card,
    prepare_candidate,
    refit,
    register_best,
)
from glacier_ml.studies.tracking.runs import client


@pytest.fixture(scope="module")
def data():
    return tiny_training()


@pytest.fixture(scope="module")
def graded(data):
    """A classifier whose probability rises from left to right, whatever lies there."""
    ramp = {one.scene.name: np.tile(np.linspace(0.02, 0.98, 220), (200, 1)) for one in data.scenes}
    return MadeClassifier({name: values.astype(np.float32) for name, values in ramp.items()})


def relabelled(data, half, columns):
    """The same data where, on the pixels of one half of the split, glacier starts at a column."""
    right = np.arange(220)[None, :] >= columns
    scenes = []
    for one in data.scenes:
        pixels = getattr(data.split, half)(one.scene.name)
        scenes.append(with_mask(one, np.where(pixels, right, one.mask)))
    return SimpleNamespace(scenes=tuple(scenes), split=data.split, origin=data.origin)


def test_threshold_and_temperature_come_from_the_calibration_half(data, graded):
    # Glacier right of column 150 there, whose probability is .02 + .96 * 150 / 219 = .678, not warmed yet.
    marked = relabelled(data, "calibration", 150)
    fitted = prepare_candidate(graded, marked, "run", "refit").classifier
    cold = 1 / (1 + np.exp(-np.log(0.678 / 0.322) / fitted.temperature))
    assert fitted.threshold == pytest.approx(cold, abs=0.015)
    elsewhere = relabelled(marked_with(marked, data), "scoring", 30)
    again = prepare_candidate(graded, elsewhere, "run", "refit").classifier
    assert (again.threshold, again.temperature) == (fitted.threshold, fitted.temperature)


def marked_with(marked, data):
    """Training data with the labels of `marked`."""
    return SimpleNamespace(scenes=marked.scenes, split=data.split, origin=data.origin)


def test_scores_come_from_the_scoring_half(data, graded):
    marked = relabelled(data, "calibration", 150)
    before = prepare_candidate(graded, marked, "run", "refit")
    alike = prepare_candidate(graded, relabelled(marked, "scoring", 150), "run", "refit")
    unlike = prepare_candidate(graded, relabelled(marked, "scoring", 0), "run", "refit")
    assert alike.iou > 0.97  # the threshold lies within a hundredth of where glacier starts
    assert unlike.iou < 0.5 and before.iou < alike.iou
    assert set(before.metrics) >= {"score/iou", "score/f1", "score/precision", "score/recall", "score/loss"}


def test_the_origin_tells_what_a_model_was_trained_on(data, graded):
    ancestor = MadeClassifier({}, origin={"splits": [{"digest": "old"}, {"digest": "older"}]})
    first = prepare_candidate(graded, data, "run-1", "refit").classifier.origin
    assert first["splits"] == [data.split.describe()]
    assert (first["run_id"], first["source"]) == ("run-1", "refit")
    assert first["dataset_digest"] == data.digest and first["scenes"] == ["early", "fjord"]
    tuned_on = prepare_candidate(graded, data, "run-2", "fine-tuned", ancestor).classifier.origin
    assert [split["digest"] for split in tuned_on["splits"]] == [data.split.digest, "old", "older"]


def candidate(iou, source):
    return Candidate(None, {"score/iou": iou}, "run", source)


@pytest.fixture
def bench(monkeypatch):
    """Factory: a study's best run whose refit and trial have these IoUs; gives what is registered of it."""
    tags = {}
    monkeypatch.setattr(tracking, "run_exists", lambda run_id: True)
    monkeypatch.setattr(tracking, "run_tags", lambda run_id: tags)
    monkeypatch.setattr(tracking, "tag_run", lambda run_id, told: tags.update(told))
    monkeypatch.setattr(registration, "prepare_candidate", lambda *given: candidate(given[0], given[3]))

    def lay(refitted, trial):
        taken = []
        monkeypatch.setattr(registration, "refit", lambda *_: refitted and candidate(refitted, "refit"))
        monkeypatch.setattr(tracking, "run_classifier", lambda run_id: trial)
        monkeypatch.setattr(registration, "register", lambda one, *_: taken.append(one.source) or "7")
        return taken

    return lay


@pytest.mark.parametrize(
    ("refitted", "trial", "registered"),
    [(0.8, 0.7, "refit"), (0.7, 0.8, "trial 3"), (None, 0.7, "trial 3"), (0.8, None, "refit")],
)
def test_the_better_of_refit_and_trial_is_registered_once(bench, refitted, trial, registered):
    taken = bench(refitted, trial)
    for _ in range(2):  # a study that is resumed and finds nothing better registers nothing again
        result = SimpleNamespace(run_id="run", number=3)
        assert register_best(SimpleNamespace(network="ffnn"), None, result, 0) == "7"
    assert taken == [registered]


def test_a_refit_trains_the_best_parameters_for_the_full_budget(store, data, graded, monkeypatch):
    chosen = Experiment.model_validate(experiment_content("ffnn", final_epochs=17))
    seen = {}

    def run_trial(parameters, _, *, seed, **options):
        seen.update(parameters=parameters, seed=seed)
        return SimpleNamespace(classifier=graded)

    monkeypatch.setattr(registration, "run_trial", run_trial)
    best = chosen.with_values({"nodes": 4})
    with tracking.start_run("study", "study") as parent:
        refitted = refit(chosen, data, SimpleNamespace(best=best), 5)
    assert seen == {"parameters": best.model_copy(update={"epochs": 17}), "seed": 5}
    run = client().get_run(refitted.run_id)
    assert run.data.tags["mlflow.parentRunId"] == parent and run.data.tags["state"] == "complete"
    assert run.data.metrics["score/iou"] == refitted.iou


def test_a_refit_that_fails_is_recorded_and_gives_nothing(store, data, monkeypatch):
    def run_trial(*_, **__):
        raise TrainingFailed("loss: not finite in epoch 9")

    monkeypatch.setattr(registration, "run_trial", run_trial)
    chosen = Experiment.model_validate(experiment_content("ffnn"))
    with tracking.start_run("study", "study") as parent:
        assert refit(chosen, data, SimpleNamespace(best=chosen.baseline), 0) is None
    runs = client().search_runs([client().get_run(parent).info.experiment_id], "tags.kind = 'refit'")
    assert [(run.data.tags["state"], run.info.status) for run in runs] == [("failed", "FAILED")]
    assert runs[0].data.tags["reason"] == "loss: not finite in epoch 9"


def test_the_interval_is_that_of_the_scoring_blocks(data, graded):
    found = prepare_candidate(graded, relabelled(data, "calibration", 150), "run", "refit")
    low, high = found.interval
    assert 0 <= low < found.iou < high <= 1
    # A map that errs nowhere errs in no draw of blocks.
    sure = MadeClassifier({one.scene.name: sure_map(one.mask) for one in data.scenes})
    assert prepare_candidate(sure, data, "run", "refit").interval == (1.0, 1.0)


SCORES = {"score/iou": 0.8123, "score/f1": 0.9, "score/precision": 0.95, "score/recall": 0.85}


def card_of(data, interval, network="ffnn"):
    made = MadeClassifier({}, threshold=0.37, temperature=1.4, name=network)
    candidate = Candidate(made, SCORES, "run", "refit", interval)
    return model_card(candidate, network, data, "7", "#/experiments/1/runs/run")


def test_the_card_says_what_goes_in_and_how_good_it_is(data):
    card = card_of(data, (0.7006, 0.8999))
    assert "(n, rows, columns, 5) top-of-atmosphere reflectance, bands blue, green, red, nir, swir1" in card
    assert "Glacier at or above 0.37; temperature 1.40" in card
    assert "**Glacier IoU 0.812 [0.701, 0.900]**, 95 % interval from blocks of 64 px; f1 0.900" in card
    pixels = sum(int(data.split.scoring(name).sum()) for name in ("early", "fjord"))
    assert f"On {pixels:,} pixels of validation blocks" in card
    assert f"Dataset `{data.digest[:12]}`, split `{data.split.digest[:12]}` (block)" in card
    # 200 x 220 pixels; a disc of a third of 200 is 32 % of them, pi (200 / 3)^2 / 44000.
    assert "| early | early | not told | 44,000 | 32 % |" in card
    assert "another place, season or sensor" in card and "### Limits" in card


def test_the_card_says_how_to_load_the_version(data):
    card = card_of(data, (np.nan, np.nan), "unet")
    assert 'mlflow.pyfunc.load_model("models:/glacier-unet/7")' in card
    assert "models:/glacier-unet@champion" in card
    assert "glacier-ml predict --data SCENES --model models:/glacier-unet/7 --output maps" in card
    assert "Refit; parameters, curves and maps: [its run](#/experiments/1/runs/run)" in card
    # Where blocks are too few for an interval, there is none, and no word of one.
    assert "**Glacier IoU 0.812**; f1" in card and "interval from" not in card


@pytest.mark.parametrize("network", ["ffnn", "unet"])
def test_a_tuned_network_is_in_the_registry(beside_project, tiny_project, network):
    name = f"glacier-{network}"
    version = client().get_model_version_by_alias(name, "challenger")
    assert str(version.version) == "1" and version.tags["source"] in {"refit", "trial 0", "trial 1"}
    classifier = tracking.load_classifier(f"models:/{name}@challenger")
    origin = classifier.origin
    assert origin["splits"][0]["digest"].startswith(version.tags["split"])
    assert origin["dataset_digest"].startswith(version.tags["dataset"])
    assert origin["data"] == str(tiny_project.catalog) and origin["scenes"] == ["early", "fjord"]
    assert f"Glacier at or above {classifier.threshold:.2f}" in version.description
    assert f'"models:/{name}/1"' in version.description and origin["run_id"] in version.description
    assert version.tags["run"] == origin["run_id"]
    assert version.tags["iou"].startswith(f"{origin['metrics']['score/iou']:.3f} [")
    model = client().get_registered_model(name)
    assert f"models:/{name}@champion" in model.description
    assert model.tags == {
        "task": "glacier segmentation",
        "network": network,
        "bands": "blue green red nir swir1",
    }
    run = client().get_run(origin["run_id"])
    assert run.data.tags["kind"] in {"trial", "refit"}
    assert origin["metrics"]["score/iou"] > 0.5  # ice and ground lie far apart


def test_probabilities_of_a_sure_classifier_are_calibrated(data):
    # 0.6 on glacier and .4 elsewhere, always right: a temperature far below 1 makes it as sure as it may be.
    timid = MadeClassifier({one.scene.name: sure_map(one.mask, 0.6) for one in data.scenes})
    fitted = prepare_candidate(timid, data, "run", "refit")
    assert fitted.classifier.temperature < 0.1 and fitted.iou == 1


def test_a_study_with_nothing_new_is_not_registered_twice(store, data, monkeypatch):
    from glacier_ml.studies.tuning import StudyResult

    written = Experiment.model_validate(experiment_content())
    registered = []
    monkeypatch.setattr(registration, "refit", lambda *_: Candidate(None, {"score/iou": 0.5}, "", "refit"))
    monkeypatch.setattr(registration, "register", lambda *_: registered.append(1) or str(len(registered)))
    with tracking.start_run("trial-000", "trial") as run_id:
        pass
    result = StudyResult("made", written.baseline, 0.5, 0, run_id, {})
    assert [register_best(written, data, result, 0) for _ in range(2)] == ["1", "1"]
    assert len(registered) == 1
