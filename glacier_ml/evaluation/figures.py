"""Every picture. Functions return a matplotlib Figure and touch no global plotting state.

Colours of right and wrong are from Okabe and Ito's palette, which colour-blind readers tell apart.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from affine import Affine
from numpy.typing import NDArray

from glacier_ml.evaluation.boundaries import pixel_size_m
from glacier_ml.evaluation.metrics import confusion
from glacier_ml.evaluation.report.verdict import shown_name
from glacier_ml.scenes.scene import Scene

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from glacier_ml.evaluation.comparison import SceneMaps

Mask = NDArray[np.bool_]
Image = NDArray[np.float32]
Photograph = NDArray[np.uint8]

FALSE_COLOUR = ("swir1", "nir", "red")
NO_DATA = (0.85, 0.85, 0.85)
OUTCOMES = {
    "glacier, mapped": (0.337, 0.706, 0.914),
    "not glacier, mapped (false positive)": (0.902, 0.624, 0.0),
    "glacier, missed (false negative)": (0.8, 0.475, 0.655),
    "not glacier, left out": (0.15, 0.15, 0.15),
}
OUTLINE_COLOUR = (1.0, 0.95, 0.0)
PANELS_ACROSS = 4
_LONGEST_SIDE = 900  # px drawn of a map: more is not seen and makes files of many megabytes
_STRETCH = (1, 99)  # percent of the valid pixels at which a band is black and white


def false_colour(scene: Scene) -> Image:
    """SWIR1, NIR, red as red, green, blue: ice is blue to cyan, vegetation green, rock brown.

    Returns
    -------
    ndarray
        float32 (rows, columns, 3), 0 to 1, each band stretched between its 1st and 99th percentile;
        light grey where the scene has no data.
    """
    stack = scene.stack(FALSE_COLOUR)
    drawn = np.full(stack.shape, NO_DATA, dtype=np.float32)
    if scene.valid.any():
        low, high = np.percentile(stack[scene.valid], _STRETCH, axis=0)
        stretched = (stack - low) / np.maximum(high - low, 1e-6)
        drawn[scene.valid] = np.clip(stretched, 0, 1)[scene.valid]
    return drawn


def outcome_image(truth: Mask, predicted: Mask, shown: Mask) -> Image:
    """Colour each pixel by its outcome (`OUTCOMES`), light grey where it is not shown.

    Returns
    -------
    ndarray
        float32 (rows, columns, 3), 0 to 1.
    """
    cases = (truth & predicted, ~truth & predicted, truth & ~predicted, ~truth & ~predicted)
    drawn = np.full((*truth.shape, 3), NO_DATA, dtype=np.float32)
    for case, colour in zip(cases, OUTCOMES.values(), strict=True):
        drawn[case & shown] = colour
    return drawn


def every(step: int, *maps: NDArray) -> list[NDArray]:
    """Every so many pixels of maps, along rows and columns."""
    return [one[::step, ::step] for one in maps]


def thinned(scene: Scene, step: int) -> Scene:
    """Every so many pixels of a scene: what false colour needs of it."""
    valid, *bands = every(step, scene.valid, *(scene.bands[band] for band in FALSE_COLOUR))
    grid = replace(scene.grid, transform=scene.grid.transform @ Affine.scale(step), shape=valid.shape)
    return replace(
        scene, bands=dict(zip(FALSE_COLOUR, bands, strict=True)), valid=valid, grid=grid, quality={}
    )


def comparison_maps(maps: SceneMaps) -> Figure:
    """Draw false colour with the true outline, then the right and wrong pixels of each classifier."""
    scene, masks = maps.labelled.scene, maps.masks
    panels = len(masks) + 1
    rows = -(-panels // PANELS_ACROSS)
    columns = -(-panels // rows)
    width, height = panel_size(scene.shape, columns)
    figure = new_figure(width, height * rows)
    axes = figure.add_subplot(rows, columns, 1)
    show_panel(axes, false_colour(scene))
    add_outline(axes, maps.truth, scene.valid)
    axes.set_title(f"false colour, true outline ({percent(maps.truth, maps.valid)} glacier)", fontsize=9)
    add_scale_bar(axes, scene)
    for position, (name, (mask, *others)) in enumerate(masks.items(), start=2):
        scored = confusion(maps.truth, mask, maps.valid)
        name = shown_name(name) + (f", the first of {len(others) + 1} seeds" if others else "")
        axes = figure.add_subplot(rows, columns, position)
        show_panel(axes, outcome_image(maps.truth, mask, maps.valid))
        axes.set_title(f"{name}\nIoU {scored.iou:.3f}, accuracy {scored.accuracy:.3f}", fontsize=9)
        add_scale_bar(axes, scene)
    add_outcomes(figure)
    figure.suptitle(plain(scene.name) + f", {np.count_nonzero(maps.valid):,} valid pixels")
    return figure


def preview(scene: Scene, probability: Image, threshold: float) -> Figure:
    """Draw false colour with the mapped outline beside the probability."""
    mapped = (probability >= threshold) & scene.valid
    figure = new_figure(*panel_size(scene.shape, 2))
    axes = figure.add_subplot(1, 2, 1)
    show_panel(axes, false_colour(scene))
    add_outline(axes, mapped, scene.valid)
    axes.set_title(f"mapped outline: {percent(mapped, scene.valid)} glacier", fontsize=9)
    add_scale_bar(axes, scene)
    axes = figure.add_subplot(1, 2, 2)
    show_probability(figure, axes, np.where(scene.valid, probability, np.nan))
    axes.set_title(f"probability, threshold {threshold:.2f}", fontsize=9)
    add_scale_bar(axes, scene)
    date = scene.provenance.get("date")
    figure.suptitle(plain(f"{scene.name}, {date}" if date else scene.name))
    return figure


def new_figure(width: float, height: float, layout: Literal["constrained"] | None = "constrained") -> Figure:
    """Return a figure without a window behind it, saved by the Agg renderer."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=110, layout=layout)
    FigureCanvasAgg(figure)
    return figure


