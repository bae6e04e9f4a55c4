"""Pictures of what a classifier maps right and wrong, small and alike enough for a grid of many."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from glacier_ml.evaluation.figures import (
    OUTCOMES,
    Image,
    Mask,
    Photograph,
    as_bytes,
    every,
    false_colour,
    new_figure,
    outcome_image,
    thinned,
)
from glacier_ml.scenes.scene import Scene

MAP_SIDE = 384  # px of a map, without its legend


def outcome_map(scene: Scene, mask: Mask, probability: Image, threshold: float, shown: Mask) -> Photograph:
    """Picture of right and wrong pixels over a faded scene, a legend below it.

    Parameters
    ----------
    scene, mask, probability, threshold, shown
        As `figures.validation_panel`.

    Returns
    -------
    ndarray
        uint8 (rows, columns, 3), the map's longest side `MAP_SIDE` pixels at most.
    """
    step = max(1, -(-max(scene.shape) // MAP_SIDE))
    scene, (mask, probability, shown) = thinned(scene, step), every(step, mask, probability, shown)
    counted = shown & scene.valid & np.isfinite(probability)
    drawn = 0.6 * false_colour(scene).mean(axis=-1, keepdims=True).repeat(3, axis=-1) + 0.4
    outcomes = outcome_image(mask, probability >= threshold, counted)
    drawn[counted] = outcomes[counted]
    return np.concatenate([as_bytes(drawn), _legend(drawn.shape[1])])


@lru_cache(maxsize=16)
def _legend(width: int) -> Photograph:
    """Names of the outcomes in their colours, (rows, width, 3)."""
    from matplotlib.patches import Patch

    figure = new_figure((width + 0.5) / 100, 0.5, layout=None)  # 29 / 100 * 100 is less than 29
    figure.set_dpi(100)
    names = ("found", "false", "missed", "left out")
    keys = [
        Patch(facecolor=colour, label=name) for name, colour in zip(names, OUTCOMES.values(), strict=True)
    ]
    figure.legend(
        handles=keys, loc="center", ncols=2, fontsize=9, frameon=False, handlelength=1, columnspacing=1
    )
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[..., :3].copy()  # type: ignore[attr-defined]
