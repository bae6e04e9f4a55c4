"""How cost grows with scene size, tiles, trials and pixels, each over a 16-fold range.

    python -m benchmarks.growth [--data CATALOG] [--plot FILE] [--part .1]

Scene size: `map_scenes` of one square scene, U-Net and per-pixel network. Scene length: the same of one that
stays 500 pixels wide. Tiles: an epoch of training. Trials: a study with its storage and MLflow. Pixels:
preparing and validating a catalog of more and more scenes. Each size runs in a process of its own (the trials
in one), whose start - imports, TensorFlow, tracing - is left out of the seconds and is in the memory.

An exponent is the slope of log seconds against log size: 1 is linear. That of the last doubling is swayed
least by what is fixed. `linear or better` is 16 over the cost at 16x against that at 1x: 1 where it is
linear, more where something is fixed. `memory flat` is the peak at 1x over that at 16x. Where strips of a
scene are held, memory beyond the process's start may grow as the width: `memory as the width or better` is 4
over its growth. Where the data themselves are held, `memory linear or better` is 16 over it.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.growth_inputs import MODELS, training_scenes, write_catalog, write_large_scene, write_model
from benchmarks.growth_work import EPOCHS, MAPS, PREPARATIONS
from benchmarks.processes import asked
from benchmarks.tables import Table, run
from glacier_ml.scenes.catalog import LabelledScene

SIZES = (1, 2, 4, 8, 16)
AIM = 0.9
SIDE, TILES, TRIALS, SCENES = 1000, 128, 10, 2  # of size 1
NARROW = 500  # columns of the scenes that grow in length
FLAT, WIDTH, LINEAR = 0.0, 0.5, 1.0
LAWS = {FLAT: "memory flat", WIDTH: "memory as the width or better", LINEAR: "memory linear or better"}
TINY = 192  # side of the scenes that a study of tiny trials has [px]


@dataclass
class Curve:
    """What one sweep cost by size: amounts (of `unit`), seconds, peak memory and that at the start [GB].

    `law` is the exponent by which memory may grow.
    """

    name: str
    panel: str
    unit: str
    law: float = FLAT
    amounts: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    peak_gb: list[float] = field(default_factory=list)
    start_gb: list[float] = field(default_factory=list)

    def add(self, amount: float, cost: dict[str, float]) -> None:
        """Note one size."""
        self.amounts.append(amount)
        for name in ("seconds", "peak_gb", "start_gb"):
            getattr(self, name).append(cost[name])

    @property
    def exponent(self) -> float:
        """Slope of log seconds against log amount, by least squares."""
        return float(np.polyfit(np.log(self.amounts), np.log(self.seconds), 1)[0])

    @property
    def last_exponent(self) -> float:
        """That of the last doubling."""
        (less, more), (quicker, slower) = self.amounts[-2:], self.seconds[-2:]
        return math.log(slower / quicker) / math.log(more / less)

    @property
    def linearity(self) -> float:
        """How many times as large the last size is as the first, over how many times as long it took."""
        return self.amounts[-1] / self.amounts[0] * self.seconds[0] / self.seconds[-1]

    @property
    def bounded(self) -> float:
        """How many times as much memory the last size may need as the first, over how many times it does.

        >>> Curve("", "", "", FLAT, [1, 16], [], [1.0, 1.25], [0.5, 0.5]).bounded
        0.8
        >>> Curve("", "", "", WIDTH, [1, 16], [], [1.0, 1.5], [0.5, 0.5]).bounded  # 4 times, over 1 / .5
        2.0
        """
        first, *_, last = self.peak_gb
        if self.law != FLAT:
            first, last = first - self.start_gb[0], last - self.start_gb[-1]
        return (self.amounts[-1] / self.amounts[0]) ** self.law * first / last


def work(sweep: str, *arguments: Any) -> list[dict[str, float]]:
    """What a size cost, measured in a process of its own: see growth_work."""
    told = [str(one) if isinstance(one, Path) else one for one in arguments]
    found: list[dict[str, float]] = asked("benchmarks.growth_work", "costs", sweep, *told)[0]
    return found


def sweep_scene_size(data: str | None, part: float, folder: Path) -> list[Curve]:
    """Map a square scene of 1 to 16 times the pixels."""
    sides = [round(SIDE * math.sqrt(part * size)) for size in SIZES]
    return map_scenes("scene size", WIDTH, [(side, side) for side in sides], training_scenes(data)[0], folder)


def sweep_scene_length(data: str | None, part: float, folder: Path) -> list[Curve]:
    """Map a scene of 1 to 16 times the rows."""
    shapes = [(round(SIDE**2 / NARROW * part * size), NARROW) for size in SIZES]
    return map_scenes("scene length", FLAT, shapes, training_scenes(data)[0], folder)


def map_scenes(
    panel: str, law: float, shapes: list[tuple[int, int]], source: LabelledScene, folder: Path
) -> list[Curve]:
    """Map scenes of several shapes by both networks."""
    models = {name: write_model(values, folder / name) for name, values in MODELS.items()}
    unit = "megapixels of the scene"
    curves = {name: Curve(f"{panel}, {name}", panel, unit, law) for name in models}
    warm = write_large_scene(source.scene, (256, 256), folder / "warm")
    for rows, columns in shapes:
        scene = write_large_scene(source.scene, (rows, columns), folder / f"scene-{rows}")
        for name, model in models.items():
            (cost,) = work("scene", model, warm, scene)
            curves[name].add(rows * columns / 1e6, cost)
    return list(curves.values())


def sweep_tiles(data: str | None, part: float, folder: Path) -> list[Curve]:
    """Train an epoch of 1 to 16 times the tiles."""
    catalog = write_catalog(training_scenes(data)[:1], 1, folder)
    curve = Curve("tiles, an epoch", "tiles", "tiles of 64 px in an epoch")
    for size in SIZES:
        tiles = 16 * max(1, round(TILES * part * size / 16))  # whole batches
        (cost,) = work("tiles", catalog, tiles)
        curve.add(tiles, cost)
    return [curve]


def sweep_trials(data: str | None, part: float, folder: Path) -> list[Curve]:
    """Run a study of 16 times the trials; how it stood after fewer is what a smaller one costs."""
    catalog = write_catalog(training_scenes(data)[:1], 1, folder, TINY)
    curve = Curve("trials of a study", "trials", "trials after the first five")
    marks = [max(1, round(TRIALS * part * size)) for size in SIZES]
    for mark, cost in zip(marks, work("trials", catalog, *marks), strict=True):
        curve.add(mark, cost)
    return [curve]


def sweep_pixels(data: str | None, part: float, folder: Path) -> list[Curve]:
    """Prepare and validate catalogs of 1 to 16 times the scenes."""
    scenes = training_scenes(data)[:1]
    unit = "megapixels of the catalog"
    curves = [Curve(f"pixels, {name}", "pixels", unit, LINEAR) for name in ("preparation", "validation")]
    for size in SIZES:
        count = max(1, round(SCENES * part * size))
        catalog = write_catalog(scenes, count, folder / f"catalog-{size}")
        for curve, cost in zip(curves, work("pixels", catalog), strict=True):
            curve.add(count * scenes[0].scene.valid.size / 1e6, cost)
    return curves


SWEEPS = {
    "scene size": sweep_scene_size,
    "scene length": sweep_scene_length,
    "tiles": sweep_tiles,
    "trials": sweep_trials,
    "pixels": sweep_pixels,
}


NOTES = [
    f"of {MAPS} maps, {EPOCHS} epochs, {PREPARATIONS} preparations and validations of each size the quickest "
    "counts; trials are all counted, without pictures",
    "pixels: a study holds its scenes; what trials share is memory-mapped, and counts as far as it was read",
]


def row_of(curve: Curve) -> dict[str, Any]:
    """A curve as a line of the table."""
    head = {"sweep": curve.name, "1x": f"{curve.amounts[0]:.3g} {curve.unit}"}
    seconds = {f"s at {size}x": value for size, value in zip(SIZES, curve.seconds, strict=True)}
    slopes = {"exponent": curve.exponent, "last doubling": curve.last_exponent}
    return head | seconds | slopes | {"GB at 1x": curve.peak_gb[0], "GB at 16x": curve.peak_gb[-1]}


def measure(options: argparse.Namespace) -> Table:
    """Measure every sweep, and draw the picture where one is asked for."""
    table, curves = Table(notes=NOTES), []
    for name in options.sweeps or SWEEPS:
        with tempfile.TemporaryDirectory() as folder:
            found = SWEEPS[name](options.data, options.part, Path(folder))
        print(f"{name}: measured", file=sys.stderr, flush=True)
        curves += found
    for curve in curves:
        table.rows.append(row_of(curve))
        table.ratio(f"{curve.name}: linear or better", curve.linearity, AIM)
        table.ratio(f"{curve.name}: {LAWS[curve.law]}", curve.bounded, AIM)
        table.series[curve.name] = asdict(curve)
    if options.plot:
        from benchmarks.growth_picture import draw

        draw(curves, options.plot)
    return table


def more(parser: argparse.ArgumentParser) -> None:
    """Add this benchmark's own options."""
    parser.add_argument("--plot", type=Path, metavar="FILE", help="also draw the curves there (PNG)")
    parser.add_argument("--part", type=float, default=1.0, help="of every size; less for a quick try")
    parser.add_argument("--sweeps", nargs="*", choices=list(SWEEPS), help="these alone")


if __name__ == "__main__":
    run(measure, __doc__, more)
