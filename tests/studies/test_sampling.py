"""Which values trials try: a grid's points once each, in turn, and never all of them queued."""

import optuna
import pytest
from tiny_studies import experiment_content

from glacier_ml.studies.experiment import Experiment
from glacier_ml.studies.sampling import MOST_WAITING, first_points, queue_points

RATES = [0.01 * number for number in range(1, 11)]
SEARCH = {"nodes": {"choices": [4, 8, 12, 16]}, "learning_rate": {"choices": RATES}}


@pytest.fixture
def study():
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(direction="maximize")


def experiment(**changes):
    return Experiment.model_validate(experiment_content("ffnn", **{"search": SEARCH, **changes}))


def test_of_a_large_grid_few_points_wait_and_each_is_tried_once(study):
    grid = experiment(sampler="grid")
    tried, waited = [], []
    while True:
        queue_points(study, grid)
        waiting = study.get_trials(states=(optuna.trial.TrialState.WAITING,))
        if not waiting:
            break
        waited.append(len(waiting))
        trial = study.ask()
        tried.append(study.trials[trial.number].system_attrs["fixed_params"])
        study.tell(trial, 0.5)
    assert tried == first_points(grid) and len(tried) == 40
    assert max(waited) == MOST_WAITING < len(tried)


def test_what_was_queued_before_is_not_queued_again(study):
    for _ in range(2):
        queue_points(study, experiment())  # draws all but the baseline
    assert [trial.system_attrs["fixed_params"] for trial in study.trials] == first_points(experiment())
