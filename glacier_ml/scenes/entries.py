"""The catalog's file: strict YAML, checked key by key."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

import yaml

from glacier_ml.errors import GlacierError
from glacier_ml.scenes.addresses import address_named, local_path, shown
from glacier_ml.scenes.landsat.names import sensor_named
from glacier_ml.scenes.scene import BANDS

ROLES = ("train", "test", "unseen")
_REQUIRED = ("name", "path", "place", "region", "role")
_NAME = re.compile(r"[\w][\w.-]*")
_DATE = re.compile(r"\d{4}-\d{2}(-\d{2})?")


def read_entries(path: Path, existing: bool = True) -> list[dict[str, Any]]:
    """Read and check a catalog's file.

    Parameters
    ----------
    path : pathlib.Path
        YAML with one key, `scenes`: a list of mappings with `name`, `path`, `place`, `region`, `role`
        and optionally `date`, `date_bands`, `outlines`, `ground`, `sensor`, `earth_engine_id`, `bounds`.
    existing : bool
        Whether the files that the entries name must be there; before a download they need not.

    Returns
    -------
    list of dict
        The entries' values, paths resolved against the file's folder; a `path` that is an address is a text.

    Raises
    ------
    GlacierError
        Naming file, entry and key.
    """
    content = _content(path)
    if not isinstance(content, dict) or not isinstance(content.get("scenes"), list) or not content["scenes"]:
        raise GlacierError(
            f"{path}: a catalog is a mapping with the key 'scenes' and a list of scenes below it"
        )
    _check_keys(content, ("scenes",), str(path))
    entries = [
        _entry(item, _place(path, item, number), path, existing)
        for number, item in enumerate(content["scenes"], 1)
    ]
    names = [entry["name"] for entry in entries]
    for number, name in enumerate(names):
        if name in names[:number]:
            raise GlacierError(f"{path}: name: two scenes are called {name!r}; rename one")
    return entries


class UniqueKeyLoader(yaml.SafeLoader):
    """Safe YAML that refuses a key given twice, which plain YAML readers pass over in silence."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Build a mapping whose keys differ."""
        keys = [key.value for key, _ in node.value]
        for number, key in enumerate(keys):
            if key in keys[:number]:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {key!r} is given twice", node.start_mark
                )
        return super().construct_mapping(node, deep)


def _content(path: Path) -> Any:
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=UniqueKeyLoader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise GlacierError(f"{path}: cannot be read as YAML ({reason}); correct the file") from error


def _place(path: Path, item: Any, number: int) -> str:
    """Where an error lies: file and entry."""
    name = item.get("name") if isinstance(item, dict) else None
    return f"{path}: scene {name!r}" if isinstance(name, str) else f"{path}: scene {number}"


def _check_keys(item: dict[Any, Any], known: tuple[str, ...], where: str) -> None:
    for key in item:
        if key not in known:
            mend = _suggestion(str(key), known) or f"known are {', '.join(known)}"
            raise GlacierError(f"{where}: unknown key {key!r}; {mend}")


def _suggestion(word: str, known: tuple[str, ...]) -> str | None:
    likeness = [SequenceMatcher(None, word, one).ratio() for one in known]
    best = max(likeness)
    return f"did you mean {known[likeness.index(best)]!r}?" if best >= 0.6 else None


def _entry(item: Any, where: str, path: Path, existing: bool) -> dict[str, Any]:
    if not isinstance(item, dict):
        raise GlacierError(f"{where}: must be a mapping of keys to values, not {_kind(item)}")
    _check_keys(item, tuple(_CHECKS), where)
    missing = [key for key in _REQUIRED if key not in item]
    if missing:
        raise GlacierError(f"{where}: {', '.join(missing)} missing; each scene needs {', '.join(_REQUIRED)}")
    folder = path.parent
    entry = {key: _CHECKS[key](value, f"{where}: {key}") for key, value in item.items()}
    on_web = address_named(entry["path"], f"{where}: path") is not None
    if not on_web:
        entry["path"] = _file(entry["path"], (folder,), f"{where}: path", existing)
    elif existing and entry["role"] != "unseen" and "outlines" not in entry:
        raise GlacierError(
            f"{where}: outlines missing; beside an address none are looked for: name a file of this machine, "
            "or set role: unseen"
        )
    folders = (folder,) if on_web else (folder, entry["path"])
    for key in ("outlines", "ground"):
        if key in entry:
            _check_local(entry[key], f"{where}: {key}")
            entry[key] = _file(entry[key], folders, f"{where}: {key}", existing)
    if entry["role"] == "unseen" and "outlines" in entry:
        raise GlacierError(f"{where}: outlines: role unseen has none; set role: test to compare with them")
    return entry


