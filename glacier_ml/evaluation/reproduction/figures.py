"""The report's figures 5 to 9, drawn as it drew them, each beside the values read off its plots."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from glacier_ml.errors import GlacierError
from glacier_ml.evaluation.figures import new_figure
from glacier_ml.evaluation.reproduction.reported import FIGURES, shown, values_of

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from PIL import Image

CURVES = {"figure_05": "tile_size", "figure_06": "activation", "figure_08": "activation"}
"""Figures of curves, and what a curve stands for."""
HEAT_MAPS = {"figure_07_learning_rate": "learning_rate", "figure_07_penalty": "penalty"}
"""Studies drawn as value by epoch."""

# The report's colours by name (its figures 6 and 8), in Okabe and Ito's shades, with a dash of their own.
_RED, _GREEN, _BLUE, _ORANGE = ("#D55E00", "-"), ("#009E73", "-"), ("#0072B2", "--"), ("#E69F00", "-.")
_STYLES = {"leaky_relu": _RED, "linear": _RED, "relu": _GREEN, "sigmoid": _BLUE, "tanh": _ORANGE}
_IN_ORDER = (_RED, _ORANGE, _GREEN, _BLUE, ("#CC79A7", ":"), ("#56B4E9", "-"), ("#000000", "--"))
_AXIS = {
    "tile_size": "tile size [px]",
    "activation": "activation",
    "learning_rate": "learning rate",
    "penalty": "penalty (L2)",
    "hidden_layers": "hidden layers",
    "nodes": "nodes a layer",
}
_WIDEST_KB = 150


def draw_curves(trials: pd.DataFrame, figure: str, protocol: str, budget: str = "") -> Figure:
    """Draw training and test accuracy by epoch, one colour a value, beside a table of the report's values.

    Parameters
    ----------
    trials : pandas.DataFrame
        figure, protocol, seed, trial, epoch, the searched parameter, train/accuracy, val/accuracy and, for
        the table, val/iou; trials of one value (other seeds) are averaged.
    figure : str
        A key of `CURVES`.
    protocol : str
        'report' (its leaky test tiles) or 'sound' (validation pixels).
    budget : str
        Named in the title.

    Returns
    -------
    matplotlib.figure.Figure
        Two panels as in the report; in other protocols than its own glacier IoU below; the table at the
        right. Triangles beside the panels mark the report's values.
    """
    column = CURVES[figure]
    own = _of(trials, figure, protocol)
    scores = ("accuracy",) if protocol == "report" else ("accuracy", "iou")
    values = ordered(own[column].unique())
    styles = {value: _STYLES.get(value, _IN_ORDER[at % len(_IN_ORDER)]) for at, value in enumerate(values)}
    drawn = new_figure(13.0, 3.7 * len(scores))
    grid = drawn.add_gridspec(len(scores), 3, width_ratios=(1, 1, 0.95))
    for row, score in enumerate(scores):
        for place, part in enumerate(("train", "val")):
            axes = drawn.add_subplot(grid[row, place])
            _curves(axes, own, column, f"{part}/{score}", styles)
            axes.set_title(f"{_part(part, protocol)}: {_named(score)}", fontsize=10)
            if score == "accuracy":
                _mark_reported(axes, figure, part, styles)
    table = drawn.add_subplot(grid[:, 2])
    _value_table(table, figure, own, column, values, protocol)
    drawn.legend(*drawn.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=8, fontsize=9)
    drawn.suptitle(_title(trials, figure, protocol, budget))
    return drawn


def _of(trials: pd.DataFrame, figure: str, protocol: str) -> pd.DataFrame:
    own = trials[(trials["figure"] == figure) & (trials["protocol"] == protocol)]
    if own.empty:
        raise GlacierError(
            f"{figure}: has no trial under the protocol {protocol}; run reproduce for this figure first"
        )
    scores = {name: own[name].astype(float) for name in own if name.startswith(("train/", "val/"))}
    return own.assign(**scores)


def ordered(values: Sequence[Any]) -> list[Any]:
    """Numbers by size, words in the order in which the report's figures name them."""
    order = list(_STYLES)
    return sorted(values, key=lambda one: order.index(one) if one in order else one)


def _part(part: str, protocol: str) -> str:
    return "train" if part == "train" else "test (leaky)" if protocol == "report" else "validation"


def _named(score: str) -> str:
    return "glacier IoU" if score == "iou" else score


def _title(trials: pd.DataFrame, figure: str, protocol: str, budget: str) -> str:
    own = trials[trials["figure"].str.startswith(figure) & (trials["protocol"] == protocol)]
    trained = own.groupby(["figure", "seed"])["trial"].nunique().unstack()  # a seed may lack some values
    seeds = len(trained.columns)
    about = "" if (trained.nunique(axis=1, dropna=False) == 1).all() else "up to "
    told = f"{protocol} protocol" + (f", {budget} budget" if budget else "")
    told += f", mean over {about}{seeds} seeds" if seeds > 1 else ""
    return f"Figure {int(figure[7:9])}. {FIGURES[figure[:9]]}\n{told}"


