"""An experiment file as a strict, typed object: what is fixed, what is searched, and how long."""

from __future__ import annotations

import hashlib
import json
import math
import re
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError, model_validator

from glacier_ml.errors import GlacierError
from glacier_ml.learning.parameters import AnyParameters, first_fault, parse_parameters
from glacier_ml.learning.splits import Protocol, SplitRule
from glacier_ml.scenes.entries import UniqueKeyLoader
from glacier_ml.studies.stopping import Plateau

Value = bool | int | float | str | list[int]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Choices(_Strict):
    """A parameter searched over named values."""

    choices: list[Value] = Field(min_length=1)

    @property
    def words(self) -> list[bool | int | float | str]:
        """The choices as a storage of studies can hold them: a list as its JSON text.

        >>> Choices(choices=[[], [32, 32]]).words
        ['[]', '[32, 32]']
        """
        return [json.dumps(value) if isinstance(value, list) else value for value in self.choices]

    @property
    def probes(self) -> list[Value]:
        """Values that must be valid for the whole search to be."""
        return self.choices


class Range(_Strict):
    """A parameter searched between two numbers, both included; whole numbers if both bounds are."""

    low: int | float
    high: int | float
    log: bool = False

    @model_validator(mode="after")
    def _ordered(self) -> Range:
        if self.low >= self.high or (self.log and self.low <= 0):
            raise ValueError("low must be below high, and above 0 where log is true")
        return self

    @property
    def whole(self) -> bool:
        """Whether only whole numbers are searched."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    @property
    def probes(self) -> list[Value]:
        """Values that must be valid for the whole search to be."""
        return [self.low, self.high]


def _kind(space: Any) -> str:
    """Which of the two a searched parameter is meant to be, so that its faults are told as that kind's."""
    chosen = isinstance(space, Choices) or (isinstance(space, dict) and "choices" in space)
    return "Choices" if chosen else "Range"


Space = Annotated[Annotated[Choices, Tag("Choices")] | Annotated[Range, Tag("Range")], Discriminator(_kind)]


class SplitSection(_Strict):
    """How validation pixels are set apart; see `glacier_ml.learning.splits.SplitRule`."""

    protocol: Protocol = "block"
    fraction: float = Field(default=0.2, gt=0, lt=1)
    block: int = Field(default=128, ge=1)
    gap: int = Field(default=16, ge=0)
    held: list[str] = []


class StopSection(_Strict):
    """When the search ends before its number of trials; see `glacier_ml.studies.stopping.Plateau`."""

    rule: Literal["plateau"]
    patience: int = Field(default=Plateau.patience, ge=1)
    gain: float = Field(default=Plateau.gain, ge=0, lt=1)
    at_least: int = Field(default=Plateau.at_least, ge=1)


def _stop_kind(stop: Any) -> str:
    return "Never" if isinstance(stop, str) else "Plateau"


Stop = Annotated[
    Annotated[StopSection, Tag("Plateau")] | Annotated[Literal["none"], Tag("Never")],
    Discriminator(_stop_kind),
]

Side = Literal["sound", "report"]
Budget = Literal["full", "small", "tiny"]


class Changes(_Strict):
    """What a protocol or a budget replaces, key by key; a parameter given null goes back to its default.

    `protocols` is what a budget replaces in one protocol alone.
    """

    parameters: dict[str, Any] = {}
    search: dict[str, Space] = {}
    split: SplitSection | None = None
    protocols: dict[Side, Changes] = {}


# Keys that shape no trial of the file itself; a variant has taken over what its protocol and budget say.
NO_TRIAL = {"title", "trials", "stop", "thresholds", "protocols", "budgets"}


