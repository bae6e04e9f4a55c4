"""Training after training in one process: no graph or network stays, and no step differs from Keras's own."""

import gc
from contextlib import suppress

import numpy as np
import pytest
from made_scenes import made_pair

from glacier_ml.learning.networks import build_network
from glacier_ml.learning.optimization import build_optimizer, build_schedule
from glacier_ml.learning.parameters import parse_parameters
from glacier_ml.learning.splits import SplitRule, make_split
from glacier_ml.learning.training import (
    TrainingFailed,
    TrainingStep,
    fit,
)

PAIR = made_pair(nodata=9)
SPLIT = make_split(PAIR, SplitRule(block=20, gap=4))
FFNN = {"network": "ffnn", "learning_rate": 0.01, "tile_size": 1, "hidden_layers": 1, "nodes": 4}
UNET = {"network": "unet", "learning_rate": 0.01, "tile_size": 32, "levels": 2, "base_filters": 2}


def small(values, **changed):
    shared = {"epochs": 2, "epoch_pixels": 4096, "batch_pixels": 1024}
    return parse_parameters({**values, **shared, **changed}, "test")


class Pruned(Exception):  # noqa: N818
    pass


def train(parameters, prune=False):
    def on_epoch(epoch, metrics):
        if prune:
            raise Pruned

    with suppress(Pruned, TrainingFailed):
        fit(parameters, PAIR, SPLIT, lambda classifier: {"val/iou": 0.5}, on_epoch=on_epoch)


def living():
    """Graphs and networks that are still alive."""
    import keras
    import tensorflow as tf

    gc.collect()
    kinds = [tf.Graph, keras.Model, keras.optimizers.Optimizer]
    objects = gc.get_objects()
    return [sum(issubclass(type(one), kind) for one in objects) for kind in kinds]


def test_trainings_leave_no_graph_and_no_network():
    hopeless = {"optimizer": "sgd", "learning_rate": 1e30, "clip_norm": 0.0, "schedule": "fixed"}
    trainings = [
        (small(FFNN), False),
        (small(FFNN, nodes=3, dropout=0.1, penalty=1e-4, tile_size=4), True),
        (small(FFNN, hidden_layers=3, **hopeless), False),
        (small(UNET), True),
    ]
    train(small(FFNN))  # what is loaded by the first training stays
    before = living()
    for _ in range(2):
        for parameters, prune in trainings:
            train(parameters, prune)
    assert living() == before


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_a_step_is_that_of_keras_with_the_schedule_in_its_optimiser(optimizer):
    import keras
    import tensorflow as tf

    parameters = small(FFNN, optimizer=optimizer, penalty=1e-3, epochs=5)
    random = np.random.default_rng(0)
    features = random.random((4, 256, 8), dtype=np.float32)
    target = (random.random((4, 256, 2)) > 0.4).astype(np.float32)
    keras.utils.set_random_seed(0)
    network = build_network(parameters, np.full(8, 0.5), np.full(8, 0.1))
    plain = keras.models.clone_model(network)
    plain.set_weights(network.get_weights())
    ours = TrainingStep(network, parameters, steps=4)  # 20 steps, of which the first warms up
    theirs = TrainingStep(plain, parameters, steps=4)
    arguments = build_optimizer(parameters).get_config() | {"learning_rate": build_schedule(parameters, 20)}
    own = {"adamw": keras.optimizers.AdamW, "sgd": keras.optimizers.SGD}[optimizer](**arguments)
    own.build(plain.trainable_variables)
    apply = tf.function(lambda gradients: own.apply(gradients))
    for number in range(4):
        ours(features[number], target[number], 1)
        total = np.float32(target[number][..., 1].sum())
        apply(theirs._gradients(features[number], target[number], total, np.float32(1))[0])
    assert float(own.learning_rate) != pytest.approx(parameters.learning_rate, rel=1e-3)
    for one, other in zip(network.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)
