"""Mend a moved tracking folder: MLflow's database holds absolute paths of all files of runs and models."""

from __future__ import annotations

import re
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlsplit
from urllib.request import url2pathname

from glacier_ml.errors import GlacierError

DATABASE = "mlflow.db"
SCHEMA = (
    "dc11669786a5"  # MLflow's own word for what its tables are; a test holds it and the columns to MLflow
)
# Table and column of every place where files lie, and the rows that are meant.
PLACES = (
    ("experiments", "artifact_location", ""),
    ("runs", "artifact_uri", ""),
    ("logged_models", "artifact_location", ""),
    ("model_versions", "storage_location", ""),
    ("model_versions", "source", ""),
    ("trace_tags", "value", "key IN ('mlflow.artifactLocation', 'mlflow.trace.archiveLocation')"),
    ("workspaces", "default_artifact_root", ""),
    ("workspaces", "trace_archival_location", ""),
)
PATIENCE = 2  # [s] that another's writing is waited for
STILL_THERE, NOWHERE = "still at the old place", "neither at the old place nor below the folder"
ELSEWHERE = "on a server"


@dataclass
class Relocation:
    """What relocating a folder changes.

    Attributes
    ----------
    folder : Path
        Where the files lie now.
    changed : Counter
        'table.column' to number of rows.
    roots : list of Path
        Folders that the files lay below before.
    left : dict of str to list of str
        Why rows are left as they are, and their places.
    """

    folder: Path
    changed: Counter[str] = field(default_factory=Counter)
    roots: list[Path] = field(default_factory=list)
    left: dict[str, list[str]] = field(default_factory=dict)

    @property
    def lines(self) -> list[str]:
        """Old and new folder, rows changed by column, rows left by reason with an example."""
        told = [f"{root} -> {self.folder}" for root in self.roots]
        told += [f"{column}: {count} row{'s' * (count > 1)}" for column, count in self.changed.items()]
        told += [f"left, {why}: {len(places)} (such as {places[0]})" for why, places in self.left.items()]
        return told or ["every place is where the database says"]


def relocate(folder: Path, dry_run: bool = False) -> Relocation:
    """Rewrite, in `mlflow.db` of a folder that was moved, the places of artifacts that lie in it now.

    A place is rewritten where nothing is there any more and the folder holds the same path, such as
    `mlruns/1/<run>/artifacts`; so is that of a run that left no file, where all of its old folder is gone.
    Addresses of servers are never touched. It is one transaction: all is rewritten or nothing. Moved back and
    relocated again, the folder is as it was.

    Parameters
    ----------
    folder : Path
        Holds mlflow.db.
    dry_run : bool
        Change nothing, and tell what would be.

    Raises
    ------
    GlacierError
        Where there is no database, it is not MLflow's, of another schema, or in use.
    """
    path = folder / DATABASE
    if not path.is_file():
        raise GlacierError(f"{folder}: holds no {DATABASE}; name the folder that mlflow ran in")
    moved = Relocation(folder.resolve())
    with _transaction(path, dry_run) as database:
        _check_schema(database, path)
        for table, column, row, new in _new_places(list(_places(database)), moved):
            if not dry_run:
                database.execute(f'UPDATE "{table}" SET "{column}" = ? WHERE rowid = ?', (new, row))
            moved.changed[f"{table}.{column}"] += 1
    return moved


@contextmanager
def _transaction(path: Path, dry_run: bool) -> Iterator[sqlite3.Connection]:
    mode = "ro" if dry_run else "rw"
    address = f"file:{quote(str(path.resolve()))}?mode={mode}"
    try:
        database = sqlite3.connect(address, uri=True, timeout=PATIENCE, isolation_level=None)
        try:
            database.execute("BEGIN" if dry_run else "BEGIN IMMEDIATE")
            yield database
            database.execute("COMMIT")
        finally:
            database.close()  # without COMMIT all is as before
    except sqlite3.OperationalError as error:
        raise GlacierError(
            f"{path}: cannot be written now ({error}); end what works on it, such as a study or mlflow ui, "
            "or make it yours to write"
        ) from error
    except sqlite3.DatabaseError as error:
        raise GlacierError(
            f"{path}: cannot be read as MLflow's database ({error}); nothing was changed"
        ) from error


