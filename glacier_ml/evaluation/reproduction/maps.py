"""The report's figures 3, 4 and 10 to 14: where the scenes lie, a tile's eight images, the networks' maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_uppercase
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from glacier_ml.errors import GlacierError
from glacier_ml.evaluation.figures import (
    NO_DATA,
    OUTCOMES,
    Image,
    Mask,
    add_outline,
    add_scale_bar,
    false_colour,
    new_figure,
    outcome_image,
)
from glacier_ml.evaluation.metrics import Confusion, confusion
from glacier_ml.evaluation.reproduction.reported import FIGURES, THRESHOLD, values_of
from glacier_ml.learning.tiles import augment_d4, cut_tiles
from glacier_ml.scenes.scene import Scene

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from glacier_ml.scenes.catalog import CatalogEntry

TILE = 288
"""Side of the tile of the report's figure 4 [px]."""
ROLE_COLOURS = {"train": "#009E73", "held out": "#0072B2"}
"""As the report's figure 3: training scenes green, the others blue."""

_CUTS = {"own": "own threshold", "even odds": "even odds"}
_THUMBNAIL = 260  # px of a footprint's longer side
_SHOWN_PX = 340  # px drawn of a map's longer side: five panels across show no more
_TILE_PX = 150  # px drawn of a tile's side, four across


@dataclass(frozen=True)
class MapPanel:
    """One scene as one network maps it.

    Attributes
    ----------
    scene : Scene
        With the bands of false colour.
    truth : ndarray of bool or None
        (rows, columns); None without outlines.
    probability : ndarray
        float32 (rows, columns), NaN where there is none.
    threshold : float
        The other cut beside the report's.
    trained : bool
        Whether the network learned from this scene.
    cut : str
        What `threshold` is: 'own', from validation data, or 'even odds', where the protocol has none.
    """

    scene: Scene
    truth: Mask | None
    probability: Image
    threshold: float
    trained: bool
    cut: str = "own"

    @property
    def counted(self) -> Mask:
        """Pixels with data and a probability."""
        return self.scene.valid & np.isfinite(self.probability)

    def confusion(self, threshold: float) -> Confusion | None:
        """Counts of the map cut at a threshold; None without truth."""
        if self.truth is None:
            return None
        return confusion(self.truth, self.probability >= threshold, self.counted)


def map_scores(panels: Sequence[MapPanel], figure: str, protocol: str) -> pd.DataFrame:
    """Scores of the maps at the report's threshold and at the network's own.

    Returns
    -------
    pandas.DataFrame
        figure, protocol, scene, trained, cut ('the report's' or the panel's), threshold, accuracy, iou, and
        the report's reported_accuracy and reported_iou (NaN where none is known); scenes without outlines
        have NaN scores.
    """
    import pandas as pd

    rows = []
    for panel in panels:
        told = values_of(figure).get(panel.scene.name)
        theirs = (told.test, told.iou) if told else (None, None)
        for cut, threshold in (("the report's", THRESHOLD), (panel.cut, panel.threshold)):
            counts = panel.confusion(threshold)
            scores = (np.nan, np.nan) if counts is None else (counts.accuracy, counts.iou)
            name = panel.scene.name
            rows.append((figure, protocol, name, panel.trained, cut, threshold, *scores, *theirs))
    columns = "figure protocol scene trained cut threshold accuracy iou reported_accuracy reported_iou"
    table = pd.DataFrame.from_records(rows, columns=columns.split())
    return table.astype({"reported_accuracy": float, "reported_iou": float})


def draw_maps(panels: Sequence[MapPanel], figure: str, protocol: str, budget: str = "") -> Figure:
    """Draw each scene's false colour, truth, probability, and its mask at the report's threshold and the own.

    Parameters
    ----------
    panels : sequence of MapPanel
        One row each.
    figure : str
        'figure_10' to 'figure_14', see `reported.FIGURES`.
    protocol, budget : str
        Named in the title.
    """
    if not panels:
        raise GlacierError(f"{figure}: has no scene to draw; give the catalog scenes of the roles it shows")
    heights = [float(np.clip(2.6 * one.scene.shape[0] / one.scene.shape[1], 1.6, 4.2)) for one in panels]
    drawn = new_figure(13.5, sum(heights) + 0.45 * len(panels) + 1.2)
    grid = drawn.subplots(len(panels), 5, squeeze=False, height_ratios=heights)
    for row, panel in zip(grid, panels, strict=True):
        _map_row(row, panel, figure)
    _legend(drawn, any(panel.truth is not None for panel in panels))
    told = f"{protocol} protocol" + (f", {budget} budget" if budget else "")
    drawn.suptitle(f"Figure {int(figure[7:9])}. {FIGURES[figure]}\n{told}")
    return drawn


