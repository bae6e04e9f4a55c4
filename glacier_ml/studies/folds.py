"""Folds of a cross-validation: what each trains on, and the part that it leaves out to be scored."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import cast

from glacier_ml.errors import GlacierError
from glacier_ml.evaluation.spread.places import WITHIN
from glacier_ml.learning.samples import check_samples
from glacier_ml.learning.splits import Mask, Protocol, SplitRule, check_protocol, make_split
from glacier_ml.learning.store import open_store
from glacier_ml.scenes.catalog import Catalog, LabelledScene, dataset_digest, open_catalog
from glacier_ml.studies.data import TrainingData, check_alike, load_scenes
from glacier_ml.studies.experiment import Experiment


@dataclass(frozen=True)
class Fold:
    """Scenes to train on and scenes to score; at random and by block both are the same, by other pixels.

    Attributes
    ----------
    protocol, name : str
        How the folds were made, and which place, region or scene this one leaves out.
    data : TrainingData
        What it trains on, with threshold and temperature from its own validation blocks.
    held : tuple of LabelledScene
        What it is scored on.
    """

    protocol: str
    name: str
    data: TrainingData
    held: tuple[LabelledScene, ...]

    @property
    def trained(self) -> str:
        """What it trains on, in words: up to three regions, places or scenes by name, else their number."""
        kind = self.protocol if self.protocol not in WITHIN else "place"
        names = sorted({group_of(scene, kind) for scene in self.data.scenes})
        return ", ".join(names) if len(names) <= 3 else f"{len(names)} other {kind}s"

    def scored(self, labelled: LabelledScene) -> Mask:
        """Pixels of a held scene that count: all valid ones, or those that the split keeps for scoring."""
        part = self.data.split.scenes.get(labelled.scene.name)
        return labelled.scene.valid if part is None else part.scoring


def load_folds(experiments: Sequence[Experiment], data: str | None, protocols: Sequence[str]) -> list[Fold]:
    """Load the labelled scenes, those of role test included, and make every protocol's folds of them.

    Raises
    ------
    GlacierError
        Where a protocol is unknown, a recipe is the report's, the experiments have one name or split
        differently, scenes hold different kinds of reflectance, folds cannot be made or cannot serve the
        experiments' parameters.
    """
    for protocol in protocols:
        check_protocol(protocol)
    rule = _common_rule(experiments)
    catalog = open_catalog(data)
    scenes = load_scenes(catalog, "train", "test")
    if scenes:
        check_alike(scenes)
    folds = [fold for one in protocols for fold in make_folds(rule, catalog, scenes, one)]
    for fold in folds:
        for experiment in experiments:
            check_samples(fold.data.scenes, experiment.baseline)
    return folds


def _common_rule(experiments: Sequence[Experiment]) -> SplitRule:
    """The one rule by which all experiments split: only then are all scored on the same pixels."""
    for experiment in experiments:
        if experiment.baseline.recipe == "report":  # it trains on whole scenes, on a fold's held pixels too
            raise GlacierError(
                f"{experiment.name}: recipe: report heeds no fold, its split leaks; use recipe: sound"
            )
    names = [experiment.name for experiment in experiments]
    for name in names:
        if names.count(name) > 1:
            raise GlacierError(
                f"experiment: two are called '{name}', and their results could not be told apart; rename one"
            )
    first, *others = experiments
    for other in others:
        if other.split_rule != first.split_rule:
            raise GlacierError(
                f"experiment: {first.name} and {other.name} split differently and would be scored on other "
                "pixels each; give both the same split and split_seed"
            )
    return first.split_rule


def make_folds(
    rule: SplitRule, catalog: Catalog, scenes: Sequence[LabelledScene], protocol: str
) -> Iterator[Fold]:
    """Make one fold for each place, region or scene; 'random' and 'block' make a single one.

    Raises
    ------
    GlacierError
        Where there are fewer than two places, regions or scenes.
    """
    if protocol in WITHIN:
        inside = replace(rule, protocol=cast(Protocol, protocol), held=())
        yield Fold(protocol, protocol, _training_data(catalog, scenes, inside), tuple(scenes))
        return
    groups = sorted({group_of(scene, protocol) for scene in scenes})
    if len(groups) < 2:
        raise GlacierError(
            f"protocol: leaving out a {protocol} needs two of them; the labelled scenes of {catalog.source} "
            f"have {', '.join(groups) or 'none'}"
        )
    for group in groups:
        held = tuple(scene for scene in scenes if group_of(scene, protocol) == group)
        others = [scene for scene in scenes if group_of(scene, protocol) != group]
        yield Fold(protocol, group, _training_data(catalog, others, rule), held)


def group_of(labelled: LabelledScene, kind: str) -> str:
    """Place, region or name of a scene."""
    entry = labelled.entry
    return {"place": entry.place, "region": entry.region, "scene": entry.name}[kind]


def _training_data(catalog: Catalog, scenes: Sequence[LabelledScene], rule: SplitRule) -> TrainingData:
    split = make_split(scenes, rule)
    return TrainingData(catalog, tuple(scenes), split, dataset_digest(scenes), store=open_store())