def _check_schema(database: sqlite3.Connection, path: Path) -> None:
    tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not {"alembic_version", "experiments", "runs"} <= tables:
        raise GlacierError(f"{path}: is no database of MLflow; name the folder that mlflow ran in")
    found = [version for (version,) in database.execute("SELECT version_num FROM alembic_version")]
    if found != [SCHEMA]:
        raise GlacierError(
            f"{path}: has MLflow's schema {' '.join(found) or 'of no name'}, known is {SCHEMA}; "
            f"`mlflow db upgrade sqlite:///{path}` brings up an older one"
        )


def _places(database: sqlite3.Connection) -> Iterator[tuple[str, str, int, str]]:
    """Every place that is named: table, column, row and text."""
    for table, column, rows in PLACES:
        query = f'SELECT rowid, "{column}" FROM "{table}" WHERE "{column}" IS NOT NULL'
        for row, text in database.execute(f"{query} AND {rows}" if rows else query):
            yield table, column, row, text


def _new_places(
    named: list[tuple[str, str, int, str]], moved: Relocation
) -> Iterator[tuple[str, str, int, str]]:
    """Rows to change, with their new text; `moved` gets the old folders and what is left as it is."""
    later = []
    for table, column, row, text in named:
        path = local_path(text)
        if path is None:
            if not text.startswith(("models:", "runs:")):  # MLflow's own names for what lies elsewhere
                moved.left.setdefault(ELSEWHERE, []).append(text)
        elif path.exists():
            if not path.is_relative_to(moved.folder):
                moved.left.setdefault(STILL_THERE, []).append(text)
        elif found := _found_below(moved, path):
            yield table, column, row, written_like(text, found)
        else:
            later.append((table, column, row, text, path))
    for table, column, row, text, path in later:
        if found := _never_written(moved, path):
            yield table, column, row, written_like(text, found)
        elif not path.is_relative_to(moved.folder):
            moved.left.setdefault(NOWHERE, []).append(text)


def _found_below(moved: Relocation, path: Path) -> Path | None:
    """Find the same path below the folder: as much of its end as is there, two names at least."""
    for root in moved.roots:
        if path.is_relative_to(root) and (here := moved.folder / path.relative_to(root)).exists():
            return here
    for cut in range(1, len(path.parts) - 1):
        here = moved.folder.joinpath(*path.parts[cut:])
        if here.exists():
            moved.roots.append(Path(*path.parts[:cut]))
            return here
    return None


def _never_written(moved: Relocation, path: Path) -> Path | None:
    """Place of a run that left no file, below a folder of which nothing is at the old place."""
    for root in moved.roots:
        if path.is_relative_to(root) and path != root:
            rest = path.relative_to(root)
            if not (root / rest.parts[0]).exists():
                return moved.folder / rest
    return None


def local_path(text: str) -> Path | None:
    """Path that MLflow reads a place as, None for an address or a relative path.

    Examples
    --------
    >>> local_path("file:///home/me/a%20b/mlruns/1"), local_path("/home/me/mlruns/1")
    (PosixPath('/home/me/a b/mlruns/1'), PosixPath('/home/me/mlruns/1'))
    >>> local_path("mlflow-artifacts:/1"), local_path("s3://bucket/1"), local_path("mlruns/1")
    (None, None, None)
    """
    if text.startswith("file:"):
        text = urlsplit(text).path
    elif re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", text):
        return None
    path = Path(url2pathname(text))
    return path if path.is_absolute() else None


def written_like(text: str, path: Path) -> str:
    """Write a path as the old place was written: as a `file:` address or as it is.

    MLflow decodes both: a path in which it would find an encoded character has its percent signs encoded.

    Examples
    --------
    >>> written_like("file:///old", Path("/a b")), written_like("/old", Path("/a b"))
    ('file:///a%20b', '/a b')
    >>> written_like("/old", Path("/a%20b"))
    '/a%2520b'
    """
    if text.startswith("file:"):
        return path.as_uri()
    plain = path.as_posix()
    return plain if url2pathname(plain) == plain else plain.replace("%", "%25")
