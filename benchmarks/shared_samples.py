"""What a trial spends on samples, statistics and validation features, with a store and without.

    python -m benchmarks.shared_samples [--data CATALOG] [--trials 5] [--epochs 8]

The peer is the same code without a store, where every trial computes all for itself; the two take turns in
one process, so that a busy machine slows both. Without CATALOG the made scenes are taken. Then two processes
hold the same samples, once of a store and once their own: what each has for itself (USS), and its share of
what both have (PSS). A ratio is the cost without a store over that of later trials with one.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.tables import ROOT, Table, run
from glacier_ml.learning.features import feature_set
from glacier_ml.learning.parameters import AnyParameters, parse_parameters
from glacier_ml.learning.recipe import collect_report_samples
from glacier_ml.learning.samples import Samples, collect_samples, feature_statistics
from glacier_ml.learning.splits import SplitRule
from glacier_ml.learning.store import SampleStore
from glacier_ml.learning.stored_scenes import scene_features
from glacier_ml.studies.data import TrainingData, load_training_data

UNET = {"network": "unet", "learning_rate": 1e-3, "tile_size": 96}
RECIPES = {"sound": UNET, "report": {**UNET, "recipe": "report"}}
HOLD = """
import sys
import joblib, psutil
from benchmarks.shared_samples import held
before = psutil.Process().memory_full_info()
kept = held(joblib.load({data!r}, mmap_mode="r"))
print("ready", flush=True)
sys.stdin.readline()
after = psutil.Process().memory_full_info()
print(after.uss - before.uss, after.pss - before.pss, flush=True)
sys.stdin.readline()
"""


def unet(recipe: str = "sound", **changed: object) -> AnyParameters:
    return parse_parameters({**RECIPES[recipe], **changed}, "benchmark")


def touched(*arrays: np.ndarray) -> float:
    """Read every value, as a training does; a memory map is not there before."""
    return float(sum(values.sum(dtype=float) for values in arrays))


def prepare(data: TrainingData, parameters: AnyParameters) -> None:
    """What a trial needs before its first step."""
    samples = collect_samples(data.scenes, data.split, parameters, 0)
    feature_statistics(data.scenes, data.split, parameters.features)
    for scene in samples.scenes:
        touched(scene.stack, scene.target, scene.pixels)


def prepare_report(data: TrainingData, parameters: AnyParameters) -> None:
    samples = collect_report_samples(data.scenes, data.split, parameters, 0)
    touched(samples.values, samples.targets)


def validate(data: TrainingData, parameters: AnyParameters) -> None:
    """What an epoch's validation needs beside the network."""
    for labelled in data.scenes:
        touched(scene_features(labelled.scene, feature_set(parameters.features)))


def cut(samples: Samples) -> None:
    """An epoch's batches."""
    for step in range(samples.steps):
        samples.batch(0, step)


def held(data: TrainingData) -> list[np.ndarray]:
    """All that a trial keeps while it trains and validates, read once."""
    jittered = collect_samples(data.scenes, data.split, unet(brightness=0.1), 0)
    kept = [values for scene in jittered.scenes for values in (scene.stack, scene.target, scene.pixels)]
    kept += [scene_features(labelled.scene, feature_set("spectral")) for labelled in data.scenes]
    touched(*kept)
    return kept


def seconds(work: Callable[[], None]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def begun(work: Callable[..., None], data: TrainingData, parameters: AnyParameters) -> Callable[[], None]:
    """What is timed of some work: cutting alone has its samples before."""
    if work is cut:
        return partial(cut, collect_samples(data.scenes, data.split, parameters, 0))
    return partial(work, data, parameters)


def compare(
    data: TrainingData, folder: Path, trials: int, work: Callable[..., None], parameters: AnyParameters
) -> tuple[float, float, float]:
    """Median seconds without a store, seconds of the first trial with one, median of those after it."""
    plain, kept = [], []
    for _ in range(trials + 1):
        plain.append(seconds(begun(work, data, parameters)))
        stored = replace(data, store=SampleStore(folder))  # as another process would have it
        kept.append(seconds(begun(work, stored, parameters)))
    return float(np.median(plain)), kept[0], float(np.median(kept[1:]))


def memory(data: TrainingData, store: SampleStore | None, processes: int = 2) -> list[tuple[float, float]]:
    """USS and PSS [MB] of what each of some processes holds at once, more than before it did."""
    with tempfile.TemporaryDirectory() as folder:
        import joblib

        joblib.dump(replace(data, store=store), f"{folder}/data")
        code = HOLD.format(data=f"{folder}/data")
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": ROOT}
        started = [subprocess.Popen([sys.executable, "-c", code], **pipes) for _ in range(processes)]
        for one in started:
            one.stdout.readline()
        told = []
        for one in started:  # all hold it now
            one.stdin.write("\n")
            one.stdin.flush()
            told.append([float(word) / 1e6 for word in one.stdout.readline().split()])
        for one in started:
            one.communicate("\n")
    return [(uss, pss) for uss, pss in told]


def add_times(table: Table, data: TrainingData, options: argparse.Namespace, folder: Path) -> None:
    """Add what each part of a trial takes, and a trial's sum of samples and features."""
    works = {
        "samples and statistics, once a trial": (prepare, unet(brightness=0.1), 1),
        "features for validation, every epoch": (validate, unet(), options.epochs),
        "batches of an epoch, brightness 0": (cut, unet(), 0),
        "batches of an epoch, brightness .1": (cut, unet(brightness=0.1), 0),
        "the report's tiles, once a trial": (prepare_report, unet("report"), 0),
    }
    sums = np.zeros(2)
    for number, (name, (work, parameters, times)) in enumerate(works.items()):
        place = folder / str(number)
        plain, first, later = compare(replace(data, store=None), place, options.trials, work, parameters)
        row = {"what": name, "without, s": plain, "first with a store, s": first, "later ones, s": later}
        table.rows.append(row | {"later / without": later / plain})
        sums += np.array([plain, later]) * times
    name = f"the first two lines, a trial of {options.epochs} epochs"
    row = {"what": name, "without, s": sums[0], "later ones, s": sums[1]}
    table.rows.append(row | {"later / without": sums[1] / sums[0]})
    table.ratio("samples and features of a trial: without over later", sums[0] / sums[1])


def measure(options: argparse.Namespace) -> Table:
    """Time a trial's parts, and weigh what two processes hold."""
    data = load_training_data(options.data, SplitRule())
    pixels = sum(labelled.scene.valid.size for labelled in data.scenes)
    table = Table(
        notes=[f"{len(data.scenes)} scenes, {pixels / 1e6:.1f} million pixels, {options.trials} trials"]
    )
    with tempfile.TemporaryDirectory() as folder:
        add_times(table, data, options, Path(folder))
        held_by: dict[str, float] = {}
        for name, store in {"copies": None, "a store": SampleStore(Path(folder) / "held")}.items():
            (uss, pss), _ = memory(data, store)
            what = f"two processes hold a trial's samples, {name}"
            table.rows.append({"what": what, "USS each, MB": uss, "PSS each, MB": pss})
            held_by[name] = pss
    table.ratio("PSS of two processes: copies over a store", held_by["copies"] / held_by["a store"])
    return table


def more(parser: argparse.ArgumentParser) -> None:
    """Add this benchmark's own options."""
    parser.add_argument("--trials", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=8, help="of a trial, for its sum")


if __name__ == "__main__":
    run(measure, __doc__, more)
