"""Train random points of the per-pixel network's search, shortly, as a table to replay searches on.

    python -m benchmarks.ffnn_points --data CATALOG [--points 80] [--repeats 15] [--table FILE]

trains on the training scenes of CATALOG alone and appends each point to FILE as soon as it has one, so that
a stopped call goes on. The first point is the experiment's baseline; the first `--repeats` points are
trained from a second seed, too, which tells chance in training. benchmarks/stop_rules.py reads the table.
It makes data for a decision, and compares nothing: no table of ratios.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glacier_ml.evaluation.yardstick import measure
from glacier_ml.learning.parameters import AnyParameters
from glacier_ml.learning.training import TrainingFailed, fit
from glacier_ml.studies.data import TrainingData, load_training_data
from glacier_ml.studies.experiment import Experiment, read_experiment

ROOT = Path(__file__).resolve().parent.parent
TABLE = ROOT / "benchmarks" / "ffnn_points.csv"
SHORT = {"epochs": 3, "epoch_pixels": 524_288}  # of the experiment's 8 and 1,048,576; the batches are its own


def drawn_points(experiment: Experiment, count: int) -> list[dict[str, Any]]:
    """Give the baseline's values, and after them random ones as the study would draw them."""
    import optuna

    from glacier_ml.studies.sampling import suggest

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    baseline = experiment.baseline.model_dump()
    points = [{name: baseline[name] for name in experiment.search}]
    return points + [suggest(study.ask(), experiment) for _ in range(count - 1)]


def score(parameters: AnyParameters, data: TrainingData, seed: int) -> float:
    """Train once; gives the best epoch's validation IoU, NaN where the training failed."""
    try:
        fitted = fit(
            parameters,
            data.scenes,
            data.split,
            lambda classifier: measure(classifier, data.scenes, data.split.validation),
            seed=seed,
        )
    except TrainingFailed as failure:
        print(failure)
        return float("nan")
    return fitted.best["val/iou"]


def known(table: Path) -> set[tuple[int, int]]:
    """Point and seed of each row that the table has."""
    if not table.exists():
        return set()
    with table.open() as file:
        return {(int(row["point"]), int(row["seed"])) for row in csv.DictReader(file)}


def read_points(table: Path = TABLE) -> tuple[list[dict[str, Any]], NDArray[np.float64], float]:
    """Read the points that trained, their IoU, and the standard deviation of one point over seeds."""
    import pandas as pd

    rows = pd.read_csv(table).dropna(subset=["iou"])
    first = rows[rows["seed"] == 0]
    pairs = rows.pivot(index="point", columns="seed", values="iou").dropna()
    spread = float(np.sqrt(((pairs[1] - pairs[0]) ** 2 / 2).mean())) if len(pairs.columns) > 1 else 0.0
    points = first.drop(columns=["point", "seed", "iou"]).to_dict("records")
    return points, first["iou"].to_numpy(), spread


class Surrogate:
    """IoU of any values of the search: a Gaussian process through the trained points.

    A stand-in where TPE asks for points that nobody trained.
    """

    def __init__(self, points: list[dict[str, Any]], iou: NDArray[np.float64], spread: float) -> None:
        from sklearn.gaussian_process import GaussianProcessRegressor
        from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

        kernel = ConstantKernel() * Matern(1.0, nu=1.5) + WhiteKernel(0.1)
        model = GaussianProcessRegressor(kernel, normalize_y=True, n_restarts_optimizer=3, random_state=0)
        self.model, self.spread = model.fit(_columns(points), iou), spread

    def iou(self, values: dict[str, Any]) -> float:
        """IoU without chance, whose standard deviation is `spread`."""
        return float(np.clip(self.model.predict(_columns([values]))[0], 0, 1))


def _columns(points: list[dict[str, Any]]) -> NDArray[np.float64]:
    """Points as columns of about 0 to 1: rates by their logarithm, activations one column each."""
    names = ("relu", "leaky_relu", "elu", "tanh")
    return np.array(
        [
            [
                np.log10(one["learning_rate"] / 1e-4) / 2.5,
                np.log10(one["penalty"] / 1e-10) / 8,
                (one["hidden_layers"] - 1) / 7,
                one["nodes"] / 140,
                np.log(one["tile_size"]) / np.log(64),
                *(float(one["activation"] == name) for name in names),
            ]
            for one in points
        ]
    )


def main() -> None:
    """Train what the table lacks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", required=True, help="catalog of real scenes")
    parser.add_argument("--points", type=int, default=80)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--table", type=Path, default=TABLE)
    chosen = parser.parse_args()
    experiment = read_experiment(ROOT / "experiments" / "ffnn.yaml", "ffnn")
    data = load_training_data(chosen.data, experiment.split_rule, experiment.extremes)
    points, done = drawn_points(experiment, chosen.points), known(chosen.table)
    wanted = [(point, 0) for point in range(len(points))] + [(point, 1) for point in range(chosen.repeats)]
    for point, seed in wanted:
        if (point, seed) in done:
            continue
        parameters = experiment.with_values(points[point] | SHORT)
        row = {"point": point, "seed": seed, **points[point], "iou": f"{score(parameters, data, seed):.6f}"}
        new = not chosen.table.exists()
        with chosen.table.open("a", newline="") as file:
            writer = csv.DictWriter(file, list(row), lineterminator="\n")
            if new:
                writer.writeheader()
            writer.writerow(row)
        print(row, flush=True)


if __name__ == "__main__":
    main()
