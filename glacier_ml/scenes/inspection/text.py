"""Reports as text, for people at a terminal of 100 columns."""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Iterator

from glacier_ml.scenes.inspection.days import candidate_spans
from glacier_ml.scenes.inspection.findings import Facts, Finding, crs_name, listed

WIDTH = 100
_COLUMNS = (
    *("band", "data %", "min", "1 %", "median", "99 %", "max"),
    *("< 0", "satur. %", "sun factor", "shift px"),
)
_KEYS = ("0%", "1%", "50%", "99%", "100%")


def report_text(name: str, facts: Facts, findings: tuple[Finding, ...]) -> str:
    """Human form of a report."""
    lines = [name, "=" * len(name)]
    if "bands" in facts:
        lines += [*_head(facts), "", *_table(facts["bands"]), "", *_below(facts), ""]
    lines += list(_told(findings))
    return "\n".join(lines) + "\n"


def _head(facts: Facts) -> Iterator[str]:
    unit = {"metre": "m"}.get(facts["pixel_unit"], facts["pixel_unit"])
    size = f"{facts['rows']} x {facts['columns']} pixels of {facts['pixel_size'][0]:g} {unit}"
    place = f"{_place(facts['latitude'], facts['longitude'])} ({facts['place']})"
    yield f"{size}, {crs_name(facts['crs'])}, {place}"
    if facts["pixels_read"] < facts["pixels"]:
        share = 100 * facts["pixels_read"] / facts["pixels"]
        yield f"looked at: strips with {share:.0f} % of the pixels"
    method = {"mtl": "by the MTL", "chander": "by Chander et al. 2009"}.get(facts["method"] or "")
    quantity = (facts["quantity"] or "reflectance").replace("_", " ").replace("toa", "top-of-atmosphere")
    origin = [facts["spacecraft"], facts["sensor"], f"{quantity} {method}" if method else quantity]
    yield ", ".join([one for one in origin if one] + ([facts["scene_id"]] if facts["scene_id"] else []))
    yield f"date {_date(facts)}; sun {_sun(facts)}"
    words = {month: told for one in facts["seasons"] for month, told in one["words"].items()}
    if words:
        side = "northern" if facts["latitude"] > 0 else "southern"
        told = "; ".join(f"{month}: {one}" for month, one in words.items())
        yield from _wrapped(f"season ({side}): {told}")


def _place(latitude: float | None, longitude: float | None) -> str:
    if latitude is None or longitude is None:
        return "place unknown"
    north, east = "N" if latitude >= 0 else "S", "E" if longitude >= 0 else "W"
    return f"{abs(latitude):.2f} {north} {abs(longitude):.2f} {east}"


def _date(facts: Facts) -> str:
    days = facts["days"]
    told = [f"{band} {day}" for band, day in days["date_bands"].items()]
    return f"{days['date'] or 'unknown'}" + (f" ({', '.join(told)})" if told else "")


def _sun(facts: Facts) -> str:
    if facts["sun_elevation_deg"] is None:
        return "unknown"
    source = "the metadata" if facts["sun_elevation_from"] == "metadata" else "the sun factor"
    suns = facts["days"]["suns"]
    whose = f" ({listed(suns[0]['bands'])})" if source == "the sun factor" and len(suns) > 1 else ""
    return f"{facts['sun_elevation_deg']:.1f} degrees high by {source}{whose}"


def _table(bands: dict[str, Facts]) -> Iterator[str]:
    rows = [_COLUMNS] + [_row(band, figures) for band, figures in bands.items()]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]
    for row in rows:
        numbers = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        yield "  ".join([row[0].ljust(widths[0]), *numbers])


def _row(band: str, figures: Facts) -> tuple[str, ...]:
    quantiles = [_number(figures["quantiles"][key], 3) for key in _KEYS]
    mark = {"largest value": "?"}.get(figures["saturation_from"], "")
    factor = figures["sun_factor"] if figures["sun_factor"] is not None else figures["sun_sine"]
    shift = None
    if figures["shift_rows"] is not None:
        shift = math.hypot(figures["shift_rows"], figures["shift_columns"])
    return (
        band,
        _number(figures["data_percent"], 1),
        *quantiles,
        str(figures["negative"]),
        _number(figures["saturated_percent"], 2) + mark,
        _number(factor, 4),
        _number(shift, 2),
    )


def _number(value: float | None, decimals: int) -> str:
    if value is None or not math.isfinite(value):
        return "-"
    return f"{round(value, decimals) + 0.0:.{decimals}f}"  # no minus before 0


