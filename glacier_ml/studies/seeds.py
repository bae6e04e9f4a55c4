"""Twins of a champion: the same parameters on the same data, trained from other seeds.

A network that is trained anew from another seed draws other maps. How far apart these lie is part of what is
not known of its scores, and one training cannot tell it.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Sequence
from dataclasses import replace

from glacier_ml.errors import GlacierError
from glacier_ml.learning.classifier import NetworkClassifier
from glacier_ml.learning.splits import Split, SplitRule, make_split
from glacier_ml.learning.store import open_store
from glacier_ml.learning.training import TrainingFailed
from glacier_ml.scenes.catalog import Catalog, LabelledScene, dataset_digest
from glacier_ml.studies import tracking
from glacier_ml.studies.data import TrainingData
from glacier_ml.studies.experiment import Experiment
from glacier_ml.studies.progress import tell_epochs
from glacier_ml.studies.registration import prepare_candidate
from glacier_ml.studies.searching import memory_limit
from glacier_ml.studies.trial import run_trial


def champion_split(champion: NetworkClassifier, scenes: Sequence[LabelledScene]) -> Split:
    """Split scenes by the rule that the champion was trained with."""
    rule = champion.origin["splits"][0]["rule"]
    return make_split(scenes, SplitRule(**{**rule, "held": tuple(rule["held"])}))


def champion_seed(champion: NetworkClassifier) -> int | None:
    """Seed that a network was trained from, by its origin or else by its run; None where neither tells."""
    if "seed" in champion.origin:
        return int(champion.origin["seed"])
    try:
        return int(tracking.run_parameters(champion.origin["run_id"])["seed"])
    except (GlacierError, KeyError, ValueError):
        return None


def obstacle(champion: NetworkClassifier, scenes: Sequence[LabelledScene]) -> str:
    """Say why a champion cannot have twins from these training scenes; '' where it can."""
    origin = champion.origin
    if len(origin["splits"]) > 1:
        return "it was trained further from another model, which its seed alone does not repeat"
    if origin.get("dataset_digest") != dataset_digest(scenes):
        return "the catalog's training scenes are not those that it learned from"
    if champion_split(champion, scenes).digest != origin["splits"][0]["digest"]:
        return "its split cannot be drawn again from the catalog's training scenes"
    if champion_seed(champion) is None:
        return "neither it nor its run tells the seed that it was trained from"
    return ""


def twins(champion: NetworkClassifier, catalog: Catalog, seeds: int) -> list[NetworkClassifier]:
    """Train a champion's parameters from other seeds, or take the twins that an earlier call has trained.

    Each twin is a nested run of kind 'seed', calibrated as the champion was: threshold and temperature from
    the calibration half of its validation blocks. Its seeds are the champion's plus 1, 2 ... A training that
    fails leaves a twin out.

    Parameters
    ----------
    champion : NetworkClassifier
        With the origin that registration gave it.
    catalog : Catalog
        Whose scenes of role train are the champion's own.
    seeds : int
        In all, the champion's among them; 1 makes no twin.

    Returns
    -------
    list of NetworkClassifier
        Of the champion's name; their origin tells the seed.

    Raises
    ------
    GlacierError
        Where there is an obstacle.
    """
    if seeds < 2:
        return []
    return _twins(champion, catalog, tuple(entry.load() for entry in catalog.of_role("train")), seeds)


def _twins(
    champion: NetworkClassifier, catalog: Catalog, scenes: tuple[LabelledScene, ...], seeds: int
) -> list[NetworkClassifier]:
    if hindered := obstacle(champion, scenes):
        raise GlacierError(f"{champion.name}: no twins from other seeds, because {hindered}; set seeds to 1")
    split = champion_split(champion, scenes)
    data = TrainingData(catalog, scenes, split, champion.origin["dataset_digest"], store=open_store())
    first = champion_seed(champion) or 0
    found = [_twin(champion, data, seed) for seed in range(first + 1, first + seeds)]
    return [one for one in found if one is not None]


def _twin(champion: NetworkClassifier, data: TrainingData, seed: int) -> NetworkClassifier | None:
    tags = {"network": champion.name, "twin": twin_digest(champion, seed)}
    known = tracking.finished_run(tags)
    if known and (stored := tracking.run_classifier(known)):
        print(f"{champion.name}, seed {seed}: trained before (run {known})", file=sys.stderr)
        return stored
    print(f"{champion.name}, seed {seed}: training ...", file=sys.stderr)
    parent, name = tracking.active_run_id(), f"{champion.name}-seed-{seed}"
    with tracking.start_run(name, "seed", parent=parent, tags=tags) as run_id:
        limit = memory_limit(Experiment.model_fields["memory_limit"].default)
        listener = tell_epochs(champion.parameters.epochs)
        try:
            fitted = run_trial(champion.parameters, data, seed=seed, memory_limit=limit, on_epoch=listener)
        except TrainingFailed as error:
            tracking.set_tags({"state": "failed", "reason": str(error)})
            return None
        candidate = prepare_candidate(fitted.classifier, data, run_id, f"seed {seed}", None, seed)
        tracking.log_metrics(candidate.metrics)
        tracking.log_classifier(candidate.classifier)
    return candidate.classifier


def trained_twins(champion: NetworkClassifier, seeds: int) -> list[NetworkClassifier]:
    """Those twins of a champion that are there already, of the `seeds - 1` seeds that follow its own."""
    first = champion_seed(champion)
    if first is None or "dataset_digest" not in champion.origin:
        return []
    found = []
    for seed in range(first + 1, first + seeds):
        tags = {"network": champion.name, "twin": twin_digest(champion, seed)}
        known = tracking.finished_run(tags, anywhere=True)
        if known and (stored := tracking.run_classifier(known)):
            found.append(stored)
    return found


def twin_digest(champion: NetworkClassifier, seed: int) -> str:
    """What a twin is known by: the digest of parameters, training data, split and seed."""
    split = champion.origin["splits"][0]["digest"]
    parts = [champion.parameters.model_dump(), champion.origin["dataset_digest"], split, seed]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


def _with_seed(champion: NetworkClassifier) -> NetworkClassifier:
    seed = champion_seed(champion)
    return champion if seed is None else replace(champion, origin={**champion.origin, "seed": seed})


def teams(
    champions: Sequence[NetworkClassifier], catalog: Catalog, scenes: tuple[LabelledScene, ...], seeds: int
) -> tuple[list[list[NetworkClassifier]], list[str]]:
    """Every champion with its twins, and what must be said of those that have none.

    Parameters
    ----------
    champions : sequence of NetworkClassifier
        The networks.
    catalog : Catalog
        Where the training scenes come from.
    scenes : tuple of LabelledScene
        Its scenes of role train.
    seeds : int
        How many of each network, the champion among them.

    Returns
    -------
    list of list of NetworkClassifier
        One list a champion, which comes first.
    list of str
        Sentences for the reader of the comparison.
    """
    found, notes = [], []
    for champion in champions:
        hindered = obstacle(champion, scenes) if seeds > 1 else ""
        others = [] if seeds < 2 or hindered else _twins(champion, catalog, scenes, seeds)
        found.append([_with_seed(champion), *others])
        if hindered:
            notes.append(f"{champion.name} was trained from one seed alone: {hindered}.")
        elif len(others) < seeds - 1:
            notes.append(
                f"{champion.name}: {seeds - 1 - len(others)} of {seeds - 1} further trainings failed."
            )
    if seeds < 2:
        notes.append(
            "Each network was trained from one seed: what chance does in training is not in the intervals; "
            "`compare` with seeds=3 trains two more of each."
        )
    return found, notes
