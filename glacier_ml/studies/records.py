"""The trials of a study as its storage has them: what each tried, how it ended, and what was interrupted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from glacier_ml.studies.processes import is_dead

if TYPE_CHECKING:
    import optuna

DEFAULT_STORAGE = "sqlite:///optuna.db"
INTERRUPTED = "interrupted"


@dataclass(frozen=True)
class TrialRecord:
    """One trial of a study: its number, its state, what it tried, its run, the objective where complete.

    The state is 'complete', 'pruned', 'failed', 'interrupted' (and queued anew), 'running' or 'waiting'.
    """

    number: int
    state: str
    values: dict[str, Any]
    run_id: str
    value: float | None = None


def study_trials(name: str, storage: str | None = None) -> list[TrialRecord]:
    """Trials of a study by number, those among them that wait ('waiting'); none where there is no study."""
    import optuna

    try:
        study = optuna.load_study(study_name=name, storage=storage or DEFAULT_STORAGE)
    except KeyError:
        return []
    return trial_records(study)


def trial_records(study: optuna.Study) -> list[TrialRecord]:
    """Trials of an open study by number."""
    return [
        TrialRecord(
            trial.number,
            state_of(trial),
            dict(trial.params or trial.system_attrs.get("fixed_params", {})),
            str(trial.user_attrs.get("run_id", "")),
            trial.value if trial.state.name == "COMPLETE" else None,
        )
        for trial in study.get_trials(deepcopy=False)
    ]


def state_of(trial: optuna.trial.FrozenTrial) -> str:
    """State in our words; optuna knows none between failed and running."""
    if INTERRUPTED in trial.user_attrs and trial.state.name == "FAIL":
        return INTERRUPTED
    return {"FAIL": "failed"}.get(trial.state.name, trial.state.name.lower())


def take_up(study: optuna.Study) -> None:
    """Queue anew what a process of this machine that is no more (kill -9, a power cut) left running."""
    from optuna.trial import TrialState

    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        if is_dead(str(trial.user_attrs.get("process", ""))):
            study._storage.set_trial_user_attr(trial._trial_id, INTERRUPTED, True)
            study.enqueue_trial(trial.params)
            study.tell(trial.number, state=TrialState.FAIL)


def give_back(trial: optuna.Trial, stopped: BaseException) -> None:
    """Queue the values of the trial at work anew, which is interrupted, and see to it that it ends."""
    from optuna.trial import TrialState

    trial.set_user_attr(INTERRUPTED, True)
    trial.study.enqueue_trial(trial.params)
    if not isinstance(stopped, KeyboardInterrupt):  # optuna ends a trial for this one, and for no other
        trial.study.tell(trial.number, state=TrialState.FAIL)
