"""Processes of one machine on one piece of work: shares, errors, deaths, ends."""

import os

import made_work
import pytest

from glacier_ml.errors import GlacierError
from glacier_ml.studies import workers
from glacier_ml.studies.workers import run_workers, share_of_cores


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(workers, "POLL", 0.02)


def test_cores_are_divided_and_none_is_without(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)), raising=False)
    assert [share_of_cores(number) for number in (1, 2, 3, 8, 20)] == [8, 4, 2, 1, 1]


def test_each_process_is_told_its_share_and_this_one_is_not(tmp_path, monkeypatch):
    monkeypatch.setattr(workers, "share_of_cores", lambda number: 7 - number)
    monkeypatch.delenv("GLACIER_ML_THREADS", raising=False)
    run_workers(made_work.note_threads, (str(tmp_path),), 2, tmp_path, lambda: 0)
    assert {file.name: file.read_text() for file in tmp_path.glob("threads-*")} == {
        "threads-0": "5",
        "threads-1": "5",
    }
    assert "GLACIER_ML_THREADS" not in os.environ


def test_what_one_raises_for_people_is_raised_here(tmp_path):
    with pytest.raises(GlacierError, match="storage: worker 0 cannot open it; name another"):
        run_workers(made_work.refuse, (str(tmp_path),), 1, tmp_path, lambda: 0)


def test_a_fault_of_the_program_names_the_worker(tmp_path, capfd):
    with pytest.raises(GlacierError, match="worker 0 ended with status 1; what it wrote above says why"):
        run_workers(made_work.break_down, (str(tmp_path),), 1, tmp_path, lambda: 0)
    assert "ValueError: shapes differ" in capfd.readouterr().err


def test_one_that_is_killed_is_replaced(tmp_path, capsys):
    run_workers(made_work.die_once, (str(tmp_path),), 1, tmp_path, lambda: 0)
    assert (tmp_path / "done").exists()
    assert "worker 0 was killed by signal 9: another takes its place" in capsys.readouterr().err


def test_killed_again_and_again_they_are_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(workers, "DEATHS", 1)
    with pytest.raises(GlacierError, match="2 processes in a row were killed before anything got done"):
        run_workers(made_work.die, (str(tmp_path),), 1, tmp_path, lambda: 0)


def test_an_end_here_ends_them_tidily(tmp_path):
    def progress():
        if (tmp_path / "begun-0").exists():
            raise KeyboardInterrupt
        return 0

    with pytest.raises(KeyboardInterrupt):
        run_workers(made_work.wait_long, (str(tmp_path),), 1, tmp_path, progress)
    assert (tmp_path / "tidied-0").exists()


def test_a_folder_is_there_for_the_block_and_those_of_dead_processes_go(tmp_path, monkeypatch):
    monkeypatch.setattr(workers.tempfile, "tempdir", str(tmp_path))
    for owner in ("4194305", str(os.getpid()), "somebody"):  # no process has the first number
        (tmp_path / f"glacier_ml-study-{owner}-x").mkdir()
        (tmp_path / f"glacier_ml-study-{owner}-x/search.joblib").touch()
    with workers.working_folder() as folder:
        assert folder.is_dir() and folder.parent == tmp_path
    assert not folder.exists()
    left = {path.name.split("-")[2] for path in tmp_path.iterdir()}
    assert left == {str(os.getpid()), "somebody"}
