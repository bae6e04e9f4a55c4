import os
import subprocess
import sys
from pathlib import Path

import pytest

from glacier_ml.errors import GlacierError
from glacier_ml.learning.backend import (
    ONEDNN,
    THREADS,
    _limit_threads,
    _native_stderr_held,
    has_avx2_alone,
    start_tensorflow,
    thread_limit,
)


def test_native_notes_are_held_back(capfd):
    with _native_stderr_held():
        os.write(2, b"I0000 a note from C++\n")
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"


def test_native_notes_are_shown_where_the_start_fails(capfd):
    with pytest.raises(ImportError), _native_stderr_held():
        os.write(2, b"library missing\n")
        raise ImportError
    assert "library missing" in capfd.readouterr().err


def test_tensorflow_starts_in_silence():
    start = "from glacier_ml.learning.backend import start_tensorflow; start_tensorflow(); start_tensorflow()"
    code = f"{start}; import tensorflow; tensorflow.ones(1)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=200)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(("told", "threads"), [(None, None), ("", None), (" 3 ", 3), ("1", 1)])
def test_threads_are_as_many_as_the_environment_allows(monkeypatch, told, threads):
    monkeypatch.delenv(THREADS, raising=False)
    if told is not None:
        monkeypatch.setenv(THREADS, told)
    assert thread_limit() == threads


@pytest.mark.parametrize("told", ["0", "-1", "two", "1.5", "\u0663"])
def test_threads_that_are_no_number_are_refused(monkeypatch, told):
    monkeypatch.setenv(THREADS, told)
    message = rf"^GLACIER_ML_THREADS: must be a whole number of threads from 1 on \(found '{told}'\); mend"
    with pytest.raises(GlacierError, match=message):
        thread_limit()


def test_a_limit_that_comes_too_late_is_refused():
    start_tensorflow()
    import tensorflow as tf

    tf.ones(1)
    with pytest.raises(GlacierError, match=r"^GLACIER_ML_THREADS: is 77, and TensorFlow runs already on"):
        _limit_threads(tf.config.threading, 77)


@pytest.mark.parametrize(("told", "found"), [(None, "1"), ("0", "0")])
def test_onednn_serves_unless_the_environment_says_no(monkeypatch, told, found):
    start_tensorflow()  # TensorFlow itself starts once in a process
    monkeypatch.delenv(ONEDNN, raising=False)
    if told is not None:
        monkeypatch.setenv(ONEDNN, told)
    start_tensorflow.__wrapped__()
    assert os.environ[ONEDNN] == found


@pytest.mark.parametrize(
    ("features", "limit", "alone"),
    [
        ({"AVX2": True, "AVX512F": False}, "", True),
        ({"AVX2": True}, "", True),
        ({"AVX2": True, "AVX512F": True}, "", False),
        ({"AVX2": True, "AVX512F": True}, "avx2_vnni", True),
        ({"AVX2": True, "AVX512F": True}, "AVX512_CORE", False),
        ({"NEON": True}, "AVX2", False),  # ARM
    ],
)
def test_processors_with_avx2_alone_are_known(monkeypatch, features, limit, alone):
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", limit)
    monkeypatch.setattr("numpy._core._multiarray_umath.__cpu_features__", features)
    has_avx2_alone.cache_clear()
    try:
        assert has_avx2_alone() is alone
    finally:
        has_avx2_alone.cache_clear()


@pytest.mark.skipif(not Path("/proc/cpuinfo").exists(), reason="tells what the processor has on Linux alone")
def test_the_processor_is_known_as_linux_knows_it():
    if os.environ.get("ONEDNN_MAX_CPU_ISA"):
        pytest.skip("ONEDNN_MAX_CPU_ISA limits what is used of it")
    flags = set(Path("/proc/cpuinfo").read_text().split())
    assert has_avx2_alone() is ("avx2" in flags and "avx512f" not in flags)
