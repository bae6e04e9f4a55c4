"""Pictures of the comparison's page: maps as images of the scene's own pixels, charts as figures.

A map is drawn pixel by pixel, without axes: the page puts legend, scale bar and words beside it. Colours of
classifiers are Okabe and Ito's, which colour-blind readers tell apart; shapes of the markers differ, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from glacier_ml.evaluation.boundaries import boundary
from glacier_ml.evaluation.figures import NO_DATA, OUTCOMES, OUTLINE_COLOUR, false_colour, new_figure, plain
from glacier_ml.evaluation.report.verdict import overall, relation, shown_name
from glacier_ml.evaluation.scene_maps import EARLIER

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from glacier_ml.evaluation.comparison import Comparison
    from glacier_ml.evaluation.scene_maps import SceneMaps

Image = NDArray[np.float32]
Mask = NDArray[np.bool_]

REPORT_THRESHOLD = 0.7
"""Probability from which the report that the project began with called a pixel glacier."""

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6D1F", "#5B5B5B")
_MARKERS = "osD^vPX*"
_WIDTH = 11.4  # inches; the page's own width, so that the charts' text has the size it says
_ACROSS = 4
_CURVES = {"iou": "#0072B2", "f1": "#009E73", "precision": "#D55E00", "recall": "#CC79A7"}
_CURVE_NAMES = {"iou": "IoU", "f1": "F1", "precision": "precision", "recall": "recall"}


def probability_image(probability: NDArray[np.floating], valid: Mask) -> Image:
    """Colour a map by its probability, from dark violet (0) to yellow (1); light grey where not counted.

    Returns
    -------
    ndarray
        float32 (rows, columns, 3), 0 to 1.
    """
    from matplotlib import colormaps

    shown = valid & np.isfinite(probability)
    drawn = colormaps["viridis"](np.where(shown, probability, 0))[..., :3].astype(np.float32)
    drawn[~shown] = NO_DATA
    return drawn


def truth_image(maps: SceneMaps) -> Image:
    """Blend the true glacier over the scene in grey, its border in yellow.

    Returns
    -------
    ndarray
        float32 (rows, columns, 3), 0 to 1.
    """
    grey = false_colour(maps.labelled.scene).mean(axis=-1, keepdims=True)
    drawn = np.repeat(0.15 + 0.85 * grey, 3, axis=-1)
    glacier = np.array(OUTCOMES["glacier, mapped"], dtype=np.float32)
    drawn[maps.truth] = 0.45 * drawn[maps.truth] + 0.55 * glacier
    drawn[boundary(maps.truth, maps.valid)] = OUTLINE_COLOUR
    drawn[~maps.valid] = NO_DATA
    return drawn.astype(np.float32)


def colour_of(classifier: str, names: Sequence[str]) -> str:
    """Colour of a classifier, the same in every chart; black for the earlier outline."""
    drawn = [name for name in names if name != EARLIER]
    return "#000000" if classifier == EARLIER else _COLOURS[drawn.index(classifier) % len(_COLOURS)]


def _marker(classifier: str, names: Sequence[str]) -> str:
    drawn = [name for name in names if name != EARLIER]
    return "|" if classifier == EARLIER else _MARKERS[drawn.index(classifier) % len(_MARKERS)]


def iou_intervals(comparison: Comparison) -> Figure:
    """Draw IoU by classifier, a panel a scene: the value, its 95 % interval, and each end of its seeds.

    Classifiers stand in the order of their mean over the scenes, the best above.
    """
    scores = comparison.scores
    rows = scores[(scores.score == "iou") & (scores.subset == "all")]
    order = rows.groupby("classifier").value.mean().sort_values(na_position="first").index.tolist()
    scenes = [one.name for one in comparison.maps]
    down, names = -(-len(scenes) // _ACROSS), contestants(comparison)
    across = -(-len(scenes) // down)
    figure, axes = new_figure(_WIDTH, (1.3 + 0.34 * len(order)) * down), None
    for position, scene in enumerate(scenes):
        axes = figure.add_subplot(down, across, position + 1, sharey=axes)
        for row in rows[rows.scene == scene].itertuples():
            height, colour = order.index(row.classifier), colour_of(row.classifier, names)
            _interval(axes, height, (row.value, row.low, row.high), colour, _marker(row.classifier, names))
            if row.seeds > 1:
                axes.plot((row.lowest, row.highest), (height, height), "|", color=colour, markersize=13)
        axes.set_yticks(range(len(order)), [shown_name(name) for name in order])
        axes.tick_params(axis="y", labelleft=position % across == 0)
        axes.set(xlim=(0, 1), xlabel="glacier IoU", title=plain(scene), ylim=(-0.6, len(order) - 0.4))
        axes.grid(axis="x", alpha=0.3)
    return figure


def iou_differences(comparison: Comparison, against: str) -> Figure:
    """Draw what the IoU of each other classifier is above (right) or below (left) that of one of them."""
    names = contestants(comparison)
    found = [relation(comparison, name, against) for name in names if name != against]
    rows = sorted((one for one in found if one is not None), key=lambda one: one.difference)
    figure = new_figure(_WIDTH, 1.2 + 0.34 * max(len(rows), 1))
    axes = figure.add_subplot()
    for height, one in enumerate(rows):
        colour = colour_of(one.first, names)
        _interval(axes, height, (one.difference, one.low, one.high), colour, _marker(one.first, names))
    axes.axvline(0, color="0.25", linewidth=1)
    labels = [shown_name(one.first) + ("" if one.distinguishable else "  (not told apart)") for one in rows]
    axes.set_yticks(range(len(rows)), labels)
    mean = "mean " if len(comparison.maps) > 1 else ""
    axes.set(xlabel=f"{mean}glacier IoU minus that of {shown_name(against)}", ylim=(-0.6, len(rows) - 0.4))
    axes.grid(axis="x", alpha=0.3)
    return figure


def _interval(axes: Axes, height: int, values: tuple[float, float, float], colour: str, marker: str) -> None:
    middle, low, high = values
    if np.isfinite((low, high)).all():
        axes.plot((low, high), (height, height), color=colour, linewidth=2.2, solid_capstyle="butt")
    size = 14 if marker == "|" else 7
    axes.plot(middle, height, marker, color=colour, markersize=size, markeredgewidth=2 if size > 7 else 0.5)


def contestants(comparison: Comparison) -> list[str]:
    """Names of all that is compared, as the maps have them, the earlier outline last."""
    found = list(dict.fromkeys(name for one in comparison.maps for name in one.probabilities))
    return [*found, EARLIER] if any(one.earlier is not None for one in comparison.maps) else found


def reliability_diagrams(comparison: Comparison) -> Figure:
    """Draw how often pixels of a probability are glacier, a panel a classifier, a line a scene.

    Bars at the foot show how many of all pixels have that probability. A classifier whose probabilities can
    be taken at their word lies on the diagonal.
    """
    scenes = [one.name for one in comparison.maps]
    told = set(comparison.reliability.classifier)
    names = [name for name in contestants(comparison) if name in told]
    figure, panels = _panels(len(names), 3.1)
    for axes, name in zip(panels, names, strict=True):
        table = comparison.reliability[comparison.reliability.classifier == name]
        axes.plot((0, 1), (0, 1), color="0.6", linewidth=1, linestyle="--")
        _histogram(axes, table)
        for number, scene in enumerate(scenes):
            rows = table[(table.scene == scene) & (table.pixels > 0)]
            look = f"{_MARKERS[number % len(_MARKERS)]}-"
            colour = _COLOURS[number % len(_COLOURS)]
            axes.plot(
                rows.probability,
                rows.glacier,
                look,
                color=colour,
                markersize=4,
                linewidth=1.3,
                label=plain(scene),
            )
        axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
        axes.set_title(f"{shown_name(name)}\n{_ece(comparison, name)}", fontsize=10)
        axes.grid(alpha=0.25)
    figure.supxlabel("probability (mean of the bin)", fontsize=10)
    figure.supylabel("share that is glacier", fontsize=10)
    _scene_legend(figure, panels)
    return figure


def _histogram(axes: Axes, table: pd.DataFrame) -> None:
    """How many pixels each bin has, by their logarithm, to a fifth of the panel's height."""
    by_bin = table.groupby("bin").pixels.sum()
    if by_bin.sum() > 0:
        width = 1 / len(by_bin)
        heights = 0.2 * np.log1p(by_bin.to_numpy()) / np.log1p(by_bin.max())
        axes.bar((np.arange(len(by_bin)) + 0.5) * width, heights, 0.9 * width, color="0.85", zorder=0)


