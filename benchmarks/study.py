"""Best validation IoU against machine time: a study by TPE with pruning, and the report's grid.

    python -m benchmarks.study [--data CATALOG] [--network unet] [--seeds 3] [--trials N] [--plot FILE]

The report searched by grids: layers x nodes, learning rate, penalty, activation; of the U-Net tile size and
activation. Their points (experiments/report) are trained as the report fixed the rest, in the sound protocol:
features, split, pixels an epoch and yardstick are those of the product's study (experiments/ffnn.yaml or
unet.yaml). That runs as it does for users, once a seed, and once more without the known-good baseline that it
begins with, from random points. All are studies of this package, tracked alike, their trials shortened alike.
Time is the processor's since the search began, tracking and storage included; loading, imports and what
trials share come before it. A grid counts whole: its best is known at its end. The study counts until a trial
that has run to its end reaches the grid's best.

What of a trial is inside `fit` is that of the baselines of ffnn.yaml and unet.yaml at their full sizes. Fit
is all training and validation; outside are pictures, counts by block, tracking, the network's file and the
study's storage, from epoch to epoch, too.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

from benchmarks.tables import ROOT, Table, run
from benchmarks.tracking_cost import Clock
from glacier_ml.studies import searching, tracking, trial, tuning
from glacier_ml.studies.data import TrainingData, load_training_data
from glacier_ml.studies.experiment import Experiment, read_experiment

NETWORKS = {"ffnn": "FFNN", "unet": "U-Net"}
GRIDS = {
    "ffnn": ("figure_09", "figure_07_learning_rate", "figure_07_penalty", "figure_08"),
    "unet": ("figure_05", "figure_06"),
}
# As many epochs as the product's studies have, of a quarter of the pixels (the U-Net's a third), in batches
# of a quarter of those that the files have.
SHORT = {
    "ffnn": {"epochs": 8, "epoch_pixels": 262_144, "batch_pixels": 4_096},
    "unet": {"epochs": 6, "epoch_pixels": 995_328, "batch_pixels": 16_384},
}
# A grid of U-Nets has batches of its own, of which a quarter is one tile of 288 px, and half of the report's
# filters: with all of them it would take hours.
GRID_SHORT = {"ffnn": SHORT["ffnn"], "unet": SHORT["unet"] | {"batch_pixels": 82_944, "base_filters": 18}}
BEGINNINGS = ("its baseline", "random points")  # of our study
COLOURS = {"grids": "0.4", "ours from its baseline": "#0072B2", "ours from random points": "#D55E00"}
WARM_UP = {"epochs": 1, "epoch_pixels": 65_536}
TIMES_SLOWER, OUTSIDE = 5.0, 0.1  # what the grid should take of ours; at most of a trial outside fit
REPEATS = {"ffnn": 2, "unet": 1}  # trials whose parts are timed


@dataclass(frozen=True)
class Ended:
    """A trial that has ended: seconds since the search began, IoU (0 unless it was complete), state."""

    seconds: float
    iou: float
    state: str


def best_so_far(trials: Sequence[Ended]) -> list[tuple[float, float]]:
    """Seconds and the best IoU then, one pair for each trial.

    >>> best_so_far([Ended(2, 0.5, "complete"), Ended(3, 0, "pruned"), Ended(5, 0.7, "complete")])
    [(2, 0.5), (3, 0.5), (5, 0.7)]
    """
    best, course = 0.0, []
    for one in trials:
        best = max(best, one.iou)
        course.append((one.seconds, best))
    return course


def time_until(trials: Sequence[Ended], iou: float) -> float:
    """Seconds until a trial's IoU is at least this one; infinite where none is.

    >>> time_until([Ended(2, 0.5, "complete"), Ended(5, 0.7, "complete")], 0.6)
    5
    """
    return next((one.seconds for one in trials if one.iou >= iou), math.inf)


def in_turn(searches: Sequence[Sequence[Ended]]) -> list[Ended]:
    """Searches one after the other, as one."""
    joined: list[Ended] = []
    for trials in searches:
        before = joined[-1].seconds if joined else 0.0
        joined += [Ended(before + one.seconds, one.iou, one.state) for one in trials]
    return joined


def shortened(experiment: Experiment, changes: dict[str, Any], name: str) -> Experiment:
    """The experiment with some of its fixed parameters changed."""
    return experiment.model_copy(
        update={"name": name, "parameters": experiment.parameters | changes, "stop": "none"}
    )


def grids(network: str) -> list[Experiment]:
    """The report's grids, every point of them, in the sound protocol."""
    files = (ROOT / "experiments" / "report" / f"{name}.yaml" for name in GRIDS[network])
    whole = [read_experiment(path).variant("sound", "full") for path in files]
    return [shortened(one, GRID_SHORT[network], f"{one.name}-short") for one in whole]


