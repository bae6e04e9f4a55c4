"""The command line: one command for each entry point of MLproject, and the same words."""

from __future__ import annotations

import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from glacier_ml.errors import GlacierError

DATA_HELP = (
    "A catalog (YAML), a folder that holds catalog.yaml, one scene, or a folder of scene folders. "
    "Without it the made scenes serve."
)


class _Optional(click.ParamType):
    """A number or word that may be empty: MLproject passes '' for what was not given."""

    def __init__(self, kind: Any, name: str) -> None:
        self.kind, self.name = kind, name

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """Give None for '', the number or word else."""
        if value is None or value == "":
            return None
        return self.kind.convert(value, param, ctx)


WORD = _Optional(click.STRING, "text")
COUNT = _Optional(click.IntRange(min=1), "number")
SECONDS = _Optional(click.FloatRange(min=0, min_open=True), "seconds")
SEED = click.IntRange(min=0)
METHOD = _Optional(click.Choice(["mtl", "chander"]), "method")


class _Folder(click.ParamType):
    """Path of a folder; `~` is the home folder also where no shell saw it, as in -P output=~/maps."""

    name = "folder"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """Give the path with the home folder put in."""
        return os.path.expanduser(value)


FOLDER = _Folder()


class _List(click.ParamType):
    """Words or numbers between commas; None for ''."""

    def __init__(self, kind: Any, name: str, length: int | None = None) -> None:
        self.kind, self.name, self.length = kind, name, length

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """Give a tuple of words or numbers."""
        if value is None or value == "" or isinstance(value, tuple):
            return value or None
        parts = tuple(self.kind.convert(part.strip(), param, ctx) for part in value.split(","))
        if self.length and len(parts) != self.length:
            self.fail(f"{value!r} has {len(parts)} numbers; give west,south,east,north", param, ctx)
        return parts


BOUNDS = _List(click.FLOAT, "west,south,east,north", 4)
MASKS = _List(click.STRING, "masks")

_data = click.option("--data", type=WORD, default="", help=DATA_HELP)
_seed = click.option(
    "--seed", type=SEED, default=0, show_default=True, help="Of weights, batches and search."
)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="glacier_ml")
def cli() -> None:
    """Map glaciers from Landsat scenes with a U-Net and a per-pixel network; find out which serves better.

    Runs are tracked by MLflow: `mlflow ui` in the same folder shows them.
    """


def _output(default: str, told: str) -> Any:
    return click.option("--output", type=FOLDER, default=default, show_default=True, help=told)


def _experiment(default: str) -> Any:
    return click.option(
        "--experiment",
        default=default,
        show_default=True,
        help="Experiment file: what is fixed and searched.",
    )


def _tuning(command: Any) -> Any:
    options = (
        _data,
        click.option(
            "--trials", type=COUNT, default="", help="Trials in all; the same command resumes a study."
        ),
        click.option(
            "--timeout", type=SECONDS, default="", help="Seconds after which no further trial starts."
        ),
        _seed,
        click.option(
            "--storage", type=WORD, default="", help="Optuna storage URL  [default: sqlite:///optuna.db]"
        ),
        click.option("--workers", type=click.IntRange(1, 1), default=1, help="Processes; one for now."),
    )
    for option in reversed(options):
        command = option(command)
    return command


@cli.command("tune-unet")
@_experiment("experiments/unet.yaml")
@_tuning
def tune_unet(experiment: str, workers: int, data: str | None, **options: Any) -> None:
    """Run or resume a study of the U-Net, and register its best as challenger."""
    from glacier_ml.studies.commands import run_study

    run_study("unet", experiment, data, **options)


@cli.command("tune-ffnn")
@_experiment("experiments/ffnn.yaml")
@_tuning
def tune_ffnn(experiment: str, workers: int, data: str | None, **options: Any) -> None:
    """Run or resume a study of the per-pixel network, and register its best as challenger."""
    from glacier_ml.studies.commands import run_study

    run_study("ffnn", experiment, data, **options)


@cli.command()
@_data
@_experiment("experiments/unet.yaml")
@click.option("--run", type=WORD, default="", help="Take the parameters of this run instead of the baseline.")
@click.option(
    "--init", type=WORD, default="", help="Go on from this model, such as models:/glacier-unet@champion."
)
@click.option("--register", type=click.BOOL, default=False, help="Register the result as challenger.")
@_seed
def train(
    data: str | None, experiment: str, run: str | None, init: str | None, register: bool, seed: int
) -> None:
    """Fit one set of parameters, tracked: the experiment's baseline, a run's, or a model's, further."""
    from glacier_ml.studies.commands import run_training

    run_training(experiment, data, run, init, register, seed)


