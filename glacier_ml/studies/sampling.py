"""Which values the trials of a study try: the baseline's first, a grid's in turn, or drawn by a sampler."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from glacier_ml.studies.experiment import Choices, Experiment

if TYPE_CHECKING:
    import optuna

FEWEST_WAITING, MOST_WAITING = 8, 16  # points of a grid, while there are any left


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


def sampler_for(experiment: Experiment, seed: int, settled: int, stream: int) -> optuna.samplers.BaseSampler:
    """Sampler of the next trial, seeded anew for each: an interrupted study goes on as if it had not been.

    Parameters
    ----------
    settled : int
        Trials that are complete, pruned or failed: what a retried trial does not change.
    stream : int
        0 for a study's only worker; other numbers keep workers that draw at once apart.
    """
    import optuna

    drawn = int(np.random.SeedSequence([seed, settled, stream]).generate_state(1)[0])
    if experiment.sampler in ("random", "grid"):  # a grid's points are enqueued, none is drawn
        return optuna.samplers.RandomSampler(seed=drawn)
    return optuna.samplers.TPESampler(seed=drawn, n_startup_trials=experiment.startup_trials)


def pruner_for(experiment: Experiment) -> optuna.pruners.BasePruner:
    """Pruner of a study."""
    import optuna

    if experiment.pruner == "median":
        return optuna.pruners.MedianPruner(experiment.startup_trials, experiment.warmup_epochs)
    return optuna.pruners.NopPruner()


def first_points(experiment: Experiment) -> list[dict[str, Any]]:
    """Values that are tried before any is drawn: the baseline's, and after them all others of a grid."""
    values = experiment.baseline.model_dump()
    baseline = {name: _word(values[name]) for name in experiment.search}
    if experiment.sampler != "grid":
        return [baseline]
    grid = product(*(map(_word, space.probes) for space in experiment.search.values()))
    points = [dict(zip(experiment.search, point, strict=True)) for point in grid]
    return [baseline, *(point for point in points if point != baseline)]


def queue_points(study: optuna.Study, experiment: Experiment) -> None:
    """Queue those of the first points that no trial has tried yet, a grid's a few at a time.

    A storage reads every trial that waits anew whenever somebody looks: with all points of a large grid
    waiting a trial would take the longer, the larger the grid is.
    """
    from optuna.trial import TrialState

    waiting = len(study.get_trials(deepcopy=False, states=(TrialState.WAITING,)))
    if waiting >= FEWEST_WAITING:
        return
    known = [trial.system_attrs.get("fixed_params") for trial in study.get_trials(deepcopy=False)]
    tried = {frozenset(values.items()) for values in known if values}
    left = [point for point in first_points(experiment) if frozenset(point.items()) not in tried]
    for point in left[: MOST_WAITING - waiting]:
        study.enqueue_trial(point)


def _word(value: Any) -> Any:
    return Choices(choices=[value]).words[0]
