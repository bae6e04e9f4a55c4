"""Registered models over many scenes: which models, what is written of them into every map."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from glacier_ml.errors import GlacierError
from glacier_ml.learning.classifier import Classifier, NetworkClassifier
from glacier_ml.learning.ensembles import ensemble_of
from glacier_ml.products.batch import area_table, check_mapping, map_checked, map_scenes
from glacier_ml.products.mapping import Job, MapOptions
from glacier_ml.products.records import MappedScene
from glacier_ml.scenes.catalog import CatalogEntry, open_catalog
from glacier_ml.studies import tracking
from glacier_ml.studies.seeds import trained_twins


def load_models(model: str, seeds: int = 1) -> tuple[Classifier, dict[str, str]]:
    """Load what maps, and the tags that tell of it.

    Parameters
    ----------
    model : str
        An address as in `tracking.load_classifier`, or several between commas, which then map together.
    seeds : int
        With one model: how many trainings of it map together, itself and those from other seeds that
        `compare` has trained.

    Returns
    -------
    Classifier
        One network, or an ensemble.
    dict of str to str
        model, model_version, run_id; temperature, by which calibration has divided the logits.

    Raises
    ------
    GlacierError
        Where there is no such model, or not so many trainings of it.
    """
    parts = [model] if Path(model).is_dir() else model.split(",")
    addresses = [part.strip() for part in parts if part.strip()]
    if not addresses:
        raise GlacierError("model: none is named; name models:/<name>@<alias>, a run's or a folder")
    # The versions first: an alias may move before the model is loaded.
    versions = [tracking.version_of(address) for address in addresses]
    members = [tracking.load_classifier(_pinned(*pair)) for pair in zip(addresses, versions, strict=True)]
    if seeds > 1:
        if len(members) > 1:
            raise GlacierError("seeds: several models are named, and seeds are of one; leave one of them out")
        members = _of_seeds(members[0], addresses[0], seeds)
    return ensemble_of(members), _tags(addresses, versions, members)


def _tags(addresses: list[str], versions: list[str], members: list[NetworkClassifier]) -> dict[str, str]:
    told = {
        "model": addresses,
        "model_version": [version or "-" for version in versions],
        "run_id": [str(one.origin.get("run_id", "")) for one in members],
        "temperature": [f"{one.temperature:.5g}" for one in members],
    }
    return {tag: " ".join(filter(None, parts)) for tag, parts in told.items()}


def _pinned(address: str, version: str) -> str:
    """Address of the version that an alias means now.

    >>> _pinned("models:/glacier-unet@champion", "3"), _pinned("runs:/1a/model", "")
    ('models:/glacier-unet/3', 'runs:/1a/model')
    """
    return f"{address.partition('@')[0]}/{version}" if version and "@" in address else address


def _of_seeds(champion: NetworkClassifier, address: str, seeds: int) -> list[NetworkClassifier]:
    twins = trained_twins(champion, seeds)
    if len(twins) < seeds - 1:
        raise GlacierError(
            f"seeds: {seeds} trainings of {address} are asked for, and {1 + len(twins)} there; "
            f"'compare' with seeds={seeds} trains the others"
        )
    return [champion, *twins]


def predict(
    data: str | Path | None,
    model: str,
    output: str | Path,
    *,
    seeds: int = 1,
    options: MapOptions | None = None,
    scheduler: str | None = None,
    roles: tuple[str, ...] = (),
    parent: str | None = None,
) -> dict[str, MappedScene]:
    """Map the scenes of `data` with a registered model, as one tracked run; prints the areas."""
    catalog = open_catalog(data)
    entries = catalog.of_role(*roles) if roles else catalog.entries
    classifier, tags = load_models(model, seeds)
    pixels = check_mapping(classifier, entries, output, scheduler)
    job = Job(classifier, Path(output), tags, options or MapOptions())
    with tracking.start_run("predict", "predict", parent=parent):
        written = map_checked(job, entries, pixels, scheduler)
        table = area_table(written)
        tracking.log_metrics({_metric(row.scene): row.area_km2 for row in table.itertuples()})
        for mapped in written.values():
            if mapped.files.preview:
                tracking.log_files(mapped.files.preview, "previews")
        print(table.iloc[:, :4].to_string(index=False))
        old = sum(not mapped.new for mapped in written.values())
        print(f"maps: {Path(output).resolve()}" + (f" ({old} there already)" if old else ""))
    return written


def _metric(scene: str) -> str:
    """Name of a scene's area as a metric; MLflow takes few characters.

    >>> _metric("fjord (1)")
    'area_km2/fjord _1_'
    """
    return f"area_km2/{re.sub(r'[^A-Za-z0-9_. -]', '_', scene)}"


def map_with(
    model: str | Path | Classifier, scenes: Any, output: str | Path = "maps", **chosen: Any
) -> dict[str, MappedScene]:
    """Map scenes with a model, untracked: see `glacier_ml.map_scenes`."""
    scheduler, seeds = chosen.pop("scheduler", None), chosen.pop("seeds", 1)
    if isinstance(model, str | Path):
        classifier, tags = load_models(str(model), seeds)
    elif seeds > 1:
        raise GlacierError(
            "seeds: they are of a registered model, and a classifier is given; name its address"
        )
    else:
        classifier, tags = model, {}
    return map_scenes(classifier, scene_entries(scenes), output, tags, MapOptions(**chosen), scheduler)


def scene_entries(scenes: Any) -> tuple[CatalogEntry, ...]:
    """Entries of a catalog, a folder, one scene, or a list of such.

    Raises
    ------
    GlacierError
        Where there is no scene, or two have the same name.
    """
    if scenes is None or isinstance(scenes, str | Path):
        return open_catalog(scenes).entries
    entries: dict[str, CatalogEntry] = {}
    for one in scenes:
        for entry in (one,) if isinstance(one, CatalogEntry) else open_catalog(one).entries:
            if entry.name in entries:
                raise GlacierError(f"scenes: two are called {entry.name}; rename one")
            entries[entry.name] = entry
    return tuple(entries.values())
