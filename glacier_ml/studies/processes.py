"""Processes by name, so that what a dead one left behind can be told from what a living one works on."""

from __future__ import annotations

import os
import platform
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

FIRST_NAMESPACE = "pid:[4026531836]"  # of process numbers on a Linux machine, outside of all containers
TOLERANCE = 10  # [s]: the clock may be set while a process runs, and its time of birth moves with it
WORDS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)  # that ask a process to stop; the last one when its terminal is closed


def process_name(pid: int | None = None) -> str:
    """Tell a process of this machine from all others, also from a later one with its number.

    Returns
    -------
    str
        'host pid created', the time in seconds since 1970; in a container with the name of its space of
        process numbers behind, since its host name may be the machine's.

    Raises
    ------
    psutil.NoSuchProcess
        Where there is none with this number.
    """
    import psutil

    process = psutil.Process(pid)
    name = f"{platform.node()} {process.pid} {process.create_time():.0f}"
    return f"{name} {space}" if (space := number_space()) else name


@cache
def own_name() -> str:
    """Name of this process."""
    return process_name()


def is_dead(name: str) -> bool:
    """Say whether a process of this machine is certainly no more; False for names of elsewhere or of none.

    Examples
    --------
    >>> is_dead(process_name()), is_dead("another-machine 1 0"), is_dead("nonsense")
    (False, False, False)
    """
    import psutil

    machine, _, rest = name.partition(" ")
    pid, _, rest = rest.partition(" ")
    created, _, space = rest.partition(" ")
    if machine != platform.node() or space != number_space() or not (pid.isdigit() and created.isdigit()):
        return False
    try:
        process = psutil.Process(int(pid))
        ended = process.status() == psutil.STATUS_ZOMBIE  # nobody has asked yet how it ended
        return ended or process.create_time() > int(created) + TOLERANCE
    except psutil.NoSuchProcess:
        return True
    except (psutil.AccessDenied, OverflowError):
        return False


def is_local(name: str) -> bool:
    """Say whether a name is of a process whose life or death can be seen from here."""
    parts = name.split(" ", 3)
    return parts[0] == platform.node() and (parts[3] if len(parts) > 3 else "") == number_space()


def number_space() -> str:
    """Name of the space that process numbers count in; '' where the whole machine has one."""
    try:
        space = os.readlink("/proc/self/ns/pid")
    except OSError:  # not Linux
        return ""
    return "" if space == FIRST_NAMESPACE else space


_told: list[int] = []  # signals that have come, in order


def stop_when_told() -> None:
    """Let the first Ctrl-C or SIGTERM end this process tidily; later ones do not disturb that."""
    for one in WORDS:
        if signal.getsignal(one) is not signal.SIG_IGN:  # as nohup has it
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
    heard = [one for one in WORDS if signal.getsignal(one) not in (signal.SIG_IGN, None)]
    before = {one: signal.signal(one, lambda number, frame: came.append(number)) for one in heard}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
        if came:
            signal.raise_signal(came[0])
