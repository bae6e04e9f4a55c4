"""Our layers against Keras's own."""

import subprocess
import sys
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glacier_ml.learning import layers
from glacier_ml.learning.backend import start_tensorflow
from glacier_ml.learning.layers import batch_normalisation, convolution, kernel_gradient, leaky_relu
from glacier_ml.learning.networks import build_network
from glacier_ml.learning.parameters import UnetParameters
from glacier_ml.learning.training import TrainingStep

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


def test_gradient_of_a_kernel_by_hand():
    # The upstream gradient is that of the upper left pixel alone, 10: each element of the kernel has 10 times
    # the pixel that it meets there, which beyond the image is 0.
    images = np.float32([[1, 2], [3, 4]]).reshape(1, 2, 2, 1)
    upstream = np.float32([[10, 0], [0, 0]]).reshape(1, 2, 2, 1)
    expected = [[0, 0, 0], [0, 10, 20], [0, 30, 40]]
    assert np.reshape(kernel_gradient(images, upstream), (3, 3)).tolist() == expected


@settings(max_examples=20, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 9)),
    channels=st.integers(1, 5),
    filters=st.integers(1, 5),
    seed=st.integers(0, 2**31),
)
def test_gradient_of_a_kernel_is_tensorflows(shape, channels, filters, seed):
    random = np.random.default_rng(seed)
    images = random.standard_normal((*shape, channels)).astype(np.float32)
    upstream = random.standard_normal((*shape, filters)).astype(np.float32)
    expected = tf.raw_ops.Conv2DBackpropFilter(
        input=images,
        filter_sizes=[3, 3, channels, filters],
        out_backprop=upstream,
        strides=[1, 1, 1, 1],
        padding="SAME",
    )
    np.testing.assert_allclose(kernel_gradient(images, upstream), expected, rtol=1e-4, atol=1e-4)


def avx2_alone(monkeypatch, alone=True):
    """As on a processor with AVX2 and no AVX-512, or on another; lists what the matrices serve for."""
    asked = []

    def noted(images, upstream):
        asked.append((tuple(images.shape[1:]), upstream.shape[-1]))
        return kernel_gradient(images, upstream)

    monkeypatch.setattr(layers, "has_avx2_alone", lambda: alone)
    monkeypatch.setattr(layers, "kernel_gradient", noted)
    return asked


@pytest.mark.parametrize("bias", [True, False])
def test_a_convolution_learns_as_keras_own(monkeypatch, bias):
    asked = avx2_alone(monkeypatch)
    random = np.random.default_rng(0)
    batch = random.standard_normal((2, 64, 66, 32)).astype(np.float32)
    target = random.standard_normal((2, 64, 66, 3)).astype(np.float32)
    ours, theirs = (
        kind(3, 3, padding="same", use_bias=bias) for kind in (convolution(), keras.layers.Conv2D)
    )
    for layer in (ours, theirs):
        layer.build(batch.shape)
    weights = [random.standard_normal(one.shape).astype(np.float32) for one in theirs.get_weights()]
    ours.set_weights(weights)
    theirs.set_weights(weights)
    found, expected = trained(ours, [batch], [target]), trained(theirs, [batch], [target])
    assert asked == [((64, 66, 32), 3)]
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5 * np.abs(other).max())


@pytest.mark.parametrize(
    ("alone", "gpus", "shape", "dtype", "quicker"),
    [
        (True, [], (None, 64, 64, 32), "float32", True),
        (False, [], (None, 64, 64, 32), "float32", False),  # AVX-512: oneDNN's kernels are quicker
        (True, ["one"], (None, 64, 64, 32), "float32", False),
        (True, [], (None, 63, 64, 32), "float32", False),
        (True, [], (None, 64, 64, 16), "float32", False),
        (True, [], (None, 64, 64, 40), "float32", False),  # parts of such an array would be copied
        (True, [], (None, None, None, 32), "float32", False),
        (True, [], (None, 64, 64, 32), "bfloat16", False),
    ],
)
def test_matrices_serve_where_they_are_quicker(monkeypatch, alone, gpus, shape, dtype, quicker):
    monkeypatch.setattr(layers, "has_avx2_alone", lambda: alone)
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: gpus)
    assert layers.matrices_are_quicker(keras.KerasTensor(shape, dtype)) is quicker


@pytest.mark.parametrize(
    "options",
    [
        {"training": False},
        {"kernel_size": 1},
        {"padding": "valid"},
        {"strides": 2},
        {"dilation_rate": 2},
        {"groups": 2},
        {"activation": "relu"},
    ],
)
def test_elsewhere_a_convolution_is_keras_own(monkeypatch, options):
    asked = avx2_alone(monkeypatch)
    training = options.pop("training", True)
    batch = np.random.default_rng(0).standard_normal((1, 64, 64, 32)).astype(np.float32)
    made = {"filters": 2, "kernel_size": 3, "padding": "same", "kernel_initializer": "ones"} | options
    found = []
    for kind in (convolution(), keras.layers.Conv2D):
        layer = kind(**made)
        with tf.GradientTape() as tape:
            outputs = layer(batch, training=training)
        found.append((outputs, *tape.gradient(outputs, layer.trainable_variables)))
    assert asked == []
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_wide_network_takes_the_same_step(monkeypatch):
    shape = {"learning_rate": 0.01, "tile_size": 64, "levels": 2, "base_filters": 32}
    parameters = UnetParameters(**shape, batch_norm=True, penalty=1e-3)
    random = np.random.default_rng(0)
    batch = random.standard_normal((2, 64, 64, 8)).astype(np.float32), np.ones((2, 64, 64, 2), np.float32)
    stepped = {}
    for alone in (False, True):
        asked = avx2_alone(monkeypatch, alone)
        keras.utils.set_random_seed(0)
        network = build_network(parameters, np.zeros(8), np.ones(8))
        TrainingStep(network, parameters, 1)(*batch, 1)
        stepped[alone] = network.get_weights()
    # Of the five convolutions of 3 x 3 the first has 8 channels, and two have images of 32 x 32.
    assert sorted(asked) == [((64, 64, 32), 32), ((64, 64, 32), 32), ((64, 64, 64), 32)]
    for one, other in zip(*stepped.values(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)


def test_a_convolution_is_saved_as_keras_own_layer(tmp_path):
    inputs = keras.Input((None, None, 3))
    keras.Model(inputs, convolution()(4, 3, padding="same")(inputs)).save(tmp_path / "network.keras")
    loaded = keras.models.load_model(tmp_path / "network.keras", compile=False)
    assert type(loaded.layers[1]) is keras.layers.Conv2D and loaded.layers[1].padding == "same"
