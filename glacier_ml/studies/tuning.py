"""A study: an Optuna search in which every trial is a tracked run nested under the study's."""

from __future__ import annotations

import hashlib
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glacier_ml.errors import GlacierError
from glacier_ml.learning.parameters import AnyParameters
from glacier_ml.studies import tracking
from glacier_ml.studies.data import TrainingData
from glacier_ml.studies.experiment import Experiment
from glacier_ml.studies.keeping import KEEP
from glacier_ml.studies.leading import Lead
from glacier_ml.studies.liveness import running, settle
from glacier_ml.studies.outages import stop_for
from glacier_ml.studies.processes import heedful
from glacier_ml.studies.progress import show_progress, silent_progress
from glacier_ml.studies.records import DEFAULT_STORAGE, count_states, finished_trials
from glacier_ml.studies.sampling import queue_points
from glacier_ml.studies.searching import Search, best_value, work
from glacier_ml.studies.stopping import Finished, Watch, end_text, reason_to_end
from glacier_ml.studies.storages import open_storage
from glacier_ml.studies.workers import run_workers, working_folder

if TYPE_CHECKING:
    import optuna


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
    stopped : str, optional
        Why the search ended before it had all of its trials, if it did.
    """

    name: str
    best: AnyParameters
    value: float
    number: int
    run_id: str
    states: dict[str, int]
    stopped: str | None = None


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
    workers: int = 1,
    keep: int | None = KEEP,
    finish: Callable[[StudyResult], Any] | None = None,
) -> StudyResult:
    """Run or resume a study, alone or with others, until it has `trials` complete and pruned trials.

    Parameters
    ----------
    trials : int, optional
        In all, whoever ran them, and then `stop` only advises; the experiment's number by default.
    timeout : float, optional
        Seconds after which no further trial starts.
    storage : str, optional
        See `open_storage`; `optuna.db` in the working folder by default.
    workers : int
        Processes of this machine that share the work.
    keep : int, optional
        How many trials' networks are kept, the best; None for all.
    finish : callable, optional
        Called once the trials have ended, by one of the commands that work on the study.

    Raises `GlacierError` where no trial completes or the storage cannot be opened, and `Outage`, one of them,
    where what the study stands on is away.
    """
    name, where = study_name(experiment, data, seed), storage or DEFAULT_STORAGE
    wanted, deadline = trials or experiment.trials, time.time() + timeout if timeout else None
    binding = trials is None and experiment.stop is not None
    asked = (name, experiment, data, seed, where, wanted, deadline, "", workers)
    search = Search(*asked, binding=binding, keep=keep)
    with _stopped_for_outages(name):
        return _tune(search, finish)


@contextmanager
def _stopped_for_outages(name: str) -> Iterator[None]:
    """Tell in a line what a study stands on and is away."""
    try:
        yield
    except Exception as error:
        if stop := stop_for(error, name):
            raise stop from error
        raise


def _tune(search: Search, finish: Callable[[StudyResult], Any] | None) -> StudyResult:
    study, made = _open_study(search.name, search.storage)
    lead = Lead(study)
    lead.take(made)
    with lead.kept(), heedful():
        _note_inputs(study, made, search)
        search = replace(search, parent=_adopt_parent(study, lead.held), leads=lead.held)
        _work_together(search, study)
        result = _finished(search, study, lead, finish)
        lead.resign()
    return result


def _work_together(search: Search, study: optuna.Study) -> None:
    """Let the command's processes work: this one alone, or others under its eyes."""
    states, experiment = count_states(study), search.experiment
    done = min(states["complete"] + states["pruned"], search.wanted)
    epochs = experiment.baseline.epochs
    with show_progress(search.name, search.wanted, done, epochs, best_value(study)) as bar:
        if search.workers == 1:
            work(search, study, bar)
            return
        import joblib

        with working_folder() as folder:
            joblib.dump(search, folder / "search.joblib")  # its arrays are mapped, not copied
            watch = Watch(experiment.stop_rule, search.binding, bar.say)

            def progress() -> int:
                settle(study)
                watch.ends(finished_trials(study), search.wanted)  # says what the silent workers would
                return bar.watch(study.get_trials(deepcopy=False), search.wanted)

            run_workers(_work_for, (str(folder),), search.workers, folder, progress)