def product(network: str) -> Experiment:
    """The study that the product comes with."""
    return read_experiment(ROOT / "experiments" / f"{network}.yaml", network)


def search(experiment: Experiment, data: TrainingData, trials: int, seed: int = 0) -> list[Ended]:
    """Run a study; gives its trials in the order of their end."""
    ended: list[Ended] = []
    one, begun = searching.Trial.__call__, time.process_time()

    def noted(self: searching.Trial, study: Any) -> None:
        one(self, study)
        finished = (trial for trial in study.get_trials(deepcopy=False) if trial.state.is_finished())
        last = max(finished, key=lambda trial: trial.datetime_complete)
        state = last.state.name.lower()
        iou = float(last.value) if state == "complete" else 0.0
        ended.append(Ended(time.process_time() - begun, iou, state))

    with patch.object(searching.Trial, "__call__", noted), tracking.start_run(experiment.name, "study"):
        tuning.tune(experiment, data, trials=trials, seed=seed)
    return ended


@contextlib.contextmanager
def own_folder() -> Iterator[None]:
    """Work in an empty folder that is removed: stores of runs and studies, and what trials share."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    with (
        tempfile.TemporaryDirectory() as folder,
        patch.dict(os.environ, kept | {"GLACIER_ML_CACHE": folder}, clear=True),
        contextlib.chdir(folder),
    ):
        yield


def race(network: str, data: TrainingData, seeds: int, trials: int, table: Table) -> None:
    """Run the grids, then the study from each seed, and note times and ratios."""
    name, series = NETWORKS[network], table.series.setdefault(network, {})
    searches = [search(one, data, one.trials) for one in grids(network)]
    for grid, found in zip(GRIDS[network], searches, strict=True):
        table.rows.append(_row(f"{name}, grid of {grid}", found))
    whole = in_turn(searches)
    table.rows.append(_row(f"{name}, all grids", whole))
    series["grids"] = best_so_far(whole)
    for begin in BEGINNINGS:
        found = [our_search(network, data, trials, seed, begin) for seed in range(seeds)]
        reached = [time_until(one, series["grids"][-1][1]) for one in found]
        for seed, (one, seconds) in enumerate(zip(found, reached, strict=True)):
            told = seconds if math.isfinite(seconds) else "not reached"
            row = _row(f"{name}, ours from {begin}, seed {seed}", one)
            table.rows.append(row | {"s to the grids' best": told})
            series[f"ours from {begin}, seed {seed}"] = best_so_far(one)
        times = whole[-1].seconds / median(reached)
        table.ratio(f"{name}: grids' time / ours to their best, from {begin}", times, TIMES_SLOWER)


def our_search(network: str, data: TrainingData, trials: int, seed: int, begin: str) -> list[Ended]:
    """The product's study, begun as it is or without its baseline."""
    ours = shortened(product(network), SHORT[network], f"{network}-from-{begin.replace(' ', '-')}")
    if begin == "its baseline":
        return search(ours, data, trials, seed)
    with patch.object(tuning, "queue_points", lambda study, experiment: None):
        return search(ours, data, trials, seed)


def _row(what: str, trials: Sequence[Ended]) -> dict[str, Any]:
    states = [one.state for one in trials]
    return {
        "what": what,
        "trials": len(trials),
        "pruned": states.count("pruned"),
        "failed": states.count("fail"),
        "CPU s": trials[-1].seconds,
        "best IoU": max(one.iou for one in trials),
    }


