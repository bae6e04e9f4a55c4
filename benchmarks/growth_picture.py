"""The picture of benchmarks/growth.py: seconds and memory against size, a column of panels a sweep."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmarks.growth import Curve

COLOURS = ("#0072b2", "#d55e00")  # told apart by all eyes
MARKS = ("o", "s")


def draw(curves: Sequence[Curve], path: Path) -> None:
    """Draw seconds above, with a line of slope 1 through the largest size, and peak memory below."""
    from matplotlib.figure import Figure

    panels = list(dict.fromkeys(curve.panel for curve in curves))
    figure = Figure(figsize=(3.7 * len(panels), 6), layout="constrained")
    axes = figure.subplots(2, len(panels), squeeze=False, height_ratios=(3, 2), sharex="col")
    most = max(max(curve.peak_gb) for curve in curves)
    for column, panel in enumerate(panels):
        shown = [curve for curve in curves if curve.panel == panel]
        _draw_seconds(axes[0, column], shown)
        _draw_memory(axes[1, column], shown)
        axes[0, column].set_title(panel)
        axes[1, column].set_xlabel(shown[0].unit)
        axes[1, column].set_ylim(0, 1.1 * most)
    axes[0, 0].set_ylabel("seconds")
    axes[1, 0].set_ylabel("peak memory, GB")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def _draw_seconds(axis: Any, curves: Sequence[Curve]) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator

    for curve, colour, mark in zip(curves, COLOURS, MARKS, strict=False):
        label = f"{_short(curve)}: exponent {curve.exponent:.2f}, at the end {curve.last_exponent:.2f}"
        axis.plot(curve.amounts, curve.seconds, color=colour, marker=mark, label=label)
        last, cost = curve.amounts[-1], curve.seconds[-1]
        line = [cost * amount / last for amount in curve.amounts]
        axis.plot(curve.amounts, line, color=colour, linestyle=":", linewidth=1.2, zorder=0)
    axis.plot([], [], color="grey", linestyle=":", linewidth=1.2, label="exponent 1: linear")
    axis.set_xscale("log", base=2)
    axis.set_yscale("log")
    axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, place: f"{value:g}"))
    _mark_sizes(axis, curves[0])
    axis.legend(fontsize=7.5, loc="upper left")
    low, high = axis.get_ylim()
    axis.set_ylim(low, high * (high / low) ** 0.3)  # room for the legend


def _draw_memory(axis: Any, curves: Sequence[Curve]) -> None:
    for curve, colour, mark in zip(curves, COLOURS, MARKS, strict=False):
        axis.plot(curve.amounts, curve.peak_gb, color=colour, marker=mark)
    axis.axhline(max(curves[0].start_gb), color="grey", linestyle="--", linewidth=1, label="at the start")
    axis.legend(fontsize=7.5, loc="lower left")
    _mark_sizes(axis, curves[0])


def _mark_sizes(axis: Any, curve: Curve) -> None:
    told = [f"{amount:.3g}" if amount < 100 else f"{amount:.0f}" for amount in curve.amounts]
    axis.set_xticks(curve.amounts, told)
    axis.minorticks_off()
    axis.grid(True, alpha=0.3)


def _short(curve: Curve) -> str:
    """A curve's name without its panel's."""
    return curve.name.removeprefix(f"{curve.panel}, ")
