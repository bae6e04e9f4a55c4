"""From digital numbers to reflectance, against figures worked out by hand."""

import math
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from landsat_bundles import mtl_groups, mtl_text

from glacier_ml.errors import GlacierError
from glacier_ml.scenes.landsat.metadata import read_metadata
from glacier_ml.scenes.landsat.names import SENSOR_BANDS
from glacier_ml.scenes.landsat.radiometry import (
    ESUN,
    Rescaling,
    radiance_rescaling,
    rescale,
    toa_rescaling,
)
from glacier_ml.scenes.landsat.sun import earth_sun_distance
from glacier_ml.scenes.scene import BANDS

RADIANCE = ("RADIANCE_MULT", "RADIANCE_ADD")
SCALE = ("REFLECTANCE_MULT", "REFLECTANCE_ADD", *RADIANCE)


def made(sensor="TM", collection="C1", *, without=(), **changes):
    """Metadata of a made MTL; `changes` by key, `without` by how keys begin."""
    root, groups = mtl_groups(sensor, collection)
    for name, pairs in groups.items():
        kept = {key: value for key, value in pairs.items() if not key.startswith(tuple(without) or "-")}
        groups[name] = kept | {key: changes[key] for key in changes.keys() & pairs.keys()}
    extra = {
        key: value for key, value in changes.items() if not any(key in pairs for pairs in groups.values())
    }
    groups["MIN_MAX_RADIANCE"] = extra
    return read_metadata(mtl_text(root, groups), "MTL")


def refusal(metadata, method=None):
    with pytest.raises(GlacierError) as caught:
        rescale(metadata, method, "2007")
    assert str(caught.value).startswith("2007: ") and len(str(caught.value).splitlines()) == 1
    return str(caught.value)


@pytest.mark.parametrize(
    ("sensor", "gain", "offset", "ceiling"),
    [
        # (0.002 DN - 0.01) / sin 30 deg; (2e-5 DN - 0.1) / 0.5.
        ("TM", 0.004, -0.02, 255),
        ("ETM+", 0.004, -0.02, 255),
        ("OLI", 4e-5, -0.2, 65535),
    ],
)
@pytest.mark.parametrize("collection", ["C1", "C2"])
def test_the_mtls_own_coefficients_are_divided_by_the_sine_alone(sensor, gain, offset, ceiling, collection):
    method, bands = rescale(made(sensor, collection), None, "2007")
    assert (method, tuple(bands)) == ("mtl", BANDS)
    for band in bands.values():
        # The made MTL's distance is 1.00503: squared it would show here as 1 %.
        assert (band.gain, band.offset) == pytest.approx((gain, offset), rel=1e-12)
        assert (band.fill, band.ceiling) == (0, ceiling)


@pytest.mark.parametrize("sensor", ["TM", "ETM+", "OLI"])
def test_surface_reflectance_is_scaled_once_and_knows_no_sun(sensor):
    method, bands = rescale(made(sensor, "C2L2"), None, "2007")
    assert (method, tuple(bands)) == ("surface", BANDS)
    assert set(bands.values()) == {Rescaling(2.75e-05, -0.2, 0.0, None)}
    # DN 43636 is 1.0 (2.75e-5 x 43636 - 0.2 = 0.99999), whatever the sun.
    low = made(sensor, "C2L2", SUN_ELEVATION="5.0")
    assert rescale(low, None, "2007")[1]["red"].gain * 43636 - 0.2 == pytest.approx(1.0, abs=2e-5)


def test_level_2_takes_its_own_group_and_else_the_products_constants():
    metadata = made("TM", "C2L2")
    metadata.groups["LEVEL2_SURFACE_REFLECTANCE_PARAMETERS"]["REFLECTANCE_MULT_BAND_3"] = "3.0e-05"
    assert rescale(metadata, None, "2007")[1]["red"].gain == 3.0e-05
    del metadata.groups["LEVEL2_SURFACE_REFLECTANCE_PARAMETERS"]
    assert rescale(metadata, None, "2007")[1]["red"] == Rescaling(2.75e-05, -0.2)


