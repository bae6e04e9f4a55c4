"""Studies stopped in every way go on with the same command: nothing is lost, nothing is done twice."""

import os
import signal
import time
from collections import Counter
from pathlib import Path

import numpy as np
import optuna
import psutil
import pytest
from short_study import EPOCHS, ShortStudies, short_experiment, value_of
from tiny_studies import tiny_training

from glacier_ml.studies.records import state_of
from glacier_ml.studies.tracking.runs import client
from glacier_ml.studies.tuning import study_name

WANTED = 12


def stored(storage="sqlite:///optuna.db"):
    """The study as its storage has it."""
    name = study_name(short_experiment(), tiny_training(), 0)
    return optuna.load_study(study_name=name, storage=storage)


def points(trials, state="complete"):
    """What was tried, by trials of a state, in the order of their numbers."""
    return [tuple(sorted(trial.params.items())) for trial in trials if state_of(trial) == state]


def tracked(kinds=("trial",)):
    """Runs of these kinds."""
    experiment = client().get_experiment_by_name("glacier_ml").experiment_id
    runs = client().search_runs([experiment], max_results=1000)
    return [run for run in runs if run.data.tags["kind"] in kinds]


def check_whole(study, wanted=WANTED):
    """What must hold of a study that has come to its end, however often it was stopped; counts its states."""
    trials = study.trials
    found = Counter(map(state_of, trials))
    assert found["complete"] == wanted and not found["running"] + found["failed"] + found["waiting"], found
    done = points(trials)
    assert len(set(done)) == len(done)  # no point was finished twice
    # A retry for each interrupted trial that had drawn its values, and none for others.
    followed = Counter(trial.user_attrs["retry_of"] for trial in trials if "retry_of" in trial.user_attrs)
    drawn = [
        trial.number
        for trial in trials
        if state_of(trial) == "interrupted" and (trial.params or "fixed_params" in trial.system_attrs)
    ]
    assert {one: 1 for one in drawn} == followed
    # Each trial's run says of it what the storage does, and nests under the run that the study began in.
    states = {str(trial.number): state_of(trial) for trial in trials}
    said = {"complete": ("complete", "FINISHED"), "interrupted": ("killed", "KILLED")}
    runs = Counter()
    for run in tracked():
        tags = run.data.tags
        assert (tags["state"], run.info.status) == said[states[tags["trial"]]], tags
        assert tags["mlflow.parentRunId"] == study.user_attrs["parent_run_id"]
        runs[tags["trial"]] += 1
    complete = [number for number, state in states.items() if state == "complete"]
    assert all(runs[number] == 1 for number in complete) and max(runs.values()) == 1
    return found


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, empty_database):
    """What the study tries when nothing stops it."""
    folder = tmp_path_factory.mktemp("undisturbed")
    with ShortStudies(folder, MOMENT="0") as studies:
        assert studies.run(trials=WANTED) == 0
    return points(stored(f"sqlite:///{folder}/optuna.db").trials)


@pytest.mark.parametrize("kills", [4, pytest.param(20, marks=pytest.mark.thorough)])
def test_a_killed_study_ends_as_one_that_was_not(store, undisturbed, kills):
    random = np.random.default_rng(kills)
    with ShortStudies(store) as studies:
        killed = 0
        while killed < kills:
            pid = studies.start(trials=WANTED)
            time.sleep(random.uniform(0.05, 2.5 if kills == 4 else 1.2))
            status = studies.end(pid)
            assert status in (0, -signal.SIGKILL)
            killed += 1
        assert studies.run(trials=WANTED) == 0
    found = check_whole(stored())
    print(f"{killed} kills: {dict(found)}")
    assert sorted(points(stored().trials)) == sorted(undisturbed)


@pytest.mark.parametrize("word", [signal.SIGINT, signal.SIGTERM])
def test_a_study_stopped_by_a_word_gives_back_its_trial(store, undisturbed, word):
    with ShortStudies(store, MOMENT="0.2") as studies:
        pid = studies.start(trials=WANTED)
        wait_for(lambda: len(lines()) >= 2)
        assert studies.end(pid, word) == 128 + word
        assert not [run for run in tracked(("trial", "study", "worker")) if run.info.status == "RUNNING"]
    with ShortStudies(store, MOMENT="0") as studies:
        assert studies.run(trials=WANTED) == 0
    found = check_whole(stored())
    assert found["interrupted"] <= 1
    assert points(stored().trials) == undisturbed  # in the same order, too


def lines():
    """What was trained to its end so far."""
    trained = Path("trained.txt")
    return trained.read_text(encoding="utf-8").splitlines() if trained.is_file() else []


def wait_for(condition, seconds=120):
    """Wait until something holds."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.02)


def test_workers_share_a_study_and_a_killed_one_is_replaced(store):
    with ShortStudies(store, MOMENT="0.3") as studies:
        pid = studies.start(trials=8, workers=2)
        wait_for(lambda: len(lines()) >= 2)
        workers = [one for one in psutil.Process(pid).children() if "spawn_main" in " ".join(one.cmdline())]
        assert len(workers) == 2
        workers[0].kill()
        assert studies.end() == 0
    trials = stored().trials
    found = check_whole(stored(), 8)
    assert found["interrupted"] <= 1
    assert len({trial.user_attrs["process"] for trial in trials if state_of(trial) == "complete"}) >= 2
    assert "was killed by signal 9: another takes its place" in (store / "errors.txt").read_text()


def test_workers_end_with_the_command_that_started_them(store):
    with ShortStudies(store, MOMENT="0.3") as studies:
        pid = studies.start(trials=30, workers=2)
        wait_for(lambda: len(lines()) >= 2)
        workers = psutil.Process(pid).children(recursive=True)
        os.kill(pid, signal.SIGKILL)  # it alone
        studies.end()
        _, alive = psutil.wait_procs(workers, timeout=60)
        assert not alive
        done = len(points(stored().trials))
        assert studies.run(trials=done + 2) == 0
    check_whole(stored(), done + 2)


def test_the_values_are_what_the_trials_gave():
    # 1 / (1 + |.1 - .1| + |60 - 40| / 40) = 2 / 3
    parameters = short_experiment().with_values({"learning_rate": 0.1, "nodes": 60})
    assert (parameters.epochs, value_of(parameters)) == (EPOCHS, pytest.approx(2 / 3))
