"""How scores differ between places that were left out: single points, and intervals where places suffice.

A table of fold scores has a row a fold, seed, scene, subset and classifier, with the columns protocol, fold,
trained, seed, scene, place, subset, kind ('network' or 'baseline'), classifier and the scores.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from glacier_ml.evaluation.bootstrap import middle
from glacier_ml.evaluation.report.verdict import shown_name

if TYPE_CHECKING:
    import pandas as pd

WITHIN = ("random", "block")
"""Protocols that train and score on the same scenes, by other pixels; the rest leave whole groups out."""
ENOUGH_PLACES = 10
"""Places (regions) from which on an interval is given; typical value, chosen here."""
DRAWS = 10_000


def group_scores(table: pd.DataFrame, score: str = "iou", group: str = "group") -> pd.DataFrame:
    """Give one score for each independent group: the mean over its scenes of their means over seeds.

    Groups are places, for leave-one-region-out regions: scenes of one place share ground, places of one
    region that was left out share the network.

    Parameters
    ----------
    table : pandas.DataFrame
        Of fold scores; rows of subset 'all' count.
    score : str
        Column to describe.
    group : str
        'group' for the rule above, 'fold' for whatever was left out at once.

    Returns
    -------
    pandas.DataFrame
        protocol, group, trained, kind, classifier, value; undefined scores are left out of the means.
        `trained` is the first fold's, where a place was scored in several.
    """
    whole = table[table.subset == "all"].copy()
    whole["group"] = whole.fold.where((whole.protocol == "region") | (group == "fold"), whole.place)
    keys = ["protocol", "group", "kind", "classifier"]
    seeds = whole.groupby([*keys, "scene"], sort=False)
    scenes = seeds.agg(trained=("trained", "first"), value=(score, "mean")).groupby(keys, sort=False)
    return scenes.agg(trained=("trained", "first"), value=("value", "mean")).reset_index()


def spread(points: pd.DataFrame) -> pd.DataFrame:
    """Describe each protocol's and classifier's points; the interval is of the mean over groups, 95 %.

    Parameters
    ----------
    points : pandas.DataFrame
        Of `group_scores`.

    Returns
    -------
    pandas.DataFrame
        protocol, kind, classifier, groups, mean, lowest, highest, low, high. Every group weighs the same. low
        and high are NaN with fewer than `ENOUGH_PLACES` groups.
    """
    import pandas as pd

    rows = []
    for (protocol, kind, classifier), part in points.groupby(["protocol", "kind", "classifier"], sort=False):
        values = part.value.dropna().to_numpy()
        low, high = mean_interval(values)
        ends = (values.min(), values.max()) if len(values) else (np.nan, np.nan)
        mean = values.mean() if len(values) else np.nan
        rows.append((protocol, kind, classifier, len(values), mean, *ends, low, high))
    names = ["protocol", "kind", "classifier", "groups", "mean", "lowest", "highest", "low", "high"]
    return pd.DataFrame(rows, columns=names)


def leaky_gaps(points: pd.DataFrame, protocol: str = "place") -> pd.DataFrame:
    """Tell how much a split at random flatters: its score less that of the groups left out, by classifier.

    Returns
    -------
    pandas.DataFrame
        classifier, gap, low, high; groups that both protocols score count, paired. Empty where 'random' or
        the other protocol was not run.
    """
    import pandas as pd

    sides = [
        points[points.protocol == one].pivot(index="group", columns="classifier", values="value")
        for one in ("random", protocol)
    ]
    apart = (sides[0] - sides[1]).dropna(how="all")
    rows = []
    for classifier in [name for name in points.classifier.unique() if name in apart]:
        values = apart[classifier].dropna().to_numpy()
        if len(values):
            rows.append((classifier, values.mean(), *mean_interval(values)))
    return pd.DataFrame(rows, columns=["classifier", "gap", "low", "high"])


def mean_interval(values: ArrayLike, draws: int = DRAWS, seed: int = 0) -> tuple[float, float]:
    """95 % interval of a mean: percentile bootstrap over places (Efron and Tibshirani, 1993).

    It tells of places like these, drawn at random; with few of them it would be too narrow, so that fewer
    than `ENOUGH_PLACES` values have none.

    Parameters
    ----------
    values : array_like
        (places,) one value each.

    Returns
    -------
    low, high : float
        NaN with fewer than `ENOUGH_PLACES` values.

    Examples
    --------
    >>> mean_interval([0.2, 0.9])
    (nan, nan)
    >>> mean_interval([0.5] * 10)
    (0.5, 0.5)
    """
    given = np.asarray(values, np.float64)
    if len(given) < ENOUGH_PLACES:
        return float("nan"), float("nan")
    drawn = np.random.default_rng(seed).integers(len(given), size=(draws, len(given)))
    return middle(given[drawn].mean(axis=1))


def worst_finding(table: pd.DataFrame) -> str:
    """Say in one sentence where a network fails worst when it has not seen the place, beside the usual rule.

    Returns
    -------
    str
        Of the network and fold with the lowest IoU (mean over scenes and seeds). Where no protocol left a
        group out, it says that nothing was found about new places.
    """
    points = group_scores(table, group="fold")
    away = points[~points.protocol.isin(WITHIN)].dropna(subset=["value"])
    networks = away[away.kind == "network"]
    if networks.empty:
        return "no place was left out: this says nothing about a place that a network has not seen"
    worst = networks.loc[networks.value.idxmin()]
    same = (away.protocol == worst.protocol) & (away.group == worst.group)
    beside = away[same & (away.kind == "baseline")]
    name = shown_name(worst.classifier)
    told = f"{name} trained on {worst.trained} maps {worst.group} with IoU {worst.value:.3f}"
    rule = beside[beside.classifier == "NDSI"]
    if len(rule):
        told += f", where NDSI by the usual rule gets {rule.value.iloc[0]:.3f}"
    best = beside.loc[beside.value.idxmax()] if len(beside) else None
    if best is not None and best.classifier != "NDSI":
        told += f" and the best baseline, {shown_name(best.classifier)}, {best.value:.3f}"
    return told
