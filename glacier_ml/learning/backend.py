"""Starting TensorFlow without its start-up notes, on as many threads as are wanted."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from typing import Any

from glacier_ml.errors import GlacierError

THREADS = "GLACIER_ML_THREADS"  # environment variable: how many threads TensorFlow may use; unset, all cores
ONEDNN = "TF_ENABLE_ONEDNN_OPTS"  # TensorFlow's own: whether oneDNN's kernels serve, 1 or 0


@cache
def start_tensorflow() -> None:
    """Import TensorFlow and look for devices, once, with its C++ notes held back.

    They are written before any filter or environment variable can act, on every start, and look like errors
    where there is merely no GPU. `GLACIER_ML_THREADS` limits the threads, within and across operations.
    oneDNN's kernels serve unless `TF_ENABLE_ONEDNN_OPTS` is 0.

    Raises
    ------
    GlacierError
        Where `GLACIER_ML_THREADS` is no number of threads, or TensorFlow runs already on another number.
    """
    threads = thread_limit()
    # By itself TensorFlow takes it with AVX-512 alone; with AVX2 a U-Net trains twice as quickly.
    os.environ.setdefault(ONEDNN, "1")
    with _native_stderr_held():
        import tensorflow as tf

        if threads:
            _limit_threads(tf.config.threading, threads)
        tf.config.list_physical_devices()
    # Every classifier traces its network once; TensorFlow takes many of them for one that traces too often.
    tf.get_logger().setLevel("ERROR")


def thread_limit() -> int | None:
    """Threads that `GLACIER_ML_THREADS` allows TensorFlow, None where it is unset or empty: all cores.

    Raises
    ------
    GlacierError
        Where it is not a whole number from 1 on.
    """
    told = os.environ.get(THREADS, "").strip()
    if not told:
        return None
    if not (told.isascii() and told.isdigit() and int(told)):
        raise GlacierError(
            f"{THREADS}: must be a whole number of threads from 1 on (found '{told}'); mend or unset it"
        )
    return int(told)


@cache
def has_avx2_alone() -> bool:
    """Whether the processor has AVX2 but no AVX-512, or oneDNN may use AVX2 at most; False if not known."""
    # NumPy's list, which it may keep elsewhere one day.
    features = getattr(import_module("numpy._core._multiarray_umath"), "__cpu_features__", {})
    limited = os.environ.get("ONEDNN_MAX_CPU_ISA", "").upper().startswith("AVX2")
    return bool(features.get("AVX2")) and (limited or not features.get("AVX512F"))


def _limit_threads(threading: Any, threads: int) -> None:
    try:
        threading.set_intra_op_parallelism_threads(threads)
        threading.set_inter_op_parallelism_threads(threads)
    except RuntimeError as error:  # another part of the process was first
        raise GlacierError(
            f"{THREADS}: is {threads}, and TensorFlow runs already on another number of threads; "
            "set it before TensorFlow starts, or unset it"
        ) from error


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