@cli.command()
@click.option("--model", default="both", show_default=True, help="unet, ffnn or both.")
@click.option("--force", type=click.BOOL, default=False, help="Promote whatever the comparison says.")
@click.option("--data", type=WORD, default="", help="Where the challenger's scenes lie, if they have moved.")
def promote(model: str, force: bool, data: str | None) -> None:
    """Make the challenger champion if it is better on pixels that neither was trained on."""
    from glacier_ml.studies.commands import run_promotion

    run_promotion(model, force, data)


@cli.command("cross-validate")
@_data
@_experiment("experiments/unet.yaml")
@click.option("--seeds", type=click.IntRange(min=1), default=1, show_default=True, help="Seeds a fold.")
@click.option(
    "--protocol", default="place", show_default=True, help="place, region, scene, block or random (leaky)."
)
def cross_validate(data: str | None, experiment: str, seeds: int, protocol: str) -> None:
    """Train fixed parameters on folds and score the part left out; nothing is registered."""
    from glacier_ml.studies.commands import run_cross_validation

    run_cross_validation(experiment, data, seeds, protocol)


@cli.command()
@_data
@_output("comparison", "Folder for tables and maps.")
def compare(data: str | None, output: str) -> None:
    """Score champions and baselines on the held-out scenes (role test)."""
    from glacier_ml.studies.commands import run_comparison

    run_comparison(data, output)


@cli.command()
@_data
@click.option("--model", default="models:/glacier-unet@champion", show_default=True, help="Registered model.")
@_output("maps", "Folder for rasters and previews.")
@click.option("--scheduler", type=WORD, default="", help="Not in use yet: scenes are mapped one by one.")
def predict(data: str | None, model: str, output: str, scheduler: str | None) -> None:
    """Map every scene of data with a registered model: probability, mask, preview, area."""
    from glacier_ml.studies.commands import run_prediction

    if scheduler:
        raise GlacierError(
            f"scheduler: {scheduler} cannot be used yet; leave it out to map scenes one by one"
        )
    run_prediction(data, model, output)


@cli.command("import-scene")
@click.option(
    "--source",
    type=WORD,
    default="",
    help="Landsat bundle (folder, .tar, .tar.gz, .zip), export, STAC Item or URL of one.",
)
@_output("scenes", "Folder that gets one folder a scene.")
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
@_data
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
@_output("scenes", "Folder for the scenes and their catalog.")
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
@_output("made_scenes", "Folder to write.")
@_seed
def synthesize(output: str, seed: int) -> None:
    """Write the made scenes, with outlines, ground classes and a catalog, to a folder."""
    from pathlib import Path

    from glacier_ml.scenes.made.synthetic import synthesize as write

    print(write(Path(output), seed))


@cli.command("main")
@_data
@click.option("--trials", type=COUNT, default=3, show_default=True, help="Trials of each study.")
@_seed
def everything(data: str | None, trials: int | None, seed: int) -> None:
    """Tune both networks, promote, compare on the held-out scenes and map them, in one go."""
    from glacier_ml.studies.commands import run_everything

    run_everything(data, trials, seed)


def main(arguments: list[str] | None = None) -> None:
    """Run a command; bad input becomes one line on stderr and exit status 2, a mended outline a warning."""
    try:
        with _warned(), _ended_tidily():
            status = cli.main(arguments, prog_name="glacier-ml", standalone_mode=False)
    except GlacierError as error:
        _stop(str(error))
    except click.ClickException as error:
        _stop(error.format_message())
    except click.Abort:
        sys.exit(130)
    sys.exit(status if isinstance(status, int) else 0)


@contextmanager
def _ended_tidily() -> Iterator[None]:
    """Let a told end (kill, a closed terminal) leave the blocks that remove what is half-made."""

    def end(number: int, frame: Any) -> None:
        raise SystemExit(128 + number)

    names = ("SIGTERM", "SIGHUP") if threading.current_thread() is threading.main_thread() else ()
    signals = [getattr(signal, name) for name in names if hasattr(signal, name)]
    # What is ignored, as nohup does it, stays ignored.
    taken = [one for one in signals if signal.getsignal(one) is signal.SIG_DFL]
    for one in taken:
        signal.signal(one, end)
    try:
        yield
    finally:
        for one in taken:
            signal.signal(one, signal.SIG_DFL)


@contextmanager
def _warned() -> Iterator[None]:
    """Tell our own warnings in one line each, without the place in the source; others as Python does."""
    usual = warnings.showwarning

    def show(message: Any, category: Any, *place: Any, **options: Any) -> None:
        if category.__module__.partition(".")[0] == "glacier_ml":
            print(f"glacier-ml: warning: {' '.join(str(message).split())}", file=sys.stderr)
        else:
            usual(message, category, *place, **options)

    warnings.showwarning = show
    try:
        yield
    finally:
        warnings.showwarning = usual


def _stop(message: str) -> None:
    print(f"glacier-ml: error: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(2)
