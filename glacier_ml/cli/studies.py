"""Commands that train, search, judge and map."""

from __future__ import annotations

from typing import Any

import click

from glacier_ml.cli.group import cli
from glacier_ml.cli.options import (
    COUNT,
    DATA,
    SECONDS,
    SEED_OPTION,
    WORD,
    experiment_option,
    output_option,
    seeds_option,
    tuning_options,
)


@cli.command("tune-unet")
@experiment_option("experiments/unet.yaml")
@tuning_options
def tune_unet(experiment: str, data: str | None, **options: Any) -> None:
    """Run or resume a study of the U-Net, and register its best as challenger."""
    from glacier_ml.studies.commands import run_study

    run_study("unet", experiment, data, **options)


@cli.command("tune-ffnn")
@experiment_option("experiments/ffnn.yaml")
@tuning_options
def tune_ffnn(experiment: str, data: str | None, **options: Any) -> None:
    """Run or resume a study of the per-pixel network, and register its best as challenger."""
    from glacier_ml.studies.commands import run_study

    run_study("ffnn", experiment, data, **options)


@cli.command()
@DATA
@experiment_option("experiments/unet.yaml")
@click.option("--run", type=WORD, default="", help="Take the parameters of this run instead of the baseline.")
@click.option(
    "--init", type=WORD, default="", help="Go on from this model, such as models:/glacier-unet@champion."
)
@click.option("--register", type=click.BOOL, default=False, help="Register the result as challenger.")
@SEED_OPTION
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
@DATA
@experiment_option("experiments/unet.yaml")
@click.option("--seeds", type=click.IntRange(min=1), default=1, show_default=True, help="Seeds a fold.")
@click.option(
    "--protocol",
    default="place,random",
    show_default=True,
    help="place, region, scene, block, random (leaky), or a comma list.",
)
@output_option("cross_validation", "Folder for the scores of folds, their summary and picture.")
def cross_validate(data: str | None, experiment: str, seeds: int, protocol: str, output: str) -> None:
    """Train fixed parameters on folds and score the part left out; nothing is registered.

    Several experiment files between commas share the folds. A finished fold is not trained again.
    """
    from glacier_ml.studies.commands import run_cross_validation

    run_cross_validation(experiment, data, seeds, protocol, output)


@cli.command()
@DATA
@output_option("comparison", "Folder for tables and maps.")
@seeds_option(3, "Trainings of each champion; others than the first are made anew, once.")
def compare(data: str | None, output: str, seeds: int) -> None:
    """Score champions and baselines on the held-out scenes (role test)."""
    from glacier_ml.studies.commands import run_comparison

    run_comparison(data, output, seeds)


@cli.command()
@DATA
@click.option(
    "--figure",
    default="all",
    show_default=True,
    help="all, numbers from 3 to 14, table_1, wished, wished_noise ..., or a comma list.",
)
@click.option("--protocol", default="both", show_default=True, help="report (as it did), sound, or both.")
@click.option("--budget", default="small", show_default=True, help="full (its grids), small or tiny.")
@output_option("reproduction", "Folder for figures, tables and a README.")
@click.option("--timeout", type=SECONDS, default="", help="Seconds after which no further trial starts.")
@SEED_OPTION
@seeds_option(1, "Trainings of every value, from --seed on; three tell what chance does.")
@click.option("--storage", type=WORD, default="", help="Optuna storage URL  [default: sqlite:///optuna.db]")
@click.option(
    "--experiments", default="experiments/report", show_default=True, help="Folder of the figures' files."
)
def reproduce(data: str | None, **options: Any) -> None:
    """Rerun the report's studies: its figures 3 to 14, its table 1, and what it wished to know.

    The same command goes on where it was stopped.
    """
    from glacier_ml.studies.reproduction import reproduce as run

    run(data, **options)


@cli.command("main")
@DATA
@click.option("--trials", type=COUNT, default=3, show_default=True, help="Trials of each study.")
@SEED_OPTION
@seeds_option(1, "Trainings of each champion in the comparison; three tell what chance does.")
def everything(data: str | None, trials: int | None, seed: int, seeds: int) -> None:
    """Tune both networks, promote, compare on the held-out scenes and map them, in one go."""
    from glacier_ml.studies.commands import run_everything

    run_everything(data, trials, seed, seeds)