@pytest.mark.parametrize("sensor", ["TM", "ETM+"])
def test_without_reflectance_keys_the_method_is_chanders(sensor):
    metadata = made(sensor, "pre")
    method, bands = rescale(metadata, None, "2007")
    # The made radiance is 0.002 ESUN / pi, so the gain is 0.002 d^2 / 0.5, d = 1.0051 on day 260.
    assert method == "chander"
    assert {band: scale.gain for band, scale in bands.items()} == pytest.approx(
        dict.fromkeys(BANDS, 0.004 * 1.0051**2), rel=3e-4
    )
    assert rescale(made(sensor, "C1"), "chander", "2007")[1]["nir"].gain == pytest.approx(0.004 * 1.00503**2)


def test_radiance_from_the_limits_is_chanders_table():
    # Chander et al. (2009), Table 3: (193 + 1.52) / 254 = 0.765827, bias -1.52 - 0.765827 = -2.285827;
    # band 5 (30.2 + 0.37) / 254 = 0.120354, -0.37 - 0.120354 = -0.490354.
    limits = {
        1: (-1.52, 193),
        2: (-2.84, 365),
        3: (-1.17, 264),
        4: (-1.51, 221),
        5: (-0.37, 30.2),
        7: (-0.15, 16.5),
    }
    keys = {f"RADIANCE_MINIMUM_BAND_{n}": str(low) for n, (low, _) in limits.items()}
    keys |= {f"RADIANCE_MAXIMUM_BAND_{n}": str(high) for n, (_, high) in limits.items()}
    expected = {
        "blue": (0.765827, -2.28583),
        "green": (1.448189, -4.28819),
        "red": (1.043976, -2.21398),
        "nir": (0.876024, -2.38602),
        "swir1": (0.120354, -0.49035),
        "swir2": (0.065551, -0.21555),
    }
    found = radiance_rescaling(made(without=SCALE, **keys), "2007")
    old = {f"LMIN_BAND{n}": str(low) for n, (low, _) in limits.items()}
    old |= {f"LMAX_BAND{n}": str(high) for n, (_, high) in limits.items()}
    assert radiance_rescaling(made(without=(*SCALE, "QUANTIZE"), **old), "2007") == found
    assert radiance_rescaling(made(without=(*SCALE, "QUANTIZE")), "2007") == found  # Landsat 5's table
    for band, pair in expected.items():
        assert found[band] == pytest.approx(pair, abs=6e-6)


def test_an_etm_file_before_2012_is_rescaled_by_its_limits():
    # A scene of 2010-03-15 in high gain: (191.6 + 6.2) / 254 = 0.778740 and -6.2 - 0.778740.
    highs, lows = (191.6, 196.5, 152.9, 241.1, 31.06, 10.8), (-6.2, -6.4, -5.0, -5.1, -1.0, -0.35)
    numbers = list(SENSOR_BANDS["ETM+"])
    keys = {f"LMAX_BAND{n}": str(high) for n, high in zip(numbers, highs, strict=True)}
    keys |= {f"LMIN_BAND{n}": str(low) for n, low in zip(numbers, lows, strict=True)}
    metadata = made(
        "ETM+", "pre", without=(*SCALE, "QUANTIZE"), LMAX_BAND61="17.04", LMIN_BAND61="0.0", **keys
    )
    method, bands = rescale(metadata, None, "2010")
    radiance = radiance_rescaling(metadata, "2010")
    assert method == "chander"
    assert radiance["blue"] == pytest.approx((0.778740, -6.978740), abs=1e-6)
    # At DN 255: pi x 191.6 x 1.0051^2 / (1997 x sin 30 deg) = 0.6090.
    assert bands["blue"].gain * 255 + bands["blue"].offset == pytest.approx(0.6090, abs=2e-4)


def test_the_pixel_range_of_the_oldest_files_is_used():
    keys = {"LMIN_BAND1": "0.0", "LMAX_BAND1": "254.0", "QCALMIN_BAND1": "0.0", "QCALMAX_BAND1": "254.0"}
    metadata = made(without=(*SCALE, "QUANTIZE"), **keys)
    metadata.groups["MIN_MAX_PIXEL_VALUE"] = metadata.groups["MIN_MAX_RADIANCE"]
    assert radiance_rescaling(metadata, "2007")["blue"] == (1.0, 0.0)
    assert rescale(metadata, "chander", "2007")[1]["blue"].ceiling == 254.0


