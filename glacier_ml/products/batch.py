"""Many scenes, one model: every scene's map written as it is done, here or on a Dask cluster."""

from __future__ import annotations

import shutil
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glacier_ml.errors import GlacierError
from glacier_ml.learning.classifier import Classifier
from glacier_ml.products.cluster import check_scheduler, map_on_cluster
from glacier_ml.products.mapping import (
    Job,
    MapOptions,
    UnusualSceneWarning,
    check_source,
    hindrance,
    map_scene,
)
from glacier_ml.products.maps import abandoned, check_folder, file_stem, staged
from glacier_ml.products.records import MappedScene, record_name, recorded_maps
from glacier_ml.scenes.catalog import CatalogEntry

if TYPE_CHECKING:
    import pandas as pd

_SECONDS_TO_APPEAR = 10  # of another machine's files on a shared disk


def map_scenes(
    classifier: Classifier,
    entries: Sequence[CatalogEntry],
    output: str | Path,
    tags: Mapping[str, Any] | None = None,
    options: MapOptions | None = None,
    scheduler: str | None = None,
) -> dict[str, MappedScene]:
    """Map scenes and write their maps into a folder; gives them by scene name.

    A map that is there already, of the same pixels by the same model and options, is left as it is: the same
    call goes on where it was stopped. A scene that cannot be mapped does not stop the others.

    Parameters
    ----------
    classifier, entries
        What maps - a network, an ensemble, a rule -, and the scenes.
    output : path
        Folder for `<scene>_probability.tif`, `_mask.tif`, `_uncertainty.tif`, their `.qml` styles,
        `_preview.png`, `_map.json`, and `areas.csv`.
    tags, options
        What is written into every raster; how.
    scheduler : str, optional
        'local', or the address of a Dask cluster whose workers see scenes and folder under the same paths.

    Raises
    ------
    GlacierError
        As `check_mapping`; after all other scenes, where one could not be mapped.
    """
    pixels = check_mapping(classifier, entries, output, scheduler)
    job = Job(classifier, Path(output), dict(tags or {}), options or MapOptions())
    return map_checked(job, entries, pixels, scheduler)


def map_checked(
    job: Job, entries: Sequence[CatalogEntry], pixels: Mapping[str, int], scheduler: str | None = None
) -> dict[str, MappedScene]:
    """Do what `map_scenes` does with scenes that `check_mapping` has looked at, and counted the pixels of."""
    written, failed = _collected(job, entries, scheduler, pixels)
    _sweep(job.folder, entries)
    if written:
        with staged(job.folder) as partial:  # of all maps that lie there
            area_table(recorded_maps(job.folder)).to_csv(partial / "areas.csv", index=False)
    if failed:
        raise _failure(failed, len(entries))
    return written


def _collected(
    job: Job, entries: Sequence[CatalogEntry], scheduler: str | None, pixels: Mapping[str, int]
) -> tuple[dict[str, MappedScene], dict[str, GlacierError]]:
    """Maps, in the scenes' order, and failures by scene name; a progress bar and warnings meanwhile."""
    from tqdm import tqdm

    written: dict[str, MappedScene] = {}
    failed: dict[str, GlacierError] = {}
    with tqdm(total=sum(pixels.values()), desc="mapping", unit="px", unit_scale=True) as bar:
        if scheduler:
            results = _on_cluster(job, entries, scheduler, pixels, bar)
        else:
            results = _one_by_one(job, entries, bar)
        for name, result in results:
            if isinstance(result, GlacierError):
                failed[name] = result
                continue
            written[name] = result
            if result.warning:
                warnings.warn(result.warning, UnusualSceneWarning, stacklevel=4)
    return {entry.name: written[entry.name] for entry in entries if entry.name in written}, failed