def _map_row(row: Sequence[Axes], panel: MapPanel, figure: str) -> None:
    from matplotlib import colormaps

    step = max(1, -(-max(panel.scene.shape) // _SHOWN_PX))
    told = values_of(figure).get(panel.scene.name)
    first = f"{panel.scene.name} ({'trained on' if panel.trained else 'not trained on'})"
    masks = [
        _mask_panel(panel, cut, name)
        for cut, name in ((THRESHOLD, "report's threshold"), (panel.threshold, _CUTS[panel.cut]))
    ]
    if told and told.test is not None:
        title = f"{masks[0][0]}\nthe report: accuracy {told.test:.2f}, IoU {told.iou:.2f}"
        masks[0] = (title, masks[0][1])
    bad = {"cmap": colormaps["viridis"].with_extremes(bad=NO_DATA), "vmin": 0, "vmax": 1}
    probability = np.where(panel.counted, panel.probability, np.nan)
    pictures: list[tuple[str, NDArray[Any], dict[str, Any]]] = [
        (first, false_colour(panel.scene), {}),
        (*_truth_panel(panel), {}),
        ("probability of glacier", probability, bad),
        *((title, image, {}) for title, image in masks),
    ]
    rows, columns = panel.scene.shape
    for axes, (title, image, options) in zip(row, pictures, strict=True):
        axes.imshow(image[::step, ::step], extent=(0, columns, rows, 0), interpolation="nearest", **options)
        axes.set_axis_off()
        axes.set_title(title, fontsize=8)
    add_scale_bar(row[0], panel.scene)


def _truth_panel(panel: MapPanel) -> tuple[str, Image]:
    if panel.truth is None:
        return "no outlines", np.full((*panel.scene.shape, 3), NO_DATA, dtype=np.float32)
    image = outcome_image(panel.truth, panel.truth, panel.scene.valid)
    share = panel.truth[panel.scene.valid].mean() if panel.scene.valid.any() else np.nan
    return f"truth: {100 * share:.0f} % glacier", image


def _mask_panel(panel: MapPanel, threshold: float, name: str) -> tuple[str, Image]:
    mapped, counts = panel.probability >= threshold, panel.confusion(threshold)
    title = f"{name} {threshold:.2f}"
    if counts is None:
        share = mapped[panel.counted].mean() if panel.counted.any() else np.nan
        return f"{title}: {100 * share:.0f} % glacier", outcome_image(mapped, mapped, panel.counted)
    told = f"{title}\naccuracy {counts.accuracy:.2f}, IoU {counts.iou:.2f}"
    return told, outcome_image(panel.truth, mapped, panel.counted)  # type: ignore[arg-type]


def _legend(drawn: Figure, labelled: bool) -> None:
    from matplotlib.patches import Patch

    named = dict(OUTCOMES)
    if not labelled:
        colours = list(OUTCOMES.values())
        named = {"mapped as glacier": colours[0], "not mapped": colours[-1]}
    keys = [Patch(facecolor=colour, label=name) for name, colour in named.items()]
    keys.append(Patch(facecolor=NO_DATA, label="no data, or no outlines"))
    drawn.legend(handles=keys, loc="outside lower center", ncols=5, fontsize=8, frameon=False)


def draw_eight(scene: Scene, truth: Mask, size: int = TILE) -> Figure:
    """Draw a tile and its eight images, the outlines of its mask turned with it.

    Parameters
    ----------
    scene : Scene
        The tile is cut from it, without overlap from the upper left corner: that whose share of glacier is
        nearest to one half.
    truth : ndarray of bool
        (rows, columns).
    size : int
        Side of the tile [px]; the scene's shorter side where that is less.
    """
    size = min(size, *scene.shape)
    colour = cut_tiles(false_colour(scene), size)  # (tiles, size, size, 3)
    masks = cut_tiles((truth & scene.valid)[..., None].astype(np.float32), size)
    chosen = int(np.abs(masks.mean(axis=(1, 2, 3)) - 0.5).argmin())
    images = augment_d4(np.concatenate([colour[chosen], masks[chosen]], axis=-1))  # (8, size, size, 4)
    step = max(1, -(-size // _TILE_PX))
    drawn = new_figure(11.0, 6.1)
    for place, (axes, image) in enumerate(zip(drawn.subplots(2, 4).flat, images, strict=True)):
        axes.set_axis_off()
        axes.imshow(image[::step, ::step, :3], extent=(0, size, size, 0), interpolation="nearest")
        add_outline(axes, image[..., 3] > 0.5, np.ones((size, size), dtype=bool))
        told = [
            *(["mirrored"] if place >= 4 else []),
            *([f"turned {90 * (place % 4)}°"] if place % 4 else []),
        ]
        axes.set_title(", ".join(told) or "as it was cut", fontsize=9)
    drawn.suptitle(
        f"Figure 4. {FIGURES['figure_04']}: {scene.name}, tile {chosen + 1} of {len(masks)}, "
        f"{size} x {size} px, {100 * masks[chosen].mean():.0f} % glacier (yellow: outline)"
    )
    return drawn


def draw_footprints(entries: Sequence[CatalogEntry]) -> Figure:
    """Draw where the scenes lie, in degrees: training scenes green, held-out scenes blue.

    Parameters
    ----------
    entries : sequence of CatalogEntry
        They are read, since each footprint is filled with its scene's false colour; one panel a region.
    """
    regions = list(dict.fromkeys(entry.region for entry in entries))
    if not regions:
        raise GlacierError("figure_03: has no scene to draw; give a catalog with scenes")
    drawn = new_figure(1.0 + 5.6 * len(regions), 5.6)
    for axes, region in zip(np.atleast_1d(drawn.subplots(1, len(regions))), regions, strict=True):
        _region(axes, region, [entry for entry in entries if entry.region == region])
    handles = _role_handles()
    drawn.legend(handles=handles, loc="outside lower center", ncols=2, fontsize=9, frameon=False)
    drawn.suptitle(f"Figure 3. {FIGURES['figure_03']}")
    return drawn


def _role_handles() -> list[Any]:
    from matplotlib.lines import Line2D

    dashes = {"train": "-", "held out": "--"}
    words = {"train": "training scene", "held out": "held out: test, or without outlines"}
    return [Line2D([], [], color=ROLE_COLOURS[one], ls=dashes[one], lw=2, label=words[one]) for one in dashes]


def _region(axes: Axes, region: str, entries: Sequence[CatalogEntry]) -> None:
    from matplotlib.ticker import MaxNLocator

    boxes: dict[tuple[float, ...], list[str]] = {}
    for entry in entries:
        scene = entry.open()
        corners = _edges(scene)
        (west, south), (east, north) = corners.min(axis=1), corners.max(axis=1)
        axes.imshow(_thumbnail(scene), extent=(west, east, south, north), interpolation="nearest")
        held = entry.role != "train"
        colour = ROLE_COLOURS["held out" if held else "train"]
        axes.plot(*corners, color=colour, ls="--" if held else "-", lw=1.6 if held else 4, zorder=3 + held)
        told = ", ".join([entry.role, *([entry.date] if entry.date else [])])
        boxes.setdefault(tuple(np.round([west, south, east, north], 3).tolist()), []).append(
            f"{entry.name} ({told})"
        )
    names = [region]
    for letter, ((west, _, _, north), inside) in zip(ascii_uppercase * 9, boxes.items(), strict=False):
        white = {"facecolor": "w", "edgecolor": "none", "pad": 1.5}
        axes.text(west, north, letter, ha="center", va="center", fontsize=9, bbox=white, zorder=6)
        names.append(f"{letter}  " + ", ".join(inside))
    low, high = np.min(list(boxes), axis=0)[:2], np.max(list(boxes), axis=0)[2:]
    margin = 0.06 * max(high - low)
    axes.set(xlim=(low[0] - margin, high[0] + margin), ylim=(low[1] - margin, high[1] + margin))
    axes.set_aspect(1 / np.cos(np.radians((low[1] + high[1]) / 2)))
    axes.set(xlabel="longitude [°]", ylabel="latitude [°]")
    axes.set_title("\n".join(names), fontsize=8, loc="left")
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.grid(alpha=0.4, lw=0.5)


def _edges(scene: Scene) -> NDArray[np.float64]:
    """(2, points) longitudes and latitudes along the scene's border, closed."""
    from rasterio.warp import transform

    rows, columns = scene.shape
    along = np.linspace(0, 1, 21)
    flat, full = np.zeros_like(along), np.ones_like(along)
    across = columns * np.concatenate([along, full, along[::-1], flat])
    down = rows * np.concatenate([flat, along, full, along[::-1]])
    points = [scene.grid.transform @ (column, row) for column, row in zip(across, down, strict=True)]
    eastings, northings = zip(*points, strict=True)
    return np.array(transform(scene.grid.crs, "EPSG:4326", list(eastings), list(northings)))


def _thumbnail(scene: Scene) -> NDArray[np.float32]:
    """False colour on a grid of degrees, (rows, columns, 4), clear where the scene has no data."""
    from affine import Affine
    from rasterio.warp import Resampling, reproject

    corners = _edges(scene)
    (west, south), (east, north) = corners.min(axis=1), corners.max(axis=1)
    step = max(east - west, north - south) / _THUMBNAIL
    shape = (max(1, round((north - south) / step)), max(1, round((east - west) / step)))
    target = Affine((east - west) / shape[1], 0, west, 0, (south - north) / shape[0], north)
    layers = np.moveaxis(np.dstack([false_colour(scene), scene.valid.astype(np.float32)]), -1, 0)
    drawn = np.zeros((4, *shape), dtype=np.float32)
    reproject(
        np.ascontiguousarray(layers),
        drawn,
        src_transform=scene.grid.transform,
        src_crs=scene.grid.crs,
        dst_transform=target,
        dst_crs="EPSG:4326",
        resampling=Resampling.average,
    )
    return np.clip(np.moveaxis(drawn, 0, -1), 0, 1)
