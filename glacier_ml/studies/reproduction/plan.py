"""What is to be done: which studies the wanted figures need, under which protocol, the cheap ones first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from glacier_ml.errors import GlacierError
from glacier_ml.studies.data import TrainingData, load_training_data
from glacier_ml.studies.experiment import Budget, Experiment, Side, read_experiment

EXPERIMENTS = "experiments/report"
# Seconds a trial of the per-pixel network come before minutes a trial of the U-Net; what a timeout leaves out
# is then as little as can be.
ORDER = (
    "figure_08",
    "figure_07_learning_rate",
    "figure_07_penalty",
    "figure_13",
    "figure_09",
    "figure_11",
    "figure_06",
    "figure_05",
    "figure_10",
    "wished_threshold",
    "wished_noise",
    "wished_levels",
    "wished_head",
    "wished_optimiser",
)
TUNING = tuple(study for study in ORDER if study[:9] in {f"figure_{number:02d}" for number in range(5, 10)})
# What can be asked for, and the studies that it is drawn from.
PICTURES: dict[str, tuple[str, ...]] = {
    "figure_03": (),
    "figure_04": (),
    "figure_05": ("figure_05",),
    "figure_06": ("figure_06",),
    "figure_07": ("figure_07_learning_rate", "figure_07_penalty"),
    "figure_08": ("figure_08",),
    "figure_09": ("figure_09",),
    "figure_10": ("figure_10",),
    "figure_11": ("figure_11",),
    "figure_12": ("figure_11",),
    "figure_13": ("figure_13",),
    "figure_14": ("figure_13",),
    "table_1": TUNING,
    **{study: (study,) for study in ORDER if study.startswith("wished_")},
}


@dataclass(frozen=True)
class Work:
    """One study to run: a figure's or wish's under one protocol.

    Attributes
    ----------
    study : str
        One of `ORDER`, the name of its experiment file.
    protocol : str
        'sound' or 'report'.
    experiment : Experiment
        As protocol and budget have it.
    data : TrainingData
        What it trains on.
    """

    study: str
    protocol: Side
    experiment: Experiment
    data: TrainingData


def chosen_pictures(figure: str) -> tuple[str, ...]:
    """Read what is asked for.

    Parameters
    ----------
    figure : str
        'all', or a comma list of numbers (3 to 14), table_1, wished (all of them), wished_noise and so on.

    Examples
    --------
    >>> chosen_pictures("9, 12, wished_noise")
    ('figure_09', 'figure_12', 'wished_noise')
    """
    chosen: list[str] = []
    for word in (part.strip() for part in figure.split(",")):
        name = f"figure_{int(word):02d}" if word.isdecimal() else word
        found = [one for one in PICTURES if name in ("all", one, one.partition("_")[0])]
        if not found or name == "figure":
            raise GlacierError(
                f"figure: '{word}' is not one of the report's; choose all, numbers from 3 to 14, table_1, "
                f"{', '.join(one for one in PICTURES if one.startswith('wished_'))}, or a comma list of them"
            )
        chosen += found
    return tuple(dict.fromkeys(chosen))


def chosen_protocols(protocol: str) -> tuple[Side, ...]:
    """Read which protocols are asked for: 'both', 'sound' or 'report'."""
    known: tuple[Side, ...] = get_args(Side)
    if protocol not in ("both", *known):
        raise GlacierError(f"protocol: '{protocol}' is not known; choose both, {' or '.join(known)}")
    return tuple(side for side in known if protocol in ("both", side))


def check_budget(budget: str) -> Budget:
    """Read the budget: 'full', 'small' or 'tiny'."""
    known: tuple[Budget, ...] = get_args(Budget)
    for one in known:
        if one == budget:
            return one
    raise GlacierError(f"budget: '{budget}' is not known; choose {', '.join(known)}")


def plan(
    pictures: Iterable[str], protocols: Sequence[Side], budget: Budget, data: str | None, folder: str
) -> list[Work]:
    """List the studies that the pictures need, and load what they train on.

    The wishes have the sound protocol alone: the report did not get to them.

    Raises
    ------
    GlacierError
        Where an experiment file is missing or wrong, or the training scenes cannot serve one of its trials.
    """
    wanted = {study for picture in pictures for study in PICTURES[picture]}
    variants = [
        (study, side, experiment.variant(side, budget))
        for study in ORDER
        if study in wanted
        for experiment in [read_experiment(Path(folder) / f"{study}.yaml")]
        for side in protocols
        if side in experiment.sides
    ]
    loaded: dict[tuple, TrainingData] = {}
    for _, side, variant in variants:
        key = (side, variant.split_rule)
        if key not in loaded:
            alike = [one for _, other, one in variants if (other, one.split_rule) == key]
            extremes = [parameters for one in alike for parameters in one.extremes]
            loaded[key] = load_training_data(data, variant.split_rule, extremes)
    return [Work(study, side, one, loaded[side, one.split_rule]) for study, side, one in variants]
