"""Named parts of a labelled scene by what lies on the ground: where a map fails, not only how much."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from glacier_ml.scenes.catalog import LabelledScene

Mask = NDArray[np.bool_]

# Subset by the made scenes' name of its ground class, in the order in which they are shown.
_CLASSES = {
    "clean ice": "bare glacier ice",
    "snow on glacier": "snow on glacier",
    "debris": "debris on glacier",
    "shadow on glacier": "shadow on glacier",
    "melange": "melange",
    "seasonal snow": "seasonal snow outside outlines",
    "water": "water",
    "rock": "rock",
    "vegetation": "vegetation",
    "shadow on ground": "shadow on ground",
}

GROUND_SUBSETS = tuple(_CLASSES)
"""Names that `ground_subsets` may give, the four on glaciers first."""

GLACIER_SUBSETS = GROUND_SUBSETS[:4]
"""Those that lie on glaciers: every pixel of theirs is glacier, so that IoU there equals recall."""


def ground_subsets(labelled: LabelledScene) -> dict[str, Mask]:
    """Part a scene's valid pixels by ground class, where it is known.

    On a subset of one truth most scores say nothing: on glacier classes recall (equal to IoU there) tells
    what share is found; on the others precision and IoU are 0 or undefined, and accuracy tells what share is
    left out of the map, as it should be.

    Parameters
    ----------
    labelled : LabelledScene
        With `ground` (made scenes), or with `debris` (outlines that tell debris apart).

    Returns
    -------
    dict of str to ndarray of bool
        (rows, columns) each, by names of `GROUND_SUBSETS` in that order; disjoint, valid pixels alone, and
        only classes of which the scene has a pixel. With `ground` they cover every valid pixel of a known
        class. With `debris` alone they are 'clean ice' (all glacier that is not under debris, snow on it
        included) and 'debris'. Empty where neither is known.
    """
    valid = labelled.scene.valid
    parts: dict[str, Mask] = {}
    if labelled.ground is not None:
        from glacier_ml.scenes.made.ground import GROUND_CLASSES

        numbers = {told: number for number, told in GROUND_CLASSES.items()}
        parts = {name: (labelled.ground == numbers[told]) & valid for name, told in _CLASSES.items()}
    elif labelled.debris is not None and labelled.mask is not None:
        glacier = labelled.mask & valid
        parts = {"clean ice": glacier & ~labelled.debris, "debris": glacier & labelled.debris}
    return {name: part for name, part in parts.items() if part.any()}
