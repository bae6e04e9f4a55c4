"""A study: an Optuna search in which every trial is a tracked run nested under the study's."""

from __future__ import annotations

import hashlib
import sys
import time
import traceback
import warnings
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import TYPE_CHECKING, Any

from glacier_ml.errors import GlacierError
from glacier_ml.learning.parameters import AnyParameters
from glacier_ml.learning.training import Metrics
from glacier_ml.studies import tracking
from glacier_ml.studies.data import TrainingData
from glacier_ml.studies.experiment import Choices, Experiment
from glacier_ml.studies.keeping import KEEP, log_if_best, remove_others
from glacier_ml.studies.processes import process_name
from glacier_ml.studies.progress import Progress, show_progress
from glacier_ml.studies.records import DEFAULT_STORAGE, give_back, state_of, take_up, trial_records
from glacier_ml.studies.trial import run_trial

if TYPE_CHECKING:
    import optuna

OBJECTIVE = "val/iou"
FAILURES = 3  # trials that may fail beyond the number asked for before the study gives up


@dataclass(frozen=True)
class StudyResult:
    """What a search found.

    Attributes
    ----------
    name : str
        Of the study, in the storage and as the parent run's name.
    best : UnetParameters or FfnnParameters
        Parameters of the best complete trial.
    value : float
        Its validation IoU at threshold .5, the mean over scenes.
    number : int
        Its number.
    run_id : str
        Its run.
    states : dict of str to int
        How many trials ended complete, pruned, failed.
    """

    name: str
    best: AnyParameters
    value: float
    number: int
    run_id: str
    states: dict[str, int]


def study_name(experiment: Experiment, data: TrainingData, seed: int) -> str:
    """Name of a study: the experiment's and a digest of experiment, data, split and seed."""
    parts = (experiment.digest, data.digest, data.split.digest, str(seed))
    return f"{experiment.name}-{hashlib.sha256(' '.join(parts).encode()).hexdigest()[:10]}"


def tune(
    experiment: Experiment,
    data: TrainingData,
    *,
    trials: int | None = None,
    timeout: float | None = None,
    seed: int = 0,
    storage: str | None = None,
    keep: int | None = KEEP,
) -> StudyResult:
    """Run or resume a study until it has `trials` complete and pruned trials; failed ones do not end it.

    Parameters
    ----------
    trials : int, optional
        In all, those of earlier calls among them; the experiment's number by default.
    timeout : float, optional
        Seconds after which no further trial starts.
    storage : str, optional
        Optuna storage URL; `optuna.db` in the working folder by default.
    keep : int, optional
        How many trials' networks are kept, the best; None for all.

    Raises
    ------
    GlacierError
        Where no trial completes, or the storage cannot be opened.
    """
    wanted, storage = trials or experiment.trials, storage or DEFAULT_STORAGE
    study = _open_study(study_name(experiment, data, seed), experiment, seed, storage)
    _note_inputs(study, storage, experiment, data, seed)
    parent, limit = _adopt_parent(study), memory_limit(experiment.memory_limit)
    deadline = time.monotonic() + timeout if timeout else None
    with _bar(study, wanted, experiment.baseline.epochs) as bar:
        trial = Trial(experiment, data, seed, parent, limit, bar, keep)
        while _open_trials(study, wanted, deadline) and not _exhausted(study, experiment):
            study.optimize(trial, n_trials=1, catch=(Exception,), callbacks=[trial.keep_few])
            bar.finish()
        trial.keep_few(study)  # another number may be asked for than before
    return _result(study, experiment)


def memory_limit(share: float) -> float:
    """Bytes that a training step may take: a share of the memory available now."""
    import psutil

    return float(share * psutil.virtual_memory().available)


