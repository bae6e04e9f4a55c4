"""A scene strip by strip: what a map of it needs to know of the whole, without the whole in memory."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from threading import Lock

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.windows import Window

from glacier_ml.evaluation.figures import FALSE_COLOUR, display_step
from glacier_ml.learning.classifier import Classifier, NetworkClassifier
from glacier_ml.learning.ensembles import Ensemble
from glacier_ml.scenes.scene import CEILING_SHARE, SATURATION, Grid, Scene
from glacier_ml.scenes.sources import Source

PIXELS_CHECKED = 100_000  # of a strip, at least, where it has as many
CHUNK = 512  # rows that are read at once: multiples of the blocks of most files
STRIPS = 3  # kept: one is read, one is mapped, one is written
UNUSUAL_SHARE = 0.2
"""Share of a scene's pixels outside a feature's range in training from which on the scene is unusual."""


class SceneStrips:
    """Rows of a scene, read when they are asked for; the strips read last are kept.

    Threads may ask at the same time: one reads ahead, one maps, one writes, each another strip.

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
        self._kept: tuple[tuple[int, Scene], ...] = ()  # first row and scene, the latest last
        self._chunks: dict[int, Scene] = {}
        self._reading = Lock()
        self._ceilings: dict[str, float] = {}
        wanted = [SATURATION[band] for band in bands if band in SATURATION]
        if wanted:
            told = source.read(Window(0, 0, source.grid.shape[1], 1)).quality
            untold = [band for band in wanted if f"saturated_{band}" not in told]
            self._ceilings = {band: _ceiling(source, band) for band in untold}

    def __call__(self, first: int, last: int) -> Scene:
        """Read the rows from `first` to before `last`."""
        if kept := self._among_kept(first, last):
            return kept
        with self._reading:
            if kept := self._among_kept(first, last):  # another thread has just read them
                return kept
            chunks = [self._chunk(number) for number in range(first // CHUNK, -(-last // CHUNK))]
            begin = first // CHUNK * CHUNK
            asked = _one_below_another(chunks, self.source.grid).rows(first - begin, last - begin)
            self._kept = (*self._kept[1 - STRIPS :], (first, asked))
        return asked

    def _chunk(self, number: int) -> Scene:
        """Rows that are read together: files hold blocks, and what they hold is read once."""
        if number not in self._chunks:
            first = number * CHUNK
            rows = min(CHUNK, self.source.grid.shape[0] - first)
            read = self.source.read(Window(0, first, self.source.grid.shape[1], rows))
            for band, ceiling in self._ceilings.items():
                read.quality[f"saturated_{band}"] = read.bands[band] >= ceiling
            latest = list(self._chunks.items())[-1:]
            self._chunks = dict([*latest, (number, read)])
        return self._chunks[number]

    def _among_kept(self, first: int, last: int) -> Scene | None:
        for begin, scene in reversed(self._kept):
            if begin <= first and last <= begin + scene.shape[0]:
                return scene.rows(first - begin, last - begin)
        return None


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


def _one_below_another(scenes: Sequence[Scene], grid: Grid) -> Scene:
    """Parts of a scene, from top to bottom, as one."""
    if len(scenes) == 1:
        return scenes[0]
    first = scenes[0]
    valid = np.concatenate([one.valid for one in scenes])
    bands = {name: np.concatenate([one.bands[name] for one in scenes]) for name in first.bands}
    quality = {name: np.concatenate([one.quality[name] for one in scenes]) for name in first.quality}
    whole = Grid(grid.crs, first.grid.transform, valid.shape)
    return replace(first, bands=bands, quality=quality, valid=valid, grid=whole)


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
        piece = Scene(self.name, copied, valid, self.grid, scene.provenance)
        self._pieces.append((piece, probability[rows, columns].copy()))

    @property
    def drawable(self) -> bool:
        """Whether the scene has the bands that a picture needs."""
        return set(FALSE_COLOUR) <= set(self._pieces[0][0].bands)

    def picture(self) -> tuple[Scene, NDArray[np.float32]]:
        """The thinned scene and its probability."""
        scenes = [scene for scene, _ in self._pieces]
        bands = {band: np.concatenate([one.bands[band] for one in scenes]) for band in scenes[0].bands}
        valid = np.concatenate([one.valid for one in scenes])
        whole = Scene(self.name, bands, valid, self.grid, scenes[0].provenance)
        return whole, np.concatenate([probability for _, probability in self._pieces])