def _curves(axes: Axes, own: pd.DataFrame, column: str, metric: str, styles: dict[Any, tuple]) -> None:
    from matplotlib.ticker import MaxNLocator

    for value, (colour, dash) in styles.items():
        if metric in own:
            mean = own[own[column] == value].groupby("epoch")[metric].mean()
            mark = "." if len(mean) < 3 else None
            axes.plot(mean.index, mean, dash, color=colour, marker=mark, lw=1.4, label=shown(value))
    axes.set(xlabel="epoch", ylabel=_named(metric.split("/")[1]))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)


def _mark_reported(axes: Axes, figure: str, part: str, styles: dict[Any, tuple]) -> None:
    """Triangles at the right edge: what the report's curves end at."""
    for value, reported in values_of(figure).items():
        level = reported.train if part == "train" else reported.test
        if level is not None and value in styles:
            place = axes.get_yaxis_transform()
            style = {"marker": "<", "color": styles[value][0], "ms": 7, "mec": "k", "mew": 0.4}
            axes.plot(1.015, level, transform=place, clip_on=False, ls="none", **style)
            low, high = axes.get_ylim()
            axes.set_ylim(min(low, level - 0.01), max(high, level + 0.01))


def _value_table(
    axes: Axes, figure: str, own: pd.DataFrame, column: str, values: list[Any], protocol: str
) -> None:
    """Last epoch here beside the report's values; a dash where none is known."""
    from matplotlib.transforms import Bbox

    reported = values_of(figure)
    rows = []
    for value in values:
        told, last = reported.get(value), last_epochs(own[own[column] == value])
        here = [last[name].mean() if name in last else None for name in ("train/accuracy", "val/accuracy")]
        iou = last["val/iou"].mean() if "val/iou" in last else None
        theirs = [told.train, told.test] if told else [None, None]
        rows.append([shown(value), *map(_cell, (*theirs, *here, iou))])
    part = "test" if protocol == "report" else "val."
    heads = [
        _AXIS[column].replace(" [", "\n["),
        "report\ntrain",
        "report\ntest",
        "here\ntrain",
        f"here\n{part}",
    ]
    axes.set_axis_off()
    height = min(1.0, 0.16 * (len(rows) + 2) / (1 if protocol == "report" else 2))
    table = axes.table(
        rows,
        colLabels=[*heads, f"here\n{part} IoU"],
        bbox=Bbox.from_bounds(0, 1 - height, 1, height),
        colWidths=[0.24, *[0.152] * 5],
        cellLoc="center",
        edges="horizontal",
    )
    table.auto_set_font_size(False)
    table.set_fontsize(8.5)
    for place in range(len(heads) + 1):
        table[0, place].set_height(1.7 * table[1, 0].get_height())
    axes.set_title("accuracy at the last epoch; triangles: report", fontsize=9)


def _cell(value: float | None) -> str:
    return "-" if value is None or not np.isfinite(value) else f"{value:.3f}"


def last_epochs(own: pd.DataFrame) -> pd.DataFrame:
    """The last epoch's row of every trial."""
    return own.sort_values("epoch").groupby(["seed", "trial"]).tail(1)


def draw_heat_maps(trials: pd.DataFrame, figure: str, protocol: str, budget: str = "") -> Figure:
    """Draw accuracy as heat maps, training at the left, test at the right.

    Parameters
    ----------
    trials : pandas.DataFrame
        As of `draw_curves`.
    figure : {'figure_07', 'figure_09'}
        7: learning rate by epoch, and penalty by epoch (one of them where the other was not run); 9: hidden
        layers by nodes, at the last epoch.
    protocol, budget : str
        As of `draw_curves`.
    """
    if figure == "figure_09":
        own = _of(trials, figure, protocol)
        tables = {
            part: _crossed(last_epochs(own), "hidden_layers", "nodes", part) for part in ("train", "val")
        }
        found = {"hidden_layers": ("nodes", tables)}
    else:
        run = trials.loc[trials["protocol"] == protocol, "figure"].unique()
        studies = [study for study in HEAT_MAPS if study in run] or list(HEAT_MAPS)[:1]
        found = {
            HEAT_MAPS[study]: ("epoch", _by_epoch(_of(trials, study, protocol), study)) for study in studies
        }
    drawn = new_figure(11.0, 0.9 + 3.6 * len(found))
    grid = drawn.subplots(len(found), 2, squeeze=False)
    for row, (name, (across, tables)) in zip(grid, found.items(), strict=True):
        _heat_row(drawn, row, name, across, tables, protocol)
    notes = [f"The report, {shown(one.value)}: {_told(one)}" for one in values_of(figure).values()]
    drawn.supxlabel("\n".join(notes), fontsize=9)
    drawn.suptitle(_title(trials, figure, protocol, budget))
    return drawn


