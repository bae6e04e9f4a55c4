"""Findings: what the figures of an inspection mean, in one line each with what to do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from glacier_ml.scenes.inspection.registration import Shift

Facts = dict[str, Any]

# Shares in percent and lengths in pixels from which something is told, and told as a fault; typical values,
# chosen here.
SATURATED_TOLD, SATURATED_FAULT = 0.1, 5.0
BEYOND_FAULT = 1.0
BRIGHT_TOLD = 1.0
CLOUD_TOLD = 5.0
LEAST_DATA = 50.0
BAND_SHIFT = 0.3
"""A band's shift against the others: half of it is within what Landsat's own registration leaves."""
MASK_SHIFT = 1.0
"""A mask's shift: a pixel is what analysts differ by."""
GAP_NOTE_DAYS, GAP_FAULT_DAYS = 366, 5 * 366
"""Days between outline and scene: a front may retreat by pixels in a year and change its place in five."""


@dataclass(frozen=True)
class Finding:
    """One thing to know before a scene is used.

    Attributes
    ----------
    code : str
        Stable name, such as 'grid-mismatch'.
    severity : str
        'fault' (what is made from the scene will be wrong unless something is done) or 'note'.
    message : str
        One line: what, how much, what to do.
    data : dict
        Plain numbers behind the message.
    """

    code: str
    severity: str
    message: str
    data: dict[str, float]


def listed(names: list[str]) -> str:
    """Names as a sentence has them.

    Examples
    --------
    >>> listed(["blue", "green", "red"])
    'blue, green and red'
    """
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def crs_name(text: str) -> str:
    """An authority's code as it is, of WKT the name.

    Examples
    --------
    >>> crs_name("EPSG:32606"), crs_name('LOCAL_CS["site grid",UNIT["metre",1]]')
    ('EPSG:32606', 'site grid')
    """
    return text.split('"')[1] if text.count('"') > 1 else text


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' * (count != 1)}"


def _share(percent: float) -> str:
    return "less than 0.1 %" if percent < 0.05 else f"{percent:.1f} %"


def judge_bands(facts: Facts) -> Iterator[Finding]:
    """Findings on the scene's place and its bands' values."""
    for rule in (_place, _fill, _wrong_bands, _saturation, _shifts, _beyond, _negative, _coverage):
        yield from rule(facts)


def _place(facts: Facts) -> Iterator[Finding]:
    if facts["latitude"] is None:
        yield Finding(
            "place-unknown",
            "fault",
            f"where on the globe the scene lies cannot be told from its CRS ({crs_name(facts['crs'])}) and "
            "coordinates, and so neither its season nor its outlines; export it in a CRS such as UTM",
            {},
        )


def _fill(facts: Facts) -> Iterator[Finding]:
    for one in facts["fill"]:
        yield Finding(
            "nodata-number",
            "fault",
            f"{one['number']:g} stands for missing data in {one['percent']:.1f} % of the pixels although no "
            "file says so: it would be used as reflectance; set it as the files' nodata value",
            {"number": one["number"], "percent": one["percent"]},
        )


def _wrong_bands(facts: Facts) -> Iterator[Finding]:
    for band, figures in facts["bands"].items():
        if figures["constant"]:
            value = figures["quantiles"]["50%"]
            yield Finding(
                "constant-band",
                "fault",
                f"{band} is {value:g} in every pixel: it holds no image; export the band again",
                {"value": value},
            )
    for one, other in facts["identical_bands"]:
        yield Finding(
            "identical-bands",
            "fault",
            f"{one} and {other} hold the same values: one is a copy of the other's file; export them again",
            {},
        )


def _saturation(facts: Facts) -> Iterator[Finding]:
    shares = {
        band: figures["saturated_percent"]
        for band, figures in facts["bands"].items()
        if figures["saturated_percent"] >= SATURATED_TOLD and not figures["constant"]
    }
    if shares:
        words = listed([f"{band} in {share:.1f} %" for band, share in shares.items()])
        worst = max(shares.values())
        yield Finding(
            "saturation",
            "fault" if worst >= SATURATED_FAULT else "note",
            f"saturated pixels, of all valid ones: {words}; what is brighter is not told apart there: rely "
            "on the other bands",
            shares,
        )


def _shifts(facts: Facts) -> Iterator[Finding]:
    for band, figures in facts["bands"].items():
        if figures["shift_rows"] is None:
            continue
        shift = Shift(figures["shift_rows"], figures["shift_columns"], figures["shift_spread"], 0)
        if shift.exceeds(BAND_SHIFT):
            yield Finding(
                "band-shift",
                "fault",
                f"{band} lies {shift.rows:+.2f} rows and {shift.columns:+.2f} columns beside the other bands "
                f"(uncertain by {2 * shift.spread:.2f} px): indices of it are wrong at every edge; "
                "export the bands again on one grid",
                {"rows": shift.rows, "columns": shift.columns, "spread": shift.spread},
            )


def _beyond(facts: Facts) -> Iterator[Finding]:
    for band, figures in facts["bands"].items():
        if figures["beyond"]:
            lowest, highest = figures["quantiles"]["0%"], figures["quantiles"]["100%"]
            yield Finding(
                "out-of-range",
                "fault" if figures["beyond_percent"] >= BEYOND_FAULT else "note",
                f"{band} holds {_counted(figures['beyond'], 'value')} hardly possible for reflectance (range "
                f"{lowest:.3g} to {highest:.3g}): check its conversion from DN",
                {"pixels": figures["beyond"], "percent": figures["beyond_percent"]},
            )


def _negative(facts: Facts) -> Iterator[Finding]:
    counts = {
        band: figures["negative"] for band, figures in facts["bands"].items() if figures["negative"] > 0
    }
    if counts:
        shares = {band: facts["bands"][band]["negative_percent"] for band in counts}
        words = listed(
            [f"{band} {_counted(count, 'pixel')} ({_share(shares[band])})" for band, count in counts.items()]
        )
        yield Finding(
            "negative-reflectance",
            "note",
            f"negative values: {words}: dark water and shadow below the sensor's offset; clip the band "
            "before a ratio is formed of it",
            {band: float(count) for band, count in counts.items()},
        )


def _coverage(facts: Facts) -> Iterator[Finding]:
    if facts["valid_percent"] < LEAST_DATA:
        yield Finding(
            "little-data",
            "note",
            f"{facts['valid_percent']:.1f} % of the pixels have data in every band: shares are of these",
            {"percent": facts["valid_percent"]},
        )
    cloudy = facts["flagged"].get("cloud", 0.0)
    if cloudy >= CLOUD_TOLD:
        yield Finding(
            "cloud",
            "note",
            f"{cloudy:.1f} % of the valid pixels are flagged as cloud: the flag takes bright ice for cloud, "
            "too: look before they are dropped",
            {"percent": cloudy},
        )
    if facts["bright"] is None:
        lacking = [band for band in ("green", "nir", "swir1") if band not in facts["bands"]]
        yield Finding(
            "no-ndsi",
            "note",
            f"without {listed(lacking)} what is NDSI-bright and how the outlines lie in the image cannot be "
            f"told; add the band{'s' * (len(lacking) > 1)}",
            {},
        )
