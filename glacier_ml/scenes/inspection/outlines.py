"""Outlines against their scene: grid, coding, dates, alignment, and what is bright beyond them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glacier_ml.errors import GlacierError
from glacier_ml.scenes.catalog import CatalogEntry
from glacier_ml.scenes.inspection.bands import bright, percent
from glacier_ml.scenes.inspection.findings import (
    BRIGHT_TOLD,
    GAP_FAULT_DAYS,
    GAP_NOTE_DAYS,
    MASK_SHIFT,
    Facts,
    Finding,
    crs_name,
)
from glacier_ml.scenes.inspection.places import in_system
from glacier_ml.scenes.inspection.registration import Shift, mask_shift
from glacier_ml.scenes.inspection.sample import Sample
from glacier_ml.scenes.outlines import RASTERS, Labels
from glacier_ml.scenes.rasters import grid_difference, grid_of, open_raster
from glacier_ml.scenes.scene import Grid

_LISTED = 20  # distinct values of an outline raster that are listed


def outline_figures(entry: CatalogEntry, sample: Sample, day: str | None) -> dict[str, Any] | None:
    """What is known of a scene's outlines; None without any.

    Parameters
    ----------
    entry : CatalogEntry
        Names the outlines.
    sample : Sample
        What is looked at.
    day : str or None
        The scene's, YYYY-MM-DD or YYYY-MM.

    Returns
    -------
    dict or None
        Plain JSON values: file, kind, `error` (why they cannot be read), for a raster its grid and values,
        share of glacier, best shift against the scene's edges.
    """
    if entry.outlines is None:
        return None
    raster = entry.outlines.suffix.lower() in RASTERS
    figures: dict[str, Any] = {
        "file": entry.outlines.name,
        "kind": "raster" if raster else "polygons",
        "error": sample.outline_error,
        "notes": list(sample.outline_notes),
    }
    if raster:
        figures |= _raster_figures(entry.outlines, sample.grid, entry.name)
    if sample.labels is not None:
        figures |= _date_figures(sample.labels, day) | _mask_figures(sample)
    return figures


def bright_figures(sample: Sample) -> dict[str, Any] | None:
    """Share and area of what the NDSI rule takes for snow or ice, inside and outside of the outlines."""
    found = bright(sample)
    if found is None:
        return None
    whole = sum(int(one.sum()) for one in found)
    figures: dict[str, Any] = {"percent": percent(whole, sample.valid_pixels)}
    if not sample.masks:
        return figures
    labelled = list(zip(found, sample.labelled(), strict=True))
    for side, wanted in (("inside", True), ("outside", False)):
        part = [(one, scene.valid & known & (mask == wanted)) for one, (scene, mask, known) in labelled]
        pixels = sum(int((one & there).sum()) for one, there in part)
        figures[f"{side}_percent"] = percent(pixels, sum(int(there.sum()) for _, there in part))
        figures[f"{side}_km2"] = pixels * pixel_area_km2(sample.grid)
    return figures


def pixel_area_km2(grid: Grid) -> float:
    """Area of a pixel in the middle of a grid, roughly where its unit is the degree."""
    area = abs(grid.transform.determinant)
    if not grid.crs.is_geographic:
        return area * float(grid.crs.linear_units_factor[1]) ** 2 / 1e6
    latitude = (grid.transform @ (0, grid.shape[0] / 2))[1]
    return area * 111.2**2 * math.cos(math.radians(latitude))  # km of a degree on a sphere of 6371 km


def _date_figures(labels: Labels, day: str | None) -> dict[str, Any]:
    """Days on which the outlines' ground was seen, and days from them to the scene's."""
    dates, debris = labels.dates, labels.debris
    return {
        "source": labels.source,
        "debris_percent": percent(debris.sum(), labels.mask.sum()) if debris is not None else None,
        "dates": [dates.earliest, dates.mean, dates.latest] if dates else None,
        "undated_percent": 100 * dates.undated if dates else None,
        "gap_days": round(365.25 * dates.gap_years(day)) if dates and day else None,
    }


def _mask_figures(sample: Sample) -> dict[str, Any]:
    """Share of glacier, and how the mask lies in the image."""
    labelled = list(sample.labelled())
    told = sum(int((scene.valid & known).sum()) for scene, _, known in labelled)
    glacier = sum(int((scene.valid & known & mask).sum()) for scene, mask, known in labelled)
    shift = None
    if {"green", "nir", "swir1"} <= set(sample.bands):
        shift = mask_shift(sample.scenes, sample.masks)
    return {
        "told_percent": percent(told, sample.valid_pixels),
        "glacier_percent": percent(glacier, told),
        "shift_rows": shift.rows if shift else None,
        "shift_columns": shift.columns if shift else None,
        "shift_spread": shift.spread if shift else None,
    }


def _raster_figures(path: Path, grid: Grid, where: str) -> dict[str, Any]:
    try:
        with open_raster(path, where) as dataset:
            own = grid_of(dataset, where)
            values = dataset.read(1, masked=True)
    except GlacierError:
        return {}  # told by the sample's outline_error
    difference = grid_difference(grid, own)
    return {
        "crs": own.crs.to_string(),
        "shape": list(own.shape),
        "grid_difference": difference,
        **(_index_error(grid, own) if difference else {}),
        **_coding(np.asarray(values.compressed(), dtype=np.float64), own),
    }


def _index_error(grid: Grid, other: Grid) -> dict[str, float | None]:
    """How far in the scene's pixels a raster lies off where it is paired with the scene by array index."""
    if grid.shape != other.shape:
        return {"index_error_px": None, "index_error_median_px": None}
    rows, columns = np.meshgrid(*(np.linspace(0, length, 21) for length in grid.shape), indexing="ij")
    places = np.array([other.transform @ place for place in zip(columns.flat, rows.flat, strict=True)])
    inverse = ~grid.transform
    found = in_system(other.crs, grid.crs, places[:, 0], places[:, 1])
    seen = np.array([inverse @ place for place in zip(*found, strict=True)])
    error = np.hypot(seen[:, 0] - columns.ravel(), seen[:, 1] - rows.ravel())
    return {"index_error_px": float(error.max()), "index_error_median_px": float(np.median(error))}


