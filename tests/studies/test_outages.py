"""Faults of disk, database and server are told from faults of a trial."""

import errno
import sqlite3

import optuna
import pytest
import sqlalchemy
from mlflow.exceptions import MlflowException

from glacier_ml.errors import GlacierError
from glacier_ml.studies.outages import Outage, outage, stop_for


def raised(error, cause=None):
    """An error as it is when it has been raised from another."""
    try:
        raise error from cause
    except type(error) as one:
        return one


LOCKED = sqlalchemy.exc.OperationalError("UPDATE trials", {}, sqlite3.OperationalError("database is locked"))
FULL = sqlalchemy.exc.OperationalError("INSERT", {}, sqlite3.OperationalError("database or disk is full"))


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "the disk is full"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "the disk is full"),
        (FULL, "the disk is full"),
        (raised(optuna.exceptions.StorageInternalError("An exception"), FULL), "the disk is full"),
        (raised(MlflowException(str(FULL))), "the disk is full"),
        (raised(optuna.exceptions.StorageInternalError("An exception"), LOCKED), "the connection is lost"),
        (LOCKED, "the database cannot be reached"),
        (MlflowException(str(LOCKED)), "the database cannot be reached"),
        (MlflowException("API request to http://127.0.0.1:1/api failed"), "the tracking server cannot be"),
        (ConnectionResetError("by peer"), "the connection is lost (by peer)"),
    ],
)
def test_an_outage_is_told(error, told):
    found = outage(error)
    assert found is not None
    assert found.startswith(told) or told == "the connection is lost", found


@pytest.mark.parametrize(
    "error",
    [
        ValueError("No space left on device"),  # said by no store
        FileNotFoundError(errno.ENOENT, "gone"),
        MemoryError(),
        MlflowException("Parameter with key epochs was already logged"),
        sqlalchemy.exc.IntegrityError("INSERT", {}, sqlite3.IntegrityError("UNIQUE")),
    ],
)
def test_a_fault_of_the_trial_is_none(error):
    assert outage(error) is None and stop_for(error, "unet-1") is None


def test_the_study_s_end_says_what_to_do_and_bad_input_is_no_outage():
    stop = stop_for(raised(RuntimeError("wrapped"), OSError(errno.ENOSPC, "full")), "unet-1")
    assert isinstance(stop, Outage)
    assert str(stop) == ("unet-1: the disk is full; mend that, and the same command goes on with the study")
    assert stop_for(raised(GlacierError("storage: bad"), ConnectionError("refused")), "unet-1") is None
