"""Commands that bring scenes in, judge them and make them."""

from __future__ import annotations

from typing import Any

import click

from glacier_ml.cli.group import cli
from glacier_ml.cli.options import BOUNDS, COUNT, DATA, MASKS, METHOD, SEED_OPTION, WORD, output_option
from glacier_ml.errors import GlacierError


@cli.command("import-scene")
@click.option(
    "--source",
    type=WORD,
    default="",
    help="Landsat bundle (folder, .tar, .tar.gz, .zip), export, STAC Item or URL of one.",
)
@output_option("scenes", "Folder that gets one folder a scene.")
@click.option(
    "--method",
    type=METHOD,
    default="",
    help="DN to reflectance: mtl or chander  [default: mtl, where the MTL lacks the keys chander]",
)
@click.option(
    "--sensor", type=WORD, default="", help="What band numbers mean, where no file says so: TM, ETM+, OLI."
)
@click.option(
    "--bounds", type=BOUNDS, default="", help="west,south,east,north in degrees: import this part alone."
)
@click.option(
    "--drop", type=MASKS, default="", help="Masks without data: cloud,cloud_shadow,saturated_blue ..."
)
@click.option(
    "--outlines", type=WORD, default="", help="RGI or GLIMS polygons: those of the scene are put beside it."
)
@click.option(
    "--overwrite", type=click.BOOL, default=False, help="Replace scene folders that are there already."
)
def import_scene(source: str | None, output: str, drop: tuple[str, ...] | None, **chosen: Any) -> None:
    """Turn what an archive hands out into scene folders of reflectance COGs.

    Clouds are kept unless --drop names them: Landsat's cloud mask takes bright ice for cloud.
    """
    from glacier_ml.scenes.importing import ImportOptions
    from glacier_ml.scenes.importing import import_scene as run

    if source is None:
        raise GlacierError(
            "source: not given; name a Landsat bundle, an export, a STAC Item or a folder of them"
        )
    for imported in run(source, output, ImportOptions(drop=drop or (), **chosen)):
        print(imported)


@cli.command()
@DATA
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
@click.option("--pictures", type=WORD, default="", help="Folder for a picture of each scene  [default: none]")
def inspect(data: str | None, as_json: bool, pictures: str | None) -> None:
    """Tell what is wrong with scenes before they are used: grids, days, saturation, season, outlines."""
    from glacier_ml.products.inspection import inspect_data

    reports = inspect_data(data, pictures)
    if as_json:
        print(f"[{', '.join(report.to_json() for report in reports)}]")
    else:
        print("\n\n".join(report.to_text() for report in reports))


@cli.command()
@click.option(
    "--data", type=WORD, default="", help="A catalog whose scenes have an earth_engine_id and bounds."
)
@output_option("scenes", "Folder for the scenes and their catalog.")
@click.option(
    "--outlines", type=click.BOOL, default=True, show_default=True, help="Fetch the GLIMS outlines, too."
)
@click.option("--project", type=WORD, default="", help="Your Google Cloud project  [default: ee's own]")
def download(data: str | None, output: str, outlines: bool, project: str | None) -> None:
    """Fetch a catalog's scenes and GLIMS outlines from Earth Engine, with your own credentials.

    Needs glacier_ml[earthengine], and `earthengine authenticate` once.
    """
    from pathlib import Path

    from glacier_ml.scenes.download import download as fetch

    if data is None:
        raise GlacierError("data: not given; name a catalog whose scenes have an earth_engine_id and bounds")
    for folder in fetch(Path(data), Path(output), outlines, project):
        print(folder)


@cli.command()
@output_option("made_scenes", "Folder to write.")
@SEED_OPTION
@click.option("--places", type=COUNT, default="", help="Training places of each region  [default: 3]")
@click.option(
    "--dates",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Dates of each training place; later ones have the role test.",
)
def synthesize(output: str, seed: int, places: int | None, dates: int) -> None:
    """Write the made scenes, with outlines, ground classes and a catalog, to a folder."""
    from pathlib import Path

    from glacier_ml.scenes.made.synthetic import synthesize as write

    print(write(Path(output), seed, places=places, dates=dates))
