"""Classifiers whose maps are given, so that what is done with maps can be told from how they were learned."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from glacier_ml.learning.calibration import apply_temperature


@dataclass(frozen=True)
class MadeClassifier:
    """Answers as a network does, with maps by scene name; `asked` keeps the pixels that were wanted."""

    maps: dict[str, np.ndarray]
    name: str = "ffnn"
    bands: tuple[str, ...] = ("blue", "green", "red", "nir", "swir1")
    threshold: float = 0.5
    temperature: float = 1.0
    origin: dict[str, Any] = field(default_factory=dict)
    asked: list[tuple[str, np.ndarray]] = field(default_factory=list)

    def probability(self, scene, wanted=None):
        """The map of the scene's name at the temperature, NaN where not valid or not wanted."""
        shown = scene.valid if wanted is None else scene.valid & wanted
        self.asked.append((scene.name, shown))
        return np.where(shown, apply_temperature(self.maps[scene.name], self.temperature), np.float32(np.nan))

    def calibrated(self, threshold, temperature):
        """A copy with another threshold and temperature."""
        return replace(self, threshold=threshold, temperature=temperature)


def sure_map(mask, right=0.9):
    """Probability of a map: `right` on its glacier, the rest to 1 elsewhere."""
    return np.where(mask, right, 1 - right).astype(np.float32)


def shifted(mask, pixels):
    """A map that is wrong along two sides of every glacier."""
    return np.roll(mask, pixels, axis=1)
