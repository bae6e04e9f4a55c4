"""Run a command: bad input in one line, ends told by signals, warnings in one line."""

from __future__ import annotations

import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

# They add their commands to the group.
from glacier_ml.cli import export, inventory, products, scenes, studies, study  # noqa: F401
from glacier_ml.cli.group import cli
from glacier_ml.errors import GlacierError
from glacier_ml.studies.outages import outage


def main(arguments: list[str] | None = None) -> None:
    """Run a command; bad input becomes one line on stderr and exit status 2, a mended outline a warning."""
    try:
        with _warned(), _ended_tidily():
            status = cli.main(arguments, prog_name="glacier-ml", standalone_mode=False)
    except GlacierError as error:
        _stop(str(error))
    except click.ClickException as error:
        _stop(error.format_message())
    except click.Abort:
        sys.exit(130)
    except Exception as error:
        if told := outage(error):
            _stop(f"{told}; mend that, and give the same command again")
        raise
    sys.exit(status if isinstance(status, int) else 0)


@contextmanager
def _ended_tidily() -> Iterator[None]:
    """Let a told end (kill, a closed terminal) leave the blocks that remove what is half-made."""

    def end(number: int, frame: Any) -> None:
        raise SystemExit(128 + number)

    names = ("SIGTERM", "SIGHUP") if threading.current_thread() is threading.main_thread() else ()
    signals = [getattr(signal, name) for name in names if hasattr(signal, name)]
    # What is ignored, as nohup does it, stays ignored.
    taken = [one for one in signals if signal.getsignal(one) is signal.SIG_DFL]
    for one in taken:
        signal.signal(one, end)
    try:
        yield
    finally:
        for one in taken:
            signal.signal(one, signal.SIG_DFL)


@contextmanager
def _warned() -> Iterator[None]:
    """Tell our own warnings in one line each, without the place in the source; others as Python does."""
    usual = warnings.showwarning

    def show(message: Any, category: Any, *place: Any, **options: Any) -> None:
        if category.__module__.partition(".")[0] == "glacier_ml":
            print(f"glacier-ml: warning: {' '.join(str(message).split())}", file=sys.stderr)
        else:
            usual(message, category, *place, **options)

    warnings.showwarning = show
    try:
        yield
    finally:
        warnings.showwarning = usual


def _stop(message: str) -> None:
    print(f"glacier-ml: error: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(2)
