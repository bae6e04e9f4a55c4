"""What a benchmark finds: a table to read, as Markdown and JSON, and ratios to watch.

A benchmark is a module with a docstring and `measure(options) -> Table`; `tables.run(measure, __doc__)` makes
it a command. Ratios count, not seconds: ours against the best of the peers, on the same data in the same run,
so that larger is better whatever the machine.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
RECORDED = HERE / "recorded"
CPUINFO = Path("/proc/cpuinfo")
PLACES = ("json", "plot", "keep")  # options that say where something is written
SLOWER = 0.25  # share of a recorded ratio that may be lost before --check says so
LIBRARIES = ("tensorflow", "keras", "torch", "onnxruntime", "scikit-learn", "numpy", "rasterio", "optuna")


@dataclass
class Table:
    """What was measured.

    Attributes
    ----------
    rows : list of dict
        One a line of the table, column to number or word; a missing column is empty.
    ratios : dict of str to float
        Ours against the best of the peers, by what was measured; larger is better.
    aims : dict of str to float
        What a ratio should be at least, where there is an aim.
    notes : list of str
        What one must know to read the table: data, sizes, stated limits.
    series : dict
        What was measured on the way, such as curves, by name; written as JSON, not printed.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    ratios: dict[str, float] = field(default_factory=dict)
    aims: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    series: dict[str, Any] = field(default_factory=dict)

    def ratio(self, name: str, value: float, aim: float | None = None) -> None:
        """Note a ratio, and what it should be at least."""
        self.ratios[name] = value
        if aim is not None:
            self.aims[name] = aim

    def markdown(self) -> str:
        """The table, its ratios against their aims, and its notes.

        >>> table = Table([{"what": "ours", "s": 2.0}, {"what": "peer", "s": 3.0}])
        >>> table.ratio("speed", 1.5, aim=1.3)
        >>> print(table.markdown())
        | what | s |
        |---|---|
        | ours | 2 |
        | peer | 3 |
        <BLANKLINE>
        - speed: 1.5 (aim 1.3: reached)
        """
        columns = list(dict.fromkeys(name for row in self.rows for name in row))
        lines = [_line(columns), _line(["---"] * len(columns), "|")] if columns else []
        lines += [_line([told(row.get(name, "")) for name in columns]) for row in self.rows]
        ratios = [f"- {name}: {told(value)}{self._verdict(name)}" for name, value in self.ratios.items()]
        return "\n".join([*lines, "", *ratios, *(f"- {note}" for note in self.notes)])

    def _verdict(self, name: str) -> str:
        if name not in self.aims:
            return ""
        reached = "reached" if self.ratios[name] >= self.aims[name] else "missed"
        return f" (aim {told(self.aims[name])}: {reached})"


def _line(cells: list[str], edge: str = "| ") -> str:
    inner = edge.strip().join(cells) if edge == "|" else " | ".join(cells)
    return f"|{inner}|" if edge == "|" else f"| {inner} |"


def told(value: Any) -> str:
    """A cell: numbers to three digits.

    >>> [told(value) for value in (1234.4, 0.12345, 2, "much", float("nan"), True)]
    ['1234', '0.123', '2', 'much', '', 'True']
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if math.isnan(value):
        return ""
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "processor": _told_of_processor("model name") or platform.processor(),
        "instructions": instructions(),
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "libraries": {name: found for name in LIBRARIES if (found := _version(name))},
    }


def instructions() -> str:
    """Widest vectors of the processor, on which ratios depend: avx512 or avx2; elsewhere its kind."""
    flags = _told_of_processor("flags").split()
    known = (name for flag, name in (("avx512f", "avx512"), ("avx2", "avx2")) if flag in flags)
    return next(known, platform.machine())


def _told_of_processor(name: str) -> str:
    """A line of what Linux tells of the first processor; empty elsewhere."""
    lines = CPUINFO.read_text().splitlines() if CPUINFO.exists() else []
    return next((line.split(":", 1)[1].strip() for line in lines if line.split(":")[0].strip() == name), "")


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def options_for(description: str) -> argparse.ArgumentParser:
    """A benchmark's options, those that all have among them."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", help="catalog of your own; the made scenes by default")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the table there")
    return parser


def run(
    measure: Callable[[argparse.Namespace], Table],
    description: str,
    more: Callable[[argparse.ArgumentParser], Any] = lambda parser: None,
) -> None:
    """Be the command of one benchmark: measure, print, write."""
    parser = options_for(description)
    more(parser)
    options = parser.parse_args()
    table = measure(options)
    print(table.markdown(), flush=True)
    if options.json:
        write(table, options.json, options)


def write(table: Table, path: Path, options: argparse.Namespace | None = None) -> None:
    """Write a table with the machine and the options that it is of."""
    path.parent.mkdir(parents=True, exist_ok=True)
    told = {"machine": machine(), "options": chosen(options) if options else {}}
    path.write_text(json.dumps(told | asdict(table), indent=1) + "\n")


def chosen(options: argparse.Namespace) -> dict[str, Any]:
    """Options that sway what is measured; of a catalog its folder's name.

    >>> chosen(argparse.Namespace(data="/shelf/scenes", rounds=2, json=Path("table.json"), plot=None))
    {'data': 'scenes', 'rounds': 2}
    """
    named = {name: value for name, value in vars(options).items() if name not in PLACES}
    return named | {"data": Path(named["data"]).name if named.get("data") else None}


def slower(found: dict[str, float], recorded: dict[str, float]) -> list[str]:
    """Name the ratios that lost more than a quarter against the recorded ones, or were not measured.

    >>> slower({"a": 1.0, "b": 2.0}, {"a": 1.4, "b": 2.5, "c": 1.0})
    ['a: 1, recorded 1.4', 'c: not measured, recorded 1']
    """
    faults = []
    for name, before in recorded.items():
        now = found.get(name)
        if now is None or math.isnan(now):
            faults.append(f"{name}: not measured, recorded {told(before)}")
        elif now < before * (1 - SLOWER):
            faults.append(f"{name}: {told(now)}, recorded {told(before)}")
    return faults
