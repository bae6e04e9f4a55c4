"""The command that turns maps into an inventory."""

from __future__ import annotations

from typing import Any

import click

from glacier_ml.cli.group import cli
from glacier_ml.cli.options import FOLDER, METRES, WORD, WORDS


@cli.command("inventory")
@click.option(
    "--maps", type=FOLDER, default="maps", show_default=True, help="Folder of maps that predict wrote."
)
@click.option(
    "--output",
    type=FOLDER,
    default="inventory.gpkg",
    show_default=True,
    help="File of outlines: .gpkg, .geojson, .shp, .parquet or .fgb.",
)
@click.option(
    "--schema",
    default="rgi7",
    show_default=True,
    help="Whose columns come first: rgi7, or glims for a submission.",
)
@click.option(
    "--outlines",
    type=WORD,
    default="",
    help="Existing outlines with ids (RGI, GLIMS, an earlier inventory): divides, and change since.",
)
@click.option(
    "--minimum-area",
    "--minimum_area",
    type=float,
    default=0.01,
    show_default=True,
    help="Smallest glacier [km2].",
)
@click.option(
    "--simplify", type=METRES, default="", help="Tolerance of simpler outlines [m]  [default: every pixel]"
)
@click.option("--scene", type=WORD, default="", help="One scene of the folder  [default: all]")
@click.option(
    "--terms",
    type=WORDS,
    default="half_pixel,probability,ensemble",
    show_default=True,
    help="What the combined uncertainty is made of; leave out probability where it is not calibrated.",
)
@click.option(
    "--data",
    type=WORD,
    default="",
    help="The scenes mapped: draws the outlines on them  [default: no picture]",
)
def run_inventory(maps: str, output: str, terms: tuple[str, ...] | None, **chosen: Any) -> None:
    """Outline mapped glaciers, with areas, their uncertainty and change since existing outlines."""
    from glacier_ml.products.inventory.compilation import inventory
    from glacier_ml.products.inventory.options import InventoryOptions

    files = inventory(maps, output, InventoryOptions(terms=terms or (), **chosen))
    for line in files.lines:
        print(line)
    for path in files.paths:
        print(path)
