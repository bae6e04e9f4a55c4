"""The three spellings of an MTL file (text, JSON, XML), read into groups of keys and text values."""

from __future__ import annotations

import json
import re
from typing import Any
from xml.parsers import expat

from glacier_ml.errors import GlacierError

LARGEST_MTL = 4 * 1024 * 1024
"""Bytes of the largest content taken for an MTL: real ones have 10 to 70 kB. Chosen here."""

ROOTS = ("LANDSAT_METADATA_FILE", "L1_METADATA_FILE")
"""Root groups: Collection 2; Collection 1 and before."""

_LINE = re.compile(r"\s*([A-Za-z][A-Za-z0-9_]*)\s*=\s*(.*)")
_PADDING = "\0\x1a \t\r\n"


def parse_mtl(content: bytes, where: str) -> tuple[str, dict[str, dict[str, str]]]:
    r"""Groups of an MTL file, told apart by name; the form is told from the content.

    Parameters
    ----------
    content : bytes
        The whole file, padded with NUL or blanks or not.
    where : str
        How errors call the file.

    Returns
    -------
    root : str
        Name of the outermost group.
    groups : dict of str to dict of str to str
        Values without quotes by key by group. Keys outside every inner group stand under the root's name.

    Raises
    ------
    GlacierError
        Where the content is too large, is none of the three forms, gives a key or a group twice with
        different values, or nests groups in groups.

    Examples
    --------
    >>> parse_mtl(b"GROUP = L1_METADATA_FILE\nGROUP = A\nB = \"c\"\nEND_GROUP = A\n"
    ...           b"END_GROUP = L1_METADATA_FILE\nEND\n", "MTL")
    ('L1_METADATA_FILE', {'A': {'B': 'c'}})
    """
    text = _decoded(content, where).strip(_PADDING)
    parse = {"{": _parse_json, "<": _parse_xml}.get(text[:1], _parse_text)
    groups = _Groups(where)
    parse(text, groups)
    if groups.root not in ROOTS:
        raise GlacierError(
            f"{where}: no MTL file (root group {_shown(groups.root or 'none')}); "
            f"the root must be {' or '.join(ROOTS)}"
        )
    return groups.root, groups.groups


def _decoded(content: bytes, where: str) -> str:
    if len(content) > LARGEST_MTL:
        raise GlacierError(
            f"{where}: {len(content):,} bytes are no MTL file (at most {LARGEST_MTL:,}); name the scene's own"
        )
    # All forms are decoded alike, so that one MTL gives the same values in each.
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:57]}...")


