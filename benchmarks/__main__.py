"""Run the benchmarks, each in a process of its own, one after the other; nothing else should run then.

    python -m benchmarks                     all of them, on the made scenes
    python -m benchmarks unet_training ...   these
    python -m benchmarks --check             say what got slower than its recorded ratio by a quarter
    python -m benchmarks --record            note the ratios as those to be held

A benchmark alone, with options of its own: `python -m benchmarks.unet_training --help`. Peers need
`pip install -e '.[benchmarks]'`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

from benchmarks.tables import RECORDED, ROOT, slower

# In the order in which they run: the quick ones first.
NAMES = (
    "starting",
    "ffnn_training",
    "unet_training",
    "prediction",
    "growth",
    "study",
    "time_to_quality",
)


def run_one(name: str, data: str | None, output: Path) -> dict:
    """Run a benchmark; gives what it wrote, {} where it failed."""
    path = output / f"{name}.json"
    path.unlink(missing_ok=True)
    command = [sys.executable, "-m", f"benchmarks.{name}", "--json", str(path)]
    print(f"\n## {name}\n", flush=True)
    done = subprocess.run([*command, *(["--data", data] if data else [])], cwd=ROOT)
    if done.returncode or not path.is_file():
        return {}
    return dict(json.loads(path.read_text()))


def held(name: str, found: dict) -> list[str]:
    """What of a benchmark is slower than recorded."""
    path = RECORDED / f"{name}.json"
    if not path.is_file():
        return [f"{name}: nothing is recorded; run with --record"]
    recorded = json.loads(path.read_text())["ratios"]
    return [f"{name}: {fault}" for fault in slower(found.get("ratios", {}), recorded)]


def main() -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}; all by default")
    parser.add_argument("--data", help="catalog of your own; the made scenes by default")
    parser.add_argument(
        "--output", type=Path, default=ROOT / "benchmarks" / "results", help="for the JSON files"
    )
    parser.add_argument("--check", action="store_true", help="against the recorded ratios")
    parser.add_argument("--record", action="store_true", help="as the recorded ratios")
    chosen = parser.parse_args()
    if unknown := set(chosen.names) - set(NAMES):
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}; choose of {', '.join(NAMES)}")
    faults: list[str] = []
    for name in chosen.names or NAMES:
        found = run_one(name, chosen.data, RECORDED if chosen.record else chosen.output)
        if not found:
            faults.append(f"{name}: failed")
        elif chosen.check:
            faults += held(name, found)
    for fault in faults:
        print(f"slower: {fault}" if chosen.check else fault, file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
