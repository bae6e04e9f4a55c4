import os
import subprocess
import sys

import pytest

from glacier_ml.learning.backend import _native_stderr_held


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
