"""Pixels a second of training the per-pixel network, against PyTorch and scikit-learn.

    python -m benchmarks.ffnn_training [--data CATALOG] [--rounds 2]

The network of experiments/ffnn.yaml (4 x 100, ReLU, 8 features) on the training pixels of the catalog.
Which batch reaches a loss soonest is found first: for every batch size and rate, how many pixels training
takes until the loss of 65,536 pixels is within a twentieth of the lowest that any of them reaches. Then
each side trains at every batch size; its seconds to that loss are pixels / (pixels a second). A ratio
compares pixels a second at the batch by which ours is there soonest, or each side at its own. Ours is an
epoch as the product trains it: pixels are drawn from the scenes, their brightness is changed and their
features are computed while the network works. The peers index shuffled arrays in memory; scikit-learn has
Adam and no clipping, which is less work.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from benchmarks.processes import asked, best_of
from benchmarks.tables import Table, run

BATCHES = (1024, 4096, 16_384, 65_536)
RATES = (0.001, 0.003, 0.01)
SOUGHT = 2**20  # pixels that a search for the soonest loss trains on at most
JUDGED, BETWEEN = 65_536, 65_536  # pixels whose loss is told, pixels between two looks at it
EPOCH = 2**18  # pixels of a timed epoch
NEAR = 1.05  # of the lowest loss


@cache
def samples_of(catalog: str | None, batch: int) -> Any:
    """The product's samples, in batches of so many pixels."""
    from glacier_ml.learning.samples import collect_samples
    from glacier_ml.studies.data import load_training_data
    from glacier_ml.studies.experiment import read_experiment

    experiment = read_experiment("experiments/ffnn.yaml")
    changed = {"batch_pixels": batch, "epoch_pixels": EPOCH, "schedule": "fixed"}
    chosen = experiment.baseline.model_copy(update=changed)
    data = load_training_data(catalog, experiment.split_rule)
    return collect_samples(data.scenes, data.split, chosen, seed=0), data


def step_of(samples: Any, data: Any, rate: float) -> Any:
    """A network and its training step."""
    from glacier_ml.learning.backend import start_tensorflow
    from glacier_ml.learning.networks import build_network
    from glacier_ml.learning.samples import feature_statistics
    from glacier_ml.learning.training import TrainingStep

    start_tensorflow()
    import keras

    keras.utils.set_random_seed(0)
    chosen = samples.parameters.model_copy(update={"learning_rate": rate})
    statistics = feature_statistics(data.scenes, data.split, chosen.features)
    return TrainingStep(build_network(chosen, statistics.mean, statistics.variance), chosen, samples.steps)


