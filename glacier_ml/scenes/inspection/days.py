"""Days: when each band was taken, by what is listed and by the sun that its values betray."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import date
from typing import Any

from glacier_ml.errors import GlacierError
from glacier_ml.scenes.catalog import CatalogEntry
from glacier_ml.scenes.inspection.findings import Facts, Finding, listed
from glacier_ml.scenes.inspection.lattice import AGREEMENT, Lattice
from glacier_ml.scenes.inspection.sun import (
    CandidateDates,
    candidate_dates,
    closest_pass,
    earth_sun_distance,
)

MOST_DAYS_OFF = 16
"""Days that a listed date may miss the sun's by: one cycle of Landsat's passes."""

_MEAN_DISTANCE = 1.0


def day_figures(
    entry: CatalogEntry,
    provenance: dict[str, Any],
    lattices: dict[str, Lattice],
    place: tuple[float, float] | None,
) -> dict[str, Any]:
    """What is known of the days on which a scene's bands were taken.

    Parameters
    ----------
    entry : CatalogEntry
        Its date and date_bands go before the scene's own.
    provenance : dict
        Of the scene.
    lattices : dict
        By band, under the irradiances on which they agree.
    place : tuple of float or None
        Latitude and longitude, degrees; without them there are no candidate days.

    Returns
    -------
    dict
        Plain JSON values: `date`, `date_bands`, `suns` (bands, sun factor, elevation, day listed, candidate
        days, days between both), and the elevation of the sun over most bands.
    """
    day = entry.date or provenance.get("date")
    given = day or next(iter(entry.date_bands.values()), None)
    year = int(given[:4]) if given else None
    craft = provenance.get("spacecraft")
    groups = _under_one_sun(lattices)
    suns = [_sun(bands, _listed_day(bands, day, entry), year, place, craft) for bands in groups]
    elevation, source = provenance.get("sun_elevation_deg"), "metadata"
    if elevation is None and suns:
        elevation, source = suns[0]["sun_elevation_deg"], "lattice"
    known = {"sun_elevation_deg": elevation, "sun_elevation_from": None if elevation is None else source}
    return {"date": day, "date_bands": dict(entry.date_bands), "suns": suns, **known}


def _listed_day(bands: dict[str, Lattice], day: str | None, entry: CatalogEntry) -> str | None:
    """The day that is listed for all of the bands; None where there is none or they differ."""
    days = {entry.date_bands.get(band, day) for band in bands}
    return days.pop() if len(days) == 1 else None


def _under_one_sun(lattices: dict[str, Lattice]) -> list[dict[str, Lattice]]:
    """Bands whose values were divided by the same sun, the largest group first."""
    groups: list[dict[str, Lattice]] = []
    known = {band: one for band, one in lattices.items() if _factor(one) is not None}
    for band, lattice in sorted(known.items(), key=lambda item: _factor(item[1]) or 0.0):
        near = _factor(next(reversed(groups[-1].values()))) if groups else None
        slack = max(AGREEMENT, 3 * (lattice.tolerance or 0.0) / (_factor(lattice) or 1.0))
        if near is not None and (_factor(lattice) or 0.0) - near <= slack * near:
            groups[-1][band] = lattice
        else:
            groups.append({band: lattice})
    in_order = [{band: group[band] for band in lattices if band in group} for group in groups]
    return sorted(in_order, key=len, reverse=True)


def _factor(lattice: Lattice) -> float | None:
    return lattice.sun_factor if lattice.sun_factor is not None else lattice.sun_sine


def _sun(
    bands: dict[str, Lattice],
    named: str | None,
    year: int | None,
    place: tuple[float, float] | None,
    spacecraft: str | None,
) -> dict[str, Any]:
    """One sun: its bands, its factor, and the days on which it stood so."""
    first = next(iter(bands.values()))
    with_distance = first.sun_factor is not None
    factor = sorted(_factor(one) or 0.0 for one in bands.values())[len(bands) // 2]
    craft = spacecraft or first.spacecraft or ("LANDSAT_5" if with_distance else "LANDSAT_8")
    tolerance = max(AGREEMENT * factor, *(one.tolerance or 0.0 for one in bands.values()))
    try:
        found = candidate_dates(factor, *place, year, craft, tolerance, with_distance) if place else []
    except GlacierError:  # a spacecraft whose passes are not known
        found = []
    return {
        "bands": list(bands),
        "sun_factor": factor if with_distance else None,
        "sun_sine": None if with_distance else factor,
        "sun_elevation_deg": _elevation(factor, with_distance, named, found),
        "listed": named,
        "candidates": [
            {
                "first": one.first.isoformat(),
                "last": one.last.isoformat(),
                "passes": [day.isoformat() for day in one.days],
            }
            for one in found
        ],
        "closest": closest.moment.date().isoformat() if (closest := closest_pass(found)) else None,
        "year_known": year is not None,
        "days_off": _days_off(named, found) if named else None,
    }


def _elevation(
    factor: float, with_distance: bool, named: str | None, found: list[CandidateDates]
) -> float | None:
    """Elevation of the sun in degrees, by the distance of the listed day, else of the likeliest."""
    distance = _MEAN_DISTANCE
    if named or found:
        best = closest_pass(found)
        day = _span(named)[0] if named else best.moment.date() if best else found[0].first
        distance = earth_sun_distance(day)
    sine = factor * distance**2 if with_distance else factor
    return math.degrees(math.asin(sine)) if 0 < sine <= 1 else None


def _span(text: str) -> tuple[date, date]:
    """First and last day of YYYY-MM-DD or YYYY-MM."""
    if len(text) == 10:
        day = date.fromisoformat(text)
        return day, day
    first = date.fromisoformat(f"{text}-01")
    following = date(first.year + first.month // 12, first.month % 12 + 1, 1)
    return first, date.fromordinal(following.toordinal() - 1)


def _days_off(named: str, found: list[CandidateDates]) -> int | None:
    """Days between what is listed and the nearest candidate, 0 inside; None without candidates."""
    first, last = _span(named)
    gaps = [max((one.first - last).days, (first - one.last).days, 0) for one in found]
    return min(gaps) if gaps else None


def judge_days(facts: Facts) -> Iterator[Finding]:
    """Findings on bands of different days, listed days that the sun denies, and days that nobody knows."""
    days = facts["days"]
    suns = days["suns"]
    if len(suns) > 1:
        yield _different_days(suns, days["date_bands"])
    for sun in suns:
        if (sun["days_off"] or 0) > MOST_DAYS_OFF:
            yield _wrong_day(sun)
    unknown = [sun for sun in suns if sun["listed"] is None and sun["candidates"]]
    if not suns and not days["date"] and not days["date_bands"]:
        message = "neither the date nor the season is known; add 'date:' to the catalog"
        yield Finding("date-unknown", "note", message, {})
    lacking = [band for band in days["date_bands"] if band not in facts["bands"]]
    if lacking:
        message = f"date_bands names {listed(lacking)}, which the scene lacks; correct the catalog"
        yield Finding("date-bands", "fault", message, {})
    for sun in unknown:
        whose = listed(sun["bands"]) if len(suns) > 1 else "the scene"
        yield Finding(
            "date-unknown",
            "note",
            f"no date is listed for {whose}; by the sun it was {candidate_words(sun)}; add 'date:' to the "
            "catalog",
            _factors([sun]),
        )


def _different_days(suns: list[Facts], date_bands: dict[str, str]) -> Finding:
    parts = [f"{listed(sun['bands'])} {_symbol(sun)} ({_day_of(sun)})" for sun in suns]
    apart = {sun["listed"] for sun in suns}
    if len(apart) == len(suns):
        known = f"the catalog knows ({listed([f'{band} {day}' for band, day in date_bands.items()])})"
    else:
        known = "the catalog does not say so: add 'date_bands:'"
    key = "sin(sun elevation)" + ("/d2" if suns[0]["sun_factor"] is not None else "")
    return Finding(
        "bands-of-different-days",
        "fault",
        f"bands of different days, told by {key}: {'; '.join(parts)}: changing ground and shadows do not "
        f"match; {known}",
        _factors(suns),
    )


def _day_of(sun: Facts) -> str:
    return f"{sun['listed']}, as listed" if sun["days_off"] == 0 else candidate_words(sun)


def _wrong_day(sun: Facts) -> Finding:
    return Finding(
        "date-mismatch",
        "fault",
        f"{sun['listed']} is listed for {listed(sun['bands'])}, but by the sun ({_symbol(sun)}) it was "
        f"{candidate_words(sun)}, {sun['days_off']} days off; correct the catalog",
        _factors([sun]) | {"days_off": float(sun["days_off"])},
    )


def _symbol(sun: Facts) -> str:
    return f"{sun['sun_factor'] if sun['sun_factor'] is not None else sun['sun_sine']:.4f}"


def _factors(suns: list[Facts]) -> dict[str, float]:
    return {
        band: sun["sun_factor"] if sun["sun_factor"] is not None else sun["sun_sine"]
        for sun in suns
        for band in sun["bands"]
    }


def candidate_words(sun: Facts) -> str:
    """Candidate days of a sun in words: Landsat's passes, the best first, or else spans of days."""
    if not sun["candidates"]:
        return "a day that cannot be told"
    if sun["closest"] is None:
        return " or ".join(candidate_spans(sun)) + ("" if sun["year_known"] else " of an unknown year")
    passes = [day for one in sun["candidates"] for day in one["passes"] if day != sun["closest"]]
    return f"{sun['closest']}, less likely {' or '.join(passes)}" if passes else sun["closest"]


def candidate_spans(sun: Facts) -> list[str]:
    """Spans of candidate days, without the year where nobody knows it."""
    drop = 0 if sun["year_known"] else 5
    return [f"{one['first'][drop:]} to {one['last'][drop:]}" for one in sun["candidates"]]
