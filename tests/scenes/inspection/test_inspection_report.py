"""Whole reports: the faults of the real scenes, what the generator put into made ones, and nothing else."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from glacier_ml.errors import GlacierError
from glacier_ml.scenes.catalog import Catalog, CatalogEntry, open_catalog
from glacier_ml.scenes.inspection import findings, season
from glacier_ml.scenes.inspection.report import Report, inspect_catalog, inspect_scene
from glacier_ml.scenes.made.ground import (
    DEBRIS,
    GLACIER_SHADOW,
    GLACIER_SNOW,
    GROUND_SHADOW,
    ICE,
    MELANGE,
    SNOW,
)
from glacier_ml.scenes.made.reflectance import BIAS, GAIN, SOLAR_IRRADIANCE
from glacier_ml.scenes.made.synthetic import make_scene, write_made
from glacier_ml.scenes.rasters import write_raster
from glacier_ml.scenes.scene import BANDS, Grid

NOTES = {"bright-outside-outlines", "negative-reflectance", "saturation"}


def told(found):
    return {one.code: one for one in found.findings}


def severities(found, severity):
    return {one.code for one in found.findings if one.severity == severity}


@pytest.fixture(scope="module", params=[("alaska", 1), ("patagonia", 1), ("patagonia", 2)], ids=str)
def made(request, tmp_path_factory):
    """A made scene and its report."""
    region, place = request.param
    made = make_scene(place, region, (320, 288))
    folder = tmp_path_factory.mktemp("made") / made.scene.name
    write_made(made, folder)
    keys = {"date": made.scene.provenance["date"], "outlines": folder / "outlines.tif"}
    entry = CatalogEntry(made.scene.name, folder, "p", region, "train", **keys)
    return made, inspect_scene(entry)


def test_made_scenes_have_no_fault_of_grid_day_coding_or_place(made):
    _, found = made
    faults = severities(found, "fault") - {"saturation"}
    assert faults == ({"season"} if "patagonia" in found.name else set())
    assert severities(found, "note") <= NOTES


def test_faults_come_before_notes(made):
    order = [one.severity for one in made[1].findings]
    assert "note" in order
    assert order == sorted(order)


def test_made_scenes_are_saturated_as_the_generator_clipped_them(made):
    scene, found = made[0].scene, made[1]
    sine = math.sin(math.radians(scene.provenance["sun_elevation_deg"]))
    for index, band in enumerate(BANDS):
        ceiling = np.float32((GAIN[index] * 255 + BIAS[index]) * math.pi / (SOLAR_IRRADIANCE[index] * sine))
        clipped = np.isclose(scene.bands[band], ceiling, rtol=1e-6) & scene.valid
        figures = found.facts["bands"][band]
        assert figures["saturation_from"] == "DN"
        assert figures["saturated_percent"] == pytest.approx(100 * clipped.sum() / scene.valid.sum())
        assert figures["sun_factor"] == pytest.approx(sine, rel=1e-4)
        assert figures["negative"] == (scene.bands[band] < 0).sum()
    saturated = {
        band: one["saturated_percent"]
        for band, one in found.facts["bands"].items()
        if one["saturated_percent"] >= findings.SATURATED_TOLD
    }
    assert told(found)["saturation"].data == saturated


def test_snow_beyond_the_outlines_is_that_of_the_ground_classes(made):
    scene, ground, found = made[0].scene, made[0].ground, made[1]
    glacier = np.isin(ground, (ICE, GLACIER_SNOW, DEBRIS, GLACIER_SHADOW))
    outside = scene.valid & ~glacier
    green, swir1 = (np.maximum(scene.bands[band], 0.005) for band in ("green", "swir1"))
    bright = ((green - swir1) / (green + swir1) > 0.4) & (scene.bands["nir"] > 0.11)
    share = 100 * (bright & outside).sum() / outside.sum()
    assert found.facts["bright"]["outside_percent"] == pytest.approx(share)
    assert told(found)["bright-outside-outlines"].data["percent"] == pytest.approx(share)
    # What is bright there is snow, also in thin shadow, and melange, but for pixels that mix at their edges.
    assert np.isin(ground[bright & outside], (SNOW, MELANGE, GROUND_SHADOW)).mean() > 0.85


def test_facts_of_a_made_scene(made):
    scene, facts = made[0].scene, made[1].facts
    assert facts["sun_elevation_deg"] == pytest.approx(scene.provenance["sun_elevation_deg"], abs=0.4)
    assert facts["sensor"] == "TM"
    assert facts["valid_percent"] == pytest.approx(100 * scene.valid.mean())
    assert facts["outlines"]["glacier_percent"] == pytest.approx(100 * made[0].mask[scene.valid].mean())


REAL = {
    "columbia-2007": (
        {"bands-of-different-days", "grid-mismatch"},
        {"date-unknown", "bright-outside-outlines", "saturation", "negative-reflectance"},
    ),
    "patagonia-8": (
        {"grid-mismatch", "saturation", "outline-coding", "season"},
        {"bright-outside-outlines", "negative-reflectance"},
    ),
    "columbia-2009": ({"grid-mismatch"}, NOTES),
    "valdez-3": ({"saturation"}, {"negative-reflectance"}),
    "valdez-4": (set(), {"saturation", "negative-reflectance"}),
}


@pytest.fixture(scope="module")
def real(real_scenes):
    return {one.name: one for one in inspect_catalog(open_catalog(real_scenes))}


@pytest.mark.real_data
@pytest.mark.parametrize("name", REAL)
def test_every_fault_of_the_real_scenes_is_named_and_no_other(real, name):
    assert (severities(real[name], "fault"), severities(real[name], "note")) == REAL[name]


@pytest.mark.real_data
def test_the_figures_of_the_real_scenes_are_those_measured_by_others(real):
    columbia, patagonia = (told(real[name]) for name in ("columbia-2007", "patagonia-8"))
    # The scenes' README: up to 4 px, 26 px at the corners.
    assert columbia["grid-mismatch"].data["worst_px"] == pytest.approx(4, abs=0.2)
    assert patagonia["grid-mismatch"].data["worst_px"] == pytest.approx(26, abs=0.5)
    days = columbia["bands-of-different-days"].data
    assert days.pop("swir1") == pytest.approx(0.4947, abs=1e-4)
    assert days == pytest.approx(dict.fromkeys(("blue", "green", "red", "nir"), 0.7273), abs=1e-4)
    assert patagonia["saturation"].data["blue"] == pytest.approx(40, abs=0.5)
    assert patagonia["outline-coding"].data["largest"] == pytest.approx(1344.93, abs=0.01)
    assert patagonia["season"].data == {"September": 9.0}
    assert all(told(one)["negative-reflectance"].data["swir1"] > 0 for one in real.values())
    glacier = {
        name: one.facts["outlines"]["glacier_percent"] for name, one in real.items() if one.facts["outlines"]
    }
    assert glacier == pytest.approx(
        {"columbia-2007": 19.8, "patagonia-8": 46.3, "columbia-2009": 15.3}, abs=0.05
    )


@pytest.mark.real_data
def test_a_bundle_is_inspected_as_it_lies(real_toa):
    catalog = open_catalog(real_toa / "LT52240631988227CUB02")
    (found,) = inspect_catalog(catalog)
    assert severities(found, "fault") == set()
    facts = found.facts
    assert (facts["spacecraft"], facts["date"]) == ("LANDSAT_5", "1988-08-14")
    assert (facts["sun_elevation_from"], round(facts["sun_elevation_deg"], 1)) == ("metadata", 49.8)
    (sun,) = facts["days"]["suns"]
    assert sun["days_off"] == 0


@pytest.mark.real_data
def test_text_fits_a_terminal_and_names_every_finding(real):
    for one in real.values():
        text = one.to_text()
        assert max(map(len, text.splitlines())) <= 100
        assert all(finding.code in text for finding in one.findings)
        assert "sun factor: sin(sun elevation) / d2, d = distance to the Sun" in text
        assert "shift px: how far a band's edges lie" in text
        assert "lattice" not in text
        assert all("\n" not in finding.message for finding in one.findings)
        assert text.isascii()


@pytest.mark.real_data
def test_text_says_whose_sun_and_place_are_meant(real):
    text = real["columbia-2007"].to_text()
    assert "sun 48.7 degrees high by the sun factor (blue, green, red and nir)" in text
    assert "-0.2 rows (+: too low), -1.2 columns (+: too far right) beside the image's edges" in text


def test_a_season_of_many_months_is_wrapped(made):
    facts = dict(made[1].facts)
    facts["seasons"] = [{"words": {month: "the end of the ablation season" for month in season.MONTHS}}]
    text = Report("a", facts, ()).to_text()
    assert max(map(len, text.splitlines())) <= 100
    assert "December: the end of the ablation season" in " ".join(text.split())


def strict(text):
    def refuse(name):
        raise AssertionError(f"{name} is no JSON")

    return json.loads(text, parse_constant=refuse)


def test_json_is_strict_and_complete(made):
    found = made[1]
    content = strict(found.to_json())
    assert set(content) == {"name", "facts", "findings"}
    assert content["name"] == found.name
    assert [one["code"] for one in content["findings"]] == [one.code for one in found.findings]
    assert content["facts"]["bands"]["blue"]["saturated_percent"] == pytest.approx(
        found.facts["bands"]["blue"]["saturated_percent"]
    )
    assert strict(Report("a", {"odd": [math.nan, {"worse": math.inf}]}, ()).to_json())["facts"] == {
        "odd": [None, {"worse": None}]
    }


def test_a_scene_that_cannot_be_read_is_told_and_the_others_are_inspected(tiny_scene_folder):
    good = CatalogEntry("good", tiny_scene_folder("good"), "p", "r", "unseen", "2007-09-17")
    broken = replace(good, name="broken", path=tiny_scene_folder("broken"))
    (broken.path / "red.tif").write_bytes(b"II*\x00 no more")
    first, second = inspect_catalog(Catalog(good.path, (broken, good)))
    (fault,) = first.findings
    assert (fault.code, fault.severity) == ("unreadable", "fault")
    assert "red.tif cannot be read" in fault.message
    assert "unreadable" in first.to_text()
    strict(first.to_json())
    assert second.facts["rows"] == 24
    assert [one.name for one in inspect_catalog([good])] == ["good"]
    with pytest.raises(GlacierError, match=r"red\.tif cannot be read"):
        inspect_scene(broken)


def test_a_clean_scene_has_nothing_to_tell(tiny_scene_folder):
    entry = CatalogEntry("clean", tiny_scene_folder("clean"), "p", "r", "unseen", "2007-09-17")
    found = inspect_scene(entry)
    assert found.findings == ()
    assert found.to_text().endswith("nothing found\n")


odd_numbers = st.one_of(
    st.floats(-0.25, 1.75, width=32),
    st.floats(-(2.0**120), 2.0**120, width=32),
    st.sampled_from([0.0, -9999.0, 1.0, math.nan, math.inf, 0.25]),
)
odd_band = arrays.arrays(np.float32, (6, 8), elements=odd_numbers, fill=odd_numbers)


def inspect_oddities(grid, folder, bands, outlines):
    """Inspect a scene of any values: a report whose forms can be written, or one line of error."""
    scene = folder / "odd"
    for band, values in bands.items():
        write_raster(scene / f"{band}.tif", values, grid)
    write_raster(scene / "outlines.tif", outlines, grid)
    entry = CatalogEntry("odd", scene, "p", "r", "train", "2007-09-17", outlines=scene / "outlines.tif")
    try:
        found = inspect_scene(entry)
    except GlacierError as error:
        assert "\n" not in str(error)
        return
    strict(found.to_json())
    assert found.to_text().startswith("odd\n===\n")
    assert all("\n" not in one.message for one in found.findings)


oddities = given(
    bands=st.dictionaries(st.sampled_from(BANDS), odd_band, min_size=1),
    outlines=odd_band,
    north=st.sampled_from([0.0, 6_780_000.0, 9_999_000.0, 1e12]),
)
lenient = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


@oddities
@settings(max_examples=500, deadline=None, derandomize=True, suppress_health_check=lenient)
def test_whatever_the_values_a_report_or_one_line_comes(tiny_grid, tmp_path_factory, bands, outlines, north):
    grid: Grid = tiny_grid(shape=(6, 8), north=north)
    inspect_oddities(grid, tmp_path_factory.mktemp("odd"), bands, outlines)


@pytest.mark.thorough
@pytest.mark.timeout(1800)
@oddities
@settings(max_examples=5_000, deadline=None, derandomize=True, suppress_health_check=lenient)
def test_whatever_the_values_a_report_or_one_line_comes_thoroughly(
    tiny_grid, tmp_path_factory, bands, outlines, north
):
    grid: Grid = tiny_grid(shape=(6, 8), north=north)
    inspect_oddities(grid, tmp_path_factory.mktemp("odd"), bands, outlines)


@pytest.mark.parametrize(("tag", "day"), [("2007-13-45", None), ("2007-09-17", "2007-09-17")])
def test_a_tag_that_is_no_day_is_no_date(tiny_scene_folder, tag, day):
    entry = CatalogEntry("dated", tiny_scene_folder("dated", tags={"DATE": tag}), "p", "r", "unseen")
    assert inspect_scene(entry).facts["date"] == day