def plain(text: str) -> str:
    r"""Text that matplotlib draws letter by letter; between two dollar signs it would set a formula.

    >>> print(plain("a$b"))
    a\$b
    """
    return text.replace("$", r"\$")


def panel_size(shape: tuple[int, int], panels: int) -> tuple[float, float]:
    """Width and height in inches of a row of panels that keep the scene's proportions."""
    height = float(np.clip(4.2 * shape[0] / shape[1], 2.2, 7.0))
    return panels * height * float(np.clip(shape[1] / shape[0], 0.5, 2.0)) + 0.8, height + 1.1


def display_step(shape: tuple[int, ...]) -> int:
    """Step from one drawn pixel of a map to the next: more are not seen and make files of many megabytes."""
    return max(1, -(-max(shape[:2]) // _LONGEST_SIDE))


def show_panel(axes: Axes, image: NDArray[Any], **options: Any) -> Any:
    """Draw a thinned image in pixel coordinates of the whole one."""
    step, (rows, columns) = display_step(image.shape), image.shape[:2]
    axes.set_axis_off()
    axes.set(xticks=[], yticks=[])  # hidden ticks would still be laid out, at half the cost of a picture
    extent = (0, columns, rows, 0)
    return axes.imshow(image[::step, ::step], extent=extent, interpolation="nearest", **options)


def show_probability(
    figure: Figure, axes: Axes, probability: NDArray[np.floating], bar: Axes | None = None
) -> None:
    """Draw a probability with a colour bar, beside the panel or in axes of its own."""
    from matplotlib import colormaps

    drawn = show_panel(
        axes, probability, cmap=colormaps["viridis"].with_extremes(bad=NO_DATA), vmin=0, vmax=1
    )
    if bar is None:
        figure.colorbar(drawn, ax=axes, fraction=0.04, pad=0.02)
    else:
        figure.colorbar(drawn, cax=bar)


def faded(image: NDArray[np.floating], shown: Mask) -> NDArray[np.floating]:
    """Image that is shown in part, the rest of it faded to grey."""
    pale = np.array([0.75 * level for level in NO_DATA], dtype=np.float32)
    return np.where(shown[..., None], image, pale + np.float32(0.25) * image)


def add_outline(axes: Axes, mask: Mask, valid: Mask) -> None:
    """Draw the border of glacier and other ground, not that of glacier and no data."""
    step = display_step(mask.shape)
    thin = np.where(valid, mask, np.nan)[::step, ::step]
    if min(thin.shape) > 1 and np.nanmin(thin, initial=1) < np.nanmax(thin, initial=0):
        rows, columns = (step * (np.arange(size) + 0.5) for size in thin.shape)
        axes.contour(columns, rows, thin, levels=[0.5], colors=[OUTLINE_COLOUR], linewidths=0.7)


def add_outcomes(figure: Figure) -> None:
    """Legend of the outcomes below the panels."""
    from matplotlib.patches import Patch

    keys = [Patch(facecolor=colour, label=name) for name, colour in OUTCOMES.items()]
    keys.append(Patch(facecolor=NO_DATA, label="not counted"))
    figure.legend(handles=keys, loc="outside lower center", ncols=3, fontsize=8, frameon=False)


def add_scale_bar(axes: Axes, scene: Scene) -> None:
    """Bar of a round number of km, about a quarter of the scene's width, in its lower left corner."""
    rows, columns = scene.shape
    pixel_km = pixel_size_m(scene)[1] / 1000
    length_km = round_length(columns * pixel_km / 4)
    left, right, bottom = 0.04 * columns, 0.04 * columns + length_km / pixel_km, 0.96 * rows
    for colour, width in (("k", 4), ("w", 2)):
        axes.plot((left, right), (bottom, bottom), color=colour, linewidth=width, solid_capstyle="butt")
    box = {"facecolor": "k", "alpha": 0.5, "edgecolor": "none", "pad": 1}
    label: dict[str, Any] = {"color": "w", "fontsize": 7, "ha": "center", "va": "bottom", "bbox": box}
    axes.text((left + right) / 2, 0.94 * rows, f"{length_km:g} km", **label)


def round_length(length: float) -> float:
    """Largest of 1, 2, 5 times a power of ten that is not above the length.

    >>> [round_length(length) for length in (3.7, 0.61, 12.0)]
    [2.0, 0.5, 10.0]
    """
    power = 10.0 ** np.floor(np.log10(length))
    return float(max(factor * power for factor in (1, 2, 5) if factor * power <= length * (1 + 1e-9)))


def as_bytes(image: NDArray[np.floating]) -> Photograph:
    """Colours 0 to 1 as bytes, which are drawn and written faster."""
    return np.round(255 * np.clip(image, 0, 1)).astype(np.uint8)


def percent(mask: Mask, counted: Mask) -> str:
    """Share of the counted pixels that a mask holds, in words."""
    total = np.count_nonzero(counted)
    return f"{100 * np.count_nonzero(mask & counted) / total:.1f} %" if total else "nothing"
