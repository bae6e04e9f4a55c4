"""Tables of the comparison's page: rows of ready cells, so that its template only lays them out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from glacier_ml.evaluation.report.figures import REPORT_THRESHOLD, contestants
from glacier_ml.evaluation.report.verdict import relation, shown_name
from glacier_ml.evaluation.scores import SCORES
from glacier_ml.evaluation.subsets import GLACIER_SUBSETS, GROUND_SUBSETS

if TYPE_CHECKING:
    import pandas as pd

    from glacier_ml.evaluation.comparison import Comparison
    from glacier_ml.evaluation.scene_maps import SceneMaps

DASH = "–"
SCORE_GROUPS = {
    "Area in common": ("iou", "f1", "precision", "recall", "accuracy", "kappa"),
    "Boundary and area": (
        *("boundary_f1_1px", "boundary_f1_2px", "distance_median_m", "distance_mean_m", "distance_p95_m"),
        *("area_error_km2", "area_error_percent"),
    ),
    "Probability": ("ece", "brier"),
}
CHANGE_SUBSETS = ("changed", "unchanged")


@dataclass(frozen=True)
class Cell:
    """One cell: a value as text, its interval and its seeds' range where there are such.

    Attributes
    ----------
    value, interval, spread : str
        A dash, and nothing, where undefined.
    mark : str
        'best', 'alike' (cannot be told apart from the best) or ''.
    share : float or None
        0 to 1: how deep the cell is tinted.
    """

    value: str
    interval: str = ""
    spread: str = ""
    mark: str = ""
    share: float | None = None


@dataclass(frozen=True)
class Table:
    """A table: what stands above, the heads (text and explanation), rows of a name and its cells."""

    title: str
    heads: list[tuple[str, str]]
    rows: list[tuple[str, list[Cell]]]


def number(value: float, unit: str = "", signed: bool = False) -> str:
    """Value as the page shows it: a dash where undefined, a true minus, decimals by unit.

    Examples
    --------
    >>> number(0.4142), number(float("nan")), number(-0.02, signed=True), number(1234.5, "m")
    ('0.414', '–', '−0.020', '1234')
    """
    if not math.isfinite(value):
        return DASH
    decimals = {"": 3, "m": 0, "km2": 2, "km²": 2, "%": 1}.get(unit, 3)
    rounded = round(value, decimals) + 0.0  # no minus before 0
    return f"{rounded:{'+' if signed and rounded else ''}.{decimals}f}".replace("-", "\N{MINUS SIGN}")


def score_tables(comparison: Comparison, scene: str | None = None) -> list[Table]:
    """Tables of all scores by classifier, one a group of `SCORE_GROUPS`; those with no value are left out.

    Parameters
    ----------
    comparison : Comparison
        Its scores, and its differences: they tell what is like the best.
    scene : str, optional
        Of this scene alone; of all together without it.
    """
    rows = comparison.scores
    rows = rows[(rows.scene == (scene or comparison.overall)) & (rows.subset == "all")]
    names = [name for name in contestants(comparison) if (rows.classifier == name).any()]
    tables = []
    for title, wanted in SCORE_GROUPS.items():
        scores = [score for score in wanted if rows[rows.score == score].value.notna().any()]
        columns = {score: _score_column(comparison, rows, names, score, scene) for score in scores}
        pooled = scene is None and len(comparison.maps) > 1
        heads = [(_head(score, pooled), SCORES[score].definition) for score in scores]
        body = [(shown_name(name), [columns[score][name] for score in scores]) for name in names]
        if scores:
            tables.append(Table(title, heads, body))
    return tables


def left_out(comparison: Comparison) -> list[str]:
    """Sentences on scores whose mean leaves scenes out, as they are undefined there for some map.

    Returns
    -------
    list of str
        Empty where there is one scene, or every score is defined in all of them.
    """
    rows = comparison.scores
    rows = rows[(rows.scene == comparison.overall) & (rows.subset == "all")]
    counted = rows.groupby("score").scenes.max() if len(comparison.maps) > 1 else {}
    found: dict[int, list[str]] = {}
    for score in SCORES:
        if score in counted and 0 < counted[score] < len(comparison.maps):
            found.setdefault(int(counted[score]), []).append(_head(score, False))
    return [
        f"{', '.join(scores)}: mean over {number} of {len(comparison.maps)} scenes, as in the others "
        "some map has none."
        for number, scores in found.items()
    ]


def _head(score: str, pooled: bool) -> str:
    """Label and unit; of several scenes an error's magnitude is averaged, and its head says so.

    >>> _head("area_error_km2", True), _head("iou", True)
    ('area error, magnitude [km²]', 'glacier IoU')
    """
    told = SCORES[score]
    label = f"{told.label}, magnitude" if pooled and told.better == "nearer 0" else told.label
    return f"{label} [{told.unit.replace('km2', 'km²')}]" if told.unit else label


def _score_column(
    comparison: Comparison, rows: pd.DataFrame, names: Sequence[str], score: str, scene: str | None
) -> dict[str, Cell]:
    found = {row.classifier: row for row in rows[rows.score == score].itertuples()}
    values = {name: float(found[name].value) for name in names if name in found}
    best = best_of(values, SCORES[score].better)
    cells = {}
    for name in names:
        mark = "" if best is None or name not in found else _mark(comparison, name, best, score, scene)
        cells[name] = _cell(found[name], SCORES[score].unit, mark) if name in found else Cell(DASH)
    return cells


def best_of(values: dict[str, float], better: str) -> str | None:
    """Name of the best value; None where none is defined.

    Examples
    --------
    >>> best_of({"a": -2.0, "b": 3.0}, "nearer 0"), best_of({"a": float("nan")}, "higher")
    ('a', None)
    """
    defined = {name: value for name, value in values.items() if math.isfinite(value)}
    if not defined:
        return None
    worth = {"higher": lambda value: value, "lower": lambda value: -value}.get(
        better, lambda value: -abs(value)
    )
    return max(defined, key=lambda name: worth(defined[name]))


def _mark(comparison: Comparison, name: str, best: str, score: str, scene: str | None) -> str:
    if name == best:
        return "best"
    found = relation(comparison, name, best, score, scene)
    return "alike" if found is not None and math.isfinite(found.low) and not found.distinguishable else ""


def _cell(row: object, unit: str, mark: str) -> Cell:
    value, low, high = (float(getattr(row, key)) for key in ("value", "low", "high"))
    lowest, highest, seeds = (float(getattr(row, key)) for key in ("lowest", "highest", "seeds"))
    interval = f"{number(low, unit)} to {number(high, unit)}" if math.isfinite(low + high) else ""
    several = seeds > 1 and math.isfinite(lowest + highest)
    spread = f"{number(lowest, unit)} to {number(highest, unit)}" if several else ""
    defined = math.isfinite(value)
    return Cell(number(value, unit), interval if defined else "", spread, mark if defined else "")


def pair_table(comparison: Comparison) -> Table:
    """Differences of mean IoU of all pairs, row minus column, those that cannot be told apart marked."""
    paired = {*comparison.pairs["first"], *comparison.pairs["second"]}  # an outline of some scenes is in none
    names = [name for name in contestants(comparison) if name in paired]
    heads = [(shown_name(name), "") for name in names]
    rows = []
    for name in names:
        cells = []
        for other in names:
            found = relation(comparison, name, other) if other != name else None
            if found is None:
                cells.append(Cell("" if other == name else DASH))
                continue
            bounds = (number(found.low, signed=True), number(found.high, signed=True))
            interval = " to ".join(bounds) if math.isfinite(found.low + found.high) else "no interval"
            mark = "told" if found.distinguishable else "alike"
            cells.append(Cell(number(found.difference, signed=True), interval, mark=mark))
        rows.append((shown_name(name), cells))
    mean = "mean " if len(comparison.maps) > 1 else ""
    return Table(f"Difference of {mean}glacier IoU, row minus column", heads, rows)


def subset_table(comparison: Comparison, scene: str, wanted: Sequence[str], score: str) -> Table | None:
    """One score by classifier and subset of a scene; None where the scene has no such subset."""
    rows = comparison.scores
    rows = rows[(rows.scene == scene) & (rows.score == score) & rows.subset.isin(wanted)]
    present = [subset for subset in wanted if rows[rows.subset == subset].value.notna().any()]
    if not present:
        return None
    sizes = {subset: int(rows[rows.subset == subset].pixels.max()) for subset in present}
    heads = [
        (subset, f"{sizes[subset]:,} px".replace(",", "\N{NARROW NO-BREAK SPACE}")) for subset in present
    ]
    body = []
    for name in contestants(comparison):
        mine = {row.subset: row for row in rows[rows.classifier == name].itertuples()}
        if mine:
            cells = [_tinted(mine[one], SCORES[score].unit) if one in mine else Cell(DASH) for one in present]
            body.append((shown_name(name), cells))
    return Table(SCORES[score].label, heads, body)


def _tinted(row: object, unit: str) -> Cell:
    plain, value = _cell(row, unit, ""), float(row.value)  # type: ignore[attr-defined]
    share = min(max(value, 0.0), 1.0) if math.isfinite(value) else None
    return Cell(plain.value, plain.interval, plain.spread, share=share)


def change_table(comparison: Comparison, scene: str) -> Table | None:
    """Share mapped right where the truth differs from the earlier outline, and where it does not."""
    return subset_table(comparison, scene, CHANGE_SUBSETS, "accuracy")


def ground_tables(comparison: Comparison, scene: str) -> list[Table]:
    """Share mapped right by ground class: on the glacier, and beside it; empty where nothing is known."""
    parts = (GLACIER_SUBSETS, [name for name in GROUND_SUBSETS if name not in GLACIER_SUBSETS])
    found = [subset_table(comparison, scene, part, "accuracy") for part in parts]
    titles = ("share found of what lies on glaciers", "share left out of what is no glacier")
    return [
        replace(table, title=title) for table, title in zip(found, titles, strict=True) if table is not None
    ]


def threshold_table(comparison: Comparison, maps: SceneMaps) -> Table:
    """IoU of a scene at each classifier's own threshold, at .5 and at the report's .7."""
    table = comparison.thresholds[comparison.thresholds.scene == maps.name]
    rows = []
    for name, own in maps.thresholds.items():
        mine = table[table.classifier == name]
        cells = [
            _nearest(mine[mine.own], own[0], 1.0),
            *(_nearest(mine[~mine.own], at) for at in (0.5, REPORT_THRESHOLD)),
        ]
        best = mine.loc[mine.iou.idxmax()] if mine.iou.notna().any() else None
        highest = Cell(DASH) if best is None else Cell(number(best.iou), f"at {best.threshold:.2f}")
        spread = f"{min(own):.3f} to {max(own):.3f}" if len(own) > 1 else ""
        rows.append((shown_name(name), [Cell(f"{own[0]:.3f}", spread=spread), *cells, highest]))
    heads = [
        ("own threshold", "chosen on validation data, or the rule's"),
        ("IoU at its own", ""),
        ("IoU at .5", ""),
        ("IoU at .7", "the report's"),
        ("highest IoU", "known afterwards only"),
    ]
    return Table("Glacier IoU by threshold", heads, rows)


def _nearest(rows: pd.DataFrame, threshold: float, within: float = 0.01) -> Cell:
    """IoU of the row nearest to a threshold; a dash where there is none."""
    if rows.empty:
        return Cell(DASH)
    distance = (rows.threshold - threshold).abs()
    row = rows.loc[distance.idxmin()]
    return Cell(number(float(row.iou))) if distance.min() <= within else Cell(DASH)
