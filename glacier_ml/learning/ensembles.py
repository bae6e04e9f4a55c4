"""Ensembles: several networks map the same scene; their mean is the map, their spread part of its doubt."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from glacier_ml.errors import GlacierError
from glacier_ml.learning.classifier import Classifier, NetworkClassifier, SceneReader
from glacier_ml.learning.stitching import Array, Mask, Stitching
from glacier_ml.scenes.scene import Scene


@dataclass(frozen=True)
class Ensemble:
    """Networks that map together: one training from several seeds, or different ones.

    Attributes
    ----------
    members : tuple of NetworkClassifier
        At least two, all trained on the same kind of reflectance.
    """

    members: tuple[NetworkClassifier, ...]

    @property
    def name(self) -> str:
        """The members' names, each once."""
        return " + ".join(dict.fromkeys(one.name for one in self.members))

    @property
    def bands(self) -> tuple[str, ...]:
        """Bands that any member needs."""
        return tuple(dict.fromkeys(band for one in self.members for band in one.bands))

    @property
    def quantity(self) -> str:
        """Kind of reflectance that all were trained on."""
        return self.members[0].quantity

    @property
    def threshold(self) -> float:
        """Mean of the members' thresholds, which each chose on its own validation pixels."""
        return float(np.mean([one.threshold for one in self.members]))

    @property
    def digest(self) -> str:
        """Of all members, in their order."""
        return " ".join(one.digest for one in self.members)

    def probability(self, scene: Scene, wanted: Mask | None = None) -> Array:
        """Mean of the members' probabilities (rows, columns), NaN where not valid or not wanted."""
        mean: Array = np.mean([one.probability(scene, wanted) for one in self.members], axis=0)
        return mean


def ensemble_of(members: Sequence[NetworkClassifier]) -> NetworkClassifier | Ensemble:
    """The members together; a single one as it is.

    Raises
    ------
    GlacierError
        Where they were trained on different kinds of reflectance.
    """
    if len(members) == 1:
        return members[0]
    kinds = sorted({one.quantity.replace("_", " ") for one in members})
    if len(kinds) > 1:
        raise GlacierError(f"model: its members learned from {' and '.join(kinds)}; name models of one kind")
    return Ensemble(tuple(members))


def member_rows(
    classifier: Classifier, read: SceneReader, shape: tuple[int, int], stitching: Stitching
) -> Iterator[tuple[int, Array]]:
    """Map a scene that is read strip by strip with every member of a classifier.

    Parameters
    ----------
    classifier : Classifier
        Networks are stitched from windows; what knows no strips is given the whole scene.
    read, shape, stitching
        As in `NetworkClassifier.probability_rows`.

    Yields
    ------
    int, ndarray
        First row of the next piece, and float32 probabilities (members, rows, columns), NaN where not valid.
    """
    if isinstance(classifier, NetworkClassifier):
        for row, piece in classifier.probability_rows(read, shape, stitching):
            yield row, piece[None]
    elif isinstance(classifier, Ensemble):
        yield from _together([one.probability_rows(read, shape, stitching) for one in classifier.members])
    else:
        yield 0, classifier.probability(read(0, shape[0]))[None]


def _together(streams: Sequence[Iterator[tuple[int, Array]]]) -> Iterator[tuple[int, Array]]:
    """Pieces of streams that cut a scene at other rows, cut anew so that all have the same rows."""
    waiting: list[Array | None] = [None] * len(streams)
    row = 0
    while True:
        for number, stream in enumerate(streams):
            if waiting[number] is None:
                piece = next(stream, None)
                if piece is None:
                    return
                waiting[number] = piece[1]
        ready = [piece for piece in waiting if piece is not None]
        rows = min(len(piece) for piece in ready)
        yield row, np.stack([piece[:rows] for piece in ready])
        row += rows
        waiting = [piece[rows:] if len(piece) > rows else None for piece in ready]
