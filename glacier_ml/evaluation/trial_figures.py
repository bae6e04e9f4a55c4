"""Pictures that every trial draws, and draws quickly: their margins are fixed and their panels few.

To lay out margins takes matplotlib as long as all the rest of a picture; a panel with ticks takes as long as
an image.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from glacier_ml.evaluation.figures import (
    OUTCOMES,
    Image,
    Mask,
    add_outcomes,
    add_scale_bar,
    as_bytes,
    display_step,
    every,
    faded,
    false_colour,
    new_figure,
    outcome_image,
    panel_size,
    percent,
    plain,
    show_panel,
    show_probability,
    thinned,
)
from glacier_ml.evaluation.metrics import Confusion, confusion
from glacier_ml.scenes.scene import Scene

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CURVES = 10  # of one panel that a legend names
TRIAL_SIZE = 0.75  # of a panel, against other pictures


def learning_curve(history: Mapping[str, Sequence[float]], title: str = "Learning curve") -> Figure:
    """Draw training and validation by epoch: a panel a metric, those of validation alone together.

    Parameters
    ----------
    history : mapping of str to sequence of float
        Values by epoch under `train/<metric>` and `val/<metric>`; other keys are left out.
    title : str
        Above the panels.
    """
    from matplotlib.ticker import MaxNLocator

    panels = _shared_panels(history)
    figure = _grid(3.8 * max(len(panels), 1), 3.6)
    for position, metrics in enumerate(panels, start=1):
        axes = figure.add_subplot(1, len(panels), position)
        if len(metrics) == 1:
            _draw_both_parts(axes, history, metrics[0])
        else:
            _draw_validation(axes, history, metrics)
        axes.set(xlabel="epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
    figure.suptitle(title)
    return figure


def _shared_panels(history: Mapping[str, Sequence[float]]) -> list[list[str]]:
    """Metrics by panel: each that training has, too, alone; the others together, and the scenes' IoU."""
    keys = [key.split("/", 1) for key in history if key.startswith(("train/", "val/"))]
    metrics = list(dict.fromkeys(metric for _, metric in keys))
    both = [metric for metric in metrics if f"train/{metric}" in history]
    scenes = [metric for metric in metrics if metric.startswith("iou_") and metric not in both]
    others = [metric for metric in metrics if metric not in both + scenes]
    return [*([metric] for metric in both), *(group for group in (others, scenes) if group)]


def _draw_both_parts(axes: Axes, history: Mapping[str, Sequence[float]], metric: str) -> None:
    for part, label, colour in (("train", "training", "#0072B2"), ("val", "validation", "#D55E00")):
        values = history.get(f"{part}/{metric}", ())
        if len(values):
            epochs = np.arange(1, len(values) + 1)
            axes.plot(epochs, values, color=colour, marker=".", label=f"{label}, last {values[-1]:.3f}")
    _mark_best(axes, metric, history.get(f"val/{metric}", ()))
    axes.set_ylabel(plain(metric))
    axes.legend(fontsize=8)


def _draw_validation(axes: Axes, history: Mapping[str, Sequence[float]], metrics: Sequence[str]) -> None:
    for metric in metrics:
        values = history[f"val/{metric}"]
        label = f"{plain(metric)}, last {values[-1]:.3f}" if len(values) else plain(metric)
        axes.plot(np.arange(1, len(values) + 1), values, marker=".", label=label)
    axes.set_title("validation", fontsize=9)
    if len(metrics) <= CURVES:
        axes.legend(fontsize=8)


def _grid(width: float, height: float) -> Figure:
    """Figure for panels with labels."""
    figure = new_figure(width, height, layout=None)
    edges = {
        "left": 0.65 / width,
        "right": 1 - 0.15 / width,
        "bottom": 0.5 / height,
        "top": 1 - 0.65 / height,
    }
    figure.subplots_adjust(**edges, wspace=0.25, hspace=0.3)
    return figure


def _mark_best(axes: Axes, metric: str, values: Sequence[float]) -> None:
    if not np.isfinite(values).any():
        return
    falls = "loss" in metric
    best = int(np.nanargmin(values) if falls else np.nanargmax(values))
    axes.axvline(best + 1, color="0.5", linestyle=":", linewidth=1)
    axes.set_title(f"{metric}: best validation {values[best]:.3f} at epoch {best + 1}", fontsize=9)


