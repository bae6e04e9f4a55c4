"""Months against the ablation season of their hemisphere."""

import pytest

from glacier_ml.scenes.inspection.season import judge_season, season, season_figures

ALASKA, PATAGONIA = 61.0, -49.4
BANDS = ["green", "nir", "swir1"]
NO_SUN = {"date": None, "date_bands": {}, "suns": []}


@pytest.mark.parametrize(
    ("latitude", "months", "state"),
    [
        (ALASKA, (7, 8, 9), "in"),
        (ALASKA, (6, 10), "edge"),
        (ALASKA, (11, 12, 1, 2, 3, 4, 5), "out"),
        (PATAGONIA, (1, 2, 3), "in"),
        (PATAGONIA, (12, 4), "edge"),
        (PATAGONIA, (5, 6, 7, 8, 9, 10, 11), "out"),
        (-9.1, range(1, 13), "unknown"),
    ],
)
def test_months_of_both_hemispheres(latitude, months, state):
    assert {season(month, latitude)[0] for month in months} == {state}


@pytest.mark.parametrize("month", range(1, 13))
def test_the_south_is_half_a_year_away(month):
    assert season(month, ALASKA) == season((month + 5) % 12 + 1, PATAGONIA)


def judged(days, latitude):
    figures = season_figures(NO_SUN | days, BANDS, latitude)
    facts = {"seasons": figures, "latitude": latitude, "bands": dict.fromkeys(BANDS)}
    return [(one.severity, one.message) for one in judge_season(facts)]


def test_september_is_a_fault_in_the_south_and_none_in_the_north():
    assert judged({"date": "2007-09-17"}, ALASKA) == []
    ((severity, message),) = judged({"date": "2007-09"}, PATAGONIA)
    assert severity == "fault"
    assert message.startswith("September is the end of winter in the south: ")
    assert message.endswith("take a scene of January to March")


def test_the_edge_of_the_season_is_a_note():
    ((severity, message),) = judged({"date": "2007-10-03"}, ALASKA)
    assert severity == "note"
    assert "October is the time of the first snow in the north" in message


def test_a_band_of_another_season_is_named():
    ((severity, message),) = judged({"date": "2007-08-01", "date_bands": {"swir1": "2007-03-01"}}, ALASKA)
    assert severity == "fault"
    assert "March is the end of winter in the north (swir1)" in message


def sun(*spans, passes=()):
    candidates = [{"first": first, "last": last, "passes": list(passes)} for first, last in spans]
    return {"suns": [{"bands": BANDS, "candidates": candidates}]}


def test_without_a_date_the_sun_tells_the_season():
    # Spring or high summer: it may be a fault.
    spans = [("2007-05-14", "2007-05-18"), ("2007-07-12", "2007-07-17")]
    ((severity, message),) = judged(sun(*spans), ALASKA)
    assert severity == "note"
    assert message.startswith("by the sun it may be so: May is spring in the north")
    # Landsat passed in July alone.
    assert judged(sun(*spans, passes=["2007-07-13"]), ALASKA) == []
    # Both ends of winter: it is one.
    ((severity, _),) = judged(sun(("2007-03-01", "2007-03-09"), ("2007-11-20", "2007-11-22")), ALASKA)
    assert severity == "fault"


def test_nothing_is_told_without_a_date_a_place_or_a_winter():
    assert judged({}, ALASKA) == []
    assert season_figures(NO_SUN | {"date": "2007-01-01"}, BANDS, None) == []
    assert judged({"date": "2007-01-01"}, -9.1) == []
