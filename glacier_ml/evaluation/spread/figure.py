"""The picture of a cross-validation: a dot a place left out and classifier, at random beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from glacier_ml.evaluation.figures import new_figure
from glacier_ml.evaluation.report.verdict import shown_name
from glacier_ml.evaluation.spread.places import ENOUGH_PLACES, WITHIN, group_scores, spread

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's palette, which colour-blind readers tell apart; no more groups than colours get one each.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_MARKERS = "osD^vPX"
_LEAKY = "#8c8c8c"


def draw_points(table: pd.DataFrame, score: str = "iou") -> Figure:
    """Draw every group's score as a single point, a row a classifier and a panel a protocol.

    Filled marks are groups that were left out, one colour and mark each where they are few. Hollow ones are
    pixels of scenes that were trained on, by a split at random (leaky) or by blocks. A bar is the 95 %
    interval of the mean over groups, drawn where there are `ENOUGH_PLACES` or more.

    Parameters
    ----------
    table : pandas.DataFrame
        Of fold scores, see `glacier_ml.evaluation.spread.places`.
    score : str
        Column to draw.

    Returns
    -------
    matplotlib.figure.Figure
    """
    points = group_scores(table, score)
    present = set(points.protocol)
    away = [one for one in ("place", "region", "scene") if one in present]
    within = [one for one in WITHIN if one in present]
    names = list(dict.fromkeys(table.classifier))
    figure = new_figure(7.6, 1.5 + 0.42 * len(names) * max(1, len(away)))
    panels = figure.subplots(max(1, len(away)), 1, sharex=True, squeeze=False)[:, 0]
    for axes, protocol in zip(panels, away or [""], strict=True):
        _draw_rows(axes, names)
        for one in within:
            _draw_within(axes, points[points.protocol == one], names, one)
        if protocol:
            _draw_away(axes, points[points.protocol == protocol], names)
            axes.set_title(f"one {protocol} left out at a time", fontsize=10, loc="left")
        axes.legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    panels[-1].set_xlabel({"iou": "glacier IoU"}.get(score, score))
    return figure


def _draw_rows(axes: Axes, names: list[str]) -> None:
    axes.set_yticks(range(len(names)), [shown_name(name) for name in names])
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlim(-0.03, 1.03)
    axes.grid(axis="x", color="0.9")
    axes.hlines(range(len(names)), 0, 1, color="0.93", linewidth=6, zorder=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(left=False)


def _draw_within(axes: Axes, points: pd.DataFrame, names: list[str], protocol: str) -> None:
    told = "at random (leaky)" if protocol == "random" else "blocks of the same scenes"
    style: dict[str, Any] = {"facecolors": "none", "edgecolors": _LEAKY, "linewidths": 1.2, "s": 46}
    marker = "o" if protocol == "random" else "s"
    axes.scatter(points.value, _rows(points, names) + 0.2, marker=marker, label=told, zorder=2, **style)


def _draw_away(axes: Axes, points: pd.DataFrame, names: list[str]) -> None:
    groups = list(dict.fromkeys(points.group))
    if len(groups) <= len(_COLOURS):
        for number, group in enumerate(groups):
            part = points[points.group == group]
            mark: dict[str, Any] = {"color": _COLOURS[number], "marker": _MARKERS[number], "s": 46}
            axes.scatter(part.value, _rows(part, names) - 0.1, label=group, zorder=3, **mark)
    else:
        label = f"each of {len(groups)}, left out"
        style: dict[str, Any] = {"color": _COLOURS[0], "alpha": 0.6, "s": 30, "linewidths": 0}
        axes.scatter(points.value, _rows(points, names) - 0.1, label=label, zorder=3, **style)
    described = spread(points)
    if len(groups) >= ENOUGH_PLACES:
        told = described[np.isfinite(described.low)]
        middle, rows = told["mean"], _rows(told, names) - 0.28
        ends = np.abs(np.stack([middle - told.low, told.high - middle]))
        label = "mean, 95 % interval"
        axes.errorbar(middle, rows, xerr=ends, fmt="|", color="0.1", capsize=3, label=label, zorder=4)


def _rows(points: pd.DataFrame, names: list[str]) -> Any:
    return points.classifier.map(names.index).to_numpy(dtype=float)
