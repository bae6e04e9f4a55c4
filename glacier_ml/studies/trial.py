"""One set of parameters, trained and tracked: a trial, a refit, a fold, or a network trained on its own."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from glacier_ml.evaluation import trial_figures
from glacier_ml.evaluation.metrics import Confusion, confusion
from glacier_ml.evaluation.outcome_maps import outcome_map
from glacier_ml.evaluation.yardstick import KeptMaps, block_counts, measure
from glacier_ml.learning.classifier import NetworkClassifier
from glacier_ml.learning.parameters import AnyParameters
from glacier_ml.learning.recipe import ReportSamples
from glacier_ml.learning.training import Fitted, Metrics, best_of, fit
from glacier_ml.studies import tracking
from glacier_ml.studies.data import TrainingData, check_recipe
from glacier_ml.studies.processes import unbroken

DECADES = ("learning_rate", "penalty")  # parameters that are thought of and searched in powers of ten


def run_trial(
    parameters: AnyParameters,
    data: TrainingData,
    *,
    seed: int,
    memory_limit: float | None = None,
    on_epoch: Callable[[int, Metrics], None] | None = None,
    initial: NetworkClassifier | None = None,
    pictures: bool = True,
) -> Fitted:
    """Train inside the active run and log what there is to see of it.

    Logged are parameters and scenes first, and at the end - whatever it is - the metrics of every epoch; then
    the best epoch's, its counts by block (`validation_blocks.json`), with `pictures` curve, maps, confusion.
    """
    check_recipe(parameters, data)
    with unbroken():
        _log_inputs(parameters, data, seed)
    course = Course(parameters, data, on_epoch)
    try:
        options = {"seed": seed, "memory_limit": memory_limit, "on_epoch": course.note, "initial": initial}
        fitted = fit(parameters, data.scenes, data.split, course.validate, **options)  # type: ignore[arg-type]
    finally:
        with unbroken():
            tracking.log_epochs(course.history)
    with unbroken():
        maps = course.kept or KeptMaps(fitted.classifier)
        _log_outcome(fitted, data, maps)
        if pictures:
            log_pictures(fitted, data, maps)
    return fitted


class Course:
    """What a training comes to: metrics by epoch, and the maps of the epoch whose weights are kept."""

    def __init__(
        self, parameters: AnyParameters, data: TrainingData, on_epoch: Callable[[int, Metrics], None] | None
    ) -> None:
        self.parameters, self.data, self.on_epoch = parameters, data, on_epoch
        self.history: list[Metrics] = []
        self.kept: KeptMaps | None = None  # none in the report's recipe, which has test samples of its own
        self._last: KeptMaps | None = None

    def validate(self, classifier: NetworkClassifier) -> Metrics:
        """Measure the network as it stands after an epoch."""
        self._last = KeptMaps(classifier)
        return measure(self._last, self.data.scenes, self.data.split.validation)

    def note(self, epoch: int, metrics: Metrics) -> None:
        """Note an epoch, and keep its maps where `fit` keeps its weights."""
        self.history.append(metrics)
        if not self.parameters.keep_best or best_of(self.history, self.parameters.monitor) == epoch:
            self.kept = self._last
        if self.on_epoch:
            self.on_epoch(epoch, metrics)


def _log_inputs(parameters: AnyParameters, data: TrainingData, seed: int) -> None:
    tracking.log_params(flat_parameters(parameters) | {"seed": seed})
    tracking.log_scenes(data.scenes, "training", data.catalog.source, data.digest, each=False)
    tracking.log_dict(parameters.model_dump(), "parameters.json")


def validation_blocks(fitted: Fitted, data: TrainingData, maps: KeptMaps) -> dict[str, Any]:
    """Counts of the validation pixels by block, in the report's recipe of its test samples by tile.

    Returns
    -------
    dict
        side [px], threshold (.5), and scenes: name to block (numbers from 1) and counts (tp, fp, fn, tn).
    """
    if isinstance(fitted.samples, ReportSamples):
        return fitted.samples.block_counts(fitted.classifier.network_logit)
    return block_counts(maps, data.scenes, data.split.validation)


def _log_outcome(fitted: Fitted, data: TrainingData, maps: KeptMaps) -> None:
    best = {name.replace("val/", "best/"): value for name, value in fitted.best.items() if "val/" in name}
    batch = {"batch_pieces": fitted.pieces, "batch_used": fitted.batch_used}
    tracking.log_metrics(best | {"best/epoch": fitted.best_epoch + 1, **batch})
    tracking.log_dict(validation_blocks(fitted, data, maps), "validation_blocks.json")


def flat_parameters(parameters: AnyParameters) -> dict[str, Any]:
    """Parameters as short values for a table: lists joined, None left out, logarithms of what spans decades.

    MLflow's parallel coordinates have linear axes alone; `log10_learning_rate` is what to plot there.
    """
    values = parameters.model_dump(exclude_none=True)
    flat = {
        key: " ".join(map(str, value)) or "none" if isinstance(value, list) else value
        for key, value in values.items()
    }
    logarithms = {axis_of(key): round(math.log10(values[key]), 3) for key in DECADES if values[key] > 0}
    return flat | logarithms


def axis_of(parameter: str) -> str:
    """Name of the logged value that stands for a parameter in parallel coordinates.

    >>> axis_of("learning_rate"), axis_of("nodes")
    ('log10_learning_rate', 'nodes')
    """
    return f"log10_{parameter}" if parameter in DECADES else parameter


def log_pictures(fitted: Fitted, data: TrainingData, maps: KeptMaps) -> None:
    """Log the learning curve, each scene's validation maps, and the pooled confusion matrix.

    A scene's outcome map has the same key in every run, so that MLflow shows those of many side by side. The
    report mapped the images that it trained on: in its recipe the whole scene is shown.
    """
    report = data.recipe == "report"
    curves = {key: [metrics[key] for metrics in fitted.history] for key in fitted.history[0]}
    drawn = {"learning_curve.png": trial_figures.learning_curve(curves)}
    outcomes, pooled = {}, Confusion(0, 0, 0, 0)
    for scene in data.scenes:
        shown = scene.scene.valid if report else data.split.validation(scene.scene.name)
        if not shown.any():
            continue
        probability, threshold = maps.probability(scene.scene, shown), maps.threshold
        counts = confusion(scene.truth, probability >= threshold, shown)
        pooled += counts
        part = "IoU of its own training image" if report else "validation IoU"
        title = f"{scene.scene.name}: {part} {np.nan_to_num(counts.iou):.3f}"
        mapped = (scene.scene, scene.truth, probability, threshold, shown)
        drawn[f"validation/{scene.scene.name}.png"] = trial_figures.validation_panel(*mapped, title)
        outcomes[tracking.map_key(scene.scene.name)] = outcome_map(*mapped)
    drawn["confusion_matrix.png"] = trial_figures.confusion_matrix(pooled)
    for path, figure in drawn.items():
        tracking.log_figure(figure, path)
    tracking.log_images(outcomes)
