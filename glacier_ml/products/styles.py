"""Styles that QGIS takes up by itself: `<raster>.qml` beside each raster."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from xml.etree import ElementTree

STEPS = 11
"""Colours of a ramp between its ends; QGIS draws what lies between two of them as a mixture."""

# Largest value drawn, colour map and how to read it, by the kind of raster.
RAMPS = {
    "probability": (1.0, "viridis", "probability of glacier"),
    "uncertainty": (1.0, "magma", "entropy [bit]: 1 is a toss-up"),
    "spread": (0.5, "magma", "standard deviation of the members"),
}
MASK_COLOUR = (86, 180, 233)
"""Of glaciers, red, green, blue: Okabe and Ito's sky blue."""

_MASK = {
    0: ("#000000", 0, "not glacier"),
    1: ("#{:02x}{:02x}{:02x}".format(*MASK_COLOUR), 255, "glacier"),
}


def write_styles(folder: Path, rasters: Iterable[str]) -> None:
    """Write a style beside each raster whose name ends in a kind that is drawn, such as `_mask.tif`."""
    for raster in rasters:
        kind = Path(raster).stem.rpartition("_")[2]
        if kind in RAMPS:
            renderer = _ramp(*RAMPS[kind])
        elif kind in ("mask", "members"):
            renderer = _palette()
        else:
            continue
        (folder / raster).with_suffix(".qml").write_bytes(_document(renderer))


def _document(renderer: ElementTree.Element) -> bytes:
    root = ElementTree.Element("qgis", {"version": "3.22", "styleCategories": "Symbology"})
    pipe = ElementTree.SubElement(root, "pipe")
    pipe.append(renderer)
    for part in ("brightnesscontrast", "huesaturation", "rasterresampler"):
        ElementTree.SubElement(pipe, part)
    ElementTree.indent(root)
    return b"<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n" + ElementTree.tostring(root)


def _palette() -> ElementTree.Element:
    renderer = ElementTree.Element(
        "rasterrenderer", {"type": "paletted", "band": "1", "opacity": "0.6", "alphaBand": "-1"}
    )
    palette = ElementTree.SubElement(renderer, "colorPalette")
    for value, (colour, opacity, label) in _MASK.items():
        entry = {"value": str(value), "color": colour, "alpha": str(opacity), "label": label}
        ElementTree.SubElement(palette, "paletteEntry", entry)
    return renderer


def _ramp(largest: float, colours: str, label: str) -> ElementTree.Element:
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    limits = {"classificationMin": "0", "classificationMax": f"{largest:g}"}
    renderer = ElementTree.Element(
        "rasterrenderer",
        {"type": "singlebandpseudocolor", "band": "1", "opacity": "1", "alphaBand": "-1", **limits},
    )
    shader = ElementTree.SubElement(
        ElementTree.SubElement(renderer, "rastershader"),
        "colorrampshader",
        {
            "colorRampType": "INTERPOLATED",
            "classificationMode": "1",
            "clip": "0",
            "minimumValue": "0",
            "maximumValue": f"{largest:g}",
        },
    )
    for step in range(STEPS):
        share = step / (STEPS - 1)
        text = f"{share * largest:g}" + (f" {label}" if step == STEPS - 1 else "")
        item = {"value": f"{share * largest:g}", "color": to_hex(colormaps[colours](share))}
        ElementTree.SubElement(shader, "item", {**item, "alpha": "255", "label": text})
    return renderer
