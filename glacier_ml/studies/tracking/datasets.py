"""Scenes as MLflow's datasets: what they are and where they lie, never their pixels."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glacier_ml.scenes.addresses import shown
from glacier_ml.scenes.catalog import LabelledScene, dataset_digest
from glacier_ml.studies.tracking.runs import active_run_id, client

if TYPE_CHECKING:
    from mlflow.entities import Dataset

DIGEST_LENGTH = 12  # digits, as in the tags `dataset` and `split`; MLflow takes 36 at most
NAMED = 3  # scenes that a dataset of several is called after


def log_scenes(
    scenes: Sequence[LabelledScene],
    context: str,
    source: Path | str,
    digest: str | None = None,
    each: bool = True,
) -> None:
    """Log scenes as inputs of the active run: all of them as one dataset, and each as one.

    Runs are found again by `client.search_runs(..., "dataset.digest = '<first 12 digits>'")`.

    Parameters
    ----------
    scenes : sequence of LabelledScene
        At least one.
    context : str
        What the run does with them: 'training' or 'test'.
    source : Path or str
        Catalog, folder or address of all of them; what signs an address, and its password, is left out.
    digest : str, optional
        Of all of them, where it is known already (see `dataset_digest`).
    each : bool
        Log single scenes, too.
    """
    from mlflow.entities import DatasetInput, InputTag
    from mlflow.exceptions import MlflowException

    datasets = [_dataset_of_all(scenes, source, digest or dataset_digest(scenes))]
    if each:
        datasets += [_dataset_of_one(scene) for scene in scenes]
    tags = [InputTag("mlflow.data.context", context)]
    inputs = [DatasetInput(one, tags) for one in datasets]
    try:
        client().log_inputs(active_run_id(), inputs)
    except MlflowException:  # another process was quicker to write the same ones: they are taken over now
        client().log_inputs(active_run_id(), inputs)


def dataset_name(scenes: Sequence[LabelledScene]) -> str:
    """Name of a dataset of several scenes: theirs, of the first ones where they are many."""
    names = [scene.scene.name for scene in scenes]
    return ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")


def _dataset_of_all(scenes: Sequence[LabelledScene], source: Path | str, digest: str) -> Dataset:
    profile = {
        "scenes": len(scenes),
        "valid_pixels": sum(int(scene.scene.valid.sum()) for scene in scenes),
        "places": ", ".join(dict.fromkeys(scene.entry.place for scene in scenes)),
        "dates": ", ".join(filter(None, map(scene_date, scenes))),
        "quantity": scenes[0].scene.quantity,
        "sha256": digest,
    }
    # A dataset of one scene would have that scene's name, and another digest.
    name = dataset_name(scenes) if len(scenes) > 1 else f"{scenes[0].scene.name} and its outlines"
    return _dataset(name, digest, source, scenes[0], profile)


def _dataset_of_one(scene: LabelledScene) -> Dataset:
    rows, columns = scene.scene.shape
    valid = int(scene.scene.valid.sum())
    profile = {
        "rows": rows,
        "columns": columns,
        "valid_pixels": valid,
        "place": scene.entry.place,
        "date": scene_date(scene),
        "sensor": scene.scene.provenance.get("sensor"),
        "quantity": scene.scene.quantity,
        "sha256": scene.scene.digest,
    }
    if scene.mask is not None and valid:
        profile["glacier_percent"] = round(100 * int((scene.mask & scene.scene.valid).sum()) / valid, 1)
    return _dataset(scene.scene.name, scene.scene.digest, scene.entry.path, scene, profile)


def scene_date(scene: LabelledScene) -> str:
    """Date of a scene, or of its bands where they are of several days; '' where nobody tells."""
    provenance = scene.scene.provenance
    days = dict.fromkeys([provenance.get("date"), *(provenance.get("date_bands") or {}).values()])
    return "/".join(str(day) for day in days if day)


def _dataset(
    name: str, digest: str, source: Path | str, scene: LabelledScene, profile: dict[str, Any]
) -> Dataset:
    from mlflow.entities import Dataset

    columns = [{"name": band, "type": "float"} for band in scene.scene.bands]
    if scene.mask is not None:
        columns.append({"name": "glacier", "type": "boolean"})
    kind, place = _place(source)
    told = {key: value for key, value in profile.items() if value not in (None, "")}
    return Dataset(
        name=name,
        digest=digest[:DIGEST_LENGTH],
        source_type=kind,
        source=json.dumps(place),
        schema=json.dumps({"mlflow_colspec": columns}),
        profile=json.dumps(told),
    )


def _place(source: Path | str) -> tuple[str, dict[str, str]]:
    """Kind of a source in MLflow's words, and the source without what must not be told.

    Examples
    --------
    >>> _place("https://me:secret@example.org/a/B1.TIF?sig=secret")
    ('http', {'url': 'https://example.org/a/B1.TIF'})
    >>> _place("s3://bucket/scene/")
    ('s3', {'uri': 's3://bucket/scene/'})
    """
    text = str(source.resolve()) if isinstance(source, Path) else shown(source)
    scheme = re.match(r"([a-z][a-z0-9+.-]*)://", text)
    kind = scheme[1] if scheme else "local"
    return ("http", {"url": text}) if kind in ("http", "https") else (kind, {"uri": text})
