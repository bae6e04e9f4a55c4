"""Quality bands: fill, cloud, shadow and saturation masks from Landsat's bits."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def quality_masks(values: NDArray[Any], kind: str, sensor: str | None) -> dict[str, NDArray[np.bool_]]:
    """Masks of a quality band."""
    raise NotImplementedError
