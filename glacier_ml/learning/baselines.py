"""What a glaciologist would use instead of a network: NDSI, a band ratio, boosted trees, a random forest.

All answer `probability(scene)` as networks do. They are fitted once for the same scenes, split and seed, and
read back from a cache afterwards; they are never pickled into a model.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from glacier_ml.learning.features import feature_set
from glacier_ml.learning.rules import NdsiClassifier, tune_band_ratio, tune_ndsi
from glacier_ml.learning.trees import fit_gradient_boosting, fit_random_forest

if TYPE_CHECKING:
    from glacier_ml.learning.classifier import Classifier
    from glacier_ml.learning.splits import Split
    from glacier_ml.scenes.catalog import LabelledScene

FITTED_BY = ("baselines", "rules", "trees", "calibration", "features")
"""Modules of this folder that a fit depends on: where one changes, baselines are fitted anew."""


def fit_baselines(
    scenes: Sequence[LabelledScene], split: Split, seed: int, cache: Path | None = None
) -> list[Classifier]:
    """Fit every baseline to the training scenes, or read them back where nothing has changed.

    Parameters
    ----------
    scenes : sequence of LabelledScene
        Training scenes, with masks.
    split : Split
        Which of their pixels are for training and which for thresholds.
    seed : int
        Draws the pixels that the trees are fitted to, and the forest's trees.
    cache : Path, optional
        Folder of fitted baselines; without it `baselines` in GLACIER_ML_CACHE or ~/.cache/glacier_ml.

    Returns
    -------
    list of Classifier
        NDSI by the usual rule, NDSI tuned, band ratio tuned, gradient boosting, random forest.
    """
    folder = _cache_folder() if cache is None else Path(cache)
    stored = folder / f"{_digest(scenes, split, seed)}.joblib"
    fitted = _read(stored)
    if fitted is None:
        fitted = [
            NdsiClassifier(),
            tune_ndsi(scenes, split),
            tune_band_ratio(scenes, split),
            fit_gradient_boosting(scenes, split, seed),
            fit_random_forest(scenes, split, seed),
        ]
        _write(fitted, stored)
    return fitted


def _cache_folder() -> Path:
    return Path(os.environ.get("GLACIER_ML_CACHE") or Path.home() / ".cache" / "glacier_ml") / "baselines"


def _digest(scenes: Sequence[LabelledScene], split: Split, seed: int) -> str:
    """Digest of all that the fit depends on, the code and scikit-learn's version among it."""
    import sklearn

    state = hashlib.sha256()
    for module in FITTED_BY:
        state.update(Path(__file__).with_name(f"{module}.py").read_bytes())
    state.update(f"{sklearn.__version__} {split.digest} {seed} {feature_set('spectral')}".encode())
    for labelled in scenes:
        state.update(f"{labelled.scene.name} {labelled.scene.digest}".encode())
        state.update(np.packbits([labelled.truth, labelled.scene.valid]).tobytes())
    return state.hexdigest()[:32]


def _read(stored: Path) -> list[Classifier] | None:
    import joblib

    if not stored.is_file():
        return None
    try:
        return joblib.load(stored)
    except Exception:  # a damaged pickle raises nearly anything, and a refit mends it
        return None


def _write(fitted: list[Classifier], stored: Path) -> None:
    """Keep the baselines; a folder that cannot be written costs the next run a refit, nothing more."""
    import joblib

    try:
        stored.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=stored.parent, delete=False) as partial:
            joblib.dump(fitted, partial, compress=3)
        os.replace(partial.name, stored)
    except OSError:
        return