def confusion_matrix(counts: Confusion, title: str = "Confusion matrix") -> Figure:
    """Draw the two by two table of pixels, coloured by the share of each true class."""
    figure = _grid(4.8, 4.2)
    axes = figure.add_subplot()
    table = np.array(
        [[counts.true_positive, counts.false_negative], [counts.false_positive, counts.true_negative]]
    )
    totals = table.sum(axis=1, keepdims=True)
    shares = np.divide(table, totals, out=np.zeros((2, 2)), where=totals > 0)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), number in np.ndenumerate(table):
        share = shares[row, column]
        text = f"{number:,} px\n{100 * share:.1f} % of the true class"
        axes.text(column, row, text, ha="center", va="center", fontsize=8, color="w" if share > 0.6 else "k")
    axes.set_xticks((0, 1), ("glacier", "not glacier"))
    axes.set_yticks((0, 1), ("glacier", "not glacier"), rotation=90, va="center")
    axes.set(xlabel="mapped", ylabel="truth")
    axes.set_title(
        f"{title}\nIoU {counts.iou:.3f}, precision {counts.precision:.3f}, recall {counts.recall:.3f}, "
        f"accuracy {counts.accuracy:.3f}",
        fontsize=9,
    )
    return figure


def validation_panel(
    scene: Scene, mask: Mask, probability: Image, threshold: float, shown: Mask, title: str = ""
) -> Figure:
    """Draw false colour, truth, probability and errors; pixels outside `shown` are faded.

    Parameters
    ----------
    scene : Scene
        What the satellite saw.
    mask, shown : ndarray of bool
        Glacier, and the validation area; (rows, columns).
    probability : ndarray
        float32 (rows, columns); NaN is drawn as no data.
    threshold : float
        Glacier at or above.
    title : str
        Above the panels; the scene's name without it.
    """
    counted = shown & scene.valid & np.isfinite(probability)
    scored, share = confusion(mask, probability >= threshold, counted), percent(mask, counted)
    text = plain(title or scene.name) + f", {np.count_nonzero(counted):,} validation pixels"
    names = (
        "false colour (SWIR1, NIR, red)",
        f"truth: glacier {share}",
        f"probability, threshold {threshold:.2f}",
        f"errors: IoU {scored.iou:.3f}, accuracy {scored.accuracy:.3f}",
    )
    step = display_step(scene.shape)
    mask, probability, shown, counted = every(step, mask, probability, shown, counted)
    return _draw_panel(thinned(scene, step), mask, probability, threshold, shown, counted, names, text)


def _draw_panel(
    scene: Scene,
    mask: Mask,
    probability: Image,
    threshold: float,
    shown: Mask,
    counted: Mask,
    names: Sequence[str],
    text: str,
) -> Figure:
    colours = np.array([OUTCOMES["not glacier, left out"], OUTCOMES["glacier, mapped"]], dtype=np.float32)
    images = (
        faded(false_colour(scene), shown),
        faded(colours[mask.astype(int)], shown & scene.valid),
        np.where(counted, probability, np.nan),
        outcome_image(mask, probability >= threshold, counted),
    )
    figure, panels, bar = _trial_panels(scene.shape)
    for axes, name, image in zip(panels, names, images, strict=True):
        if image.ndim == 2:
            show_probability(figure, axes, image, bar)
        else:
            show_panel(axes, as_bytes(image))
        axes.set_title(name, fontsize=9)
        add_scale_bar(axes, scene)
    add_outcomes(figure)
    figure.suptitle(text)
    return figure


def _trial_panels(shape: tuple[int, int]) -> tuple[Figure, list[Axes], Axes]:
    """Figure, its four panels, and the axes of a colour bar behind the third."""
    width, height = (TRIAL_SIZE * side for side in panel_size(shape, 4))
    figure = new_figure(width, height, layout=None)
    gap, room, low, tall = 0.08, 0.5, 0.45, height - 0.98  # inches; `room` is the colour bar's
    side = (width - room - 5 * gap) / 4
    lefts = [gap + place * (side + gap) + (room if place == 3 else 0) for place in range(4)]
    panels = [figure.add_axes((left / width, low / height, side / width, tall / height)) for left in lefts]
    bar = (lefts[3] - room, low + tall / 4, 0.12, tall / 2)
    return figure, panels, figure.add_axes((bar[0] / width, bar[1] / height, bar[2] / width, bar[3] / height))
