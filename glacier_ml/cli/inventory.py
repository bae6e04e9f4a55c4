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
def run_inventory(**chosen: Any) -> None:
    """Outline mapped glaciers, with areas, their uncertainty and change since existing outlines."""
    from glacier_ml.products.inventory.compilation import inventory

    files = inventory(**chosen)
    for row in files.table.to_dict("records"):
        print(
            f"{row['scene']}: {row['glaciers']} glaciers, {row['area_km2']:.3f} km2, "
            f"+- {row['uncertainty_independent_km2']:.3f} (errors independent) "
            f"to {row['uncertainty_correlated_km2']:.3f} (all alike)"
        )
        if row.get("known_glaciers_seen") == row.get("known_glaciers_seen") and row.get("known_glaciers_seen"):
            print(
                f"  change of {row['known_glaciers_seen']:.0f} known glaciers: {row['change_km2']:+.3f} km2, "
                f"{row['verdict_independent']} (errors independent), {row['verdict_correlated']} (all alike)"
            )
    for path in (files.outlines, files.glaciers, files.summary, files.plot):
        print(path)
