"""The report's recipe: how it made samples of its scenes, split them and tested on them; kept to compare.

It leaks, and is meant to: eight copies of every tile are made first and shuffled and split afterwards, so
that the network trains on rotations of the tiles that it is tested on; and single pixels of one scene are
split at random, neighbour from neighbour. `glacier_ml.learning.samples` is how it is done otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from glacier_ml.errors import GlacierError
from glacier_ml.learning.features import FeatureSet, feature_set
from glacier_ml.learning.parameters import AnyParameters, UnetParameters
from glacier_ml.learning.splits import Split, number_blocks
from glacier_ml.learning.stored_scenes import mask_digest, scene_features, scene_key, store_of
from glacier_ml.learning.tiles import SYMMETRIES, cut_tiles, transform_d4

if TYPE_CHECKING:
    from glacier_ml.scenes.catalog import LabelledScene

Array = NDArray[np.float32]
Metrics = dict[str, float]

BATCH = 32  # samples; the report names no batch size, this is Keras's own
TEST_SHARE = 0.2  # the report's validation_split
BLOCK = 64  # side of the blocks that single test pixels are counted by [px]
_PIXELS_AT_ONCE = 262_144  # of a test


@dataclass(frozen=True)
class ReportSamples:
    """Tiles with their eight images each, or single pixels, and which of them train and test.

    Attributes
    ----------
    parameters : UnetParameters or FfnnParameters
        Those of the network.
    values : ndarray
        float32 (tiles, size, size, features), or (pixels, features) for the per-pixel network.
    targets : ndarray
        float32 (..., 2): the label (1 glacier) and its weight, 0 where there is no data.
    names : tuple of str
        Of the scenes.
    owners, numbers : ndarray of int
        Index into `names` of each tile or pixel; number of the tile, or of the pixel's block, in its scene.
    copies : int
        Samples made of each tile or pixel: sample i is the copy i % copies of i // copies.
    train, test : ndarray of int
        Numbers of the samples, shuffled.
    seed : int
        Of the order in which an epoch shows them.
    """

    parameters: AnyParameters
    values: Array
    targets: Array
    names: tuple[str, ...]
    owners: NDArray[np.int64]
    numbers: NDArray[np.int64]
    copies: int
    train: NDArray[np.int64]
    test: NDArray[np.int64]
    seed: int
    _orders: dict[int, NDArray[np.int64]] = field(default_factory=dict, repr=False, compare=False)

    @property
    def features(self) -> int:
        """Number of features of a pixel."""
        return int(self.values.shape[-1])

    @property
    def tiles_per_batch(self) -> int:
        """Samples in one step: 32, or as many as come nearest to `batch_pixels`."""
        wanted = self.parameters.batch_pixels
        return max(1, round(wanted / self.parameters.tile_size**2)) if wanted else BATCH

    @property
    def samples_per_epoch(self) -> int:
        """Every training sample once, or as many as come nearest to `epoch_pixels`."""
        wanted = self.parameters.epoch_pixels
        count = max(1, round(wanted / self.parameters.tile_size**2)) if wanted else len(self.train)
        return min(count, len(self.train))

    @property
    def steps(self) -> int:
        """Batches of an epoch; the last one may be smaller."""
        return math.ceil(self.samples_per_epoch / self.tiles_per_batch)

    @property
    def measured(self) -> NDArray[np.int64]:
        """Test samples that every epoch is measured on: at most as many as it trains on."""
        return self.test[: self.samples_per_epoch]

    def batch(self, epoch: int, step: int) -> tuple[Array, Array]:
        """One batch of an epoch's shuffled samples: features and (..., 2) label and weight."""
        if epoch not in self._orders:
            random = np.random.default_rng([self.seed, epoch])
            order = random.choice(self.train, self.samples_per_epoch, replace=False)
            self._orders.clear()
            self._orders[epoch] = order
        first = step * self.tiles_per_batch
        return self.cut(self._orders[epoch][first : first + self.tiles_per_batch])

    def cut(self, samples: NDArray[np.int64]) -> tuple[Array, Array]:
        """Features and targets of some samples, each in its own image of the eight."""
        origin, copy = np.divmod(samples, self.copies)
        values, targets = self.values[origin], self.targets[origin]
        if self.copies > 1:
            for position, symmetry in enumerate(copy):
                values[position] = transform_d4(values[position], int(symmetry))
                targets[position] = transform_d4(targets[position], int(symmetry))
        return values, targets

    def measure(self, logit: Callable[[Array], Array]) -> Metrics:
        """Score a network on the test samples that `measured` names, all pixels pooled, as Keras does.

        Parameters
        ----------
        logit : callable
            Features of some samples to their logits.

        Returns
        -------
        dict
            val/iou, val/f1, val/accuracy, val/precision, val/recall at .5, and val/loss (cross-entropy).
        """
        counts, losses = np.zeros(4), []
        for _, label, counted, found in self._tested(logit):
            counts += [(case & counted).sum() for case in _cases(label, found)]
            entropy = np.logaddexp(0, np.where(label, -found, found))
            losses.append(entropy[counted].sum(dtype=float))
        hits, alarms, misses, rest = counts
        ratios = {
            "iou": (hits, hits + alarms + misses),
            "f1": (2 * hits, 2 * hits + alarms + misses),
            "accuracy": (hits + rest, counts.sum()),
            "precision": (hits, hits + alarms),
            "recall": (hits, hits + misses),
            "loss": (sum(losses), counts.sum()),
        }
        return {
            f"val/{name}": float(part / whole) if whole else 0.0 for name, (part, whole) in ratios.items()
        }

    def block_counts(self, logit: Callable[[Array], Array]) -> dict[str, Any]:
        """Count `measured`'s pixels by scene and original tile, or block of single pixels.

        Returns
        -------
        dict
            side [px], threshold, and scenes: name to block (numbers from 1) and counts (tp, fp, fn, tn).
        """
        blocks: dict[tuple[int, int], NDArray[np.int64]] = {}
        for samples, label, counted, found in self._tested(logit):
            cases = np.stack([case & counted for case in _cases(label, found)], axis=-1)
            origin = samples // self.copies
            keys = np.stack([self.owners[origin], self.numbers[origin]], axis=-1)
            summed = cases.reshape(len(samples), -1, 4).sum(axis=1)
            distinct, places = np.unique(keys, axis=0, return_inverse=True)
            for position, (owner, number) in enumerate(distinct.tolist()):
                added = summed[places.ravel() == position].sum(axis=0)
                blocks[owner, number] = blocks.get((owner, number), np.zeros(4, np.int64)) + added
        scenes: dict[str, dict[str, Any]] = {}
        for (owner, number), counts in sorted(blocks.items()):
            told = scenes.setdefault(self.names[owner], {"block": [], "counts": []})
            told["block"].append(number)
            told["counts"].append(counts.tolist())
        side = self.parameters.tile_size if isinstance(self.parameters, UnetParameters) else BLOCK
        return {"side": side, "threshold": 0.5, "scenes": scenes}

    def _tested(self, logit: Callable[[Array], Array]) -> Iterator[tuple[Any, ...]]:
        """Test samples part by part: their numbers, labels, pixels that count, and logits."""
        at_once = max(1, _PIXELS_AT_ONCE // self.parameters.tile_size**2)
        for first in range(0, len(self.measured), at_once):
            samples = self.measured[first : first + at_once]
            values, targets = self.cut(samples)
            yield samples, targets[..., 0] > 0.5, targets[..., 1] > 0, logit(values)


def _cases(label: NDArray[np.bool_], logit: Array) -> tuple[NDArray[np.bool_], ...]:
    mapped = logit >= 0
    return label & mapped, ~label & mapped, label & ~mapped, ~(label | mapped)


def collect_report_samples(
    scenes: Sequence[LabelledScene], split: Split, parameters: AnyParameters, seed: int
) -> ReportSamples:
    """Make the report's samples of whole scenes, shuffle them, and set the last fifth apart for testing.

    The split's seed draws; its blocks are not heeded, but a scene that it holds no training pixel of is left
    out. Pixels without data, which the report had as zeros, count nowhere.

    Raises
    ------
    GlacierError
        Where no scene holds a whole tile.
    """
    size = parameters.tile_size if isinstance(parameters, UnetParameters) else None
    used = [
        scene
        for scene in scenes
        if split.training(scene.scene.name).any() and (size or 0) <= min(scene.scene.shape)
    ]
    if not used:
        raise GlacierError(
            f"tile_size: no scene holds a whole tile of {parameters.tile_size} px; choose a smaller tile"
        )
    values, targets, owners, numbers = _arrays(used, feature_set(parameters.features), size)
    names = tuple(scene.scene.name for scene in used)
    copies = SYMMETRIES if parameters.augment and size else 1
    train, test = shuffle_and_split(len(values) * copies, split.rule.seed)
    return ReportSamples(parameters, values, targets, names, owners, numbers, copies, train, test, seed)


def _arrays(used: Sequence[LabelledScene], chosen: FeatureSet, size: int | None) -> tuple[Any, ...]:
    """Values, targets, owners and numbers of the tiles of `size` px, or of the single pixels, of scenes."""
    store = store_of(*(scene.scene for scene in used))
    keys = tuple(scene_key(scene.scene, chosen.bands) for scene in used)
    truths = tuple(mask_digest(scene.truth) for scene in used if store.folder)

    def parts(image: Callable[[LabelledScene], NDArray]) -> list[NDArray]:
        return [cut_tiles(image(scene), size) if size else image(scene)[scene.scene.valid] for scene in used]

    def numbers() -> list[NDArray]:
        if size:
            return [np.arange(1, _tiles(scene.scene.shape, size) + 1) for scene in used]
        return parts(lambda scene: number_blocks(scene.scene.shape, BLOCK))

    def owners() -> NDArray:
        return np.repeat(np.arange(len(used)), [len(part) for part in numbers()])

    def features(scene: LabelledScene) -> Array:
        return scene_features(scene.scene, chosen, "report")

    return (
        store.array("report_values", (keys, chosen.features, size), lambda: np.concatenate(parts(features))),
        store.array("report_targets", (keys, truths, size), lambda: np.concatenate(parts(_target))),
        store.array("report_owners", (keys, size), owners),
        store.array("report_numbers", (keys, size), lambda: np.concatenate(numbers())),
    )


def _tiles(shape: tuple[int, int], size: int) -> int:
    return (shape[0] // size) * (shape[1] // size)


def shuffle_and_split(samples: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Shuffle the numbers of samples and set the last fifth apart, as Keras's `validation_split` does.

    >>> [len(part) for part in shuffle_and_split(416, 0)]
    [332, 84]
    """
    order = np.random.default_rng(seed).permutation(samples)
    first = max(1, int(samples * (1 - TEST_SHARE)))
    return order[:first], order[first:]


def _target(scene: LabelledScene) -> Array:
    valid = scene.scene.valid
    return np.stack([scene.truth & valid, valid], axis=-1).astype(np.float32)
