"""The words beside the reproduced figures: a README of what holds, what was wished for, and every value."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from glacier_ml.evaluation.reproduction.block_scores import CONFIDENCE
from glacier_ml.evaluation.reproduction.conclusions import MARGIN, NOT_RUN
from glacier_ml.evaluation.reproduction.figures import CURVES
from glacier_ml.evaluation.reproduction.reported import FIGURES, shown, values_of
from glacier_ml.evaluation.reproduction.tables import (
    batch_table,
    curve_table,
    heat_table,
    map_table,
    markdown_table,
    number,
)

if TYPE_CHECKING:
    import pandas as pd

PROTOCOLS = {
    "report": "as the report did it: three features scaled by each image's own range, eight stored copies of "
    "every tile, then a random split, so that turned copies of the test tiles are trained on (a leaky test)",
    "sound": "as this project does it: fixed normalisation, reprojected masks, validation blocks apart from "
    "training, the best epoch kept; what the figure holds fixed is the report's",
}
BUDGETS = {
    "full": "the report's grids and epochs",
    "small": "scaled down to fit a desk (fewer epochs, filters and values, see the experiment files): its "
    "scores are not what the full budget would reach, and what it cannot tell the full one may",
    "tiny": "seconds a trial, to show that everything runs: its verdicts mean nothing",
}


def summary(
    trials: pd.DataFrame,
    conclusions: pd.DataFrame,
    wishes: pd.DataFrame,
    table_1: pd.DataFrame,
    maps: pd.DataFrame,
    budget: str,
    pictures: Iterable[str] = (),
) -> str:
    """Write the README of a reproduction's output folder, in Markdown.

    Parameters
    ----------
    trials : pandas.DataFrame
        As of `conclusions.conclude`; with `batch` (samples that the network saw at once), where it is known.
    conclusions, wishes, table_1, maps : pandas.DataFrame
        Of `conclude`, `answer_wishes`, `chosen_parameters` and `map_scores`; the last may be empty.
    budget : {'full', 'small', 'tiny'}
    pictures : iterable of str
        Names of the PNG files beside the README: `figure_05_report.png`, `figure_03.png`.

    Returns
    -------
    str
    """
    names = sorted(pictures)
    parts = [
        "# The report's figures, drawn again",
        _opening(budget, sorted(trials["protocol"].unique())),
        "## Which conclusions hold",
        _conclusions(conclusions),
        "## What the report wanted to know and could not",
        _wishes(wishes),
        *(_figure(name, trials, maps, names) for name in FIGURES if _is_there(name, trials, maps, names)),
        "## Table 1: the values that were chosen",
        _table_1(table_1),
        "## Samples in a batch",
        batch_table(trials),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _opening(budget: str, protocols: Sequence[str]) -> str:
    lines = [f"Budget **{budget}**: {BUDGETS.get(budget, 'see the experiment files')}.", ""]
    lines += [f"- protocol **{one}**: {PROTOCOLS.get(one, '')}" for one in protocols]
    lines += [
        "",
        "The report's numbers are read off its plots; where a plot gives none, '-' stands. It mapped scenes "
        "that it had trained on, columbia-2009 among them; here scenes of the roles test and unseen are held "
        "out: no network was trained on them and nothing was chosen on them.",
    ]
    return "\n".join(lines)


def _conclusions(conclusions: pd.DataFrame) -> str:
    if conclusions.empty:
        return "No trial has ended."
    decided = conclusions[conclusions["decides"]]
    left, decided = decided[decided["why"] == NOT_RUN], decided[decided["why"] != NOT_RUN]
    if decided.empty:
        return "None was asked: their studies were not run."
    rows = [
        (
            one["conclusion"],
            one["reported"],
            one["protocol"],
            f"**{one['holds']}**",
            *_numbers(one),
            one["why"],
        )
        for one in decided.to_dict("records")
    ]
    heads = ("conclusion", "the report", "protocol", "here", "scores", "difference [interval]", "why")
    table = markdown_table(heads, rows)
    differing = _differing(decided, conclusions[~conclusions["decides"].astype(bool)])
    named = [f"{one['conclusion']} ({one['protocol']})" for one in left.to_dict("records")]
    unasked = f"\n\nNot run: {'; '.join(named)}." if named else ""
    return f"{table}\n\n{_method(decided)}{differing}{unasked}"


def _numbers(row: Mapping[str, Any]) -> tuple[str, str]:
    """Scores of the report's choice and of its strongest rival, and their difference."""
    if not np.isfinite(row["difference"]):
        return "-", "-"
    kind = "paired" if row["paired"] is True or row["paired"] == "True" else "not paired"
    scores = (
        f"{_score(row['score'])} {row['chosen_value']:.3f} ({row['chosen']}), "
        f"{row['rival_value']:.3f} ({row['rival']})"
    )
    return scores, f"{_interval(row)}; {_comparisons(row)}, {kind}, {seeds_told(row['trainings'])}"


def seeds_told(trainings: float) -> str:
    """How many trainings stand behind a verdict; of several values the least.

    >>> seeds_told(1.0), seeds_told(3)
    ('one seed', '3 seeds')
    """
    return "one seed" if trainings == 1 else f"{trainings:.0f} seeds"


def _comparisons(row: Mapping[str, Any]) -> str:
    return f"{row['comparisons']:.0f} comparison{'s' if row['comparisons'] > 1 else ''}"


def _score(name: str) -> str:
    return "IoU" if name == "iou" else name


