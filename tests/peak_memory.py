"""The peak memory of code in a process of its own, read from Linux's /proc."""

import subprocess
import sys
from pathlib import Path

import pytest

needs_proc = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="the peak is read from Linux's /proc"
)
_REPORT = """
finally:
    from pathlib import Path
    lines = Path("/proc/self/status").read_text().splitlines()
    print("peak", next(line.split()[1] for line in lines if line.startswith("VmHWM")))
"""


def peak_gb(code, *arguments):
    """Gigabytes that code needed at most, and what it wrote on stderr; `sys.argv[1:]` are the arguments."""
    body = "\n".join(f"    {line}" for line in code.strip().splitlines())
    command = [sys.executable, "-c", f"import sys\ntry:\n{body}{_REPORT}", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return int(done.stdout.split()[-1]) * 1024 / 1e9, done.stderr
