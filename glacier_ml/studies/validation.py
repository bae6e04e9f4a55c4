"""Cross-validation: folds by place, region or scene, or at random, with parameters fixed beforehand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from glacier_ml.errors import GlacierError
from glacier_ml.evaluation.metrics import Confusion
from glacier_ml.evaluation.yardstick import calibrate, score
from glacier_ml.learning.samples import check_samples
from glacier_ml.learning.splits import Protocol, check_protocol, make_split
from glacier_ml.scenes.catalog import Catalog, LabelledScene, dataset_digest, open_catalog
from glacier_ml.studies import tracking
from glacier_ml.studies.data import TrainingData, load_scenes
from glacier_ml.studies.experiment import Experiment
from glacier_ml.studies.progress import tell_epochs
from glacier_ml.studies.trial import run_trial
from glacier_ml.studies.tuning import memory_limit

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Fold:
    """Scenes to train on and scenes to score; at random both are the same scenes, by other pixels."""

    name: str
    data: TrainingData
    held: tuple[LabelledScene, ...]


def load_folds(experiment: Experiment, data: str | None, protocol: str) -> list[Fold]:
    """Load the labelled scenes, those of role test included, and make the protocol's folds of them.

    Raises
    ------
    GlacierError
        Where the protocol is unknown, its folds cannot be made or cannot serve the experiment's parameters.
    """
    check_protocol(protocol)
    catalog = open_catalog(data)
    folds = list(make_folds(experiment, catalog, load_scenes(catalog, "train", "test"), protocol))
    for fold in folds:
        check_samples(fold.data.scenes, experiment.baseline)
    return folds


def cross_validate(experiment: Experiment, folds: Sequence[Fold], seeds: int) -> pd.DataFrame:
    """Train the experiment's fixed parameters on each fold and score the part left out.

    Nothing is chosen from the result and nothing of it is registered.

    Returns
    -------
    pandas.DataFrame
        A row a fold, seed and scene: fold, seed, scene, iou, accuracy, precision, recall, f1, threshold.
    """
    import pandas as pd

    parameters = experiment.baseline.model_copy(update={"epochs": experiment.final_epochs})
    rows: list[dict[str, Any]] = []
    for fold in folds:
        for seed in range(seeds):
            name = f"fold-{fold.name}-{seed}"
            with tracking.start_run(name, "fold", parent=tracking.active_run_id()):
                limit = memory_limit(experiment.memory_limit)
                fitted = run_trial(
                    parameters,
                    fold.data,
                    seed=seed,
                    memory_limit=limit,
                    on_epoch=tell_epochs(parameters.epochs),
                )
                scored = score_fold(fold, fitted.classifier)
                tracking.log_metrics({f"test/iou_{row['scene']}": row["iou"] for row in scored})
            rows += [{"fold": fold.name, "seed": seed, **row} for row in scored]
    return pd.DataFrame(rows)


def make_folds(
    experiment: Experiment, catalog: Catalog, scenes: Sequence[LabelledScene], protocol: str
) -> Iterator[Fold]:
    """Make one fold for each place, region or scene; 'random' and 'block' make a single one.

    Raises
    ------
    GlacierError
        Where there are fewer than two places, regions or scenes.
    """
    if protocol in ("random", "block"):
        rule = replace(experiment.split_rule, protocol=cast(Protocol, protocol), held=())
        yield Fold(protocol, _training_data(catalog, scenes, rule), tuple(scenes))
        return
    groups = sorted({getattr(scene.entry, "name" if protocol == "scene" else protocol) for scene in scenes})
    if len(groups) < 2:
        raise GlacierError(
            f"protocol: leaving out a {protocol} needs two of them; the labelled scenes of {catalog.source} "
            f"have {', '.join(groups) or 'none'}"
        )
    for group in groups:
        attribute = "name" if protocol == "scene" else protocol
        held = tuple(scene for scene in scenes if getattr(scene.entry, attribute) == group)
        others = [scene for scene in scenes if scene not in held]
        yield Fold(group, _training_data(catalog, others, experiment.split_rule), held)


def _training_data(catalog: Catalog, scenes: Sequence[LabelledScene], rule: Any) -> TrainingData:
    return TrainingData(catalog, tuple(scenes), make_split(scenes, rule), dataset_digest(scenes))


def score_fold(fold: Fold, classifier: Any) -> list[dict[str, Any]]:
    """Score the part of a fold that was left out, at the threshold fitted inside the training part."""
    calibrated = calibrate(classifier, fold.data.scenes, fold.data.split)
    rows = []
    for scene in fold.held:
        inside = fold.data.split.scenes.get(scene.scene.name)
        pixels = inside.scoring if inside is not None else scene.scene.valid
        counts, _ = score(calibrated, scene, pixels)
        rows.append({"scene": scene.entry.name, **_scores(counts), "threshold": calibrated.threshold})
    return rows


def _scores(counts: Confusion) -> dict[str, float]:
    return {name: getattr(counts, name) for name in ("iou", "accuracy", "precision", "recall", "f1")}