def test_blue_and_green_of_landsat_5_were_calibrated_otherwise_before_1992():
    # (169 + 1.52) / 254 = 0.671339, (333 + 2.84) / 254 = 1.322205.
    before = radiance_rescaling(made(without=SCALE, DATE_ACQUIRED="1991-12-31"), "2007")
    after = radiance_rescaling(made(without=SCALE, DATE_ACQUIRED="1992-01-01"), "2007")
    assert before["blue"] == pytest.approx((0.671339, -2.19134), abs=6e-6)
    assert before["green"] == pytest.approx((1.322205, -4.16220), abs=6e-6)
    assert after["blue"][0] == pytest.approx(0.765827, abs=6e-7)
    assert {band: before[band] for band in BANDS[2:]} == {band: after[band] for band in BANDS[2:]}


@pytest.mark.parametrize(
    ("day", "distance", "tolerance"),
    [
        # EARTH_SUN_DISTANCE of MTL files; the formula is for noon, a scene's own hour may be 12 h away.
        ("2011-03-12", 0.9936974, 1e-4),
        ("1986-09-27", 1.0021839, 1e-4),
        ("2010-10-06", 0.9996474, 1e-4),
        ("2010-08-01", 1.0149567, 1e-4),
        ("2023-08-17", 1.0124651, 1e-4),
        ("1989-08-18", 1.0122057, 1e-4),
        # A mean over a hundred years of the day of the year, as other tools have it.
        ("1988-08-14", 1.0129127, 1e-4),
    ],
)
def test_the_distance_to_the_sun_agrees_with_known_ones(day, distance, tolerance):
    assert earth_sun_distance(date.fromisoformat(day)) == pytest.approx(distance, abs=tolerance)


@given(st.dates(date(1972, 1, 1), date(2100, 1, 1)))
def test_the_distance_to_the_sun_stays_between_its_extremes(day):
    assert 0.9830 < earth_sun_distance(day) < 1.0171


def test_the_test_vector_of_2011_is_met_to_its_last_digit():
    # LT05_L1TP_058014_20110312_20200823_02_T1: at DN 255, 1.2221E-03 x 255 - 0.003648 = 0.3079875, while the
    # file says REFLECTANCE_MAXIMUM 0.307978. The multiplier is rounded: half its last digit, 5e-8, by 255 is
    # 1.3e-5. With the whole of it, pi x 193 x 0.9936974^2 / 1944 = 0.307978.
    distance, sun = 0.9936974, 20.49968487
    metadata = made(
        REFLECTANCE_MULT_BAND_1="1.2221E-03", REFLECTANCE_ADD_BAND_1="-0.003648", SUN_ELEVATION=str(sun),
        EARTH_SUN_DISTANCE=str(distance), RADIANCE_MULT_BAND_1="7.6583E-01", RADIANCE_ADD_BAND_1="-2.28583",
    )  # fmt: skip
    blue = rescale(metadata, None, "2011")[1]["blue"]
    sine = math.sin(math.radians(sun))
    assert (blue.gain * 255 + blue.offset) * sine == pytest.approx(0.3079875, abs=1e-12)
    gain, offset = toa_rescaling(((193 + 1.52) / 254, -1.52 - 194.52 / 254), 1944.0, distance, 90.0)
    assert round(gain, 7) == 1.2221e-03 and round(offset, 6) == -0.003648
    assert round(gain * 255 + offset, 6) == 0.307978
    # Chander's irradiance of 1983 lowers it by 1944 / 1983, to 0.301921; divided by the sine 0.350202,
    # 0.862136 where the MTL gives 0.879456.
    chander = rescale(metadata, "chander", "2011")[1]["blue"]
    assert (chander.gain * 255 + chander.offset) * sine == pytest.approx(0.307978 * 1944 / 1983, abs=2e-6)
    assert chander.gain * 255 + chander.offset == pytest.approx(0.862136, abs=5e-6)
    assert blue.gain * 255 + blue.offset == pytest.approx(0.879456, abs=5e-6)


