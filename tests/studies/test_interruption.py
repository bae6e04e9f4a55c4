"""Studies stopped in every way go on with the same command: nothing is lost, nothing is done twice."""

import os
import signal
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from short_study import EPOCHS, short_experiment, value_of
from whole_studies import check_whole, points, stored, tracked, wait_for

from glacier_ml.studies.records import state_of

WANTED = 12


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, short_studies):
    """What the study tries when nothing stops it."""
    folder = tmp_path_factory.mktemp("undisturbed")
    assert short_studies.run(folder, trials=WANTED) == 0
    return points(stored(f"sqlite:///{folder}/optuna.db").trials)


@pytest.mark.parametrize("kills", [4, pytest.param(20, marks=pytest.mark.thorough)])
def test_a_killed_study_ends_as_one_that_was_not(store, short_studies, undisturbed, kills):
    random = np.random.default_rng(kills)
    for _ in range(kills):
        pid = short_studies.start(store, moment=0.02, trials=WANTED)
        time.sleep(random.uniform(0.05, 2.0 if kills == 4 else 1.0))
        assert short_studies.end(pid, signal.SIGKILL) in (0, -signal.SIGKILL)
    assert short_studies.run(store, trials=WANTED) == 0
    found = check_whole(stored())
    print(f"{kills} kills: {dict(found)}")
    assert sorted(points(stored().trials)) == sorted(undisturbed)


@pytest.mark.parametrize("word", [signal.SIGINT, signal.SIGTERM])
def test_a_study_stopped_by_a_word_gives_back_its_trial(store, short_studies, undisturbed, word):
    pid = short_studies.start(store, moment=0.3, trials=WANTED)
    wait_for(lambda: len(trained()) >= 1)
    assert short_studies.end(pid, word) == 128 + word
    assert not [run for run in tracked(("trial", "study", "worker")) if run.info.status == "RUNNING"]
    assert short_studies.run(store, trials=WANTED) == 0
    assert check_whole(stored())["interrupted"] <= 1
    assert points(stored().trials) == undisturbed  # in the same order, too


def trained():
    """What was trained to its end so far."""
    file = Path("trained.txt")
    return file.read_text(encoding="utf-8").splitlines() if file.is_file() else []


def test_workers_share_a_study_and_a_killed_one_is_replaced(store, short_studies):
    pid = short_studies.start(store, moment=0.3, trials=8, workers=2)
    wait_for(lambda: len(trained()) >= 2)
    workers = [one for one in psutil.Process(pid).children() if "spawn_main" in " ".join(one.cmdline())]
    assert len(workers) == 2
    workers[0].kill()
    assert short_studies.end(pid) == 0
    trials = stored().trials
    assert check_whole(stored(), 8)["interrupted"] <= 1
    assert len({trial.user_attrs["process"] for trial in trials if state_of(trial) == "complete"}) >= 2
    assert "was killed by signal 9: another takes its place" in (store / "errors.txt").read_text()


def test_workers_end_with_the_command_that_started_them(store, short_studies):
    pid = short_studies.start(store, moment=0.3, trials=30, workers=2)
    wait_for(lambda: len(trained()) >= 2)
    workers = psutil.Process(pid).children(recursive=True)
    os.kill(pid, signal.SIGKILL)  # it alone
    short_studies.end(pid)
    _, alive = psutil.wait_procs(workers, timeout=60)
    assert not alive
    done = len(points(stored().trials))
    assert short_studies.run(store, trials=done + 2) == 0
    check_whole(stored(), done + 2)


def test_the_values_are_what_the_trials_gave():
    # 1 / (1 + |.1 - .1| + |60 - 40| / 40) = 2 / 3
    parameters = short_experiment().with_values({"learning_rate": 0.1, "nodes": 60})
    assert (parameters.epochs, value_of(parameters)) == (EPOCHS, pytest.approx(2 / 3))