@contextlib.contextmanager
def parts_timed(clock: Clock) -> Iterator[None]:
    """Time the parts of trials."""
    import optuna

    watched = [
        (trial, "fit", "fit"),
        (trial, "log_pictures", "pictures"),
        (trial, "_log_outcome", "counts by block"),
        (searching, "log_if_best", "network's file"),
        (optuna.Trial, "report", "storage"),
        (optuna.Trial, "should_prune", "storage"),
        (searching.Trial, "__call__", "tracking and rest"),
    ]
    with contextlib.ExitStack() as patches:
        for place, name, part in watched:
            timed = clock.timed(part, getattr(place, name))
            patches.enter_context(patch.object(place, name, timed))
        yield


def trial_parts(network: str, data: TrainingData) -> dict[str, float]:
    """Seconds of the parts of the baseline's trial, at its full size: medians."""
    found = []
    for seed in range(REPEATS[network]):
        clock = Clock(time.process_time)
        with parts_timed(clock), tracking.start_run(network, "study"):
            tuning.tune(product(network), data, trials=1, seed=seed)
        found.append(dict(clock.seconds))
    return {part: median(one[part] for one in found) for part in found[0]}


def note_parts(network: str, data: TrainingData, table: Table) -> None:
    """Note where the time of a trial goes, and how much of it is outside fit."""
    name, parts = NETWORKS[network], trial_parts(network, data)
    total = sum(parts.values())
    outside = total - parts["fit"]
    table.rows.append({"what": f"{name}, a trial of {network}.yaml", "trials": 1, "CPU s": total} | parts)
    table.ratio(f"{name}: a tenth of a trial over what is outside fit", OUTSIDE * total / outside, 1)


def draw(series: dict[str, Any], path: Path) -> None:
    """Draw the best IoU against the processor's seconds, a panel a network."""
    from glacier_ml.evaluation.figures import new_figure

    figure = new_figure(7.0, 4.2 * len(series))
    for position, (network, courses) in enumerate(series.items(), start=1):
        axes = figure.add_subplot(len(series), 1, position)
        for name, course in courses.items():
            words = name.rpartition(",")[0] or name
            label = words if words not in axes.get_legend_handles_labels()[1] else None
            seconds, best = zip(*course, strict=True)
            axes.step(seconds, best, where="post", label=label, color=COLOURS[words])
        goal = courses["grids"][-1][1]
        axes.axhline(goal, color=COLOURS["grids"], linestyle=":", linewidth=1)
        axes.set(xlabel="processor [s]", ylabel="best validation IoU", title=NETWORKS[network])
        axes.set_xscale("log")
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8, loc="lower right")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


def measure(options: argparse.Namespace) -> Table:
    """Race the study against the grid, and time the parts of trials."""
    table, network = Table(), options.network
    source = options.data and Path(options.data).resolve()
    plot = options.plot and options.plot.resolve()
    with own_folder():
        data = load_training_data(source, product(network).split_rule, product(network).extremes)
        for name in NETWORKS:
            search(shortened(product(name), WARM_UP, "warm-up"), data, 1)
        for name in NETWORKS:
            note_parts(name, data, table)
        race(network, data, options.seeds, options.trials or product(network).trials, table)
        if plot:
            draw(table.series, plot)
    sizes = [
        ", ".join(f"{key} {value:,}" for key, value in changes[network].items())
        for changes in (SHORT, GRID_SHORT)
    ]
    table.notes += [
        f"{len(data.scenes)} training scenes, {sum(one.scene.valid.sum() for one in data.scenes):,} pixels; "
        f"a trial of a file has its full size, median of {REPEATS[network]}; "
        f"those of our study {sizes[0]}, of the grids {sizes[1]}",
        "seconds are the processor's, of all threads; ratios are those of the median seed",
    ]
    return table


def more(parser: argparse.ArgumentParser) -> None:
    """Options of this benchmark."""
    parser.add_argument("--network", choices=NETWORKS, default="ffnn", help="whose search is raced")
    parser.add_argument("--seeds", type=int, default=3, help="of our study")
    parser.add_argument("--trials", type=int, help="of our study; the experiment's by default")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the best IoU against time there")


if __name__ == "__main__":
    run(measure, __doc__, more)
