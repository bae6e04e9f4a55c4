"""Pictures of a study: how its trials ended, their curves by epoch, what each parameter did.

Tables are those that `glacier_ml.studies.export` writes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from glacier_ml.evaluation.figures import new_figure, plain

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PICTURES = ("history", "curves", "slices", "importances")
VALUE = "validation IoU"
ENOUGH = 50  # complete trials: importances are of the best tenth, and five of these are wanted
_COMPLETE, _PRUNED, _BEST, _FAILED = "#0072B2", "0.6", "#D55E00", "#000000"
# Curves of trials by how they ended; a pruned one ends in a cross.
_STYLES: dict[str, dict[str, Any]] = {
    "best": {"color": _BEST, "linewidth": 2.2, "zorder": 4},
    "complete": {"color": _COMPLETE, "linewidth": 1.0, "alpha": 0.75, "zorder": 3},
    "pruned": {"color": _PRUNED, "linewidth": 1.0, "linestyle": "--", "marker": "x", "markevery": [-1]},
}
_OTHERWISE: dict[str, Any] = {"color": "0.3", "linewidth": 1.0, "linestyle": ":", "marker": "."}
_ACROSS = 4  # panels
_JITTER = 0.18  # of the room of a word: dots of equal choices lie beside each other


def draw_history(trials: pd.DataFrame) -> Figure | None:
    """Draw every trial's value in the order of the trials, and the best so far; None without trials."""
    if trials.empty:
        return None
    from matplotlib.ticker import MaxNLocator

    figure = new_figure(7.6, 4.2)
    axes = figure.add_subplot()
    complete, pruned = _of(trials, "complete"), _of(trials, "pruned")
    if len(complete):
        best = complete.value.cummax()
        axes.step(complete.number, best, where="post", color=_BEST, label=f"best so far, {best.iloc[-1]:.3f}")
        axes.plot(complete.number, complete.value, "o", color=_COMPLETE, label=f"complete, {len(complete)}")
    if len(pruned):
        label = f"pruned, {len(pruned)}: highest until then"
        axes.plot(pruned.number, pruned.highest, "o", color=_PRUNED, fillstyle="none", label=label)
    for state, mark in (("failed", "x"), ("interrupted", "|")):
        ended = _of(trials, state)
        if len(ended):
            foot = axes.get_xaxis_transform()  # at the lower edge, whatever the values are
            axes.plot(
                ended.number, np.full(len(ended), 0.03), mark, color=_FAILED, transform=foot,
                label=f"{state}, {len(ended)}",
            )  # fmt: skip
    axes.set(xlabel="trial", ylabel=VALUE, title="Trials in their order")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    return figure


def draw_curves(trials: pd.DataFrame, epochs: pd.DataFrame) -> Figure | None:
    """Draw the value of all trials by epoch: complete ones, the best of them, pruned ones to their end."""
    if epochs.empty:
        return None
    from matplotlib.ticker import MaxNLocator

    figure = new_figure(7.6, 4.4)
    axes = figure.add_subplot()
    states = dict(zip(trials.number, trials.state, strict=True))
    complete = _of(trials, "complete").sort_values("value", ascending=False)
    best = complete.number.iloc[0] if len(complete) else None
    counts: dict[str, int] = {}
    for number, curve in epochs.groupby("number"):
        told = "best" if number == best else states[number]
        axes.plot(curve.epoch, curve.value, **_STYLES.get(told, _OTHERWISE))
        counts[told] = counts.get(told, 0) + 1
    named = {"best": f"trial {best}, the best", "complete": "others, complete"}
    shown = [told for told in (*_STYLES, *counts) if told in counts]
    for told in dict.fromkeys(shown):
        label = named["best"] if told == "best" else f"{named.get(told, told)}, {counts[told]}"
        axes.plot([], [], label=label, **_STYLES.get(told, _OTHERWISE))
    axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    axes.set(xlabel="epoch", ylabel=VALUE, title="Trials by epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    return figure


def draw_slices(trials: pd.DataFrame, logarithmic: Collection[str] = ()) -> Figure | None:
    """Draw value against each searched parameter, a panel each; None where no trial says anything of one.

    Parameters
    ----------
    trials : pandas.DataFrame
    logarithmic : collection of str
        Parameters that were searched on a logarithmic scale.
    """
    shown = trials[trials.highest.notna() & trials.state.isin(("complete", "pruned"))]
    shown = shown.assign(shown=shown.value.fillna(shown.highest))
    names = [name for name in shown if name.startswith("params_") and shown[name].notna().any()]
    if not names:
        return None
    down = -(-len(names) // _ACROSS)
    across = -(-len(names) // down)
    figure = new_figure(3.1 * across + 0.6, 3.0 * down + 0.4)
    panels = figure.subplots(down, across, sharey=True, squeeze=False)
    for axes in panels.flat[len(names) :]:
        axes.set_visible(False)
    for axes, name in zip(panels.flat, names, strict=False):
        _draw_slice(axes, shown[shown[name].notna()], name, name.removeprefix("params_") in logarithmic)
    for axes in panels[:, 0]:
        axes.set_ylabel(VALUE)
    figure.suptitle("Values by parameter: complete filled, pruned hollow (highest until then)", fontsize=10)
    return figure


def _draw_slice(axes: Axes, trials: pd.DataFrame, name: str, logarithmic: bool) -> None:
    import pandas as pd

    values = trials[name]
    number = pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)
    if number:
        places = values.to_numpy(float)
        if logarithmic:
            axes.set_xscale("log")
    else:
        words = sorted(values.astype(str).unique())
        shift = _JITTER * np.sin(np.arange(len(values)) * 2.4)  # spread alike for the same trials
        places = values.astype(str).map(words.index).to_numpy(float) + shift
        axes.set_xticks(range(len(words)), [plain(word) for word in words], fontsize=8)
        axes.set_xlim(-0.5, len(words) - 0.5)
    for state, fill, colour in (("pruned", "none", _PRUNED), ("complete", "full", _COMPLETE)):
        here = (trials.state == state).to_numpy()
        axes.plot(places[here], trials.shown[here], "o", color=colour, fillstyle=fill, markersize=4.5)
    best = _of(trials, "complete").value
    if len(best):
        at = trials.index.get_loc(best.idxmax())
        axes.plot(places[at], best.max(), "o", color=_BEST, markersize=7)
    axes.set_xlabel(plain(name.removeprefix("params_")))
    axes.grid(alpha=0.3)


def draw_importances(importances: Mapping[str, float], complete: int) -> Figure | None:
    """Draw how much each parameter decided which of so many trials are the best; None without any."""
    if not importances:
        return None
    ranked = sorted(importances.items(), key=lambda pair: pair[1])
    figure = new_figure(6.4, 1.2 + 0.34 * len(ranked))
    axes = figure.add_subplot()
    bars = axes.barh([plain(name) for name, _ in ranked], [share for _, share in ranked], color=_COMPLETE)
    axes.bar_label(bars, [f"{100 * share:.0f} %" for _, share in ranked], padding=3, fontsize=8)
    axes.set(xlim=(0, 1.12 * max(importances.values()) or 1), xlabel="importance (PED-ANOVA)")
    few = f"; {ENOUGH} are wanted" if complete < ENOUGH else ""
    axes.set_title(f"What decided which of {complete} complete trials are the best{few}", fontsize=10)
    return figure


def _of(trials: pd.DataFrame, state: str) -> pd.DataFrame:
    return trials[trials.state == state]
