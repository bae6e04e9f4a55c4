"""Starting TensorFlow without its start-up notes."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache


@cache
def start_tensorflow() -> None:
    """Import TensorFlow and look for devices, once, with its C++ notes held back.

    They are written before any filter or environment variable can act, on every start, and look like errors
    where there is merely no GPU.
    """
    with _native_stderr_held():
        import tensorflow as tf

        tf.config.list_physical_devices()
    # Every classifier traces its network once; TensorFlow takes many of them for one that traces too often.
    tf.get_logger().setLevel("ERROR")


@contextmanager
def _native_stderr_held() -> Iterator[None]:
    """Hold back what native code writes to stderr; it is shown after all where the block raises."""
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(kept, held.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)
