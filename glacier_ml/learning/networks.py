"""The two networks. Both end in a logit a pixel, so that calibration is one division."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from glacier_ml.learning.layers import batch_normalisation, convolution, leaky_relu
from glacier_ml.learning.parameters import AnyParameters, FfnnParameters, UnetParameters

if TYPE_CHECKING:
    import keras

LEAKY_SLOPE = 0.1  # the report's


def build_ffnn(parameters: FfnnParameters, mean: np.ndarray, variance: np.ndarray) -> keras.Model:
    """Build the per-pixel network: (pixels, features) -> (pixels, 1) logit.

    Parameters
    ----------
    parameters : FfnnParameters
        Hidden layers, nodes, activation, penalty, dropout.
    mean, variance : ndarray
        (features,) statistics of the training pixels; they stay fixed in the first layer.
    """
    from keras import Input, Model, layers

    values = inputs = Input((len(mean),), name="features")
    values = _normalisation(mean, variance)(values)
    for _ in range(parameters.hidden_layers):
        values = layers.Dense(parameters.nodes, **_kernel(parameters, convolution=False))(values)
        values = _activate(values, parameters)
        if parameters.dropout:
            values = layers.Dropout(parameters.dropout)(values)
    if parameters.recipe == "report":
        # Two softmax outputs, as the report had: their cross-entropy is that of the difference's sigmoid.
        classes = layers.Dense(2, name="classes", **_kernel(parameters, convolution=False))(values)
        return Model(inputs, layers.Subtract(name="logit")([classes[:, 1:], classes[:, :1]]), name="ffnn")
    return Model(inputs, _logit(layers.Dense, (1,), parameters)(values), name="ffnn")


def build_unet(parameters: UnetParameters, mean: np.ndarray, variance: np.ndarray) -> keras.Model:
    """Build the U-Net: (tiles, rows, columns, features) -> (tiles, rows, columns, 1) logit.

    Ronneberger et al. (2015) with same-padded convolutions, as the report has it. Rows and columns are free
    multiples of `parameters.stride`.

    Parameters
    ----------
    parameters : UnetParameters
        Levels, filters, convolutions a level, activation, penalty, batch normalisation, dropout, head.
    mean, variance : ndarray
        (features,) statistics of the training pixels; they stay fixed in the first layer.
    """
    from keras import Input, Model, layers

    filters = parameters.level_filters
    dropouts = _dropouts(parameters)
    values = inputs = Input((None, None, len(mean)), name="features")  # (tiles, size, size, features)
    values = _normalisation(mean, variance)(values)
    skips = []
    for level, width in enumerate(filters):
        values = _convolutions(
            values, width, dropouts[level], parameters
        )  # (tiles, size / 2^level, .., width)
        if level < len(filters) - 1:
            skips.append(values)
            values = layers.MaxPooling2D(2)(values)
    for step, (width, skip) in enumerate(zip(filters[-2::-1], skips[::-1], strict=True)):
        kernel = _kernel(parameters, convolution=False)
        values = layers.Conv2DTranspose(width, 2, strides=2, padding="same", **kernel)(values)
        values = layers.Concatenate()([values, skip])
        values = _convolutions(values, width, dropouts[len(filters) + step], parameters)
    for nodes in parameters.head_nodes:  # a dense layer a pixel is a 1 x 1 convolution
        values = layers.Conv2D(nodes, 1, **_kernel(parameters))(values)
        values = _activate(values, parameters)
    return Model(inputs, _logit(layers.Conv2D, (1, 1), parameters)(values), name="unet")


def build_network(parameters: AnyParameters, mean: np.ndarray, variance: np.ndarray) -> keras.Model:
    """Build the network that the parameters are for."""
    if isinstance(parameters, UnetParameters):
        return build_unet(parameters, mean, variance)
    return build_ffnn(parameters, mean, variance)


def receptive_radius(parameters: UnetParameters) -> int:
    """How far a U-Net sees: no pixel farther than this in rows or columns sways a pixel's logit [px].

    An interval of pixels is followed from the logit back to the input, a convolution widening it by one pixel
    on either side, pooling and its inverse changing its resolution, for every place of a pixel among those
    that are pooled with it.

    >>> receptive_radius(UnetParameters(learning_rate=1e-3, tile_size=96, levels=2, convolutions=1))
    5
    """
    widened, bottom = parameters.convolutions, len(parameters.level_filters) - 1

    def seen(first: int, last: int, level: int, encoder: bool) -> tuple[int, int]:
        first, last = first - widened, last + widened
        if encoder:
            return (first, last) if level == 0 else seen(2 * first, 2 * last + 1, level - 1, True)
        skip = seen(first, last, level, True)
        below = seen(first // 2, last // 2, level + 1, level + 1 == bottom)
        return min(skip[0], below[0]), max(skip[1], below[1])

    reaches = [(pixel, *seen(pixel, pixel, 0, bottom == 0)) for pixel in range(parameters.stride)]
    return max(max(pixel - first, last - pixel) for pixel, first, last in reaches)


def training_bytes(parameters: AnyParameters, features: int, pixels: int) -> int:
    """Estimate the memory [bytes] of one training step from the layers' shapes alone.

    Every layer's output is kept for the backward pass, and .4 of that again goes to gradients and workspace,
    above all that was measured on U-Nets of 8 to 48 base filters; weights are held four times (value,
    gradient, two moments).

    Parameters
    ----------
    parameters : UnetParameters or FfnnParameters
        The network.
    features : int
        Number of input features.
    pixels : int
        Pixels in the batch.
    """
    float_bytes = 4
    if isinstance(parameters, FfnnParameters):
        kept = 3 * parameters.nodes * parameters.hidden_layers + 2 * features
        return int(float_bytes * 1.4 * kept * pixels)
    layers_each = parameters.convolutions * (3 if parameters.batch_norm else 2) + 1
    values, weights, below = 2.0 * features, 0.0, float(features)
    for level, width in enumerate(parameters.level_filters):
        passes = 1 if level == len(parameters.level_filters) - 1 else 2
        values += (passes * layers_each + 3 * (passes - 1)) * width / 4**level
        weights += 9 * (below + 2 * width * passes) * width
        below = width
    values += sum(2 * nodes for nodes in parameters.head_nodes)
    return int(float_bytes * (1.4 * values * pixels + 4 * weights))


def _normalisation(mean: np.ndarray, variance: np.ndarray) -> Any:
    from keras import layers

    return layers.Normalization(axis=-1, mean=mean.tolist(), variance=variance.tolist(), name="normalisation")


def _kernel(parameters: AnyParameters, convolution: bool = True) -> dict[str, Any]:
    from keras import regularizers

    smooth = parameters.activation in ("tanh", "sigmoid", "linear")
    if parameters.recipe == "report":  # he_normal for every convolution, Keras's own elsewhere
        smooth = not convolution
    return {
        "kernel_initializer": "glorot_uniform" if smooth else "he_normal",
        "kernel_regularizer": regularizers.L2(parameters.penalty) if parameters.penalty else None,
    }


def _logit(layer: Any, kernel: tuple[int, ...], parameters: AnyParameters) -> Any:
    from keras import regularizers

    penalty = regularizers.L2(parameters.penalty) if parameters.penalty else None
    # float32 whatever the precision of the rest: a half-precision logit overflows in the loss.
    arguments = {"kernel_regularizer": penalty, "dtype": "float32", "name": "logit"}
    return layer(1, *kernel[1:], **arguments)


def _activate(values: Any, parameters: AnyParameters) -> Any:
    from keras import layers

    if parameters.batch_norm:
        # Between Keras's .99, for tens of thousands of steps, and .9, whose means a few tiles sway.
        values = batch_normalisation()(momentum=0.97)(values)
    if parameters.activation == "leaky_relu":
        return leaky_relu()(negative_slope=LEAKY_SLOPE)(values)
    return layers.Activation(parameters.activation)(values)


def _convolutions(values: Any, width: int, dropout: float, parameters: UnetParameters) -> Any:
    from keras import layers

    for position in range(parameters.convolutions):
        bias = not parameters.batch_norm  # batch normalisation has its own
        values = convolution()(width, 3, padding="same", use_bias=bias, **_kernel(parameters))(values)
        values = _activate(values, parameters)
        if dropout and position == 0:
            values = layers.Dropout(dropout)(values)
    return values


def _dropouts(parameters: UnetParameters) -> list[float]:
    if isinstance(parameters.dropout, list):
        return list(parameters.dropout)
    return [parameters.dropout] * (2 * len(parameters.level_filters) - 1)
