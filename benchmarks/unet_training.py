"""Tiles a second of training the U-Net, against PyTorch on the same network, batches and optimiser.

    python -m benchmarks.unet_training [--rounds 2] [--seconds 4]

Five levels, batch normalisation, ReLU, 8 features; AdamW, cross-entropy and Dice, gradients clipped. A
batch holds what comes nearest to 147,456 pixels: 9 tiles of 128 px, 2 of 288 px. `step` trains on a batch
in memory. `with tiles` is ours as the product trains: tiles are cut, turned, made brighter or darker, and
their features computed meanwhile. PyTorch runs channels first and channels last; the better one is the peer.
Each has processes of its own that take turns; the best round counts. `first` is the first step, compilation
included.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from statistics import median
from typing import Any

from benchmarks.processes import best_of
from benchmarks.tables import Table, run

BASES, TILES = (8, 16, 32), (128, 288)
LEVELS, FEATURES, RATE = 5, 8, 1e-3
WARM_UP = 3  # steps


def rate_of(step: Callable[[], Any], tiles: int, seconds: float) -> dict[str, float]:
    """Tiles a second by the median step, and minus the seconds of the first one (less is better)."""
    begun = time.perf_counter()
    step()
    first = time.perf_counter() - begun
    for _ in range(WARM_UP):
        step()
    taken, ends = [], time.perf_counter() + seconds
    while time.perf_counter() < ends or len(taken) < 3:
        begun = time.perf_counter()
        step()
        taken.append(time.perf_counter() - begun)
    return {"step": tiles / median(taken), "first": -first}


def ours(base: int, size: int, seconds: float) -> dict[str, float]:
    """Ours: the step alone, and epochs of the product's training on the made scenes."""
    import numpy as np

    from glacier_ml.learning.backend import start_tensorflow
    from glacier_ml.learning.networks import build_network
    from glacier_ml.learning.parameters import UnetParameters
    from glacier_ml.learning.samples import collect_samples
    from glacier_ml.learning.training import TrainingStep, _train_epoch
    from glacier_ml.studies.data import load_training_data
    from glacier_ml.studies.experiment import read_experiment

    start_tensorflow()
    experiment = read_experiment("experiments/unet.yaml")
    chosen = UnetParameters(
        learning_rate=RATE,
        tile_size=size,
        levels=LEVELS,
        base_filters=base,
        dice=1.0,
        epoch_pixels=10**6,
        brightness=experiment.baseline.brightness,
    )
    data = load_training_data(None, experiment.split_rule)
    samples = collect_samples(data.scenes, data.split, chosen, seed=0)
    step = TrainingStep(build_network(chosen, np.zeros(FEATURES), np.ones(FEATURES)), chosen, samples.steps)
    batch = samples.batch(0, 0)
    found = rate_of(lambda: step(*batch, 1), samples.tiles_per_batch, seconds)
    begun, epochs = time.perf_counter(), 0
    while time.perf_counter() - begun < seconds:
        _train_epoch(step, samples, epochs, pieces=1)
        epochs += 1
    tiles = epochs * samples.steps * samples.tiles_per_batch
    return found | {"with tiles": tiles / (time.perf_counter() - begun)}


def torch(base: int, size: int, seconds: float, last: bool) -> dict[str, float]:
    """PyTorch's step, on a batch of the same size."""
    import torch

    from benchmarks.torch_networks import TrainingStep, unet

    tiles = max(1, round(147_456 / size**2))
    layout = torch.channels_last if last else torch.contiguous_format
    torch.manual_seed(0)
    network = unet(FEATURES, [base * 2**level for level in range(LEVELS)]).to(memory_format=layout)
    features = torch.rand(tiles, FEATURES, size, size).to(memory_format=layout)
    label, weight = (torch.rand(tiles, size, size) > 0.5).float(), torch.ones(tiles, size, size)
    step = TrainingStep(network, RATE, dice=1.0)
    return rate_of(lambda: step(features, label, weight), tiles, seconds)


def measure(options: argparse.Namespace) -> Table:
    """Compare the networks of all sizes."""
    table = Table()
    for base in BASES:
        for size in TILES:
            told = (base, size, options.seconds)
            calls = {
                "ours": ("ours", told),
                "first": ("torch", (*told, False)),
                "last": ("torch", (*told, True)),
            }
            best = best_of(options.rounds, "benchmarks.unet_training", calls)
            peer = max(best["first"]["step"], best["last"]["step"])
            table.rows.append(
                {
                    "base filters": base,
                    "tile [px]": size,
                    "ours, step [tiles/s]": best["ours"]["step"],
                    "ours, with tiles": best["ours"]["with tiles"],
                    "PyTorch, channels first": best["first"]["step"],
                    "PyTorch, channels last": best["last"]["step"],
                    "ours, first [s]": -best["ours"]["first"],
                    "PyTorch, first [s]": -max(best["first"]["first"], best["last"]["first"]),
                }
            )
            for kind, name in (("step", "step"), ("with tiles", "with tiles cut meanwhile")):
                table.ratio(f"base {base}, tile {size}, {name}", best["ours"][kind] / peer, aim=1.0)
    return table


def more(parser: argparse.ArgumentParser) -> None:
    """Options of this benchmark."""
    parser.add_argument("--rounds", type=int, default=2, help="of which the best counts")
    parser.add_argument("--seconds", type=float, default=4, help="of steps, each")


if __name__ == "__main__":
    run(measure, str(__doc__), more)
