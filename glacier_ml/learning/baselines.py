"""What a glaciologist would use instead of a network: NDSI, a band ratio, gradient boosting.

All answer `probability(scene)` as networks do. Those of the two threshold rules are scores between 0 and
1, ordered as the rule orders pixels but not calibrated; `score >= threshold` is exactly the rule's mask.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from glacier_ml.learning.calibration import best_threshold, iou_by_threshold
from glacier_ml.learning.features import compute_features, feature_set, normalised_difference
from glacier_ml.scenes.scene import Scene

if TYPE_CHECKING:
    from glacier_ml.learning.classifier import Classifier
    from glacier_ml.learning.splits import Split
    from glacier_ml.scenes.catalog import LabelledScene

NDSI_THRESHOLDS = np.round(np.arange(0.0, 0.91, 0.02), 2)
NIR_THRESHOLDS = (0.0, 0.05, 0.08, 0.11, 0.15, 0.2)
RATIO_THRESHOLDS = np.round(np.arange(1.0, 8.01, 0.1), 1)
BLUE_THRESHOLDS = (0.0, 0.05, 0.08, 0.11, 0.14, 0.17, 0.2, 0.25)
"""Candidates that the rules are tuned over (typical values, chosen here)."""

BOOSTING_PIXELS = 400_000
_BLOCK_PIXELS = 262_144  # bounds the memory of features and trees


@dataclass(frozen=True)
class NdsiClassifier:
    """Normalised difference snow index above a threshold, where near infrared is not as dark as water.

    The score is (1 + NDSI) / 2, and 0 where NIR is at or below its threshold; NDSI = (green - swir1) /
    (green + swir1), Hall et al. (2001).

    Attributes
    ----------
    ndsi : float
        Glacier from this NDSI on. 0.4 and a NIR of 0.11 are the usual rule for snow.
    nir : float
        Glacier above this NIR reflectance.

    Examples
    --------
    >>> NdsiClassifier().threshold
    0.7
    """

    ndsi: float = 0.4
    nir: float = 0.11
    name: str = "NDSI"
    bands: tuple[str, ...] = ("green", "nir", "swir1")

    @property
    def threshold(self) -> float:
        """The NDSI threshold on the scale of the score."""
        return round((1 + self.ndsi) / 2, 6)

    def probability(self, scene: Scene, wanted: NDArray[np.bool_] | None = None) -> NDArray[np.float32]:
        """Score every valid (and wanted) pixel: float32 (rows, columns), NaN elsewhere."""
        green, nir, swir1 = np.moveaxis(scene.stack(self.bands), -1, 0)
        score = (1 + normalised_difference(green, swir1)) / 2
        return _masked(np.where(nir > self.nir, score, 0), scene, wanted)


@dataclass(frozen=True)
class BandRatioClassifier:
    """Red / SWIR1 above a threshold where blue is bright enough, cleaned by a 3 x 3 median.

    The score is the median of red / (red + swir1), a ratio's monotone twin between 0 and 1, with 0 where
    blue is too dark. Thresholding that median gives the same mask as the median of the thresholded ratio.
    Neighbours without data count as not glacier.

    Attributes
    ----------
    ratio : float
        Glacier from this red / SWIR1 on; 1.8 to 2 is usual.
    blue : float
        Glacier above this blue reflectance: takes out ratios of shadow.
    """

    ratio: float = 2.0
    blue: float = 0.05
    name: str = "band ratio"
    bands: tuple[str, ...] = ("blue", "red", "swir1")

    @property
    def threshold(self) -> float:
        """The ratio threshold on the scale of the score."""
        return round(self.ratio / (1 + self.ratio), 6)

    def probability(self, scene: Scene, wanted: NDArray[np.bool_] | None = None) -> NDArray[np.float32]:
        """Score every valid (and wanted) pixel: float32 (rows, columns), NaN elsewhere."""
        from scipy.ndimage import median_filter

        blue, red, swir1 = np.moveaxis(scene.stack(self.bands), -1, 0)
        score = (1 + normalised_difference(red, swir1)) / 2
        bright = np.where((blue > self.blue) & scene.valid, score, np.float32(0))
        return _masked(median_filter(bright, size=3, mode="nearest"), scene, wanted)


@dataclass(frozen=True)
class GradientBoostingBaseline:
    """Gradient-boosted trees of scikit-learn on the features of single pixels.

    Attributes
    ----------
    model : sklearn.ensemble.HistGradientBoostingClassifier
        Fitted trees.
    threshold : float
        Glacier at or above this probability.
    features : str
        Name of the feature set.
    """

    model: Any
    threshold: float = 0.5
    features: str = "spectral"
    name: str = "gradient boosting"

    @property
    def bands(self) -> tuple[str, ...]:
        """Bands of the feature set."""
        return feature_set(self.features).bands

    def probability(self, scene: Scene, wanted: NDArray[np.bool_] | None = None) -> NDArray[np.float32]:
        """Map every valid (and wanted) pixel: float32 (rows, columns) probability, NaN elsewhere."""
        mapped = np.full(scene.shape, np.nan, dtype=np.float32)
        pixels = np.flatnonzero(scene.valid if wanted is None else scene.valid & wanted)
        stack = scene.stack(self.bands).reshape(-1, len(self.bands))
        with _threads_for(len(pixels)):
            for start in range(0, len(pixels), _BLOCK_PIXELS):
                block = pixels[start : start + _BLOCK_PIXELS]
                values = compute_features(stack[block], self.bands, feature_set(self.features))
                mapped.flat[block] = self.model.predict_proba(values)[:, 1]
        return mapped


def _threads_for(pixels: int) -> Any:
    """Limit few pixels to one thread."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    # Threads that wait for each other cost more than they save there, on a busy machine minutes.

    return threadpool_limits(limits=1 if pixels < _BLOCK_PIXELS // 4 else None)


def _masked(
    score: NDArray[np.floating], scene: Scene, wanted: NDArray[np.bool_] | None
) -> NDArray[np.float32]:
    shown = scene.valid if wanted is None else scene.valid & wanted
    return np.where(shown, score, np.nan).astype(np.float32)


def tune_ndsi(scenes: Sequence[LabelledScene], split: Split) -> NdsiClassifier:
    """Choose NDSI and NIR thresholds with the best mean IoU over the scenes' training pixels."""
    rules = [NdsiClassifier(nir=nir, name="NDSI tuned") for nir in NIR_THRESHOLDS]
    rule, score = _best_rule(rules, (1 + NDSI_THRESHOLDS) / 2, scenes, split)
    return replace(rule, ndsi=round(2 * score - 1, 6))


def tune_band_ratio(scenes: Sequence[LabelledScene], split: Split) -> BandRatioClassifier:
    """Choose ratio and blue thresholds with the best mean IoU over the scenes' training pixels."""
    rules = [BandRatioClassifier(blue=blue) for blue in BLUE_THRESHOLDS]
    rule, score = _best_rule(rules, RATIO_THRESHOLDS / (1 + RATIO_THRESHOLDS), scenes, split)
    return replace(rule, ratio=round(score / (1 - score), 6))


def _best_rule(
    rules: Sequence[Any], scores: NDArray[np.float64], scenes: Sequence[LabelledScene], split: Split
) -> tuple[Any, float]:
    """Find the rule and score threshold with the best mean IoU, the first of equals."""
    trained = [(one, pixels) for one in scenes if (pixels := _training_pixels(one, split)).any()]
    chosen, best, highest = rules[0], float(scores[0]), -1.0
    for rule in rules:
        ious = []
        for labelled, training in trained:
            probability = rule.probability(labelled.scene)
            ious.append(iou_by_threshold(probability[training], labelled.truth[training], scores))
        mean = np.nan_to_num(ious).mean(axis=0)
        if mean.max() > highest:
            chosen, best, highest = rule, float(scores[mean.argmax()]), float(mean.max())
    return chosen, best


def _training_pixels(labelled: LabelledScene, split: Split) -> NDArray[np.bool_]:
    return split.training(labelled.scene.name) & labelled.scene.valid


def fit_gradient_boosting(
    scenes: Sequence[LabelledScene], split: Split, seed: int, features: str = "spectral"
) -> GradientBoostingBaseline:
    """Fit trees to training pixels, as many from each scene; the threshold to the calibration pixels."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    random = np.random.default_rng(seed)
    wanted = feature_set(features)
    trained = [(one, pixels) for one in scenes if (pixels := _training_pixels(one, split)).any()]
    values, classes = [], []
    for labelled, training in trained:
        candidates = np.flatnonzero(training)
        share = min(len(candidates), BOOSTING_PIXELS // len(trained))
        drawn = np.sort(random.choice(candidates, share, replace=False))
        stack = labelled.scene.stack(wanted.bands).reshape(-1, len(wanted.bands))
        values.append(compute_features(stack[drawn], wanted.bands, wanted))
        classes.append(labelled.truth.ravel()[drawn])
    model = HistGradientBoostingClassifier(max_iter=150, random_state=seed)
    with _threads_for(sum(map(len, classes))):
        model.fit(np.concatenate(values), np.concatenate(classes))
    fitted = GradientBoostingBaseline(model, features=features)
    return replace(fitted, threshold=_calibrated_threshold(fitted, scenes, split))


def _calibrated_threshold(
    fitted: GradientBoostingBaseline, scenes: Sequence[LabelledScene], split: Split
) -> float:
    """Best threshold on the calibration pixels; 0.5 where the split has none."""
    probabilities, truths = [], []
    for labelled in scenes:
        pixels = split.calibration(labelled.scene.name) & labelled.scene.valid
        if pixels.any():
            probabilities.append(fitted.probability(labelled.scene, pixels)[pixels])
            truths.append(labelled.truth[pixels])
    return best_threshold(probabilities, truths) if probabilities else 0.5


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
        Draws the pixels of gradient boosting.
    cache : Path, optional
        Folder of fitted baselines; without it `baselines` in GLACIER_ML_CACHE or ~/.cache/glacier_ml.

    Returns
    -------
    list of Classifier
        NDSI by the usual rule, NDSI tuned, band ratio tuned, gradient boosting.
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
        ]
        _write(fitted, stored)
    return fitted


def _cache_folder() -> Path:
    return Path(os.environ.get("GLACIER_ML_CACHE") or Path.home() / ".cache" / "glacier_ml") / "baselines"


def _digest(scenes: Sequence[LabelledScene], split: Split, seed: int) -> str:
    """Digest of all that the fit depends on, this file and scikit-learn's version among it."""
    import sklearn

    state = hashlib.sha256(Path(__file__).read_bytes())
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
            joblib.dump(fitted, partial)
        os.replace(partial.name, stored)
    except OSError:
        return