class _Groups:
    """Groups as they are read; at most one is open inside the root."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.root: str | None = None
        self.groups: dict[str, dict[str, str]] = {}
        self._open: list[str] = []
        self._values: dict[str, str] = {}
        self._loose: dict[str, str] = {}

    @property
    def depth(self) -> int:
        return len(self._open)

    def fail(self, fault: str, mend: str = "download the MTL file anew") -> GlacierError:
        return GlacierError(f"{self.where}: {fault}; {mend}")

    def start(self, name: str) -> None:
        if self.depth == 2:
            raise self.fail(f"group {_shown(name)} stands inside group {_shown(self._open[-1])}")
        if self.depth == 0:
            if self.root is not None:
                raise self.fail(f"a second root group {_shown(name)} follows {_shown(self.root)}")
            self.root = name
        self._open.append(name)
        self._values = {}

    def add(self, key: str, value: str) -> None:
        if not self._open:
            raise self.fail(f"key {_shown(key)} stands outside every group")
        values, value = self._values if self.depth == 2 else self._loose, value.strip()
        if values.setdefault(key, value) != value:
            raise self.fail(
                f"{_shown(key)} stands twice in group {_shown(self._open[-1])}, "
                f"as {_shown(values[key])} and as {_shown(value)}"
            )

    def end(self) -> None:
        name = self._open.pop()
        values = self._values if self._open else self._loose
        if not self._open and not values:
            return
        if self.groups.setdefault(name, values) != values:
            raise self.fail(f"group {_shown(name)} stands twice with different values")

    def closes(self, name: str) -> bool:
        return bool(self._open) and self._open[-1] == name


def _parse_text(text: str, groups: _Groups) -> None:
    # Not splitlines(): in Latin-1 that would also split at \x85 inside a value.
    for number, line in enumerate(re.split(r"\r\n|\r|\n", text), start=1):
        stripped = line.strip(_PADDING)
        if stripped == "END":
            break
        if stripped:
            _parse_line(stripped, number, groups)
    if groups.root is not None and groups.depth:
        raise groups.fail("the file ends inside a group")


def _parse_line(line: str, number: int, groups: _Groups) -> None:
    match = _LINE.fullmatch(line)
    if match is None:
        raise groups.fail(f"line {number} is no 'KEY = value' ({_shown(line)})")
    key, value = match[1], _unquoted(match[2].strip())
    if key == "GROUP":
        groups.start(value)
    elif key == "END_GROUP":
        if not groups.closes(value):
            raise groups.fail(f"line {number} ends group {_shown(value)}, which is not the open one")
        groups.end()
    else:
        groups.add(key, value)


def _unquoted(value: str) -> str:
    return value[1:-1] if len(value) >= 2 and value[0] == value[-1] == '"' else value


def _parse_json(text: str, groups: _Groups) -> None:
    try:
        # Numbers stay text: no rounding, no limit of digits, and NaN is refused where a number is wanted.
        tree = json.loads(text, object_pairs_hook=_Pairs, parse_int=str, parse_float=str, parse_constant=str)
    except (ValueError, RecursionError) as error:
        fault = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise groups.fail(f"not JSON ({fault})") from error
    for root, content in tree:
        if not isinstance(content, _Pairs):
            raise groups.fail(f"key {_shown(root)} stands outside every group")
        groups.start(root)
        for name, value in content:
            _add_json(name, value, groups)
        groups.end()


def _add_json(name: str, value: Any, groups: _Groups) -> None:
    if not isinstance(value, _Pairs):
        groups.add(name, _json_value(name, value, groups))
        return
    groups.start(name)
    for key, inner in value:
        groups.add(key, _json_value(key, inner, groups))
    groups.end()


def _json_value(key: str, value: Any, groups: _Groups) -> str:
    if not isinstance(value, str):
        raise groups.fail(f"{_shown(key)} has no text or number as its value")
    return value


class _Pairs(list[tuple[str, Any]]):
    """A JSON object with its keys in order, repeated ones too."""


def _parse_xml(text: str, groups: _Groups) -> None:
    parser = expat.ParserCreate()
    reader = _XmlReader(groups)
    parser.StartDoctypeDeclHandler = reader.doctype
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.characters
    parser.buffer_text = True
    try:
        parser.Parse(text, True)
    except (expat.ExpatError, ValueError) as error:
        raise groups.fail(f"not XML ({error})") from error


class _XmlReader:
    """Turn elements into groups and keys: those that hold elements are groups, the others keys."""

    def __init__(self, groups: _Groups) -> None:
        self.groups = groups
        self._elements: list[str] = []
        self._text: list[str] = []
        self._leaf = False

    def doctype(self, *_: Any) -> None:
        # Entities of a DOCTYPE can grow without bound or read other files; an MTL has none.
        raise self.groups.fail("the XML has a DOCTYPE, which no MTL file has")

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if len(self._elements) == 3:
            raise self.groups.fail(f"element {_shown(name)} stands inside key {_shown(self._elements[-1])}")
        self._check_blank(name)
        if self._leaf:
            self.groups.start(self._elements[-1])
        self._elements.append(name)
        self._text = []
        self._leaf = True

    def characters(self, text: str) -> None:
        self._text.append(text)

    def end(self, name: str) -> None:
        self._elements.pop()
        if self._leaf:
            self.groups.add(name, "".join(self._text))
        else:
            self._check_blank(name)
            self.groups.end()
        self._text = []
        self._leaf = False

    def _check_blank(self, name: str) -> None:
        if "".join(self._text).strip():
            raise self.groups.fail(f"text stands beside element {_shown(name)}")
