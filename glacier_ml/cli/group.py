"""The group that all commands belong to."""

from __future__ import annotations

import click


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="glacier_ml")
def cli() -> None:
    """Map glaciers from Landsat scenes with a U-Net and a per-pixel network; find out which serves better.

    Runs are tracked by MLflow: `mlflow ui` in the same folder shows them.
    """
