"""Which trials are alive; what dead processes left is ended, and tried once more.

A trial at work carries the name of its process and, once a minute, the time. A process of this machine is
dead where there is none of its name; one of another machine where it has not told the time for long.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from glacier_ml.studies import tracking
from glacier_ml.studies.processes import is_dead, is_local
from glacier_ml.studies.records import DROPPED, INTERRUPTED, end_of, state_of, tried_values
from glacier_ml.studies.tracking.stale import REASON

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial

BEAT = 60.0  # between two signs of life [s]; chosen here
SILENCE = 480.0  # after which a process of another machine counts as dead [s]; clocks may be minutes apart
NAMELESS = 30.0  # that a trial may take from its start to its process's name [s]; usually milliseconds
RETRIES = 1  # of a trial whose process was killed without a word: it may be what needs too much memory
KILLED_AGAIN = (
    "its process ended without a word, and so did that of its retry: out of memory, or a full disk?"
)


@contextmanager
def heartbeat(tell: Callable[[float], Any]) -> Iterator[None]:
    """Tell the time [s since 1970] at once and then once a minute while the block runs."""
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(BEAT):
            with suppress(Exception):  # a storage that is away is the trial's to notice
                tell(time.time())

    tell(time.time())
    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(timeout=5)  # it may be waiting for a storage; it ends with the process at the latest


def running(study: optuna.Study) -> list[FrozenTrial]:
    """Trials at work, as far as the storage knows."""
    from optuna.trial import TrialState

    return study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))


def is_lost(trial: FrozenTrial) -> bool:
    """Say whether the process that worked on a trial is no more."""
    process = str(trial.user_attrs.get("process", ""))
    begun = trial.datetime_start.timestamp() if trial.datetime_start else 0.0
    if not process:
        return time.time() - begun > NAMELESS
    return is_gone(process, trial.user_attrs.get("alive", begun))


def is_gone(process: str, alive: float) -> bool:
    """Say whether a process that last told the time [s since 1970] is dead, here or on another machine.

    One that can be seen from here may be silent as long as it likes: it may have been paused.
    """
    return is_dead(process) if is_local(process) else time.time() - alive > SILENCE


def settle(study: optuna.Study) -> None:
    """End the trials of dead processes, and queue each once more.

    A trial that had come to its end, but for the storage's word of it, gets that word. Safe to call by many
    processes at once and after being killed anywhere in it: a retry that is queued twice is dropped when it
    comes up.
    """
    while left := running(study):
        for trial in left:
            if is_lost(trial):
                _end(study, trial)
        if all("process" in trial.user_attrs for trial in left):
            break
        time.sleep(0.1)  # one has begun and not yet said whose it is, or never will
    _requeue(study)


def _end(study: optuna.Study, trial: FrozenTrial) -> None:
    """Give a dead trial the state that it has come to."""
    from optuna.exceptions import UpdateFinishedTrialError
    from optuna.trial import TrialState

    storage, outcome = study._storage, dict(trial.user_attrs.get("outcome", {}))
    again = trial.user_attrs.get("kills", 0) < RETRIES
    if not outcome:
        outcome = {"state": "killed", "reason": REASON if again else KILLED_AGAIN}
    # First, so that whoever is killed in between leaves a trial that is found and ended again.
    tracking.end_run(_run_of(study, trial), outcome["state"], outcome.get("reason"))
    with suppress(UpdateFinishedTrialError):  # another process was quicker
        if outcome["state"] == "killed":
            mark = (INTERRUPTED, "killed") if again else ("reason", KILLED_AGAIN)
            if twin(study, trial) is not None:
                mark = (DROPPED, "another is the same")
            if INTERRUPTED not in trial.user_attrs:  # else it was stopped by a word, and then killed
                storage.set_trial_user_attr(trial._trial_id, *mark)
        value = outcome.get("value")
        if outcome["state"] == "pruned":
            value = trial.intermediate_values[max(trial.intermediate_values)]
        state = end_of(outcome["state"])
        values = None if state == TrialState.FAIL else [value]
        storage.set_trial_state_values(trial._trial_id, state, values)


def _run_of(study: optuna.Study, trial: FrozenTrial) -> str:
    """Run of a trial, also of one that was killed before the storage knew of it."""
    process = trial.user_attrs.get("process")
    if "run_id" in trial.user_attrs or not process:
        return str(trial.user_attrs.get("run_id", ""))
    # With its process: on one tracking server there may be studies of this name from several storages.
    return tracking.run_with({"study": study.study_name, "trial": trial.number, "process": process})


def _requeue(study: optuna.Study, only: int | None = None) -> None:
    """Queue what was interrupted and has no successor yet; of all trials, or that of a number."""
    trials = study.get_trials(deepcopy=False)
    followed = {trial.user_attrs.get("retry_of") for trial in trials}
    for trial in trials:
        if state_of(trial) == INTERRUPTED and trial.number not in followed and only in (None, trial.number):
            kills = trial.user_attrs.get("kills", 0) + (trial.user_attrs[INTERRUPTED] == "killed")
            if values := tried_values(trial):  # else nothing was drawn, and the next one draws the same
                study.enqueue_trial(values, user_attrs={"retry_of": trial.number, "kills": kills})


def give_back(study: optuna.Study, trial: optuna.Trial) -> None:
    """Queue the values of the trial at work anew: it was stopped by a word, which costs it no retry."""
    from optuna.trial import TrialState

    if "outcome" in trial.user_attrs:  # it has come to its end, and `settle` will say so
        return
    study._storage.patience = 5.0  # whoever stops a study does not want to wait for a database
    trial.set_user_attr(INTERRUPTED, "stopped")
    study.tell(trial, state=TrialState.FAIL)
    _requeue(study, trial.number)


def drop(study: optuna.Study, trial: optuna.Trial, why: str) -> None:
    """End a trial that need not begin, and that counts nowhere."""
    from optuna.trial import TrialState

    trial.set_user_attr(DROPPED, why)
    study.tell(trial, state=TrialState.FAIL)


def put_back(study: optuna.Study, trial: FrozenTrial) -> None:
    """Queue a queued point again that came up when none was wanted."""
    if "fixed_params" in trial.system_attrs:
        kept = {key: value for key, value in trial.user_attrs.items() if key in ("retry_of", "kills")}
        study.enqueue_trial(trial.system_attrs["fixed_params"], user_attrs=kept)


def twin(study: optuna.Study, trial: FrozenTrial) -> int | None:
    """Number of an earlier trial that tries, or has tried, the same queued point; None where there is none.

    Processes that begin a study, or find a dead one, at the same time may queue the same point twice.
    """
    wanted, origin = trial.system_attrs.get("fixed_params"), trial.user_attrs.get("retry_of")
    if not wanted:
        return None
    for other in study.get_trials(deepcopy=False)[: trial.number]:
        alike = other.system_attrs.get("fixed_params") == wanted and state_of(other) != DROPPED
        if alike and other.user_attrs.get("retry_of") == origin:
            return other.number
    return None