class Trial:
    """One trial: suggest, train, prune; its run ends in the state that the trial does, with the traceback."""

    def __init__(
        self,
        experiment: Experiment,
        data: TrainingData,
        seed: int,
        parent: str,
        memory: float,
        bar: Progress,
        keep: int | None = KEEP,
    ) -> None:
        self.experiment, self.data, self.seed = experiment, data, seed
        self.parent, self.memory, self.bar, self.keep = parent, memory, bar, keep

    def __call__(self, trial: optuna.Trial) -> float:
        """Run the trial; gives the objective."""
        import optuna

        trial.set_user_attr("process", process_name())
        parameters = self.experiment.with_values(suggest(trial, self.experiment))
        tags = {"study": trial.study.study_name, "trial": str(trial.number)}
        with tracking.start_run(
            f"trial-{trial.number:03d}", "trial", parent=self.parent, tags=tags
        ) as run_id:
            trial.set_user_attr("run_id", run_id)
            try:
                value = self._train(trial, parameters)
            except optuna.TrialPruned:
                tracking.set_tags({"state": "pruned"})
                raise
            except (KeyboardInterrupt, SystemExit) as stopped:  # the same command begins with it again
                give_back(trial, stopped)
                raise
            except Exception as error:
                tracking.set_tags({"state": "failed", "reason": f"{type(error).__name__}: {error}"[:500]})
                tracking.log_text(traceback.format_exc(), "traceback.txt")
                self.bar.say(f"trial {trial.number} failed: {error}")
                raise
            tracking.set_tags({"state": "complete"})
        return value

    def _train(self, trial: optuna.Trial, parameters: AnyParameters) -> float:
        import optuna

        def on_epoch(epoch: int, metrics: Metrics) -> None:
            trial.report(metrics[OBJECTIVE], epoch)
            self.bar.step(trial.number, epoch, metrics[OBJECTIVE])
            # The last epoch decides nothing more: a trial that got there is complete.
            if epoch + 1 < parameters.epochs and trial.should_prune():
                raise optuna.TrialPruned

        fitted = run_trial(
            parameters,
            self.data,
            seed=self.seed,
            memory_limit=self.memory,
            on_epoch=on_epoch,
            pictures=self.experiment.sampler != "grid",  # its points are compared by their numbers
        )
        best = fitted.best[OBJECTIVE]
        log_if_best(fitted.classifier, trial.number, best, trial_records(trial.study), self.keep)
        return best

    def keep_few(self, study: optuna.Study, _: object = None) -> None:
        """Remove the networks that are not among the best any more; optuna calls it after every trial."""
        remove_others(study.study_name, partial(trial_records, study), self.keep, self.bar.say)


def suggest(trial: optuna.Trial, experiment: Experiment) -> dict[str, Any]:
    """Let a trial choose a value of each searched parameter."""
    values: dict[str, Any] = {}
    for name, space in experiment.search.items():
        if isinstance(space, Choices):
            values[name] = trial.suggest_categorical(name, space.words)
        elif space.whole:
            values[name] = trial.suggest_int(name, int(space.low), int(space.high), log=space.log)
        else:
            values[name] = trial.suggest_float(name, space.low, space.high, log=space.log)
    return values


def _open_study(name: str, experiment: Experiment, seed: int, storage: str) -> optuna.Study:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        opened = optuna.storages.get_storage(storage)
        study = optuna.create_study(
            study_name=name, storage=opened, direction="maximize", load_if_exists=True
        )
    except Exception as error:  # drivers raise what they like; all of them mean the same to the user
        raise GlacierError(
            f"storage: {storage} cannot be opened ({' '.join(str(error).split())[:200]}); "
            "give an Optuna storage URL such as sqlite:///optuna.db"
        ) from error
    study.sampler = _sampler(experiment, seed + len(study.trials))
    study.pruner = (
        optuna.pruners.MedianPruner(experiment.startup_trials, experiment.warmup_epochs)
        if experiment.pruner == "median"
        else optuna.pruners.NopPruner()
    )
    return study


def _sampler(experiment: Experiment, seed: int) -> optuna.samplers.BaseSampler:
    import optuna

    if experiment.sampler in ("random", "grid"):  # a grid's points are enqueued, none is drawn
        return optuna.samplers.RandomSampler(seed=seed)
    return optuna.samplers.TPESampler(seed=seed, n_startup_trials=experiment.startup_trials)


def _first_points(experiment: Experiment) -> list[dict[str, Any]]:
    """Values that are tried before any is drawn: the baseline's, and after them all others of a grid."""
    values = experiment.baseline.model_dump()
    baseline = {name: _word(values[name]) for name in experiment.search}
    if experiment.sampler != "grid":
        return [baseline]
    grid = product(*(map(_word, space.probes) for space in experiment.search.values()))
    points = [dict(zip(experiment.search, point, strict=True)) for point in grid]
    return [baseline, *(point for point in points if point != baseline)]


def _word(value: Any) -> Any:
    return Choices(choices=[value]).words[0]


