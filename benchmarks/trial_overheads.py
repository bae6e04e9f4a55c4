"""Where the time of a trial goes, the first of a process and later ones: compilation, steps, tracking.

    python -m benchmarks.trial_overheads [--data CATALOG] [--trials N] [--cpu] [CASE ...]

Cases: `tiny-ffnn`, `tiny-unet` (those of the tests), `figure-07` (the report's learning rates, budget small),
`ffnn`, `unet` (the baselines of experiments/). Compilation is what the first call of a step or a map takes
longer than the median of later ones: tracing, optimising the graph, choosing kernels. `tracking` is all that
MLflow is told except pictures; `pictures` are drawn and logged. The ratio is a later trial's time over its
compilation. Runs go to a store of their own, which is removed. `--cpu` counts the processor's seconds instead
of the clock's, for machines that are shared.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from statistics import median
from typing import Any

from benchmarks.tables import ROOT, Table, run
from glacier_ml.learning import training
from glacier_ml.learning.backend import start_tensorflow
from glacier_ml.learning.parameters import AnyParameters, parse_parameters
from glacier_ml.studies import tracking, trial
from glacier_ml.studies.data import load_training_data
from glacier_ml.studies.experiment import read_experiment

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
        **{
            name: read_experiment(ROOT / "experiments" / f"{name}.yaml").baseline for name in ("ffnn", "unet")
        },
    }


def time_trials(parameters: AnyParameters, data: Any, trials: int, stopwatch: Stopwatch) -> dict[str, Any]:
    """Run trials with rates of their own; gives the parts of the first and the medians of later ones."""
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
    return {"first": rows[0], "later": {part: median(row[part] for row in rows[1:]) for part in PARTS}}


def measure(options: argparse.Namespace) -> Table:
    """Time the trials of each case."""
    start_tensorflow()
    table, known = Table(), cases()
    data = load_training_data(options.data, read_experiment(ROOT / "experiments" / "unet.yaml").split_rule)
    stopwatch = watched(time.process_time if options.cpu else time.perf_counter)
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        for case in options.cases or known:
            found = time_trials(known[case], data, options.trials, stopwatch)
            for which, parts in found.items():
                table.rows.append({"case": case, "trial": which, "all": sum(parts.values())} | parts)
            later = found["later"]
            table.ratio(f"{case}: a later trial over its compilation", sum(later.values()) / later["compile"])
    clock = "processor's" if options.cpu else "clock's"
    table.notes = [f"the {clock} seconds; of the {options.trials - 1} later trials the median of each part"]
    return table


def more(parser: argparse.ArgumentParser) -> None:
    """Add this benchmark's own options."""
    parser.add_argument("cases", nargs="*", metavar="CASE", help="all by default")
    parser.add_argument("--trials", type=int, default=4)
    parser.add_argument("--cpu", action="store_true", help="processor's seconds")


if __name__ == "__main__":
    run(measure, __doc__, more)
