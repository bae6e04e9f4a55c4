"""Time to quality: CPU seconds until the validation map is good, against the report's recipe.

    python -m benchmarks.time_to_quality [--data CATALOG] [--reach .8] [--cap 1500] [--seeds 3] [--plot FILE]

Both sides train on the same pixels, the training part of the same split, and one referee scores both: the
mean over scenes of the IoU of the stitched map on the split's validation blocks, at a threshold of .5. Ours
is the baseline of experiments/unet.yaml as a study trains it. The peer is the report's recipe
(`report_recipe`), to a cap of machine time; where it has not reached the IoU by then, the cap counts.
Seconds are those of all threads from scenes in memory to the last step, samples and compilation included;
importing the library, reading the scenes and the referee's maps are left out on either side. Every run has a
process of its own. The network of each run's best score then maps the catalog's held-out scenes once;
nothing follows from that.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import tables
from benchmarks.report_recipe import BATCH, SIZE, ReportRecipe, store_tiles
from glacier_ml.evaluation.yardstick import measure as measure_map
from glacier_ml.learning.backend import start_tensorflow
from glacier_ml.learning.classifier import Classifier
from glacier_ml.learning.training import fit
from glacier_ml.studies.data import TrainingData, load_scenes, load_training_data
from glacier_ml.studies.experiment import read_experiment

EXPERIMENT = tables.ROOT / "experiments" / "unet.yaml"
AIM = 20.0  # times less than the peer
EVERY = 120.0  # CPU seconds of the peer between two scores, which take it a tenth of that


@dataclass
class Run:
    """One training, and how good it was when.

    Attributes
    ----------
    name : str
        Whose, and from which seed.
    cap : float
        CPU seconds after which it is stopped; infinite where it ends by itself.
    curve : list of tuple
        (CPU seconds, mean IoU) of each score.
    seconds, scoring, wall : float
        CPU seconds of the training and of the referee, seconds of both.
    steps : float
        Of the optimiser.
    held_out : dict of str to float
        IoU of the best score's network on each held-out scene.
    notes : list of str
        What it was.
    """

    name: str
    cap: float = math.inf
    curve: list[tuple[float, float]] = field(default_factory=list)
    seconds: float = 0.0
    scoring: float = 0.0
    wall: float = 0.0
    steps: float = 0
    held_out: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def first(self, reach: float) -> float | None:
        """CPU seconds of the first score of at least `reach`; None where there is none.

        >>> Run("ours", curve=[(5.0, 0.7), (9.0, 0.81), (12.0, 0.79), (15.0, 0.82)]).first(0.8)
        9.0
        """
        return next((seconds for seconds, iou in self.curve if iou >= reach), None)

    def counted(self, reach: float) -> float:
        """CPU seconds to `reach`; the cap where it was not reached."""
        first = self.first(reach)
        return self.cap if first is None else first

    @property
    def best(self) -> float:
        """Best score."""
        return max(iou for _, iou in self.curve)


class Clock:
    """CPU seconds of all threads of the process, those of the referee apart."""

    def __init__(self) -> None:
        self._begun, self.scoring, self._wall = time.process_time(), 0.0, time.perf_counter()

    @property
    def seconds(self) -> float:
        return time.process_time() - self._begun - self.scoring

    @property
    def wall(self) -> float:
        return time.perf_counter() - self._wall

    @contextmanager
    def held(self) -> Iterator[None]:
        """The clock stands still."""
        begun = time.process_time()
        yield
        self.scoring += time.process_time() - begun


def load(data: str | None) -> TrainingData:
    """The training scenes, split as the experiment says; without a store, so that each run computes all."""
    return replace(load_training_data(data, read_experiment(EXPERIMENT).split_rule), store=None)


def score(classifier: Classifier, data: TrainingData) -> float:
    """The referee: mean IoU over the scenes of the stitched map on the validation blocks."""
    return measure_map(classifier, data.scenes, data.split.validation)["val/iou"]


def score_held_out(classifier: Classifier, data: TrainingData) -> dict[str, float]:
    """IoU on each held-out scene."""
    scenes = load_scenes(data.catalog, "test")
    valid = {scene.scene.name: scene.scene.valid for scene in scenes}
    return {
        scene.scene.name: measure_map(classifier, [scene], valid.__getitem__, "")["iou"] for scene in scenes
    }


def note(run: Run, clock: Clock, classifier: Classifier, data: TrainingData) -> bool:
    """Score a classifier while the clock stands still; gives whether it is the best so far."""
    seconds = clock.seconds
    with clock.held():
        iou = score(classifier, data)
        best = not run.curve or iou > run.best
        run.curve.append((seconds, iou))
        print(f"{run.name}: {seconds:.0f} CPU s, IoU {iou:.3f}", flush=True)
    return best


def end(run: Run, clock: Clock) -> None:
    run.seconds, run.scoring, run.wall = clock.seconds, clock.scoring, clock.wall


def run_ours(path: str | None, seed: int) -> Run:
    """Train ours to its end."""
    data, run = load(path), Run(f"ours, seed {seed}")
    parameters = read_experiment(EXPERIMENT).baseline
    start_tensorflow()
    import keras  # noqa: F401 - before the clock starts

    clock = Clock()

    def validate(classifier: Classifier) -> dict[str, float]:
        note(run, clock, classifier, data)
        return {"val/iou": run.curve[-1][1]}

    fitted = fit(parameters, data.scenes, data.split, validate, seed=seed)
    end(run, clock)
    run.steps = fitted.samples.steps * parameters.epochs
    run.held_out = score_held_out(fitted.classifier, data)
    return run


def run_report(path: str | None, seed: int, cap: float, every: float) -> Run:
    """Train the report's recipe to the cap, scored at the end of it too."""
    data, run = load(path), Run("report's recipe", cap)
    start_tensorflow()
    import keras  # noqa: F401 - before the clock starts

    clock = Clock()
    tiles, recipe = store_tiles(data.scenes, data.split), ReportRecipe(seed=seed)
    run.notes = [
        f"report's recipe: {len(tiles)} stored tiles of {SIZE} px, which hold {tiles.share:.0%} of the "
        f"training pixels (the remainder of an image is dropped), batch {BATCH}, Adam"
    ]
    kept, due = recipe.network.get_weights(), every
    for steps in recipe.train(tiles):
        run.steps, ended = steps, clock.seconds >= cap
        if ended or clock.seconds >= due:
            if note(run, clock, recipe, data):
                kept = recipe.network.get_weights()
            due = clock.seconds + every
        if ended:
            break
    end(run, clock)
    recipe.network.set_weights(kept)
    run.held_out = score_held_out(recipe, data)
    return run


