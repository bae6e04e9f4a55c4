"""Inspection of many scenes: reports, and a picture of each on request."""

from __future__ import annotations

import sys
from pathlib import Path

from glacier_ml.errors import GlacierError
from glacier_ml.evaluation.quality_figure import quality_panel
from glacier_ml.products.maps import check_folder, file_stem, staged
from glacier_ml.scenes.catalog import CatalogEntry, open_catalog
from glacier_ml.scenes.inspection.report import Report, inspect_catalog
from glacier_ml.scenes.inspection.sample import LARGEST_SAMPLE

NEEDED = ("red", "nir", "swir1")


def inspect_data(data: str | Path | None, pictures: str | Path | None = None) -> list[Report]:
    """Inspect every scene of `data`.

    Parameters
    ----------
    data : str, pathlib.Path or None
        As in `open_catalog`.
    pictures : str or pathlib.Path, optional
        Folder that gets `<scene>_quality.png` of each scene that can be drawn: one of fewer than 10 million
        pixels with red, nir and swir1.

    Returns
    -------
    list of Report
        In the catalog's order; a scene that cannot be read has the one fault 'unreadable'.

    Raises
    ------
    GlacierError
        Where `data` holds no scene or the folder cannot be written.
    """
    from tqdm import tqdm

    if pictures is not None:
        check_folder(Path(pictures))
    entries = open_catalog(data).entries
    reports = []
    for entry in tqdm(entries, desc="inspecting", unit="scene", leave=False, disable=len(entries) < 2):
        reports += inspect_catalog([entry])
        if pictures is not None:
            _draw(entry, reports[-1], Path(pictures))
    return reports


def drawable(report: Report) -> bool:
    """Whether a scene can be drawn whole, by its report."""
    known = report.facts
    if "bands" not in known:  # it could not be read
        return False
    return known["rows"] * known["columns"] <= LARGEST_SAMPLE and set(NEEDED) <= set(known["bands"])


def _draw(entry: CatalogEntry, report: Report, folder: Path) -> None:
    if not drawable(report):
        rule = f"a picture needs {', '.join(NEEDED)} and at most {LARGEST_SAMPLE:,} pixels"
        print(f"{entry.name}: not drawn; {rule}", file=sys.stderr)
        return
    try:
        labelled = entry.load()
        scene, mask = labelled.scene, labelled.mask
    except GlacierError as error:  # outlines that cannot be read: the report says so, and the scene is drawn
        print(f"{entry.name}: drawn without outlines ({error})", file=sys.stderr)
        scene, mask = entry.open(), None
    with staged(folder) as partial:
        quality_panel(scene, mask).savefig(partial / f"{file_stem(entry.name)}_quality.png")
