"""The report's recipe, as its authors would write it today: the peer of `time_to_quality`.

Three features scaled image by image, tiles of 288 px without overlap, eight stored copies of each, a U-Net
without batch normalisation, Adam on batches of 32. One thing is mended, for else nothing could be compared:
only the training pixels of our split have a weight in the loss. In PyTorch, whose step is quicker than
Keras's.
"""

from __future__ import annotations

import math
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
RATE = 1e-3  # Adam's, Keras's own
BATCH = 32  # Keras's own: the report names none
PART = 4  # tiles at once: gradients of a batch's parts are summed, which is the same step in less memory
STRIDE = 16  # of four poolings


@dataclass(frozen=True)
class Tiles:
    """What the recipe stores before it trains.

    Attributes
    ----------
    features : ndarray
        float32 (tiles, features, size, size), eight copies of each tile.
    label, weight : ndarray
        float32 (tiles, size, size): 1 on glacier; 1 on pixels that train, 0 elsewhere.
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
    features = np.ascontiguousarray(np.moveaxis(copies[..., :-2], -1, 1))
    return Tiles(features, copies[..., -2].copy(), copies[..., -1].copy(), float(share))


def filters_of(size: int) -> list[int]:
    """Filters of each level, the bottom's as many as those above it.

    >>> filters_of(288)
    [36, 72, 144, 288, 288]
    """
    return [size // DIVISOR * 2 ** min(level, 3) for level in range(5)]


def build_network(size: int = SIZE) -> Any:
    """Build the U-Net: (tiles, features, rows, columns) -> (tiles, rows, columns) logit."""
    import torch
    from torch import nn

    filters = filters_of(size)
    inputs = [len(feature_set(FEATURES).features), *filters[:-1]]
    upward = list(zip(filters[:0:-1], filters[-2::-1], strict=True))

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            pairs = [_pair(*two, share) for *two, share in zip(inputs, filters, DROPOUTS, strict=False)]
            self.down = nn.ModuleList(pairs)
            self.rise = nn.ModuleList(nn.ConvTranspose2d(*two, 2, stride=2) for two in upward)
            joined = zip(upward, DROPOUTS[5:], strict=True)
            self.up = nn.ModuleList(_pair(2 * width, width, share) for (_, width), share in joined)
            self.logit = nn.Conv2d(filters[0], 1, 1)

        def forward(self, values: Any) -> Any:
            skips = []
            for pair in self.down[:-1]:
                skips.append(pair(values))
                values = nn.functional.max_pool2d(skips[-1], 2)
            values = self.down[-1](values)
            for rise, pair, skip in zip(self.rise, self.up, reversed(skips), strict=True):
                values = pair(torch.cat([rise(values), skip], dim=1))
            return self.logit(values)[:, 0]

    network = Network()
    network.apply(_initialise)
    return network.to(memory_format=torch.channels_last)


def _pair(below: int, width: int, dropout: float) -> Any:
    """Two convolutions, and the dropout between them."""
    from torch import nn

    return nn.Sequential(
        nn.Conv2d(below, width, 3, padding=1),
        nn.LeakyReLU(SLOPE, inplace=True),
        nn.Dropout(dropout),
        nn.Conv2d(width, width, 3, padding=1),
        nn.LeakyReLU(SLOPE, inplace=True),
    )


def _initialise(layer: Any) -> None:
    """As Keras does: he_normal for convolutions, as the report had it, its own default elsewhere."""
    from torch import nn

    if isinstance(layer, nn.Conv2d) and layer.kernel_size == (3, 3):
        nn.init.kaiming_normal_(layer.weight)
    elif isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.xavier_uniform_(layer.weight)
    else:
        return
    nn.init.zeros_(layer.bias)


class ReportRecipe:
    """The recipe at work; a classifier as it stands.

    Attributes
    ----------
    network : torch.nn.Module
        Features to logits.
    """

    name, threshold = "report", 0.5

    def __init__(self, size: int = SIZE, seed: int = 0) -> None:
        import torch

        torch.manual_seed(seed)
        self.network, self._seed = build_network(size), seed

    def train(self, tiles: Tiles) -> Iterator[int]:
        """Train without an end; gives the steps taken after each."""
        import torch

        optimiser = torch.optim.Adam(self.network.parameters(), lr=RATE, eps=1e-7)
        features = torch.from_numpy(tiles.features).contiguous(memory_format=torch.channels_last)
        label, weight = torch.from_numpy(tiles.label), torch.from_numpy(tiles.weight)
        random, steps = np.random.default_rng(self._seed), 0
        while True:
            order = random.permutation(len(tiles))
            for batch in np.array_split(order, range(BATCH, len(tiles), BATCH)):
                self.network.train()
                self._step(optimiser, features, label, weight, batch)
                steps += 1
                yield steps

    def _step(self, optimiser: Any, features: Any, label: Any, weight: Any, batch: NDArray[np.int64]) -> None:
        """One step of the optimiser: binary cross-entropy, the mean over the pixels that train."""
        from torch.nn.functional import binary_cross_entropy_with_logits

        optimiser.zero_grad()
        total = weight[batch].sum().clamp(min=1)
        for part in np.array_split(batch, math.ceil(len(batch) / PART)):
            logit = self.network(features[part])
            loss = binary_cross_entropy_with_logits(logit, label[part], weight[part], reduction="sum")
            (loss / total).backward()
        optimiser.step()

    def probability(self, scene: Scene, wanted: NDArray[np.bool_] | None = None) -> Array:
        """Map a scene on the same windows as our networks; its features are scaled by the whole image."""
        wanted = scene.valid if wanted is None else wanted & scene.valid
        features = scene_features(scene, feature_set(FEATURES), "report")
        rows = stitched_rows(
            self._logit,
            lambda first, last: (features[first:last], wanted[first:last]),
            wanted.shape,
            Stitching(),
            STRIDE,
            radius=0,  # only halos ask for it
        )
        logit = np.concatenate([piece for _, piece in rows])
        return np.where(wanted, 1 / (1 + np.exp(-np.clip(logit, -80, 80))), np.float32(np.nan))

    def _logit(self, windows: Array) -> Array:
        import torch

        self.network.eval()
        with torch.inference_mode():
            values = torch.from_numpy(windows).permute(0, 3, 1, 2)
            answer: Array = self.network(values.contiguous(memory_format=torch.channels_last)).numpy()
        return answer

    def weights(self) -> dict[str, Any]:
        """Give a copy of the network's weights."""
        return {name: values.clone() for name, values in self.network.state_dict().items()}
