"""Styles: well-formed, of the values that the rasters hold."""

from xml.etree import ElementTree

import pytest

from glacier_ml.products.styles import RAMPS, write_styles


@pytest.mark.parametrize(("kind", "largest"), [(kind, ramp[0]) for kind, ramp in RAMPS.items()])
def test_a_ramp_runs_from_nothing_to_its_largest_value(tmp_path, kind, largest):
    write_styles(tmp_path, [f"a_scene_{kind}.tif"])
    root = ElementTree.parse(tmp_path / f"a_scene_{kind}.qml").getroot()
    assert root.tag == "qgis" and root.find("pipe/rasterrenderer").get("type") == "singlebandpseudocolor"
    items = root.findall(".//colorrampshader/item")
    values = [float(item.get("value")) for item in items]
    assert values[0] == 0 and values[-1] == largest and values == sorted(values) and len(values) == 11
    assert all(len(item.get("color")) == 7 for item in items)


def test_a_mask_shows_glacier_and_nothing_else(tmp_path):
    write_styles(tmp_path, ["a_mask.tif", "a_members.tif", "a_preview.png"])
    entries = ElementTree.parse(tmp_path / "a_mask.qml").getroot().findall(".//paletteEntry")
    assert {entry.get("value"): entry.get("alpha") for entry in entries} == {"0": "0", "1": "255"}
    assert {path.name for path in tmp_path.iterdir()} == {"a_mask.qml", "a_members.qml"}
