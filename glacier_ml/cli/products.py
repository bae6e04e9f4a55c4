"""Commands that make maps to take away."""

from __future__ import annotations

import click

from glacier_ml.cli.group import cli
from glacier_ml.cli.options import DATA, WORD, output_option, seeds_option


@cli.command()
@DATA
@click.option(
    "--model",
    default="models:/glacier-unet@champion",
    show_default=True,
    help="Registered model, a run's, a folder; several between commas map together.",
)
@output_option("maps", "Folder for rasters, styles, previews and areas.csv.")
@seeds_option(
    1, "Trainings of the model that map together, of those that compare made; their spread is mapped."
)
@click.option(
    "--encoding",
    type=click.Choice(["float32", "uint8"]),
    default="float32",
    show_default=True,
    help="Of probability and uncertainty; uint8 is percent, a quarter of the size.",
)
@click.option(
    "--blend",
    type=click.Choice(["smooth", "halo"]),
    default="smooth",
    show_default=True,
    help="How a U-Net's windows meet: they fade, or all is as in one pass, at 2 to 4 times the work.",
)
@click.option(
    "--symmetric",
    type=click.BOOL,
    default=False,
    show_default=True,
    help="Average the eight turned and mirrored images of each window, at eight times the work.",
)
@click.option(
    "--scheduler",
    type=WORD,
    default="",
    help="Dask: local, or the address of a cluster, tcp://host:port  [default: one scene after the other]",
)
def predict(
    data: str | None,
    model: str,
    output: str,
    seeds: int,
    encoding: str,
    blend: str,
    symmetric: bool,
    scheduler: str | None,
) -> None:
    """Map every scene of data with a registered model: probability, mask, uncertainty, preview, area.

    Scenes of any size are mapped in windows, a whole frame in less than 3 GB of memory. The same command goes
    on where it was stopped: scenes that are mapped already are left as they are.
    """
    from glacier_ml.learning.stitching import Stitching
    from glacier_ml.products.mapping import MapOptions
    from glacier_ml.studies.prediction import predict as run

    options = MapOptions(encoding, Stitching(blend, symmetric))  # type: ignore[arg-type]
    run(data, model, output, seeds=seeds, options=options, scheduler=scheduler)
