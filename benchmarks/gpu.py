"""Training and mapping on a GPU, against the processor of the same machine.

    python -m benchmarks.gpu [--data CATALOG] [--epochs 3]

The baselines of experiments/ffnn.yaml and unet.yaml, and a wide U-Net (32 base filters, 288 px), in float32
and, on the GPU, in half precision: pixels a second of an epoch as the product trains it, and of a map in
memory. Each has a process of its own. Without a GPU that TensorFlow sees there is nothing to compare, and
the table says so.
"""

from __future__ import annotations

import argparse
import os
import time
from typing import Any

from benchmarks.processes import asked
from benchmarks.tables import Table, run

MODULE = "benchmarks.gpu"
CASES = {
    "FFNN": ("ffnn", {}),
    "U-Net": ("unet", {}),
    "U-Net, wide": ("unet", {"base_filters": 32, "tile_size": 288, "batch_pixels": 663_552}),
}
HALF = {"precision": "mixed_float16"}
SIDE = 2048  # of the map [px]


def devices() -> list[str]:
    """GPUs that TensorFlow sees."""
    from glacier_ml.learning.backend import start_tensorflow

    start_tensorflow()
    import tensorflow as tf

    found = tf.config.list_physical_devices("GPU")
    return [tf.config.experimental.get_device_details(one).get("device_name", one.name) for one in found]


def speed(
    network: str, changes: dict[str, Any], catalog: str | None, epochs: int, gpu: bool
) -> dict[str, float]:
    """Megapixels a second of training and of mapping, and the GPU's peak memory [GB]."""
    if not gpu:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    import numpy as np

    from glacier_ml.learning.backend import start_tensorflow
    from glacier_ml.learning.samples import collect_samples
    from glacier_ml.learning.training import TrainingStep, _start, _train_epoch
    from glacier_ml.studies.data import load_training_data
    from glacier_ml.studies.experiment import read_experiment

    start_tensorflow()
    import tensorflow as tf

    experiment = read_experiment(f"experiments/{network}.yaml")
    chosen = experiment.baseline.model_copy(update=changes)
    data = load_training_data(catalog, experiment.split_rule)
    samples = collect_samples(data.scenes, data.split, chosen, seed=0)
    classifier = _start(chosen, data.scenes, data.split, 0, None)
    step = TrainingStep(classifier.network, chosen, samples.steps)
    _train_epoch(step, samples, 0, pieces=1)
    begun = time.perf_counter()
    for epoch in range(1, epochs + 1):
        _train_epoch(step, samples, epoch, pieces=1)
    trained = epochs * chosen.epoch_pixels / (time.perf_counter() - begun)
    stack = np.random.default_rng(0).random((SIDE, SIDE, len(classifier.bands)), np.float32)
    classifier.probability_of_array(stack[:512, :512])
    begun = time.perf_counter()
    classifier.probability_of_array(stack)
    found = {"training [Mpx/s]": trained / 1e6, "map [Mpx/s]": SIDE**2 / (time.perf_counter() - begun) / 1e6}
    if gpu:
        found["peak [GB]"] = tf.config.experimental.get_memory_info("GPU:0")["peak"] / 1e9
    return found


def measure(options: argparse.Namespace) -> Table:
    """Compare, where there is a GPU."""
    table = Table()
    found = asked(MODULE, "devices")[0]
    if not found:
        table.notes.append("TensorFlow sees no GPU here: nothing was measured")
        return table
    table.notes.append(f"GPU: {found[0]}; processor: {os.cpu_count()} cores")
    for name, (network, changes) in CASES.items():
        sides = {"processor": (changes, False), "GPU": (changes, True), "GPU, half": (changes | HALF, True)}
        results = {}
        for side, (changed, gpu) in sides.items():
            results[side] = asked(MODULE, "speed", network, changed, options.data, options.epochs, gpu)[0]
            table.rows.append({"network": name, "on": side} | results[side])
        for what in ("training", "map"):
            key = f"{what} [Mpx/s]"
            table.ratio(
                f"{name}: {what}, GPU / processor", results["GPU"][key] / results["processor"][key], 1.0
            )
    return table


def more(parser: argparse.ArgumentParser) -> None:
    """Options of this benchmark."""
    parser.add_argument("--epochs", type=int, default=3, help="that are timed, after one that is not")


if __name__ == "__main__":
    run(measure, str(__doc__), more)
