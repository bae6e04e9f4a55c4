"""Several processes of this machine on one piece of work: started, watched, replaced where one is killed."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from glacier_ml.errors import GlacierError
from glacier_ml.studies.processes import WORDS, stop_when_told

FOLDER = "glacier_ml-study"
POLL = 0.5  # between two looks at the processes [s]
PATIENCE = 60.0  # that told processes get to give back what they work on [s]
DEATHS = 5  # of processes in a row without any progress before the work is given up


def share_of_cores(workers: int) -> int:
    """Threads that each of so many processes may use: the cores that this process may use, divided."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // workers)


@contextmanager
def working_folder() -> Iterator[Path]:
    """Make a folder for the time of the block, and remove those that killed processes have left."""
    import psutil

    for left in Path(tempfile.gettempdir()).glob(f"{FOLDER}-*-*"):
        owner = left.name.removeprefix(f"{FOLDER}-").partition("-")[0]
        if owner.isdigit() and not psutil.pid_exists(int(owner)):
            shutil.rmtree(left, ignore_errors=True)  # another user's stays
    with tempfile.TemporaryDirectory(prefix=f"{FOLDER}-{os.getpid()}-") as folder:
        yield Path(folder)


def run_workers(
    target: Callable[..., None],
    arguments: Sequence[Any],
    workers: int,
    folder: Path,
    progress: Callable[[], int],
) -> None:
    """Run `target(*arguments, number)` in so many processes until all have ended well.

    One that is killed is replaced by another of its number. Where this process is stopped or killed, the
    others are told to stop.

    Parameters
    ----------
    target : callable
        Of a module's top level; ends well, or raises.
    folder : Path
        Where a process leaves the line of its error.
    progress : callable
        Called again and again; what it gives rises when something has got done.

    Raises
    ------
    GlacierError
        What one of the processes raised, or that they are killed again and again.
    """
    crew = _Crew(target, arguments, workers, folder)
    done, deaths = progress(), 0
    with crew.started():
        while crew.works():
            time.sleep(POLL)
            now = progress()
            deaths = 0 if now > done else deaths
            done = now
            deaths += crew.replace_killed()
            if deaths > DEATHS:
                raise GlacierError(
                    f"workers: {deaths} processes in a row were killed before anything got done; "
                    "perhaps memory is short: fewer workers need less"
                )


class _Crew:
    """The processes, by number."""

    def __init__(
        self, target: Callable[..., None], arguments: Sequence[Any], workers: int, folder: Path
    ) -> None:
        self.target, self.arguments, self.folder = target, tuple(arguments), folder
        self.context = multiprocessing.get_context("spawn")  # threads of TensorFlow survive no fork
        self.threads = share_of_cores(workers)
        self.numbers, self.processes = range(workers), {}  # type: ignore[var-annotated]

    def works(self) -> bool:
        """Whether one is alive, or has ended otherwise than well and is still to be looked at."""
        return any(process.exitcode != 0 for process in self.processes.values())

    @contextmanager
    def started(self) -> Iterator[None]:
        try:
            for number in self.numbers:
                self._start(number)
            yield
        finally:
            self._stop()

    def replace_killed(self) -> int:
        """Start those anew that a signal has ended, raise what others raised; gives the number of deaths."""
        killed = 0
        for number, process in list(self.processes.items()):
            code = process.exitcode
            if code is not None and (code < 0 or code - 128 in WORDS):
                told = f"worker {number} was killed by signal {-code if code < 0 else code - 128}: "
                told += "another takes its place"
                print(told, file=sys.stderr)
                self._start(number)
                killed += 1
            elif code:
                raise GlacierError(self._said(number, code))
        return killed

    def _said(self, number: int, code: int) -> str:
        left = self.folder / f"worker-{number}.error"
        if left.is_file():
            return left.read_text(encoding="utf-8")
        return f"workers: worker {number} ended with status {code}; what it wrote above says why"

    def _start(self, number: int) -> None:
        target = (self.target, self.arguments, number, self.folder, os.getpid())
        process = self.context.Process(target=work_under, args=target, name=f"worker-{number}", daemon=False)
        with _environment(GLACIER_ML_THREADS=str(self.threads), OMP_NUM_THREADS=str(self.threads)):
            process.start()
        self.processes[number] = process

    def _stop(self) -> None:
        for process in self.processes.values():
            if process.is_alive():
                process.terminate()
        until = time.monotonic() + PATIENCE
        for process in self.processes.values():
            process.join(max(0.0, until - time.monotonic()))
            if process.is_alive():
                process.kill()
                process.join()


@contextmanager
def _environment(**values: str) -> Iterator[None]:
    """Set variables for what is started in the block."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def work_under(
    target: Callable[..., None], arguments: tuple[Any, ...], number: int, folder: Path, parent: int
) -> None:
    """What a process does: its work, until it is done, told to stop, or left alone."""
    stop_when_told()
    threading.Thread(target=_follow, args=(parent,), daemon=True).start()
    try:
        target(*arguments, number)
    except GlacierError as error:
        (folder / f"worker-{number}.error").write_text(str(error), encoding="utf-8")
        raise SystemExit(2) from None


def _follow(parent: int) -> None:
    """Tell this process to stop once the one that started it is no more."""
    while os.getppid() == parent:
        time.sleep(POLL)
    os.kill(os.getpid(), signal.SIGTERM)
