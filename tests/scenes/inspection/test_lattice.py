"""The DN lattice of a band's values: step, gain, sun and saturation, or none."""

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from scipy import ndimage

from glacier_ml.scenes.inspection import gains
from glacier_ml.scenes.inspection.gains import BANDS, gains_of
from glacier_ml.scenes.inspection.lattice import dn_of, find_lattice, saturated_share, settle_irradiance
from glacier_ml.scenes.made.synthetic import make_scene


def reflectance(dn, gain, factor):
    """float32 reflectance of DN under a gain and sin(elevation)/d^2."""
    return ((np.asarray(dn) - gain.dark) * gain.step_overhead / factor).astype(np.float32)


def as_mtl(dn, gain, sine, distance):
    """The same by way of an MTL file's digits: MULT has 5, ADD 6 decimals."""
    mult = float(f"{gain.step_overhead * distance**2:.4E}")
    add = round(-gain.dark * gain.step_overhead * distance**2, 6)
    return ((mult * np.asarray(dn) + add) / sine).astype(np.float32)


def landsat5(band, label=None):
    return next(one for one in gains_of(band, "TM") if label in (None, one.label))


@pytest.mark.parametrize("band", BANDS)
def test_a_sun_factor_by_hand(band):
    # The sun at 30 degrees and d = 1: 0.5; every DN from 20 to 120.
    dn = np.arange(20, 121)
    found = find_lattice(reflectance(dn, landsat5(band), 0.5), band, "TM")
    assert found.sun_factor == pytest.approx(0.5, abs=1e-6)
    assert found.step == pytest.approx(landsat5(band).step_overhead / 0.5, rel=1e-6)
    # DN 0 has the bias alone: in blue -2.28583 pi / (1944 0.5) = -0.007388.
    assert found.origin == pytest.approx(-landsat5(band).dark * found.step, abs=1e-6)
    assert (found.levels, found.off_share, found.ceiling) == (101, 0.0, 255)


@pytest.mark.parametrize(
    ("label", "sensor"), [("193", "TM"), ("169", "TM"), ("171", "TM"), ("191.6", "ETM+")]
)
def test_where_the_lattice_begins_tells_the_gain(label, sensor):
    gain = next(one for one in gains_of("blue", None) if one.label == label)
    found = find_lattice(reflectance(np.arange(50, 90), gain, 0.6), "blue")
    assert (found.table, found.sensor) == (f"MTL {label}", sensor)
    assert found.sun_factor == pytest.approx(0.6, abs=1e-4)


def test_even_dn_alone_are_not_taken_for_half_the_sun():
    # Steps of two DN begin half way: (2.985 + 2 k) / 2 lies 0.49 off the lattice that the gain demands.
    gain = landsat5("blue")
    for dn in (np.arange(60, 200, 2), np.arange(61, 200, 2), np.arange(60, 200, 3), np.arange(3, 250, 13)):
        found = find_lattice(reflectance(dn, gain, 0.4), "blue", "TM")
        assert found.sun_factor is None or found.sun_factor == pytest.approx(0.4, abs=1e-3)
    even = find_lattice(reflectance(np.arange(60, 200, 2), gain, 0.4), "blue", "TM")
    assert even.sun_factor == pytest.approx(0.4, abs=1e-4)


def test_several_suns_that_fit_are_not_told():
    # Red: the gain's dark DN is 2.1207, and DN 5 + 17 k read as steps of one begin at 2.29: no. A lattice
    # whose spacing fits 1 DN and 5 DN alike is made here from the first DN that has both begin well.
    gain = landsat5("red")
    for start in range(1, 200):
        begin = (start - gain.dark) / 5 + gain.dark
        if abs(begin - round(begin)) < 2e-4:
            found = find_lattice(reflectance(start + 5 * np.arange(8), gain, 0.9), "red", "TM")
            assert found.sun_factor is None or found.sun_factor == pytest.approx(0.9, abs=1e-3)


@pytest.mark.parametrize(
    "values",
    [
        np.array([]),
        np.full(100, np.nan),
        np.full(100, 0.4),  # saturated all over
        np.repeat([0.4, 0.5], 50),
        np.array([np.nan, np.inf, -np.inf, 0.2]),
        np.array([3e38, -3e38, 0.2, 0.3]),
    ],
)
def test_too_little_to_tell(values):
    assert find_lattice(values.astype(np.float32), "blue", "TM") is None


