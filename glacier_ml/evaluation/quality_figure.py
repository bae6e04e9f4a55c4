"""The picture beside a scene's quality report: what its outlines, its brightness and its sensor say."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from glacier_ml.evaluation.figures import (
    FALSE_COLOUR,
    NO_DATA,
    Image,
    Mask,
    add_outline,
    add_scale_bar,
    false_colour,
    new_figure,
    panel_size,
    plain,
    show_panel,
)
from glacier_ml.scenes.inspection.bands import ndsi_bright
from glacier_ml.scenes.scene import Scene

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito's palette, which colour-blind readers tell apart.
GROUND = {
    "bright, inside outlines": (0.337, 0.706, 0.914),
    "bright, outside outlines": (0.902, 0.624, 0.0),
    "glacier, not bright (debris, shadow, melt)": (0.8, 0.475, 0.655),
    "neither": (0.25, 0.25, 0.25),
}
WITHOUT_OUTLINES = {"bright": GROUND["bright, outside outlines"], "not bright": GROUND["neither"]}
SENSOR = {
    "blue saturated": (0.835, 0.369, 0.0),
    "swir1 negative": (0.0, 0.447, 0.698),
    "flagged as cloud": (0.94, 0.894, 0.259),
    "flagged as cloud shadow": (0.6, 0.6, 0.0),
}
_COLOURS = GROUND | WITHOUT_OUTLINES | SENSOR


def quality_panel(scene: Scene, mask: Mask | None) -> Figure:
    """Draw a scene beside what its quality report tells of.

    Parameters
    ----------
    scene : Scene
        Needs green, nir and swir1; red, and blue where there is one, are drawn, too.
    mask : ndarray of bool or None
        Glacier, (rows, columns); None without outlines.

    Returns
    -------
    matplotlib.figure.Figure
        Three panels: false colour with the outlines; what is NDSI-bright inside and outside of them; what the
        sensor could not tell.
    """
    figure = new_figure(*panel_size(scene.shape, 3))
    ground, sensor = _ground(scene, mask), _sensor(scene)
    images = {
        f"false colour ({', '.join(FALSE_COLOUR)}){'' if mask is None else ', outlines'}": false_colour(
            scene
        ),
        "NDSI > 0.4 and NIR > 0.11": _coloured(scene, ground),
        "saturated, negative, cloud": _coloured(scene, sensor),
    }
    for position, (title, image) in enumerate(images.items(), start=1):
        axes = figure.add_subplot(1, 3, position)
        show_panel(axes, image)
        if mask is not None:
            add_outline(axes, mask, scene.valid)
        add_scale_bar(axes, scene)
        axes.set_title(title, fontsize=9)
    _add_key(figure, scene, ground | sensor)
    date = scene.provenance.get("date")
    figure.suptitle(plain(f"{scene.name}, {date}" if date else scene.name))
    return figure


def _ground(scene: Scene, glacier: Mask | None) -> dict[str, Mask]:
    found = ndsi_bright(scene)
    bright = np.zeros(scene.shape, np.bool_) if found is None else found
    if glacier is None:
        return dict(zip(WITHOUT_OUTLINES, (bright, ~bright), strict=True))
    cases = (bright & glacier, bright & ~glacier, ~bright & glacier, ~bright & ~glacier)
    return dict(zip(GROUND, cases, strict=True))


def _sensor(scene: Scene) -> dict[str, Mask]:
    nowhere = np.zeros(scene.shape, np.bool_)
    cases = (
        scene.saturated("blue") if "blue" in scene.bands else nowhere,
        scene.bands["swir1"] < 0 if "swir1" in scene.bands else nowhere,
        scene.quality.get("cloud", nowhere),
        scene.quality.get("cloud_shadow", nowhere),
    )
    return dict(zip(SENSOR, cases, strict=True))


def _coloured(scene: Scene, cases: dict[str, Mask]) -> Image:
    drawn: NDArray[np.float32] = np.full((*scene.shape, 3), 0.25, np.float32)
    for name, case in cases.items():
        drawn[case] = _COLOURS[name]
    drawn[~scene.valid] = NO_DATA
    return drawn


def _add_key(figure: Figure, scene: Scene, cases: dict[str, Mask]) -> None:
    """Key of what occurs, with its share of the valid pixels."""
    from matplotlib.patches import Patch

    total = max(1, int(scene.valid.sum()))
    keys = []
    for name, case in cases.items():
        share = 100 * int((case & scene.valid).sum()) / total
        if share:
            keys.append(Patch(facecolor=_COLOURS[name], label=f"{name}: {share:.1f} %"))
    keys.append(Patch(facecolor=NO_DATA, label="no data"))
    title = "shares of the pixels with data"
    figure.legend(
        handles=keys,
        loc="outside lower center",
        ncols=4,
        fontsize=8,
        frameon=False,
        title=title,
        title_fontsize=8,
    )