def _work_for(folder: str, number: int) -> None:
    """Work on a study for the process that has left the search in the folder."""
    import joblib

    search = joblib.load(Path(folder) / "search.joblib", mmap_mode="r")
    with _stopped_for_outages(search.name):
        study, _ = _open_study(search.name, search.storage)
        work(search, study, silent_progress(), number)


def _finished(
    search: Search, study: optuna.Study, lead: Lead, finish: Callable[[StudyResult], Any] | None
) -> StudyResult:
    """The result; `finish` it where this command leads, or the one that led is gone."""
    if running(study):  # late, and others are not
        lead.resign()
    result = _result(study, search)
    if finish and not running(study) and lead.take_or_leave():
        finish(result)
    return result


def _open_study(name: str, storage: str | None) -> tuple[optuna.Study, bool]:
    """Open a study; tells whether this process has made it."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    opened = open_storage(storage)
    with suppress(optuna.exceptions.DuplicatedStudyError):
        return optuna.create_study(study_name=name, storage=opened, direction="maximize"), True
    return optuna.load_study(study_name=name, storage=opened), False


def _note_inputs(study: optuna.Study, made: bool, search: Search) -> None:
    """Say whether a study goes on, is new or stands beside another; a new one gets its baseline first."""
    inputs = {
        "experiment": search.experiment.digest,
        "data": search.data.digest,
        "split": search.data.split.digest,
        "seed": str(search.seed),
    }
    if study.trials:
        print(f"{study.study_name}: goes on after {len(study.trials)} trials", file=sys.stderr)
        settle(study)
    elif made:
        _tell_changes(study, search.experiment.name, inputs)
        study.set_user_attr("opened", time.time())
    queue_points(study, search.experiment)
    for key, value in (inputs | {"network": search.experiment.network}).items():
        study.set_user_attr(key, value)


def _tell_changes(study: optuna.Study, name: str, inputs: dict[str, str]) -> None:
    import optuna

    others = [
        other
        for other in optuna.get_all_study_summaries(study._storage)
        if other.study_name.rpartition("-")[0] == name and other.user_attrs.get("experiment")
    ]
    if others:
        last = max(others, key=lambda other: other.user_attrs.get("opened", 0))
        changed = [key for key, value in inputs.items() if last.user_attrs.get(key) != value]
        cause = f"{' and '.join(changed)} changed since {last.study_name}"
        print(f"{study.study_name}: a new study, because {cause}", file=sys.stderr)


def _adopt_parent(study: optuna.Study, leads: bool) -> str:
    """The run that all trials of the study nest under: the first one's that worked on it."""
    current = tracking.active_run_id()
    first = _first_run(study, leads)
    if first and tracking.run_exists(first):
        if first != current:
            tracking.set_tags({"kind": "worker", "study_run": first})
        return first
    study.set_user_attr("parent_run_id", current)
    return current


def _first_run(study: optuna.Study, leads: bool) -> str:
    """The parent run's id as the study has it; who does not lead waits for the leader to say it."""
    until = time.monotonic() + (0 if leads else 10)
    while not (first := study.user_attrs.get("parent_run_id")) and time.monotonic() < until:
        time.sleep(0.1)
    return str(first or "")


def _result(study: optuna.Study, search: Search) -> StudyResult:
    states = count_states(study)
    if not states["complete"]:
        raise GlacierError(
            f"{study.study_name}: no trial is complete yet ({states['failed']} failed); "
            "give more trials or time, or look at the failed runs' tag 'reason'"
        )
    best = study.best_trial
    parameters = search.experiment.with_values(dict(best.params))
    run_id = str(best.user_attrs["run_id"])
    value, number = float(best.value or 0), best.number
    trials, rule = finished_trials(study), search.experiment.stop_rule
    stopped = reason_to_end(trials, rule, search.wanted) if search.binding else None
    if stopped:
        print(f"{search.name}: {end_text(trials, rule, search.wanted, stopped)}", file=sys.stderr)
    return StudyResult(study.study_name, parameters, value, number, run_id, states, stopped)


def study_history(name: str, storage: str | None = None) -> list[Finished]:
    """Trials of a study that ended, in the order of their finish."""
    import optuna

    return finished_trials(optuna.load_study(study_name=name, storage=open_storage(storage)))


def study_figures(name: str, storage: str | None = None) -> dict[str, Any]:
    """Plots of a study as plotly figures, by name; those that need more trials than there are left out."""
    import optuna
    from optuna import visualization

    study = optuna.load_study(study_name=name, storage=open_storage(storage))
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
