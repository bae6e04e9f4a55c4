"""Layers that compute what Keras's own do, by other operations of TensorFlow."""

from __future__ import annotations

from functools import cache
from typing import Any

from glacier_ml.learning.backend import has_avx2_alone

WIDE, SIDE_BY_SIDE, LARGE = 32, 16, 64 * 64
"""Channels, in multiples, and pixels of an image from which on matrices sum a kernel's gradient sooner."""


@cache
def batch_normalisation() -> Any:
    """Give the class of the layer, a `keras.layers.BatchNormalization` that is as quick as TensorFlow can.

    Keras normalises a batch by some ten operations, each of which writes an array as large as its input;
    TensorFlow's fused one gives the same values to rounding. It takes images (tiles, rows, columns,
    channels) in float32; with anything else, and outside training, the layer does as Keras does.
    """
    import tensorflow as tf
    from keras import layers

    class BatchNormalization(layers.BatchNormalization):
        # Under this name a network is saved as one of Keras's own layers, and loads without this package.
        __module__ = "keras.layers"

        def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
            if not (training and self.trainable and len(inputs.shape) == 4 and inputs.dtype == "float32"):
                return super().call(inputs, training=training, mask=mask)
            normalised, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
                x=inputs,
                scale=tf.convert_to_tensor(self.gamma),
                offset=tf.convert_to_tensor(self.beta),
                mean=tf.zeros(0),
                variance=tf.zeros(0),
                epsilon=self.epsilon,
            )
            count = tf.cast(tf.reduce_prod(tf.shape(inputs)[:3]), tf.float32)
            variance *= (count - 1) / count  # the operation gives the unbiased one, Keras keeps the other
            for moving, now in ((self.moving_mean, mean), (self.moving_variance, variance)):
                moving.assign(moving * self.momentum + now * (1 - self.momentum))
            return normalised

    return BatchNormalization


@cache
def leaky_relu() -> Any:
    """Give the class of the layer, a `keras.layers.LeakyReLU` that trains without a message.

    TensorFlow joins convolution, bias and Keras's operation into one, fails where the gradient needs what
    came between, and says so in a line that looks like an error. The larger of a value and slope times
    the value is the same.
    """
    import tensorflow as tf
    from keras import layers

    class LeakyReLU(layers.LeakyReLU):
        __module__ = "keras.layers"  # as above

        def call(self, inputs: Any, training: bool | None = None) -> Any:
            return tf.maximum(inputs, self.negative_slope * inputs) if training else super().call(inputs)

    return LeakyReLU


@cache
def convolution() -> Any:
    """Give the class of the layer, a `keras.layers.Conv2D` that learns as quickly as the processor can.

    oneDNN sums the gradient of a kernel slowly over images whose channels lie side by side, as TensorFlow's
    do, where a processor has AVX2 and no AVX-512: at a third of the speed of its other kernels. Products of
    matrices do it 1.1 to 2.5 times as quickly where an image is large and has many channels.
    """
    import tensorflow as tf
    from keras import activations, layers

    convolve = _convolve()

    class Conv2D(layers.Conv2D):
        __module__ = "keras.layers"  # as above

        def call(self, inputs: Any, training: bool | None = None) -> Any:
            if not (training and self._plain and matrices_are_quicker(inputs)):
                return super().call(inputs)
            convolved = convolve(inputs, tf.convert_to_tensor(self.kernel))
            return tf.nn.bias_add(convolved, self.bias) if self.use_bias else convolved

        @property
        def _plain(self) -> bool:
            """Whether it does what `convolve` does."""
            steps = self.kernel_size, self.strides, self.dilation_rate, self.groups
            told = self.padding, self.data_format, self.activation
            return (*steps, *told) == ((3, 3), (1, 1), (1, 1), 1, "same", "channels_last", activations.linear)

    return Conv2D


@cache
def _convolve() -> Any:
    """Give the function: a convolution of images by kernels of 3 x 3, with `kernel_gradient` for theirs."""
    import tensorflow as tf

    @tf.custom_gradient
    def convolve(images: Any, kernel: Any) -> tuple[Any, Any]:
        def gradients(upstream: Any) -> tuple[Any, Any]:
            of_images = tf.raw_ops.Conv2DBackpropInput(
                input_sizes=tf.shape(images),
                filter=kernel,
                out_backprop=upstream,
                strides=[1, 1, 1, 1],
                padding="SAME",
            )
            return of_images, kernel_gradient(images, upstream)

        return tf.nn.conv2d(images, kernel, strides=1, padding="SAME"), gradients

    return convolve


def matrices_are_quicker(images: Any) -> bool:
    """Whether `kernel_gradient` is quicker than TensorFlow's own: for (tiles, rows, columns, channels)."""
    import tensorflow as tf

    _, rows, columns, channels = images.shape
    if not has_avx2_alone() or tf.config.list_physical_devices("GPU"):
        return False
    if None in (rows, columns) or images.dtype != "float32":
        return False
    return bool(rows * columns >= LARGE and channels >= WIDE and channels % SIDE_BY_SIDE == 0)


def kernel_gradient(images: Any, upstream: Any) -> Any:
    """Gradient of a convolution's 3 x 3 kernels, where it keeps an image's size, by products of matrices.

    With a border of zeros, rows of pixels one below the other, the pixels that a kernel's element meets are
    those of the images from a place on: a part of the same array, which costs no copy where channels come in
    sixteens.

    Parameters
    ----------
    images : tensor
        (tiles, rows, columns, channels) what was convolved.
    upstream : tensor
        (tiles, rows, columns, filters) gradient of what came of it.

    Returns
    -------
    tensor
        (3, 3, channels, filters)
    """
    import tensorflow as tf

    def bordered(values: Any, before: int, after: int) -> Any:
        border = [[0, 0], [before, after], [before, after], [0, 0]]
        return tf.reshape(tf.pad(values, border), [-1, values.shape[-1]])

    inner, outer = bordered(upstream, 0, 2), bordered(images, 1, 1)
    width = tf.shape(images)[2] + 2
    # The last two rows and pixels of `inner` are border, for which `outer` would have to be longer.
    inner = inner[: tf.shape(inner)[0] - 2 * width - 2]
    places = [row * width + column for row in range(3) for column in range(3)]
    met = [outer[place : place + tf.shape(inner)[0]] for place in places]
    parts = [tf.matmul(pixels, inner, transpose_a=True) for pixels in met]
    return tf.reshape(tf.stack(parts), [3, 3, images.shape[-1], upstream.shape[-1]])
