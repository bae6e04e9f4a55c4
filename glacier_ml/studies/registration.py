"""From a study's best parameters to a registered model: refit, calibrate, choose, describe, register."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from glacier_ml.errors import GlacierError
from glacier_ml.evaluation.bootstrap import iou_interval
from glacier_ml.evaluation.yardstick import block_counts, measure
from glacier_ml.learning.calibration import calibrate
from glacier_ml.learning.classifier import NetworkClassifier
from glacier_ml.learning.parameters import AnyParameters
from glacier_ml.learning.training import TrainingFailed
from glacier_ml.studies import tracking
from glacier_ml.studies.data import TrainingData
from glacier_ml.studies.experiment import Experiment
from glacier_ml.studies.model_card import Candidate, model_card, model_name, model_summary
from glacier_ml.studies.progress import tell_epochs
from glacier_ml.studies.searching import memory_limit
from glacier_ml.studies.trial import run_trial
from glacier_ml.studies.tuning import StudyResult


def prepare_candidate(
    classifier: NetworkClassifier,
    data: TrainingData,
    run_id: str,
    source: str,
    initial: NetworkClassifier | None = None,
    seed: int | None = None,
) -> Candidate:
    """Fit threshold and temperature on one half of the validation blocks, score on the other.

    The classifier's origin then names the splits of all data that it or the model it continues trained on,
    and the seed of its training where that is told.
    """
    calibrated = calibrate(classifier, data.scenes, data.split)
    metrics = measure(calibrated, data.scenes, data.split.scoring, "score/")
    counts = block_counts(calibrated, data.scenes, data.split.scoring, threshold=calibrated.threshold)
    interval = iou_interval([np.asarray(one["counts"]) for one in counts["scenes"].values()])
    splits = [data.split.describe()] + (initial.origin["splits"] if initial else [])
    told = {"splits": splits, "metrics": metrics, "run_id": run_id, "source": source}
    origin = {**data.origin, **calibrated.origin, **told} | ({} if seed is None else {"seed": seed})
    return Candidate(replace(calibrated, origin=origin), metrics, run_id, source, interval)


def refit(experiment: Experiment, data: TrainingData, result: StudyResult, seed: int) -> Candidate | None:
    """Train the best parameters with the full budget, as a nested run; None where that fails."""
    parameters = result.best.model_copy(update={"epochs": experiment.final_epochs})
    with tracking.start_run("refit", "refit", parent=tracking.active_run_id()) as run_id:
        try:
            limit = memory_limit(experiment.memory_limit)
            fitted = run_trial(
                parameters, data, seed=seed, memory_limit=limit, on_epoch=tell_epochs(parameters.epochs)
            )
        except TrainingFailed as error:
            tracking.set_tags({"state": "failed", "reason": str(error)})
            return None
        tracking.set_tags({"state": "complete"})
        candidate = prepare_candidate(fitted.classifier, data, run_id, "refit", None, seed)
        tracking.log_metrics(candidate.metrics)
    return candidate


def register_best(experiment: Experiment, data: TrainingData, result: StudyResult, seed: int) -> str:
    """Refit a study's best parameters and register the better of refit and trial as challenger.

    A resumed study whose best trial is still the one that was registered is left as it is.

    Returns
    -------
    str
        Version in the registry.
    """
    known = tracking.run_exists(result.run_id)
    if known and (version := tracking.run_tags(result.run_id).get("registered_version")):
        return version
    trial = tracking.run_classifier(result.run_id) if known else None
    candidates = [refit(experiment, data, result, seed)]
    if trial is not None:
        source = f"trial {result.number}"
        candidates.append(prepare_candidate(trial, data, result.run_id, source, None, seed))
    best = max((one for one in candidates if one is not None), key=lambda one: one.iou)
    version = register(best, experiment.network, data)
    if known:
        tracking.tag_run(result.run_id, {"registered_version": version})
    return version


def check_registrable(parameters: AnyParameters, place: str) -> None:
    """Refuse the report's recipe: its networks were tested on what they trained on, and are never registered.

    Raises
    ------
    GlacierError
        Naming `place`.
    """
    if parameters.recipe == "report":
        raise GlacierError(
            f"{place}: recipe: report is there to compare with and is never registered; use recipe: sound"
        )


def register(candidate: Candidate, network: str, data: TrainingData) -> str:
    """Register a candidate as challenger; gives its version. Raises as `check_registrable`."""
    check_registrable(candidate.classifier.parameters, model_name(network))
    name = model_name(network)
    bands = " ".join(candidate.classifier.bands)
    about = {"task": "glacier segmentation", "network": network, "bands": bands}
    tracking.describe_model(name, model_summary(network), about)
    page = f"{tracking.runs_page(tracking.active_run_id())}/{candidate.run_id}"
    with tempfile.TemporaryDirectory() as folder:
        candidate.classifier.save(Path(folder) / "classifier")
        return tracking.register_model(
            Path(folder) / "classifier",
            name,
            metrics=candidate.metrics,
            tags={
                "dataset": data.digest[:12],
                "split": data.split.digest[:12],
                "source": candidate.source,
                "run": candidate.run_id,
                "iou": candidate.told_iou,
            },
            describe=lambda version: model_card(candidate, network, data, version, page),
        )
