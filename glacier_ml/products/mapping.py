"""One scene, one map: read strip by strip, mapped, written, recorded; a whole frame in bounded memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glacier_ml.errors import GlacierError
from glacier_ml.learning.classifier import Classifier
from glacier_ml.learning.ensembles import Ensemble, member_rows
from glacier_ml.learning.stitching import Stitching
from glacier_ml.products.maps import Encoding, MapWriter, check_encoding, partial_prefix, staged
from glacier_ml.products.records import (
    MappedScene,
    family,
    finished_map,
    map_key,
    record_name,
    write_record,
)
from glacier_ml.products.strips import UNUSUAL_SHARE, RangeCheck, SceneStrips
from glacier_ml.scenes.ahead import behind
from glacier_ml.scenes.catalog import CatalogEntry
from glacier_ml.scenes.rasters import lies_on_earth
from glacier_ml.scenes.scene import check_bands, check_quantity
from glacier_ml.scenes.sources import Source

Progress = Callable[[int], Any]
"""Told the number of pixels that have been mapped since it was told last."""


class UnusualSceneWarning(UserWarning):
    """A scene is unlike those that the model was trained on."""


@dataclass(frozen=True)
class MapOptions:
    """What a user may choose about maps.

    Attributes
    ----------
    encoding : {'float32', 'uint8'}
        Of probability, uncertainty and spread; 'uint8' is percent.
    stitching : Stitching
        How a U-Net's windows become one map.
    picture : bool
        Whether to draw previews.
    """

    encoding: Encoding = "float32"
    stitching: Stitching = field(default_factory=Stitching)
    picture: bool = True

    def __post_init__(self) -> None:
        check_encoding(self.encoding)


@dataclass(frozen=True)
class Job:
    """What is done with every scene of a batch.

    Attributes
    ----------
    classifier : Classifier
        What maps.
    folder : Path
        Where the maps go; made where missing.
    tags : dict
        Written into every raster.
    options : MapOptions
        How.
    """

    classifier: Classifier
    folder: Path
    tags: dict[str, Any] = field(default_factory=dict)
    options: MapOptions = field(default_factory=MapOptions)


def map_scene(job: Job, entry: CatalogEntry, progress: Progress = lambda pixels: None) -> MappedScene:
    """Map one scene; a map of the same pixels by the same model and options is left as it is.

    Parameters
    ----------
    job : Job
        By what, where to, how.
    entry : CatalogEntry
        The scene, which is read in strips. Its record comes last: without it the map is not whole.
    progress : callable
        Told of pixels that are done.

    Raises
    ------
    GlacierError
        Where the scene cannot be read or mapped, holds no pixel with data, or the folder cannot be written.
    """
    with entry.source() as source:
        check_source(source, job.classifier)
        names = record_name(entry.name), partial_prefix(entry.name), family(entry.name)
        identity = None
        if (job.folder / names[0]).is_file():  # else the digest comes of the reading for the map
            identity = _identity(job, source, source.digest())
            if known := finished_map(job.folder, entry.name, identity[1]):
                progress(source.grid.shape[0] * source.grid.shape[1])
                return known
        with staged(job.folder, *names) as partial:
            return _write(job, source, partial, identity, progress)


Identity = tuple[dict[str, Any], str | None]
"""Tags of a scene's map, and the key that says by what it was made of what."""


def _identity(job: Job, source: Source, digest: str) -> Identity:
    tags = {"scene_digest": digest, **_provenance(source), **job.tags}
    digests = source.name, digest, source.quality_digest()
    return tags, map_key(digests, job.classifier, job.options, tags)


def hindrance(error: Exception, scene: str) -> GlacierError | None:
    """Why a scene could not be mapped, where that is its own or the machine's affair; None for a bug."""
    if isinstance(error, GlacierError):
        return GlacierError(str(error))
    # TensorFlow's error of too little memory is known by its name: it is not imported here.
    if isinstance(error, MemoryError | OSError) or type(error).__name__ == "ResourceExhaustedError":
        told = (str(error).strip().splitlines() or ["no more is told"])[0]
        return GlacierError(f"{scene}: {type(error).__name__} ({told}); free memory or disk and try again")
    return None


def check_source(source: Source, classifier: Classifier) -> None:
    """Check that a scene can be mapped, from what its files' headers say.

    Raises
    ------
    GlacierError
        Where it lacks a band, holds another kind of reflectance or lies nowhere on Earth.
    """
    if not lies_on_earth(source.grid.crs):
        raise GlacierError(
            f"{source.name}: its CRS does not say where on Earth it lies, so its area is unknown; give it one"
        )
    check_bands(source.name, source.layers, classifier.bands)
    if learned := getattr(classifier, "quantity", None):  # thresholds learned from nothing
        check_quantity(source.name, source.provenance.get("quantity"), learned)


def _provenance(source: Source) -> dict[str, str]:
    names = {"date": "scene_date", "scene_id": "scene_id", "sensor": "sensor"}
    found = {tag: source.provenance.get(key) for key, tag in names.items()}
    return {tag: str(value) for tag, value in found.items() if value}


def _write(
    job: Job, source: Source, partial: Path, identity: Identity | None, progress: Progress
) -> MappedScene:
    """Map the scene strip by strip into a folder that will take its place in the job's."""
    begun = time.monotonic()
    classifier, options = job.classifier, job.options
    threshold = classifier.threshold
    members = tuple(one.threshold for one in classifier.members) if isinstance(classifier, Ensemble) else ()
    strips, check = SceneStrips(source, classifier.bands), RangeCheck(classifier)
    with MapWriter(partial, source.name, source.grid, threshold, options.encoding, members) as writer:

        def note(row: int, probabilities: NDArray[np.float32]) -> None:
            scene = strips(row, row + probabilities.shape[1])
            check.add(scene)
            writer.add(scene, probabilities)
            progress(scene.valid.size)

        # While a piece is written the next one is mapped, and what the one after that needs is read.
        with behind(note) as later:
            for row, probabilities in member_rows(classifier, strips, source.grid.shape, options.stitching):
                later(row, probabilities)
        if not writer.valid:
            bands = ", ".join(source.layers)
            raise GlacierError(
                f"{source.name}: no pixel has data in every band ({bands}); check the files' nodata"
            )
        outside = check.shares() if check.known else None
        unusual = _unusual(outside or {})
        known, key = identity or _identity(job, source, strips.digest())
        told = known | {"outside_training_range": "not known" if outside is None else unusual or "no"}
        files = writer.finish(job.folder, told, options.picture)
    warning = f"{source.name}: {_WARNING.format(unusual)}" if unusual else ""
    tags = {key: str(value) for key, value in told.items()} | {"threshold": f"{threshold:g}"}
    mapped = MappedScene(source.name, files, outside, warning, tags=tags)
    write_record(partial, mapped, key, time.monotonic() - begun)
    return mapped


_WARNING = (
    "{} of its pixels lie outside the 1 to 99 % range of training; the map may be far off, look at it first"
)


def _unusual(outside: Mapping[str, float]) -> str:
    """Features of which more pixels than `UNUSUAL_SHARE` lie outside, the worst first, in words.

    >>> _unusual({"red": 0.05, "nir": 0.34, "swir1": 0.41})
    'swir1 41 %, nir 34 %'
    """
    worst = sorted(outside.items(), key=lambda item: -item[1])
    return ", ".join(
        f"{name} {share:.0%}".replace("%", " %") for name, share in worst if share > UNUSUAL_SHARE
    )
