"""What a process does for a study: one trial after the other, until there are enough."""

from __future__ import annotations

import time
import traceback
import zlib
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from glacier_ml.errors import GlacierError
from glacier_ml.learning.parameters import AnyParameters
from glacier_ml.learning.training import Metrics
from glacier_ml.studies import tracking
from glacier_ml.studies.data import TrainingData
from glacier_ml.studies.experiment import Experiment
from glacier_ml.studies.keeping import KEEP, log_if_best, remove_others
from glacier_ml.studies.liveness import drop, give_back, heartbeat, put_back, running, settle, twin
from glacier_ml.studies.outages import outage, stop_for
from glacier_ml.studies.processes import heed, own_name, unbroken
from glacier_ml.studies.progress import Progress
from glacier_ml.studies.records import count_states, end_of, finished_trials, trial_records
from glacier_ml.studies.sampling import pruner_for, queue_points, sampler_for, suggest
from glacier_ml.studies.stopping import Watch
from glacier_ml.studies.trial import run_trial

if TYPE_CHECKING:
    import optuna

OBJECTIVE = "val/iou"
FAILURES = 3  # trials that may fail beyond the number asked for before the study gives up
AT_ONCE = 0.1  # between saying whose a trial is and looking whose it is [s]
WAIT = 1.0  # between two looks at the trials of others [s]


@dataclass(frozen=True)
class Search:
    """What all processes that work on a study for one command know.

    Attributes
    ----------
    wanted : int
        Complete and pruned trials in all.
    deadline : float or None
        After which no further trial starts [s since 1970].
    parent : str
        The run that all trials nest under.
    workers : int
        Processes of this command.
    leads : bool
        Whether this command leads the study: its first worker draws what a single one would.
    binding : bool
        Whether the experiment's rule `stop` ends the study; else it only advises.
    keep : int or None
        How many trials' networks are kept, the best; None for all.
    """

    name: str
    experiment: Experiment
    data: TrainingData
    seed: int
    storage: str
    wanted: int
    deadline: float | None
    parent: str
    workers: int = 1
    leads: bool = True
    binding: bool = False
    keep: int | None = KEEP

    @property
    def is_late(self) -> bool:
        """Whether no further trial may start."""
        return self.deadline is not None and time.time() >= self.deadline


def memory_limit(share: float) -> float:
    """Bytes that a training step may take: a share of the memory available now."""
    import psutil

    return float(share * psutil.virtual_memory().available)


def work(search: Search, study: optuna.Study, bar: Progress, number: int = 0) -> None:
    """Run trials until there are enough; wait for those of others, whose trials may yet fail."""
    study.pruner = pruner_for(search.experiment)
    trial = Trial(search, memory_limit(search.experiment.memory_limit) / search.workers, bar)
    tell = bar.say if search.workers == 1 else _keep_quiet  # of several, the process that watches them tells
    watch = Watch(search.experiment.stop_rule, search.binding, tell)
    while not search.is_late:
        heed()
        if _is_open(study, search) and not watch.ends(finished_trials(study), search.wanted):
            study.sampler = _sampler(study, search, number)
            trial(study)
            bar.finish()
        elif running(study):
            time.sleep(WAIT)
        else:
            break
    trial.keep_few(study)  # another number may be asked for than before


def _keep_quiet(text: str) -> None:
    """Say nothing."""


class Trial:
    """One trial: suggest, train, prune; its run ends in the state that the trial does."""

    def __init__(self, search: Search, memory: float, bar: Progress) -> None:
        self.search, self.experiment, self.data = search, search.experiment, search.data
        self.memory, self.bar = memory, bar

    def __call__(self, study: optuna.Study) -> None:
        """Draw the next trial and run it."""
        import optuna

        with unbroken():
            trial = study.ask()
            if "process" in trial.user_attrs:  # another was quicker, and may be at work by now
                return
            trial.set_user_attr("process", own_name())
        if not _is_ours(study, trial, self.search.storage):
            return
        try:
            if why := _needless(study, trial, self.search.wanted):
                drop(study, trial, why)
            else:
                self._run_to_its_end(study, trial)
        except optuna.exceptions.UpdateFinishedTrialError:
            self.bar.say(f"trial {trial.number} was taken for dead by others, and is theirs")
        except BaseException as stopped:
            if isinstance(stopped, (KeyboardInterrupt, SystemExit)) or outage(stopped):
                with unbroken(), suppress(Exception):  # one that has ended, or was given back, stays as it is
                    give_back(study, trial)
            raise

    def _run_to_its_end(self, study: optuna.Study, trial: optuna.Trial) -> None:
        with ExitStack() as ending:
            with heartbeat(lambda now: trial.set_user_attr("alive", now)):
                outcome = self._run(study, trial, ending)
            _tell(study, trial, outcome)
        if outcome["state"] == "complete":
            self.keep_few(study)

    def keep_few(self, study: optuna.Study) -> None:
        """Remove the networks of trials that are not among the best any more."""
        remove_others(study.study_name, partial(trial_records, study), self.search.keep, self.bar.say)

    def _run(self, study: optuna.Study, trial: optuna.Trial, ending: ExitStack) -> dict[str, Any]:
        """Run a trial as a run of its own; gives its outcome, which the storage knows before the run ends.

        Once there is an outcome, `ending` holds back what would stop this process.
        """
        parameters = self.experiment.with_values(suggest(trial, self.experiment))
        tags = {"study": study.study_name, "trial": str(trial.number)}
        if "retry_of" in trial.user_attrs:
            tags["retry_of"] = str(trial.user_attrs["retry_of"])
        name = f"trial-{trial.number:03d}"
        with tracking.start_run(name, "trial", parent=self.search.parent, tags=tags) as run_id:
            try:
                trial.set_user_attr("run_id", run_id)
                outcome = self._outcome(trial, parameters)
                ending.enter_context(unbroken())
                trial.set_user_attr("outcome", outcome)
                tracking.set_tags({key: outcome[key] for key in ("state", "reason") if key in outcome})
            except BaseException as stopped:  # `_outcome` has caught what is the trial's own
                _leave(study, trial, stopped)
                raise
        return outcome

    def _outcome(self, trial: optuna.Trial, parameters: AnyParameters) -> dict[str, Any]:
        import optuna

        try:
            return {"state": "complete", "value": self._train(trial, parameters)}
        except optuna.TrialPruned:
            return {"state": "pruned"}
        except optuna.exceptions.UpdateFinishedTrialError:
            raise  # others have taken this process for dead
        except Exception as error:
            if stop := stop_for(error, self.search.name):
                raise stop from error
            # Whatever ends a trial must not end the study: its run keeps the traceback.
            with unbroken():
                tracking.log_text(traceback.format_exc(), "traceback.txt")
            self.bar.say(f"trial {trial.number} failed: {error}")
            return {"state": "failed", "reason": f"{type(error).__name__}: {error}"[:500]}

    def _train(self, trial: optuna.Trial, parameters: AnyParameters) -> float:
        import optuna

        def on_epoch(epoch: int, metrics: Metrics) -> None:
            heed()
            trial.report(metrics[OBJECTIVE], epoch)
            self.bar.step(trial.number, epoch, metrics[OBJECTIVE])
            # The last epoch decides nothing more: a trial that got there is complete.
            if epoch + 1 < parameters.epochs and trial.should_prune():
                raise optuna.TrialPruned

        fitted = run_trial(
            parameters,
            self.data,
            seed=self.search.seed,
            memory_limit=self.memory,
            on_epoch=on_epoch,
            pictures=self.experiment.sampler != "grid",  # its points are compared by their numbers
        )
        best = fitted.best[OBJECTIVE]
        with unbroken():
            trials = trial_records(trial.study)
            log_if_best(fitted.classifier, trial.number, best, trials, self.search.keep)
        return best


