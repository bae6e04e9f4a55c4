"""One trial of a search: whose it is where two processes take the same one out of the queue."""

import optuna
import pytest

from glacier_ml.studies import searching
from glacier_ml.studies.processes import process_name

OTHER = "another-machine 1 0"


@pytest.fixture
def study(store, monkeypatch):
    """A study with one trial in its queue, that others work on, too."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    monkeypatch.setattr(searching, "AT_ONCE", 0.0)
    study = optuna.create_study(study_name="shared", storage="sqlite:///optuna.db", direction="maximize")
    study.enqueue_trial({"nodes": 4})
    return study


def claim(trial, name):
    """Say whose a trial is, as another process would: past what this process's trial keeps."""
    elsewhere = optuna.load_study(study_name="shared", storage="sqlite:///optuna.db")
    elsewhere._storage.set_trial_user_attr(trial._trial_id, "process", name)


def asked(study):
    """The next trial, which this process says to be its own."""
    trial = study.ask()
    trial.set_user_attr("process", process_name())
    return trial


@pytest.mark.parametrize(("later", "ours"), [(None, True), (OTHER, False)])
def test_a_queued_trial_is_whose_name_stays(study, later, ours):
    trial = asked(study)
    if later:
        claim(trial, later)
    assert searching._is_ours(study, trial, "sqlite:///optuna.db") is ours


def test_elsewhere_and_of_drawn_trials_nobody_takes_the_same(study):
    trial = asked(study)
    claim(trial, OTHER)
    assert searching._is_ours(study, trial, "postgresql://server/studies")
    drawn = asked(study)
    claim(drawn, OTHER)
    assert searching._is_ours(study, drawn, "sqlite:///optuna.db")


def test_what_another_has_begun_is_left_to_it(study, monkeypatch):
    taken = study.ask()
    claim(taken, OTHER)
    late = optuna.Trial(study, taken._trial_id)  # as this process sees it that took it out, too
    monkeypatch.setattr(study, "ask", lambda: late)
    search = searching.Trial.__new__(searching.Trial)
    monkeypatch.setattr(search, "_run_to_its_end", lambda *_: pytest.fail("it ran"))
    search(study)
    assert study.get_trials()[0].user_attrs["process"] == OTHER
    assert study.get_trials()[0].state.name == "RUNNING"
