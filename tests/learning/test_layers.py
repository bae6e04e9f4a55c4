"""Our layers against Keras's own."""

import subprocess
import sys
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glacier_ml.learning.backend import start_tensorflow
from glacier_ml.learning.layers import batch_normalisation, leaky_relu

start_tensorflow()

import keras  # noqa: E402
import tensorflow as tf  # noqa: E402


def trained(layer, batches, wanted):
    """Outputs, gradients and moving statistics of a layer after a step on each batch."""
    found = []
    for batch, target in zip(batches, wanted, strict=True):
        with tf.GradientTape() as tape:
            inputs = tf.Variable(batch)
            outputs = layer(inputs, training=True)
            loss = tf.reduce_sum((outputs - target) ** 2)
        found += [outputs, *tape.gradient(loss, [inputs, *layer.trainable_variables])]
    return [np.asarray(one) for one in (*found, *layer.get_weights())]


@settings(max_examples=20, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(2, 5), st.integers(1, 4)),
    seed=st.integers(0, 2**31),
    scale=st.sampled_from([0.01, 1.0, 30.0]),
)
def test_does_what_keras_does(shape, seed, scale):
    random = np.random.default_rng(seed)
    batches, wanted = (scale * random.standard_normal((2, 2, *shape)).astype(np.float32) for _ in range(2))
    ours, theirs = batch_normalisation()(momentum=0.97), keras.layers.BatchNormalization(momentum=0.97)
    ours.build((None, *shape[1:]))
    theirs.build((None, *shape[1:]))
    weights = [random.uniform(0.5, 2, shape[-1:]).astype(np.float32) for _ in range(4)]
    ours.set_weights(weights)
    theirs.set_weights(weights)
    found, expected = trained(ours, batches[0], wanted[0]), trained(theirs, batches[0], wanted[0])
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-3, atol=2e-4 * max(1, np.abs(other).max()))


def test_mean_and_variance_by_hand():
    # One channel holds 1, 2, 3, 6: mean 3, variance (4 + 1 + 0 + 9) / 4 = 3.5; a momentum of .75 keeps
    # three quarters of the first values, 0 and 1: .25 * 3 = .75 and .75 + .25 * 3.5 = 1.625.
    layer = batch_normalisation()(momentum=0.75, epsilon=0.0)
    outputs = layer(np.float32([1, 2, 3, 6]).reshape(1, 2, 2, 1), training=True)
    np.testing.assert_allclose(np.ravel(outputs), (np.array([1, 2, 3, 6]) - 3) / np.sqrt(3.5), rtol=1e-5)
    np.testing.assert_allclose(np.ravel(layer.get_weights()), [1, 0, 0.75, 1.625], rtol=1e-5)


@pytest.mark.parametrize("shape", [(7, 3), (2, 4, 4, 3)])
def test_outside_training_moving_statistics_serve(shape):
    layer = batch_normalisation()(epsilon=0.0)
    layer.build((None, *shape[1:]))
    layer.set_weights([np.float32([value] * 3) for value in (2, 1, 10, 4)])  # gamma, beta, mean, variance
    values = np.full(shape, 12, np.float32)
    np.testing.assert_allclose(layer(values, training=False), 3)  # 2 * (12 - 10) / sqrt(4) + 1


def test_a_frozen_layer_does_not_learn_statistics():
    layer = batch_normalisation()()
    layer.build((None, 4, 4, 3))
    layer.trainable = False
    before = layer.get_weights()
    layer(np.ones((2, 4, 4, 3), np.float32), training=True)
    for one, other in zip(before, layer.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_leaky_relu_is_saved_as_keras_own_layer(tmp_path):
    inputs = keras.Input((3,))
    keras.Model(inputs, leaky_relu()(negative_slope=0.25)(inputs)).save(tmp_path / "network.keras")
    loaded = keras.models.load_model(tmp_path / "network.keras", compile=False)
    assert type(loaded.layers[1]) is keras.layers.LeakyReLU and loaded.layers[1].negative_slope == 0.25


def test_is_saved_as_keras_own_layer(tmp_path):
    inputs = keras.Input((None, None, 3))
    network = keras.Model(inputs, batch_normalisation()(momentum=0.9)(inputs))
    network.save(tmp_path / "network.keras")
    with zipfile.ZipFile(tmp_path / "network.keras") as archive:
        assert b"glacier_ml" not in archive.read("config.json")
    loaded = keras.models.load_model(tmp_path / "network.keras", compile=False)
    assert type(loaded.layers[1]) is keras.layers.BatchNormalization
    assert loaded.layers[1].momentum == 0.9
    values = np.random.default_rng(0).random((1, 4, 4, 3), np.float32)
    np.testing.assert_allclose(loaded(values), network(values), rtol=1e-6)


@pytest.mark.parametrize("training", [True, False])
def test_a_leaky_relu_by_hand(training):
    # slope .25: -4 becomes -1, and its gradient .25 where a positive value's is 1
    inputs = tf.Variable([-4.0, 0.5, 3.0])
    with tf.GradientTape() as tape:
        outputs = leaky_relu()(negative_slope=0.25)(inputs, training=training)
    assert outputs.numpy().tolist() == [-1.0, 0.5, 3.0]
    assert tape.gradient(outputs, inputs).numpy().tolist() == [0.25, 1.0, 1.0]


def test_leaky_relu_without_normalisation_trains_in_silence():
    code = """if True:
    import numpy as np
    from glacier_ml.learning.backend import start_tensorflow
    from glacier_ml.learning.networks import build_network
    from glacier_ml.learning.parameters import parse_parameters
    from glacier_ml.learning.training import TrainingStep

    start_tensorflow()
    values = {"network": "unet", "learning_rate": 0.01, "tile_size": 16, "levels": 2, "base_filters": 4}
    parameters = parse_parameters({**values, "activation": "leaky_relu", "batch_norm": False}, "test")
    step = TrainingStep(build_network(parameters, np.zeros(8), np.ones(8)), parameters, 1)
    step(np.ones((2, 16, 16, 8), np.float32), np.ones((2, 16, 16, 2), np.float32), 1)
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=200)
    assert (done.returncode, done.stderr) == (0, "")
