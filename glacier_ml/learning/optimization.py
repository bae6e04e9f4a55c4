"""The optimiser: how a network's weights follow the gradient, at which rate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from glacier_ml.learning.parameters import AnyParameters

if TYPE_CHECKING:
    import keras

WEIGHT_DECAY = 1e-4  # of AdamW; typical value, chosen here
WARM_UP = 0.05  # share of the steps over which a cosine schedule rises; typical value, chosen here


class WeightUpdate:
    """Updates of a network's weights, all of them as one vector.

    An optimiser takes some twenty operations for each weight array. Small networks have many small ones, and
    starting the operations takes longer than their work; clipping, moments, decay and steps are the same
    for a vector that holds them end to end.

    Parameters
    ----------
    network : keras.Model
        Whose trainable weights are updated; what they hold before an update counts.
    parameters : UnetParameters or FfnnParameters
        Optimiser, rate, schedule, clipping.
    steps : int
        Updates that the schedule runs over.
    """

    def __init__(self, network: keras.Model, parameters: AnyParameters, steps: int) -> None:
        import keras
        import tensorflow as tf

        self.weights = network.trainable_variables
        self.vector = keras.Variable(_end_to_end(self.weights), name="weights")
        self.sizes = [int(tf.size(weight)) for weight in self.weights]
        self.optimizer = build_optimizer(parameters)
        self.optimizer.build([self.vector])
        self.schedule = build_schedule(parameters, steps)

    def __call__(self, gradients: Sequence[Any]) -> None:
        """Follow the gradients, one of each weight."""
        import tensorflow as tf

        if self.schedule:  # asked once a step: the optimiser itself would trace it for each of its variables
            self.optimizer.learning_rate = self.schedule(self.optimizer.iterations)
        self.vector.assign(_end_to_end(self.weights))
        self.optimizer.apply([_end_to_end(gradients)])
        parts = tf.split(tf.convert_to_tensor(self.vector), self.sizes)
        for weight, part in zip(self.weights, parts, strict=True):
            weight.assign(tf.reshape(part, weight.shape))


def _end_to_end(arrays: Sequence[Any]) -> Any:
    import tensorflow as tf

    return tf.concat([tf.reshape(tf.convert_to_tensor(array), [-1]) for array in arrays], axis=0)


def build_schedule(parameters: AnyParameters, steps: int) -> Any:
    """Build the learning rate's course over `steps` steps: step to rate; None where it stays as it is."""
    from keras import optimizers

    if parameters.schedule == "fixed":
        return None
    rate, warm = parameters.learning_rate, int(WARM_UP * steps)
    return optimizers.schedules.CosineDecay(
        rate / 10 if warm else rate, max(1, steps - warm), warmup_target=rate, warmup_steps=warm
    )


def build_optimizer(parameters: AnyParameters) -> Any:
    """Build the optimiser; its learning rate is a variable, for the schedule to set."""
    from keras import optimizers

    shared = {
        "learning_rate": parameters.learning_rate,
        "clipnorm": None,
        "global_clipnorm": parameters.clip_norm or None,
    }
    if parameters.optimizer == "sgd":
        optimizer = optimizers.SGD(momentum=parameters.momentum, **shared)
    elif parameters.optimizer == "adam":
        optimizer = optimizers.Adam(**shared)
    else:
        optimizer = optimizers.AdamW(weight_decay=WEIGHT_DECAY, **shared)
    # Keras sums over replicas, of which there is one, by an operation with a gradient of its own: TensorFlow
    # registers that for good, and with it the graph of every training.
    optimizer._all_reduce_sum_gradients = lambda pairs: pairs
    if parameters.precision == "mixed_float16":  # half precision underflows without a scaled loss
        return optimizers.LossScaleOptimizer(optimizer)
    return optimizer