@pytest.mark.parametrize(("elevation", "ceiling"), [(30, 0.62), (40, 0.48), (50, 0.40)])
def test_the_blue_band_saturates_over_snow(elevation, ceiling):
    # 0.307978 / sin(elevation).
    metadata = made(
        REFLECTANCE_MULT_BAND_1="1.2221E-03", REFLECTANCE_ADD_BAND_1="-0.003648", SUN_ELEVATION=f"{elevation}"
    )
    blue = rescale(metadata, "mtl", "2011")[1]["blue"]
    assert blue.gain * blue.ceiling + blue.offset == pytest.approx(ceiling, abs=0.005)


@given(st.floats(1, 90), st.floats(0.984, 1.016), st.sampled_from(sorted(ESUN["LANDSAT_5"])))
def test_reflectance_turns_back_into_radiance(elevation, distance, band):
    esun = ESUN["LANDSAT_5"][band]
    gain, offset = toa_rescaling((0.8, -1.5), esun, distance, elevation)
    back = esun * math.sin(math.radians(elevation)) / (math.pi * distance**2)
    assert (gain * back, offset * back) == pytest.approx((0.8, -1.5), rel=1e-12)


@pytest.mark.parametrize(
    ("metadata", "method", "line"),
    [
        (made("TM", "C1"), "lut", "method 'lut' is not known; use mtl or chander"),
        (made("TM", "pre"), "mtl", "which method 'mtl' needs; use method 'chander'"),
        (made("OLI", "C2"), "chander", "no solar irradiance of LANDSAT_8; use method 'mtl'"),
        (made("TM", "C2L2"), "chander", "which method 'chander' cannot give; leave"),
        (made("TM", "C2L2"), "mtl", "a Level-2 product holds surface reflectance"),
        (made(without=[f"{key}_BAND_5" for key in SCALE[:2]]), None, "REFLECTANCE_MULT_BAND_5 is missing"),
        (made(without=["REFLECTANCE_ADD_BAND_5"]), None, "REFLECTANCE_ADD_BAND_5 is missing"),
        (made(without=["RADIANCE_MULT_BAND_5"]), "chander", "RADIANCE_MULT_BAND_5 is missing"),
        (made("ETM+", without=SCALE), None, "RADIANCE_MULT_BAND_1 is missing"),
        (made("OLI", without=SCALE), None, "Chander et al. (2009) give no"),
        (made(REFLECTANCE_MULT_BAND_2="0.0"), None, "BAND_2 gives gain 0 and offset -0.01, which is no"),
        (made(REFLECTANCE_MULT_BAND_2="-0.002"), None, "gives gain -0.002"),
        (made(REFLECTANCE_MULT_BAND_2="1e300"), None, "gives gain 1e+300"),
        (made(REFLECTANCE_ADD_BAND_2="-1e9"), None, "offset -1e+09, which is no calibration"),
        (made(REFLECTANCE_MULT_BAND_2="nan"), None, "REFLECTANCE_MULT_BAND_2 is 'nan', not a number"),
        (made(RADIANCE_MULT_BAND_2="1e999"), "chander", "RADIANCE_MULT_BAND_2 is '1e999', not a number"),
        (made(QUANTIZE_CAL_MAX_BAND_1="1"), None, "QUANTIZE_CAL_MAX_BAND_1 is 1, not of DN up to 255"),
        (made(QUANTIZE_CAL_MAX_BAND_1="65535"), None, "BAND_1 is 65535, not of DN up to 255"),
        (made(without=SCALE, RADIANCE_MINIMUM_BAND_1="5", RADIANCE_MAXIMUM_BAND_1="5"), None, "gives gain 0"),
        (made(without=SCALE, RADIANCE_MINIMUM_BAND_1="5"), None, "RADIANCE_MULT_BAND_1 is missing"),
    ],
)  # fmt: skip
def test_what_cannot_be_rescaled_is_refused_in_one_line(metadata, method, line):
    assert line in refusal(metadata, method)


def test_every_sensor_has_the_six_bands():
    assert all(tuple(bands.values()) == BANDS for bands in SENSOR_BANDS.values())
    assert all(tuple(bands) == BANDS for bands in ESUN.values())
