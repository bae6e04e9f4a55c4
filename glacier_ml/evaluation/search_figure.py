"""The picture of a search: what each trial reached, the best so far, and where it stood still."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from glacier_ml.evaluation.figures import new_figure, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MARKS = {"complete": ("o", "#0072B2"), "pruned": ("v", "#E69F00"), "failed": ("x", "#D55E00")}


def search_progress(
    values: Sequence[float | None],
    states: Sequence[str],
    plateau: tuple[int, int] | None = None,
    title: str = "",
) -> Figure:
    """Draw validation IoU by finished trial, the best complete one so far, and the plateau.

    Parameters
    ----------
    values : sequence of float or None
        Objective of each trial in the order of finish; a pruned one's is what it had reached, a failed one
        has none and is marked at the bottom.
    states : sequence of str
        'complete', 'pruned' or 'failed' for each of them; others are not drawn.
    plateau : tuple of int, optional
        Places, from 1, of the trial since which there was no gain and of the one after which the rule stops.
    title : str
        Above the picture.
    """
    from matplotlib.ticker import MaxNLocator

    figure = new_figure(7.5, 4.2)
    axes = figure.add_subplot()
    places = np.arange(1, len(values) + 1)
    known = np.array([np.nan if value is None else value for value in values], dtype=float)
    complete = np.array([state == "complete" for state in states], dtype=bool)
    best = np.fmax.accumulate(np.where(complete, known, np.nan)) if len(known) else known
    axes.step(places, best, where="post", color="0.3", linewidth=1.2, label="best so far")
    _mark_trials(axes, known, states)
    if plateau:
        first, last = plateau
        axes.axvspan(first, last, color="0.9", zorder=0, label=f"no gain: trials {first} to {last}")
        axes.axvline(last, color="0.5", linestyle="--", linewidth=1, label=f"the rule stops after {last}")
    axes.set(xlabel="finished trials", ylabel="validation IoU")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    axes.set_title(plain(title), fontsize=9)
    return figure


def _mark_trials(axes: Axes, values: np.ndarray, states: Sequence[str]) -> None:
    lowest = np.nanmin(values) if np.isfinite(values).any() else 0.0
    for state, (marker, colour) in MARKS.items():
        chosen = np.flatnonzero([one == state for one in states])
        if chosen.size:
            heights = np.where(np.isfinite(values[chosen]), values[chosen], lowest)
            label = f"{state}, {chosen.size}"
            axes.scatter(chosen + 1, heights, marker=marker, color=colour, s=28, label=label, zorder=3)