@pytest.mark.parametrize("size", [40, 1000, 100_000])
def test_smooth_values_have_no_lattice(size):
    rng = np.random.default_rng(size)
    for values in (rng.random(size), rng.normal(0.3, 0.1, size), np.linspace(0.01, 0.9, size)):
        found = find_lattice(values.astype(np.float32), "blue", None)
        # Evenly spaced values are a lattice, but none of a sun that is known.
        assert found is None or (found.table is None and found.sun_factor is None)
    assert find_lattice(rng.random(size, dtype=np.float32), "blue", None) is None


def test_interpolated_values_have_no_lattice():
    bands = make_scene(0, "alaska", (64, 64)).scene.bands
    for band, values in bands.items():
        moved = ndimage.shift(values.astype(np.float64), (1 / 3**0.5, 0.1**0.5), order=1, mode="nearest")
        assert find_lattice(moved.astype(np.float32), band, "TM") is None
        turned = ndimage.rotate(values.astype(np.float64), 3.0, order=3, reshape=False, mode="nearest")
        assert find_lattice(turned.astype(np.float32), band, "TM") is None


def test_means_of_two_pixels_give_no_sun():
    values = make_scene(0, "alaska", (64, 64)).scene.bands["green"].astype(np.float64)
    found = find_lattice(((values[:, 1:] + values[:, :-1]) / 2).astype(np.float32), "green", "TM")
    assert found is None or found.sun_factor is None


def test_a_few_values_off_the_lattice_do_not_hide_it():
    rng = np.random.default_rng(1)
    gain, dn = landsat5("nir"), rng.integers(10, 180, 5000)
    values = reflectance(dn, gain, 0.55)
    strange = rng.random(5000) < 0.01
    values[strange] += rng.normal(0, 0.01, strange.sum()).astype(np.float32)
    found = find_lattice(values, "nir", "TM")
    assert found.sun_factor == pytest.approx(0.55, abs=1e-4)
    assert found.off_share == pytest.approx(strange.mean(), abs=2e-4)
    numbers = dn_of(values, found)
    np.testing.assert_array_equal(numbers[~strange], dn[~strange])
    assert (numbers[strange] == -1).mean() > 0.95


def test_no_data_written_as_a_number_does_not_hide_it():
    values = reflectance(np.arange(10, 250).repeat(10), landsat5("red"), 0.5)
    values[:20] = -9999.0
    found = find_lattice(values, "red", "TM")
    assert found.sun_factor == pytest.approx(0.5, abs=1e-4)
    assert (dn_of(values, found)[:20] == -1).all()


def test_clipped_values_do_not_hide_it():
    # Green at sin 0.3 runs from -0.01 to 2.2 and is cut at 0 and 1.
    dn = np.arange(1, 256).repeat(4)
    values = np.clip(reflectance(dn, landsat5("green"), 0.3), 0, 1)
    found = find_lattice(values, "green", "TM")
    assert found.sun_factor == pytest.approx(0.3, abs=1e-4)
    assert found.off_share == 0
    inside = (values > 0) & (values < 1)
    np.testing.assert_array_equal(dn_of(values, found)[inside], dn[inside])


@pytest.mark.parametrize("high", [0.4237, 0.5, 0.8, 0.95, 1.0])
@pytest.mark.parametrize("low", [-1.0, 0.0, 0.0001, 0.02])
def test_values_clipped_anywhere_do_not_hide_it(low, high):
    # Red at sin 0.5 runs from 0.013 (DN 5) to 1.11 (DN 255).
    gain, dn = landsat5("red"), np.random.default_rng(7).integers(5, 255, 20_000, endpoint=True)
    plain = reflectance(dn, gain, 0.5)
    values = np.clip(plain, np.float32(low), np.float32(high))
    found = find_lattice(values, "red", "TM")
    assert found.sun_factor == pytest.approx(0.5, abs=1e-4)
    assert (found.table, found.off_share) == ("MTL 264", 0.0)
    kept = plain == values
    np.testing.assert_array_equal(dn_of(values, found)[kept], dn[kept])
    # How much is saturated is not to be told from clipped values.
    assert saturated_share(values, found) is None


