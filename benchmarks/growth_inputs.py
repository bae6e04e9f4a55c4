"""Scenes, catalogs and models for benchmarks, of any size, from the scenes of a catalog."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from affine import Affine
from numpy.typing import NDArray

from glacier_ml.scenes.catalog import LabelledScene, open_catalog
from glacier_ml.scenes.rasters import write_raster
from glacier_ml.scenes.reading import write_scene
from glacier_ml.scenes.scene import Grid, Scene

APART = 30_000.0  # m between two scenes' upper edges, further than any of them is long
MODELS = {
    "U-Net": {"network": "unet", "tile_size": 64, "levels": 3, "base_filters": 4},
    "FFNN": {"network": "ffnn", "tile_size": 1, "hidden_layers": 2, "nodes": 32},
}


def training_scenes(data: str | None) -> list[LabelledScene]:
    """Load the training scenes of a catalog; the made ones where none is named."""
    return [entry.load() for entry in open_catalog(data).of_role("train")]


def mirrored(length: int, wanted: int) -> NDArray[np.intp]:
    """Indices that run to the end of an axis and back until there are as many as wanted.

    >>> mirrored(3, 8).tolist()
    [0, 1, 2, 2, 1, 0, 0, 1]
    """
    there = np.arange(wanted) % (2 * length)
    return np.minimum(there, 2 * length - 1 - there)


def write_large_scene(scene: Scene, shape: tuple[int, int], folder: Path) -> Path:
    """Mirror a scene until it has a shape, and write it as a scene folder."""
    rows, columns = (mirrored(length, wanted) for length, wanted in zip(scene.shape, shape, strict=True))
    place = np.ix_(rows, columns)
    bands = {band: values[place] for band, values in scene.bands.items()}
    grid = Grid(scene.grid.crs, scene.grid.transform, shape)
    write_scene(Scene(folder.name, bands, scene.valid[place], grid, scene.provenance), folder)
    return folder


def write_catalog(scenes: list[LabelledScene], count: int, folder: Path, side: int | None = None) -> Path:
    """Write a catalog of so many training scenes at places of their own, rolled so that no two are alike.

    The given scenes take turns; `side` cuts their upper left corner out.
    """
    entries = []
    for number in range(count):
        labelled, name = scenes[number % len(scenes)], f"scene-{number:03d}"
        scene = _moved(labelled.scene, name, number, side)
        write_scene(scene, folder / name)
        truth = _rolled(labelled.truth, number, side)
        write_raster(folder / name / "outlines.tif", truth, scene.grid)
        entries.append({"name": name, "path": name, "place": name, "region": "growth", "role": "train"})
    path = folder / "catalog.yaml"
    path.write_text(yaml.safe_dump({"scenes": entries}))
    return path


def _moved(scene: Scene, name: str, number: int, side: int | None) -> Scene:
    valid = _rolled(scene.valid, number, side)
    grid = scene.grid
    north = Affine.translation(0, -APART * number) @ grid.transform
    bands = {band: _rolled(values, number, side) for band, values in scene.bands.items()}
    return replace(scene, name=name, bands=bands, valid=valid, grid=Grid(grid.crs, north, valid.shape))


def _rolled(values: NDArray[Any], number: int, side: int | None) -> NDArray[Any]:
    return np.roll(values[:side, :side], 16 * number, axis=(0, 1))


def write_model(values: dict[str, Any], folder: Path) -> Path:
    """Write a network with random weights: what it maps is no matter, and takes as long."""
    from glacier_ml.learning.backend import start_tensorflow
    from glacier_ml.learning.classifier import NetworkClassifier
    from glacier_ml.learning.features import feature_set
    from glacier_ml.learning.networks import build_network
    from glacier_ml.learning.parameters import parse_parameters

    start_tensorflow()
    parameters = parse_parameters({**values, "learning_rate": 1e-3}, "growth")
    features = len(feature_set(parameters.features).features)
    network = build_network(parameters, np.full(features, 0.3), np.full(features, 0.1))
    seen = dict.fromkeys(feature_set(parameters.features).features, [-1.0, 2.0])  # which maps check
    origin = {"feature_range": seen}
    NetworkClassifier(parameters.network, network, parameters, origin=origin).save(folder)
    return folder
