"""The report's recipe, as its authors would write it today: the peer of `time_to_quality`.

Three features scaled image by image, tiles of 288 px without overlap, eight stored copies of each, a U-Net
without batch normalisation, Adam on batches of 32. One thing is mended, for else nothing could be compared:
only the training pixels of our split have a weight in the loss. In Keras, as the report was: a tile takes it
half the CPU seconds that it takes PyTorch (.65 against 1.25).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glacier_ml.learning.features import feature_set
from glacier_ml.learning.splits import Split
from glacier_ml.learning.stitching import Stitching, stitched_rows
from glacier_ml.learning.stored_scenes import scene_features
from glacier_ml.learning.tiles import augment_d4, cut_tiles
from glacier_ml.scenes.catalog import LabelledScene
from glacier_ml.scenes.scene import Scene

Array = NDArray[np.float32]
FEATURES = "report_ratio"  # blue, SWIR/red, NDWI, each from 0 to 1 over its image
SIZE, DIVISOR = 288, 8  # of a tile [px]; P / 8 filters at the finest level
DROPOUTS = (0.1, 0.1, 0.2, 0.2, 0.3, 0.2, 0.2, 0.1, 0.1)  # between the pairs, down and up
SLOPE = 0.1  # of the leaky rectifier
BATCH = 32  # Keras's own, as Adam's rate is: the report names none
PART = 4  # tiles at once: the gradients of a batch's parts are summed, which is the same step in less memory
STRIDE = 16  # of four poolings


@dataclass(frozen=True)
class Tiles:
    """What the recipe stores before it trains.

    Attributes
    ----------
    features : ndarray
        float32 (tiles, size, size, features), eight copies of each tile.
    label, weight : ndarray
        float32 (tiles, size, size, 1) and (tiles, size, size): 1 on glacier; 1 on pixels that train.
    share : float
        Of all training pixels, those that lie on a tile: the remainder of an image is dropped.
    """

    features: Array
    label: Array
    weight: Array
    share: float = 1.0

    def __len__(self) -> int:
        return len(self.features)


def store_tiles(scenes: Sequence[LabelledScene], split: Split, size: int = SIZE) -> Tiles:
    """Cut the scenes into tiles and store the eight images of each."""
    cut = []
    for scene in scenes:
        training = split.training(scene.scene.name)
        target = np.stack([scene.truth & training, training], axis=-1).astype(np.float32)
        features = scene_features(scene.scene, feature_set(FEATURES), "report")
        cut.append(cut_tiles(np.concatenate([features, target], axis=-1), size))
    tiles = np.concatenate(cut)
    share = tiles[..., -1].sum() / sum(split.training(scene.scene.name).sum() for scene in scenes)
    copies = np.concatenate([augment_d4(tile) for tile in tiles])
    features, label, weight = (np.ascontiguousarray(part) for part in np.split(copies, (-2, -1), axis=-1))
    return Tiles(features, label, weight[..., 0], float(share))


def filters_of(size: int) -> list[int]:
    """Filters of each level, the bottom's as many as those above it.

    >>> filters_of(288)
    [36, 72, 144, 288, 288]
    """
    return [size // DIVISOR * 2 ** min(level, 3) for level in range(5)]


def build_network(size: int = SIZE) -> Any:
    """Build the U-Net: (tiles, rows, columns, features) -> (tiles, rows, columns, 1) probability."""
    from keras import Input, Model, layers

    filters, skips = filters_of(size), []
    values = inputs = Input((None, None, len(feature_set(FEATURES).features)))
    for width, dropout in zip(filters[:-1], DROPOUTS, strict=False):
        skips.append(_pair(values, width, dropout))
        values = layers.MaxPooling2D(2)(skips[-1])
    values = _pair(values, filters[-1], DROPOUTS[4])
    for width, dropout, skip in zip(filters[-2::-1], DROPOUTS[5:], skips[::-1], strict=True):
        values = layers.Conv2DTranspose(width, 2, strides=2, padding="same")(values)
        values = _pair(layers.Concatenate()([values, skip]), width, dropout)
    return Model(inputs, layers.Conv2D(1, 1, activation="sigmoid")(values))


def _pair(values: Any, width: int, dropout: float) -> Any:
    """Two convolutions, and the dropout between them."""
    from keras import layers

    for last in (False, True):
        values = layers.Conv2D(width, 3, padding="same", kernel_initializer="he_normal")(values)
        values = layers.LeakyReLU(negative_slope=SLOPE)(values)
        values = values if last else layers.Dropout(dropout)(values)
    return values


class ReportRecipe:
    """The recipe at work; a classifier as it stands.

    Attributes
    ----------
    network : keras.Model
        Features to probability.
    """

    name, threshold = "report", 0.5

    def __init__(self, size: int = SIZE, seed: int = 0) -> None:
        import keras

        keras.utils.set_random_seed(seed)
        self.network, self._seed = build_network(size), seed
        adam = keras.optimizers.Adam(gradient_accumulation_steps=BATCH // PART)
        # On a CPU a step takes a third longer where XLA compiles it.
        self.network.compile(adam, "binary_crossentropy", jit_compile=False)

    def train(self, tiles: Tiles) -> Iterator[float]:
        """Train without an end; gives the optimiser's steps so far after each part of a batch."""
        random, parts = np.random.default_rng(self._seed), 0
        while True:
            order = random.permutation(len(tiles))
            for part in np.array_split(order, range(PART, len(tiles), PART)):
                self.network.train_on_batch(
                    tiles.features[part], tiles.label[part], sample_weight=tiles.weight[part]
                )
                parts += 1
                yield parts * PART / BATCH

    def probability(self, scene: Scene, wanted: NDArray[np.bool_] | None = None) -> Array:
        """Map a scene on the same windows as our networks; its features are scaled by the whole image."""
        wanted = scene.valid if wanted is None else wanted & scene.valid
        features = scene_features(scene, feature_set(FEATURES), "report")
        rows = stitched_rows(
            lambda windows: self.network.predict_on_batch(windows)[..., 0],
            lambda first, last: (features[first:last], wanted[first:last]),
            wanted.shape,
            Stitching(),
            STRIDE,
            radius=0,  # only halos ask for it
        )
        return np.where(wanted, np.concatenate([piece for _, piece in rows]), np.float32(np.nan))
