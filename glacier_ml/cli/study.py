"""Commands that look after what studies leave."""

from __future__ import annotations

import click

from glacier_ml.cli.group import cli
from glacier_ml.cli.options import FOLDER, WORD

STORAGE = click.option(
    "--storage", type=WORD, default="", help="Optuna storage URL  [default: sqlite:///optuna.db]"
)


@cli.command()
@click.option(
    "--folder", type=FOLDER, default=".", show_default=True, help="Folder that was moved; holds mlflow.db."
)
@click.option("--dry-run", is_flag=True, help="Change nothing, and tell what would be.")
def relocate(folder: str, dry_run: bool) -> None:
    """Mend the absolute paths that MLflow keeps, once its folder was moved or renamed.

    What is still at its old place and what lies on a server is left as it is. Either all is rewritten or
    nothing.
    """
    from pathlib import Path

    from glacier_ml.studies.tracking.relocation import relocate as run

    moved = run(Path(folder), dry_run)
    for line in moved.lines:
        print(line)
    if dry_run and moved.changed:
        print("nothing was changed; without --dry-run it is")


@cli.group()
def study() -> None:
    """List studies, write one as tables and plots, or serve them to many workers."""


@study.command("list")
@STORAGE
def list_studies(storage: str | None) -> None:
    """List the studies of a storage: network, trials, best, when they were last worked on."""
    from glacier_ml.studies.export import list_studies as found
    from glacier_ml.studies.export import study_lines

    for line in study_lines(found(storage)):
        print(line)


@study.command()
@click.option(
    "--study",
    "named",
    type=WORD,
    default="",
    help="Name of the study, or its beginning  [default: the one worked on last]",
)
@STORAGE
@click.option("--output", type=FOLDER, default="", help="Folder to write  [default: the study's name]")
@click.option(
    "--format",
    "form",
    type=click.Choice(["csv", "parquet", "both"]),
    default="both",
    show_default=True,
    help="Of the tables.",
)
def export(named: str | None, storage: str | None, output: str, form: str) -> None:
    """Write all trials and epochs of a study as tables, and its plots, to a folder.

    The folder's README.md says what the columns mean; plots.html opens offline.
    """
    from glacier_ml.studies.export import export_study

    chosen, files = export_study(named, storage, output, form)
    if named is None:
        print(f"{chosen.name}: the study worked on last; --study names another")
    for path in files:
        print(path)


@study.command()
@STORAGE
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; 0.0.0.0 for all.")
@click.option("--port", type=click.IntRange(1, 65535), default=13000, show_default=True, help="Port.")
def serve(storage: str | None, host: str, port: int) -> None:
    """Let many workers share one connection to a database: they name grpc://HOST:PORT as their storage.

    Whoever reaches the port can change the studies. Runs until it is stopped.
    """
    from glacier_ml.studies.storages import serve_proxy

    serve_proxy(storage, host, port)
