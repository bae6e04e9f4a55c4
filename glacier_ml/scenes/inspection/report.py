"""Reports: the quality of a scene before it is used."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

from glacier_ml.errors import GlacierError
from glacier_ml.scenes.addresses import shown
from glacier_ml.scenes.catalog import Catalog, CatalogEntry
from glacier_ml.scenes.inspection.bands import NDSI, NIR, band_figures, flagged, identical_bands
from glacier_ml.scenes.inspection.days import day_figures, judge_days
from glacier_ml.scenes.inspection.findings import Finding, judge_bands
from glacier_ml.scenes.inspection.lattice import Lattice
from glacier_ml.scenes.inspection.outlines import bright_figures, judge_outlines, outline_figures
from glacier_ml.scenes.inspection.sample import Sample, read_sample
from glacier_ml.scenes.inspection.season import judge_season, season_figures
from glacier_ml.scenes.inspection.text import report_text
from glacier_ml.scenes.landsat.names import date_in, sensors_in


@dataclass(frozen=True)
class Report:
    """What an inspection of a scene found.

    Attributes
    ----------
    name : str
        The scene's.
    facts : dict
        What was measured; plain JSON values.
    findings : tuple of Finding
        What that means, faults first.
    """

    name: str
    facts: dict[str, Any]
    findings: tuple[Finding, ...]

    @property
    def faults(self) -> tuple[Finding, ...]:
        """Findings that make what is made from the scene wrong unless something is done."""
        return tuple(finding for finding in self.findings if finding.severity == "fault")

    def to_json(self) -> str:
        """Report as JSON (RFC 8259: what is no finite number becomes null)."""
        content = {
            "name": self.name,
            "facts": self.facts,
            "findings": [asdict(finding) for finding in self.findings],
        }
        return json.dumps(_plain(content), indent=2, ensure_ascii=False, allow_nan=False)

    def to_text(self) -> str:
        """Report for people: the scene, a table of its bands, then the findings; 100 columns."""
        return report_text(self.name, self.facts, self.findings)


def inspect_scene(entry: CatalogEntry) -> Report:
    """Inspect one scene of a catalog: its bands, days, season and outlines.

    Parameters
    ----------
    entry : CatalogEntry
        The scene; `open_catalog` makes entries of whatever people have.

    Returns
    -------
    Report

    Raises
    ------
    GlacierError
        Where the scene cannot be read; every fault of one that can is in the report.
    """
    sample = read_sample(entry)
    facts = _facts(entry, sample)
    return Report(entry.name, facts, judge(facts))


def inspect_catalog(catalog: Catalog | Iterable[CatalogEntry]) -> list[Report]:
    """Inspect the scenes of a catalog in its order.

    Returns
    -------
    list of Report
        One for each scene; of one that cannot be read it has the one fault 'unreadable'.
    """
    entries = catalog.entries if isinstance(catalog, Catalog) else catalog
    reports = []
    for entry in entries:
        try:
            reports.append(inspect_scene(entry))
        except GlacierError as error:
            fault = Finding("unreadable", "fault", str(error), {})
            reports.append(Report(entry.name, {"path": shown(str(entry.path)), "role": entry.role}, (fault,)))
    return reports


def judge(facts: dict[str, Any]) -> tuple[Finding, ...]:
    """Findings of a scene's facts, faults first."""
    rules = (judge_days, judge_season, judge_outlines, judge_bands)
    found = [finding for rule in rules for finding in rule(facts)]
    return tuple(sorted(found, key=lambda finding: finding.severity != "fault"))


def _facts(entry: CatalogEntry, sample: Sample) -> dict[str, Any]:
    place = sample.centre()
    known = _origin(entry, sample)
    bands, lattices = band_figures(sample, known["sensor"])
    if known["sensor"] is None:
        known["sensor"], known["sensor_from"] = _sensor_of(lattices), "lattice"
    days = day_figures(entry, sample.provenance | {"date": known["date"]}, lattices, place)
    day = days["date"] or next(iter(entry.date_bands.values()), None)
    return {
        **known,
        **_extent(sample, place),
        "days": days,
        "sun_elevation_deg": days["sun_elevation_deg"],
        "sun_elevation_from": days["sun_elevation_from"],
        "seasons": season_figures(days, list(sample.bands), place[0] if place else None),
        "bands": bands,
        "fill": [{"number": number, "percent": 100 * share} for number, share in sample.fill.items()],
        "identical_bands": identical_bands(sample),
        "flagged": flagged(sample),
        "bright": bright_figures(sample),
        "bright_rule": {"ndsi": NDSI, "nir": NIR},
        "outlines": outline_figures(entry, sample, day),
    }


def _origin(entry: CatalogEntry, sample: Sample) -> dict[str, Any]:
    """Where the scene comes from, by its metadata and the catalog."""
    provenance = sample.provenance
    identity = provenance.get("scene_id") or entry.earth_engine_id
    told = sensors_in(identity or "")
    sensor = provenance.get("sensor") or entry.sensor or (told.pop() if len(told) == 1 else None)
    return {
        "path": shown(str(entry.path)),
        "role": entry.role,
        "place": entry.place,
        "region": entry.region,
        "date": entry.date or _day(provenance.get("date")) or date_in(identity or ""),
        "sensor": sensor,
        "sensor_from": "metadata" if sensor else None,
        "scene_id": identity,
        **{key: provenance.get(key) for key in ("product_id", "spacecraft", "collection", "level")},
        **{key: provenance.get(key) for key in ("quantity", "method", "earth_sun_distance")},
    }


def _day(text: str | None) -> str | None:
    """A day, if the text of a file's tag is one."""
    try:
        return date.fromisoformat(text).isoformat() if text else None
    except ValueError:
        return None


def _extent(sample: Sample, place: tuple[float, float] | None) -> dict[str, Any]:
    grid = sample.grid
    return {
        "rows": grid.shape[0],
        "columns": grid.shape[1],
        "crs": grid.crs.to_string(),
        "pixel_size": [
            math.hypot(grid.transform.a, grid.transform.d),
            math.hypot(grid.transform.b, grid.transform.e),
        ],
        "pixel_unit": "degree" if grid.crs.is_geographic else str(grid.crs.linear_units),
        "latitude": place[0] if place else None,
        "longitude": place[1] if place else None,
        "pixels": grid.shape[0] * grid.shape[1],
        "pixels_read": sample.pixels,
        "valid_percent": 100 * sample.valid_pixels / sample.pixels,
    }


def _sensor_of(lattices: dict[str, Lattice]) -> str | None:
    """The sensor that the lattices agree on."""
    sensors = {lattice.sensor for lattice in lattices.values()} - {None}
    return sensors.pop() if len(sensors) == 1 else None


def _plain(value: Any) -> Any:
    """The same without numbers that JSON lacks."""
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
