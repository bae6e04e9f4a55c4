"""The text of a quality report: each figure in its place, by a report made up by hand."""

import pytest

from glacier_ml.scenes.inspection.text import report_text

RED = {
    "data_percent": 98.76,
    "quantiles": {"0%": -0.0101, "1%": 0.0202, "50%": 0.1004, "99%": 0.5, "100%": 0.7},
    "negative": 12,
    "negative_percent": 0.3,
    "saturated_percent": 3.456,
    "saturation_from": "DN",
    "sun_factor": 0.49468,
    "sun_sine": None,
    "shift_rows": 0.3,
    "shift_columns": -0.4,
}
SUN = {"bands": ["red"], "sun_factor": 0.49468, "sun_sine": None, "candidates": [], "year_known": True}
OUTLINES = {
    "file": "glims.gpkg",
    "kind": "polygons",
    "source": "GLIMS",
    "glacier_percent": 46.31,
    "debris_percent": None,
    "dates": ["2001-08-12", "2004-01-01", "2006-08-12"],
    "gap_days": 1350,
    "shift_rows": -0.4,
    "shift_columns": 1.2,
    "shift_spread": 0.7,
}
FACTS = {
    **{"rows": 24, "columns": 32, "crs": "EPSG:32618", "pixel_size": [30.0, 30.0], "pixel_unit": "metre"},
    **{"latitude": -49.55, "longitude": -73.75, "place": "patagonia", "pixels": 768, "pixels_read": 768},
    **{"method": "chander", "quantity": "toa_reflectance", "spacecraft": "LANDSAT_5", "sensor": "TM"},
    **{"scene_id": None, "sun_elevation_deg": 28.06, "sun_elevation_from": "metadata"},
    "days": {"date": "2007-09-12", "date_bands": {}, "suns": [SUN]},
    "seasons": [{"words": {"September": "the end of winter"}}],
    "bands": {"red": RED},
    "valid_percent": 96.81,
    "flagged": {"cloud_shadow": 4.26},
    "outlines": OUTLINES,
    "bright": {"percent": 65.16, "inside_percent": 95.28, "outside_percent": 39.17},
    "bright_rule": {"ndsi": 0.4, "nir": 0.11},
}


def lines_of(facts):
    return report_text("patagonia-8", facts, ()).splitlines()


def test_the_head_says_where_when_and_how_high_the_sun():
    assert lines_of(FACTS)[2:6] == [
        "24 x 32 pixels of 30 m, EPSG:32618, 49.55 S 73.75 W (patagonia)",
        "LANDSAT_5, TM, top-of-atmosphere reflectance by Chander et al. 2009",
        "date 2007-09-12; sun 28.1 degrees high by the metadata",
        "season (southern): September: the end of winter",
    ]
    north = FACTS | {"latitude": 61.05, "longitude": 10.0}
    assert "61.05 N 10.00 E" in lines_of(north)[2]
    assert lines_of(north)[5].startswith("season (northern)")


def test_the_table_holds_each_figure_under_its_name():
    names, row = lines_of(FACTS)[7:9]
    assert names.split("  ")[0] == "band"
    # The shift is the hypotenuse of 0.3 and 0.4 pixels.
    expected = ["red", "98.8", "-0.010", "0.020", "0.100", "0.500", "0.700", "12", "3.46", "0.4947", "0.50"]
    assert row.split() == expected
    assert len(names) == len(row)


@pytest.mark.parametrize("unknown", ["sun_factor", "shift_rows"])
def test_what_is_not_known_is_a_dash_without_an_explanation(unknown):
    lines = lines_of(FACTS | {"bands": {"red": RED | {unknown: None}}})
    assert "-" in lines[8].split()
    meaning = {"sun_factor": "sun factor: ", "shift_rows": "shift px: "}
    assert not any(line.startswith(meaning[unknown]) for line in lines)


def test_below_the_table_each_share_has_its_name():
    text = " ".join(" ".join(lines_of(FACTS)).split())
    for told in (
        "pixels with data in every band: 96.8 %",
        "flagged: cloud shadow 4.3 %",
        "outlines: glims.gpkg (GLIMS), glacier 46.3 %, of 2001-08-12 to 2006-08-12, ",
        "on average 1350 days before the scene",
        "-0.4 rows (+: too low), +1.2 columns (+: too far right) beside the image's edges",
        "beside the image's edges (uncertain by 1.4 px)",
        "NDSI > 0.4 and NIR > 0.11: 65.2 % of the valid pixels, 95.3 % inside outlines, 39.2 % outside",
        "sun factor 0.4947 (red): no day fits",
    ):
        assert told in text


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"dates": ["2009-08-12"] * 3, "gap_days": -30}, "of 2009-08-12, on average 30 days after the scene"),
        ({"dates": None, "gap_days": None}, "of an unknown day, gap to the scene unknown"),
        ({"error": "rgi.gpkg: is damaged"}, "(uncertain by 1.4 px), cannot be read"),
    ],
)
def test_days_and_gaps_of_outlines_in_words(changed, told):
    assert told in " ".join(" ".join(lines_of(FACTS | {"outlines": OUTLINES | changed})).split())
