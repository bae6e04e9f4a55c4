"""The comparison as one HTML page that works offline: verdict, tables, maps, charts, caveats, repetition.

Everything is in the one file: images as data URIs, no script, no font and no address that a browser would
fetch. The words and the layout stand in `page.html.jinja` and `page.css` beside this module.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from glacier_ml.evaluation.boundaries import pixel_size_m
from glacier_ml.evaluation.figures import NO_DATA, OUTCOMES, false_colour, outcome_image, round_length
from glacier_ml.evaluation.inside_figures import draw_importance
from glacier_ml.evaluation.metrics import confusion
from glacier_ml.evaluation.report import figures as pictures
from glacier_ml.evaluation.report.tables import (
    change_table,
    ground_tables,
    left_out,
    number,
    pair_table,
    score_tables,
    threshold_table,
)
from glacier_ml.evaluation.report.verdict import NETWORKS, shown_name, verdict_sentences
from glacier_ml.evaluation.scene_maps import EARLIER
from glacier_ml.evaluation.scores import SCORES

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from glacier_ml.evaluation.comparison import Comparison
    from glacier_ml.evaluation.scene_maps import SceneMaps
    from glacier_ml.scenes.inspection.report import Report

TEMPLATE = "page.html.jinja"
MAPS_BYTES = 10_000_000
"""Of all maps together, so that a page with its charts stays below 15 MB."""
_NAMED = 3  # scenes named in the page's title


@dataclass(frozen=True)
class Insight:
    """What looking inside the networks gave.

    Attributes
    ----------
    importance : pandas.DataFrame or None
        As `glacier_ml.evaluation.importance.permutation_importance` gives it.
    activations : dict of str to Figure
        Activation maps of chosen convolutions on a tile, by what is written above.
    """

    importance: pd.DataFrame | None = None
    activations: dict[str, Figure] = field(default_factory=dict)


@dataclass(frozen=True)
class Repeat:
    """What it takes to get the page again.

    Attributes
    ----------
    commands : list of str
        To be typed, in their order.
    commit, dataset_digest : str
        Of the code, of the data; '' where unknown.
    seeds : dict of str to list of int
        By classifier.
    models : dict of str to str
        Registered name and version by classifier.
    versions : dict of str to str
        Of the software, by name.
    """

    commands: list[str]
    commit: str
    dataset_digest: str
    seeds: dict[str, list[int]] = field(default_factory=dict)
    models: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)


def write_report(
    path: Path,
    comparison: Comparison,
    caveats: Sequence[Report],
    insight: Insight,
    repeat: Repeat,
    notes: Sequence[str] = (),
) -> None:
    """Write the page.

    Parameters
    ----------
    path : Path
        The HTML file; its folder is there already.
    comparison : Comparison
        Maps and scores of the held-out scenes.
    caveats : sequence of Report
        Inspections of the scenes that were used: held-out ones, and those that were trained on.
    insight : Insight
        Importance of the features and activation maps, as far as there are.
    repeat : Repeat
        Commands, commit, digests, seeds.
    notes : sequence of str
        Sentences for below the verdict, such as why no network was trained from further seeds.
    """
    path.write_text(render(comparison, caveats, insight, repeat, notes), encoding="utf-8")


def render(
    comparison: Comparison,
    caveats: Sequence[Report],
    insight: Insight,
    repeat: Repeat,
    notes: Sequence[str] = (),
) -> str:
    """Page as text: see `write_report`."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    context = {
        **_told(comparison, notes),
        **_charts(comparison),
        **_scenes(comparison),
        "caveats": [_caveat(one) for one in caveats],
        "importance": None if insight.importance is None else _importance(insight.importance),
        "activations": {
            name: _captioned(one, pictures.as_picture) for name, one in insight.activations.items()
        },
        "repeat": repeat,
        "shown_name": shown_name,
    }
    return environment.get_template(TEMPLATE).render(context)


