"""Season: how a month lies to the end of the ablation season, when glaciers are free of seasonal snow."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from glacier_ml.scenes.inspection.findings import Facts, Finding, listed

TROPIC = 23.4
"""Latitude in degrees below which no season by month is told."""

# Northern months; the southern half of the year follows six months later. Inventories take scenes from the
# end of the ablation season, for then the least ground beside the glaciers is white. Which months those are
# differs from place to place: typical values, chosen here.
_NORTHERN = {
    1: ("out", "the middle of winter"),
    2: ("out", "the middle of winter"),
    3: ("out", "the end of winter"),
    4: ("out", "the end of winter"),
    5: ("out", "spring"),
    6: ("edge", "the start of the ablation season"),
    7: ("in", "the ablation season"),
    8: ("in", "the ablation season"),
    9: ("in", "the end of the ablation season"),
    10: ("edge", "the time of the first snow"),
    11: ("out", "the start of winter"),
    12: ("out", "the middle of winter"),
}

MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)


def season(month: int, latitude: float) -> tuple[str, str]:
    """Place of a month in its hemisphere's year.

    Parameters
    ----------
    month : int
        1 to 12.
    latitude : float
        Degrees, north positive.

    Returns
    -------
    tuple of str
        'in' the ablation season, at its 'edge', 'out' of it or 'unknown' (between the tropics, where snow
        does not follow the month); and the time of the year in words.

    Examples
    --------
    >>> season(9, 61.0)
    ('in', 'the end of the ablation season')
    >>> season(9, -49.4)
    ('out', 'the end of winter')
    """
    if abs(latitude) < TROPIC:
        return "unknown", "no season by month between the tropics"
    return _NORTHERN[month if latitude > 0 else (month + 5) % 12 + 1]


def season_figures(days: dict[str, Any], bands: list[str], latitude: float | None) -> list[dict[str, Any]]:
    """Season of each listed day, and of the candidate days of bands without one.

    Parameters
    ----------
    days : dict
        As `days.day_figures` gives it.
    bands : list of str
        Of the scene.
    latitude : float or None
        Degrees, north positive; nothing is told without it.

    Returns
    -------
    list of dict
        `bands`, `days` (YYYY-MM-DD or YYYY-MM), `listed` (or else told by the sun), and `states` and `words`
        by month.
    """
    if latitude is None:
        return []
    by_day: dict[str, list[str]] = {}
    for band in bands:
        day = days["date_bands"].get(band, days["date"])
        if day:
            by_day.setdefault(day, []).append(band)
    found = [_season_of([day], names, True, latitude) for day, names in by_day.items()]
    for sun in days["suns"]:
        lacking = [band for band in sun["bands"] if band not in days["date_bands"]]
        passes = [day for one in sun["candidates"] for day in one["passes"]]
        ends = [day for one in sun["candidates"] for day in (one["first"], one["last"])]
        if days["date"] is None and lacking and ends:
            found.append(_season_of(passes or ends, lacking, False, latitude))
    return found


def _season_of(days: list[str], bands: list[str], named: bool, latitude: float) -> dict[str, Any]:
    months = sorted({int(day[5:7]) for day in days})
    told = {MONTHS[month - 1]: season(month, latitude) for month in months}
    return {
        "bands": bands,
        "days": days,
        "listed": named,
        "states": {month: state for month, (state, _) in told.items()},
        "words": {month: words for month, (_, words) in told.items()},
    }


def judge_season(facts: Facts) -> Iterator[Finding]:
    """Findings on scenes from outside of the ablation season, and from its edges."""
    north = (facts["latitude"] or 0.0) > 0
    side, best = ("north", "July to September") if north else ("south", "January to March")
    for one in facts["seasons"]:
        states = set(one["states"].values())
        if states <= {"in", "unknown"}:
            continue
        months = [month for month, state in one["states"].items() if state in ("out", "edge")]
        words = listed([f"{month} is {one['words'][month]} in the {side}" for month in months])
        certain = "out" in states and states == {"out"}
        whose = "" if len(one["bands"]) == len(facts["bands"]) else f" ({listed(one['bands'])})"
        told = "" if one["listed"] else "by the sun it may be so: "
        yield Finding(
            "season",
            "fault" if certain else "note",
            f"{told}{words}{whose}: seasonal snow may hide the glaciers' edges; take a scene of {best}",
            {month: float(MONTHS.index(month) + 1) for month in months},
        )
