"""A cross-validation told in text: the worst finding first, the headline, the leaky gap, then every score."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from glacier_ml.evaluation.report.verdict import shown_name
from glacier_ml.evaluation.spread.places import (
    ENOUGH_PLACES,
    WITHIN,
    group_scores,
    leaky_gaps,
    spread,
    worst_finding,
)
from glacier_ml.evaluation.subsets import GROUND_SUBSETS

if TYPE_CHECKING:
    import pandas as pd

SHOWN = ("iou", "f1", "accuracy", "precision", "recall", "kappa", "area_error_percent")
MANY_GROUPS = 8  # more are told by their lowest and highest instead of one by one
_NAMES = {"place": "places", "region": "regions", "scene": "places", "random": "places", "block": "places"}


def summary(table: pd.DataFrame) -> str:
    """Tell the scores of folds (see `spread`) as text, the worst finding in its first line."""
    table = table.assign(classifier=table.classifier.map(shown_name))
    points = group_scores(table)
    # The headline leads, whatever order the protocols were run in.
    protocols = sorted(table.protocol.unique(), key=("place", "region", "scene", "block", "random").index)
    parts = [f"worst finding: {worst_finding(table)}"]
    parts += [_protocol_text(points, protocol) for protocol in protocols]
    parts += [_leak_text(points, protocol) for protocol in protocols if protocol not in WITHIN]
    parts += [_ground_text(table, protocol) for protocol in protocols[:1]]
    parts += ["every score by fold and scene, mean over seeds", _scene_text(table)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _title(protocol: str) -> str:
    titles = {
        "random": "random pixels left out (leaky: neighbours of every scored pixel were trained on)",
        "block": "blocks of the same scenes left out (says nothing about other places)",
    }
    return titles.get(
        protocol, f"one {protocol} left out at a time{', the headline' * (protocol == 'place')}"
    )


def _protocol_text(points: pd.DataFrame, protocol: str) -> str:
    """IoU of every group as a single point, their mean, and its interval where groups suffice."""
    own = points[points.protocol == protocol]
    described = spread(own).set_index("classifier")
    groups = own.group.unique()
    if len(groups) <= MANY_GROUPS:
        shown = own.pivot(index="classifier", columns="group", values="value").reindex(described.index)
    else:
        shown = described[["lowest", "highest"]].copy()
    shown["mean"] = described["mean"]
    shown.columns.name = shown.index.name = None
    if len(groups) >= ENOUGH_PLACES:
        shown["95 % interval"] = [
            _interval(low, high) for low, high in zip(described.low, described.high, strict=True)
        ]
        told = f"intervals: bootstrap over {len(groups)} {_NAMES[protocol]}"
    else:
        told = (
            f"single points: {len(groups)} {_NAMES[protocol]} are too few for an interval "
            f"({ENOUGH_PLACES} are wanted)"
        )
    return f"IoU, {_title(protocol)}\n{_aligned(shown)}\n{told}"


def _leak_text(points: pd.DataFrame, protocol: str) -> str:
    gaps = leaky_gaps(points, protocol)
    if gaps.empty:
        return ""
    told = []
    for row in gaps.itertuples():
        interval = "" if np.isnan(row.low) else f" ({_interval(row.low, row.high)})"
        told.append(f"{row.classifier} {row.gap:+.3f}{interval}")
    return f"a random split flatters, against one {protocol} left out, by IoU: {', '.join(told)}"


def _ground_text(table: pd.DataFrame, protocol: str) -> str:
    """Share of each ground class's pixels that are mapped right, where the classes are known."""
    parts = table[(table.subset != "all") & (table.protocol == protocol)]
    if parts.empty:
        return ""
    scenes = parts.groupby(["subset", "classifier", "scene"], sort=False).accuracy.mean()
    shown = scenes.groupby(["subset", "classifier"], sort=False).mean().unstack("subset")
    shown = shown.reindex(columns=[name for name in GROUND_SUBSETS if name in shown])
    shown = shown.reindex(table.classifier.unique())
    shown.columns.name = shown.index.name = None
    return (
        f"share of the pixels mapped right by ground class, {_title(protocol)}, mean over scenes\n"
        f"{_aligned(shown)}"
    )


def _scene_text(table: pd.DataFrame) -> str:
    whole = table[table.subset == "all"]
    keys = ["protocol", "fold", "scene", "classifier"]
    shown = whole.groupby(keys, sort=False)[list(SHOWN)].mean().reset_index()
    return str(shown.to_string(index=False, float_format=_number))


def _aligned(shown: pd.DataFrame) -> str:
    return str(shown.to_string(float_format=_number))


def _number(value: float) -> str:
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"


def _interval(low: float, high: float) -> str:
    return f"{low:.3f} to {high:.3f}"
