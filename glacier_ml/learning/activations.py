"""Activation maps: what the filters of a U-Net's convolutions answer to a tile.

The report wished for them. A convolution's map is taken after its batch normalisation and activation: what
the next layer is given.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from glacier_ml.errors import GlacierError
from glacier_ml.learning.backend import start_tensorflow
from glacier_ml.learning.parameters import UnetParameters
from glacier_ml.learning.tiles import reflect_to

if TYPE_CHECKING:
    from glacier_ml.learning.classifier import NetworkClassifier

Array = NDArray[np.float32]

LONGEST_SIDE = 1024
"""Largest side of a tile [px]: all its maps are held at once (typical value, chosen here)."""


def convolutions(classifier: NetworkClassifier) -> list[str]:
    """Names of a U-Net's convolutions, from the input to the output.

    'down2.1' is the first convolution of the second level on the way down, 'bottom5.2' the second of the
    fifth and last level, 'up2.1' the first of the second level on the way up, 'head.1' the first of the fully
    connected layers at each pixel's end.

    Raises
    ------
    GlacierError
        Where the network has no convolution.
    """
    return _convolutions_of(_unet(classifier))


def main_convolutions(classifier: NetworkClassifier) -> list[str]:
    """Names of the last convolution of each level, down and up: what `activation_maps` shows by itself."""
    last = f".{_unet(classifier).convolutions}"
    return [name for name in convolutions(classifier) if name.endswith(last) and not name.startswith("head")]


def activation_maps(
    classifier: NetworkClassifier, features: Array, layers: Sequence[str] | None = None
) -> dict[str, Array]:
    """Activations of chosen convolutions on a tile.

    Parameters
    ----------
    classifier : NetworkClassifier
        A U-Net.
    features : ndarray
        (rows, columns, features) of the tile: a part of `NetworkClassifier.features`. Sides that are no
        multiple of the network's stride are filled up by reflection.
    layers : sequence of str, optional
        Some of `convolutions`; `main_convolutions` without it.

    Returns
    -------
    dict of str to ndarray
        float32 (rows, columns, filters) by layer, at the resolution of its level: on level n a pixel stands
        for 2 ** (n - 1) of the tile's.

    Raises
    ------
    GlacierError
        Where the network is no U-Net, a layer is unknown, or the tile has the wrong features or is too large.
    """
    start_tensorflow()
    import keras

    stride = _unet(classifier).stride
    wanted = main_convolutions(classifier) if layers is None else list(layers)
    _check_layers(wanted, convolutions(classifier))
    _check_tile(features, classifier)
    outputs = _outputs(classifier)
    network = keras.Model(classifier.network.input, [outputs[name] for name in wanted])
    rows, columns = (-(-length // stride) * stride for length in features.shape[:2])
    answers = network(reflect_to(features, rows, columns)[None], training=False)
    answers = answers if isinstance(answers, list) else [answers]
    return {name: _cut(answer[0], features, rows) for name, answer in zip(wanted, answers, strict=True)}


def _cut(answer: Any, features: Array, filled_rows: int) -> Array:
    """One layer's maps without what the filling up of the tile to `filled_rows` added."""
    values = np.asarray(answer, dtype=np.float32)
    scale = filled_rows // values.shape[0]  # pixels of the tile to one of the map, along a side
    return values[: -(-features.shape[0] // scale), : -(-features.shape[1] // scale)]


def _unet(classifier: NetworkClassifier) -> UnetParameters:
    if not isinstance(classifier.parameters, UnetParameters):
        raise GlacierError(
            f"{classifier.name}: has no convolution, it maps pixel by pixel; activation maps are for a U-Net"
        )
    return classifier.parameters


def _convolutions_of(parameters: UnetParameters) -> list[str]:
    deepest, each = len(parameters.level_filters), range(1, parameters.convolutions + 1)
    stages = [f"down{level}" for level in range(1, deepest)]
    stages += [f"bottom{deepest}", *(f"up{level}" for level in range(deepest - 1, 0, -1))]
    head = [f"head.{position}" for position in range(1, len(parameters.head_nodes) + 1)]
    return [f"{stage}.{position}" for stage in stages for position in each] + head


def _outputs(classifier: NetworkClassifier) -> dict[str, Any]:
    """Keras's tensors behind the activation of each convolution, by name."""
    from keras import layers

    # The layers stand in the order of the data. Keras's own names count all layers ever made in a process.
    activated, convolved = [], False
    for layer in classifier.network.layers:
        if isinstance(layer, layers.Conv2D):
            convolved = True
        elif convolved and isinstance(layer, layers.Activation | layers.LeakyReLU):
            activated.append(layer.output)
            convolved = False
    return dict(zip(convolutions(classifier), activated, strict=True))


def _check_layers(wanted: list[str], found: list[str]) -> None:
    unknown = [name for name in wanted if name not in found]
    if unknown or not wanted:
        raise GlacierError(
            f"layers: {', '.join(unknown) or 'none'} named; this network's convolutions are "
            f"{', '.join(found)}; choose among them"
        )


def _check_tile(features: Array, classifier: NetworkClassifier) -> None:
    expected = len(classifier.feature_names)
    fits = features.ndim == 3 and features.shape[-1] == expected
    if not fits or not 0 < min(features.shape[:2]) <= max(features.shape[:2]) <= LONGEST_SIDE:
        raise GlacierError(
            f"activation maps: a tile has (rows, columns, {expected}) features and sides of 1 to "
            f"{LONGEST_SIDE} px, came {features.shape}; cut a part out of the scene's features"
        )