def _note_inputs(
    study: optuna.Study, storage: str, experiment: Experiment, data: TrainingData, seed: int
) -> None:
    """Say whether a study goes on, is new or stands beside another; a new one gets its baseline first."""
    inputs = {
        "experiment": experiment.digest,
        "data": data.digest,
        "split": data.split.digest,
        "seed": str(seed),
    }
    if study.trials:
        print(f"{study.study_name}: goes on after {len(study.trials)} trials", file=sys.stderr)
        take_up(study)
    else:
        _tell_changes(study, storage, experiment.name, inputs)
        study.set_user_attr("opened", time.time())
    for point in _first_points(experiment):
        study.enqueue_trial(point, skip_if_exists=True)
    for key, value in (inputs | {"network": experiment.network}).items():
        study.set_user_attr(key, value)


def _tell_changes(study: optuna.Study, storage: str, name: str, inputs: dict[str, str]) -> None:
    import optuna

    others = [
        other
        for other in optuna.get_all_study_summaries(storage)
        if other.study_name.rpartition("-")[0] == name and other.user_attrs.get("experiment")
    ]
    if others:
        last = max(others, key=lambda other: other.user_attrs.get("opened", 0))
        changed = [key for key, value in inputs.items() if last.user_attrs.get(key) != value]
        cause = f"{' and '.join(changed)} changed since {last.study_name}"
        print(f"{study.study_name}: a new study, because {cause}", file=sys.stderr)


def _adopt_parent(study: optuna.Study) -> str:
    """The run that all trials of the study nest under: the first one's that worked on it."""
    first = study.user_attrs.get("parent_run_id")
    current = tracking.active_run_id()
    if first and tracking.run_exists(first):
        if first != current:
            tracking.set_tags({"kind": "worker", "study_run": first})
        return str(first)
    study.set_user_attr("parent_run_id", current)
    return current


def _finished(study: optuna.Study) -> dict[str, int]:
    found = [state_of(trial) for trial in study.get_trials(deepcopy=False)]
    return {state: found.count(state) for state in ("complete", "pruned", "failed")}


def _open_trials(study: optuna.Study, wanted: int, deadline: float | None) -> bool:
    states = _finished(study)
    if states["failed"] >= wanted + FAILURES:
        raise GlacierError(
            f"{study.study_name}: {states['failed']} trials failed; their runs' tag 'reason' says why"
        )
    late = deadline is not None and time.monotonic() >= deadline
    return states["complete"] + states["pruned"] < wanted and not late


def _exhausted(study: optuna.Study, experiment: Experiment) -> bool:
    """Whether every point of a grid was tried."""
    from optuna.trial import TrialState

    waiting = study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
    return experiment.sampler == "grid" and not waiting


def _best_value(study: optuna.Study) -> float:
    from optuna.trial import TrialState

    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return max((trial.value or 0.0 for trial in complete), default=0.0)


def _result(study: optuna.Study, experiment: Experiment) -> StudyResult:
    states = _finished(study)
    if not states["complete"]:
        raise GlacierError(
            f"{study.study_name}: no trial is complete yet ({states['failed']} failed); "
            "give more trials or time, or look at the failed runs' tag 'reason'"
        )
    best = study.best_trial
    parameters = experiment.with_values(dict(best.params))
    run_id = str(best.user_attrs["run_id"])
    return StudyResult(study.study_name, parameters, float(best.value or 0), best.number, run_id, states)


def _bar(study: optuna.Study, wanted: int, epochs: int) -> AbstractContextManager[Progress]:
    states = _finished(study)
    done = min(states["complete"] + states["pruned"], wanted)
    return show_progress(study.study_name, wanted, done, epochs, _best_value(study))


def study_figures(name: str, storage: str | None = None) -> dict[str, Any]:
    """Plots of a study as plotly figures, by name; those that need more trials than there are left out."""
    import optuna
    from optuna import visualization

    study = optuna.load_study(study_name=name, storage=storage or DEFAULT_STORAGE)
    plots = {
        "history": visualization.plot_optimization_history,
        "parallel_coordinates": visualization.plot_parallel_coordinate,
        "slices": visualization.plot_slice,
        "intermediate_values": visualization.plot_intermediate_values,
        "importances": visualization.plot_param_importances,
    }
    drawn = {}
    for title, plot in plots.items():
        with suppress(ValueError, RuntimeError), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # optuna's, of importances that few trials cannot tell apart
            drawn[title] = plot(study)
    return drawn
