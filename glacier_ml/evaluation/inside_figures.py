"""Pictures of what a network looks at: importance of its features, activations of its convolutions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from glacier_ml.evaluation.figures import (
    NO_DATA,
    add_outline,
    false_colour,
    new_figure,
    plain,
    show_panel,
)
from glacier_ml.evaluation.importance import SIDE, WHOLE_PIXELS
from glacier_ml.evaluation.report.verdict import shown_name
from glacier_ml.evaluation.windows import typical_window
from glacier_ml.learning.activations import LONGEST_SIDE, activation_maps

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from glacier_ml.learning.classifier import NetworkClassifier
    from glacier_ml.scenes.catalog import LabelledScene

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]

IMPORTANCE_CAPTION = (
    "Glacier IoU lost when a feature's values are shuffled among the valid pixels of the scene; one mark a "
    "shuffle, a bar their mean. Features that tell the same stand in for\neach other (NDSI and log red/SWIR1 "
    "both say how dark SWIR1 is): a small loss does not say that a feature is useless. 'all of ...' shuffles "
    "every feature made of the band together, once.\nMeasured, 'IoU unshuffled' too, on all of a scene of up "
    f"to {WHOLE_PIXELS:,} pixels; of a larger one on one window of {SIDE} x {SIDE} px with about its share "
    "of glacier: there it is not the scene's IoU of the tables."
)
ACTIVATION_CAPTION = (
    "Answers after batch normalisation and activation, each stretched between its 1st and 99th percentile; "
    "of each convolution the filters that vary most over\nthe tile; r: correlation of a filter's answer with "
    "the true outline. The left half leads down to the coarsest level, the right half up again."
)
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_MARKERS = "osD^vP"
_CELL = 1.25  # inches of one filter's map
_STRETCH = (1, 99)


def draw_importance(importance: pd.DataFrame) -> Figure:
    """Draw the IoU lost by feature: one panel a classifier, one mark a scene and repeat, a bar their mean.

    Parameters
    ----------
    importance : pandas.DataFrame
        As `evaluation.importance.permutation_importance` gives it.
    """
    names = list(dict.fromkeys(importance.classifier))
    features = _by_loss(importance)
    single = sum(not feature.startswith("all of ") for feature in features)
    figure = new_figure(3.6 + 3.4 * len(names), 1.9 + 0.3 * len(features))
    first: Axes | None = None
    for position, name in enumerate(names, start=1):
        axes = figure.add_subplot(1, len(names), position, sharey=first)
        first = first or axes
        rows = importance[importance.classifier == name]
        _draw_losses(axes, rows, features)
        axes.axhline(single - 0.5, color="0.6", linestyle=":", linewidth=1)
        axes.tick_params(axis="y", labelleft=position == 1)
        whole = "\n".join(f"{one.scene} {one.iou:.3f}" for one in rows.drop_duplicates("scene").itertuples())
        axes.set_title(plain(f"{shown_name(name)}, IoU unshuffled:\n{whole}"), fontsize=9)
    axes.invert_yaxis()
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper right", ncols=len(labels), fontsize=8, frameon=False)
    figure.supxlabel(IMPORTANCE_CAPTION, fontsize=7)
    return figure


def _by_loss(importance: pd.DataFrame) -> list[str]:
    """Features with the largest mean loss first; after them what is shuffled together, likewise."""
    means = importance.groupby("feature")["drop"].mean().fillna(0).sort_values(ascending=False)
    return sorted(means.index, key=lambda feature: feature.startswith("all of "))


def _draw_losses(axes: Axes, rows: pd.DataFrame, features: Sequence[str]) -> None:
    means = rows.groupby("feature")["drop"].mean()
    axes.barh([features.index(name) for name in means.index], means, color="0.88", height=0.7)
    scenes = list(dict.fromkeys(rows.scene))
    for number, scene in enumerate(scenes):
        points = rows[rows.scene == scene]
        offset = (number - (len(scenes) - 1) / 2) * 0.5 / len(scenes)
        heights = [features.index(name) + offset for name in points.feature]
        style: dict[str, Any] = {
            "marker": _MARKERS[number % 6],
            "color": _COLOURS[number % 6],
            "markersize": 4,
        }
        axes.plot(points["drop"], heights, linestyle="none", label=plain(scene), **style)
    axes.set_yticks(range(len(features)), features)
    axes.axvline(0, color="0.25", linewidth=1)
    axes.set_xlabel("glacier IoU lost")
    axes.grid(axis="x", alpha=0.3)


def draw_inside(
    classifier: NetworkClassifier,
    labelled: LabelledScene,
    layers: Sequence[str] | None = None,
    filters: int = 4,
) -> Figure:
    """Draw the activations of a U-Net on a tile of a scene, of the size that it was trained on.

    Parameters
    ----------
    classifier : NetworkClassifier
        A U-Net.
    labelled : LabelledScene
        With a mask; of its tiles the one is shown whose glacier share is nearest one half.
    layers : sequence of str, optional
        Some of `learning.activations.convolutions`; the last of each level without it.
    filters : int
        Filters shown of each layer.

    Raises
    ------
    GlacierError
        As `learning.activations.activation_maps`, or where the scene has no mask.
    """
    scene, size = labelled.scene, min(classifier.parameters.tile_size, LONGEST_SIDE)
    row, column = typical_window(labelled.truth, scene.valid, size, share=0.5)
    tile = (slice(row, row + size), slice(column, column + size))
    wanted = np.zeros(scene.shape, dtype=bool)
    wanted[tile] = True
    probability = classifier.probability(scene, wanted)[tile]
    maps = activation_maps(classifier, classifier.features(scene)[tile], layers)
    return draw_activations(
        maps,
        false_colour(scene)[tile],
        labelled.truth[tile],
        probability,
        filters,
        f"{shown_name(classifier.name)} on {scene.name}, rows {row} to {row + probability.shape[0]}, "
        f"columns {column} to {column + probability.shape[1]}",
    )


def draw_activations(
    maps: Mapping[str, Array],
    image: Array,
    truth: Mask,
    probability: Array,
    filters: int = 4,
    title: str = "",
) -> Figure:
    """Draw the strongest filters of each layer below the tile and its probability, level by level.

    Parameters
    ----------
    maps : mapping of str to ndarray
        (rows, columns, filters) by layer, see `learning.activations.activation_maps`.
    image : ndarray
        (rows, columns, 3) of the tile, 0 to 1.
    truth : ndarray of bool
        (rows, columns), glacier.
    probability : ndarray
        float32 (rows, columns), NaN where there is no data.
    filters : int
        Filters shown of each layer, see `strongest`; `title` stands above all.
    """
    places = _places(list(maps))
    down = 1 + max(row for row, _ in places.values())
    figure = new_figure(2 * filters * _CELL + 1.6, (down + 2.6) * (_CELL + 0.1) + 0.7)
    sizes = {"height_ratios": [2.6] + [1] * down, "width_ratios": [1] * filters + [0.1] + [1] * filters}
    grid = figure.add_gridspec(down + 1, 2 * filters + 1, **sizes)
    _draw_tile(figure, grid, image, truth, probability, filters)
    for name, (row, side) in places.items():
        values = maps[name]
        for position, chosen in enumerate(strongest(values, filters)):
            axes = figure.add_subplot(grid[row + 1, side * (filters + 1) + position])
            _draw_filter(axes, values[..., chosen], truth, f"{chosen}")
            if position == 0:
                label = "{}\n{} x {} px\n{} filters".format(name, *values.shape)
                axes.text(-0.08, 0.5, label, transform=axes.transAxes, **_LABEL)
    figure.suptitle(plain(title), fontsize=10)
    figure.supxlabel(ACTIVATION_CAPTION, fontsize=7)
    return figure


_LABEL: dict[str, Any] = {"rotation": 90, "ha": "right", "va": "center", "fontsize": 7}


def strongest(values: Array, count: int) -> list[int]:
    """Filters with the largest standard deviation over the tile, the largest first.

    >>> strongest(np.array([[[0.0, 5.0, 1.0], [1.0, 5.0, 4.0]]]), 2)
    [2, 0]
    """
    spread = values.std(axis=(0, 1))
    return np.argsort(-spread, kind="stable")[:count].tolist()


def agreement(values: Array, truth: Mask) -> float:
    """Correlation of a filter's answers with the share of glacier in the pixels they stand for.

    NaN where either is the same everywhere.

    >>> agreement(np.array([[0.0, 2.0]]), np.array([[0, 0, 1, 1], [0, 0, 1, 1]], dtype=bool))
    1.0
    """
    scale = -(-truth.shape[0] // values.shape[0])
    pad = [(0, scale * length - size) for length, size in zip(values.shape, truth.shape, strict=True)]
    padded = np.pad(truth.astype(np.float64), pad, mode="edge")
    share = padded.reshape(values.shape[0], scale, values.shape[1], scale).mean(axis=(1, 3))
    if share.std() == 0 or values.std() == 0:
        return float("nan")
    return round(float(np.corrcoef(values.ravel(), share.ravel())[0, 1]), 6)


def _places(names: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Row and side of each layer: one row a level and position; left (0) leads down, right (1) up."""
    keys = {}
    for name in names:
        stage, position = name.rsplit(".", 1)
        level = int("".join(sign for sign in stage if sign.isdigit()) or 0)
        keys[name] = (level, int(position))
    rows = {key: row for row, key in enumerate(sorted(set(keys.values())))}
    return {name: (rows[key], int(name.startswith(("up", "head")))) for name, key in keys.items()}


def _draw_tile(
    figure: Figure, grid: Any, image: Array, truth: Mask, probability: Array, filters: int
) -> None:
    from matplotlib import colormaps

    axes = figure.add_subplot(grid[0, :filters])
    show_panel(axes, image)
    add_outline(axes, truth, np.ones(truth.shape, dtype=bool))
    axes.set_title(
        f"false colour (SWIR1, NIR, red), true outline: {100 * truth.mean():.0f} % glacier", fontsize=8
    )
    axes = figure.add_subplot(grid[0, filters + 1 :])
    cmap = colormaps["viridis"].with_extremes(bad=NO_DATA)
    drawn = show_panel(axes, probability, cmap=cmap, vmin=0, vmax=1)
    figure.colorbar(drawn, ax=axes, fraction=0.04, pad=0.02)
    axes.set_title("probability", fontsize=8)


def _draw_filter(axes: Axes, values: Array, truth: Mask, name: str) -> None:
    low, high = np.percentile(values, _STRETCH)
    show_panel(axes, values, cmap="magma", vmin=low, vmax=max(high, low + 1e-6))
    told = agreement(values, truth)
    axes.set_title(f"{name}: r {told:+.2f}" if np.isfinite(told) else f"{name}: r -", fontsize=7, pad=2)
