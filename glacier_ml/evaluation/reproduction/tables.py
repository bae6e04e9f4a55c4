"""Tables of the report's values beside those found here, in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from glacier_ml.evaluation.reproduction.figures import CURVES, HEAT_MAPS, last_epochs, ordered
from glacier_ml.evaluation.reproduction.reported import MAP_STUDIES, shown, values_of

if TYPE_CHECKING:
    import pandas as pd

SCORES = ("train/accuracy", "val/accuracy", "val/iou")
UNKNOWN = "-"


def markdown_table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    r"""Write a Markdown table.

    >>> print(markdown_table(("a", "b"), [(1, "x | y")]))
    | a | b |
    |---|---|
    | 1 | x \| y |
    """
    lines = [heads, *rows]
    cells = [[str(cell).replace("|", "\\|") for cell in line] for line in lines]
    written = [f"| {' | '.join(line)} |" for line in cells]
    return "\n".join([written[0], "|" + "---|" * len(heads), *written[1:]])


def number(value: Any) -> str:
    """Three digits; a dash where nothing is known.

    >>> number(0.8451), number(None), number(float("nan"))
    ('0.845', '-', '-')
    """
    return UNKNOWN if value is None or not np.isfinite(value) else f"{value:.3f}"


def curve_table(trials: pd.DataFrame, figure: str) -> str:
    """The report's train and test accuracy beside each protocol's at the last epoch."""
    own, column = trials[trials["figure"] == figure], CURVES[figure]
    if own.empty:
        return ""
    protocols, told = sorted(own["protocol"].unique()), values_of(figure)
    heads = [column.replace("_", " "), "the report: train", "test", *_protocol_heads(protocols)]
    rows = []
    for value in ordered(own[column].dropna().unique()):
        one = told.get(value)
        row = [shown(value), number(one.train if one else None), number(one.test if one else None)]
        rows.append(row + _last_scores(own[own[column] == value], protocols))
    return markdown_table(heads, rows)


def _protocol_heads(protocols: Sequence[str]) -> list[str]:
    heads = {"train/accuracy": "train", "val/accuracy": "{}", "val/iou": "{} IoU"}
    parts = {one: "test" if one == "report" else "validation" for one in protocols}
    return [f"{one} protocol: {heads[score].format(parts[one])}" for one in protocols for score in SCORES]


def _last_scores(own: pd.DataFrame, protocols: Sequence[str]) -> list[str]:
    cells = []
    for protocol in protocols:
        last = last_epochs(own[own["protocol"] == protocol])
        cells += [number(last[score].astype(float).mean() if len(last) else None) for score in SCORES]
    return cells


def heat_table(trials: pd.DataFrame, figure: str) -> str:
    """Each value of figure 7 at the last epoch; of figure 9 the best of all. The report gives few numbers."""
    parts = []
    studies = HEAT_MAPS if figure == "figure_07" else {"figure_09": ""}
    for study, column in studies.items():
        own = trials[trials["figure"] == study]
        if len(own):
            parts.append(_by_value(own, column) if column else _best_cell(own))
    return "\n\n".join(parts)


def _by_value(own: pd.DataFrame, column: str) -> str:
    protocols = sorted(own["protocol"].unique())
    rows = [
        [shown(float(value)), UNKNOWN, *_last_scores(own[own[column] == value], protocols)]
        for value in ordered(own[column].dropna().unique())
    ]
    return markdown_table([column.replace("_", " "), "the report", *_protocol_heads(protocols)], rows)


def _best_cell(own: pd.DataFrame) -> str:
    told = values_of("figure_09")["best of all"]
    rows: list[Sequence[object]] = [
        ("the report, best of all", UNKNOWN, number(told.train), number(told.test), UNKNOWN)
    ]
    for protocol in sorted(own["protocol"].unique()):
        last = last_epochs(own[own["protocol"] == protocol])
        scores = {score: last[score].astype(float) for score in SCORES}
        for name, score in (("train", "train/accuracy"), ("test", "val/accuracy")):
            if scores[score].notna().any():
                at = scores[score].idxmax()
                cell = f"{last.at[at, 'hidden_layers']:g} x {last.at[at, 'nodes']:g}"
                values = [number(scores[one][at]) for one in SCORES]
                rows.append((f"{protocol} protocol, best {name}", cell, *values))
    return markdown_table(("", "layers x nodes", "train accuracy", "test accuracy", "test IoU"), rows)


def map_table(maps: pd.DataFrame, figure: str) -> str:
    """Scores of maps at the report's threshold and at the own one, beside the report's."""
    own = maps[maps["figure"] == figure] if len(maps) else maps
    if own.empty:
        return ""
    if not own["accuracy"].notna().any():
        return f"No score: these scenes have no outlines (the network of {MAP_STUDIES.get(figure, figure)})."
    rows = [
        (
            one["scene"],
            "yes" if one["trained"] else "no",
            f"{number(one['reported_accuracy'])} / {number(one['reported_iou'])}",
            one["protocol"],
            f"{one['threshold']:.2f} ({one['cut']})",
            f"{number(one['accuracy'])} / {number(one['iou'])}",
        )
        for one in own.sort_values(["scene", "protocol"], kind="stable").to_dict("records")
    ]
    heads = (
        "scene",
        "trained on it",
        "the report: accuracy / IoU",
        "protocol",
        "threshold",
        "accuracy / IoU",
    )
    return markdown_table(heads, rows)


def batch_table(trials: pd.DataFrame, column: str = "batch") -> str:
    """How many samples the network really saw at once, by study and protocol: what memory allowed.

    The report's 32 (Keras's default; it names none) is kept as the step of the optimiser: where fewer fit in
    memory, the gradients of pieces are summed.
    """
    told = (
        "The report names no batch size; Keras's default is 32 (tiles, or pixels for the FFNN). Where memory "
        "does not hold that many at once, the gradients of smaller pieces are summed before a step."
    )
    if column not in trials or not trials[column].notna().any():
        return f"{told} These trials left no count of what was seen at once."
    known = trials[trials[column].notna()]
    rows = []
    for (study, protocol), own in known.groupby(["figure", "protocol"]):
        sizes = sorted(own[column].astype(float).unique())
        rows.append((study, protocol, ", ".join(f"{size:g}" for size in sizes)))
    return f"{told}\n\n{markdown_table(('study', 'protocol', 'samples really seen at once'), rows)}"
