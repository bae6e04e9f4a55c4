"""Weights as one vector, against Keras's own updates of each array."""

import numpy as np
import pytest

from glacier_ml.learning.backend import start_tensorflow
from glacier_ml.learning.optimization import WeightUpdate, build_optimizer
from glacier_ml.learning.parameters import parse_parameters

start_tensorflow()

import keras  # noqa: E402


def parameters(**changed):
    values = {"network": "ffnn", "learning_rate": 0.1, "tile_size": 1, "schedule": "fixed"}
    return parse_parameters({**values, **changed}, "test")


def network():
    keras.utils.set_random_seed(0)  # the layers draw from it when they are made
    layers = [keras.layers.Dense(3, activation="tanh"), keras.layers.Dense(2)]
    return keras.Sequential([keras.Input((4,)), *layers])


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
@pytest.mark.parametrize("clip_norm", [0.0, 0.5])
def test_updates_are_those_of_keras(name, clip_norm):
    chosen = parameters(optimizer=name, clip_norm=clip_norm)
    ours, theirs = network(), network()
    update, own = WeightUpdate(ours, chosen, 5), build_optimizer(chosen)
    random = np.random.default_rng(0)
    for _ in range(5):
        gradients = [random.standard_normal(one.shape).astype(np.float32) for one in ours.get_weights()]
        update(gradients)
        own.apply([keras.ops.convert_to_tensor(one) for one in gradients], theirs.trainable_variables)
    for one, other in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)


def test_a_step_by_hand():
    # SGD without momentum: 1 - .1 * 2 = .8 for every weight; the norm of six gradients of 2 is sqrt(24), and
    # clipped to .5 each is 2 * .5 / sqrt(24) = .20412.
    for clip_norm, expected in ((0.0, 0.8), (0.5, 1 - 0.1 * 0.20412)):
        one = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
        one.set_weights([np.ones((2, 2)), np.ones(2)])
        WeightUpdate(one, parameters(optimizer="sgd", momentum=0.0, clip_norm=clip_norm), 1)(
            [np.full((2, 2), 2, np.float32), np.full(2, 2, np.float32)]
        )
        np.testing.assert_allclose(
            np.concatenate([part.ravel() for part in one.get_weights()]), expected, rtol=1e-5
        )


def test_what_the_network_holds_counts():
    one = network()
    update = WeightUpdate(one, parameters(optimizer="sgd", momentum=0.0, clip_norm=0.0), 5)
    one.set_weights([np.full_like(part, 7) for part in one.get_weights()])
    update([np.zeros_like(part) for part in one.get_weights()])
    assert all((part == 7).all() for part in one.get_weights())
