"""What the storage of studies says of trials, in our words."""

import optuna
import pytest
from optuna.trial import TrialState

from glacier_ml.studies.records import count_states, study_trials


@pytest.fixture
def study(tmp_path):
    """A study of nodes: complete, pruned, failed, interrupted, dropped, running, waiting."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(study_name="grid", storage=f"sqlite:///{tmp_path}/optuna.db")
    ends = [
        (4, TrialState.COMPLETE, None),
        (8, TrialState.PRUNED, None),
        (16, TrialState.FAIL, None),
        (32, TrialState.FAIL, "interrupted"),
        (64, TrialState.FAIL, "dropped"),
    ]
    for nodes, state, mark in ends:
        trial = study.ask(fixed_distributions={})
        trial.suggest_int("nodes", nodes, nodes)
        trial.set_user_attr("run_id", f"run{trial.number}")
        if mark:
            trial.set_user_attr(mark, "why")
        study.tell(trial, 0.5 if state == TrialState.COMPLETE else None, state=state)
    study.ask()
    study.enqueue_trial({"nodes": 128})
    return study


def test_trials_are_told_in_our_words(study):
    told = [(trial.state, trial.values, trial.run_id) for trial in study_trials("grid", study._storage)]
    assert told == [
        ("complete", {"nodes": 4}, "run0"),
        ("pruned", {"nodes": 8}, "run1"),
        ("failed", {"nodes": 16}, "run2"),
        ("interrupted", {"nodes": 32}, "run3"),
        ("dropped", {"nodes": 64}, "run4"),
        ("running", {}, ""),
        ("waiting", {"nodes": 128}, ""),
    ]


def test_what_was_interrupted_or_dropped_counts_nowhere(study):
    assert count_states(study) == {"complete": 1, "pruned": 1, "failed": 1}


def test_a_study_that_is_not_there_has_no_trials(study):
    assert study_trials("another", study._storage) == []
