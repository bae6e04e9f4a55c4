"""The areas of an inventory with their uncertainty, and the change that exceeds it or does not."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np

from glacier_ml.evaluation.figures import new_figure, plain
from glacier_ml.products.inventory.changes import GREW, SHRANK, WITHIN, caveat, much_beyond_outline
from glacier_ml.products.inventory.scene_inventory import MAPPED
from glacier_ml.products.inventory.summary import UNKNOWN, counted

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LARGEST = 25
"""Glaciers drawn with a bar of their own."""

# Okabe and Ito's palette, which colour-blind readers tell apart.
_COLOURS = {SHRANK: (0.835, 0.369, 0.0), GREW: (0.0, 0.447, 0.698), WITHIN: (0.6, 0.6, 0.6)}
_ICE = (0.337, 0.706, 0.914)
_THEN = (0.835, 0.369, 0.0)
_BAR: dict[str, Any] = {"ecolor": (0.2, 0.2, 0.2), "elinewidth": 1.0, "capsize": 2.5}


def areas_figure(table: pd.DataFrame, summary: pd.DataFrame) -> Figure:
    """Draw the largest glaciers' areas; beside them their change, or the uncertainty of all glaciers.

    Parameters
    ----------
    table : pandas.DataFrame
        Rows of `scene_inventory`.
    summary : pandas.DataFrame
        Of `summary_table`.

    Returns
    -------
    matplotlib.figure.Figure
        Left: the `LARGEST` glaciers' areas with their combined uncertainty. Right: with existing outlines,
        the same glaciers' change with the uncertainty of change, coloured by the verdict; else the combined
        uncertainty in percent of the area, against the area, of all glaciers.
    """
    compared = "verdict" in table and table[["verdict", "change_km2"]].notna().any(axis=None)
    size = table["area_km2"].astype(float)
    if compared:
        size = np.fmax(size, table["area_then_seen_km2"].astype(float))
    kept = table if compared else table[table["status"] == MAPPED]
    order = size[kept.index].sort_values(ascending=False, kind="stable").index
    drawn = table.loc[order[:LARGEST][::-1]]
    figure = new_figure(12.5, 1.9 + 0.27 * max(len(drawn), 8))
    left, right = figure.subplots(1, 2)
    _areas(left, drawn, len(kept), several=len(summary) > 1)
    if compared:
        _explain(figure, _changes(right, drawn), table)
    else:
        _relative(right, kept)
    _lettered(figure, summary)
    return figure


def _areas(axes: Axes, drawn: pd.DataFrame, count: int, several: bool) -> None:
    places = np.arange(len(drawn))
    bars = drawn["combined_uncertainty_km2"].astype(float)
    area = drawn["area_km2"].astype(float)
    lower = np.minimum(bars, area)  # no area is below nothing
    axes.errorbar(area, places, xerr=[lower, bars], fmt="o", color=_ICE, markeredgecolor="k", **_BAR)
    if "area_then_seen_km2" in drawn:
        then = drawn["area_then_seen_km2"].astype(float)
        axes.plot(then, places, "D", color="none", markeredgecolor=_THEN, label="area then, of the part seen")
        axes.legend(fontsize=8, loc="lower right")
    names = [_name(row, several) for row in drawn.to_dict("records")]
    axes.set_yticks(places, [plain(name) for name in names], fontsize=7)
    axes.set_ylim(-0.7, len(drawn) - 0.3)
    axes.grid(axis="x", alpha=0.3)
    _spread(axes, area)
    axes.set_xlabel("area now [km²], with the combined uncertainty")
    title = "all glaciers" if count <= LARGEST else f"the {LARGEST} largest of {count:,} glaciers"
    axes.set_title(title, fontsize=10)


def _name(row: dict[str, Any], several: bool) -> str:
    name = row.get("glac_name")
    told = str(row["glacier_id"]) if name is None or name != name else f"{name} ({row['glacier_id']})"
    return f"{told}, {row['scene']}" if several and row["scene"] not in told else told


def _spread(axes: Axes, area: pd.Series) -> None:
    """Logarithmic where the drawn areas differ by more than a factor of 50."""
    positive = area[area > 0]
    if len(positive) and positive.max() > 50 * positive.min():
        axes.set_xscale("log")
        axes.set_xlim(left=positive.min() / 2)


def _changes(axes: Axes, drawn: pd.DataFrame) -> list[Any]:
    """Bars of change; gives the keys to their colours."""
    told = drawn["verdict"].isin(list(_COLOURS)).to_numpy()
    rows = drawn[told]
    bars = axes.barh(
        np.flatnonzero(told),
        rows["change_km2"].astype(float),
        xerr=rows["change_uncertainty_km2"].astype(float),
        color=[_COLOURS[verdict] for verdict in rows["verdict"]],
        error_kw=_BAR,
        height=0.7,
    )
    for bar, beyond in zip(bars, much_beyond_outline(rows), strict=True):
        bar.set_hatch("///" if beyond else None)
    for place, (verdict, change) in enumerate(zip(drawn["verdict"], drawn["change_km2"], strict=True)):
        if not told[place]:
            said = _instead_of_bar(verdict, change)
            axes.annotate(said, (0, place), (4, 0), textcoords="offset points", fontsize=7, va="center")
    axes.axvline(0, color="k", linewidth=0.8)
    axes.set_yticks(np.arange(len(drawn)), [])
    axes.set_ylim(-0.7, len(drawn) - 0.3)
    axes.set_xlabel("change of the part seen [km²], with its uncertainty" + _scale_changes(axes, rows))
    axes.set_title("change against the existing outlines", fontsize=10)
    return _change_keys()


def _instead_of_bar(verdict: Any, change: float) -> str:
    """What stands where a glacier has no verdict on its change."""
    if isinstance(verdict, str):
        return verdict
    return f"{change:+,.2f} km², {UNKNOWN}" if np.isfinite(change) else "no earlier outline"


def _change_keys() -> list[Any]:
    from matplotlib.patches import Patch

    names = {SHRANK: "shrank, beyond the uncertainty", GREW: "grew, beyond the uncertainty", WITHIN: WITHIN}
    keys = [Patch(facecolor=colour, label=names[verdict]) for verdict, colour in _COLOURS.items()]
    hatched = "much ice beyond its outline: snow, ice on water?"
    return [*keys, Patch(facecolor="none", edgecolor="k", hatch="///", label=hatched)]


def _scale_changes(axes: Axes, rows: pd.DataFrame) -> str:
    """Logarithmic beyond the median uncertainty where changes are up to 50 times that; gives words for it."""
    middle = float(rows["change_uncertainty_km2"].astype(float).median())
    largest = float(rows["change_km2"].astype(float).abs().max())
    if not middle > 0 or not largest > 50 * middle:
        return ""
    axes.set_xscale("symlog", linthresh=middle)
    # Ticks inside of the linear part would lie on that of 0.
    axes.set_xticks([tick for tick in axes.get_xticks() if tick == 0 or abs(tick) > 1.5 * middle])
    return " (scale linear around 0)"


def _relative(axes: Axes, rows: pd.DataFrame) -> None:
    area = rows["area_km2"].astype(float)
    series = {
        "combined": (rows["combined_uncertainty_km2"], "o", (0.0, 0.447, 0.698)),
        "half-pixel buffer": (rows["half_pixel_buffer_km2"], "x", (0.835, 0.369, 0.0)),
    }
    for name, (values, marker, colour) in series.items():
        percent = 100 * values.astype(float) / area
        axes.plot(area, percent, marker, color=colour, markersize=4, label=name, alpha=0.8)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.grid(alpha=0.3)
    axes.set_xlabel("area [km²]")
    axes.set_ylabel("uncertainty [% of the area]")
    axes.set_title("small glaciers are the less certain", fontsize=10)
    axes.legend(fontsize=8, frameon=False)


def _lettered(figure: Figure, summary: pd.DataFrame) -> None:
    """Title with the totals."""
    told = []
    for row in summary.head(3).to_dict("records"):
        date = f", {row['src_date']}" if isinstance(row["src_date"], str) else ""
        told.append(
            f"{row['scene']}{date}: {row['area_km2']:,.2f} km² in {counted(row['glaciers'])}, {_errors(row)}"
        )
    if len(summary) > 3:
        told.append(f"and {len(summary) - 3} more scenes")
    figure.suptitle(plain("\n".join(told)), fontsize=10)


def _errors(row: dict[str, Any]) -> str:
    independent, correlated = row["uncertainty_independent_km2"], row["uncertainty_correlated_km2"]
    if not np.isfinite(independent):
        return UNKNOWN
    return f"± {independent:,.2f} (errors independent) to {correlated:,.2f} (all alike)"


def _explain(figure: Figure, keys: list[Any], table: pd.DataFrame) -> None:
    """Keys to the colours, and what must be said of change, below."""
    said = caveat(str(table["outline_source"].dropna().iloc[0]))
    figure.legend(
        handles=keys,
        title="\n".join(textwrap.wrap(said, 150)) or None,
        loc="outside lower center",
        ncols=4,
        fontsize=8,
        title_fontsize=8,
        frameon=False,
    )
