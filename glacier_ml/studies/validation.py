"""Cross-validation: fixed parameters trained on each fold, scored on the part left out, beside baselines."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import astuple
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from glacier_ml.evaluation.metrics import confusion
from glacier_ml.evaluation.scores import area_scores, pixel_scores
from glacier_ml.evaluation.spread.figure import draw_points
from glacier_ml.evaluation.spread.places import WITHIN, group_scores, leaky_gaps, spread
from glacier_ml.evaluation.spread.text import summary
from glacier_ml.evaluation.subsets import ground_subsets
from glacier_ml.learning.baselines import fit_baselines
from glacier_ml.learning.calibration import calibrate
from glacier_ml.learning.classifier import Classifier
from glacier_ml.learning.parameters import AnyParameters
from glacier_ml.learning.splits import Mask
from glacier_ml.products.areas import area_km2
from glacier_ml.products.maps import staged
from glacier_ml.scenes.catalog import LabelledScene, dataset_digest
from glacier_ml.studies import tracking
from glacier_ml.studies.experiment import Experiment
from glacier_ml.studies.folds import Fold
from glacier_ml.studies.progress import FoldProgress, show_folds
from glacier_ml.studies.searching import memory_limit
from glacier_ml.studies.tracking.environment import package_version
from glacier_ml.studies.trial import run_trial

if TYPE_CHECKING:
    import pandas as pd

SCORES = ("iou", "f1", "accuracy", "precision", "recall", "kappa", "area_error_km2", "area_error_percent")
COLUMNS = (
    *("protocol", "fold", "trained", "seed", "scene", "place", "subset", "kind", "classifier"),
    *SCORES,
    *("threshold", "pixels"),
)
_SCORES_FILE = "scores.json"
Rows = list[dict[str, Any]]


def cross_validate(experiments: Sequence[Experiment], folds: Sequence[Fold], seeds: int) -> pd.DataFrame:
    """Train the experiments' fixed parameters on each fold and score the part left out, beside baselines.

    Nothing is chosen from the result and nothing of it is registered. Inside the active run every training
    is a nested run of kind 'fold'; one that an earlier call has finished on the same data, by the same
    parameters and seed, is not trained again. Baselines are fitted once a fold, to its training pixels.

    Parameters
    ----------
    experiments : sequence of Experiment
        Of one split rule, with unlike names: the classifiers' names in the table.
    folds : sequence of Fold
        As `load_folds` gives them.
    seeds : int
        Networks are trained with the seeds 0 to `seeds` - 1.

    Returns
    -------
    pandas.DataFrame
        A row a fold, seed, scene, subset and classifier, with `COLUMNS`: subset 'all' and, where known, the
        classes of `ground_subsets`; `seed` of baselines is 0.
    """
    import pandas as pd

    rows: Rows = []
    epochs = len(folds) * seeds * sum(experiment.final_epochs for experiment in experiments)
    with show_folds(epochs) as progress:
        for fold in folds:
            for experiment in experiments:
                for seed in range(seeds):
                    rows += _fold_scores(experiment, fold, seed, progress)
            rows += _baseline_scores(fold)
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(dict.fromkeys(SCORES, float))


def _fold_scores(experiment: Experiment, fold: Fold, seed: int, progress: FoldProgress) -> Rows:
    """Rows of one training: read back where it was finished before, else trained."""
    parameters = experiment.baseline.model_copy(update={"epochs": experiment.final_epochs})
    key = fold_key(parameters, fold, seed)
    name = f"{experiment.name}-{fold.protocol}-{fold.name}-{seed}"
    progress.begin(name, parameters.epochs)
    found = tracking.finished_run({"kind": "fold", "fold_key": key})
    if found:
        rows = tracking.logged_dict(found, _SCORES_FILE)["rows"]
        progress.say(f"{name}: finished before as run {found}; not trained again")
    else:
        tags = {"fold_key": key, "protocol": fold.protocol, "fold": fold.name, "trained": fold.trained}
        with tracking.start_run(name, "fold", parent=tracking.active_run_id(), tags=tags):
            limit = memory_limit(experiment.memory_limit)
            fitted = run_trial(
                parameters, fold.data, seed=seed, memory_limit=limit, on_epoch=progress.on_epoch
            )
            rows = score_fold(fold, calibrate(fitted.classifier, fold.data.scenes, fold.data.split))
            whole = [row for row in rows if row["subset"] == "all" and row["iou"] is not None]
            tracking.log_metrics({f"test/iou_{row['scene']}": row["iou"] for row in whole})
            tracking.log_dict({"rows": rows}, _SCORES_FILE)  # last: without it a fold is not finished
    progress.finish()
    return [{**row, "seed": seed, "kind": "network", "classifier": experiment.name} for row in rows]


def fold_key(parameters: AnyParameters, fold: Fold, seed: int) -> str:
    """Digest of all that shapes a fold's scores: equal keys are the same training and the same pixels."""
    content = {
        "parameters": parameters.model_dump(mode="json"),
        "seed": seed,
        "fold": [fold.protocol, fold.name],
        "trained": [fold.data.digest, fold.data.split.digest],
        "held": dataset_digest(fold.held),
        "columns": COLUMNS,
        "version": package_version("glacier_ml"),
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _baseline_scores(fold: Fold) -> Rows:
    rows = []
    for baseline in fit_baselines(list(fold.data.scenes), fold.data.split, seed=0):
        told = {"seed": 0, "kind": "baseline", "classifier": baseline.name}
        rows += [{**row, **told} for row in score_fold(fold, baseline)]
    return rows


def score_fold(fold: Fold, classifier: Classifier) -> Rows:
    """Score the part of a fold that was left out, at the threshold that the classifier came with.

    Returns
    -------
    list of dict
        Plain values by `COLUMNS`, less seed, kind and classifier; None where a score is undefined.
    """
    rows = []
    for labelled in fold.held:
        told: dict[str, Any] = {"protocol": fold.protocol, "fold": fold.name, "trained": fold.trained}
        told |= {"scene": labelled.entry.name, "place": labelled.entry.place}
        told |= {"threshold": float(classifier.threshold)}
        rows += [{**told, **scored} for scored in _scene_scores(labelled, classifier, fold.scored(labelled))]
    return rows


def _scene_scores(labelled: LabelledScene, classifier: Classifier, pixels: Mask) -> Rows:
    """Scores of the chosen pixels, and of each ground class among them."""
    probability = classifier.probability(labelled.scene, pixels)
    mapped = np.nan_to_num(probability, nan=-1.0) >= classifier.threshold
    pixel_km2 = area_km2(pixels, labelled.scene.grid) / max(1, int(pixels.sum()))
    rows = []
    for subset, part in {"all": pixels, **ground_subsets(labelled)}.items():
        counts = np.array(astuple(confusion(labelled.truth, mapped, part & pixels)))
        values = pixel_scores(counts) | area_scores(counts, pixel_km2)
        plain = {name: _plain(float(values[name])) for name in SCORES}
        rows.append({"subset": subset, "pixels": int(counts.sum()), **plain})
    return rows


def _plain(value: float) -> float | None:
    return None if math.isnan(value) else value


def mean_scores(table: pd.DataFrame) -> dict[str, float]:
    """IoU and its leaky gap as metrics: `place/unet/iou`, `place/unet/gap`; mean over groups."""
    points = group_scores(table)
    named = {
        f"{row.protocol}/{row.classifier}/iou": row.mean
        for row in spread(points).itertuples(name="Spread")
        if not math.isnan(row.mean)
    }
    for protocol in set(table.protocol) - set(WITHIN):
        gaps = leaky_gaps(points, protocol)
        named |= {f"{protocol}/{row.classifier}/gap": row.gap for row in gaps.itertuples()}
    return named


def write_scores(table: pd.DataFrame, output: str | Path) -> list[str]:
    """Write folds.csv, summary.txt and points.png to a folder, all or none; gives the files' names."""
    with staged(Path(output)) as partial:
        table.to_csv(partial / "folds.csv", index=False)
        (partial / "summary.txt").write_text(summary(table))
        draw_points(table).savefig(partial / "points.png", dpi=150)
        return sorted(file.name for file in partial.iterdir())
