"""The benchmark of growth: its exponents by hand, and a sweep of tiny sizes."""

import doctest
import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import growth
from benchmarks.growth import FLAT, LINEAR, WIDTH, Curve

ROOT = Path(__file__).resolve().parent.parent


def curve(law, seconds, peaks):
    """Of sizes 1, 4, 16, from .5 GB on."""
    grown = Curve("made", "made", "px", law)
    for amount, taken, peak in zip((1, 4, 16), seconds, peaks, strict=True):
        grown.add(amount, {"seconds": taken, "peak_gb": peak, "start_gb": 0.5})
    return grown


def test_the_exponent_is_the_slope_of_the_logarithms():
    # 2, 8, 32 s: four times as many take four times as long; 2, 4, 8: twice as long, the square root
    assert curve(FLAT, (2, 8, 32), (1, 1, 1)).exponent == pytest.approx(1)
    grown = curve(FLAT, (2, 4, 32), (1, 1, 1))
    # slopes .5 and 1.5 of equal steps: 1 on the whole
    assert grown.exponent == pytest.approx(1) and grown.last_exponent == pytest.approx(1.5)
    assert grown.linearity == pytest.approx(1)


@pytest.mark.parametrize(
    ("law", "peaks", "ratio"),
    [
        (FLAT, (1.0, 1.5, 2.0), 0.5),
        (WIDTH, (0.75, 1.0, 1.5), 1.0),  # .25 -> 1 GB beyond the start: four times, as the width
        (LINEAR, (0.75, 1.5, 4.5), 1.0),  # .25 -> 4 GB: sixteen times
    ],
)
def test_memory_is_held_to_its_law(law, peaks, ratio):
    assert curve(law, (1, 2, 3), peaks).bounded == pytest.approx(ratio)


def test_the_examples_hold():
    assert doctest.testmod(growth).failed == 0


@pytest.mark.thorough
def test_tiny_sweeps_are_measured_and_drawn(tmp_path):
    sweeps = ["--part", "0.02", "--sweeps", "scene size", "tiles", "trials"]
    written = ["--json", str(tmp_path / "found.json"), "--plot", str(tmp_path / "plot.png")]
    command = [sys.executable, "-m", "benchmarks.growth", *sweeps, *written]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "found.json").read_text())
    maps = ["scene size, U-Net", "scene size, FFNN"]
    assert [row["sweep"] for row in found["rows"]] == [*maps, "tiles, an epoch", "trials of a study"]
    assert all(row["GB at 16x"] > 0.2 and row["s at 16x"] > 0 for row in found["rows"])
    assert {"tiles, an epoch: memory flat", "trials of a study: linear or better"} <= set(found["ratios"])
    assert (tmp_path / "plot.png").stat().st_size > 10_000
