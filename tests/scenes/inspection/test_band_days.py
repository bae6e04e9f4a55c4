"""Days of bands: those of another sun are found, listed days are held against the sun."""

import math
from pathlib import Path

import numpy as np
import pytest

from glacier_ml.scenes.catalog import CatalogEntry
from glacier_ml.scenes.inspection.days import day_figures, judge_days
from glacier_ml.scenes.inspection.lattice import find_lattice
from glacier_ml.scenes.made.reflectance import BIAS, GAIN, SOLAR_IRRADIANCE
from glacier_ml.scenes.scene import BANDS

COLUMBIA = (61.05, -147.08)
JULY, SEPTEMBER = 0.7273, 0.4947  # sin(sun elevation) / d^2 of the bands of columbia-2007


def lattices(**factors):
    """Lattices of bands that hold every DN under a given sin(sun elevation) / d^2."""
    found = {}
    for band, factor in factors.items():
        index = BANDS.index(band)
        radiance = GAIN[index] * np.arange(1, 256) + BIAS[index]
        values = math.pi * radiance / (SOLAR_IRRADIANCE[index] * factor)
        found[band] = find_lattice(values.astype(np.float32), band, "TM")
    return found


def figures(found, place=COLUMBIA, provenance=None, **entry):
    catalogued = CatalogEntry("a", Path("a"), "p", "r", "unseen", **entry)
    return day_figures(catalogued, provenance or {}, found, place)


def judged(days):
    bands = [band for sun in days["suns"] for band in sun["bands"]]
    return {one.code: one for one in judge_days({"days": days, "bands": dict.fromkeys(bands)})}


def test_one_sun_is_one_day():
    found = figures(lattices(blue=SEPTEMBER, red=SEPTEMBER * 1.0001, swir1=SEPTEMBER), date="2007-09-17")
    (sun,) = found["suns"]
    assert sun["bands"] == ["blue", "red", "swir1"]
    assert sun["sun_factor"] == pytest.approx(SEPTEMBER, rel=1e-3)
    assert sun["days_off"] == 0
    # d is 1.0053 on that day: asin(0.4947 * 1.0053^2) = asin(0.49997) = 30.0 degrees.
    assert found["sun_elevation_deg"] == pytest.approx(30.0, abs=0.05)
    assert found["sun_elevation_from"] == "lattice"
    assert judged(found) == {}


def test_what_the_metadata_say_of_the_sun_goes_first():
    found = figures(lattices(red=SEPTEMBER), provenance={"sun_elevation_deg": 29.5, "date": "2007-09-17"})
    assert (found["sun_elevation_deg"], found["sun_elevation_from"]) == (29.5, "metadata")
    assert found["date"] == "2007-09-17"


def test_bands_of_two_suns_are_named_with_both_and_their_days():
    bands = lattices(blue=JULY, green=JULY, red=JULY, nir=JULY, swir1=SEPTEMBER)
    found = figures(bands, date_bands={"swir1": "2007-09-17"})
    assert [sun["bands"] for sun in found["suns"]] == [["blue", "green", "red", "nir"], ["swir1"]]
    finding = judged(found)["bands-of-different-days"]
    assert finding.severity == "fault"
    assert finding.data == pytest.approx(
        {"blue": JULY, "green": JULY, "red": JULY, "nir": JULY, "swir1": SEPTEMBER}, rel=1e-3
    )
    assert "blue, green, red and nir 0.7273 (2007-07-15, less likely 2007-07-13)" in finding.message
    assert "swir1 0.4947 (2007-09-17, as listed)" in finding.message
    assert finding.message.endswith("the catalog knows (swir1 2007-09-17)")
    assert "no date is listed for blue, green, red and nir" in judged(found)["date-unknown"].message
    # d is 1.0165 on the likeliest day, 15 July: asin(0.7273 * 1.0165^2) = asin(0.7515) = 48.7 degrees.
    assert found["sun_elevation_deg"] == pytest.approx(48.7, abs=0.05)


def test_a_catalog_that_does_not_know_is_told_so():
    found = judged(figures(lattices(red=JULY, nir=JULY, swir1=SEPTEMBER), date="2007-09-17"))
    assert found["bands-of-different-days"].message.endswith("does not say so: add 'date_bands:'")
    # The listed day is right for swir1 alone; 2007-07-24 is the last July day with that sun.
    wrong = found["date-mismatch"]
    assert "2007-09-17 is listed for red and nir, but by the sun (0.7273) it was 2007-07-15" in wrong.message
    assert wrong.data["days_off"] == pytest.approx(55, abs=3)


def test_a_month_is_held_against_the_sun_by_its_days():
    (sun,) = figures(lattices(red=SEPTEMBER), date="2007-09")["suns"]
    assert sun["days_off"] == 0
    # Spring's days with that sun end about 2007-03-26, 67 days before June; March has some.
    (sun,) = figures(lattices(red=SEPTEMBER), date="2007-06")["suns"]
    assert sun["days_off"] == pytest.approx(67, abs=3)
    (sun,) = figures(lattices(red=SEPTEMBER), date="2007-03")["suns"]
    assert sun["days_off"] == 0


@pytest.mark.parametrize(("day", "told"), [("2007-09-30", False), ("2007-10-12", True)])
def test_a_listed_day_may_miss_the_sun_by_one_cycle_of_passes(day, told):
    # The last days with that sun are about 2007-09-21: 9 and 21 days before.
    assert ("date-mismatch" in judged(figures(lattices(red=SEPTEMBER), date=day))) is told


def test_the_sun_of_oli_is_told_without_the_distance():
    # reflectance = (2e-5 DN - 0.1) / sin(30 degrees)
    number = np.random.default_rng(0).integers(6000, 30000, 5000)
    values = ((2e-5 * number - 0.1) / 0.5).astype(np.float32)
    found = figures({"red": find_lattice(values, "red", "OLI")}, date="2017-09-17")
    (sun,) = found["suns"]
    assert (sun["sun_factor"], sun["sun_sine"]) == (None, pytest.approx(0.5, rel=1e-3))
    assert found["sun_elevation_deg"] == pytest.approx(30.0, abs=0.05)
    assert sun["days_off"] <= 3


def test_without_a_year_the_candidates_are_days_of_any():
    found = figures(lattices(red=SEPTEMBER, nir=SEPTEMBER))
    assert found["suns"][0]["year_known"] is False
    message = judged(found)["date-unknown"].message
    assert "2001" not in message
    assert "of an unknown year; add 'date:'" in message


def test_without_lattice_date_or_place_nothing_is_made_up():
    assert judged(figures({}))["date-unknown"].severity == "note"
    assert judged(figures({}, date="2007-09-17")) == {}
    found = figures(lattices(red=SEPTEMBER), place=None, date="2007-09-17")
    assert found["suns"][0]["candidates"] == []
    assert judged(found) == {}
    odd = figures(lattices(red=SEPTEMBER), provenance={"spacecraft": "LANDSAT_3"}, date="2007-09-17")
    assert odd["suns"][0]["candidates"] == []


def test_a_dated_band_that_the_scene_lacks_is_told():
    found = judged(figures(lattices(red=SEPTEMBER), date="2007-09-17", date_bands={"swir2": "2007-09-17"}))
    assert found["date-bands"].message.startswith("date_bands names swir2, which the scene lacks")
