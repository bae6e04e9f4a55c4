"""Activation maps: the layers' own numbers, at their own resolution, whatever Keras calls the layers."""

import dataclasses

import numpy as np
import pytest
from made_networks import ffnn, unet, untrained
from made_scenes import made_scene

from glacier_ml.errors import GlacierError
from glacier_ml.learning.activations import activation_maps, convolutions, main_convolutions
from glacier_ml.learning.classifier import NetworkClassifier


@pytest.fixture(scope="module")
def plain():
    """Three levels of 4, 8, 16 filters, two convolutions each, without batch normalisation."""
    return untrained(unet(convolutions=2))


@pytest.fixture(scope="module")
def tile():
    return made_scene("any", (40, 32)).scene


def test_convolutions_are_named_by_their_place(plain):
    assert convolutions(plain) == [
        *("down1.1", "down1.2", "down2.1", "down2.2", "bottom3.1", "bottom3.2"),
        *("up2.1", "up2.2", "up1.1", "up1.2"),
    ]
    assert main_convolutions(plain) == ["down1.2", "down2.2", "bottom3.2", "up2.2", "up1.2"]


def test_maps_have_the_resolution_and_filters_of_their_level(plain, tile):
    maps = activation_maps(plain, plain.features(tile))
    assert {name: values.shape for name, values in maps.items()} == {
        "down1.2": (40, 32, 4),
        "down2.2": (20, 16, 8),
        "bottom3.2": (10, 8, 16),
        "up2.2": (20, 16, 8),
        "up1.2": (40, 32, 4),
    }
    assert all(values.dtype == np.float32 and values.min() >= 0 for values in maps.values())  # ReLU


def convolved(image, kernel, bias):
    """A same-padded 3 x 3 convolution by hand: (rows, columns, inputs) with (3, 3, inputs, filters)."""
    padded = np.pad(image, [(1, 1), (1, 1), (0, 0)])
    rows, columns = image.shape[:2]
    shifted = [
        padded[row : row + rows, column : column + columns] @ kernel[row, column]
        for row in range(3)
        for column in range(3)
    ]
    return np.sum(shifted, axis=0) + bias


def test_the_first_map_is_the_first_convolution_worked_by_hand(plain, tile):
    features = plain.features(tile)
    normalised = (features - 0.3) / np.sqrt(0.1)  # the mean and variance that `untrained` gives
    kernel, bias = (np.array(weights) for weights in plain.network.layers[2].get_weights())
    expected = np.maximum(convolved(normalised, kernel, bias), 0)
    found = activation_maps(plain, features, ["down1.1"])["down1.1"]
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_the_last_map_gives_the_logit(plain, tile):
    features = plain.features(tile)
    last = activation_maps(plain, features, ["up1.2"])["up1.2"]
    kernel, bias = plain.network.get_layer("logit").get_weights()
    np.testing.assert_allclose(
        last @ kernel[0, 0, :, 0] + bias, plain.network(features[None])[0, ..., 0], rtol=1e-4, atol=1e-4
    )


def test_a_tile_between_strides_is_filled_up_and_cut_again(plain, tile):
    maps = activation_maps(plain, plain.features(tile)[:39, :30])
    assert maps["down1.2"].shape[:2] == (39, 30)
    assert maps["bottom3.2"].shape[:2] == (10, 8)
    # far from the border that was filled up, nothing has changed
    whole = activation_maps(plain, plain.features(tile))
    np.testing.assert_allclose(maps["down1.2"][:30, :20], whole["down1.2"][:30, :20], atol=1e-5)


@pytest.mark.parametrize("changed", [{"activation": "leaky_relu"}, {"batch_norm": True, "dropout": 0.2}])
def test_other_layers_between_convolutions_do_not_shift_the_names(changed, tile):
    classifier = untrained(unet(levels=2, head_nodes=[6, 5], **changed))
    assert convolutions(classifier) == ["down1.1", "bottom2.1", "up1.1", "head.1", "head.2"]
    assert main_convolutions(classifier) == ["down1.1", "bottom2.1", "up1.1"]
    maps = activation_maps(classifier, classifier.features(tile), convolutions(classifier))
    assert [values.shape[-1] for values in maps.values()] == [4, 8, 4, 6, 5]
    again = activation_maps(classifier, classifier.features(tile), ["up1.1"])["up1.1"]
    np.testing.assert_array_equal(again, maps["up1.1"])


def test_a_saved_network_has_the_same_maps(plain, tile, tmp_path):
    plain.save(tmp_path)
    loaded = NetworkClassifier.load(tmp_path)
    features = plain.features(tile)
    for name, values in activation_maps(loaded, features).items():
        np.testing.assert_allclose(values, activation_maps(plain, features)[name], atol=1e-6)


def test_what_cannot_be_shown_is_one_line(plain, tile):
    with pytest.raises(GlacierError, match="ffnn: has no convolution, it maps pixel by pixel"):
        convolutions(untrained(ffnn()))
    features = plain.features(tile)
    with pytest.raises(GlacierError, match=r"layers: conv7 named; .* are down1.1, down1.2, .*up1.2; choose"):
        activation_maps(plain, features, ["up1.2", "conv7"])
    with pytest.raises(GlacierError, match="layers: none named"):
        activation_maps(plain, features, [])
    for wrong in (features[..., :3], features[0], features[:0], np.zeros((1025, 8, 8), dtype=np.float32)):
        with pytest.raises(GlacierError, match=r"\(rows, columns, 8\) features and sides of 1 to 1024 px"):
            activation_maps(plain, wrong)


def test_a_scene_of_the_other_quantity_has_no_features(plain, tile):
    ground = dataclasses.replace(tile, provenance={"quantity": "surface_reflectance"})
    with pytest.raises(GlacierError, match="holds surface reflectance"):
        plain.features(ground)
