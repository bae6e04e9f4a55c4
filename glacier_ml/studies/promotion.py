"""Challenger against champion, on the same pixels that neither was trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from glacier_ml.errors import GlacierError
from glacier_ml.evaluation.bootstrap import Interval, bootstrap_difference, spatial_blocks
from glacier_ml.learning.classifier import NetworkClassifier
from glacier_ml.learning.splits import untrained_pixels
from glacier_ml.scenes.catalog import LabelledScene, open_catalog
from glacier_ml.studies import tracking
from glacier_ml.studies.data import load_scenes
from glacier_ml.studies.registration import model_name
from glacier_ml.studies.tracking import CHALLENGER, CHAMPION

FEWEST_PIXELS = 20_000
NETWORKS = ("ffnn", "unet")


@dataclass(frozen=True)
class Verdict:
    """What became of a challenger.

    Attributes
    ----------
    model : str
        Name in the registry.
    version : str
        The challenger's.
    promoted : bool
        Whether the alias champion is the challenger's now.
    reason : str
        In words, with the interval where there was a comparison.
    """

    model: str
    version: str
    promoted: bool
    reason: str

    def __str__(self) -> str:
        """One line for the terminal."""
        done = "is the champion" if self.promoted else "stays a challenger"
        return f"{self.model} version {self.version} {done}: {self.reason}"


def promote(model: str = "both", force: bool = False, data: str | None = None) -> list[Verdict]:
    """Promote the challenger of one network or of both where it is better.

    Parameters
    ----------
    model : str
        'unet', 'ffnn' or 'both'.
    force : bool
        Promote whatever the comparison says.
    data : str, optional
        Where the scenes lie, if not where the challenger found them.

    Raises
    ------
    GlacierError
        Where there is no challenger, or fewer than 20,000 pixels are left to compare on.
    """
    return [_promote(name, force, data) for name in challenged(model)]


def challenged(model: str) -> list[str]:
    """Names in the registry of the chosen networks with a challenger; GlacierError where there is none."""
    if model not in (*NETWORKS, "both"):
        raise GlacierError(f"model: '{model}' cannot be promoted; choose one of {', '.join(NETWORKS)}, both")
    names = [model_name(network) for network in (NETWORKS if model == "both" else (model,))]
    found = [name for name in names if tracking.model_version(name, CHALLENGER) is not None]
    if not found:
        raise GlacierError(
            f"{' and '.join(names)}: no challenger yet; tune one, or train it with register=true, first"
        )
    return found


def _promote(name: str, force: bool, data: str | None) -> Verdict:
    challenger = str(tracking.model_version(name, CHALLENGER))
    champion = tracking.model_version(name, CHAMPION)
    if challenger == champion:
        return Verdict(name, challenger, True, "it already was")
    if champion is None:
        promoted, reason = True, "there was no champion"
    elif force:
        promoted, reason = True, f"forced, over version {champion}"
    else:
        promoted, reason = _compare(name, challenger, champion, data)
    if promoted:
        tracking.move_alias(name, CHAMPION, challenger)
    tracking.set_tags({f"{name}.promoted": str(promoted).lower(), f"{name}.reason": reason})
    return Verdict(name, challenger, promoted, reason)


def _compare(name: str, challenger: str, champion: str, data: str | None) -> tuple[bool, str]:
    new = tracking.load_classifier(f"models:/{name}/{challenger}")
    old = tracking.load_classifier(f"models:/{name}/{champion}")
    scenes = load_scenes(open_catalog(data or new.origin.get("data")), "train")
    interval, pixels = compare_networks(old, new, scenes)
    tracking.log_metrics({f"{name}/difference": interval.difference, f"{name}/pixels": pixels})
    words = (
        f"IoU {interval.difference:+.3f} against version {champion}, 95 % interval {interval.low:+.3f} to "
        f"{interval.high:+.3f} for these scenes ({pixels:,} validation pixels)"
    )
    if interval.low > 0:
        return True, words
    return False, ("worse: " if interval.high < 0 else "not distinguishable: ") + words


def compare_networks(
    champion: NetworkClassifier, challenger: NetworkClassifier, scenes: Sequence[LabelledScene]
) -> tuple[Interval, int]:
    """Difference of mean glacier IoU, challenger minus champion, on pixels that neither was trained on.

    Returns
    -------
    Interval
        From a paired bootstrap over spatial blocks.
    int
        Pixels compared.

    Raises
    ------
    GlacierError
        Where fewer than 20,000 pixels are left.
    """
    truths, maps, blocks = [], [], []
    for scene in scenes:
        splits = [*champion.origin["splits"], *challenger.origin["splits"]]
        shared = np.logical_and.reduce([untrained_pixels(split, scene) for split in splits])
        if not shared.any() or scene.mask is None:
            continue
        truths.append(scene.mask)
        maps.append(
            [model.probability(scene.scene, shared) >= model.threshold for model in (champion, challenger)]
        )
        blocks.append(np.where(shared, spatial_blocks(shared.shape), 0))
    pixels = sum(int((numbers > 0).sum()) for numbers in blocks)
    if pixels < FEWEST_PIXELS:
        raise GlacierError(
            f"promote: {pixels:,} pixels are left that neither model was trained on, {FEWEST_PIXELS:,} are "
            "needed; tune both on the same catalog and split_seed, or use force=true"
        )
    olds, news = ([pair[index] for pair in maps] for index in (0, 1))
    return bootstrap_difference(truths, olds, news, blocks), pixels
