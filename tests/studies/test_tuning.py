"""Studies: which trials run, what becomes of them, and what each leaves in its run."""

import re
import time
from types import SimpleNamespace

import optuna
import pytest
from tiny_studies import experiment_content, tiny_training, write_catalog, write_experiment

from glacier_ml.errors import GlacierError
from glacier_ml.learning.training import TrainingFailed
from glacier_ml.studies import searching, tracking, tuning
from glacier_ml.studies.commands import run_study
from glacier_ml.studies.data import load_training_data
from glacier_ml.studies.experiment import Experiment
from glacier_ml.studies.tracking.runs import client
from glacier_ml.studies.tuning import DEFAULT_STORAGE, study_name, tune


@pytest.fixture(scope="module")
def data():
    return tiny_training()


def bowl(number, parameters):
    """IoU by epoch that is highest at 4 nodes and a small learning rate."""
    value = 0.9 - 0.05 * parameters.nodes - parameters.learning_rate
    return [value / 2, value]


def experiment(**changes):
    return Experiment.model_validate(experiment_content("ffnn", **changes))


def tuned(wanted, data, *, experiment=None, seed=0, **options):
    """Tune inside a run; gives the result and the run's id."""
    with tracking.start_run("study", "study") as run_id:
        chosen = experiment or Experiment.model_validate(experiment_content("ffnn"))
        return tune(chosen, data, trials=wanted, seed=seed, **options), run_id


def trial_runs(parent):
    """Runs below a run, in the order of their names."""
    where = [client().get_run(parent).info.experiment_id]
    runs = client().search_runs(where, f"tags.`mlflow.parentRunId` = '{parent}'")
    return sorted(runs, key=lambda run: run.info.run_name)


def states(runs):
    return [(run.data.tags["state"], run.info.status) for run in runs]


def test_the_baseline_comes_first_and_trials_are_the_total(trained, data, capsys):
    tried = trained(bowl)
    first, parent = tuned(3, data)
    assert tried[0] == experiment().baseline
    assert (len(tried), first.states) == (3, {"complete": 3, "pruned": 0, "failed": 0})
    again, _ = tuned(3, data)
    assert len(tried) == 3 and again == first
    assert f"{first.name}: goes on after 3 trials" in capsys.readouterr().err
    more, _ = tuned(5, data)
    assert len(tried) == 5 and more.states["complete"] == 5
    # All five nest under the run that the study began in, and none was tried twice.
    assert [run.info.run_name for run in trial_runs(parent)] == [f"trial-{number:03d}" for number in range(5)]
    assert len({(one.learning_rate, one.nodes) for one in tried}) == 5


def test_the_best_is_the_trial_with_the_highest_value(trained, data, monkeypatch):
    tried, kept = trained(bowl), []
    monkeypatch.setattr(tracking, "log_classifier", lambda _: kept.append(tracking.active_run_id()))
    result, parent = tuned(6, data)
    values = [bowl(0, parameters)[-1] for parameters in tried]
    assert result.value == max(values) and result.number == values.index(max(values))
    assert result.best == tried[result.number]
    assert trial_runs(parent)[result.number].info.run_id == result.run_id
    # A classifier is logged of each trial that was among the best three so far, and of no other.
    worth = [number for number, value in enumerate(values) if value >= sorted(values[: number + 1])[-3:][0]]
    assert kept == [trial_runs(parent)[number].info.run_id for number in worth]
    marks = [run.data.tags.get("classifier") for run in trial_runs(parent)]
    best = sorted(range(6), key=lambda number: -values[number])[:3]
    assert [number for number, mark in enumerate(marks) if mark == "kept"] == sorted(best)
    assert {number for number, mark in enumerate(marks) if mark == "removed"} == set(worth) - set(best)


