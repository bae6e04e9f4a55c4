"""Studies stopped in every way go on with the same command: nothing is lost, nothing is done twice."""

import os
import shutil
import signal
import subprocess
import time
from contextlib import suppress
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


@pytest.mark.parametrize(("kills", "trials"), [(4, WANTED), pytest.param(20, 50, marks=pytest.mark.thorough)])
def test_a_killed_study_ends_as_one_that_was_not(store, short_studies, undisturbed, kills, trials):
    random, effective = np.random.default_rng(kills), 0
    for number in range(kills):
        pid = short_studies.start(store, moment=0.1, trials=trials)
        if number % 4 or kills == 4:  # else any moment from the start on
            wait_for_trials(2 if kills == 4 else 1)  # of 2 the first may be a retry
        time.sleep(random.uniform(0, 0.6))
        effective += short_studies.end(pid, signal.SIGKILL) == -signal.SIGKILL
    assert short_studies.run(store, trials=trials) == 0
    found = check_whole(stored(), trials)
    print(f"{kills} kills, {effective} of a study at work: {dict(found)}")
    assert effective == kills and found["interrupted"]
    if trials == WANTED:
        assert sorted(points(stored().trials)) == sorted(undisturbed)


@pytest.mark.parametrize("word", [signal.SIGINT, signal.SIGTERM])
def test_a_study_stopped_by_a_word_gives_back_its_trial(store, short_studies, undisturbed, word):
    pid = short_studies.start(store, moment=0.3, trials=WANTED)
    wait_for(lambda: len(noted()) >= 1)
    assert short_studies.end(pid, word) == 128 + word
    assert not [run for run in tracked(("trial", "study", "worker")) if run.info.status == "RUNNING"]
    assert short_studies.run(store, trials=WANTED) == 0
    assert check_whole(stored())["interrupted"] <= 1
    assert points(stored().trials) == undisturbed  # in the same order, too


def wait_for_trials(number):
    """Wait until so many more trials have begun."""
    wanted = len(noted("begun.txt")) + number
    wait_for(lambda: len(noted("begun.txt")) >= wanted)


def noted(name="trained.txt"):
    """What was trained to its end so far, or whose trainings have begun."""
    file = Path(name)
    return file.read_text(encoding="utf-8").splitlines() if file.is_file() else []


def test_workers_share_a_study_and_a_killed_one_is_replaced(store, short_studies):
    pid = short_studies.start(store, moment=0.3, trials=8, workers=2)
    wait_for(lambda: len(noted()) >= 2)
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
    wait_for(lambda: len(noted()) >= 2)
    workers = psutil.Process(pid).children(recursive=True)
    os.kill(pid, signal.SIGKILL)  # it alone
    short_studies.end(pid)
    _, alive = psutil.wait_procs(workers, timeout=60)
    assert not alive
    done = len(points(stored().trials))
    assert short_studies.run(store, trials=done + 2) == 0
    check_whole(stored(), done + 2)


def test_a_full_disk_ends_a_study_in_a_line_and_costs_no_trial(store, short_studies, undisturbed):
    assert short_studies.run(store, trials=3) == 0
    kept = Path("trained.txt").rename("kept.txt")
    Path("trained.txt").symlink_to("/dev/full")  # every write to it fails as on a full disk
    assert short_studies.run(store, trials=WANTED) == 2
    last = (store / "errors.txt").read_text().strip().splitlines()[-1]
    assert last.endswith(": the disk is full; mend that, and the same command goes on with the study")
    assert [state_of(trial) for trial in stored().trials] == [*["complete"] * 3, "interrupted", "waiting"]
    kept.rename("trained.txt")
    assert short_studies.run(store, trials=WANTED) == 0
    check_whole(stored())
    assert points(stored().trials) == undisturbed


@pytest.fixture
def small_disk(store, monkeypatch):
    """A working folder on a file system of 4 MB."""
    folder = store / "disk"
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "glacier_ml", folder], capture_output=True
    )
    if done.returncode:
        pytest.skip(f"no small file system can be mounted here: {done.stderr.decode().strip()}")
    shutil.copy(store / "mlflow.db", folder)
    monkeypatch.chdir(folder)
    yield folder
    monkeypatch.chdir(store)
    subprocess.run(["umount", "-l", folder], check=True)


@pytest.mark.thorough
def test_databases_on_a_full_disk_end_a_study_that_goes_on_later(small_disk, short_studies):
    errors, random = Path("errors.txt"), np.random.default_rng(0)
    errors.symlink_to(small_disk.parent / "errors.txt")
    stops = 0
    for _ in range(5):
        pid = short_studies.start(small_disk, moment=0.1, trials=WANTED)
        time.sleep(random.uniform(0.5, 3))
        with open("filler", "wb", buffering=0) as filler, suppress(OSError):
            while True:
                filler.write(bytes(4096))
        status = short_studies.end(pid)
        last = errors.read_text().strip().splitlines()[-1]
        assert status in (0, 2), errors.read_text()[-3000:]
        if status:
            stops += 1
            assert "the disk is full" in last, last
        os.unlink("filler")
    assert stops
    assert short_studies.run(small_disk, trials=WANTED) == 0
    found = check_whole(stored())
    print(f"{stops} stops of 5: {dict(found)}")


def test_the_values_are_what_the_trials_gave():
    # 1 / (1 + |.1 - .1| + |60 - 40| / 40) = 2 / 3
    parameters = short_experiment().with_values({"learning_rate": 0.1, "nodes": 60})
    assert (parameters.epochs, value_of(parameters)) == (EPOCHS, pytest.approx(2 / 3))
