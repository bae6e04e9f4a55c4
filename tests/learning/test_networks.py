"""Networks: the report's parameter counts, and what each parameter changes."""

import numpy as np
import pytest

from glacier_ml.errors import GlacierError
from glacier_ml.learning.networks import build_network, training_bytes
from glacier_ml.learning.parameters import parse_parameters

ACTIVATIONS = ("relu", "leaky_relu", "tanh", "sigmoid", "linear", "elu", "gelu", "silu")


def unet(**changed):
    values = {"network": "unet", "learning_rate": 1e-3, "tile_size": 96, "levels": 2, "base_filters": 4}
    return parse_parameters({**values, **changed}, "test")


def ffnn(**changed):
    return parse_parameters({"network": "ffnn", "learning_rate": 0.3, "tile_size": 1, **changed}, "test")


def built(parameters, features=3):
    return build_network(parameters, np.zeros(features), np.ones(features))


def layers_named(network, kind):
    return [layer for layer in network.layers if type(layer).__name__ == kind]


@pytest.mark.parametrize(
    ("size", "count"), [(96, 723_445), (128, 1_285_489), (288, 6_502_429), (384, 11_557_969)]
)
def test_the_reports_unet_has_the_reports_parameters(size, count):
    # A 3 x 3 convolution from a to b channels has 9ab + b parameters, a 2 x 2 transposed one 4ab + b. With
    # f = P/8, P/4, P/2, P, P: down 9 f_in f + 9 f f + 2f; up 4 f_below f + f, then 9 (2f) f + 9 f f + 2f.
    f = [3, size // 8, size // 4, size // 2, size, size]
    down = sum(9 * a * b + 9 * b * b + 2 * b for a, b in zip(f, f[1:], strict=False))
    up = sum(4 * below * b + b + 27 * b * b + 2 * b for b, below in zip(f[1:], f[2:], strict=False))
    assert down + up + f[1] + 1 == count  # and the 1 x 1 convolution to a logit
    dropout = [0.1, 0.1, 0.2, 0.2, 0.3, 0.2, 0.2, 0.1, 0.1]
    report = {"network": "unet", "recipe": "report", "tile_size": size, "activation": "leaky_relu"}
    network = built(parse_parameters(report, "test"))
    assert network.count_params() == count
    assert [layer.rate for layer in layers_named(network, "Dropout")] == dropout
    assert {layer.negative_slope for layer in layers_named(network, "LeakyReLU")} == {0.1}


def test_the_reports_per_pixel_network_with_one_logit():
    # 3 -> 100: 400; three times 100 -> 100: 10,100 each; 100 -> 1: 101
    assert built(ffnn()).count_params() == 400 + 3 * 10_100 + 101 == 30_801


def test_the_reports_per_pixel_network_has_two_softmax_outputs():
    network = built(ffnn(recipe="report"))
    # 3 -> 100: 400; three times 100 -> 100: 10,100 each; 100 -> 2: 202
    assert network.count_params() == 400 + 3 * 10_100 + 202 == 30_902
    values = np.random.default_rng(0).random((5, 3), np.float32)
    hidden = values
    for layer in layers_named(network, "Dense")[:-1]:
        hidden = np.maximum(layer(hidden).numpy(), 0)
    scores = np.exp(network.get_layer("classes")(hidden).numpy())
    softmax = scores[:, 1] / scores.sum(axis=1)
    logit = network(values, training=False).numpy()[:, 0]
    np.testing.assert_allclose(1 / (1 + np.exp(-logit)), softmax, rtol=1e-5)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_the_report_draws_weights_as_keras_does_but_for_convolutions(activation):
    own = {"recipe": "report", "activation": activation}
    convolutional = built(parse_parameters({"network": "unet", "tile_size": 32, **own}, "test"))
    drawn = [type(layer.kernel_initializer).__name__ for layer in layers_named(convolutional, "Conv2D")]
    assert drawn == ["HeNormal"] * 18 + ["GlorotUniform"]  # nine pairs, and the logit
    turned = layers_named(convolutional, "Conv2DTranspose") + layers_named(built(ffnn(**own)), "Dense")
    assert {type(layer.kernel_initializer).__name__ for layer in turned} == {"GlorotUniform"}


def test_hidden_layers_and_nodes():
    # 3 -> 7: 28, 7 -> 7: 56, 7 -> 1: 8
    assert built(ffnn(hidden_layers=2, nodes=7)).count_params() == 28 + 56 + 8
    assert built(ffnn(hidden_layers=0)).count_params() == 4  # a plain logistic regression
    with_norm = built(ffnn(hidden_layers=2, nodes=7, batch_norm=True))
    assert with_norm.count_params() == 92 + 2 * 4 * 7  # scale, shift, mean, variance of each node
    assert len(layers_named(built(ffnn(dropout=0.3)), "Dropout")) == 4


def test_a_small_unet_counted_by_hand():
    # 3 -> 4 -> 4: 112 + 148; 4 -> 8 -> 8: 296 + 584; up 8 -> 4 (2 x 2): 132; 8 -> 4 -> 4: 292 + 148; logit 5
    assert built(unet(batch_norm=False)).count_params() == 112 + 148 + 296 + 584 + 132 + 292 + 148 + 5


@pytest.mark.parametrize("levels", [2, 3, 5])
def test_levels_pool_and_unpool_and_double_the_filters(levels):
    network = built(unet(levels=levels))
    assert len(layers_named(network, "MaxPooling2D")) == levels - 1
    assert len(layers_named(network, "Conv2DTranspose")) == levels - 1
    convolutions = [layer.filters for layer in layers_named(network, "Conv2D")]
    down = [4 * 2**level for level in range(levels) for _ in range(2)]
    assert convolutions == down + down[-3::-1] + [1]


@pytest.mark.parametrize("convolutions", [1, 2, 3])
def test_convolutions_a_level(convolutions):
    network = built(unet(levels=3, convolutions=convolutions))
    assert len(layers_named(network, "Conv2D")) == 5 * convolutions + 1  # 3 levels down, 2 up, the logit


def test_batch_normalisation_is_on_or_off():
    assert len(layers_named(built(unet()), "BatchNormalization")) == 6
    assert not layers_named(built(unet(batch_norm=False)), "BatchNormalization")


def test_a_head_is_fully_connected_at_each_pixel():
    plain, head = built(unet(batch_norm=False)), built(unet(batch_norm=False, head_nodes=[20, 10]))
    # 4 -> 20: 100, 20 -> 10: 210, 10 -> 1: 11, instead of 4 -> 1: 5
    assert head.count_params() - plain.count_params() == 100 + 210 + 11 - 5
    assert [layer.kernel_size for layer in layers_named(head, "Conv2D")][-3:] == [(1, 1)] * 3


def test_dropout_is_one_share_or_a_list():
    assert len(layers_named(built(unet(dropout=0.2)), "Dropout")) == 3
    rates = [layer.rate for layer in layers_named(built(unet(dropout=[0.1, 0.0, 0.3])), "Dropout")]
    assert rates == [0.1, 0.3]  # a share of 0 needs no layer
    with pytest.raises(GlacierError, match="dropout: 2 levels need 3 values"):
        unet(dropout=[0.1, 0.2])


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("kind", [unet, ffnn])
def test_every_activation_builds_and_answers_finitely(kind, activation):
    network = built(kind(activation=activation))
    values = np.random.default_rng(0).normal(size=(1, 8, 8, 3) if kind is unet else (8, 3))
    logit = network(values.astype(np.float32), training=False).numpy()
    assert logit.shape == (*values.shape[:-1], 1)
    assert np.isfinite(logit).all() and logit.std() > 0


@pytest.mark.parametrize(("rows", "columns"), [(4, 4), (16, 36), (40, 8)])
def test_rows_and_columns_are_free_multiples_of_the_stride(rows, columns):
    parameters = unet(levels=3)
    assert rows % parameters.stride == columns % parameters.stride == 0
    assert built(parameters)(np.zeros((2, rows, columns, 3)), training=False).shape == (2, rows, columns, 1)


@pytest.mark.parametrize("kind", [unet, ffnn])
def test_normalisation_is_a_fixed_layer(kind):
    parameters = kind(hidden_layers=0) if kind is ffnn else kind(batch_norm=False)
    network = build_network(parameters, np.array([1.0, 2.0, 3.0]), np.array([4.0, 9.0, 16.0]))
    layer = network.get_layer("normalisation")
    assert not layer.trainable_variables and not layer.get_weights()
    # (3 - 1) / 2, (2 - 2) / 3, (11 - 3) / 4
    pixel = np.array([3, 2, 11], dtype=np.float32)[(None,) * (len(network.input_shape) - 1)]
    np.testing.assert_allclose(layer(pixel).numpy().ravel(), [1, 0, 2], rtol=1e-6)
    network(pixel if kind is ffnn else np.zeros((1, 4, 4, 3), np.float32), training=True)
    np.testing.assert_allclose(layer(pixel).numpy().ravel(), [1, 0, 2], rtol=1e-6)


@pytest.mark.parametrize("kind", [unet, ffnn])
def test_the_penalty_is_that_of_every_kernel_and_of_no_bias(kind):
    network = built(kind(penalty=0.01))
    kernels = [weight for weight in network.trainable_weights if weight.name == "kernel"]
    assert len(network.losses) == len(kernels)
    expected = sum(0.01 * float((weight.numpy() ** 2).sum()) for weight in kernels)
    assert float(sum(network.losses)) == pytest.approx(expected, rel=1e-5)
    assert not built(kind()).losses


def test_memory_grows_by_the_pixel_from_the_weights_up():
    for parameters in (unet(levels=4), ffnn(), unet(head_nodes=[50])):
        none, once, thrice = (training_bytes(parameters, 8, pixels) for pixels in (0, 10**6, 3 * 10**6))
        assert thrice - none == pytest.approx(3 * (once - none), rel=1e-6)
        assert once > none >= 0


@pytest.mark.parametrize(
    "larger",
    [{"base_filters": 8}, {"levels": 5}, {"convolutions": 3}, {"batch_norm": True}, {"head_nodes": [99]}],
)
def test_memory_grows_with_the_network(larger):
    plain = {"levels": 4, "batch_norm": False}
    assert training_bytes(unet(**{**plain, **larger}), 8, 10**5) > training_bytes(unet(**plain), 8, 10**5)


def test_the_reports_largest_batch_is_known_to_need_more_than_20_gb():
    # 384 px at batch 32, filters 48 96 192 384 384: over 20 GB, where the kernel kills without an exception
    report = unet(tile_size=384, filters=[48, 96, 192, 384, 384], batch_norm=False)
    assert 20e9 < training_bytes(report, 3, 32 * 384**2) < 60e9


@pytest.mark.parametrize(
    ("parameters", "features", "pixels", "measured"),
    [
        # growth of the process's largest resident size over one training step, TensorFlow 2.21 on 2 cores
        (unet(levels=5, base_filters=16), 8, 9 * 128**2, 0.22e9),
        (unet(levels=5, base_filters=16), 8, 18 * 128**2, 0.45e9),
        (unet(levels=4, base_filters=8, activation="elu"), 8, 2 * 128**2, 0.034e9),
        (unet(tile_size=384, filters=[48, 96, 192, 384, 384], batch_norm=False), 8, 2 * 384**2, 1.12e9),
        (ffnn(), 8, 16 * 128**2, 0.68e9),
    ],
    ids=["unet", "twice", "small", "report", "ffnn"],
)
def test_memory_is_estimated_on_the_safe_side_of_what_was_measured(parameters, features, pixels, measured):
    assert measured < training_bytes(parameters, features, pixels) < 5 * measured