def test_searched_values_stay_within_what_the_file_says(trained, data):
    search = {
        "learning_rate": {"low": 0.001, "high": 0.1, "log": True},
        "penalty": {"low": 0.0, "high": 0.5},
        "hidden_layers": {"low": 1, "high": 3},
        "activation": {"choices": ["relu", "tanh"]},
    }
    tried = trained(lambda number, parameters: [0.5, 0.5])
    tuned(5, data, experiment=experiment(search=search, sampler="random"))
    assert all(0.001 <= one.learning_rate <= 0.1 and 0 <= one.penalty <= 0.5 for one in tried)
    assert {one.hidden_layers for one in tried} <= {1, 2, 3}
    assert {one.activation for one in tried} <= {"relu", "tanh"}
    assert {one.nodes for one in tried} == {8}  # not searched: the file's


def test_the_same_seed_suggests_the_same_trials(trained, data):
    tried = trained(bowl)
    for seed, storage in ((0, "a"), (0, "b"), (1, "b")):
        tuned(3, data, seed=seed, storage=f"sqlite:///{storage}.db")
    assert tried[:3] == tried[3:6]
    assert tried[6] == tried[0] and tried[7:] != tried[1:3]  # the baseline, then others


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"seed": 1}, "seed changed"),
        ({"experiment": {"final_epochs": 3}}, "experiment changed"),
        ({"experiment": {"split_seed": 1}}, "experiment and split changed"),
        ({"data": {"seed": 7}}, "data and split changed"),
    ],
)
def test_changed_inputs_start_a_new_study_and_say_so(trained, data, capsys, changed, told):
    trained(bowl)
    first, _ = tuned(1, data)
    assert "new study" not in capsys.readouterr().err
    other = experiment(**changed.get("experiment", {}))
    scenes = tiny_training(**changed["data"]) if "data" in changed else data
    if "experiment" in changed:
        from dataclasses import replace

        from glacier_ml.learning.splits import make_split

        scenes = replace(data, split=make_split(data.scenes, other.split_rule))
    second, _ = tuned(1, scenes, experiment=other, seed=changed.get("seed", 0))
    assert second.name != first.name and second.states["complete"] == 1
    assert f"{second.name}: a new study, because {told} since {first.name}" in capsys.readouterr().err


def test_more_trials_are_no_change(trained, data):
    trained(bowl)
    first, _ = tuned(1, data, experiment=experiment(trials=1))
    second, _ = tuned(2, data, experiment=experiment(trials=20))
    assert second.name == first.name


def test_a_failed_trial_is_recorded_and_the_study_goes_on(trained, data, capsys):
    failures = {0: TrainingFailed("loss: not finite in epoch 1"), 2: ValueError("shapes\nsecond line")}
    tried = trained(lambda number, parameters: failures.get(number, [0.4, 0.5]))
    result, parent = tuned(2, data)
    assert len(tried) == 4 and result.states == {"complete": 2, "pruned": 0, "failed": 2}
    runs = trial_runs(parent)
    assert states(runs) == [("failed", "FAILED"), ("complete", "FINISHED")] * 2
    assert runs[0].data.tags["reason"] == "TrainingFailed: loss: not finite in epoch 1"
    assert runs[2].data.tags["reason"].startswith("ValueError: shapes")
    assert "trial 0 failed: loss: not finite in epoch 1" in capsys.readouterr().err


def test_a_study_whose_every_trial_fails_gives_up(trained, data):
    tried = trained(lambda number, parameters: TrainingFailed("memory: one tile needs 20.0 GB"))
    with pytest.raises(GlacierError, match="5 trials failed; their runs' tag 'reason' says why"):
        tuned(2, data)
    assert len(tried) == 5  # the two asked for and three more


def test_a_poor_trial_is_pruned_and_counts(trained, data):
    # One complete trial (startup_trials) is the median; the second falls short of it after warmup_epochs.
    histories = [[0.6, 0.7, 0.8, 0.9], [0.1, 0.1, 0.1, 0.9], [0.7, 0.8, 0.9, 0.95]]
    tried = trained(lambda number, parameters: histories[number])
    chosen = experiment(parameters={"epochs": 4}, warmup_epochs=2)
    result, parent = tuned(3, data, experiment=chosen)
    assert len(tried) == 3 and result.states == {"complete": 2, "pruned": 1, "failed": 0}
    assert (result.number, result.value) == (2, 0.95)
    runs = trial_runs(parent)
    assert states(runs) == [("complete", "FINISHED"), ("pruned", "FINISHED"), ("complete", "FINISHED")]
    assert "reason" not in runs[1].data.tags


