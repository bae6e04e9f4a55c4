"""Storages of studies: which addresses there are, and what is waited out."""

import errno
import socket
import subprocess
import sys
import time

import optuna
import pytest

from glacier_ml.errors import GlacierError
from glacier_ml.studies import storages
from glacier_ml.studies.storages import hide_password, open_storage, wait_out


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(storages, "FIRST_PAUSE", 0.01)


def used(storage):
    """Make a study with a trial in a storage; gives the trial's value as another opening reads it."""
    study = optuna.create_study(study_name="one", storage=storage, direction="maximize")
    study.enqueue_trial({"nodes": 4})
    trial = study.ask()
    trial.suggest_int("nodes", 1, 9)
    trial.set_user_attr("process", "ice 1 2")
    trial.report(0.4, 0)
    study.tell(trial, 0.5)
    return study


@pytest.mark.parametrize("url", ["sqlite:///{}/optuna.db", "journal:{}/study.log"])
def test_what_one_process_writes_another_reads(tmp_path, url):
    url = url.format(tmp_path)
    used(open_storage(url))
    (trial,) = optuna.load_study(study_name="one", storage=open_storage(url)).trials
    assert (trial.params, trial.value, trial.intermediate_values) == ({"nodes": 4}, 0.5, {0: 0.4})
    assert trial.user_attrs == {"process": "ice 1 2"}


def test_a_proxy_serves_a_database(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = "from glacier_ml.studies.storages import serve_proxy; import sys;"
    command += f"serve_proxy('sqlite:///{tmp_path}/optuna.db', '127.0.0.1', {port})"
    server = subprocess.Popen([sys.executable, "-c", command], stderr=subprocess.DEVNULL)
    try:
        used(open_storage(f"grpc://127.0.0.1:{port}"))
    finally:
        server.terminate()
        server.wait(20)
    (trial,) = optuna.load_study(study_name="one", storage=f"sqlite:///{tmp_path}/optuna.db").trials
    assert trial.value == 0.5


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("journal:absent/study.log", "there is no folder absent"),
        ("grpc://host/database", "is no proxy's address; give grpc://host:port"),
        ("postgresql://ice:secret@127.0.0.1:1/studies", r"ice:\*\*\*@127.0.0.1:1/studies cannot be opened"),
        ("nonsense", "give an Optuna storage URL such as sqlite"),
    ],
)
def test_a_bad_address_is_told_in_a_line_without_its_password(tmp_path, monkeypatch, url, told):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(GlacierError, match=told) as error:
        open_storage(url)
    assert "secret" not in str(error.value) and "\n" not in str(error.value)


def test_a_journal_or_a_proxy_stands_behind_no_proxy():
    with pytest.raises(GlacierError, match="cannot stand behind a proxy; give a database's URL"):
        storages.serve_proxy("journal:study.log", "127.0.0.1", 13000)


def test_without_its_driver_a_database_is_named_with_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(GlacierError, match=r"pip install 'glacier_ml\[postgresql\]'"):
        open_storage("postgresql://127.0.0.1:1/studies")


def failing(times, error):
    """A call that fails so many times, and then gives how often it was called."""
    calls = []

    def call():
        calls.append(time.monotonic())
        if len(calls) <= times:
            raise error
        return len(calls)

    return call


def test_a_short_outage_is_waited_out_and_told_once(capsys):
    assert wait_out(failing(3, ConnectionRefusedError("nobody listens")), 20) == 4
    assert capsys.readouterr().err.count("waiting up to 20 s") == 1


@pytest.mark.parametrize(
    ("error", "patience"),
    [
        (ConnectionRefusedError("nobody listens"), 0.0),  # too long
        (OSError(errno.ENOSPC, "full"), 20),  # does not mend itself
        (ValueError("shapes"), 20),
    ],
)
def test_other_errors_are_raised(error, patience):
    call = failing(1, error)
    with pytest.raises(type(error)):
        wait_out(call, patience)
    assert call() == 2  # it was called once


def test_passwords_are_hidden_wherever_addresses_stand():
    told = "connection to postgresql://a:b@h/x and grpc://h:1 failed (mysql://c:d@h:3/y)"
    assert hide_password(told) == (
        "connection to postgresql://a:***@h/x and grpc://h:1 failed (mysql://c:***@h:3/y)"
    )
