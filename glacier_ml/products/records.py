"""Records: `<scene>_map.json` says that a scene's map is whole, and of what and by what it was made."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from glacier_ml.products.maps import MapFiles, file_stem

FORMAT = 1
_ALWAYS = ("probability", "mask", "uncertainty")
_OF_ENSEMBLES = ("spread", "members")
_SOMETIMES = (*_OF_ENSEMBLES, "preview")
_KEYS = {"scene", "key", "area_km2", "outside_training_range", "warning", "files", "sizes", "tags"}


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
    tags : dict of str to str
        Of its rasters: model, model_version, scene_date ...
    """

    name: str
    files: MapFiles
    outside: dict[str, float] | None
    warning: str
    new: bool = True
    tags: dict[str, str] = field(default_factory=dict)


def record_name(name: str) -> str:
    """Name of a scene's record.

    >>> record_name("valdez-3")
    'valdez-3_map.json'
    """
    return f"{file_stem(name)}_map.json"


def map_key(
    digests: tuple[str, ...], classifier: object, options: object, tags: Mapping[str, Any]
) -> str | None:
    """What decides a map: pixels, network, options, tags. None where the classifier has no digest."""
    known = getattr(classifier, "digest", None)
    if known is None:
        return None
    threshold = getattr(classifier, "threshold", None)
    told = json.dumps([FORMAT, digests, known, threshold, repr(options), dict(tags)], default=str)
    return hashlib.sha256(told.encode()).hexdigest()


def family(name: str) -> list[str]:
    """Names of all files that a scene's map may have."""
    stem = file_stem(name)
    rasters = [f"{stem}_{kind}" for kind in (*_ALWAYS, *_OF_ENSEMBLES)]
    return [f"{one}{suffix}" for one in rasters for suffix in (".tif", ".qml")] + [
        f"{stem}_preview.png",
        record_name(name),
    ]


def write_record(folder: Path, mapped: MappedScene, key: str | None, seconds: float) -> None:
    """Write a scene's record: what the rasters are tagged with, and how long it took."""
    files = {
        kind: path.name for kind in _ALWAYS + _SOMETIMES if (path := getattr(mapped.files, kind)) is not None
    }
    sizes = {
        name: (folder / name).stat().st_size for name in family(mapped.name) if (folder / name).is_file()
    }
    content = {
        "format": FORMAT,
        "scene": mapped.name,
        "key": key,
        "area_km2": mapped.files.area_km2,
        "outside_training_range": mapped.outside,
        "warning": mapped.warning,
        "files": files,
        "sizes": sizes,
        "tags": mapped.tags,
        "seconds": round(seconds, 1),
    }
    (folder / record_name(mapped.name)).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def finished_map(folder: Path, name: str, key: str | None) -> MappedScene | None:
    """The map of an earlier call with the same key, all its files as they were left; else None."""
    content = _content(folder / record_name(name))
    if key is None or content is None or content["key"] != key:
        return None
    return _mapped(folder, content) if _is_whole(folder, content) else None


def _is_whole(folder: Path, content: dict[str, Any]) -> bool:
    """Whether all files are there as they were left."""
    paths = {folder / file: size for file, size in content["sizes"].items()}
    return all(path.is_file() and path.stat().st_size == size for path, size in paths.items())


def recorded_maps(folder: Path) -> dict[str, MappedScene]:
    """All maps of a folder whose files are as their records tell, by scene name."""
    contents = [_content(path) for path in sorted(folder.glob("*_map.json"))]
    there = [content for content in contents if content is not None and _is_whole(folder, content)]
    return {content["scene"]: _mapped(folder, content) for content in there}


def _content(path: Path) -> dict[str, Any] | None:
    """What a record holds; None where there is none that this version wrote."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    known = isinstance(content, dict) and content.get("format") == FORMAT and _KEYS <= set(content)
    return content if known else None


def _mapped(folder: Path, content: dict[str, Any]) -> MappedScene:
    paths = {kind: folder / file for kind, file in content["files"].items()}
    probability, mask, uncertainty = (paths[kind] for kind in _ALWAYS)
    spread, members, preview = (paths.get(kind) for kind in _SOMETIMES)
    files = MapFiles(probability, mask, uncertainty, spread, members, preview, content["area_km2"])
    outside, warning, tags = (content[key] for key in ("outside_training_range", "warning", "tags"))
    return MappedScene(content["scene"], files, outside, warning, new=False, tags=tags)
