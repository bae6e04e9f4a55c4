"""Names of processes that outlive them: who opened a run or a trial, and whether it is still there."""

from __future__ import annotations

import os
import platform

FIRST_NAMESPACE = "pid:[4026531836]"  # of process numbers on a Linux machine, outside of all containers
TOLERANCE = 10  # [s]: the clock may be set while a process runs, and its time of birth moves with it


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


def number_space() -> str:
    """Name of the space that process numbers count in; '' where the whole machine has one."""
    try:
        space = os.readlink("/proc/self/ns/pid")
    except OSError:  # not Linux
        return ""
    return "" if space == FIRST_NAMESPACE else space
