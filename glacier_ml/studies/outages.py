"""Faults of what a study stands on - disk, database, server - told apart from faults of a trial."""

from __future__ import annotations

import errno
from collections.abc import Iterator

from glacier_ml.errors import GlacierError

FULL = (errno.ENOSPC, errno.EDQUOT)
# By name, since the libraries that raise them are imported elsewhere or not at all.
LOST = {
    "sqlalchemy.exc": {"OperationalError", "InterfaceError", "TimeoutError", "DisconnectionError"},
    "requests.exceptions": {"ConnectionError", "Timeout", "ConnectTimeout", "ReadTimeout", "RetryError"},
    "urllib3.exceptions": {"MaxRetryError", "ProtocolError", "NewConnectionError"},
    "grpc._channel": {"_InactiveRpcError", "_MultiThreadedRendezvous"},
    "optuna.exceptions": {"StorageInternalError"},
}
SAID = (  # by MLflow, which passes on a database's fault as its own
    ("OperationalError", "the database cannot be reached"),
    ("API request to", "the tracking server cannot be reached"),
)
SAID_FULL = ("database or disk is full", "No space left on device")


class Outage(GlacierError):  # noqa: N818 - told as a state of things
    """The study cannot go on here and now; nothing that it has finished is lost."""


def outage(error: BaseException) -> str | None:
    """Say what is out of order where an error is none of the trial that it came up in; None where it is.

    Examples
    --------
    >>> outage(OSError(errno.ENOSPC, "No space left on device"))
    'the disk is full'
    >>> outage(ConnectionRefusedError("nobody listens"))
    'the connection is lost (nobody listens)'
    >>> outage(ValueError("shapes differ")) is None
    True
    """
    chain = list(causes(error))
    if any(_is_full(one) for one in chain):
        return "the disk is full"
    for one in chain:
        kind, text = type(one), " ".join(str(one).split())
        if said := [meant for words, meant in SAID if words in text and _of_a_store(kind)]:
            return said[0]
        lost = isinstance(one, ConnectionError) or kind.__name__ in LOST.get(kind.__module__, ())
        if lost and (kind.__module__ != "grpc._channel" or "UNAVAILABLE" in text):
            return f"the connection is lost ({text[:160]})"
    return None


def _is_full(error: BaseException) -> bool:
    if isinstance(error, OSError):
        return error.errno in FULL
    return _of_a_store(type(error)) and any(words in str(error) for words in SAID_FULL)


def _of_a_store(kind: type) -> bool:
    return kind.__module__.partition(".")[0] in ("mlflow", "sqlalchemy", "optuna", "sqlite3", "psycopg")


def causes(error: BaseException) -> Iterator[BaseException]:
    """Give an error and what it was raised from or in, outermost first."""
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        yield one
        one = one.__cause__ or one.__context__


def stop_for(error: BaseException, study: str) -> Outage | None:
    """What ends a study where an error is an outage, in one line; None where it is the trial's own."""
    told = None if isinstance(error, GlacierError) else outage(error)
    if told is None:
        return None
    return Outage(f"{study}: {told}; mend that, and the same command goes on with the study")
