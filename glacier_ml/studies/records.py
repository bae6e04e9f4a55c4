"""The trials of a study as its storage has them: what each tried, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from glacier_ml.studies.stopping import Finished
from glacier_ml.studies.storages import DEFAULT_STORAGE, open_storage

if TYPE_CHECKING:
    import optuna

__all__ = [
    "DEFAULT_STORAGE",
    "TrialRecord",
    "count_states",
    "end_of",
    "finished_trials",
    "state_of",
    "study_trials",
    "tried_values",
]

INTERRUPTED, DROPPED = "interrupted", "dropped"


@dataclass(frozen=True)
class TrialRecord:
    """One trial of a study: its number, its state, what it tried, its run, the objective where complete.

    The state is 'complete', 'pruned', 'failed', 'interrupted' (and queued anew), 'dropped' (never begun:
    another process was quicker), 'running' or 'waiting'.
    """

    number: int
    state: str
    values: dict[str, Any]
    run_id: str
    value: float | None = None


def study_trials(name: str, storage: str | None = None) -> list[TrialRecord]:
    """Trials of a study by number, those among them that wait ('waiting'); none where there is no study."""
    import optuna

    opened = open_storage(storage) if storage is None or isinstance(storage, str) else storage
    try:
        study = optuna.load_study(study_name=name, storage=opened)
    except KeyError:
        return []
    return trial_records(study)


def trial_records(study: optuna.Study) -> list[TrialRecord]:
    """Trials of an open study by number."""
    return [
        TrialRecord(
            trial.number,
            state_of(trial),
            tried_values(trial),
            str(trial.user_attrs.get("run_id", "")),
            trial.value if trial.state.name == "COMPLETE" else None,
        )
        for trial in study.get_trials(deepcopy=False)
    ]


def tried_values(trial: optuna.trial.FrozenTrial) -> dict[str, Any]:
    """Values of the searched parameters, also of a trial that waits or was stopped while it drew them."""
    return {**trial.system_attrs.get("fixed_params", {}), **trial.params}


def finished_trials(study: optuna.Study) -> list[Finished]:
    """Trials that ended complete, pruned or failed, in the order of their finish in any process."""
    trials = study.get_trials(deepcopy=False)
    ended = [trial for trial in trials if state_of(trial) in ("complete", "pruned", "failed")]
    ended.sort(key=lambda trial: (trial.datetime_complete, trial.number))
    return [Finished(trial.value, state_of(trial), trial.number) for trial in ended]


def state_of(trial: optuna.trial.FrozenTrial) -> str:
    """State in our words; optuna knows none between failed and running."""
    if trial.state.name == "FAIL":
        return next((word for word in (INTERRUPTED, DROPPED) if word in trial.user_attrs), "failed")
    return trial.state.name.lower()


def end_of(outcome: str) -> optuna.trial.TrialState:
    """Optuna's state of a trial that has come to its end: FAIL but for 'complete' and 'pruned'."""
    from optuna.trial import TrialState

    ends = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED}
    return ends.get(outcome, TrialState.FAIL)


def count_states(study: optuna.Study) -> dict[str, int]:
    """How many trials are complete, pruned, failed."""
    found = [state_of(trial) for trial in study.get_trials(deepcopy=False)]
    return {state: found.count(state) for state in ("complete", "pruned", "failed")}
