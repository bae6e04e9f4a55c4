"""Small networks with random weights, for what is done with any network."""

import numpy as np

from glacier_ml.learning.classifier import NetworkClassifier
from glacier_ml.learning.networks import build_network
from glacier_ml.learning.parameters import parse_parameters


def unet(**changed):
    values = {"network": "unet", "learning_rate": 0.01, "tile_size": 32, "levels": 3, "base_filters": 4}
    return parse_parameters({**values, "convolutions": 1, "batch_norm": False, **changed}, "test")


def ffnn(**changed):
    values = {"network": "ffnn", "learning_rate": 0.01, "tile_size": 1, "hidden_layers": 1, "nodes": 10}
    return parse_parameters({**values, **changed}, "test")


def untrained(parameters, features=8):
    """A network with random weights: what it says is no matter here, but it must depend on the input."""
    import keras

    keras.utils.set_random_seed(3)
    network = build_network(parameters, np.full(features, 0.3), np.full(features, 0.1))
    return NetworkClassifier(parameters.network, network, parameters, origin={"seed": 3})
