"""Samples: from labelled scenes to the batches that a network trains on, augmented on the fly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from glacier_ml.errors import GlacierError
from glacier_ml.learning.features import compute_features, feature_set
from glacier_ml.learning.parameters import AnyParameters, FfnnParameters
from glacier_ml.learning.splits import Split
from glacier_ml.learning.tiles import SYMMETRIES, reflect_to, transform_d4
from glacier_ml.scenes.scene import check_bands

if TYPE_CHECKING:
    from glacier_ml.scenes.catalog import LabelledScene

Array = NDArray[np.float32]
STATISTICS_PIXELS = 500_000  # drawn from each scene for the normalisation
RANGE_PIXELS = 100_000  # of these, for quantiles
RANGE_QUANTILES = (0.01, 0.99)


@dataclass(frozen=True)
class TrainingScene:
    """One scene, ready to be cut.

    Attributes
    ----------
    stack : ndarray
        (rows, columns, bands) reflectance, 0 where not valid.
    target : ndarray
        (rows, columns, 2): the label (1 glacier) and its weight, which is 0 outside the training pixels.
    pixels : ndarray
        Flat indices of the training pixels.
    """

    stack: Array
    target: Array
    pixels: NDArray[np.int64]


@dataclass(frozen=True)
class Samples:
    """Everything a network is trained from; batches are a pure function of (seed, epoch, step)."""

    parameters: AnyParameters
    scenes: tuple[TrainingScene, ...]
    bands: tuple[str, ...]
    seed: int

    @property
    def tiles_per_batch(self) -> int:
        """As many tiles as come nearest to `batch_pixels`, at least one."""
        return max(1, round(self.parameters.batch_pixels / self.parameters.tile_size**2))

    @property
    def steps(self) -> int:
        """Batches that come nearest to `epoch_pixels`, at least one: equal pixels for every tile size."""
        pixels = self.tiles_per_batch * self.parameters.tile_size**2
        return max(1, round(self.parameters.epoch_pixels / pixels))

    @property
    def features(self) -> int:
        """Number of features of a pixel."""
        return len(feature_set(self.parameters.features).features)

    def batch(self, epoch: int, step: int) -> tuple[Array, Array]:
        """Draw one batch.

        Returns
        -------
        features : ndarray
            (tiles, size, size, features), or (pixels, features) for the per-pixel network.
        target : ndarray
            (..., 2): label and weight.
        """
        random = np.random.default_rng([self.seed, epoch, step])
        stack, target = self._cut(random)
        stack = self._disturb(stack, random)
        features = compute_features(stack, self.bands, feature_set(self.parameters.features))
        if isinstance(self.parameters, FfnnParameters):
            return features.reshape(-1, features.shape[-1]), target.reshape(-1, 2)
        if self.parameters.augment:
            both = np.concatenate([features, target], axis=-1)
            both = np.stack([transform_d4(tile, int(random.integers(SYMMETRIES))) for tile in both])
            features, target = both[..., :-2], both[..., -2:]
        return np.ascontiguousarray(features), np.ascontiguousarray(target)

    def _cut(self, random: np.random.Generator) -> tuple[Array, Array]:
        """Cut tiles around random training pixels; scenes take turns: each is drawn equally often."""
        size, count = self.parameters.tile_size, self.tiles_per_batch
        owners = np.sort((random.integers(len(self.scenes)) + np.arange(count)) % len(self.scenes))
        pieces = []
        for owner in np.unique(owners):
            scene = self.scenes[owner]
            number = int((owners == owner).sum())
            chosen = random.choice(scene.pixels, size=number)
            corners = np.stack(np.unravel_index(chosen, scene.target.shape[:2]), axis=1)
            corners = corners - random.integers(size, size=(number, 2))
            corners = np.clip(corners, 0, np.array(scene.target.shape[:2]) - size)
            pieces.append(_gather(scene, corners, size))
        return np.concatenate([piece[0] for piece in pieces]), np.concatenate([piece[1] for piece in pieces])

    def _disturb(self, stack: Array, random: np.random.Generator) -> Array:
        """Jitter brightness by tile and add sensor noise by value; what has no data stays 0."""
        if self.parameters.brightness:
            spread = self.parameters.brightness
            factor = random.uniform(1 - spread, 1 + spread, size=(len(stack), 1, 1, 1))
            stack = stack * factor.astype(np.float32)
        if self.parameters.noise:
            noise = random.standard_normal(stack.shape, dtype=np.float32) * np.float32(self.parameters.noise)
            stack = np.where((stack != 0).any(axis=-1, keepdims=True), stack + noise, np.float32(0))
        return stack


def _gather(scene: TrainingScene, corners: NDArray[np.int64], size: int) -> tuple[Array, Array]:
    steps = np.arange(size)
    rows = corners[:, 0, None, None] + steps[None, :, None]
    columns = corners[:, 1, None, None] + steps[None, None, :]
    return scene.stack[rows, columns], scene.target[rows, columns]


def check_samples(scenes: Sequence[LabelledScene], parameters: AnyParameters) -> None:
    """Check, before any work, that scenes can serve these parameters.

    Raises
    ------
    GlacierError
        Where a tile is larger than every scene, or a band is missing.
    """
    size = parameters.tile_size
    side = min if parameters.recipe == "report" else max  # the report's tiles are never padded
    if all(size > side(scene.scene.shape) for scene in scenes):
        largest = max((scene.scene.shape for scene in scenes), key=max)
        raise GlacierError(
            f"tile_size: {size} px is larger than every scene (the largest has "
            f"{largest[0]} x {largest[1]} px); choose a smaller tile"
        )
    for scene in scenes:
        check_bands(scene.scene.name, scene.scene.bands, feature_set(parameters.features).bands)


def collect_samples(
    scenes: Sequence[LabelledScene], split: Split, parameters: AnyParameters, seed: int
) -> Samples:
    """Prepare the training pixels of scenes for one set of parameters; raises as `check_samples`."""
    check_samples(scenes, parameters)
    size = parameters.tile_size
    bands = feature_set(parameters.features).bands
    with_labels = [scene for scene in scenes if split.training(scene.scene.name).any()]
    glacier_weight = _glacier_weight(with_labels, split, parameters)
    prepared = tuple(_prepare(scene, split, bands, size, glacier_weight) for scene in with_labels)
    return Samples(parameters, prepared, bands, seed)


def _prepare(
    scene: LabelledScene, split: Split, bands: tuple[str, ...], size: int, glacier_weight: float
) -> TrainingScene:
    label = scene.truth.astype(np.float32)
    weight = split.training(scene.scene.name) * np.where(label > 0, np.float32(glacier_weight), np.float32(1))
    stack = reflect_to(scene.scene.stack(bands), size, size)
    target = np.zeros((*stack.shape[:2], 2), dtype=np.float32)  # padding keeps weight 0
    target[: label.shape[0], : label.shape[1]] = np.stack([label, weight], axis=-1)
    return TrainingScene(stack, target, np.flatnonzero(target[..., 1]))


def _glacier_weight(scenes: Sequence[LabelledScene], split: Split, parameters: AnyParameters) -> float:
    if parameters.glacier_weight != "balanced":
        return float(parameters.glacier_weight)
    # Scenes are drawn equally often, so their mean fraction is what the network meets.
    fraction = np.mean([scene.truth[split.training(scene.scene.name)].mean() for scene in scenes])
    return float((1 - fraction) / fraction)


def feature_statistics(
    scenes: Sequence[LabelledScene], split: Split, features: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and variance (features,) of the training pixels, every scene counting alike.

    They depend on the data and the split alone: validation and held-out pixels never enter.
    """
    drawn = _training_features(scenes, split, features)
    mean = np.mean([values.mean(axis=0) for values in drawn], axis=0)
    squares = np.mean([(values**2).mean(axis=0) for values in drawn], axis=0)
    return mean, np.maximum(squares - mean**2, 1e-6)


