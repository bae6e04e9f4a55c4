"""Where studies are kept: a file, a database that many machines share, a shared folder, a proxy."""

from __future__ import annotations

import re
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from glacier_ml.errors import GlacierError
from glacier_ml.studies.outages import outage
from glacier_ml.studies.processes import unbroken

DEFAULT_STORAGE = "sqlite:///optuna.db"
PATIENCE = 300.0  # seconds that a database may be away before a study stops; chosen here
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 15.0  # between two tries [s]
SQLITE_WAIT = 20  # seconds that a call waits for others to write to the file; chosen here
NETWORK = {
    **{"connect_timeout": 10, "keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3},
    "tcp_user_timeout": 30_000,  # [ms]; the others in seconds
}
FORMS = (
    "give an Optuna storage URL such as sqlite:///optuna.db, postgresql://user@host/database, "
    "journal:/shared/folder/study.log or grpc://host:13000"
)


def open_storage(url: str | None = None, patience: float = PATIENCE) -> Any:
    """Open an Optuna storage that waits out a short outage of what it stands on.

    Parameters
    ----------
    url : str, optional
        An SQLAlchemy URL (sqlite, postgresql, mysql ...), `journal:PATH`, a log file on a file system that
        several machines share, or `grpc://HOST:PORT`, a proxy; `optuna.db` in the working folder by default.
    patience : float
        Seconds that it may be away.

    Returns
    -------
    optuna.storages.BaseStorage

    Raises
    ------
    GlacierError
        Where it cannot be opened.
    """
    url = url or DEFAULT_STORAGE
    try:
        return _patient(_made(url), patience)
    except GlacierError:
        raise
    except Exception as error:  # drivers raise what they like; all of them mean the same to the user
        told = " ".join(str(error).split())[:200] or type(error).__name__
        raise GlacierError(
            f"storage: {hide_password(url)} cannot be opened ({hide_password(told)}); {_mend(url, error)}"
        ) from error


def hide_password(text: str) -> str:
    """Replace passwords in addresses.

    >>> hide_password("postgresql://ice:secret@host/studies")
    'postgresql://ice:***@host/studies'
    """
    text = re.sub(r"(://[^/\s:@]*):\S*@", r"\1:***@", text)
    return re.sub(r"([?&]password=)[^&\s]+", r"\1***", text)


def _mend(url: str, error: Exception) -> str:
    if isinstance(error, ImportError) and url.startswith("postgres"):
        return "install what PostgreSQL needs: pip install 'glacier_ml[postgresql]'"
    return FORMS


def _made(url: str) -> Any:
    """Open a storage; tried again where another process was making its tables at the same moment."""
    for pause in (0.5, 1.0, 2.0):
        try:
            return _opened(url)
        except Exception as error:
            if "already exists" not in str(error):
                raise
        time.sleep(pause)
    return _opened(url)


def _opened(url: str) -> Any:
    from optuna import storages

    if url.startswith("journal:"):
        return _journal(Path(url.removeprefix("journal:")))
    if url.startswith("grpc:"):
        return _proxy(url)
    options: dict[str, Any] = {"pool_pre_ping": True}  # a connection that broke while idle is replaced
    if url.startswith("sqlite"):
        options["connect_args"] = {"timeout": SQLITE_WAIT}
    elif url.startswith("postgres"):  # a network that is dead is noticed within a minute
        options["connect_args"] = NETWORK
    return storages._CachedStorage(storages.RDBStorage(url, engine_kwargs=options))


def _journal(path: Path) -> Any:
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    if not path.parent.is_dir():
        raise GlacierError(
            f"storage: journal:{path} cannot be opened (there is no folder {path.parent}); make it"
        )
    return JournalStorage(JournalFileBackend(str(path)))  # its lock, a link, holds on NFS too


def _proxy(url: str) -> Any:
    from optuna.storages import GrpcStorageProxy

    parts = urlsplit(url)
    if not parts.hostname or parts.path.strip("/"):
        raise GlacierError(f"storage: {hide_password(url)} is no proxy's address; give grpc://host:port")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # optuna's, that this is an experiment of its own
        proxy = GrpcStorageProxy(host=parts.hostname, port=parts.port or 13000)
    proxy.wait_server_ready(timeout=20)
    return proxy


def _patient(storage: Any, patience: float) -> Any:
    """A storage all of whose calls are repeated while what it stands on is away, for `.patience` seconds."""
    from optuna.storages import BaseStorage

    def forwarded(name: str) -> Callable[..., Any]:
        def call(self: Any, *arguments: Any, **options: Any) -> Any:
            return wait_out(lambda: getattr(storage, name)(*arguments, **options), self.patience)

        return call

    public = [name for name in dir(BaseStorage) if not name.startswith("_")]
    calls = {name: forwarded(name) for name in public if callable(getattr(BaseStorage, name))}
    return type("PatientStorage", (BaseStorage,), {**calls, "patience": patience})()


def wait_out(call: Callable[[], Any], patience: float = PATIENCE) -> Any:
    """Repeat a call, with growing pauses, while it fails for an outage; its last error is raised after all.

    A full disk is not waited for: it does not mend itself.
    """
    until, pause = time.monotonic() + patience, FIRST_PAUSE
    while True:
        try:
            with unbroken():  # an exception amid a transaction would leave the database locked
                return call()
        except Exception as error:
            told = outage(error)
            if told is None or "full" in told or time.monotonic() + pause > until:
                raise
            if pause == FIRST_PAUSE:
                print(f"storage of studies: {told}; waiting up to {patience:.0f} s", file=sys.stderr)
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)


def serve_proxy(url: str | None, host: str, port: int) -> None:
    """Let many workers share this process's connection to a database; runs until it is stopped."""
    from optuna.storages import run_grpc_proxy_server

    url = url or DEFAULT_STORAGE
    if url.startswith(("journal:", "grpc:")):
        raise GlacierError(f"storage: {url} cannot stand behind a proxy; give a database's URL")
    storage = open_storage(url)
    print(f"serving {hide_password(url)} as grpc://{host}:{port}", file=sys.stderr)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run_grpc_proxy_server(storage, host=host, port=port)