def _method(decided: pd.DataFrame) -> str:
    once, several = (decided["trainings"] == 1).any(), (decided["trainings"] > 1).any()
    told = (
        f"{'Where a value was trained from one seed' if several else 'Each value was trained once'}: the "
        "intervals hold what other blocks of these scenes would have done, and not what another seed would "
        "have done. The report's own two trainings of one setting (288 px, ReLU, Adam) end at .89 and .85. "
        if once
        else ""
    )
    if several:
        told += "Intervals of several seeds hold what other seeds would have done, too. "
    return (
        "The difference is the report's choice less its strongest rival; positive is for the report. In the "
        "report's protocol its leaky test accuracy decides (all that the report saw), and blocks are its "
        "original tiles (64 px squares for single pixels); in the sound protocol glacier IoU (mean over "
        "scenes) decides, on blocks of validation pixels, of the best of its epochs on these very blocks. "
        f"Intervals are {CONFIDENCE:.0%} block bootstraps for these scenes, paired where both were scored on "
        "the same pixels (tiles of different sizes are not), and corrected for the comparisons within a "
        f"conclusion (Bonferroni), not for the {decided['conclusion'].nunique()} conclusions together. "
        "*Does not hold*: a rival is better beyond chance. *Holds*: none is, some rival is worse beyond "
        f"chance, and none could be better by more than {MARGIN}. *Cannot be told*: anything else. {told}"
    )


def _differing(decided: pd.DataFrame, other: pd.DataFrame) -> str:
    """Name the conclusions that the other score judges otherwise."""
    merged = decided.merge(other, on=["conclusion", "protocol"], suffixes=("", "_other"))
    rows = merged[merged["holds"] != merged["holds_other"]].to_dict("records")
    if not rows:
        return "The other score (IoU there, accuracy here) says the same of each."
    named = "; ".join(
        f"{one['conclusion']} ({one['protocol']}: {_score(one['score_other'])} says '{one['holds_other']}')"
        for one in rows
    )
    return f"The other score judges otherwise: {named}."


def _wishes(wishes: pd.DataFrame) -> str:
    if wishes.empty:
        return "No trial of a wish has ended."
    decided = wishes[wishes["decides"]]
    parts = []
    for (_, question, protocol), rows in decided.groupby(["wish", "question", "protocol"], sort=False):
        best = rows[rows["best"]].iloc[0]
        table = markdown_table(
            ("alternative", _score(best["score"]), "difference [interval]"),
            [(one["alternative"], number(one["value"]), _interval(one)) for one in rows.to_dict("records")],
        )
        parts.append(
            f"**{question}** {_answered(best)} ({protocol} protocol, against {best['reference']}: "
            f"{number(best['reference_value'])}; intervals corrected for {_comparisons(best)}"
            f", {seeds_told(best['trainings'])}.)\n\n{table}"
        )
    return "\n\n".join(parts)


def _answered(best: Mapping[str, Any]) -> str:
    told = (
        f"The best alternative, {best['alternative']}, differs from {best['reference']} by {_interval(best)}"
    )
    if not np.isfinite(best["low"]):
        return f"{told}; too few blocks to tell."
    if best["low"] > 0:
        return f"Another choice is better beyond chance for these scenes. {told}."
    if best["high"] < 0:
        return f"What the report used is better beyond chance for these scenes. {told}."
    return f"Cannot be told. {told}."


def _interval(row: Mapping[str, Any]) -> str:
    if not np.isfinite(row["low"]):
        return f"{row['difference']:+.3f}, no interval"
    return f"{row['difference']:+.3f} [{row['low']:+.3f}, {row['high']:+.3f}]"


def _is_there(name: str, trials: pd.DataFrame, maps: pd.DataFrame, names: Sequence[str]) -> bool:
    drawn = any(one.startswith(name) for one in names)
    return drawn or (len(trials) > 0 and trials["figure"].str.startswith(name).any())


def _figure(name: str, trials: pd.DataFrame, maps: pd.DataFrame, names: Sequence[str]) -> str:
    parts = [f"## Figure {int(name[7:])}. {FIGURES[name]}"]
    parts += [f"![{FIGURES[name]}]({one})" for one in names if one.startswith(name)]
    if name in CURVES:
        parts.append(curve_table(trials, name))
    elif name in ("figure_07", "figure_09"):
        parts.append(heat_table(trials, name))
    elif name not in ("figure_03", "figure_04"):
        parts.append(map_table(maps, name))
    notes: dict[str, list[str]] = {}
    for one in values_of(name).values():
        notes.setdefault(one.note, []).append(shown(one.value))
    told = "; ".join(f"{', '.join(values)}: {note}" for note, values in notes.items() if note)
    parts += [f"The report: {told}."] if told else []
    return "\n\n".join(part for part in parts if part)


def _table_1(table: pd.DataFrame) -> str:
    if table.empty:
        return "No trial has ended."
    wide = table.assign(cell=[_cell(row) for row in table.to_dict("records")]).pivot_table(
        index=["network", "parameter", "report"],
        columns="protocol",
        values="cell",
        aggfunc="first",
        sort=False,
    )
    heads = ("network", "parameter", "the report", *(f"highest, {one} protocol" for one in wide.columns))
    rows = [(*index, *cells) for index, cells in zip(wide.index, wide.to_numpy().tolist(), strict=True)]
    return (
        markdown_table(heads, rows) + "\n\nThe highest score need not be the best beyond chance; see above."
    )


def _cell(row: Mapping[str, Any]) -> str:
    if not row["here"]:
        return "not searched"
    return f"{row['here']} ({_score(row['score'])} {row['value']:.3f})"
