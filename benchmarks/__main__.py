"""Run the benchmarks, each in a process of its own, one after the other; nothing else should run then.

    python -m benchmarks                     all that have recorded ratios, on the made scenes
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
from typing import Any

from benchmarks.tables import RECORDED, ROOT, instructions, slower

# In the order in which they run: the quick ones first.
NAMES = (
    "starting",
    "shared_samples",
    "tracking_cost",
    "ffnn_training",
    "unet_training",
    "prediction",
    "growth",
    "study",
    "time_to_quality",
)


def command_of(name: str) -> list[str]:
    """How a benchmark is started."""
    return [sys.executable, "-m", f"benchmarks.{name}"]


def run_one(name: str, data: str | None, folder: Path) -> dict[str, Any]:
    """Run a benchmark; gives what it wrote, {} where it failed, and then an earlier file stays."""
    path = folder.resolve() / f"{name}.json"
    made = path.with_suffix(".partial")
    print(f"\n## {name}\n", flush=True)
    options = ["--json", str(made), *(["--data", data] if data else [])]
    done = subprocess.run([*command_of(name), *options], cwd=ROOT)
    if done.returncode or not made.is_file():
        made.unlink(missing_ok=True)
        return {}
    made.replace(path)
    return dict(json.loads(path.read_text()))


def held(name: str, found: dict[str, Any], recorded: Path) -> list[str]:
    """What of a benchmark is slower than recorded."""
    path = recorded / f"{name}.json"
    if not path.is_file():
        return [f"{name}: nothing is recorded in {recorded.name}; run with --record"]
    before = json.loads(path.read_text())
    options = before.get("options", found.get("options"))  # older records have none
    if found and options != found["options"]:
        return [f"{name}: measured with other options ({found.get('options')}) than recorded ({options})"]
    return [f"slower: {name}: {fault}" for fault in slower(found.get("ratios", {}), before["ratios"])]


def options() -> argparse.ArgumentParser:
    """What may be asked for."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}; all by default")
    parser.add_argument("--data", help="catalog of your own; the made scenes by default")
    results = ROOT / "benchmarks" / "results"
    parser.add_argument("--output", type=Path, default=results, help="folder for the JSON files")
    parser.add_argument("--check", action="store_true", help="against the recorded ratios")
    parser.add_argument("--record", action="store_true", help="as the recorded ratios")
    parser.add_argument(
        "--recorded",
        type=Path,
        default=RECORDED / instructions(),
        metavar="FOLDER",
        help=f"of the recorded ratios; by default those of such processors ({instructions()})",
    )
    return parser


def main(words: list[str] | None = None) -> int:
    """Run what was asked for; 1 where something failed or is slower."""
    parser = options()
    chosen = parser.parse_args(words)
    if unknown := set(chosen.names) - set(NAMES):
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}; choose of {', '.join(NAMES)}")
    faults: list[str] = []
    for name in chosen.names or NAMES:
        found = run_one(name, chosen.data, chosen.recorded if chosen.record else chosen.output)
        if not found:
            faults.append(f"{name}: failed")
        elif chosen.check:
            faults += held(name, found, chosen.recorded)
    for fault in faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
