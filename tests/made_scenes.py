"""Labelled scenes of a simple known truth, made in memory for the tests of learning."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from affine import Affine
from rasterio.crs import CRS

from glacier_ml.learning.stored_scenes import keep_in
from glacier_ml.scenes.catalog import CatalogEntry, LabelledScene
from glacier_ml.scenes.scene import Grid, Scene

# Reflectance of glacier and of other ground: far apart, so that every classifier can tell them.
REFLECTANCE = {
    "blue": (0.60, 0.10),
    "green": (0.56, 0.11),
    "red": (0.52, 0.12),
    "nir": (0.42, 0.22),
    "swir1": (0.04, 0.25),
}


def disc(shape):
    """A disc in the middle whose radius is a third of the shorter side: pi / 9 = .35 of a square."""
    rows, columns = np.indices(shape)
    distance = np.hypot(rows - shape[0] / 2, columns - shape[1] / 2)
    return distance < min(shape) / 3


def valley(shape):
    """A band along the rows: the middle quarter of the columns, bent by a sine."""
    rows, columns = np.indices(shape)
    centre = shape[1] / 2 + shape[1] / 8 * np.sin(rows / 25)
    return np.abs(columns - centre) < shape[1] / 8


def made_scene(name="disc", shape=(200, 180), truth=disc, *, seed=0, noise=0.02, nodata=0, drop=(), **entry):
    """A labelled scene; `nodata` columns at its right edge have no data; `drop` leaves bands out."""
    mask = truth(shape)
    random = np.random.default_rng(seed)
    bands = {}
    for band, (ice, ground) in REFLECTANCE.items():
        values = np.where(mask, ice, ground) + random.normal(0, noise, shape)
        values[:, shape[1] - nodata :] = np.nan
        bands[band] = values.astype(np.float32)
    grid = Grid(CRS.from_epsg(32606), Affine(30, 0, 480_000, 0, -30, 6_780_000), shape)
    valid = np.isfinite(bands["blue"])
    kept = {band: values for band, values in bands.items() if band not in drop}
    where = {"place": name, "region": "made", "role": "train"} | entry
    return LabelledScene(Scene(name, kept, valid, grid), mask, None, CatalogEntry(name, Path(name), **where))


def made_pair(**options):
    """Two scenes of unlike shape, glacier fraction and place: about .27 and .25 glacier."""
    return [
        made_scene("disc", (200, 160), disc, seed=1, **options),
        made_scene("valley", (180, 220), valley, seed=2, **options),
    ]


def kept_in(store, labelled):
    """The same scene with what is computed of it in a store."""
    return replace(labelled, scene=keep_in(store, labelled.scene))


def with_mask(labelled, mask):
    """The same scene with another truth."""
    return LabelledScene(labelled.scene, mask, labelled.ground, labelled.entry)


def with_bands(labelled, change):
    """The same scene with each band's values replaced by `change(values)`."""
    scene = labelled.scene
    bands = {band: change(values).astype(np.float32) for band, values in scene.bands.items()}
    return LabelledScene(
        Scene(scene.name, bands, scene.valid, scene.grid, scene.provenance),
        labelled.mask,
        labelled.ground,
        labelled.entry,
    )


def filled(labelled, value):
    """The same scene with every band at one value: no data stays."""
    return with_bands(labelled, lambda values: values * 0 + value)