def _ece(comparison: Comparison, name: str) -> str:
    rows = overall(comparison)
    rows = rows[(rows.score == "ece") & (rows.classifier == name)]
    if rows.empty or not np.isfinite(rows.value.iloc[0]):
        return "ECE –"
    row = rows.iloc[0]
    bounds = f" ({row.low:.3f} to {row.high:.3f})" if np.isfinite((row.low, row.high)).all() else ""
    return f"ECE {row.value:.3f}{bounds}"


def _scene_legend(figure: Figure, panels: Sequence[Axes]) -> None:
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", ncols=4, fontsize=10, frameon=False)


def threshold_curves(comparison: Comparison, scene: str) -> Figure:
    """Draw IoU, F1, precision and recall over thresholds, a panel a classifier.

    Vertical lines: its own threshold (solid; one for every seed), .5 (dashed), the report's .7 (dotted).
    """
    maps = next(one for one in comparison.maps if one.name == scene)
    names = list(maps.probabilities)
    figure, panels = _panels(len(names), 2.7)
    for axes, name in zip(panels, names, strict=True):
        table = comparison.thresholds
        rows = table[(table.scene == scene) & (table.classifier == name)].sort_values("threshold")
        for score, colour in _CURVES.items():
            width = 2.4 if score == "iou" else 1.2
            axes.plot(rows.threshold, rows[score], color=colour, linewidth=width, label=_CURVE_NAMES[score])
        for own in maps.thresholds[name]:
            axes.axvline(own, color="k", linewidth=1.4)
        axes.axvline(0.5, color="k", linewidth=1, linestyle="--")
        axes.axvline(REPORT_THRESHOLD, color="k", linewidth=1.2, linestyle=":")
        axes.set(xlim=(0, 1), ylim=(0, 1))
        told = ", ".join(f"{value:.2f}" for value in maps.thresholds[name])
        axes.set_title(f"{shown_name(name)}\nown threshold {told}", fontsize=10)
        axes.grid(alpha=0.25)
    figure.supxlabel("threshold", fontsize=10)
    figure.supylabel("score", fontsize=10)
    _threshold_legend(figure, panels)
    return figure


