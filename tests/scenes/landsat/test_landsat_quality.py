"""Quality bands: the bits of every collection and sensor, and our own."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from glacier_ml.errors import GlacierError
from glacier_ml.scenes.landsat.names import SENSOR_BANDS
from glacier_ml.scenes.landsat.quality import MASKS, encode_quality, quality_masks
from glacier_ml.scenes.scene import BANDS


def flags(value, kind, sensor="TM", dtype=np.int64):
    """Names of the masks that one value raises."""
    masks = quality_masks(np.array([[value]]).astype(dtype), kind, sensor)
    assert all(mask.dtype == bool and mask.shape == (1, 1) for mask in masks.values())
    return {name for name, mask in masks.items() if mask.item()}


def test_the_masks_and_their_bits_stay_as_files_have_them():
    assert MASKS[:6] == ("fill", "dilated_cloud", "cloud", "cloud_shadow", "snow", "water")
    assert MASKS[6:] == tuple(f"saturated_{band}" for band in BANDS)


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.int64])
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1, {"fill"}),
        (1 << 1, {"dilated_cloud"}),
        (1 << 2, set()),  # cirrus
        (1 << 3, {"cloud"}),
        (1 << 4, {"cloud_shadow"}),
        (1 << 5, {"snow"}),
        (1 << 6, set()),  # clear
        (1 << 7, {"water"}),
        (0xFF00, set()),  # confidences alone
        # Clear land: 21824 = 0101 0101 0100 0000, bit 6 and the four confidences low.
        (21824, set()),
        # Cloud: 22280 = 0101 0111 0000 1000, bit 3 and the clouds' confidence high.
        (22280, {"cloud"}),
        # Snow: 30048 = 0111 0101 0110 0000, bits 5 and 6 and the snow's confidence high.
        (30048, {"snow"}),
        (0, set()),
    ],
)
def test_bits_of_qa_pixel(value, expected, dtype):
    assert flags(value, "QA_PIXEL", dtype=dtype) == expected


def test_qa_pixel_that_was_stored_with_a_sign_keeps_its_bits():
    # 55052 = 1101 0111 0000 1100 has bit 15 set and is negative in 16 bits with a sign.
    assert flags(55052 - 65536, "QA_PIXEL", dtype=np.int16) == {"cloud"}


@pytest.mark.parametrize("sensor", ["TM", "ETM+", "OLI", None])
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1, {"fill"}),
        (2, set()),  # dropped pixel (TM, ETM+), terrain occlusion (OLI)
        (0b1100, set()),  # five bands or more saturated, not which
        (1 << 4, {"cloud"}),
        (3 << 5, set()),  # confidence alone
        (1 << 7, set()),  # shadow: low confidence
        (3 << 7, {"cloud_shadow"}),
        (1 << 9, set()),  # snow: low confidence
        (2 << 9, set()),
        (3 << 9, {"snow"}),
        # Clear land of TM: 672 = 10 1010 0000: three confidences low.
        (672, set()),
        # Cloud of TM: 752 = 10 1111 0000: bit 4, cloud's confidence high, the others low.
        (752, {"cloud"}),
        # Clear land of OLI: 2720 = 1010 1010 0000, with cirrus's confidence low.
        (2720, set()),
    ],
)
def test_bits_of_collection_1_bqa(value, expected, sensor):
    assert flags(value, "BQA", sensor) == expected


@pytest.mark.parametrize("value", [20480, 53248, 61440, 1 << 15])
def test_a_bqa_before_collection_1_is_refused(value):
    # 20480 = 0101 0000 0000 0000: clear, as Landsat 8 products of 2013 to 2016 have it.
    with pytest.raises(GlacierError, match="^BQA: bits 13 to 15 are set, as in Landsat 8 products before"):
        flags(value, "BQA", "OLI")


@pytest.mark.parametrize("sensor", SENSOR_BANDS)
def test_bits_of_qa_radsat_are_the_sensors_bands(sensor):
    for number, band in SENSOR_BANDS[sensor].items():
        assert flags(1 << (number - 1), "QA_RADSAT", sensor) == {f"saturated_{band}"}
    assert flags(0xFFFF, "QA_RADSAT", sensor) == {f"saturated_{band}" for band in BANDS}


def test_some_bits_of_qa_radsat_belong_to_no_band_that_is_used():
    # Bit 5 is TM's thermal band; bit 0 OLI's coastal one; 8 is OLI's cirrus, 9 dropped pixels, 11 occlusion.
    assert flags(1 << 5, "QA_RADSAT", "TM") == set()
    assert flags(1, "QA_RADSAT", "OLI") == set()
    assert flags(1 << 8 | 1 << 9 | 1 << 11, "QA_RADSAT", "OLI") == set()
    assert flags(1 << 6, "QA_RADSAT", "ETM+") == {"saturated_swir2"}


@given(st.data())
def test_masks_are_encoded_and_decoded_without_loss(data):
    shape = data.draw(npst.array_shapes(min_dims=1, max_dims=2, max_side=5))
    names = data.draw(st.lists(st.sampled_from(MASKS), unique=True))
    masks = {name: data.draw(npst.arrays(bool, shape)) for name in names}
    packed = encode_quality(masks, shape)
    assert (packed.dtype, packed.shape) == (np.uint16, shape)
    found = quality_masks(packed.astype(np.int64), "quality", None)
    assert tuple(found) == MASKS
    for name, mask in found.items():
        np.testing.assert_array_equal(mask, masks.get(name, np.zeros(shape, bool)))


@given(npst.arrays(np.uint16, (3, 4), elements=st.integers(0, (1 << len(MASKS)) - 1)))
def test_values_are_decoded_and_encoded_without_loss(values):
    np.testing.assert_array_equal(encode_quality(quality_masks(values, "quality", None), (3, 4)), values)


@pytest.mark.parametrize("kind", ["QA_PIXEL", "BQA", "QA_RADSAT", "quality"])
@given(npst.arrays(st.sampled_from([np.uint8, np.int16, np.uint16, np.int64]), (2, 3)))
def test_any_integers_are_decoded_or_refused(kind, values):
    try:
        masks = quality_masks(values, kind, "OLI")
    except GlacierError:
        assert kind == "BQA" and (values.astype(np.int64) & 0xE000).any()
        return
    assert set(masks) <= set(MASKS)
    assert all(mask.shape == values.shape for mask in masks.values())


@pytest.mark.parametrize(
    ("values", "kind", "sensor", "line"),
    [
        (
            [1],
            "QA_AEROSOL",
            "TM",
            "quality band 'QA_AEROSOL' is not known; use QA_PIXEL, BQA, quality, QA_RADSAT",
        ),
        ([1], "QA_RADSAT", None, r"QA_RADSAT: its bits need a sensor, not None; use TM, ETM\+, OLI"),
        ([1.0], "QA_PIXEL", "TM", "QA_PIXEL: values are float64, not integers"),
    ],
)
def test_what_cannot_be_decoded_is_refused(values, kind, sensor, line):
    with pytest.raises(GlacierError, match=line):
        quality_masks(np.array(values), kind, sensor)


def test_masks_that_do_not_fit_are_refused():
    with pytest.raises(GlacierError, match="mask 'haze' of shape .2,. does not fit; masks are fill, "):
        encode_quality({"haze": np.zeros(2, bool)}, (2,))
    with pytest.raises(GlacierError, match=r"mask 'cloud' of shape \(3,\) does not fit.* of shape \(2,\)"):
        encode_quality({"cloud": np.zeros(3, bool)}, (2,))