def test_without_a_pruner_every_trial_runs_to_its_end(trained, data):
    trained(lambda number, parameters: [0.9, 0.9] if number == 0 else [0.1, 0.1])
    result, _ = tuned(2, data, experiment=experiment(pruner="none", warmup_epochs=0))
    assert result.states == {"complete": 2, "pruned": 0, "failed": 0}


def test_a_grid_tries_each_of_its_points_once(trained, data):
    search = {"nodes": {"choices": [4, 8]}, "activation": {"choices": ["relu", "tanh", "elu"]}}
    failing = TrainingFailed("loss: not finite in epoch 1")
    tried = trained(lambda number, parameters: failing if number == 3 else [0.5, 0.5])
    chosen = experiment(search=search, sampler="grid", pruner="none")
    tuned(2, data, experiment=chosen)
    result, _ = tuned(99, data, experiment=chosen)  # goes on, and stops at the end of the grid
    assert result.states == {"complete": 5, "pruned": 0, "failed": 1}
    assert tried[0] == chosen.baseline
    assert len({(one.nodes, one.activation) for one in tried}) == len(tried) == 2 * 3


def test_an_interrupted_trial_is_tried_again(trained, data):
    def stopped(number, parameters):
        if number == 0:
            raise KeyboardInterrupt
        return [0.5, 0.5]

    tried = trained(stopped)
    with pytest.raises(KeyboardInterrupt):
        tuned(1, data)
    result, _ = tuned(1, data)
    assert tried[0] == tried[1] == experiment().baseline and len(tried) == 2
    assert result.states["complete"] == 1


def test_a_trial_that_others_took_for_dead_is_theirs(trained, data, capsys):
    def taken(number, parameters):
        if number == 0:
            study = optuna.load_study(study_name=study_name(experiment(), data, 0), storage=DEFAULT_STORAGE)
            study.tell(0, state=optuna.trial.TrialState.FAIL)
        return [0.5, 0.5]

    tried = trained(taken)
    result, parent = tuned(1, data)
    assert len(tried) == 2 and result.states["complete"] == 1
    assert "trial 0 was taken for dead by others, and is theirs" in capsys.readouterr().err
    assert states(trial_runs(parent))[0] == ("killed", "KILLED")


def test_an_end_that_is_there_is_not_held_up_by_failures(trained, data):
    failing = ValueError("shapes")
    trained(lambda number, parameters: [0.5, 0.6] if number in (0, 5) else failing)
    assert tuned(2, data)[0].states == {"complete": 2, "pruned": 0, "failed": 4}
    with pytest.raises(GlacierError, match="7 trials failed"):
        tuned(4, data)
    assert tuned(2, data)[0].states["failed"] == 7


def test_no_trial_starts_after_the_timeout(trained, data, monkeypatch):
    clock = SimpleNamespace(now=0.0)
    for module in (tuning, searching):
        monkeypatch.setattr(
            module,
            "time",
            SimpleNamespace(time=lambda: clock.now, monotonic=time.monotonic, sleep=time.sleep),
        )

    def minute(number, parameters):
        clock.now += 60
        return [0.5, 0.5]

    tried = trained(minute)
    result, _ = tuned(9, data, timeout=150)  # the third starts at 120 s, a fourth would at 180 s
    assert len(tried) == 3 and result.states["complete"] == 3


def test_a_timeout_before_the_first_trial_is_told(trained, data):
    trained(bowl)
    with pytest.raises(
        GlacierError, match=r"no trial is complete yet \(0 failed\); give more trials or time"
    ):
        tuned(1, data, timeout=1e-9)