def _threshold_legend(figure: Figure, panels: Sequence[Axes]) -> None:
    from matplotlib.lines import Line2D

    handles, _ = panels[0].get_legend_handles_labels()
    for style, label in (("-", "own threshold"), ("--", ".5"), (":", "the report's .7")):
        handles.append(Line2D([], [], color="k", linestyle=style, linewidth=1.2, label=label))
    figure.legend(handles=handles, loc="outside upper left", ncols=7, fontsize=10, frameon=False)


def _panels(count: int, height: float) -> tuple[Figure, list[Axes]]:
    """Panels of one size, as even in their rows as their number allows."""
    down = -(-count // _ACROSS)
    across = -(-count // down)
    figure = new_figure(_WIDTH * max(across, 2) / _ACROSS, height * down + 0.7)
    axes: Axes | None = None
    panels = []
    for number in range(count):
        axes = figure.add_subplot(down, across, number + 1, sharex=axes, sharey=axes)
        axes.tick_params(labelsize=9, labelleft=number % across == 0)
        panels.append(axes)
    return figure, panels


@dataclass(frozen=True)
class Detail:
    """How finely maps are stored.

    Attributes
    ----------
    longest_side : int
        Of a map [px]; finer than the first of `DETAILS` is not seen on a page.
    quality : int
        Of WebP with loss, 0 to 100.
    exact : bool
        Whether maps of few colours are stored without loss.
    """

    longest_side: int
    quality: int
    exact: bool


DETAILS = (Detail(1400, 88, True), Detail(1000, 80, False), Detail(700, 65, False), Detail(400, 50, False))
"""The finest first: which one a page has depends on how many maps there are, and how noisy."""


def as_image(image: Image, *, photograph: bool, detail: Detail = DETAILS[0]) -> tuple[bytes, str]:
    """Encode a map for the page: WebP, with loss for photographs and without for maps of few colours.

    Returns
    -------
    tuple of bytes and str
        The file's content and its MIME type.
    """
    from io import BytesIO

    from matplotlib.image import imsave

    stored, step = BytesIO(), max(1, -(-max(image.shape[:2]) // detail.longest_side))
    exact = detail.exact and not photograph
    how = {"lossless": exact, "quality": 60 if exact else detail.quality, "method": 4}
    imsave(stored, np.clip(image[::step, ::step], 0, 1), format="webp", pil_kwargs=how)
    return stored.getvalue(), "image/webp"


def as_drawing(figure: Figure) -> tuple[bytes, str]:
    """Encode a chart for the page: SVG, sharp at any size and the same for the same figure."""
    from io import BytesIO

    import matplotlib

    stored = BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "report", "svg.fonttype": "path"}):
        figure.savefig(stored, format="svg", metadata={"Date": None, "Creator": None})
    return stored.getvalue(), "image/svg+xml"


def as_picture(figure: Figure) -> tuple[bytes, str]:
    """Encode a figure that holds images, such as activation maps, for the page: WebP without loss."""
    from io import BytesIO

    stored = BytesIO()
    figure.savefig(stored, format="webp", pil_kwargs={"lossless": True, "quality": 60})
    return stored.getvalue(), "image/webp"