def feature_range(
    scenes: Sequence[LabelledScene], split: Split, features: str
) -> dict[str, tuple[float, float]]:
    """Quantiles .01 and .99 of each feature on the training pixels, every scene counting alike.

    Two in a hundred training pixels lie outside; a scene of which many more do is not like them.
    """
    drawn = [
        values[:: max(1, len(values) // RANGE_PIXELS)]
        for values in _training_features(scenes, split, features)
    ]
    weights = np.concatenate([np.full(len(values), 1 / len(values)) for values in drawn])
    low, high = np.quantile(
        np.concatenate(drawn), RANGE_QUANTILES, axis=0, weights=weights, method="inverted_cdf"
    )
    names = feature_set(features).features
    return dict(zip(names, zip(low.tolist(), high.tolist(), strict=True), strict=True))


def _training_features(
    scenes: Sequence[LabelledScene], split: Split, features: str
) -> list[NDArray[np.float64]]:
    """Features (pixels, features) of evenly drawn training pixels of each scene that has some."""
    chosen = feature_set(features)
    drawn = []
    for scene in scenes:
        training = np.flatnonzero(split.training(scene.scene.name))
        if not len(training):
            continue
        pixels = training[:: max(1, len(training) // STATISTICS_PIXELS)]
        stack = scene.scene.stack(chosen.bands).reshape(-1, len(chosen.bands))[pixels]
        drawn.append(compute_features(stack, chosen.bands, chosen).astype(np.float64))
    return drawn
