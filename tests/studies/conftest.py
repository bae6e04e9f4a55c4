"""A small network that is not worth keeping."""

import numpy as np
import pytest


@pytest.fixture(scope="session")
def tiny_classifier():
    """Classifier of an untrained network with one hidden layer of two nodes."""
    from glacier_ml.learning.classifier import NetworkClassifier
    from glacier_ml.learning.features import feature_set
    from glacier_ml.learning.networks import build_ffnn
    from glacier_ml.learning.parameters import FfnnParameters

    parameters = FfnnParameters(learning_rate=0.001, tile_size=1, hidden_layers=1, nodes=2)
    features = len(feature_set(parameters.features).features)
    network = build_ffnn(parameters, np.zeros(features), np.ones(features))
    return NetworkClassifier("ffnn", network, parameters)
