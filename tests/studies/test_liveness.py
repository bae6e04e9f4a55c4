"""Trials that a process left behind are ended and queued once more, and only those."""

import platform
import time

import optuna
import pytest
from optuna.trial import TrialState

from glacier_ml.studies import liveness
from glacier_ml.studies.liveness import give_back, heartbeat, put_back, running, settle, twin
from glacier_ml.studies.processes import process_name
from glacier_ml.studies.records import study_trials
from glacier_ml.studies.tracking import runs as tracking
from glacier_ml.studies.tracking.runs import client

DEAD = f"{platform.node()} 4194305 0"


@pytest.fixture
def study(store):
    """A study with one complete, one running and one waiting trial of nodes 4, 8 and 16."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(study_name="grid", storage="sqlite:///optuna.db", direction="maximize")
    for nodes in (4, 8, 16):
        study.enqueue_trial({"nodes": nodes})
    begin(study)
    study.tell(0, 0.5)
    begin(study)
    return study


def begin(study, process=None):
    """Begin the next trial in a process, this one by default."""
    trial = study.ask()
    trial.set_user_attr("process", process or process_name())
    trial.suggest_categorical("nodes", [4, 8, 16])
    return trial


def mark(study, number, **attributes):
    """Set attributes of a trial."""
    for key, value in attributes.items():
        study._storage.set_trial_user_attr(study.trials[number]._trial_id, key, value)


def states(study):
    return [(trial.values["nodes"], trial.state) for trial in study_trials("grid", study._storage)]


def test_a_dead_process_s_trial_is_ended_and_queued_once(study):
    mark(study, 1, process=DEAD)
    settle(study)
    after = [(4, "complete"), (8, "interrupted"), (16, "waiting"), (8, "waiting")]
    assert states(study) == after
    settle(study)
    assert states(study) == after
    assert study.trials[3].user_attrs == {"retry_of": 1, "kills": 1}


def test_a_retry_that_is_killed_too_has_failed(study):
    mark(study, 1, process=DEAD)
    settle(study)
    begin(study)  # the 16 that has waited longest
    study.tell(2, 0.6)
    begin(study, DEAD)
    settle(study)
    assert states(study)[3:] == [(8, "failed")]
    assert study.trials[3].user_attrs["reason"] == liveness.KILLED_AGAIN


@pytest.mark.parametrize(
    ("outcome", "state", "value"),
    [
        ({"state": "complete", "value": 0.7}, "complete", 0.7),
        ({"state": "pruned"}, "pruned", 0.3),
        ({"state": "failed", "reason": "ValueError: shapes"}, "failed", None),
    ],
)
def test_a_trial_that_had_ended_but_for_the_storage_s_word_gets_it(study, outcome, state, value):
    trial = study.trials[1]
    study._storage.set_trial_intermediate_value(trial._trial_id, 0, 0.2)
    study._storage.set_trial_intermediate_value(trial._trial_id, 1, 0.3)
    mark(study, 1, process=DEAD, outcome=outcome)
    settle(study)
    assert states(study) == [(4, "complete"), (8, state), (16, "waiting")]
    assert study.trials[1].value == value


@pytest.mark.parametrize("process", ["this one", "elsewhere 4194305 0"])
def test_a_trial_that_may_still_run_is_left_alone(study, process):
    mark(study, 1, process=process_name() if process == "this one" else process)
    settle(study)
    assert states(study) == [(4, "complete"), (8, "running"), (16, "waiting")]


def test_a_process_of_another_machine_is_dead_when_it_has_long_been_silent(study):
    mark(study, 1, process="elsewhere 4194305 0", alive=time.time() - liveness.SILENCE + 20)
    settle(study)
    assert states(study)[1] == (8, "running")
    mark(study, 1, alive=time.time() - liveness.SILENCE - 1)
    settle(study)
    assert states(study)[1:] == [(8, "interrupted"), (16, "waiting"), (8, "waiting")]


def test_a_process_that_can_be_seen_may_be_silent_as_long_as_it_lives(study):
    mark(study, 1, alive=time.time() - 10 * liveness.SILENCE)  # paused, and told to go on
    settle(study)
    assert states(study)[1] == (8, "running")


def test_a_twin_that_is_killed_before_it_was_dropped_is_not_retried(study):
    study.enqueue_trial({"nodes": 8})
    begin(study)  # the 16
    begin(study, DEAD)
    settle(study)
    assert states(study)[2:] == [(16, "running"), (8, "dropped")]


def test_a_trial_with_an_outcome_is_not_given_back(study):
    mark(study, 1, outcome={"state": "complete", "value": 0.7})
    give_back(study, optuna.trial.Trial(study, study.trials[1]._trial_id))
    assert states(study)[1:] == [(8, "running"), (16, "waiting")]


def test_a_trial_that_never_said_whose_it_is_is_waited_for_and_then_taken_for_dead(study, monkeypatch):
    monkeypatch.setattr(liveness, "NAMELESS", 0.3)
    study.tell(1, 0.4)
    study.ask()  # 16, and its process is killed at once
    before = time.monotonic()
    settle(study)
    assert time.monotonic() - before < 5
    assert states(study)[2:] == [(16, "interrupted"), (16, "waiting")]


def test_a_kill_between_end_and_retry_loses_no_point(study):
    mark(study, 1, interrupted="killed")
    study.tell(1, state=TrialState.FAIL)  # and here its finder was killed
    settle(study)
    assert states(study)[2:] == [(16, "waiting"), (8, "waiting")]


def test_a_trial_stopped_by_a_word_keeps_its_retry(study):
    give_back(study, optuna.trial.Trial(study, study.trials[1]._trial_id))
    assert states(study) == [(4, "complete"), (8, "interrupted"), (16, "waiting"), (8, "waiting")]
    assert study.trials[3].user_attrs == {"retry_of": 1, "kills": 0}


def test_a_point_that_two_processes_queued_is_tried_by_one(study):
    study.enqueue_trial({"nodes": 16})
    first, second = begin(study), begin(study)
    trials = study.get_trials(deepcopy=False)
    assert (twin(study, trials[first.number]), twin(study, trials[second.number])) == (None, first.number)
    study.enqueue_trial({"nodes": 16}, user_attrs={"retry_of": first.number})
    retry = begin(study)
    assert twin(study, study.get_trials(deepcopy=False)[retry.number]) is None


def test_a_queued_point_that_is_not_wanted_now_waits_on(study):
    trial = begin(study)
    put_back(study, study.get_trials(deepcopy=False)[trial.number])
    assert states(study)[2:] == [(16, "running"), (16, "waiting")]
    assert [one.number for one in running(study)] == [1, 2]


def test_a_heart_beats_until_the_work_ends(monkeypatch):
    monkeypatch.setattr(liveness, "BEAT", 0.01)
    times = []

    def tell(now):
        times.append(now)
        if len(times) > 1:
            raise OSError("the storage is away")  # which the work itself will notice

    with heartbeat(tell):
        until = time.monotonic() + 20
        while len(times) < 4 and time.monotonic() < until:
            time.sleep(0.01)
    seen = len(times)
    assert seen >= 4 and times == sorted(times)
    time.sleep(0.05)
    assert len(times) == seen


def test_a_run_that_the_storage_does_not_know_yet_is_ended_with_its_trial(study):
    # The process was killed between opening the run and telling the storage of it.
    tags = {"kind": "trial", "state": "running", "study": "grid", "trial": "1", "process": DEAD}
    opened = client().create_run(tracking.experiment_id(), tags=tags).info.run_id
    mark(study, 1, process=DEAD)
    settle(study)
    run = client().get_run(opened)
    assert (run.data.tags["state"], run.info.status) == ("killed", "KILLED")