def _one_by_one(
    job: Job, entries: Sequence[CatalogEntry], bar: Any
) -> Iterator[tuple[str, MappedScene | GlacierError]]:
    for entry in entries:
        bar.set_postfix_str(entry.name)
        try:
            yield entry.name, map_scene(job, entry, bar.update)
        except Exception as error:
            hindered = hindrance(error, entry.name)
            if hindered is None:
                raise
            yield entry.name, hindered


def _on_cluster(
    job: Job, entries: Sequence[CatalogEntry], scheduler: str, pixels: Mapping[str, int], bar: Any
) -> Iterator[tuple[str, MappedScene | GlacierError]]:
    for name, result in map_on_cluster(job, entries, scheduler):
        bar.set_postfix_str(name)
        bar.update(pixels[name])
        yield name, _as_seen_here(result, job.folder)


def _as_seen_here(result: MappedScene | GlacierError, folder: Path) -> MappedScene | GlacierError:
    """The result, unless its files lie on a disk that this machine does not see."""
    if isinstance(result, GlacierError):
        return result
    for _ in range(_SECONDS_TO_APPEAR):
        if (folder / record_name(result.name)).is_file():
            return result
        time.sleep(1)
    return GlacierError(
        f"{result.name}: a worker mapped it, and its map is not in {folder} here; name a folder on a disk "
        "that all machines share"
    )


def _failure(failed: Mapping[str, GlacierError], scenes: int) -> GlacierError:
    """What went wrong, in one line; of a single scene its own."""
    first = next(iter(failed.values()))
    if scenes == 1:
        return first
    names = ", ".join(failed)
    return GlacierError(
        f"{len(failed)} of {scenes} scenes not mapped ({names}; the others are): {first}; the same command "
        "then maps what is left"
    )


def _sweep(folder: Path, entries: Sequence[CatalogEntry]) -> None:
    """Remove what processes that were killed have left of these scenes."""
    for entry in entries:
        for left in abandoned(folder, entry.name):
            shutil.rmtree(left, ignore_errors=True)


def check_mapping(
    classifier: Classifier, entries: Sequence[CatalogEntry], output: str | Path, scheduler: str | None = None
) -> dict[str, int]:
    """Check, from the headers of the scenes' files and before any work, that they can be mapped.

    Returns
    -------
    dict of str to int
        Pixels of each scene.

    Raises
    ------
    GlacierError
        Where there is no scene, a scene lacks a band or holds another kind of reflectance, or the folder
        cannot be written, or `scheduler` is none.
    """
    check_scheduler(scheduler)
    if not entries:
        raise GlacierError("predict: there is no scene to map; give a scene, a folder of scenes or a catalog")
    pixels: dict[str, int] = {}
    _check_names(entries)
    for entry in entries:
        with entry.source() as source:
            check_source(source, classifier)
            pixels[entry.name] = source.grid.shape[0] * source.grid.shape[1]
    check_folder(Path(output))
    return pixels


def _check_names(entries: Sequence[CatalogEntry]) -> None:
    """Refuse two scenes whose files would have the same names."""
    stems: dict[str, str] = {}
    for entry in entries:
        stem = file_stem(entry.name)
        if stem in stems:
            raise GlacierError(
                f"{entry.name}: its maps would be called {stem}_..., as those of {stems[stem]}; rename one"
            )
        stems[stem] = entry.name


def area_table(written: Mapping[str, MappedScene]) -> pd.DataFrame:
    """Table of mapped glacier areas: scene, area_km2, files, features outside the range of training."""
    import pandas as pd

    return pd.DataFrame(
        [
            {
                "scene": name,
                "area_km2": round(mapped.files.area_km2, 3),
                "probability": mapped.files.probability.name,
                "mask": mapped.files.mask.name,
                **{tag: mapped.tags.get(tag, "") for tag in ("model", "model_version", "threshold")},
                "largest_share_outside_training_range": _largest(mapped.outside),
            }
            for name, mapped in written.items()
        ]
    )


def _largest(outside: Mapping[str, float] | None) -> float | None:
    return round(max(outside.values()), 4) if outside else None
