"""Commands that look after what studies leave."""

from __future__ import annotations

import click

from glacier_ml.cli.group import cli
from glacier_ml.cli.options import FOLDER


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
