"""The verdict of a comparison, in words that name numbers and their intervals.

A difference whose interval holds 0 is never called better or worse: the two 'cannot be told apart'.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from glacier_ml.evaluation.scene_maps import EARLIER

if TYPE_CHECKING:
    import pandas as pd

    from glacier_ml.evaluation.comparison import Comparison

NETWORKS = ("unet", "ffnn")
_SEEN = 0.0005  # differences below are 0.000 to three decimals
_SHOWN = {"unet": "U-Net", "ffnn": "FFNN"}


def shown_name(classifier: str) -> str:
    """Name of a classifier as readers know it.

    Examples
    --------
    >>> shown_name("unet"), shown_name("band ratio")
    ('U-Net', 'band ratio')
    """
    return _SHOWN.get(classifier, classifier)


@dataclass(frozen=True)
class Relation:
    """How one map stands to another: the difference of a score, first minus second.

    Attributes
    ----------
    first, second : str
        The classifiers.
    difference, low, high : float
        With its 95 % interval; NaN where undefined.
    distinguishable : bool
        Whether the interval leaves 0 out.
    """

    first: str
    second: str
    difference: float
    low: float
    high: float
    distinguishable: bool

    @property
    def turned(self) -> Relation:
        """The same told the other way round: second minus first."""
        return Relation(
            self.second, self.first, -self.difference, -self.high, -self.low, self.distinguishable
        )

    def by(self) -> str:
        """How much the better of two that are told apart is better, with the interval.

        Examples
        --------
        >>> Relation("FFNN", "NDSI", -0.1, -0.151, -0.05, True).by()
        'by 0.100 (0.050 to 0.151)'
        >>> Relation("FFNN", "NDSI", 0.0002, 0.0001, 0.0003, True).by()
        'by less than 0.001'
        """
        better = self if self.difference > 0 else self.turned
        if better.high < _SEEN:
            return f"by less than {2 * _SEEN:.3f}"
        return f"by {better.difference:.3f} ({_between(better.low, better.high)})"

    def apart(self) -> str:
        """Difference of two that are not told apart, with the interval that holds 0.

        Examples
        --------
        >>> Relation("FFNN", "NDSI", 0.01, -0.02, 0.03, False).apart()
        'difference +0.010, -0.020 to +0.030'
        >>> Relation("FFNN", "NDSI", -0.0, 0.0, -0.0, False).apart()
        'the same whatever is drawn'
        """
        if self.difference == self.low == self.high == 0:
            return "the same whatever is drawn"
        return f"difference {_signed(self.difference)}, {_between(self.low, self.high, signed=True)}"


def overall(comparison: Comparison) -> pd.DataFrame:
    """Rows of `comparison.scores` for whole scenes, all together: their mean, or the only scene's own."""
    scores = comparison.scores
    return scores[(scores.scene == comparison.overall) & (scores.subset == "all")]


def relation(
    comparison: Comparison, first: str, second: str, score: str = "iou", scene: str | None = None
) -> Relation | None:
    """Difference of two classifiers' scores, first minus second.

    Parameters
    ----------
    comparison : Comparison
        Where the differences stand.
    first, second : str
        The classifiers.
    score : str
        Its name.
    scene : str, optional
        Of this scene alone; of the mean over scenes without it.

    Returns
    -------
    Relation or None
        None where not both map the scene, or every scene.
    """
    pairs = comparison.pairs if scene is None else comparison.scene_pairs
    pairs = (
        pairs[pairs.score == score]
        if scene is None
        else pairs[(pairs.score == score) & (pairs.scene == scene)]
    )
    for one, other in ((first, second), (second, first)):
        rows = pairs[(pairs["first"] == one) & (pairs["second"] == other)]
        if len(rows):
            row = rows.iloc[0]
            numbers = (float(row.difference), float(row.low), float(row.high))
            stored = Relation(other, one, *numbers, bool(row.distinguishable))  # second minus first
            return stored if other == first else stored.turned
    return None


def verdict(comparison: Comparison) -> str:
    """Say in words which map is better, by how much, and what chance could explain.

    Parameters
    ----------
    comparison : Comparison
        Of which the IoU is judged, over all scenes.

    Returns
    -------
    str
        `verdict_sentences`, joined: one line.
    """
    return " ".join(verdict_sentences(comparison))


def verdict_sentences(comparison: Comparison) -> list[str]:
    """Sentences of the verdict, the most important first: leader, networks, earlier outline, reach."""
    iou = overall(comparison)
    iou = iou[(iou.score == "iou") & iou.value.notna()].sort_values("value", ascending=False, kind="stable")
    if iou.empty:
        return ["No map can be judged: glacier IoU is undefined, as there is no glacier in truth nor maps."]
    names = iou.classifier.tolist()
    networks = [name for name in NETWORKS if name in names]
    sentences = [_leader(comparison, iou)]
    if len(networks) == 2:
        sentences.append(_duel(comparison, networks[0], networks[1]))
    sentences += [_against(comparison, network, names) for network in networks]
    sentences.append(_earlier(comparison, networks))
    sentences.append(_reach(comparison))
    return [sentence for sentence in sentences if sentence]


def _leader(comparison: Comparison, iou: pd.DataFrame) -> str:
    best, scenes = iou.iloc[0], [one.name for one in comparison.maps]
    where = f"of {scenes[0]}" if len(scenes) == 1 else f"of {len(scenes)} held-out scenes, on average"
    told = (
        f"Best map {where}: {_definite(best.classifier)}, glacier IoU {best.value:.3f} "
        f"(95 % interval {_between(best.low, best.high)})"
    )
    others = [relation(comparison, best.classifier, name) for name in iou.classifier[1:]]
    alike = [_definite(one.second) for one in others if one is not None and not one.distinguishable]
    return f"{told}; it cannot be told apart from {_listed(alike)}." if alike else f"{told}."


