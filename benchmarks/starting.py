"""How long `import glacier_ml` and the command line's help take, in fresh processes.

    python -m benchmarks.starting [--repeats 9]

The peer is `python -c pass`, in turns with ours in the same run; beside it stands an import of numpy,
rasterio and click, which most commands need once they work. A ratio is .5 s over ours: 1 is wanted.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time

from benchmarks.tables import ROOT, Table, run

WANTED = 0.5  # s
PEER, LIBRARIES = "python -c pass", "import numpy, rasterio, click"
HELP = ("", "predict", "tune-unet", "study list", "inventory")


def commands() -> dict[str, list[str]]:
    """What is started, by name."""
    ours = {f"glacier-ml {name} --help".replace("  ", " "): [*name.split(), "--help"] for name in HELP}
    return {
        PEER: ["-c", "pass"],
        LIBRARIES: ["-c", LIBRARIES],
        "import glacier_ml": ["-c", "import glacier_ml"],
        **{name: ["-m", "glacier_ml", *words] for name, words in ours.items()},
    }


def seconds_of(words: list[str]) -> float:
    """Seconds that a fresh Python takes, from its start to its end."""
    begun = time.perf_counter()
    subprocess.run([sys.executable, *words], cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - begun


def modules_of(words: list[str]) -> int:
    """How many modules a start imports."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *words], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return sum(line.startswith("import time:") for line in done.stderr.splitlines()) - 1  # the heading


def measure(options: argparse.Namespace) -> Table:
    """Start each command several times, in turns, once before to have its files read."""
    chosen = commands()
    found: dict[str, list[float]] = {name: [] for name in chosen}
    for turn in range(options.repeats + 1):
        for name, words in chosen.items():
            seconds = seconds_of(words)
            if turn:
                found[name].append(seconds)
    medians = {name: statistics.median(values) for name, values in found.items()}
    table = Table(notes=[f"median of {options.repeats} starts each, files in the system's cache"])
    for name, words in chosen.items():
        beyond = medians[name] - medians[PEER]
        modules = modules_of(words)
        row = {"start": name, "s": medians[name], "s beyond bare python": beyond, "modules": modules}
        table.rows.append(row)
    slowest = max(medians[name] for name in chosen if name.endswith("--help"))
    for name in ("import glacier_ml", "glacier-ml --help"):
        table.ratio(f"{name}: {WANTED} s over ours", WANTED / medians[name], 1.0)
    table.ratio(f"slowest --help: {WANTED} s over ours", WANTED / slowest, 1.0)
    table.ratio("slowest --help: the libraries over ours", medians[LIBRARIES] / slowest, 1.0)
    return table


def more(parser: argparse.ArgumentParser) -> None:
    """Add this benchmark's own options."""
    parser.add_argument("--repeats", type=int, default=9, help="starts of each")


if __name__ == "__main__":
    run(measure, __doc__, more)