@pytest.mark.parametrize(
    "storage", ["sqlite:////absent/folder/optuna.db", "nonsense", "nosuchdb://host/name"]
)
def test_a_bad_storage_is_told_in_a_line(trained, data, storage):
    trained(bowl)
    with pytest.raises(GlacierError, match="storage: .* cannot be opened .*; give an Optuna storage") as told:
        tuned(1, data, storage=storage)
    assert "\n" not in str(told.value) and storage in str(told.value)


def test_a_trial_too_large_for_the_memory_fails_with_the_reason(store, data, monkeypatch):
    monkeypatch.setattr(searching, "memory_limit", lambda share: 1000.0)
    monkeypatch.setattr(searching, "FAILURES", 0)
    with tracking.start_run("study", "study") as parent, pytest.raises(GlacierError, match="1 trials failed"):
        tune(experiment(parameters={"tile_size": 64}), data, trials=1)
    assert trial_runs(parent)[0].data.tags["reason"].startswith("TrainingFailed: memory: one tile of 64 px")


def test_a_loss_that_is_not_finite_fails_the_trial(store, data, monkeypatch):
    monkeypatch.setattr(searching, "FAILURES", 0)
    # Without a clipped gradient the first steps of plain SGD at this rate overflow.
    wild = {"learning_rate": 1e30, "optimizer": "sgd", "clip_norm": 0.0, "schedule": "fixed"}
    chosen = experiment(parameters=wild, search={"learning_rate": {"choices": [1e30]}})
    with tracking.start_run("study", "study") as parent, pytest.raises(GlacierError, match="1 trials failed"):
        tune(chosen, data, trials=1)
    reasons = {run.data.tags["reason"] for run in trial_runs(parent)}
    assert reasons == {"TrainingFailed: loss: not finite in epoch 1; a smaller learning_rate may do"}


@pytest.mark.parametrize(("network", "trials"), [("ffnn", 2), ("unet", 1)])
def test_a_trial_is_a_nested_run_that_holds_all_there_is_to_see(
    beside_project, tiny_project, network, trials
):
    result = tiny_project.results[network]
    assert result.states == {"complete": trials, "pruned": 0, "failed": 0}
    parent = client().get_run(result.run_id).data.tags["mlflow.parentRunId"]
    *runs, refit = sorted(trial_runs(parent), key=lambda run: run.info.run_name != "refit", reverse=True)
    assert refit.data.tags["kind"] == "refit" and len(runs) == trials
    for number, run in enumerate(runs):
        assert run.info.run_name == f"trial-{number:03d}"
        assert {key: run.data.tags[key] for key in ("kind", "state", "study", "trial")} == {
            "kind": "trial",
            "state": "complete",
            "study": result.name,
            "trial": str(number),
        }
        assert {"learning_rate", "activation", "tile_size", "epochs", "seed"} <= set(run.data.params)
        for metric in ("train/loss", "train/iou", "val/loss", "val/iou", "val/accuracy", "val/iou_early"):
            steps = [point.step for point in client().get_metric_history(run.info.run_id, metric)]
            assert steps == [0, 1], metric
        history = [point.value for point in client().get_metric_history(run.info.run_id, "val/iou")]
        assert run.data.metrics["best/iou"] == max(history)
        assert run.data.metrics["best/epoch"] == history.index(max(history)) + 1
        assert {"learning_curve.png", "confusion_matrix.png", "parameters.json"} <= artifacts(run)
        assert artifacts(run, "validation") == {"validation/early.png", "validation/fjord.png"}
        images = {name.partition("+")[0] for name in artifacts(run, "images")}
        assert images == {"images/maps~early", "images/maps~fjord"}  # the same keys in every trial
        assert [one.dataset.name for one in run.inputs.dataset_inputs] == ["early, fjord"]


def artifacts(run, folder=""):
    return {item.path for item in client().list_artifacts(run.info.run_id, folder)}


