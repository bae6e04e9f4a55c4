"""Fixtures for studies: an empty tracking store, and a small network that is not worth keeping."""

import shutil

import numpy as np
import pytest


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory):
    """Make mlflow's tables once: that takes a second or more, and a copy nothing."""
    from mlflow import MlflowClient

    path = tmp_path_factory.mktemp("database") / "mlflow.db"
    MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def store(tmp_path, monkeypatch, empty_database):
    """Make an empty working folder the tracking store, with nothing told by the environment."""
    import mlflow

    for name in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    shutil.copy(empty_database, tmp_path)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    while mlflow.active_run():
        mlflow.end_run()


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
