"""What options take, and those that several commands share."""

from __future__ import annotations

import os
from typing import Any

import click

DATA_HELP = (
    "A catalog (YAML), a folder that holds catalog.yaml, one scene, or a folder of scene folders. "
    "A scene may be an address (https, s3, gs, az). Without it the made scenes serve."
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
METRES = _Optional(click.FloatRange(min=0), "metres")
SEED = click.IntRange(min=0)
METHOD = _Optional(click.Choice(["mtl", "chander"]), "method")


class _Path(click.ParamType):
    """Path of a folder or file; `~` is the home folder also where no shell saw it, as in -P output=~/maps."""

    def __init__(self, name: str) -> None:
        self.name = name

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """Give the path with the home folder put in."""
        return os.path.expanduser(value)


FOLDER = _Path("folder")
FILE = _Path("file")


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


class _Keep(click.ParamType):
    """How many of a study's networks are kept: a number from 1 on, None for 'all'."""

    name = "number"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """Give the number."""
        if value == "all" or value is None:
            return None
        if not str(value).strip().isdecimal() or int(value) < 1:
            self.fail(f"{value!r} is neither a number from 1 on nor 'all'", param, ctx)
        return int(value)


BOUNDS = _List(click.FLOAT, "west,south,east,north", 4)
MASKS = _List(click.STRING, "masks")
WORDS = _List(click.STRING, "words")

DATA = click.option("--data", type=WORD, default="", help=DATA_HELP)
SEED_OPTION = click.option(
    "--seed", type=SEED, default=0, show_default=True, help="Of weights, batches and search."
)


def output_option(default: str, told: str) -> Any:
    """Give the option for a folder to write to."""
    return click.option("--output", type=FOLDER, default=default, show_default=True, help=told)


def seeds_option(default: int, told: str) -> Any:
    """Give the option for the number of trainings of each champion."""
    return click.option("--seeds", type=click.IntRange(min=1), default=default, show_default=True, help=told)


def experiment_option(default: str) -> Any:
    """Give the option for the experiment file."""
    return click.option(
        "--experiment",
        default=default,
        show_default=True,
        help="Experiment file: what is fixed and searched.",
    )


def tuning_options(command: Any) -> Any:
    """Give a command the options of a study."""
    options = (
        DATA,
        click.option(
            "--trials",
            type=COUNT,
            default="",
            help="Trials in all, whatever `stop` says; the same command resumes.",
        ),
        click.option(
            "--timeout", type=SECONDS, default="", help="Seconds after which no further trial starts."
        ),
        SEED_OPTION,
        click.option(
            "--storage",
            type=WORD,
            default="",
            help="Where the study is kept, for one machine or many: sqlite:///FILE, "
            "postgresql://USER@HOST/DATABASE, journal:FILE, grpc://HOST:PORT  [default: sqlite:///optuna.db]",
        ),
        click.option(
            "--keep",
            type=_Keep(),
            default=3,
            show_default=True,
            help="Trials whose trained networks are kept, the best; or all.",
        ),
        click.option(
            "--workers",
            type=click.IntRange(min=1),
            default=1,
            show_default=True,
            help="Processes on this machine; they share its cores and memory.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command
