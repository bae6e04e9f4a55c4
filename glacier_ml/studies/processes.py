"""Processes by name, so that what a dead one left behind can be told from what a living one works on."""

from __future__ import annotations

import platform
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

WORDS = (signal.SIGINT, signal.SIGTERM)


def process_name(pid: int | None = None) -> str:
    """Tell a process of this machine from all others, also from a later one with its number.

    Returns
    -------
    str
        Host, number and time of start [s since 1970], such as 'ice 4711 1790000000'.
    """
    import psutil

    process = psutil.Process(pid)
    return f"{platform.node()} {process.pid} {process.create_time():.0f}"


@cache
def own_name() -> str:
    """Name of this process."""
    return process_name()


def is_dead(name: str) -> bool:
    """Say whether a process of this machine is no more; False for one of another machine, or for no name."""
    import psutil

    machine, _, rest = name.partition(" ")
    if machine != platform.node() or not rest:
        return False
    try:
        return process_name(int(rest.split()[0])) != name
    except psutil.NoSuchProcess:
        return True


_told: list[int] = []  # signals that have come, in order


def stop_when_told() -> None:
    """Let the first Ctrl-C or SIGTERM end this process tidily; later ones do not disturb that."""
    for one in WORDS:
        signal.signal(one, _stop)


def _stop(number: int, frame: Any) -> None:
    _told.append(number)
    if len(_told) == 1:
        raise SystemExit(128 + number)


@contextmanager
def heedful() -> Iterator[None]:
    """Remember, while the block runs, what would stop this process, for `heed`."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {one: signal.getsignal(one) for one in WORDS}

    def note(number: int, frame: Any) -> None:
        _told.append(number)
        usual = before[signal.Signals(number)]
        if callable(usual):
            usual(number, frame)

    noted = [one for one in WORDS if callable(before[one]) and before[one] is not _stop]
    for one in noted:
        signal.signal(one, note)
    try:
        yield
    finally:
        _told.clear()
        for one in noted:
            signal.signal(one, before[one])


def heed() -> None:
    """Stop here if this process was told to and is still at work.

    What a handler raises is lost where it happens to run within a finaliser.
    """
    if _told:
        raise SystemExit(128 + _told[0])


@contextmanager
def unbroken() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM wait until the block has ended, for what belongs together."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    before = {one: signal.signal(one, lambda number, frame: came.append(number)) for one in WORDS}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
        if came:
            signal.raise_signal(came[0])