def _duel(comparison: Comparison, first: str, second: str) -> str:
    one, iou = relation(comparison, first, second), _ious(comparison)
    if one is None:
        return ""
    names = (_capital(_definite(first)), _definite(second))
    values = f"{iou[first]:.3f} against {iou[second]:.3f}"
    if one.distinguishable:
        return f"{names[0]} is {_comparative(one)} than {names[1]} {one.by()}: IoU {values}."
    return f"{names[0]} and {names[1]} cannot be told apart: IoU {values}, {one.apart()}."


def _against(comparison: Comparison, network: str, names: Sequence[str]) -> str:
    """One network against all that is no network: better than, worse than, not told apart from."""
    others = [name for name in names if name not in (*NETWORKS, EARLIER)]
    found = [one for name in others if (one := relation(comparison, network, name)) is not None]
    told = _relations(found)
    return f"{_capital(_definite(network))} {told}." if told else ""


def _relations(found: Sequence[Relation]) -> str:
    """What the first of them all is to each second: 'is better than ... by ...; it is worse than ...'."""
    sure = [one for one in found if one.distinguishable]
    groups = (
        ("is better than", [one for one in sure if one.difference > 0]),
        ("is worse than", [one for one in sure if one.difference < 0]),
        ("cannot be told apart from", [one for one in found if not one.distinguishable]),
    )
    parts = []
    for words, group in groups:
        told = [
            f"{_definite(one.second)} " + (one.by() if one.distinguishable else f"({one.apart()})")
            for one in group
        ]
        parts += [f"{words} {_listed(told)}"] if told else []
    return "; it ".join(parts)


def _earlier(comparison: Comparison, networks: Sequence[str]) -> str:
    """Whether a map of the networks is worth more than the outline that was there before."""
    having = [one for one in comparison.maps if one.earlier is not None]
    everywhere = len(having) == len(comparison.maps)
    scenes = [None] if everywhere else [one.name for one in having]
    return " ".join(filter(None, (_earlier_of(comparison, networks, scene) for scene in scenes)))


def _earlier_of(comparison: Comparison, networks: Sequence[str], scene: str | None) -> str:
    """The same of one scene alone, where not every scene has an earlier outline."""
    pairs = [relation(comparison, EARLIER, name, scene=scene) for name in networks]
    found = [one for one in pairs if one is not None]
    if not found:
        return ""
    value = f"at {_ious(comparison, scene)[EARLIER]:.3f}" + (f" in {scene}" if scene else "")
    sure = all(one.distinguishable for one in found)
    told = _listed([f"{_definite(one.second)} {one.by()}" for one in found])
    both = len(found) == 2
    if sure and all(one.difference > 0 for one in found):
        every = "both networks" if both else "the network"
        return f"The earlier outline left unchanged, {value}, beats {every}: {told}."
    if sure and all(one.difference < 0 for one in found):
        every = "Both networks beat" if both else "The network beats"
        return f"{every} the earlier outline left unchanged, {value}: {told}."
    return f"The earlier outline left unchanged, {value}, {_relations(found)}."


def _reach(comparison: Comparison) -> str:
    seeds = max((len(values) for values in comparison.seeds.values()), default=1)
    drawn = f"blocks of {comparison.side} px" + (" and training seeds" if seeds > 1 else "")
    trained = any(name in comparison.seeds for name in NETWORKS)
    alone = " and networks trained once" if trained and seeds == 1 else ""
    several = len(comparison.maps) > 1
    return (
        f"Differences come with their 95 % interval (bootstrap over {drawn}), which holds for "
        f"{'these scenes' if several else 'this scene'}{alone} and says nothing of other places."
    )


def _ious(comparison: Comparison, scene: str | None = None) -> dict[str, float]:
    rows = comparison.scores
    rows = rows[
        (rows.scene == (scene or comparison.overall)) & (rows.subset == "all") & (rows.score == "iou")
    ]
    return dict(zip(rows.classifier, map(float, rows.value), strict=True))


def _comparative(one: Relation) -> str:
    return "better" if one.difference > 0 else "worse"


def _definite(name: str) -> str:
    """'the U-Net', but gradient boosting and its like without an article.

    >>> _definite("unet"), _definite("NDSI tuned"), _definite("band ratio")
    ('the U-Net', 'NDSI tuned', 'the band ratio')
    """
    article = name in (*NETWORKS, EARLIER) or name.endswith(("ratio", "forest"))
    return f"the {shown_name(name)}" if article else shown_name(name)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _listed(parts: Sequence[str]) -> str:
    return " and ".join([", ".join(parts[:-1]), parts[-1]]) if len(parts) > 1 else "".join(parts)


def _signed(value: float) -> str:
    """Three decimals with their sign, none before what they show as 0.

    >>> _signed(-0.02), _signed(-0.0001), _signed(float("nan"))
    ('-0.020', '0.000', 'undefined')
    """
    if not math.isfinite(value):
        return "undefined"
    return "0.000" if abs(value) < _SEEN else f"{value:+.3f}"


def _between(low: float, high: float, signed: bool = False) -> str:
    """Bounds of an interval; where there is none (fewer than two blocks in a scene), that is said."""
    if not (math.isfinite(low) and math.isfinite(high)):
        return "no interval: too few blocks"
    if signed:
        return f"{_signed(low)} to {_signed(high)}"
    return f"{round(low, 3) + 0.0:.3f} to {round(high, 3) + 0.0:.3f}"  # no minus before 0