def _is_ours(study: optuna.Study, trial: optuna.Trial, storage: str) -> bool:
    """Whether a queued trial that has come up is this process's own.

    On SQLite two processes may take the same one out of the queue at the same moment: the later name stays.
    """
    queued = "fixed_params" in study.get_trials(deepcopy=False)[trial.number].system_attrs
    if not (queued and storage.startswith("sqlite")):
        return True
    time.sleep(AT_ONCE)
    # Of the storage: the trial itself keeps what this process wrote.
    return study.get_trials(deepcopy=False)[trial.number].user_attrs.get("process") == own_name()


def _needless(study: optuna.Study, trial: optuna.Trial, wanted: int) -> str | None:
    """Why a trial that has come up need not begin: others are enough, or one tries the same; None if it must.

    Who looks before it draws may draw at the same moment as another; numbers tell who was first.
    """
    trials = study.get_trials(deepcopy=False)
    frozen = trials[trial.number]
    if (other := twin(study, frozen)) is not None:
        return f"trial {other} is the same"
    before = [one for one in trials if one.state.name == "RUNNING" and one.number < trial.number]
    states = count_states(study)
    if states["complete"] + states["pruned"] + len(before) >= wanted:
        put_back(study, frozen)
        return "there are enough"
    return None


def _leave(study: optuna.Study, trial: optuna.Trial, stopped: BaseException) -> None:
    """Give back a trial whose run is open, so that the same command begins with it again."""
    with unbroken():
        with suppress(Exception):  # what is away keeps what it has: the trial is found by its dead process
            give_back(study, trial)
        with suppress(Exception):
            tracking.set_tags({"state": "killed", "reason": f"{type(stopped).__name__}: {stopped}"[:500]})


def _tell(study: optuna.Study, trial: optuna.Trial, outcome: dict[str, Any]) -> None:
    """Tell the storage how a trial ended; a trial that another process has taken for dead stays as it is."""
    study.tell(trial, outcome.get("value"), state=end_of(outcome["state"]), skip_if_finished=True)


def _sampler(study: optuna.Study, search: Search, number: int) -> optuna.samplers.BaseSampler:
    settled = sum(count_states(study).values())
    stream = 0
    if number or not search.leads or running(study):
        stream = zlib.crc32(f"{own_name()} {len(study.get_trials(deepcopy=False))}".encode())
    return sampler_for(search.experiment, search.seed, settled, stream)


def _is_open(study: optuna.Study, search: Search) -> bool:
    """Whether another trial is to begin: there are not enough, those at work among them."""
    settle(study)
    states = count_states(study)
    ended = states["complete"] + states["pruned"]
    if ended < search.wanted and states["failed"] >= search.wanted + FAILURES:
        raise GlacierError(
            f"{study.study_name}: {states['failed']} trials failed; their runs' tag 'reason' says why"
        )
    enough = ended + len(running(study)) >= search.wanted
    return not enough and not _is_exhausted(study, search.experiment)


def _is_exhausted(study: optuna.Study, experiment: Experiment) -> bool:
    """Whether every point of a grid was tried; queues further ones first."""
    from optuna.trial import TrialState

    if experiment.sampler != "grid":
        return False
    queue_points(study, experiment)
    waiting = study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
    return not waiting


def best_value(study: optuna.Study) -> float:
    """Best value of the complete trials, 0 where there is none."""
    from optuna.trial import TrialState

    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return max((trial.value or 0.0 for trial in complete), default=0.0)