def _told(comparison: Comparison, notes: Sequence[str]) -> dict[str, Any]:
    """The verdict, the overall tables, and what the reader must know of them."""
    names, scenes = pictures.contestants(comparison), [one.name for one in comparison.maps]
    where = ", ".join(scenes) if len(scenes) <= _NAMED else f"{len(scenes)} held-out scenes"
    return {
        "title": f"Glacier maps of {where}",
        "written": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "verdict": verdict_sentences(comparison),
        "notes": list(notes),
        "tables": score_tables(comparison),
        "left_out": left_out(comparison),
        "pairs": pair_table(comparison) if len(names) > 1 else None,
        "several_scenes": len(comparison.maps) > 1,
        "several_seeds": bool((comparison.scores.seeds > 1).any()),
        "side": comparison.side,
        "repeats": comparison.repeats,
        "same_place": [one.name for one in comparison.maps if one.earlier is not None],
        "scores": list(SCORES.values()),
        "rules": [shown_name(name) for name in names if name in comparison.maps[0].rules],
        "legend": [(name, _css(colour)) for name, colour in OUTCOMES.items()],
        "no_data": _css(NO_DATA),
        "ramp": ", ".join(_css(colour) for colour in _ramp()),
    }


def _charts(comparison: Comparison) -> dict[str, Any]:
    names = pictures.contestants(comparison)
    against = next((name for name in NETWORKS if name in names), names[0])
    reliability = pictures.reliability_diagrams(comparison) if len(comparison.reliability) else None
    return {
        "intervals": _uri(pictures.as_drawing(pictures.iou_intervals(comparison))),
        "differences": _uri(pictures.as_drawing(pictures.iou_differences(comparison, against))),
        "against": shown_name(against),
        "reliability": _uri(pictures.as_drawing(reliability)) if reliability else None,
    }


def _scenes(comparison: Comparison) -> dict[str, Any]:
    """All scenes, their maps as fine as `MAPS_BYTES` allow, and what is lost by that."""
    for detail in pictures.DETAILS:
        images = [_images(comparison, one, detail) for one in comparison.maps]
        if sum(map(_size, images)) <= MAPS_BYTES:
            break
    scenes = [_scene(comparison, one) | some for one, some in zip(comparison.maps, images, strict=True)]
    return {"scenes": scenes, "coarser": None if detail == pictures.DETAILS[0] else detail.longest_side}


def _size(images: Any) -> int:
    """Characters of all text in nested dictionaries and lists."""
    if isinstance(images, str):
        return len(images)
    parts = images.values() if isinstance(images, dict) else images if isinstance(images, list) else []
    return sum(map(_size, parts))


def _images(comparison: Comparison, maps: SceneMaps, detail: pictures.Detail) -> dict[str, Any]:
    """Maps of one scene, as data URIs."""

    def photograph(image: pictures.Image) -> str:
        return _uri(pictures.as_image(image, photograph=True, detail=detail))

    shown = [one for one in pictures.contestants(comparison) if one in maps.masks]
    return {
        "false_colour": photograph(false_colour(maps.labelled.scene)),
        "truth": photograph(pictures.truth_image(maps)),
        "maps": [_panel(maps, one, detail) for one in shown],
    }


def _scene(comparison: Comparison, maps: SceneMaps) -> dict[str, Any]:
    """All that the page shows of one scene beside its maps."""
    scene, name = maps.labelled.scene, maps.name
    glacier, counted = int((maps.truth & maps.valid).sum()), int(maps.valid.sum())
    return {
        "name": name,
        "facts": _facts(maps),
        "glacier_percent": number(100 * glacier / counted, "%"),
        "bar": _scale_bar(maps),
        "coarse": 2 * scene.shape[1] <= _COLUMN_PX,
        "ratio": f"{scene.shape[1]} / {scene.shape[0]}",
        "tall": scene.shape[0] > 1.25 * scene.shape[1],
        "tables": score_tables(comparison, name) if len(comparison.maps) > 1 else [],
        "change": change_table(comparison, name),
        "ground": ground_tables(comparison, name),
        "thresholds": threshold_table(comparison, maps),
        "curves": _uri(pictures.as_drawing(pictures.threshold_curves(comparison, name))),
    }