def test_dn_and_saturation_are_exact():
    rng = np.random.default_rng(2)
    dn = np.clip(rng.normal(180, 60, (50, 40)).round(), 1, 255)
    values = reflectance(dn, landsat5("blue"), 0.6)
    values[0, :10] = np.nan
    found = find_lattice(values, "blue", "TM")
    told = dn_of(values, found)
    assert told.shape == (50, 40)
    assert (told[0, :10] == -1).all()
    np.testing.assert_array_equal(told[1:], dn[1:])
    seen = np.isfinite(values)
    assert saturated_share(values, found) == (dn[seen] == 255).mean()


@pytest.mark.parametrize(("elevation", "dn"), [(8, (6000, 9000)), (35, (5200, 52000)), (65, (4990, 65535))])
def test_oli_tells_the_sine_alone(elevation, dn):
    sine = np.sin(np.radians(elevation))
    numbers = np.random.default_rng(3).integers(*dn, 20_000, endpoint=True)
    values = ((2e-5 * numbers - 0.1) / sine).astype(np.float32)
    for sensor in ("OLI", None):
        found = find_lattice(values, "red", sensor)
        assert (found.table, found.sun_factor, found.ceiling) == ("OLI", None, 65535)
        assert found.sun_sine == pytest.approx(sine, abs=2 * found.tolerance)
        assert found.tolerance < 1e-5
        np.testing.assert_array_equal(dn_of(values, found), numbers)
    assert find_lattice(values, "red", "TM").table is None


def test_level2_and_rounded_values_are_named():
    numbers = np.random.default_rng(4).integers(7500, 40_000, 5000)
    found = find_lattice((2.75e-5 * numbers - 0.2).astype(np.float32), "red", "TM")
    assert (found.table, found.sun_factor, found.ceiling) == ("Level-2", None, None)
    np.testing.assert_array_equal(dn_of((2.75e-5 * numbers - 0.2).astype(np.float32), found), numbers)
    for decimals in (3, 4):
        values = np.random.default_rng(5).random(5000).round(decimals).astype(np.float32)
        found = find_lattice(values, "red", None)
        assert (found.table, found.sun_factor, found.sun_sine) == ("rounded", None, None)
        assert found.step == pytest.approx(10.0**-decimals)
    assert saturated_share(values, found) is None


def test_gains_of_no_known_table_are_seldom_taken_for_one():
    # By chance a lattice begins within 5e-4 of a DN where a gain demands it: 1 in 1000 for each gain tried.
    rng = np.random.default_rng(6)
    dn = np.unique(rng.normal(90, 40, 400).round().clip(1, 255))
    told = 0
    for number in range(500):
        values = ((dn - rng.uniform(1, 12)) * rng.uniform(1e-3, 6e-3)).astype(np.float32)
        told += find_lattice(values, BANDS[number % 6], None).table is not None
    assert told <= 10


def test_an_unknown_band_has_no_sun():
    found = find_lattice(reflectance(np.arange(20, 200), landsat5("red"), 0.5), "thermal", "TM")
    assert (found.table, found.sun_factor) == (None, None)


@pytest.mark.parametrize(
    ("place", "region"), [(0, "alaska"), (1, "patagonia"), (2, "alaska"), (5, "patagonia")]
)
def test_made_scenes_have_one_sun_in_all_bands(place, region):
    # d is 1 there; every third place lies at the edge of its swath.
    scene = make_scene(place, region, (64, 64)).scene
    sine = np.sin(np.radians(scene.provenance["sun_elevation_deg"]))
    for band, values in scene.bands.items():
        found = find_lattice(values, band, "TM")
        assert found.sun_factor == pytest.approx(sine, abs=1e-4)
        assert (dn_of(values, found) == -1).sum() == np.isnan(values).sum()


@pytest.mark.parametrize("count", [300, 20_000])
def test_a_patch_painted_in_one_value_does_not_hide_it(count):
    dn = np.random.default_rng(8).integers(20, 200, 20_000)
    values = reflectance(dn, landsat5("nir"), 0.5)
    values[:count] = 0.25
    found = find_lattice(values, "nir", "TM")
    if count == dn.size:
        assert found is None
    else:
        assert found.sun_factor == pytest.approx(0.5, abs=1e-4)
        assert found.off_share == count / dn.size
        assert (dn_of(values, found)[:count] == -1).all()


