"""Scenes as every classifier maps them: the same pixels for all, one map a training seed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from glacier_ml.errors import GlacierError
from glacier_ml.scenes.rasters import grid_difference

if TYPE_CHECKING:
    from glacier_ml.learning.classifier import Classifier
    from glacier_ml.scenes.catalog import CatalogEntry, LabelledScene

Mask = NDArray[np.bool_]
Image = NDArray[np.float32]

EARLIER = "earlier outline unchanged"


@dataclass(frozen=True)
class SceneMaps:
    """One scene as every classifier maps it.

    Attributes
    ----------
    labelled : LabelledScene
        The scene and its true mask.
    valid : ndarray of bool
        (rows, columns), pixels where the scene and every classifier has a value.
    probabilities : dict of str to list of ndarray
        float32 (rows, columns) by classifier, one map a seed that it was trained with, the champion's first.
    thresholds : dict of str to list of float
        Glacier at or above, one for each of these maps.
    earlier : ndarray of bool or None
        Mask of the same place at an earlier date on the same grid.
    rules : frozenset of str
        Classifiers whose map is a score of a threshold rule and no probability: it has no calibration.
    seeds : dict of str to list of int
        What each map's training started from, by classifier; empty for a rule.
    """

    labelled: LabelledScene
    valid: Mask
    probabilities: dict[str, list[Image]]
    thresholds: dict[str, list[float]] = field(default_factory=dict)
    earlier: Mask | None = None
    rules: frozenset[str] = frozenset()
    seeds: dict[str, list[int]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The scene's name."""
        return self.labelled.scene.name

    @property
    def truth(self) -> Mask:
        """The true glacier mask."""
        return self.labelled.truth

    @property
    def masks(self) -> dict[str, list[Mask]]:
        """Glacier masks by classifier, one a seed; the earlier outline last, as one."""
        mapped = {
            name: [values >= threshold for values, threshold in zip(maps, self.thresholds[name], strict=True)]
            for name, maps in self.probabilities.items()
        }
        return mapped if self.earlier is None else {**mapped, EARLIER: [self.earlier]}


def classify_scenes(
    contestants: Sequence[Sequence[Classifier]],
    labelled: Sequence[LabelledScene],
    earlier: Mapping[str, Mask] | None = None,
    tell: Callable[[str], None] | None = None,
) -> list[SceneMaps]:
    """Map every scene with every classifier.

    Parameters
    ----------
    contestants : sequence of sequence of Classifier
        The classifiers of one inner sequence have one name: the same network trained from several seeds.
    labelled : sequence of LabelledScene
        Scenes with masks.
    earlier : mapping of str to ndarray of bool, optional
        By scene name, see `earlier_outlines`.
    tell : callable, optional
        Hears of every map that is made, in words.

    Raises
    ------
    GlacierError
        Where there is nothing to compare, names repeat, a scene has no mask or no pixel that all mapped.
    """
    names = [one.name for seeds in contestants for one in seeds[:1]]
    if not labelled or not names or len(set(names)) < len(contestants):
        raise GlacierError(
            f"compare: needs scenes with outlines and classifiers of different names, came {len(labelled)} "
            f"scenes and {', '.join(names) or 'no classifier'}; give a labelled scene the role test"
        )
    for one in labelled:
        _ = one.truth  # a scene without outlines is told before any map is made
    return [_classify(contestants, one, (earlier or {}).get(one.scene.name), tell) for one in labelled]


def _classify(
    contestants: Sequence[Sequence[Classifier]],
    labelled: LabelledScene,
    earlier: Mask | None,
    tell: Callable[[str], None] | None,
) -> SceneMaps:
    probabilities: dict[str, list[Image]] = {}
    valid = labelled.scene.valid.copy()
    for seeds in contestants:
        for classifier in seeds:
            mapped = classifier.probability(labelled.scene)
            valid &= np.isfinite(mapped)
            probabilities.setdefault(classifier.name, []).append(mapped)
            if tell:
                tell(f"{labelled.scene.name}: {classifier.name}")
    if not valid.any():
        raise GlacierError(
            f"{labelled.scene.name}: no pixel is valid in scene and maps; compare on another scene"
        )
    return SceneMaps(
        labelled,
        valid,
        probabilities,
        {seeds[0].name: [one.threshold for one in seeds] for seeds in contestants},
        earlier,
        frozenset(seeds[0].name for seeds in contestants if not hasattr(seeds[0], "temperature")),
        {seeds[0].name: _seeds_of(seeds) for seeds in contestants},
    )


def _seeds_of(classifiers: Sequence[Classifier]) -> list[int]:
    origins = [getattr(one, "origin", {}) for one in classifiers]
    return [int(origin["seed"]) for origin in origins if "seed" in origin]


def earlier_outlines(entries: Iterable[CatalogEntry], labelled: Sequence[LabelledScene]) -> dict[str, Mask]:
    """Masks of the same place, on the identical grid, at an earlier date.

    Parameters
    ----------
    entries : iterable of CatalogEntry
        Where to look: training scenes of the catalog.
    labelled : sequence of LabelledScene
        Held-out scenes.

    Returns
    -------
    dict of str to ndarray of bool
        By name of the held-out scene; the latest where there are several. A scene whose place was not seen
        before, or on another grid alone, is not in it. An unknown date counts as the earliest.
    """
    found: dict[str, Mask] = {}
    by_date = sorted(entries, key=_date)
    for held in labelled:
        for entry in by_date:
            same = entry.place is not None and entry.place == held.entry.place
            if not same or entry.name == held.entry.name or _date(entry) >= (_date(held.entry) or "9999"):
                continue
            other = entry.load()
            if other.mask is not None and grid_difference(other.scene.grid, held.scene.grid) is None:
                found[held.scene.name] = other.mask
    return found


def _date(entry: CatalogEntry) -> str:
    """ISO date of a scene, or of its latest band where it has none; '' where unknown."""
    return str(entry.date or max(map(str, (entry.date_bands or {}).values()), default=""))