def losses(catalog: str | None, batch: int) -> dict[str, list[float]]:
    """Loss of the judged pixels after each stretch of training, by rate."""
    from glacier_ml.learning.training import _train_epoch

    samples, data = samples_of(catalog, batch)
    judged = samples_of(catalog, JUDGED)[0].batch(10**6, 0)  # an epoch that no training comes to
    object.__setattr__(samples, "parameters", samples.parameters.model_copy(update={"epoch_pixels": BETWEEN}))
    found = {}
    for rate in RATES:
        step = step_of(samples, data, rate)
        curve = []
        for epoch in range(SOUGHT // BETWEEN):
            _train_epoch(step, samples, epoch, pieces=1)
            curve.append(entropy(step.network, *judged))
        found[str(rate)] = curve
    return found


def entropy(network: Any, features: np.ndarray, target: np.ndarray) -> float:
    """Mean cross-entropy of pixels."""
    logit = np.asarray(network(features, training=False))[:, 0].astype(np.float64)
    return float(np.mean(np.logaddexp(0, logit) - target[:, 0] * logit))


def ours(catalog: str | None, batch: int) -> dict[str, float]:
    """Pixels a second of the product's epochs."""
    from glacier_ml.learning.training import _train_epoch

    samples, data = samples_of(catalog, batch)
    step = step_of(samples, data, 1e-3)
    epochs = iter(range(1000))
    return timed(lambda: _train_epoch(step, samples, next(epochs), pieces=1))


def torch(catalog: str | None, batch: int) -> dict[str, float]:
    """Pixels a second of PyTorch."""
    import torch

    from benchmarks.torch_networks import TrainingStep, ffnn

    features, target = (torch.from_numpy(part) for part in samples_of(catalog, EPOCH)[0].batch(0, 0))
    torch.manual_seed(0)
    step = TrainingStep(ffnn(features.shape[1], nodes=100, hidden_layers=4), 1e-3)

    def epoch() -> None:
        for chosen in torch.randperm(EPOCH).split(batch):
            label, weight = target[chosen].unbind(1)
            step(features[chosen], label, weight)

    return timed(epoch)


def sklearn(catalog: str | None, batch: int) -> dict[str, float]:
    """Pixels a second of scikit-learn's network, which shuffles by itself."""
    import warnings

    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier

    features, target = samples_of(catalog, EPOCH)[0].batch(0, 0)
    network = MLPClassifier((100,) * 4, batch_size=batch, max_iter=1, warm_start=True, random_state=0)
    warnings.simplefilter("ignore", ConvergenceWarning)  # an epoch at a time never converges
    return timed(lambda: network.fit(features, target[:, 0].astype(int)))


def timed(epoch: Callable[[], Any]) -> dict[str, float]:
    """Pixels a second of the best of three epochs, after one that warms up."""
    seconds = []
    for _ in range(4):
        begun = time.perf_counter()
        epoch()
        seconds.append(time.perf_counter() - begun)
    return {"pixels": EPOCH / min(seconds[1:])}


def pixels_needed(curves: dict[int, dict[str, list[float]]]) -> dict[int, float]:
    """Pixels until the loss is near the lowest of all, by batch size, at its best rate; infinite if never.

    >>> pixels_needed({1024: {"0.1": [0.4, 0.2]}, 4096: {"0.1": [0.5, 0.3], "0.2": [0.9, 0.21]}})
    {1024: 131072, 4096: 131072}
    >>> pixels_needed({1024: {"0.1": [0.2, 0.1]}, 4096: {"0.1": [0.5, 0.4]}})
    {1024: 131072, 4096: inf}
    """
    lowest = min(loss for by_rate in curves.values() for curve in by_rate.values() for loss in curve)
    needed: dict[int, float] = {}
    for batch, by_rate in curves.items():
        looks = [
            look for curve in by_rate.values() for look, loss in enumerate(curve, 1) if loss <= NEAR * lowest
        ]
        needed[batch] = min(looks, default=float("inf")) * BETWEEN
    return needed


def measure(options: argparse.Namespace) -> Table:
    """Find the soonest batch, then compare."""
    module, table = "benchmarks.ffnn_training", Table()
    needed = pixels_needed({batch: asked(module, "losses", options.data, batch)[0] for batch in BATCHES})
    sides = ("ours", "torch", "sklearn")
    speed: dict[str, dict[int, float]] = {side: {} for side in sides}
    for batch in BATCHES:
        calls = {side: (side, (options.data, batch)) for side in sides}
        for side, found in best_of(options.rounds, module, calls).items():
            speed[side][batch] = found["pixels"]
        told = {f"{side} [Mpx/s]": speed[side][batch] / 1e6 for side in sides}
        seconds = {f"{side}, s to the loss": needed[batch] / speed[side][batch] for side in sides}
        table.rows.append({"batch [px]": batch, "px to the loss": needed[batch], **told, **seconds})
    soonest = {side: min(BATCHES, key=lambda batch: needed[batch] / speed[side][batch]) for side in sides}  # noqa: B023
    for side in sides[1:]:
        same = speed["ours"][soonest["ours"]] / speed[side][soonest["ours"]]
        own = speed["ours"][soonest["ours"]] / speed[side][soonest[side]]
        table.ratio(f"pixels a second, both at our soonest batch, {side}", same, aim=1.5)
        table.ratio(f"pixels a second, each at its own soonest batch, {side}", own, aim=1.5)
    batches = ", ".join(f"{side} {batch}" for side, batch in soonest.items())
    table.notes.append(f"soonest batches [px]: {batches}")
    return table


def more(parser: argparse.ArgumentParser) -> None:
    """Options of this benchmark."""
    parser.add_argument("--rounds", type=int, default=2, help="of which the best counts")


if __name__ == "__main__":
    run(measure, str(__doc__), more)