def alone(work: Callable[..., Run], *arguments: Any) -> Run:
    """Run in a process of its own, whose CPU seconds are of this run alone."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(work, *arguments).result()


def row(run: Run, reach: float) -> dict[str, Any]:
    first = run.first(reach)
    return {
        "run": run.name,
        f"CPU s to {reach:.2f}": (f"> {run.cap:.0f}" if math.isfinite(run.cap) else "never")
        if first is None
        else first,
        "best IoU": round(run.best, 3),
        "CPU s": run.seconds,
        "steps": run.steps,
        "CPU s of scoring": run.scoring,
        "wall s": run.wall,
        **{f"IoU {name}": round(iou, 3) for name, iou in run.held_out.items()},
    }


def summarise(ours: list[Run], peer: Run, reach: float) -> tables.Table:
    """Rows, ratios and curves of all runs."""
    table = tables.Table([row(run, reach) for run in [*ours, peer]])
    seconds = float(np.median([run.counted(reach) for run in ours]))
    table.ratio(f"time to {reach:.2f}", peer.counted(reach) / seconds, AIM)
    table.ratio("best IoU", float(np.median([run.best for run in ours])) / peer.best, 1.0)
    table.notes = [*peer.notes, f"cap of the report's recipe: {peer.cap:.0f} CPU s; ratios are of our median"]
    table.series = {run.name: run.curve for run in [*ours, peer]}
    return table


def draw(ours: list[Run], peer: Run, reach: float, path: Path) -> None:
    """Draw IoU against CPU seconds."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for run in [*ours, peer]:
        colour, marker = ("tab:red", "s") if run is peer else ("tab:blue", "o")
        label = "report's recipe" if run is peer else "glacier_ml" if run is ours[0] else None
        axes.plot(*zip(*run.curve, strict=True), color=colour, marker=marker, markersize=3, label=label)
    axes.axhline(reach, color="grey", linewidth=0.8, linestyle="--")
    axes.set(xscale="log", xlabel="CPU seconds of training", ylabel="mean IoU on the validation blocks")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_ylim(0, 1)
    axes.legend(loc="lower right")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)


def measure(options: argparse.Namespace) -> tables.Table:
    ours = [alone(run_ours, options.data, seed) for seed in range(options.seeds)]
    peer = alone(run_report, options.data, 0, options.cap, options.every)
    if options.plot:
        draw(ours, peer, options.reach, options.plot)
    return summarise(ours, peer, options.reach)


def more(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--reach", type=float, default=0.8, help="IoU to reach")
    parser.add_argument("--cap", type=float, default=1500, help="CPU seconds of the report's recipe")
    parser.add_argument("--every", type=float, default=EVERY, help="CPU seconds between two of its scores")
    parser.add_argument("--seeds", type=int, default=3, help="trainings of ours")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="also draw IoU against CPU seconds there")


if __name__ == "__main__":
    tables.run(measure, __doc__, more)
