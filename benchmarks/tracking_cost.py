"""Seconds that tracking costs a trial, drawing apart, against its training in the same run.

    python -m benchmarks.tracking_cost [--data DATA] [--experiment EXPERIMENT] [--trials N]

A study of N trials (default: 5 of experiments/ffnn.yaml on the made scenes) runs in an empty folder, MLflow's
own database in SQLite. Every call that a trial makes of `glacier_ml.studies.tracking` is timed, the upload of
pictures and classifier included; drawing is what `trial_figures` and matplotlib take. The first trial, which
imports much, is told apart; of the others the median counts. The ratio is training and validation over
tracking.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import os
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.tables import ROOT, Table, run
from glacier_ml.evaluation import trial_figures
from glacier_ml.studies import searching, tracking, trial, tuning
from glacier_ml.studies.data import load_training_data
from glacier_ml.studies.experiment import read_experiment

Seconds = defaultdict[str, float]


class Clock:
    """Own seconds of named parts, those of parts inside them left out."""

    def __init__(self, now: Callable[[], float] = time.perf_counter) -> None:
        self.now = now
        self.seconds: Seconds = defaultdict(float)
        self.inside: list[float] = []

    @contextlib.contextmanager
    def time(self, part: str) -> Iterator[None]:
        """Add what the block takes to a part."""
        begun = self.now()
        self.inside.append(0.0)
        try:
            yield
        finally:
            whole, within = self.now() - begun, self.inside.pop()
            self.seconds[part] += whole - within
            if self.inside:
                self.inside[-1] += whole

    def timed(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, its calls timed."""

        @functools.wraps(function)
        def call(*given: Any, **named: Any) -> Any:
            with self.time(part):
                return function(*given, **named)

        return call

    def run(self, start_run: Callable[..., Any]) -> Callable[..., Any]:
        """`start_run`, its opening and its closing timed and not what happens between."""

        @contextlib.contextmanager
        def call(*given: Any, **named: Any) -> Iterator[str]:
            run = start_run(*given, **named)
            with self.time("tracking: open the run"):
                run_id = run.__enter__()
            try:
                yield run_id
            except BaseException:
                with self.time("tracking: close the run"):
                    run.__exit__(*sys.exc_info())
                raise
            with self.time("tracking: close the run"):
                run.__exit__(None, None, None)

        return call


def put_in(clock: Clock) -> list[Seconds]:
    """Time all tracking and drawing from now on; gives the list that each trial's seconds go to."""
    from matplotlib.figure import Figure

    for name in tracking.__all__:
        function = getattr(tracking, name)
        if callable(function):
            setattr(tracking, name, clock.timed(f"tracking: {name}", function))
    tracking.start_run = clock.run(tracking.start_run.__wrapped__)  # type: ignore[assignment]
    for name in ("learning_curve", "validation_panel", "confusion_matrix"):
        setattr(trial_figures, name, clock.timed("drawing", getattr(trial_figures, name)))
    trial.outcome_map = clock.timed("drawing", trial.outcome_map)
    Figure.savefig = clock.timed("drawing", Figure.savefig)
    trials: list[Seconds] = []
    one = searching.Trial.__call__

    def timed_trial(self: Any, study: Any) -> None:
        clock.seconds = defaultdict(float)
        trials.append(clock.seconds)
        with clock.time("training and validation"):
            one(self, study)

    searching.Trial.__call__ = timed_trial  # type: ignore[method-assign]
    return trials


def run_study(options: argparse.Namespace) -> tuple[list[Seconds], float]:
    """Run the study in an empty folder; gives each trial's seconds by part, and megabytes of all files."""
    experiment = read_experiment(ROOT / options.experiment)
    experiment = experiment.model_copy(update={"pruner": "none"})
    data = load_training_data(options.data, experiment.split_rule, experiment.extremes)
    trials = put_in(Clock())
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
            del os.environ[name]
        with tracking.start_run("study", "study"):
            tuning.tune(experiment, data, trials=options.trials)
        return trials, sum(file.stat().st_size for file in Path("mlruns").rglob("*") if file.is_file()) / 1e6


def measure(options: argparse.Namespace) -> Table:
    """Time the parts of every trial of a study."""
    (first, *others), megabytes = run_study(options)
    table = Table()
    for part in sorted({part for one in (first, *others) for part in one}):
        later = statistics.median(one[part] for one in others)
        table.rows.append({"part": part, "later trials, s": later, "the first, s": first[part]})
    sums = [sum(value for part, value in one.items() if part.startswith("tracking")) for one in others]
    training = statistics.median(one["training and validation"] for one in others)
    tracked = statistics.median(sums)
    table.rows.append({"part": "tracking in all", "later trials, s": tracked})
    table.ratio("training and validation over tracking", training / tracked)
    table.notes = [
        f"{len(others)} trials after the first, the median of each part; tracking at most {max(sums):.3f} s",
        f"files of {1 + len(others)} trials: {megabytes:.1f} MB",
    ]
    return table


def more(parser: argparse.ArgumentParser) -> None:
    """Add this benchmark's own options."""
    parser.add_argument("--experiment", default="experiments/ffnn.yaml")
    parser.add_argument("--trials", type=int, default=5)


if __name__ == "__main__":
    run(measure, __doc__, more)
