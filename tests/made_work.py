"""Work for processes that are started, watched and replaced."""

import os
import signal
import time
from pathlib import Path

from glacier_ml.errors import GlacierError


def note_threads(folder, number):
    """Leave what the process may use of the cores."""
    Path(folder, f"threads-{number}").write_text(os.environ["GLACIER_ML_THREADS"])


def refuse(folder, number):
    """Raise what a user should read."""
    raise GlacierError(f"storage: worker {number} cannot open it; name another")


def break_down(folder, number):
    """Raise what is nobody's input."""
    raise ValueError("shapes differ")


def die(folder, number):
    """Be killed, again and again."""
    os.kill(os.getpid(), signal.SIGKILL)


def die_once(folder, number):
    """Be killed at first, and leave a note when started anew."""
    first = Path(folder, "died")
    if not first.exists():
        first.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    Path(folder, "done").touch()


def wait_long(folder, number):
    """Wait until told to stop, and leave a note of it."""
    Path(folder, f"begun-{number}").touch()
    try:
        time.sleep(300)
    finally:
        Path(folder, f"tidied-{number}").touch()
