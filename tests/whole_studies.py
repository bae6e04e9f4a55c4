"""What must hold of a short study in the end, however often it was stopped and whoever worked on it."""

import time
from collections import Counter

import optuna
from short_study import short_experiment
from tiny_studies import tiny_training

from glacier_ml.studies.records import state_of
from glacier_ml.studies.tracking.runs import client
from glacier_ml.studies.tuning import study_name


def stored(storage="sqlite:///optuna.db"):
    """The study as its storage has it; `close_stored` closes its connections."""
    name = study_name(short_experiment(), tiny_training(), 0)
    _opened.append(optuna.load_study(study_name=name, storage=storage))
    return _opened[-1]


_opened = []


def close_stored():
    """Close the connections of all studies that were looked at."""
    while _opened:
        storage = _opened.pop()._storage
        if hasattr(storage, "_backend"):
            storage._backend.engine.dispose()


def points(trials, state="complete"):
    """What was tried, by trials of a state, in the order of their numbers."""
    return [tuple(sorted(trial.params.items())) for trial in trials if state_of(trial) == state]


def tracked(kinds=("trial",)):
    """Runs of these kinds."""
    experiment = client().get_experiment_by_name("glacier_ml").experiment_id
    runs = client().search_runs([experiment], max_results=1000)
    return [run for run in runs if run.data.tags["kind"] in kinds]


def check_whole(study, wanted=12):
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


def wait_for(condition, seconds=120):
    """Wait until something holds."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.02)