@pytest.mark.parametrize("name", ["MTL", "USGS 2016", "Chander"])
def test_bands_together_tell_the_table_of_irradiances(name):
    found = {}
    for index, band in enumerate(BANDS):
        ratio = gains.IRRADIANCE["LANDSAT_5"][name][index] / landsat5(band).irradiance
        # The same sun, 0.5, under another irradiance: the values shrink by the ratio.
        found[band] = find_lattice(reflectance(np.arange(10, 200), landsat5(band), 0.5 * ratio), band, "TM")
    settled = settle_irradiance(found)
    for band, one in settled.items():
        assert one.sun_factor == pytest.approx(0.5, abs=1e-4)
        assert one.table == found[band].table.replace("MTL", name)


def test_two_bands_are_too_few_to_leave_the_table_of_the_mtl():
    found = {
        band: find_lattice(reflectance(np.arange(10, 200), landsat5(band), 0.5), band, "TM")
        for band in ("blue", "red")
    }
    assert settle_irradiance(found) == found
    assert settle_irradiance({}) == {}


def check_sparse(band, sensor, gain, factor, dn, digits, ends=(-np.inf, np.inf)):
    """Never a wrong sun, whatever DN there are and wherever they are clipped."""
    plain = as_mtl(dn, gain, factor, 1.0) if digits else reflectance(dn, gain, factor)
    values = np.clip(plain, *np.float32(ends))
    found = find_lattice(values, band, sensor)
    if found is None or found.sun_factor is None:
        return found
    assert found.sun_factor == pytest.approx(factor, abs=1.5 * found.tolerance)
    assert found.tolerance < 0.01 * factor
    kept = (values == plain) & (values != 0)
    np.testing.assert_array_equal(dn_of(values, found)[kept], np.asarray(dn)[kept])
    return found


@st.composite
def sparse_bands(draw):
    band = draw(st.sampled_from(BANDS))
    gain = draw(st.sampled_from(gains_of(band, None)))
    sensor = draw(st.sampled_from([gain.sensor, None]))
    every = draw(st.sampled_from([1, 1, 1, 2, 3, 4, 7, 10]))
    start = draw(st.integers(1, 200))
    most = (255 - start) // every
    assume(most >= 6)
    taken = draw(st.sets(st.integers(0, most), min_size=1, max_size=40))
    dn = [start + every * one for one in sorted(taken)]
    factor = draw(st.floats(0.05, 1.0))
    ends = (draw(st.sampled_from([-np.inf, 0.0, 0.05])), draw(st.sampled_from([np.inf, 1.0, 0.4])))
    return band, sensor, gain, factor, dn, draw(st.booleans()), ends


@settings(max_examples=500, deadline=None)
@given(sparse_bands())
def test_few_dn_never_give_a_wrong_sun(case):
    check_sparse(*case)


@pytest.mark.thorough
@pytest.mark.timeout(1800)
@settings(max_examples=10_000, deadline=None, derandomize=True)
@given(sparse_bands())
def test_few_dn_never_give_a_wrong_sun_at_length(case):
    check_sparse(*case)


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(BANDS), st.floats(0.1, 1.0), st.integers(1, 60), st.integers(130, 195), st.booleans())
def test_many_dn_always_tell_the_sun(band, factor, low, number, digits):
    # 130 DN on end leave no room for two DN a step.
    found = check_sparse(band, "TM", landsat5(band), factor, np.arange(low, low + number), digits)
    assert found.sun_factor is not None


@settings(max_examples=500, deadline=None)
@example([2.0, 1.5, float(np.finfo(np.float32).max), 0.5, 0.25], "blue", "TM")
@given(
    st.lists(st.floats(width=32, allow_nan=True, allow_infinity=True), max_size=40),
    st.sampled_from([*BANDS, "thermal", ""]),
    st.sampled_from(["TM", "ETM+", "OLI", None]),
)
def test_any_values_are_taken(values, band, sensor):
    array = np.array(values, dtype=np.float32)
    found = find_lattice(array, band, sensor)
    if found is not None:
        assert dn_of(array, found).shape == array.shape
        saturated_share(array, found)
