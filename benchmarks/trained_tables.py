"""Tables of trained points that searches can be replayed on: the report's grids, and random points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.ffnn_points import ROOT, read_points

TRIALS = ROOT / "experiments" / "report" / "small" / "trials.csv"
AXES = ("activation", "optimizer", "learning_rate", "penalty", "hidden_layers", "nodes", "tile_size",
        "noise", "levels", "head_nodes")  # fmt: skip


@dataclass(frozen=True)
class Table:
    """Points of a search, each trained once.

    `curves` is the validation IoU by epoch of each point, `axes` the values of each searched parameter;
    the first point is the baseline.
    """

    title: str
    axes: dict[str, list[Any]]
    points: list[tuple[Any, ...]]
    curves: list[list[float]]

    @property
    def best(self) -> list[float]:
        """Objective of each point: its best epoch."""
        return [max(curve) for curve in self.curves]

    def encoded(self) -> NDArray[np.float64]:
        """Points as columns from 0 to 1: numbers by their rank, words one column each."""
        columns = []
        for place, choices in enumerate(self.axes.values()):
            ranks = [choices.index(point[place]) for point in self.points]
            if isinstance(choices[0], str):
                columns += [[float(rank == one) for rank in ranks] for one in range(len(choices))]
            else:
                columns.append([rank / max(len(choices) - 1, 1) for rank in ranks])
        return np.array(columns).T


def report_tables() -> list[Table]:
    """Every grid of the report with at least three points, one table for each protocol and seed."""
    import pandas as pd

    trials = pd.read_csv(TRIALS).dropna(subset=["val/iou"]).sort_values("epoch", kind="stable")
    tables = []
    for (figure, protocol, _), rows in trials.groupby(["figure", "protocol", "seed"]):
        names = [name for name in AXES if rows[name].notna().any()]
        curves = {number: list(group["val/iou"]) for number, group in rows.groupby("trial")}
        if len(curves) < 3:
            continue
        points = [tuple(rows[rows["trial"] == number][names].iloc[0].tolist()) for number in curves]
        axes = {name: sorted({point[place] for point in points}) for place, name in enumerate(names)}
        tables.append(Table(f"{figure}, {protocol}", axes, points, list(curves.values())))
    return tables


def chance() -> dict[str, tuple[float, int]]:
    """Spread of one setting over training seeds, by network: pooled standard deviation and settings."""
    import pandas as pd

    trials = pd.read_csv(TRIALS).dropna(subset=["val/iou"]).query("protocol == 'sound'")
    final = trials.groupby(["figure", *AXES, "seed"], dropna=False)["val/iou"].max().reset_index()
    final["network"] = np.where(
        final["figure"].isin(["figure_08", "figure_09", "figure_13"]), "FFNN", "U-Net"
    )
    found = {}
    for network, rows in final.groupby("network"):
        groups = [
            group["val/iou"] for _, group in rows.groupby(["figure", *AXES], dropna=False) if len(group) > 1
        ]
        found[f"{network}, report"] = _pooled(groups)
    return found


def _pooled(groups: Sequence[Any]) -> tuple[float, int]:
    squares = sum(float(((group - group.mean()) ** 2).sum()) for group in groups)
    return float(np.sqrt(squares / max(sum(len(group) - 1 for group in groups), 1))), len(groups)


@cache
def points_table() -> Table:
    """Give the random points of the per-pixel network as a table."""
    points, iou, _ = read_points()
    axes = {name: sorted({point[name] for point in points}) for name in points[0]}
    return Table("", axes, [tuple(point.values()) for point in points], [[value] for value in iou.tolist()])
