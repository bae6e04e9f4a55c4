"""One yardstick for every network and tile size: the stitched map of the same validation pixels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from glacier_ml.evaluation.metrics import Confusion, confusion, mean_iou
from glacier_ml.learning.classifier import NetworkClassifier
from glacier_ml.learning.splits import number_blocks

if TYPE_CHECKING:
    from glacier_ml.scenes.catalog import LabelledScene
    from glacier_ml.scenes.scene import Scene

Metrics = dict[str, float]
BLOCK_SIDE = 64  # of the blocks that pixels are counted by [px]
Mask = NDArray[np.bool_]


class KeptMaps:
    """A network's maps of chosen pixels, computed when first asked for and kept for whoever asks again.

    They are those of the network as it was then. Of a scene the chosen pixels alone are kept.
    """

    def __init__(self, classifier: NetworkClassifier) -> None:
        self.classifier, self.threshold = classifier, classifier.threshold
        self._kept: dict[str, tuple[Mask, NDArray[np.float32]]] = {}

    def probability(self, scene: Scene, wanted: Mask) -> NDArray[np.float32]:
        """Map a scene's wanted pixels, as the classifier's own method; NaN elsewhere."""
        pixels, values = self._kept.get(scene.name, (None, None))
        if pixels is None or not np.array_equal(pixels, wanted):
            mapped = self.classifier.probability(scene, wanted)
            self._kept[scene.name] = wanted, mapped[wanted]
            return mapped
        mapped = np.full(wanted.shape, np.nan, dtype=np.float32)
        mapped[wanted] = values
        return mapped


def measure(
    classifier: NetworkClassifier | KeptMaps,
    scenes: Sequence[LabelledScene],
    pixels: Callable[[str], Mask],
    prefix: str = "val/",
) -> Metrics:
    """Score a classifier on chosen pixels of scenes, at its threshold.

    Parameters
    ----------
    classifier : NetworkClassifier
        As it stands.
    scenes : sequence of LabelledScene
        With masks; scenes without a chosen pixel are left out.
    pixels : callable
        Scene name to (rows, columns) of the pixels that count, such as `Split.validation`.

    Returns
    -------
    dict
        Means over scenes of iou, f1, accuracy, precision, recall and loss (cross-entropy), and the IoU of
        each scene as `iou_<name>`; an undefined score counts as 0, the worst.
    """
    by_scene = {scene.scene.name: score(classifier, scene, pixels(scene.scene.name)) for scene in scenes}
    by_scene = {name: found for name, found in by_scene.items() if found[0].pixels}
    counts = [found[0] for found in by_scene.values()]
    metrics = {
        name: float(np.mean([np.nan_to_num(getattr(one, name)) for one in counts]))
        for name in ("f1", "accuracy", "precision", "recall")
    }
    metrics["iou"] = float(np.nan_to_num(mean_iou(counts)))
    metrics["loss"] = float(np.mean([found[1] for found in by_scene.values()]))
    if len(by_scene) > 1:
        metrics |= {f"iou_{name}": float(np.nan_to_num(found[0].iou)) for name, found in by_scene.items()}
    return {prefix + name: value for name, value in metrics.items()}


def block_counts(
    classifier: NetworkClassifier | KeptMaps,
    scenes: Sequence[LabelledScene],
    pixels: Callable[[str], Mask],
    side: int = BLOCK_SIDE,
    threshold: float = 0.5,
) -> dict[str, Any]:
    """Count chosen pixels of scenes block by block, so that intervals can be had later without the maps.

    Parameters
    ----------
    side : int
        Of a block [px].
    threshold : float
        Probability from which on a pixel counts as glacier; the other arguments as `measure`.

    Returns
    -------
    dict
        side, threshold, and scenes: name to block (numbers from 1, row by row over the whole scene) and
        counts (tp, fp, fn, tn) of each block that holds a chosen pixel.
    """
    told = {}
    for scene in scenes:
        chosen = pixels(scene.scene.name) & scene.scene.valid
        if not chosen.any():
            continue
        mapped = classifier.probability(scene.scene, chosen)[chosen] >= threshold
        numbers, truth = number_blocks(scene.scene.shape, side)[chosen], scene.truth[chosen]
        case = np.where(truth, np.where(mapped, 0, 2), np.where(mapped, 1, 3))
        blocks, places = np.unique(numbers, return_inverse=True)
        counts = np.bincount(4 * places + case, minlength=4 * len(blocks)).reshape(-1, 4)
        told[scene.scene.name] = {"block": blocks.tolist(), "counts": counts.tolist()}
    return {"side": side, "threshold": threshold, "scenes": told}


def score(
    classifier: NetworkClassifier | KeptMaps, scene: LabelledScene, pixels: Mask
) -> tuple[Confusion, float]:
    """Confusion and mean cross-entropy of one scene's chosen pixels; no pixel gives (empty, 0)."""
    if not pixels.any():
        return Confusion(0, 0, 0, 0), 0.0
    probability = classifier.probability(scene.scene, pixels)[pixels]
    truth = scene.truth[pixels]
    inside = np.clip(probability, 1e-7, 1 - 1e-7)
    loss = -np.log(np.where(truth, inside, 1 - inside)).mean()
    return confusion(truth, probability >= classifier.threshold), float(loss)
