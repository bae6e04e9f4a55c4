"""Landsat's names: sensors, dates and band numbers."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glacier_ml.errors import GlacierError
from glacier_ml.scenes.landsat.names import SENSOR_BANDS, band_number, date_in, sensor_named, sensors_in


@pytest.mark.parametrize(
    ("text", "sensors"),
    [
        ("LT05_066017_20070917", {"TM"}),
        ("LT52240631988227CUB02_B1", {"TM"}),
        ("LANDSAT/LE07/C02/T1_TOA/LE07_066017_20070917", {"ETM+"}),
        ("LC09_L1TP_066017_20220917_20220917_02_T1_B4", {"OLI"}),
        ("LANDSAT_5", {"TM"}),
        ("Landsat 8", {"OLI"}),
        ("Landsat_TM5", {"TM"}),
        ("ETM+", {"ETM+"}),
        ("TM and OLI", {"TM", "OLI"}),
        # Words that only contain a sensor's letters.
        ("UTM zone 6", set()),
        ("olive", set()),
        ("2007_TOA", set()),
        ("LT08_066017", set()),  # Landsat 8's thermal sensor has no reflective band
    ],
)
def test_a_sensor_is_recognised_by_its_names_alone(text, sensors):
    assert sensors_in(text) == sensors


def test_an_unknown_sensor_is_refused_with_the_choices():
    with pytest.raises(GlacierError, match=r"2007_TOA: sensor 'MSI' is not known; say TM .* ETM\+ .* OLI"):
        sensor_named("MSI", "2007_TOA")


@given(st.integers(1, 233), st.integers(1, 248), st.dates(date(1984, 3, 1), date(2012, 1, 1)))
def test_a_date_is_read_from_every_form_of_id(path, row, day):
    ids = [
        f"LT05_{path:03}{row:03}_{day:%Y%m%d}",
        f"LT05_L1TP_{path:03}{row:03}_{day:%Y%m%d}_20200823_02_T1_B3",
        f"LT5{path:03}{row:03}{day:%Y%j}CUB02_B1",
    ]
    assert [date_in(text) for text in ids] == [day.isoformat()] * 3


def test_a_day_that_does_not_exist_is_no_date():
    assert date_in("LT05_066017_20071332") is None


@pytest.mark.parametrize(
    ("label", "number"),
    [("B1", 1), ("b05", 5), ("SR_B7", 7), ("columbia.B4", 4), ("LT05_x_B10", 10), ("DB1", None), ("B", None)],
)
def test_a_band_number_stands_at_the_end_of_a_label(label, number):
    assert band_number(label) == number


def test_band_four_is_red_on_oli_and_near_infrared_before():
    assert (SENSOR_BANDS["TM"][4], SENSOR_BANDS["ETM+"][4], SENSOR_BANDS["OLI"][4]) == ("nir", "nir", "red")