def _check_local(text: str, where: str) -> None:
    if address_named(text, where):
        raise GlacierError(
            f"{where}: {shown(text)} is an address, and this is read from this machine alone; download it "
            "and name the file"
        )


def _file(text: str, folders: tuple[Path, ...], where: str, existing: bool) -> Path:
    """First of the folders' paths that exists; an absolute text stands for itself."""
    candidates = [local_path(folder / local_path(text, where), where) for folder in folders]
    for candidate in candidates:
        if candidate.exists():
            return candidate
    if not existing:
        return candidates[0]
    raise GlacierError(f"{where}: {candidates[0]} does not exist; paths are relative to the catalog's folder")


def _kind(value: Any) -> str:
    names = {dict: "a mapping", list: "a list", type(None): "nothing", bool: "yes or no", date: "a date"}
    return names.get(type(value), f"{value!r}")


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise GlacierError(f"{where}: must be text, not {_kind(value)}; write it in quotes")
    return value


def _name(value: Any, where: str) -> str:
    if not _NAME.fullmatch(_text(value, where)):
        raise GlacierError(
            f"{where}: {value!r} must be letters, digits, '.', '-' and '_': files are named after it"
        )
    return str(value)


def _role(value: Any, where: str) -> str:
    if value not in ROLES:
        mend = _suggestion(str(value), ROLES) or "choose one"
        raise GlacierError(f"{where}: {value!r} must be one of {', '.join(ROLES)}; {mend}")
    return str(value)


def _date(value: Any, where: str) -> str:
    """YYYY-MM-DD or YYYY-MM; YAML reads the first, unquoted, as a date and the second as text."""
    text = value.isoformat() if type(value) is date else value
    if isinstance(text, str) and _DATE.fullmatch(text):
        try:
            date.fromisoformat(text if len(text) == 10 else f"{text}-01")
            return text
        except ValueError:
            pass
    raise GlacierError(f"{where}: {value!r} is no date; write YYYY-MM-DD or YYYY-MM")


def _date_bands(value: Any, where: str) -> dict[str, str]:
    if not isinstance(value, dict):
        raise GlacierError(
            f"{where}: must map bands to dates, not {_kind(value)}; write {{swir1: 2007-09-17}}"
        )
    _check_keys(value, BANDS, where)
    return {band: _date(day, f"{where}: {band}") for band, day in value.items()}


def _bounds(value: Any, where: str) -> tuple[float, float, float, float]:
    """West, south, east, north; west is the larger where they span the 180th meridian."""
    numbers = value if isinstance(value, list) and len(value) == 4 else []
    if numbers and all(type(one) in (int, float) and abs(one) <= 180 for one in numbers):
        west, south, east, north = map(float, numbers)
        if west != east and -90 <= south < north <= 90:
            return west, south, east, north
    raise GlacierError(f"{where}: {_kind(value)} must be [west, south, east, north] in degrees")


def _sensor(value: Any, where: str) -> str:
    return sensor_named(_text(value, where), where)


_CHECKS: dict[str, Callable[[Any, str], Any]] = {
    "name": _name,
    "path": _text,
    "place": _text,
    "region": _text,
    "role": _role,
    "date": _date,
    "date_bands": _date_bands,
    "outlines": _text,
    "ground": _text,
    "sensor": _sensor,
    "earth_engine_id": _text,
    "bounds": _bounds,
}