def test_the_study_s_run_says_what_was_studied(beside_project, tiny_project):
    result = tiny_project.results["ffnn"]
    trial = client().get_run(result.run_id)
    study = client().get_run(trial.data.tags["mlflow.parentRunId"])
    assert study.info.run_name == result.name and study.data.tags["state"] == "complete"
    assert {"dataset", "split", "experiment_file", "python", "tensorflow"} <= set(study.data.tags)
    assert (study.data.tags["trials_complete"], study.data.tags["trials_failed"]) == ("2", "0")
    assert study.data.metrics["best/iou"] == result.value
    assert {"best_parameters.json", "experiment.json", "data.json"} <= artifacts(study)
    assert {"study/history.html", "study/slices.html", "study/progress.png"} <= artifacts(study, "study")
    best = tracking.logged_dict(study.info.run_id, "best_parameters.json")
    assert best == result.best.model_dump()
    assert tracking.logged_dict(study.info.run_id, "data.json")["scenes"] == ["early", "fjord"]
    names = {one.dataset.name for one in study.inputs.dataset_inputs}
    assert names == {"early, fjord", "early", "fjord"}


def test_the_end_of_a_study_tells_the_best_and_where_to_look(tiny_project):
    result = tiny_project.results["ffnn"]
    told = tiny_project.printed
    assert f"{result.name}: 2 complete, 0 pruned, 0 failed; best is trial {result.number}" in told
    assert "registered as glacier-ffnn version 1" in told
    links = re.findall("compare the trials: (http://127.0.0.1:5000/#/experiments/.*)", told)
    assert [link.rpartition("viewStateShareKey=")[2] for link in links] == [
        one.name for one in tiny_project.results.values()
    ]


def test_the_same_seed_and_data_give_the_same_study(store, tiny_project):
    data = load_training_data(str(tiny_project.catalog), experiment().split_rule)
    again, _ = tuned(2, data)
    before = f"sqlite:///{tiny_project.folder / 'optuna.db'}"
    assert again.name == tiny_project.results["ffnn"].name
    assert trial_values(DEFAULT_STORAGE, again.name) == trial_values(before, again.name)


def trial_values(storage, name):
    import optuna

    study = optuna.load_study(study_name=name, storage=storage)
    return [(trial.params, trial.value, trial.intermediate_values) for trial in study.trials]


def test_a_study_goes_on_where_another_process_left_it(beside_project, tiny_project, capsys):
    import optuna

    name = tiny_project.results["ffnn"].name
    study = optuna.load_study(study_name=name, storage=DEFAULT_STORAGE)
    assert len(study.trials) == 2
    data = load_training_data(str(tiny_project.catalog), experiment().split_rule)
    result, run_id = tuned(2, data)
    assert result == tiny_project.results["ffnn"]
    first = client().get_run(result.run_id).data.tags["mlflow.parentRunId"]
    assert client().get_run(run_id).data.tags["study_run"] == first
    assert "goes on after 2 trials" in capsys.readouterr().err


def test_held_out_scenes_are_never_opened(tmp_path):
    catalog = write_catalog(tmp_path)
    rule = experiment().split_rule
    whole = load_training_data(catalog, rule)
    for held in ("late", "blank"):
        for file in (tmp_path / held).glob("*.tif"):
            file.write_bytes(b"no raster at all")
    without = load_training_data(catalog, rule)
    assert (without.digest, without.split.digest) == (whole.digest, whole.split.digest)
    assert [scene.entry.name for scene in without.scenes] == ["early", "fjord"]


def test_inputs_are_refused_before_a_run_is_opened(store, tmp_path):
    catalog = write_catalog(tmp_path / "scenes", ("train", "train"))
    path = write_experiment(tmp_path, search={"tile_size": {"choices": [1, 32, 512]}})
    with pytest.raises(GlacierError, match="tile_size: 512 px is larger than every scene"):
        run_study("ffnn", str(path), str(catalog), trials=1, seed=0)
    assert client().get_experiment_by_name("glacier_ml") is None
