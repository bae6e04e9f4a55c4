"""The trials of a study as its storage has them: what each tried, how it ended, and what was interrupted."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import optuna

DEFAULT_STORAGE = "sqlite:///optuna.db"


@dataclass(frozen=True)
class TrialRecord:
    """One trial of a study: its number, how it ended ('complete', 'failed' ...), what it tried, its run."""

    number: int
    state: str
    values: dict[str, Any]
    run_id: str


def study_trials(name: str, storage: str | None = None) -> list[TrialRecord]:
    """Trials of a study by number, those among them that wait ('waiting'); none where there is no study."""
    import optuna

    try:
        study = optuna.load_study(study_name=name, storage=storage or DEFAULT_STORAGE)
    except KeyError:
        return []
    words = {"FAIL": "failed"}
    return [
        TrialRecord(
            trial.number,
            words.get(trial.state.name, trial.state.name.lower()),
            dict(trial.params or trial.system_attrs.get("fixed_params", {})),
            str(trial.user_attrs.get("run_id", "")),
        )
        for trial in study.get_trials(deepcopy=False)
    ]


def process_name(pid: int | None = None) -> str:
    """Tell a process of this machine from all others, also from a later one with its number."""
    import psutil

    process = psutil.Process(pid)
    return f"{platform.node()} {process.pid} {process.create_time():.0f}"


def take_up(study: optuna.Study) -> None:
    """Queue anew what a process of this machine that is no more (kill -9, a power cut) left running."""
    import psutil
    from optuna.trial import TrialState

    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        told = str(trial.user_attrs.get("process", ""))
        machine, _, rest = told.partition(" ")
        if machine != platform.node():
            continue
        try:
            alive = process_name(int(rest.split()[0])) == told
        except psutil.NoSuchProcess:
            alive = False
        if not alive:
            give_back(study, trial.number, trial.params)


def give_back(study: optuna.Study, number: int, values: dict[str, Any]) -> None:
    """End a trial that was interrupted, and queue its values anew."""
    from optuna.trial import TrialState

    study.enqueue_trial(values)
    study.tell(number, state=TrialState.FAIL)
