"""One study by many commands: on PostgreSQL with a tracking server before it, or on a shared journal."""

import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from contextlib import suppress
from urllib.request import urlopen

import psutil
import pytest
from whole_studies import check_whole, close_stored, points, stored, tracked, wait_for

from glacier_ml.studies import tracking
from glacier_ml.studies.records import state_of

GIVEN = "GLACIER_ML_POSTGRESQL"


@pytest.fixture
def database():
    """Factory of new databases on the server that the environment names; gives their URLs."""
    if GIVEN not in os.environ:
        pytest.skip(f"{GIVEN} names no PostgreSQL to make databases on")
    import psycopg

    server, made = os.environ[GIVEN], []

    def make():
        made.append(f"glacier_ml_{uuid.uuid4().hex[:12]}")
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f"create database {made[-1]}")
        return f"{server.rpartition('/')[0]}/{made[-1]}"

    yield make
    close_stored()
    with psycopg.connect(server, autocommit=True) as connection:
        for name in made:
            connection.execute(f"drop database if exists {name} with (force)")


class Server:
    """A tracking server on PostgreSQL that takes artifacts."""

    def __init__(self, folder, database):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.folder, self.address = folder, f"http://127.0.0.1:{port}"
        self.command = [sys.executable, "-m", "mlflow", "server", "--port", str(port), "--workers", "1"]
        self.command += ["--backend-store-uri", database, "--artifacts-destination", str(folder / "kept")]

    def start(self):
        with open(self.folder / "server.txt", "a", encoding="utf-8") as told:
            self.process = subprocess.Popen(self.command, stdout=told, stderr=told, start_new_session=True)
        wait_for(lambda: answers(self.address), 240)

    def kill(self):
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(60)


@pytest.fixture
def tracking_server(tmp_path, database, monkeypatch):
    """A running `Server`; its address is in the environment."""
    server = Server(tmp_path, database())
    try:
        server.start()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", server.address)
        yield server
    finally:
        server.kill()


def answers(address):
    try:
        with urlopen(f"{address}/health", timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("commands", "workers", "trials"),
    [(2, 1, 10), pytest.param(2, 2, 40, marks=pytest.mark.thorough)],
)
def test_machines_share_a_study_on_postgresql_and_one_is_killed(
    store, short_studies, database, tracking_server, commands, workers, trials
):
    url, environment = database(), {"MLFLOW_TRACKING_URI": tracking_server.address}
    folders = [store / f"machine{number}" for number in range(commands)]
    pids = []
    for folder in folders:
        folder.mkdir()
        options = {"environment": environment, "trials": trials, "workers": workers, "storage": url}
        pids.append(short_studies.start(folder, moment=0.25 * workers**2, **options))
    wait_for(lambda: all(len(lines(folder)) >= 2 for folder in folders))
    begun = time.monotonic()
    if workers == 1:
        os.kill(pids[0], signal.SIGKILL)  # one machine is gone
    else:
        os.kill(at_work(url, psutil.Process(pids[0]).children()), signal.SIGKILL)
    ended = [short_studies.end(pid) for pid in pids]
    assert ended == [-signal.SIGKILL if workers == 1 else 0, 0], (folders[1] / "errors.txt").read_text()
    study = stored(url)
    found = check_whole(study, trials)
    print(f"{commands} x {workers} processes: {dict(found)}, {time.monotonic() - begun:.0f} s after the kill")
    assert found["interrupted"] == 1 or workers == 1
    processes = {trial.user_attrs["process"] for trial in study.trials if state_of(trial) == "complete"}
    assert len(processes) >= commands
    # One of the commands that came to their end has registered the best, or would have.
    ends = [line for folder in folders for line in lines(folder, "finished.txt")]
    assert ends[:1] == [str(study.best_trial.number)] and len(ends) <= commands
    # Whoever comes second works under the first one's run; artifacts travel through the server.
    assert len(tracked(("study",))) == 1 and len(tracked(("worker",))) == commands - 1
    best = study.best_trial.user_attrs["run_id"]
    assert tracking.logged_dict(best, "value.json")["value"] == study.best_value


def at_work(url, processes):
    """Number of one of the processes that is in the middle of a trial."""
    numbers, study = {one.pid for one in processes}, stored(url)
    while True:
        for trial in study.trials:
            found = int(trial.user_attrs.get("process", "ice 0 0").split()[1])
            if trial.state.name == "RUNNING" and found in numbers and len(trial.intermediate_values) == 1:
                return found
        time.sleep(0.05)


def lines(folder, name="trained.txt"):
    file = folder / name
    return file.read_text(encoding="utf-8").splitlines() if file.is_file() else []


def test_a_study_waits_while_its_database_is_away(store, short_studies, database):
    import psycopg

    url = database()
    pid = short_studies.start(store, moment=0.1, trials=6, storage=url)
    wait_for(lambda: len(lines(store)) >= 2)
    server, _, name = url.rpartition("/")
    with psycopg.connect(os.environ[GIVEN], autocommit=True) as connection:
        connection.execute(f"alter database {name} with allow_connections false")
        ended = "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s"
        connection.execute(ended, [name])
        wait_for(lambda: "waiting up to" in (store / "errors.txt").read_text())
        connection.execute(f"alter database {name} with allow_connections true")
    assert short_studies.end(pid) == 0, (store / "errors.txt").read_text()
    check_whole(stored(url), 6)


@pytest.mark.thorough
@pytest.mark.timeout(900)
def test_a_study_ends_with_its_tracking_server_and_goes_on_with_it(store, short_studies, tracking_server):
    told = {"MLFLOW_TRACKING_URI": tracking_server.address, "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2"}
    pid = short_studies.start(store, moment=0.3, environment=told, trials=6)
    wait_for(lambda: len(lines(store)) >= 2)
    tracking_server.kill()
    assert short_studies.end(pid) == 2
    last = (store / "errors.txt").read_text().strip().splitlines()[-1]
    assert "the same command goes on with the study" in last
    tracking_server.start()
    assert short_studies.run(store, environment=told, trials=6) == 0
    check_whole(stored(), 6)


def test_commands_share_a_study_on_a_shared_journal(store, short_studies):
    url = f"journal:{store}/study.log"
    uri = {"MLFLOW_TRACKING_URI": f"sqlite:///{store}/mlflow.db"}
    folders = [store / "one", store / "two"]
    for folder in folders:
        folder.mkdir()
    options = {"moment": 0.1, "environment": uri, "trials": 8, "storage": url}
    pids = [short_studies.start(folder, **options) for folder in folders]
    wait_for(lambda: sum(len(lines(folder)) for folder in folders) >= 3)
    short_studies.end(pids[0], signal.SIGKILL)
    assert short_studies.end(pids[1]) == 0
    from glacier_ml.studies.storages import open_storage

    study = stored(open_storage(url))
    check_whole(study, 8)
    assert len(points(study.trials)) == 8
