"""A scene strip by strip: what a map of it needs to know of the whole, without the whole in memory."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.windows import Window

from glacier_ml.evaluation.figures import FALSE_COLOUR, display_step
from glacier_ml.learning.classifier import Classifier, NetworkClassifier
from glacier_ml.learning.ensembles import Ensemble
from glacier_ml.scenes.scene import CEILING_SHARE, SATURATION, Grid, PixelDigest, Scene
from glacier_ml.scenes.sources import Source

PIXELS_CHECKED = 100_000
"""Of a strip, at least, that are compared with the range of training, where it has as many."""

UNUSUAL_SHARE = 0.2
"""Share of a scene's pixels outside a feature's range in training from which on the scene is unusual."""


STRIP_ROWS = 512
"""Read at once: whole blocks of the files that this package writes, so that none is decompressed twice."""

STRIPS_KEPT = 3
"""A row of windows may need two; whoever writes is behind whoever reads by less than another."""


class SceneStrips:
    """Rows of a scene, read when they are asked for, by any thread; the strips read last are kept.

    Parameters
    ----------
    source : Source
        The scene, open.
    bands : tuple of str
        What will be stacked. A band's saturation that no quality band tells is told by the whole scene's
        largest value, as `Scene.saturated` does, which takes one more reading.
    """

    def __init__(self, source: Source, bands: tuple[str, ...]) -> None:
        self.source = source
        self._reading = threading.Lock()
        self._kept: tuple[tuple[int, Scene], ...] = ()  # with their first rows
        self._hashed, self._digest = 0, PixelDigest(source.grid)  # rows that the digest knows
        self._ceilings: dict[str, float] = {}
        wanted = [SATURATION[band] for band in bands if band in SATURATION]
        if wanted:
            told = source.read(Window(0, 0, source.grid.shape[1], 1)).quality
            untold = [band for band in wanted if f"saturated_{band}" not in told]
            self._ceilings = {band: _ceiling(source, band) for band in untold}

    def __call__(self, first: int, last: int) -> Scene:
        """Read the rows from `first` to before `last`."""
        parts, row = [], first
        while row < last:
            top, strip = self._with(row) or self._read(row, last)
            stop = min(last, top + strip.shape[0])
            parts.append(strip.rows(row - top, stop - top))
            row = stop
        return parts[0] if len(parts) == 1 else joined(parts, parts[0].grid)

    def _with(self, row: int) -> tuple[int, Scene] | None:
        """The kept strip that holds a row, and its first one."""
        return next((one for one in self._kept if 0 <= row - one[0] < one[1].shape[0]), None)

    def _read(self, row: int, last: int) -> tuple[int, Scene]:
        """Read and keep whole strips from that of a row to that of a last one."""
        rows, columns = self.source.grid.shape
        with self._reading:
            if kept := self._with(row):  # another thread was faster
                return kept
            top, end = row // STRIP_ROWS * STRIP_ROWS, min(rows, -(-last // STRIP_ROWS) * STRIP_ROWS)
            strip = self.source.read(Window(0, top, columns, end - top))
            for band, ceiling in self._ceilings.items():
                strip.quality[f"saturated_{band}"] = strip.bands[band] >= ceiling
            if top == self._hashed:  # read for the first time
                for band, values in strip.bands.items():
                    self._digest.add(band, values)
                self._hashed = end
            self._kept = (*self._kept[1 - STRIPS_KEPT :], (top, strip))
            return top, strip

    def digest(self) -> str:
        """`Scene.digest` of the whole scene, of which all rows that were asked for are known already."""
        rows = self.source.grid.shape[0]
        while self._hashed < rows:
            self._read(self._hashed, min(rows, self._hashed + STRIP_ROWS))
        return self._digest.hexdigest()


def joined(parts: Sequence[Scene], grid: Grid) -> Scene:
    """Strips of a scene one below the other, as a scene on a grid."""
    first = parts[0]
    return Scene(
        first.name,
        {band: np.concatenate([one.bands[band] for one in parts]) for band in first.bands},
        np.concatenate([one.valid for one in parts]),
        Grid(grid.crs, grid.transform, (sum(one.shape[0] for one in parts), grid.shape[1])),
        first.provenance,
        {mask: np.concatenate([one.quality[mask] for one in parts]) for mask in first.quality},
    )


def _ceiling(source: Source, band: str) -> float:
    """A band's largest value where so many pixels hold it that it is the sensor's ceiling, else infinity."""
    top, at_top, valid = -np.inf, 0, 0
    for strip in source.strips():
        scene = source.read(strip)
        values = scene.bands[band][scene.valid]
        if not len(values):
            continue
        highest = float(values.max())
        if highest > top:
            top, at_top = highest, 0
        at_top += int((values == np.float32(top)).sum())
        valid += len(values)
    return top if at_top and at_top >= CEILING_SHARE * valid else np.inf


class RangeCheck:
    """Counts the pixels whose features lie outside the range that a network was trained on.

    Parameters
    ----------
    classifier : Classifier
        Of an ensemble every member is asked; thresholds and trees have no such range.
    """

    def __init__(self, classifier: Classifier) -> None:
        members = classifier.members if isinstance(classifier, Ensemble) else (classifier,)
        self._networks = [one for one in members if isinstance(one, NetworkClassifier) and one.feature_range]
        self._outside = [dict.fromkeys(one.feature_range, 0) for one in self._networks]
        self._valid = 0

    def add(self, scene: Scene) -> None:
        """Count a strip; of a large one every nth row and column, which then stand for n x n pixels each."""
        if not self._networks or not scene.valid.any():
            return
        step = math.isqrt(max(1, scene.valid.size // PIXELS_CHECKED))
        scene = _thinned(scene, step)
        self._valid += int(scene.valid.sum()) * step**2
        features: dict[tuple[str, ...], NDArray[np.float32]] = {}
        for network, outside in zip(self._networks, self._outside, strict=True):
            names = network.feature_names
            if names not in features:
                features[names] = network.features(scene)[scene.valid]
            for name, (low, high) in network.feature_range.items():
                values = features[names][:, names.index(name)]
                outside[name] += int(((values < low) | (values > high)).sum()) * step**2

    @property
    def known(self) -> bool:
        """Whether the classifier tells a range."""
        return bool(self._networks)

    def shares(self) -> dict[str, float]:
        """Share of the valid pixels outside, by feature; of several networks the largest."""
        names = dict.fromkeys(name for outside in self._outside for name in outside)
        largest = {name: max(outside.get(name, 0) for outside in self._outside) for name in names}
        return {name: outside / self._valid for name, outside in largest.items() if self._valid}


def _thinned(scene: Scene, step: int) -> Scene:
    """Every nth row and column of a scene."""
    if step == 1:
        return scene
    thin = slice(None, None, step), slice(None, None, step)
    valid = scene.valid[thin]
    bands = {name: values[thin] for name, values in scene.bands.items()}
    quality = {name: values[thin] for name, values in scene.quality.items()}
    grid = Grid(scene.grid.crs, scene.grid.transform @ Affine.scale(step), valid.shape)
    return replace(scene, bands=bands, quality=quality, valid=valid, grid=grid)


class Thumbnail:
    """Every nth row and column of a scene and its map, for a picture of the whole.

    Parameters
    ----------
    name, grid
        The scene's.
    """

    def __init__(self, name: str, grid: Grid) -> None:
        self.name, self.step = name, display_step(grid.shape)
        shape = (-(-grid.shape[0] // self.step), -(-grid.shape[1] // self.step))
        self.grid = Grid(grid.crs, grid.transform @ Affine.scale(self.step), shape)
        self._pieces: list[tuple[Scene, NDArray[np.float32]]] = []

    def add(self, row: int, scene: Scene, probability: NDArray[np.float32]) -> None:
        """Add the rows of a strip that begins at `row`."""
        rows, columns = slice(-row % self.step, None, self.step), slice(None, None, self.step)
        thin = {band: scene.bands[band][rows, columns] for band in FALSE_COLOUR if band in scene.bands}
        copied = {band: values.copy() for band, values in thin.items()}  # a view would keep the strip
        valid = scene.valid[rows, columns].copy()
        grid = Grid(self.grid.crs, self.grid.transform, valid.shape)
        piece = Scene(self.name, copied, valid, grid, scene.provenance)
        self._pieces.append((piece, probability[rows, columns].copy()))

    @property
    def drawable(self) -> bool:
        """Whether the scene has the bands that a picture needs."""
        return set(FALSE_COLOUR) <= set(self._pieces[0][0].bands)

    def picture(self) -> tuple[Scene, NDArray[np.float32]]:
        """The thinned scene and its probability."""
        whole = joined([scene for scene, _ in self._pieces], self.grid)
        return whole, np.concatenate([probability for _, probability in self._pieces])
