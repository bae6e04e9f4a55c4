"""Where the time of a trial goes, the first of a process and later ones: compilation, steps, tracking.

    python benchmarks/trial_overheads.py [--data CATALOG] [--trials N] [--cpu] [CASE ...]

Cases: `tiny-ffnn`, `tiny-unet` (those of the tests), `figure-07` (the report's learning rates, budget small),
`unet` (experiments/unet.yaml). Compilation is what the first call of a step or a map takes longer than the
median of later ones: tracing, optimising the graph, choosing kernels. `tracking` is all that MLflow is told
except pictures; `pictures` are mapped, drawn and logged. The peer of each first trial is the median of later
ones. Runs go to a store of their own, which is removed. `--cpu` counts the processor's seconds instead of the
clock's, for machines that are shared.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from glacier_ml.learning import training
from glacier_ml.learning.backend import start_tensorflow
from glacier_ml.learning.parameters import AnyParameters, parse_parameters
from glacier_ml.studies import tracking, trial
from glacier_ml.studies.data import load_training_data
from glacier_ml.studies.experiment import read_experiment

ROOT = Path(__file__).resolve().parent.parent
PARTS = ("samples", "build", "compile", "steps", "validation", "tracking", "pictures", "rest")


class Stopwatch:
    """Seconds of every call of what it watches, by part; of nested calls the outer one counts."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock, self.inside = clock, False
        self.calls: dict[str, list[float]] = defaultdict(list)

    def watch(self, place: Any, name: str, part: str) -> None:
        """Replace a function or method by one that notes how long it takes."""
        original = getattr(place, name)

        def timed(*arguments: Any, **options: Any) -> Any:
            if self.inside:
                return original(*arguments, **options)
            self.inside, begun = True, self.clock()
            try:
                return original(*arguments, **options)
            finally:
                self.inside = False
                self.calls[part].append(self.clock() - begun)

        setattr(place, name, timed)

    def parts(self, total: float) -> dict[str, float]:
        """Seconds of each part; what the first step and map took more than the later ones is compilation."""
        found = {part: sum(self.calls[part]) for part in PARTS}
        for part in ("steps", "validation"):
            first, *later = self.calls[part]
            extra = max(0.0, first - median(later)) if later else 0.0
            found["compile"] += extra
            found[part] -= extra
        return found | {"rest": total - sum(found.values())}


def watched(clock: Callable[[], float]) -> Stopwatch:
    """A stopwatch on everything that a trial calls."""
    stopwatch = Stopwatch(clock)
    for name in ("_collect", "_statistics", "_seen"):
        stopwatch.watch(training, name, "samples")
    stopwatch.watch(training, "build_network", "build")
    stopwatch.watch(training.TrainingStep, "__init__", "build")
    for name in ("take", "__call__"):
        stopwatch.watch(training.TrainingStep, name, "steps")
    stopwatch.watch(trial, "measure", "validation")
    for name in ("log_params", "log_dict", "log_epochs", "log_metrics"):
        stopwatch.watch(tracking, name, "tracking")
    stopwatch.watch(trial, "log_pictures", "pictures")
    return stopwatch


def cases() -> dict[str, AnyParameters]:
    """Parameters of each case."""
    sys.path.insert(0, str(ROOT / "tests"))
    from tiny_studies import FFNN, UNET

    figure = read_experiment(ROOT / "experiments" / "report" / "figure_07_learning_rate.yaml")
    return {
        "tiny-ffnn": parse_parameters(FFNN, "tests"),
        "tiny-unet": parse_parameters(UNET, "tests"),
        "figure-07": figure.variant("sound", "small").baseline,
        "unet": read_experiment(ROOT / "experiments" / "unet.yaml").baseline,
    }


def time_trials(parameters: AnyParameters, data: Any, trials: int, stopwatch: Stopwatch) -> None:
    """Run trials with learning rates of their own, and print the first and the median of the later ones."""
    rows = []
    for number in range(trials):
        changed = parameters.model_copy(update={"learning_rate": parameters.learning_rate * 0.9**number})
        stopwatch.calls.clear()
        begun = stopwatch.clock()
        with tracking.start_run(f"trial-{number}", "trial"):
            stopwatch.calls["tracking"].append(stopwatch.clock() - begun)
            trial.run_trial(changed, data, seed=number)
            ended = stopwatch.clock()
        stopwatch.calls["tracking"].append(stopwatch.clock() - ended)
        rows.append(stopwatch.parts(stopwatch.clock() - begun))
    later = {part: median(row[part] for row in rows[1:]) for part in PARTS}
    for label, row in (("first", rows[0]), ("later", later)):
        total = sum(row.values())
        told = "  ".join(f"{part} {row[part]:.2f}" for part in PARTS)
        print(f"  {label}: {total:.2f} s  {told}  compile/total {row['compile'] / total:.2f}", flush=True)
    print(f"  first / later: {sum(rows[0].values()) / sum(later.values()):.2f}", flush=True)


def main() -> None:
    """Time the trials of each case."""
    known = cases()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", help=f"of {', '.join(known)}; all by default")
    parser.add_argument("--data", help="catalog; the made scenes by default")
    parser.add_argument("--trials", type=int, default=4)
    parser.add_argument("--cpu", action="store_true", help="processor's seconds")
    chosen = parser.parse_args()
    start_tensorflow()
    data = load_training_data(chosen.data, read_experiment(ROOT / "experiments" / "unet.yaml").split_rule)
    stopwatch = watched(time.process_time if chosen.cpu else time.perf_counter)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for name in chosen.cases or known:
            print(name, flush=True)
            time_trials(known[name], data, chosen.trials, stopwatch)
        os.chdir(ROOT)


if __name__ == "__main__":
    main()