def _crossed(own: pd.DataFrame, down: str, across: str, part: str) -> pd.DataFrame:
    """Mean accuracy by two columns; a value without a score keeps its row, empty."""
    return own.groupby([down, across])[f"{part}/accuracy"].mean().unstack()


def _told(reported: Any) -> str:
    numbers = "" if reported.test is None else f"train {reported.train:.3f}, test {reported.test:.3f}; "
    return numbers + reported.note


def _by_epoch(own: pd.DataFrame, study: str) -> dict[str, pd.DataFrame]:
    """Value x epoch; a trial that stopped early keeps no value afterwards."""
    name = HEAT_MAPS[study]
    return {part: _crossed(own, name, "epoch", part) for part in ("train", "val")}


def _heat_row(
    drawn: Figure, row: Sequence[Axes], name: str, across: str, tables: dict[str, pd.DataFrame], protocol: str
) -> None:
    values = np.concatenate([table.to_numpy().ravel() for table in tables.values()])
    low, high = _range(values)
    for axes, (part, table) in zip(row, tables.items(), strict=True):
        image = axes.imshow(
            table.to_numpy(), aspect="auto", origin="lower", cmap="viridis", vmin=low, vmax=high
        )
        axes.set_yticks(range(len(table.index)), [shown(float(one)) for one in table.index], fontsize=8)
        places = range(0, len(table.columns), -(-len(table.columns) // 10))
        axes.set_xticks(places, [shown(float(table.columns[at])) for at in places], fontsize=8)
        axes.set(xlabel=_AXIS.get(across, across), ylabel=_AXIS[name])
        axes.set_title(f"{_part(part, protocol)}: accuracy, {_best(table)}", fontsize=9)
        if across != "epoch":
            _write_cells(axes, table.to_numpy(), low, high)
        if name == "learning_rate":
            _mark_rate(axes, np.asarray(table.index, dtype=float))
    drawn.colorbar(image, ax=list(row), fraction=0.03, pad=0.02, label="accuracy")


def _range(values: NDArray[np.floating]) -> tuple[float, float]:
    """Lowest and highest value, at least .01 apart, so that equal values get one colour."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        return 0.0, 1.0
    return min(finite.min(), finite.max() - 0.01), finite.max()


def _best(table: pd.DataFrame) -> str:
    """Where the highest value at the end (by epoch) or of all cells is."""
    by_epoch = table.columns.name == "epoch"
    cells = table.ffill(axis=1).iloc[:, -1].dropna() if by_epoch else table.stack().dropna()
    if cells.empty:
        return "no value"
    alike = int((cells == cells.max()).sum()) - 1
    where = shown(float(cells.idxmax())) if by_epoch else shown(tuple(map(int, cells.idxmax())))
    shared = f" and {alike} more" if alike else ""
    return f"best {'at the end ' if by_epoch else ''}{cells.max():.3f} at {where}{shared}"


def _write_cells(axes: Axes, cells: NDArray[np.floating], low: float, high: float) -> None:
    for (row, column), value in np.ndenumerate(cells):
        if np.isfinite(value):
            dark = (value - low) < 0.6 * (high - low)
            label = f"{value:.3f}".lstrip("0")
            axes.text(column, row, label, ha="center", va="center", fontsize=7, color="w" if dark else "k")


def _mark_rate(axes: Axes, rates: NDArray[np.floating]) -> None:
    """Dashed line at the report's .3, between the rates of the grid."""
    if rates.min() < 0.3 < rates.max():
        level = np.interp(np.log(0.3), np.log(rates), np.arange(len(rates)))
        axes.axhline(level, color="w", ls="--", lw=1)
        axes.text(axes.get_xlim()[0], level, " the report's 0.3", color="w", fontsize=7, va="bottom")


def save_small(figure: Figure, path: str | Path, kilobytes: int = _WIDEST_KB) -> None:
    """Write a PNG of at most 256 colours, of fewer and fewer dots until it is small enough to keep.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    path : str or pathlib.Path
    kilobytes : int
        Wanted at most; maps may end somewhat above at the lowest resolution, 70 dots an inch.
    """
    from io import BytesIO

    from PIL import Image

    for dots, colours in ((110, 256), (110, 96), (95, 96), (80, 96), (70, 64)):
        written = BytesIO()
        figure.savefig(written, format="png", dpi=dots)
        with Image.open(written) as opened:
            image = opened.convert("RGB")
        quick = _palette_png(image, colours, Image.Quantize.FASTOCTREE)
        if len(quick) <= 1250 * kilobytes:  # what is written below is a fifth smaller
            break
    # Slow, but it keeps rare colours, so that the keys of a legend keep theirs.
    Path(path).write_bytes(_palette_png(image, colours, Image.Quantize.MAXCOVERAGE))


def _palette_png(image: Image.Image, colours: int, method: Image.Quantize) -> bytes:
    from io import BytesIO

    written = BytesIO()
    image.quantize(colours, method).save(written, "PNG", optimize=True)
    return written.getvalue()
