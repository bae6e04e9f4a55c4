"""Baselines of decision trees on single pixels: gradient boosting and a random forest (scikit-learn).

They see the features of the networks and the training pixels of the networks, one pixel at a time. Both are
calibrated as the networks are: temperature, then threshold, on the calibration pixels of the split.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from glacier_ml.errors import GlacierError
from glacier_ml.learning.calibration import apply_temperature, calibrate
from glacier_ml.learning.features import compute_features, feature_set
from glacier_ml.learning.splits import training_pixels
from glacier_ml.scenes.scene import Scene

if TYPE_CHECKING:
    from glacier_ml.learning.classifier import Disturbance
    from glacier_ml.learning.splits import Split
    from glacier_ml.scenes.catalog import LabelledScene

Array = NDArray[np.float32]

BOOSTING_PIXELS = 400_000
BOOSTING_ROUNDS = 150
FOREST_PIXELS = 200_000
FOREST_TREES = 100
FOREST_DEPTH = 20
FOREST_LEAF = 4
"""Sizes of the fits (typical values, chosen here). Deeper trees with smaller leaves map validation pixels no
better and take more memory; this forest is stored in about 20 MB."""

_BLOCK_PIXELS = 65_536  # bounds the memory of features and trees
_MOST_THREADS = 8


@dataclass(frozen=True)
class TreeClassifier:
    """Trees of scikit-learn on the features of single pixels.

    Attributes
    ----------
    name : str
        'gradient boosting' or 'random forest'.
    model : HistGradientBoostingClassifier or RandomForestClassifier
        Fitted trees.
    threshold : float
        Glacier at or above this probability.
    temperature : float
        Logits of the trees' probabilities are divided by it.
    features : str
        Name of the feature set.
    """

    name: str
    model: Any
    threshold: float = 0.5
    temperature: float = 1.0
    features: str = "spectral"

    @property
    def bands(self) -> tuple[str, ...]:
        """Bands of the feature set."""
        return feature_set(self.features).bands

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Features that the trees ask about, in the order of their input."""
        return feature_set(self.features).features

    def calibrated(self, threshold: float, temperature: float) -> TreeClassifier:
        """Give a copy with another threshold and temperature."""
        return replace(self, threshold=float(threshold), temperature=float(temperature))

    def probability(
        self, scene: Scene, wanted: NDArray[np.bool_] | None = None, disturb: Disturbance | None = None
    ) -> Array:
        """Map every valid (and wanted) pixel: float32 (rows, columns) probability, NaN elsewhere.

        `disturb` changes the features (rows, columns, features) before the trees see them.
        """
        mapped = np.full(scene.shape, np.nan, dtype=np.float32)
        pixels = np.flatnonzero(scene.valid if wanted is None else scene.valid & wanted)
        stack = scene.stack(self.bands)
        chosen = feature_set(self.features)
        disturbed = None if disturb is None else disturb(compute_features(stack, self.bands, chosen))

        def glacier(block: NDArray[np.intp]) -> Array:
            if disturbed is None:  # features of a whole scene are held only where they are asked for
                values = compute_features(stack.reshape(-1, len(self.bands))[block], self.bands, chosen)
            else:
                values = disturbed.reshape(-1, len(self.feature_names))[block]
            return apply_temperature(self.model.predict_proba(values)[:, 1], self.temperature)

        blocks = np.split(pixels, range(_BLOCK_PIXELS, len(pixels), _BLOCK_PIXELS)) if len(pixels) else []
        # Whole blocks side by side, not the trees of one: a sum over trees in no fixed order is not the same
        # twice. One native thread each: those that wait for each other cost minutes on a busy machine.
        with _native_threads(1), ThreadPoolExecutor(_threads()) as pool:
            for block, values in zip(blocks, pool.map(glacier, blocks), strict=True):
                mapped.flat[block] = values
        return mapped


def fit_gradient_boosting(
    scenes: Sequence[LabelledScene], split: Split, seed: int, features: str = "spectral"
) -> TreeClassifier:
    """Fit boosted trees to training pixels, as many from each scene; calibrate them on calibration pixels."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    values, classes = _draw(scenes, split, seed, features, BOOSTING_PIXELS)
    model = HistGradientBoostingClassifier(max_iter=BOOSTING_ROUNDS, random_state=seed)
    with _native_threads(1 if len(classes) < _BLOCK_PIXELS else None):
        model.fit(values, classes)
    return calibrate(TreeClassifier("gradient boosting", model, features=features), scenes, split)


def fit_random_forest(
    scenes: Sequence[LabelledScene], split: Split, seed: int, features: str = "spectral"
) -> TreeClassifier:
    """Fit a random forest to training pixels, as many from each scene; calibrate it on calibration pixels.

    Breiman (2001). Its votes are few different numbers, often exactly 0 or 1, which the temperature softens.
    """
    from sklearn.ensemble import RandomForestClassifier

    values, classes = _draw(scenes, split, seed, features, FOREST_PIXELS)
    model = RandomForestClassifier(
        FOREST_TREES,
        max_depth=FOREST_DEPTH,
        min_samples_leaf=FOREST_LEAF,
        n_jobs=_threads(),
        random_state=seed,
    )
    model.fit(values, classes)
    model.set_params(n_jobs=1)  # maps are made of blocks side by side, see `TreeClassifier.probability`
    return calibrate(TreeClassifier("random forest", model, features=features), scenes, split)


def _draw(
    scenes: Sequence[LabelledScene], split: Split, seed: int, features: str, most: int
) -> tuple[Array, NDArray[np.bool_]]:
    """Features (pixels, features) and classes of at most `most` training pixels, as many from each scene."""
    random = np.random.default_rng(seed)
    wanted = feature_set(features)
    trained = [(one, pixels) for one in scenes if (pixels := training_pixels(one, split)).any()]
    if not trained:
        raise GlacierError("baselines: no scene has a training pixel; split by another rule or add scenes")
    values, classes = [], []
    for labelled, training in trained:
        candidates = np.flatnonzero(training)
        share = min(len(candidates), most // len(trained))
        drawn = np.sort(random.choice(candidates, share, replace=False))
        stack = labelled.scene.stack(wanted.bands).reshape(-1, len(wanted.bands))
        values.append(compute_features(stack[drawn], wanted.bands, wanted))
        classes.append(labelled.truth.ravel()[drawn])
    return np.concatenate(values), np.concatenate(classes)


def _threads() -> int:
    from joblib import cpu_count  # those that this process may use

    return min(cpu_count(), _MOST_THREADS)


def _native_threads(limit: int | None) -> Any:
    """Limit the threads of OpenMP and BLAS within the block; None leaves them as they are."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    return threadpool_limits(limits=limit)