def _coding(values: NDArray[np.float64], grid: Grid) -> dict[str, Any]:
    """Values of an outline raster, and whether they may be the glaciers' areas in km2."""
    numbers, counts = np.unique(values[np.isfinite(values)], return_counts=True)
    glacier = numbers != 0
    seen = counts[glacier] * pixel_area_km2(grid)
    # What a scene shows of a glacier is no more than the whole, to some per cent of its outline's pixels.
    areas = bool(glacier.any() and (seen <= 1.05 * numbers[glacier]).all() and (numbers % 1 != 0).any())
    return {
        "values": [float(one) for one in numbers[:_LISTED]],
        "value_count": len(numbers),
        "largest_value": float(numbers[-1]) if len(numbers) else None,
        "coded_as_areas": areas,
    }


def judge_outlines(facts: Facts) -> Iterator[Finding]:
    """Findings on outlines: whether they can be read, their grid, coding, age and place, snow beyond them."""
    outlines = facts["outlines"]
    if outlines is None:
        if facts["role"] != "unseen":
            message = f"role {facts['role']} needs outlines and has none; add some, or set role: unseen"
            yield Finding("no-outlines", "fault", message, {})
        return
    if outlines["error"]:
        yield Finding("outlines-unreadable", "fault", f"outlines: {outlines['error']}", {})
    for note in outlines["notes"]:
        yield Finding("outlines-mended", "note", note, {})
    for rule in (_judge_grid, _judge_coding, _judge_gap, _judge_place):
        yield from rule(facts, outlines)
    yield from _judge_bright(facts["bright"])


def _judge_grid(facts: Facts, outlines: Facts) -> Iterator[Finding]:
    if not outlines.get("grid_difference"):
        return
    worst = outlines["index_error_px"]
    if worst is None:
        effect = "the two cannot be paired by array index"
    else:
        median = outlines["index_error_median_px"]
        effect = f"paired by array index they would lie up to {worst:.1f} px apart (median {median:.1f} px)"
    yield Finding(
        "grid-mismatch",
        "fault",
        f"{outlines['file']} is on another grid ({crs_name(outlines['crs'])}, {_size(outlines['shape'])}) "
        f"than the bands ({crs_name(facts['crs'])}, {_size([facts['rows'], facts['columns']])}): {effect}; "
        "it is reprojected when read here",
        {"worst_px": worst, "median_px": outlines["index_error_median_px"]} if worst is not None else {},
    )


def _size(shape: list[int]) -> str:
    return f"{shape[0]} x {shape[1]}"


def _judge_coding(facts: Facts, outlines: Facts) -> Iterator[Finding]:
    del facts
    odd = [value for value in outlines.get("values", []) if value not in (0.0, 1.0)]
    if odd:
        meaning = "by their size the glaciers' areas in km2" if outlines["coded_as_areas"] else "unexplained"
        yield Finding(
            "outline-coding",
            "fault",
            f"{outlines['file']} has {outlines['value_count']} values up to {outlines['largest_value']:g} "
            f"instead of 0 and 1 ({meaning}); every value but 0 is glacier when read here",
            {"values": outlines["value_count"], "largest": outlines["largest_value"]},
        )


def _judge_gap(facts: Facts, outlines: Facts) -> Iterator[Finding]:
    del facts
    gap = outlines.get("gap_days")
    if gap is not None and abs(gap) >= GAP_NOTE_DAYS:
        side = "before" if gap > 0 else "after"
        earliest, mean, latest = outlines["dates"]
        span = mean if earliest == latest else f"{mean}, {earliest} to {latest}"
        yield Finding(
            "outline-gap",
            "fault" if abs(gap) >= GAP_FAULT_DAYS else "note",
            f"the outlines are of {abs(gap) / 365.25:.1f} years {side} the scene ({span}): glaciers have "
            "changed between; take outlines nearer in time",
            {"days": float(gap)},
        )


def _judge_place(facts: Facts, outlines: Facts) -> Iterator[Finding]:
    del facts
    if outlines.get("shift_rows") is None:
        return
    shift = Shift(outlines["shift_rows"], outlines["shift_columns"], outlines["shift_spread"], 0)
    if shift.exceeds(MASK_SHIFT):
        yield Finding(
            "mask-shift",
            "fault",
            f"the mask lies {shift.rows:+.1f} rows and {shift.columns:+.1f} columns beside the image's edges "
            f"(uncertain by {2 * shift.spread:.1f} px); check the outlines' CRS and datum",
            {"rows": shift.rows, "columns": shift.columns, "spread": shift.spread},
        )


def _judge_bright(figures: Facts | None) -> Iterator[Finding]:
    if figures and figures.get("outside_percent", 0.0) >= BRIGHT_TOLD:
        yield Finding(
            "bright-outside-outlines",
            "note",
            f"NDSI-bright outside outlines: {figures['outside_percent']:.1f} % "
            f"({figures['outside_km2']:.3g} km2; inside {figures['inside_percent']:.1f} %): seasonal snow, "
            "ice melange or ice that the outlines lack; a threshold would map it",
            {"percent": figures["outside_percent"], "area_km2": figures["outside_km2"]},
        )
