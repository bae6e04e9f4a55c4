"""Features: values worked by hand, bounds, and what a set needs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from glacier_ml.errors import GlacierError
from glacier_ml.learning.features import (
    FEATURE_SETS,
    FEATURES,
    FLOOR,
    FeatureSet,
    compute_features,
    feature_set,
    features_of_bands,
    normalised_difference,
)

BANDS = ("blue", "green", "red", "nir", "swir1", "swir2", "blue_saturated")
PIXEL = {
    "blue": 0.5,
    "green": 0.6,
    "red": 0.4,
    "nir": 0.3,
    "swir1": 0.1,
    "swir2": 0.05,
    "blue_saturated": 1.0,
}
ALL = FeatureSet("all", tuple(FEATURES))

# Reflectance as sensors, faulty exports and corrupt files give it.
reflectances = st.one_of(
    st.floats(-2, 3, width=32),
    st.floats(allow_nan=False, allow_infinity=False, width=32),
    st.sampled_from([0.0, -0.0, np.nan, np.inf, -np.inf]),
)
pixels = arrays(np.float32, st.tuples(st.integers(1, 6), st.just(len(BANDS))), elements=reflectances)


def values_of(name, **changed):
    stack = np.array([{**PIXEL, **changed}[band] for band in BANDS], dtype=np.float32)
    return float(compute_features(stack, BANDS, FeatureSet("one", (name,)))[0])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("blue", 0.5),
        ("swir2", 0.05),
        ("blue_saturated", 1.0),
        ("ndsi", 5 / 7),  # (.6 - .1) / (.6 + .1)
        ("ndwi", 1 / 3),  # (.6 - .3) / (.6 + .3)
        ("swir1_red", 0.25),  # .1 / .4
        ("log_red_swir1", 1.3862944),  # ln(.4 / .1) = ln 4
    ],
)
def test_a_feature_worked_by_hand(name, expected):
    assert values_of(name) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("name", "changed", "expected"),
    [
        # darker than the floor of .005: (.6 - .005) / (.6 + .005)
        ("ndsi", {"swir1": -0.02}, 0.595 / 0.605),
        ("ndsi", {"green": -0.1, "swir1": 0.0}, 0.0),  # both at the floor
        ("swir1_red", {"swir1": 0.2, "red": 0.0}, 5.0),  # .2 / .005 = 40, clipped
        ("log_red_swir1", {"red": 0.5, "swir1": -0.1}, np.log(100)),  # .5 / .005, ln 100 = 4.6 within -4..6
        ("blue", {"blue": 1.9}, 1.6),
        ("blue", {"blue": -0.4}, -0.05),
    ],
)
def test_dark_and_bright_pixels_meet_floor_and_bounds(name, changed, expected):
    assert values_of(name, **changed) == pytest.approx(expected, rel=1e-5)


@given(pixels)
def test_no_nan_and_no_infinity_leaves_and_every_feature_stays_in_its_bounds(stack):
    with np.errstate(over="ignore", divide="ignore", under="ignore"):
        computed = compute_features(stack, BANDS, ALL)
    assert computed.dtype == np.float32
    assert computed.shape == (len(stack), len(FEATURES))
    for column, feature in zip(computed.T, FEATURES.values(), strict=True):
        low, high = feature.bounds
        assert ((column >= low) & (column <= high)).all()  # false for NaN


@given(arrays(np.float32, (5, 7), elements=st.floats(-2, 5, width=32)))
def test_reflectance_of_any_plausible_size_raises_no_warning(stack):
    compute_features(stack, BANDS, ALL)


@given(pixels, st.integers(0, 5))
def test_a_pixel_does_not_depend_on_the_others(stack, index):
    index %= len(stack)
    with np.errstate(over="ignore", divide="ignore", under="ignore"):
        together = compute_features(stack, BANDS, ALL)[index]
        alone = compute_features(stack[index], BANDS, ALL)
    np.testing.assert_array_equal(alone, together)


@given(array_shapes(max_dims=4, max_side=3))
def test_any_leading_shape_is_kept(shape):
    assert compute_features(np.ones((*shape, 7), np.float32), BANDS, ALL).shape == (*shape, len(FEATURES))


@pytest.mark.parametrize("name", FEATURE_SETS)
def test_no_data_in_one_needed_band_makes_every_feature_zero(name):
    chosen = feature_set(name)
    for missing in chosen.bands:
        stack = np.array([np.nan if band == missing else PIXEL[band] for band in BANDS], dtype=np.float32)
        assert not compute_features(stack, BANDS, chosen).any()


@pytest.mark.parametrize("name", FEATURE_SETS)
def test_no_data_written_as_zeros_is_no_data(name):
    # as `Scene.stack` gives it: a ratio of two zeros would otherwise be 1
    assert not compute_features(np.zeros((2, 7), np.float32), BANDS, feature_set(name)).any()


def test_no_data_in_a_band_that_no_feature_needs_is_no_matter():
    stack = np.array([np.nan if band == "swir2" else PIXEL[band] for band in BANDS], dtype=np.float32)
    expected = compute_features(np.array(list(PIXEL.values()), np.float32), BANDS, feature_set("spectral"))
    np.testing.assert_array_equal(compute_features(stack, BANDS, feature_set("spectral")), expected)


@pytest.mark.parametrize("shape", [(), (5,), (3, 7), (11, 4000), (2, 90, 91)])
@pytest.mark.parametrize("nodata", [0.0, 0.1, 1.0])
def test_bands_that_lie_apart_give_the_same_as_stacked_ones(shape, nodata):
    random = np.random.default_rng(0)
    stack = random.uniform(-0.1, 2, (*shape, 7)).astype(np.float32)
    stack[random.random((*shape, 7)) < nodata / 7] = np.nan
    stack[random.random(shape) < nodata] = 0
    valid = random.random(shape) >= nodata
    expected = compute_features(np.where(valid[..., None], stack, np.nan), BANDS, ALL)
    columns = {band: stack[..., place].copy() for place, band in enumerate(BANDS)}
    np.testing.assert_array_equal(features_of_bands(columns, np.asarray(valid), ALL), expected)


def test_the_order_of_the_bands_is_no_matter():
    stack = np.random.default_rng(0).random((4, 7), dtype=np.float32)
    turned = compute_features(stack[:, ::-1], BANDS[::-1], ALL)
    np.testing.assert_array_equal(turned, compute_features(stack, BANDS, ALL))


def test_the_input_is_left_as_it_was():
    stack = np.array([[np.nan, 2.0, -1.0, 0.0, 0.1, 0.1, 0.0]], dtype=np.float32)
    before = stack.copy()
    compute_features(stack, BANDS, ALL)
    np.testing.assert_array_equal(stack, before)


@given(st.floats(0.0625, 1, width=32), st.floats(0.0625, 1, width=32))
def test_a_normalised_difference_changes_sign_with_its_order(first, second):
    first, second = np.float32(first), np.float32(second)
    assert normalised_difference(first, second) == -normalised_difference(second, first)
    assert FLOOR < 0.0625


@pytest.mark.parametrize(
    ("name", "bands"),
    [
        ("spectral", {"blue", "green", "red", "nir", "swir1"}),
        ("spectral_swir2", {"blue", "green", "red", "nir", "swir1", "swir2"}),
        ("spectral_saturation", {"blue", "green", "red", "nir", "swir1", "blue_saturated"}),
        ("report_ratio", {"blue", "swir1", "red", "green", "nir"}),
        ("report_ndsi", {"blue", "swir1", "green"}),
        ("false_colour", {"swir1", "nir", "red"}),
    ],
)
def test_a_set_names_the_bands_it_needs_each_once(name, bands):
    needed = feature_set(name).bands
    assert set(needed) == bands
    assert len(needed) == len(bands)


def test_only_the_set_that_names_it_needs_swir2():
    assert [name for name in FEATURE_SETS if "swir2" in feature_set(name).bands] == ["spectral_swir2"]


def test_an_unknown_set_is_refused_with_the_known_ones():
    with pytest.raises(GlacierError, match="'spectrall' is not a feature set; choose one of spectral, "):
        feature_set("spectrall")


def test_a_missing_band_is_refused_with_what_there_is():
    with pytest.raises(GlacierError, match=r"'report_ndsi' need swir1 and green \(found blue, nir\)"):
        compute_features(np.zeros((2, 2), np.float32), ("blue", "nir"), feature_set("report_ndsi"))