_COLUMN_PX = 560  # width of a map on the page: scenes of half of it are drawn with square pixels, not blurred


def _facts(maps: SceneMaps) -> str:
    """Place, date, sensor and size of a scene, as far as known."""
    entry, provenance = maps.labelled.entry, maps.labelled.scene.provenance
    rows, columns = maps.labelled.scene.shape
    height, width = pixel_size_m(maps.labelled.scene)
    known = [entry.place, entry.region, provenance.get("date") or entry.date, provenance.get("sensor")]
    size = f"{rows} × {columns} px of {height:.0f} m × {width:.0f} m"
    return ", ".join([*dict.fromkeys(str(one) for one in known if one), size])


def _panel(maps: SceneMaps, name: str, detail: pictures.Detail) -> dict[str, Any]:
    """Probability and errors of one classifier: of its first map, that of the champion itself."""
    mask = maps.masks[name][0]
    scored = confusion(maps.truth, mask, maps.valid)
    probability = maps.probabilities[name][0] if name != EARLIER else None
    image = None if probability is None else pictures.probability_image(probability, maps.valid)

    def uri(drawn: pictures.Image) -> str:
        return _uri(pictures.as_image(drawn, photograph=False, detail=detail))

    return {
        "name": shown_name(name),
        "rule": name in maps.rules,
        "seeds": len(maps.masks[name]),
        "threshold": None if image is None else maps.thresholds[name][0],
        "probability": None if image is None else uri(image),
        "errors": uri(outcome_image(maps.truth, mask, maps.valid)),
        "scores": {key: number(getattr(scored, key)) for key in ("iou", "precision", "recall", "accuracy")},
    }


def _scale_bar(maps: SceneMaps) -> dict[str, Any]:
    """Length of a round number of km about a quarter of the scene's width, and its share of it."""
    _, pixel_m = pixel_size_m(maps.labelled.scene)
    width_km = maps.labelled.scene.shape[1] * pixel_m / 1000
    length = round_length(width_km / 4)
    return {"km": f"{length:g} km", "percent": f"{100 * length / width_km:.3f}"}


def _caveat(report: Report) -> dict[str, Any]:
    facts = report.facts
    told = [facts.get("role"), facts.get("place"), facts.get("date")]
    return {
        "name": report.name,
        "facts": ", ".join(str(one) for one in told if one),
        "findings": report.findings,
        "faults": len(report.faults),
    }


def _importance(table: pd.DataFrame) -> dict[str, Any]:
    source, caption = _captioned(draw_importance(table), pictures.as_drawing)
    return {"chart": source, "caption": caption, "repeats": int(table.repeat.nunique())}


def _captioned(figure: Figure, encode: Callable[[Figure], tuple[bytes, str]]) -> tuple[str, str]:
    """A figure as a data URI without the caption at its foot, and that caption: the page has it larger."""
    caption = figure.get_supxlabel()
    texts = [text for text in figure.texts if caption and text.get_text() == caption]
    for shown in (False, True):
        for text in texts:
            text.set_visible(shown)
            text.set_in_layout(shown)
        if not shown:
            source = _uri(encode(figure))
    return source, caption.replace("\n", " ")


def _uri(content: tuple[bytes, str]) -> str:
    """Image as a data URI (RFC 2397)."""
    data, kind = content
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def _css(colour: Iterable[float]) -> str:
    """Colour as CSS has it.

    Examples
    --------
    >>> _css((1.0, 0.5, 0.0))
    'rgb(255 128 0)'
    """
    return f"rgb({' '.join(str(round(255 * part)) for part in colour)})"


def _ramp() -> list[Any]:
    """Colours of probabilities 0 to 1."""
    from matplotlib import colormaps

    return [colour[:3] for colour in colormaps["viridis"](np.linspace(0, 1, 9))]
