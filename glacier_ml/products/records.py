"""Records: `<scene>_map.json` says that a scene's map is whole, and of what and by what it was made."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glacier_ml.products.maps import MapFiles, file_stem

FORMAT = 1
_ALWAYS = ("probability", "mask", "uncertainty")
_SOMETIMES = ("spread", "members", "preview")


@dataclass(frozen=True)
class MappedScene:
    """A scene's map.

    Attributes
    ----------
    name : str
        The scene's.
    files : MapFiles
        Where it lies.
    outside : dict of str to float or None
        Share of the pixels outside the range of training, by feature; None where the model tells none.
    warning : str
        That the scene is unlike those of training; '' where it is not.
    new : bool
        False where the map was there already.
    """

    name: str
    files: MapFiles
    outside: dict[str, float] | None
    warning: str
    new: bool = True


def record_name(name: str) -> str:
    """Name of a scene's record.

    >>> record_name("valdez-3")
    'valdez-3_map.json'
    """
    return f"{file_stem(name)}_map.json"


def map_key(scene_digest: str, classifier: object, options: object, tags: Mapping[str, Any]) -> str | None:
    """What decides a map: pixels, network, options, tags. None where the classifier has no digest."""
    known = getattr(classifier, "digest", None)
    if known is None:
        return None
    threshold = getattr(classifier, "threshold", None)
    told = json.dumps([FORMAT, scene_digest, known, threshold, repr(options), dict(tags)], default=str)
    return hashlib.sha256(told.encode()).hexdigest()


def write_record(
    folder: Path, mapped: MappedScene, key: str | None, tags: Mapping[str, Any], seconds: float
) -> None:
    """Write a scene's record: what the rasters are tagged with, and how long it took."""
    files = {
        kind: path.name for kind in _ALWAYS + _SOMETIMES if (path := getattr(mapped.files, kind)) is not None
    }
    content = {
        "format": FORMAT,
        "scene": mapped.name,
        "key": key,
        "area_km2": mapped.files.area_km2,
        "outside_training_range": mapped.outside,
        "warning": mapped.warning,
        "files": files,
        "tags": {key: str(value) for key, value in tags.items()},
        "seconds": round(seconds, 1),
    }
    (folder / record_name(mapped.name)).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def finished_map(folder: Path, name: str, key: str | None) -> MappedScene | None:
    """The map of an earlier call with the same key, all its files still there; else None."""
    try:
        content = json.loads((folder / record_name(name)).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(content, dict) or key is None or content.get("key") != key:
        return None
    paths = {kind: folder / file for kind, file in content["files"].items()}
    if not all(path.is_file() for path in paths.values()):
        return None
    probability, mask, uncertainty = (paths[kind] for kind in _ALWAYS)
    spread, members, preview = (paths.get(kind) for kind in _SOMETIMES)
    files = MapFiles(probability, mask, uncertainty, spread, members, preview, content["area_km2"])
    return MappedScene(name, files, content["outside_training_range"], content["warning"], new=False)
