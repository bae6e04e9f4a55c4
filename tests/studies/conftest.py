"""A small network that is not worth keeping, and training that follows a script."""

from types import SimpleNamespace

import numpy as np
import pytest

from glacier_ml.studies import searching, tracking


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


@pytest.fixture
def trained(store, monkeypatch, tiny_classifier):
    """Replace training by a script: `trained(script)` gives the list of the parameters that were tried.

    `script(number, parameters)` is a trial's validation IoU by epoch, or what it raises.
    """
    tried = []

    def replace(script):
        def run_trial(parameters, data, *, seed, memory_limit, on_epoch, **_):
            tried.append(parameters)
            history = script(len(tried) - 1, parameters)
            if isinstance(history, Exception):
                raise history
            for epoch, value in enumerate(history):
                on_epoch(epoch, {"val/iou": value})
            return SimpleNamespace(best={"val/iou": max(history)}, classifier=tiny_classifier)

        monkeypatch.setattr(searching, "run_trial", run_trial)
        monkeypatch.setattr(tracking, "log_classifier", lambda classifier: None)
        return tried

    return replace
