"""Permutation importance: what a classifier's map loses when one of its features says nothing any more.

Breiman (2001) for trees; here for whole maps, so that a U-Net loses the feature's pattern in space, too.
Features that tell the same stand in for each other: NDSI and log(red / SWIR1) both say how dark SWIR1 is, and
losing one costs little while the other is there. A small loss does not say that a feature is useless. All
features made of one band are therefore also shuffled together, in one order ('all of swir1').
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from glacier_ml.errors import GlacierError
from glacier_ml.evaluation.metrics import confusion
from glacier_ml.evaluation.windows import typical_window
from glacier_ml.learning.classifier import Classifier, Disturbance
from glacier_ml.learning.features import FEATURES
from glacier_ml.learning.stitching import OVERLAP, WINDOW
from glacier_ml.scenes.scene import SATURATION, Scene

if TYPE_CHECKING:
    import pandas as pd

    from glacier_ml.scenes.catalog import LabelledScene

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]

WHOLE_PIXELS = 200_000
"""Scenes of more pixels are measured in one window (typical value, chosen here)."""

_COLUMNS = ["classifier", "scene", "feature", "repeat", "drop", "iou", "members"]
_STEP = WINDOW - OVERLAP
SIDE = 2 * _STEP - OVERLAP
"""Side of that window [px]: 320, to which exactly two by two windows of the stitched map contribute."""


class FeatureClassifier(Classifier, Protocol):
    """A classifier of features that can be disturbed: a network, boosted trees, a forest."""

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Features, in the order of the last axis."""

    def probability(
        self, scene: Scene, wanted: Mask | None = None, disturb: Disturbance | None = None
    ) -> Array:
        """Glacier probability (rows, columns), from features that `disturb` has changed."""


def feature_groups(names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """What is shuffled at a time: each feature, and all features together that are made of one band.

    Examples
    --------
    >>> feature_groups(["blue", "swir1", "ndsi"])
    {'blue': ('blue',), 'swir1': ('swir1',), 'ndsi': ('ndsi',), 'all of swir1': ('swir1', 'ndsi')}
    """
    groups: dict[str, tuple[str, ...]] = {name: (name,) for name in names}
    made_of = {name: {SATURATION.get(band, band) for band in FEATURES[name].bands} for name in names}
    for band in dict.fromkeys(band for name in names for band in sorted(made_of[name])):
        members = tuple(name for name in names if band in made_of[name])
        if members not in groups.values():
            groups[f"all of {band}"] = members
    return groups


def count_maps(classifiers: Sequence[FeatureClassifier], scenes: int, repeats: int = 3) -> int:
    """Maps that `permutation_importance` makes of so many scenes.

    One a classifier and scene as it is, one a repeat of each feature, and one of each group.
    """
    each = (feature_groups(one.feature_names).values() for one in classifiers)
    return sum(scenes * (1 + sum(_shuffles(members, repeats) for members in groups)) for groups in each)


def _shuffles(members: Sequence[str], repeats: int) -> int:
    """Shuffles of what is shuffled at a time: groups lose most, and chance in it is small beside that."""
    return repeats if len(members) == 1 else 1


def permutation_importance(
    classifiers: Sequence[FeatureClassifier],
    labelled: Sequence[LabelledScene],
    repeats: int = 3,
    seed: int = 0,
    tell: Callable[[], object] | None = None,
) -> pd.DataFrame:
    """IoU that a map loses when a feature's values change places among the scene's valid pixels.

    A small loss does not say that a feature is useless where another tells the same (NDSI, log red / SWIR1).

    Parameters
    ----------
    classifiers : sequence of NetworkClassifier or TreeClassifier
        Each at its own threshold.
    labelled : sequence of LabelledScene
        With masks. Features are shuffled over the whole scene; the loss is measured on `measured_pixels`.
    repeats, seed : int
        Shuffles of each feature, and the seed of their drawing; groups of features are shuffled once.
    tell : callable, optional
        Called after each of the `count_maps` maps.

    Returns
    -------
    pandas.DataFrame
        Columns classifier, scene, feature, repeat (from 0), drop, iou, members: `drop` is the undisturbed
        map's `iou` (on the measured pixels) minus the disturbed one's, NaN where undefined; `members` are
        shuffled together. GlacierError where there is no repeat, or a scene has no mask.
    """
    import pandas as pd

    if repeats < 1:
        raise GlacierError(f"importance: repeats must be at least 1 (found {repeats}); give more")
    rows = [
        row
        for one in labelled
        for classifier in classifiers
        for row in _losses(classifier, one, repeats, seed, tell or (lambda: None))
    ]
    return pd.DataFrame.from_records(rows, columns=_COLUMNS)


def _losses(
    classifier: FeatureClassifier,
    labelled: LabelledScene,
    repeats: int,
    seed: int,
    tell: Callable[[], object],
) -> Iterator[tuple[str, str, str, int, float, float, str]]:
    """Rows of `permutation_importance` for one classifier and scene."""
    counted = measured_pixels(labelled)

    def iou(disturb: Disturbance | None = None) -> float:
        mapped = classifier.probability(labelled.scene, counted, disturb) >= classifier.threshold
        tell()
        return confusion(labelled.truth, mapped, counted).iou

    whole = iou()
    for feature, members in feature_groups(classifier.feature_names).items():
        columns = [classifier.feature_names.index(member) for member in members]
        for repeat in range(_shuffles(members, repeats)):
            # Of the feature's name, so that it is shuffled alike for every classifier.
            random = np.random.default_rng([seed, repeat, zlib.crc32(feature.encode())])
            drop = whole - iou(shuffling(labelled.scene.valid, columns, random))
            yield classifier.name, labelled.scene.name, feature, repeat, drop, whole, " + ".join(members)


def shuffling(valid: Mask, columns: Sequence[int], random: np.random.Generator) -> Disturbance:
    """Disturbance that puts the valid pixels' values of some features in another order, the same for all.

    Examples
    --------
    >>> shuffle = shuffling(np.array([[True, False, True]]), [1], np.random.default_rng(3))
    >>> shuffle(np.array([[[1, 4], [2, 5], [3, 6]]], dtype=np.float32))[0].tolist()
    [[1.0, 6.0], [2.0, 5.0], [3.0, 4.0]]
    """
    pixels = np.flatnonzero(valid)
    order = random.permutation(pixels)

    def shuffle(features: Array) -> Array:
        shuffled = features.reshape(-1, features.shape[-1]).copy()
        for column in columns:
            shuffled[pixels, column] = shuffled[order, column]
        return shuffled.reshape(features.shape)

    return shuffle


def measured_pixels(labelled: LabelledScene) -> Mask:
    """Valid pixels of a scene, or of one window of it where it is large.

    The window's glacier share is the nearest to the scene's; it lies where the fewest windows of a stitched
    map reach into it.
    """
    scene, truth = labelled.scene, labelled.truth
    if scene.valid.size <= WHOLE_PIXELS:
        return scene.valid.copy()
    share = float(truth[scene.valid].mean()) if scene.valid.any() else 0.0
    row, column = typical_window(truth, scene.valid, SIDE, share, start=OVERLAP, step=_STEP)
    inside = np.zeros(scene.shape, dtype=bool)
    inside[row : row + SIDE, column : column + SIDE] = True
    return scene.valid & inside
