"""Layers that compute what Keras's own do, by other operations of TensorFlow."""

from __future__ import annotations

from functools import cache
from typing import Any


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