def _meanings(facts: Facts) -> Iterator[str]:
    """What the columns that are no figures of everyday mean, where they hold something."""
    bands = facts["bands"].values()
    if any(one["sun_factor"] is not None for one in bands):
        yield (
            "sun factor: sin(sun elevation) / d2, d = distance to the Sun in astronomical units; told by the "
            "steps between a band's values"
        )
    elif any(one["sun_sine"] is not None for one in bands):
        yield "sun factor: sin(sun elevation), told by the steps between a band's values"
    if any(one["shift_rows"] is not None for one in bands):
        yield "shift px: how far a band's edges lie beside those of the other bands"


def _below(facts: Facts) -> Iterator[str]:
    for meaning in _meanings(facts):
        yield from _wrapped(meaning)
    if any(one["saturation_from"] == "largest value" for one in facts["bands"].values()):
        yield "? saturated pixels by the band's largest value, as neither DN nor a quality band tells"
    yield f"pixels with data in every band: {facts['valid_percent']:.1f} %"
    flagged = [f"{mask.replace('_', ' ')} {share:.1f} %" for mask, share in facts["flagged"].items()]
    if flagged:
        yield from _wrapped(f"flagged: {', '.join(flagged)}")
    yield from _wrapped(_outlines(facts["outlines"]))
    if facts["bright"]:
        yield _bright(facts)
    for sun in facts["days"]["suns"]:
        factor = sun["sun_factor"] if sun["sun_factor"] is not None else sun["sun_sine"]
        passes = [day for one in sun["candidates"] for day in one["passes"]]
        spans = candidate_spans(sun)
        told = f"sun factor {factor:.4f} ({listed(sun['bands'])}): {', '.join(spans) or 'no day fits'}"
        told += f"; Landsat passed on {listed(passes)}" if passes else ""
        yield from _wrapped(told)


def _outlines(outlines: Facts | None) -> str:
    if outlines is None:
        return "outlines: none"
    told = [f"{outlines['file']} ({outlines.get('source', outlines['kind'])})"]
    if "glacier_percent" in outlines:
        told.append(f"glacier {outlines['glacier_percent']:.1f} %")
        if outlines["debris_percent"] is not None:
            told.append(f"{outlines['debris_percent']:.1f} % of it under debris")
        dates = outlines["dates"]
        told.append("of " + " to ".join(sorted({dates[0], dates[2]})) if dates else "of an unknown day")
        told.append(_gap(outlines["gap_days"]))
        told.append(_mask_place(outlines))
    if outlines.get("error"):
        told.append("cannot be read")
    return "outlines: " + ", ".join(told)


def _gap(days: int | None) -> str:
    """Days from the outlines' mean day to the scene's."""
    if days is None:
        return "gap to the scene unknown"
    return f"on average {abs(days)} days {'before' if days >= 0 else 'after'} the scene"


def _mask_place(outlines: Facts) -> str:
    if outlines["shift_rows"] is None:
        return "how they lie in the image cannot be told"
    return (
        f"{outlines['shift_rows']:+.1f} rows (+: too low), {outlines['shift_columns']:+.1f} columns (+: too "
        f"far right) beside the image's edges (uncertain by {2 * outlines['shift_spread']:.1f} px)"
    )


def _bright(facts: Facts) -> str:
    bright, rule = facts["bright"], facts["bright_rule"]
    told = f"NDSI > {rule['ndsi']} and NIR > {rule['nir']}: {bright['percent']:.1f} % of the valid pixels"
    if "inside_percent" in bright:
        inside, outside = bright["inside_percent"], bright["outside_percent"]
        told += f", {inside:.1f} % inside outlines, {outside:.1f} % outside"
    return told


def _told(findings: tuple[Finding, ...]) -> Iterator[str]:
    if not findings:
        yield "nothing found"
    width = max((len(finding.code) for finding in findings), default=0)
    for finding in findings:
        severity = finding.severity.upper() if finding.severity == "fault" else finding.severity
        head = f"{severity:5}  {finding.code:{width}}  "
        yield from _wrapped(finding.message, head, " " * len(head))


def _wrapped(text: str, first: str = "", others: str = "  ") -> Iterator[str]:
    """Lines of a text; a number stays with its unit, and a date in one piece."""
    joined = re.sub(r"(?<=\d) (?=%|px|km2|rows|columns|pixels|days|years)", "\N{NO-BREAK SPACE}", text)
    for line in textwrap.wrap(
        joined, WIDTH, initial_indent=first, subsequent_indent=others, break_on_hyphens=False
    ):
        yield line.replace("\N{NO-BREAK SPACE}", " ")