class Experiment(_Strict):
    """One experiment file.

    Attributes
    ----------
    name : str
        Of the studies that it starts.
    title : str
        What it asks.
    parameters : dict
        Values of everything that is not searched, and the known-good baseline of what is.
    search : dict
        Parameter name to `choices`, or `low` and `high`.
    trials : int
        Complete and pruned trials in all.
    stop : StopSection or 'none'
        When the search ends before; without it, it does not end but says when it could have. 'none' says
        nothing either.
    final_epochs : int
        Epochs of the refit of the best parameters.
    memory_limit : float
        Share of the memory available at the start that one step of a trial may take by estimate.
    thresholds : list of float
        Probabilities from which on a trained network's map is glacier, where that is the question.
    protocols, budgets : dict of Changes
        What `variant` replaces: by the report's way of doing it, by a smaller budget.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]
    title: str = ""
    parameters: dict[str, Any]
    search: dict[str, Space] = {}
    split_seed: int = Field(default=0, ge=0)
    split: SplitSection = SplitSection()
    trials: int = Field(default=12, ge=1)
    stop: Stop | None = None
    final_epochs: int = Field(default=30, ge=1)
    sampler: Literal["tpe", "random", "grid"] = "tpe"
    pruner: Literal["median", "none"] = "median"
    startup_trials: int = Field(default=4, ge=0)
    warmup_epochs: int = Field(default=2, ge=0)
    memory_limit: float = Field(default=0.6, gt=0, le=1)
    thresholds: list[Annotated[float, Field(gt=0, lt=1)]] = []
    protocols: dict[Side, Changes] = {}
    budgets: dict[Budget, Changes] = {}

    @property
    def network(self) -> str:
        """'unet' or 'ffnn'."""
        return str(self.parameters["network"])

    @property
    def baseline(self) -> AnyParameters:
        """The known-good parameters."""
        return self.with_values({})

    @property
    def extremes(self) -> list[AnyParameters]:
        """The baseline, and the baseline with one searched parameter at each of its choices or bounds."""
        probes = ((key, value) for key, space in self.search.items() for value in space.probes)
        return [self.baseline, *(self.with_values({key: value}) for key, value in probes)]

    @property
    def split_rule(self) -> SplitRule:
        """How validation pixels are set apart."""
        section = self.split.model_dump()
        return SplitRule(**{**section, "held": tuple(section["held"])}, seed=self.split_seed)

    @property
    def stop_rule(self) -> Plateau | None:
        """The rule that ends the search, or advises to; None for a grid, whose points are all asked for."""
        if self.stop == "none" or self.sampler == "grid":
            return None
        return Plateau(**self.stop.model_dump(exclude={"rule"})) if self.stop else Plateau()

    @property
    def digest(self) -> str:
        """SHA-256 of all that shapes a trial; `trials` and `stop` only say how many there are."""
        content = self.model_dump(mode="json", exclude=NO_TRIAL)
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def with_values(self, values: dict[str, Any]) -> AnyParameters:
        """Give the parameters with some values replaced, lists also from their JSON text."""
        plain = {
            key: json.loads(value) if isinstance(value, str) and value.startswith("[") else value
            for key, value in values.items()
        }
        return parse_parameters({**self.parameters, **plain}, f"experiment {self.name}")

    @property
    def sides(self) -> tuple[Side, ...]:
        """Protocols that the file has: always the sound one, and the report's where it says what differs."""
        return ("sound", *(side for side in self.protocols if side != "sound"))

    def variant(self, protocol: Side = "sound", budget: Budget = "full") -> Experiment:
        """Give the experiment as one protocol and budget have it; a grid's trials are all its points.

        The protocol's changes come first, then the budget's, then the budget's for that protocol.

        Raises
        ------
        GlacierError
            Where the experiment has no such protocol or budget, or the values do not fit together.
        """
        self._check_known("protocol", protocol, self.sides)
        self._check_known("budget", budget, ("full", *self.budgets))
        values = self.model_dump(exclude={"protocols", "budgets"}, exclude_unset=True)
        size = self.budgets.get(budget, Changes())
        for changes in (self.protocols.get(protocol), size, size.protocols.get(protocol)):
            if changes:
                values = _changed(values, changes)
        name = "-".join([self.name, protocol, budget])
        changed = Experiment.model_validate({**values, "name": name})
        _check(changed, f"experiment {name}")
        points = math.prod(len(space.probes) for space in changed.search.values())
        return changed.model_copy(update={"trials": points}) if self.sampler == "grid" else changed

    def _check_known(self, key: str, name: str, known: tuple[str, ...]) -> None:
        if name not in known:
            raise GlacierError(
                f"experiment {self.name}: {key}: has no '{name}'; choose among {', '.join(known)}"
            )


