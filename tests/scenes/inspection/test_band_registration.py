"""Known shifts of bands and masks come back; bands and masks in their place are left in peace."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from glacier_ml.scenes.catalog import open_catalog
from glacier_ml.scenes.inspection.findings import BAND_SHIFT, MASK_SHIFT
from glacier_ml.scenes.inspection.registration import band_shifts, mask_shift
from glacier_ml.scenes.made.synthetic import make_scene
from glacier_ml.scenes.scene import Scene

SHIFTS = [(0.5, 0.0), (0.0, -1.0), (2.0, 0.0), (-1.5, 1.25)]
MASK_SHIFTS = [(3, 0), (0, -3), (-4, 5)]


@pytest.fixture(
    scope="module", params=[("alaska", 1), ("patagonia", 2)], ids=["alaska", "patagonia, slanted"]
)
def made(request):
    region, place = request.param
    return make_scene(place, region, (320, 288))


def moved(scene, band, shift):
    """The scene with a band moved by (rows, columns), by cubic splines."""
    values = np.where(np.isfinite(scene.bands[band]), scene.bands[band], np.nanmedian(scene.bands[band]))
    there = ndimage.shift(values, shift, order=3, mode="nearest").astype(np.float32)
    there = np.where(scene.valid, there, np.float32(np.nan))
    return replace(scene, bands=scene.bands | {band: there})


@pytest.mark.parametrize("shift", SHIFTS)
@pytest.mark.parametrize("band", ["red", "swir1"])
def test_a_band_that_was_moved_is_told_and_no_other(made, band, shift):
    found = band_shifts([moved(made.scene, band, shift)])
    assert [name for name, one in found.items() if one.exceeds(BAND_SHIFT)] == [band]
    # The splines and the sensor's noise leave a tenth.
    assert (found[band].rows, found[band].columns) == pytest.approx(shift, abs=0.15)
    assert found[band].spread < 0.1


def test_bands_in_their_place_are_left_in_peace(made):
    found = band_shifts([made.scene])
    assert set(found) == set(made.scene.bands)
    assert max(one.length for one in found.values()) < BAND_SHIFT / 2


@pytest.mark.parametrize("shift", MASK_SHIFTS)
def test_a_mask_that_was_moved_is_told(made, shift):
    found = mask_shift([made.scene], [np.roll(made.mask, shift, (0, 1))])
    assert (found.rows, found.columns) == pytest.approx(shift, abs=1.0)
    assert found.exceeds(MASK_SHIFT)


def test_a_mask_in_its_place_is_left_in_peace(made):
    found = mask_shift([made.scene], [made.mask])
    assert found.length < MASK_SHIFT
    assert not found.exceeds(MASK_SHIFT)


def test_windows_of_a_scene_tell_what_the_whole_tells(made):
    scene = moved(made.scene, "nir", (0.0, 1.0))
    halves = [part_of(scene, slice(0, 160)), part_of(scene, slice(160, 320))]
    found = band_shifts(halves)["nir"]
    assert (found.rows, found.columns) == pytest.approx((0.0, 1.0), abs=0.15)
    masks = [made.mask[:160], made.mask[160:]]
    assert not mask_shift(halves, masks).exceeds(MASK_SHIFT)


def part_of(scene, rows):
    bands = {band: values[rows] for band, values in scene.bands.items()}
    grid = replace(scene.grid, shape=scene.valid[rows].shape)
    return Scene(scene.name, bands, scene.valid[rows], grid)


def test_noise_without_edges_tells_no_shift(tiny_grid):
    noise = np.random.default_rng(0)
    grid = tiny_grid(shape=(256, 256))
    bands = {
        band: noise.normal(0.3, 0.05, grid.shape).astype(np.float32)
        for band in ("green", "red", "nir", "swir1")
    }
    scene = Scene("noise", bands, np.ones(grid.shape, bool), grid)
    assert not any(one.exceeds(BAND_SHIFT) for one in band_shifts([scene]).values())
    disc = np.hypot(*(np.indices(grid.shape) - 128)) < 80
    found = mask_shift([scene], [disc])
    assert found is None or not found.exceeds(MASK_SHIFT)


@pytest.mark.parametrize("shape", [(24, 32), (64, 64), (8, 900)])
def test_a_scene_of_few_blocks_tells_nothing(tiny_grid, shape):
    row, column = np.indices(shape)
    values = ((row // 5 + column // 7) % 3 * 0.2).astype(np.float32)
    bands = dict.fromkeys(("green", "red", "nir", "swir1"), values)
    scene = Scene("small", bands, np.ones(shape, bool), tiny_grid(shape=shape))
    assert band_shifts([scene]) == {}
    assert mask_shift([scene], [values > 0.1]) is None


def test_two_bands_do_not_tell_which_is_wrong(made):
    bands = {band: made.scene.bands[band] for band in ("red", "nir")}
    assert band_shifts([replace(made.scene, bands=bands)]) == {}


def test_a_constant_band_and_a_scene_without_data_tell_nothing(made):
    flat = np.full(made.scene.shape, 0.2, np.float32)
    found = band_shifts([replace(made.scene, bands=made.scene.bands | {"swir1": flat})])
    assert "swir1" not in found
    empty = replace(made.scene, valid=np.zeros(made.scene.shape, bool))
    assert band_shifts([empty]) == {}
    assert mask_shift([empty], [made.mask]) is None


@pytest.mark.real_data
def test_real_bands_lie_within_a_third_of_a_pixel_also_those_of_another_day(real_scenes):
    for entry in open_catalog(real_scenes).entries:
        scene = entry.open()
        found = band_shifts([scene])
        assert not any(one.exceeds(BAND_SHIFT) for one in found.values())
        assert max(one.length for one in found.values()) < 0.3
        nir = band_shifts([moved(scene, "nir", (0.5, 0.0))])["nir"]
        assert (nir.rows, nir.columns) == pytest.approx((0.5, 0.0), abs=0.1)
        assert nir.exceeds(BAND_SHIFT)


@pytest.mark.real_data
def test_real_masks_lie_within_what_can_be_told_once_they_are_reprojected(real_scenes):
    for entry in open_catalog(real_scenes).of_role("train", "test"):
        labelled = entry.load()
        found = mask_shift([labelled.scene], [labelled.truth])
        assert not found.exceeds(MASK_SHIFT)
        assert found.length < 1.5
