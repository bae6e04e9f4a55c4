"""What benchmarks/growth.py times: one size of one sweep, in a process of its own.

The clock starts when libraries are imported, TensorFlow has started and the network has been traced: what
stays is what could grow.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import chdir
from pathlib import Path
from typing import Any

from benchmarks.growth_inputs import MODELS

MAPS, EPOCHS, PREPARATIONS = 2, 3, 3  # of each size: the quickest counts
WARM_TRIALS = 5  # until Python collects its garbage as often as later on


def peak_gb() -> float:
    """Gigabytes that this process has needed at most so far, read from Linux's /proc."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmHWM"))) * 1024 / 1e9


def quickest(work: Callable[[int], Any], times: int) -> float:
    """Seconds of work; the least of several, since whatever disturbs it makes it longer."""
    found = []
    for number in range(times):
        begun = time.perf_counter()
        work(number)
        found.append(time.perf_counter() - begun)
    return min(found)


def map_scene(model: str, warm: str, scene: str) -> Iterator[dict[str, float]]:
    """Map a scene by `glacier_ml.map_scenes`; a small one before, so that the network is traced."""
    import glacier_ml
    from glacier_ml.learning.classifier import NetworkClassifier

    classifier = NetworkClassifier.load(Path(model))
    with tempfile.TemporaryDirectory() as output:
        glacier_ml.map_scenes(classifier, warm, f"{output}/warm")
        seconds = quickest(
            lambda number: glacier_ml.map_scenes(classifier, scene, f"{output}/{number}"), MAPS
        )
    yield {"seconds": seconds, "peak_gb": peak_gb()}


def train_epoch(catalog: str, tiles: int) -> Iterator[dict[str, float]]:
    """Train a small U-Net; an epoch after the first, which traces it, counts. Nothing is validated."""
    from glacier_ml.learning.parameters import parse_parameters
    from glacier_ml.learning.splits import SplitRule
    from glacier_ml.learning.training import fit
    from glacier_ml.studies.data import load_training_data

    shown = tiles * 64**2
    given = {"learning_rate": 1e-3, "brightness": 0.1, "batch_pixels": 16 * 64**2, "epoch_pixels": shown}
    parameters = parse_parameters({**MODELS["U-Net"], **given, "epochs": 1 + EPOCHS}, "growth")
    data = load_training_data(catalog, SplitRule(), [parameters])
    ends: list[float] = []
    fit(
        parameters,
        data.scenes,
        data.split,
        lambda classifier: {"val/iou": 0.0},
        on_epoch=lambda epoch, metrics: ends.append(time.perf_counter()),
    )
    yield {"seconds": min(b - a for a, b in zip(ends, ends[1:], strict=False)), "peak_gb": peak_gb()}


def run_study(catalog: str, *marks: int) -> Iterator[dict[str, float]]:
    """Run one study of tiny trials, storage and MLflow as in any; tells how it stood after some of them.

    The clock starts after `WARM_TRIALS`. Pictures, which take the same time in every trial, are left out:
    they would hide growth.
    """
    from glacier_ml.studies import searching, tracking, tuning
    from glacier_ml.studies.data import load_training_data
    from glacier_ml.studies.experiment import Experiment

    experiment = Experiment.model_validate(TINY_STUDY)
    data = load_training_data(catalog, experiment.split_rule)
    ended: list[tuple[float, float]] = []
    one, train = searching.Trial.__call__, searching.run_trial

    def noted(self: Any, study: Any) -> None:
        one(self, study)
        ended.append((time.perf_counter(), peak_gb()))

    searching.Trial.__call__ = noted  # type: ignore[method-assign]
    searching.run_trial = lambda *given, **options: train(*given, **options | {"pictures": False})
    with tracking.start_run("study", "study"):
        tuning.tune(experiment, data, trials=WARM_TRIALS + marks[-1])
    _, *counted = ended = ended[WARM_TRIALS - 1 :]
    for mark in marks:
        end, peak = counted[mark - 1]
        yield {"seconds": end - ended[0][0], "peak_gb": peak}


TINY_STUDY = {
    "name": "growth",
    "parameters": {
        **{"network": "ffnn", "tile_size": 1, "hidden_layers": 1, "nodes": 8, "learning_rate": 0.02},
        **{"epochs": 2, "epoch_pixels": 8192, "batch_pixels": 1024},
    },
    "search": {"learning_rate": {"low": 0.001, "high": 0.05, "log": True}, "nodes": {"low": 4, "high": 16}},
    "split": {"fraction": 0.3, "block": 32, "gap": 2},
    "stop": "none",
}


def prepare(catalog: str) -> Iterator[dict[str, float]]:
    """Load the scenes of a catalog, split them and compute what trials share; then validate a network."""
    from glacier_ml.evaluation.yardstick import measure
    from glacier_ml.learning.classifier import NetworkClassifier
    from glacier_ml.learning.features import feature_set
    from glacier_ml.learning.networks import build_network
    from glacier_ml.learning.parameters import parse_parameters
    from glacier_ml.learning.samples import collect_samples, feature_statistics
    from glacier_ml.learning.splits import SplitRule
    from glacier_ml.learning.stored_scenes import scene_features
    from glacier_ml.studies.data import load_training_data

    values = {**MODELS["U-Net"], "learning_rate": 1e-3, "brightness": 0.1}
    parameters = parse_parameters(values, "growth")
    loaded: list[Any] = []

    def load(number: int) -> None:
        loaded.clear()
        os.environ["GLACIER_ML_CACHE"] = str(Path(f"store-{number}").resolve())  # nothing is kept there yet
        data = load_training_data(catalog, SplitRule(), [parameters])
        collect_samples(data.scenes, data.split, parameters, 0)
        statistics = feature_statistics(data.scenes, data.split, parameters.features)
        for one in data.scenes:
            scene_features(one.scene, feature_set(parameters.features)).sum()
        loaded.extend((data, statistics))

    load(-1)  # what is slow once
    seconds = quickest(load, PREPARATIONS)
    yield {"seconds": seconds, "peak_gb": peak_gb()}
    data, statistics = loaded
    network = build_network(parameters, statistics.mean, statistics.variance)
    classifier = NetworkClassifier("unet", network, parameters)
    measure(classifier, data.scenes[:1], data.split.validation)  # traced
    seconds = quickest(lambda number: measure(classifier, data.scenes, data.split.validation), PREPARATIONS)
    yield {"seconds": seconds, "peak_gb": peak_gb()}


WORK = {"scene": map_scene, "tiles": train_epoch, "trials": run_study, "pixels": prepare}


def costs(sweep: str, *arguments: Any) -> list[dict[str, float]]:
    """Do one size of a sweep in an empty folder; gives seconds, peak memory and that at the start [GB]."""
    from glacier_ml.learning.backend import start_tensorflow

    start_tensorflow()
    start = {"start_gb": peak_gb()}
    for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
        del os.environ[name]
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        os.environ["GLACIER_ML_CACHE"] = f"{folder}/store"
        return [cost | start for cost in WORK[sweep](*arguments)]