def _changed(values: dict[str, Any], changes: Changes) -> dict[str, Any]:
    new = changes.model_dump(exclude={"protocols"}, exclude_unset=True)
    merged = {key: {**values.get(key, {}), **new.get(key, {})} for key in ("parameters", "search")}
    merged["parameters"] = {key: value for key, value in merged["parameters"].items() if value is not None}
    return values | merged | ({"split": new["split"]} if new.get("split") else {})


class _Loader(UniqueKeyLoader):
    """YAML 1.2's floats: without this, 1e-3 would be read as a string."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)$"),
    list("-+.0123456789"),
)


def read_experiment(path: str | Path, network: str | None = None) -> Experiment:
    """Read and check an experiment file.

    Parameters
    ----------
    path : str or Path
        YAML file.
    network : str, optional
        'unet' or 'ffnn', where only that kind will do.

    Raises
    ------
    GlacierError
        Naming file, key, rule and what came.
    """
    path = Path(path)
    if not path.is_file():
        raise GlacierError(
            f"{path}: no such experiment file; see experiments/ for those that come with the project"
        )
    try:
        content = yaml.load(path.read_text(), Loader=_Loader)
        experiment = Experiment.model_validate(content)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise GlacierError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from error
    except ValidationError as error:
        raise GlacierError(f"{path}: {_readable(first_fault(error))}") from error
    _check(experiment, path)
    for side, budget in product(experiment.sides, experiment.budgets):
        experiment.variant(side, budget)
    if network and experiment.network != network:
        raise GlacierError(
            f"{path}: network: is {experiment.network}, this command tunes a {network}; "
            f"use tune_{experiment.network}"
        )
    return experiment


def _readable(fault: str) -> str:
    """Drop the branch names that pydantic adds to a union's keys."""
    return re.sub(r"\.(Choices|Range|Plateau|Never)\b", "", fault)


def _check(experiment: Experiment, path: str | Path) -> None:
    baseline = parse_parameters(experiment.parameters, f"{path}: parameters")
    for key, space in experiment.search.items():
        if key not in type(baseline).model_fields or key == "network":
            raise GlacierError(
                f"{path}: search.{key}: no parameter of a {experiment.network}; "
                f"choose among {', '.join(sorted(type(baseline).model_fields))}"
            )
        for value in space.probes:
            parse_parameters({**experiment.parameters, key: value}, f"{path}: search.{key}")
    if experiment.network == "unet":
        _check_tiles(experiment, path)
    if experiment.sampler == "grid" and any(isinstance(space, Range) for space in experiment.search.values()):
        raise GlacierError(
            f"{path}: sampler: a grid needs choices for every searched parameter, not low and high"
        )
    if experiment.sampler == "grid" and isinstance(experiment.stop, StopSection):
        raise GlacierError(
            f"{path}: stop: a grid tries all of its points; leave stop out, or search with sampler: tpe"
        )


def _check_tiles(experiment: Experiment, path: str | Path) -> None:
    """Refuse tile sizes that some searched number of levels cannot pool: trials would fail midway."""
    sizes, levels = experiment.search.get("tile_size"), experiment.search.get("levels")
    if isinstance(sizes, Range):
        raise GlacierError(
            f"{path}: search.tile_size: few sizes from {sizes.low} to {sizes.high} px fit a U-Net's levels; "
            "name choices: {choices: [96, 128]}"
        )
    if sizes and levels:
        for size, count in product(sizes.probes, levels.probes):
            values = {**experiment.parameters, "tile_size": size, "levels": count}
            parse_parameters(values, f"{path}: search.tile_size, search.levels")
