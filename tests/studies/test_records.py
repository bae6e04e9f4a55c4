"""Trials that a process left behind are taken up again, and only those."""

import platform

import optuna
import pytest
from optuna.trial import TrialState

from glacier_ml.studies.processes import number_space, process_name
from glacier_ml.studies.records import study_trials, take_up


@pytest.fixture
def study(tmp_path):
    """A study with one complete, one running and one waiting trial of nodes 4, 8 and 16."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(study_name="grid", storage=f"sqlite:///{tmp_path}/optuna.db")
    for nodes in (4, 8, 16):
        study.enqueue_trial({"nodes": nodes})
    for value in (0.5, None):
        trial = study.ask()
        trial.suggest_categorical("nodes", [4, 8, 16])
        trial.set_user_attr("run_id", f"run{trial.number}")
        if value:
            study.tell(trial, value)
    return study


def states(study):
    return [(trial.values["nodes"], trial.state) for trial in study_trials("grid", study._storage)]


def test_a_dead_process_s_trial_is_queued_anew(study):
    dead = f"{platform.node()} 4194305 0 {number_space()}".strip()
    study._storage.set_trial_user_attr(study.trials[1]._trial_id, "process", dead)
    take_up(study)
    assert states(study) == [(4, "complete"), (8, "interrupted"), (16, "waiting"), (8, "waiting")]
    take_up(study)
    assert len(study.trials) == 4


@pytest.mark.parametrize("process", ["this one", "elsewhere 4194305 0", ""])
def test_a_trial_that_may_still_run_is_left_alone(study, process):
    process = process_name() if process == "this one" else process
    study._storage.set_trial_user_attr(study.trials[1]._trial_id, "process", process)
    take_up(study)
    assert states(study) == [(4, "complete"), (8, "running"), (16, "waiting")]
    assert study.trials[1].state == TrialState.RUNNING


def test_a_study_that_is_not_there_has_no_trials(study):
    assert study_trials("another", study._storage) == []
    assert [trial.run_id for trial in study_trials("grid", study._storage)] == ["run0", "run1", ""]
