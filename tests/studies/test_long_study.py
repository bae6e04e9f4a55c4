"""A study of many trials in one process: its memory does not grow."""

import numpy as np
import psutil
import pytest
from tiny_studies import SHARED, experiment_content, tiny_training

from glacier_ml.learning.training import TrainingFailed
from glacier_ml.studies import searching, tracking, tuning
from glacier_ml.studies.experiment import Experiment

GROWTH = 60e6  # bytes over the last 25 trials; a graph that stays takes 10 MB a trial
SEARCH = {
    "learning_rate": {"low": 0.001, "high": 0.05, "log": True},
    "levels": {"low": 2, "high": 3},
    "base_filters": {"choices": [2, 4]},
    "tile_size": {"choices": [32, 64]},
    "batch_norm": {"choices": [False, True]},
}


@pytest.mark.thorough
@pytest.mark.timeout(1800)
def test_the_memory_of_fifty_trials_does_not_grow(store, monkeypatch):
    content = experiment_content("unet", {**SHARED, "epoch_pixels": 16384, "batch_pixels": 4096})
    experiment = Experiment.model_validate({**content, "search": SEARCH, "warmup_epochs": 0})
    resident = []

    def watched(parameters, data, **options):
        resident.append(psutil.Process().memory_info().rss)
        if len(resident) % 10 == 5:
            raise TrainingFailed("every tenth trial fails")
        return run_trial(parameters, data, **options)

    run_trial = searching.run_trial
    monkeypatch.setattr(searching, "run_trial", watched)
    with tracking.start_run("study", "study"):
        states = tuning.tune(experiment, tiny_training(), trials=45, seed=0).states
    print("resident", [round(value / 1e6) for value in resident])
    assert sum(states.values()) == len(resident) == 50 and states["failed"] == 5
    # of five trials each: memory goes up and down by the size of what was not yet collected
    assert np.median(resident[-5:]) - np.median(resident[20:25]) < GROWTH
