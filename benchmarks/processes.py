"""Measurements in processes of their own: no library's threads beside another's, and memory of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from benchmarks.tables import ROOT

_CODE = """
import json, sys
from importlib import import_module
answer = getattr(import_module(sys.argv[1]), sys.argv[2])(*json.loads(sys.argv[3]))
lines = open("/proc/self/status").read().splitlines()
peak = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
print("\\n" + json.dumps({"answer": answer, "peak": peak}))
"""


def asked(module: str, function: str, *arguments: Any) -> tuple[Any, int]:
    """Call a benchmark's function in a new process; gives what it returns, and its peak memory [bytes].

    >>> asked("benchmarks.tables", "told", 0.12345)[0]
    '0.123'
    """
    command = [sys.executable, "-c", _CODE, module, function, json.dumps(arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        told = done.stderr.strip().splitlines() or [f"ended with status {done.returncode}"]
        raise RuntimeError(f"{module}.{function}{arguments}: {told[-1]}")
    found = json.loads(done.stdout.splitlines()[-1])
    return found["answer"], found["peak"]


def best_of(rounds: int, module: str, calls: dict[str, tuple[str, tuple[Any, ...]]]) -> dict[str, Any]:
    """Best answers of calls that take turns: what slows the machine for a while slows all of them.

    `calls` is name to (function, arguments); each answers numbers by name, of which the largest counts.
    """
    best: dict[str, dict[str, float]] = {name: {} for name in calls}
    for _ in range(rounds):
        for name, (function, arguments) in calls.items():
            for key, value in asked(module, function, *arguments)[0].items():
                best[name][key] = max(value, best[name].get(key, value))
    return best
