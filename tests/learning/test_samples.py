"""Samples: what a batch holds, what weighs nothing, and what it all depends on."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_scenes import filled, made_pair, made_scene, with_bands, with_mask

from glacier_ml.errors import GlacierError
from glacier_ml.learning.parameters import parse_parameters
from glacier_ml.learning.samples import collect_samples, feature_statistics
from glacier_ml.learning.splits import SplitRule, make_split

RULE = SplitRule(block=20, gap=4)
PAIR = made_pair(nodata=13)
SPLIT = make_split(PAIR, RULE)


def unet(**changed):
    values = {"network": "unet", "learning_rate": 1e-3, "tile_size": 32, "levels": 2, "base_filters": 4}
    small = {"epoch_pixels": 32_768, "batch_pixels": 8192}
    return parse_parameters({**values, **small, **changed}, "test")


def ffnn(**changed):
    values = {"network": "ffnn", "learning_rate": 1e-3, "tile_size": 1}
    return parse_parameters({**values, "epoch_pixels": 4096, "batch_pixels": 1024, **changed}, "test")


def samples_of(parameters, scenes=PAIR, split=SPLIT, seed=0):
    return collect_samples(scenes, split, parameters, seed)


@pytest.mark.parametrize(
    "parameters", [unet(brightness=0.2, noise=0.01), ffnn(), ffnn(tile_size=4, noise=0.01)], ids=str
)
def test_a_batch_is_a_pure_function_of_seed_epoch_and_step(parameters):
    first = samples_of(parameters)
    again = samples_of(parameters)
    expected = first.batch(1, 2)
    again.batch(0, 0)  # what was drawn before is no matter
    np.random.seed(7)  # noqa: NPY002
    for one, other in zip(expected, again.batch(1, 2), strict=True):
        np.testing.assert_array_equal(one, other)
    for other in (first.batch(1, 3), first.batch(2, 2), samples_of(parameters, seed=1).batch(1, 2)):
        assert not np.array_equal(expected[0], other[0])


@pytest.mark.parametrize(
    ("size", "batch", "tiles", "steps"),
    [
        # the defaults: batches of 147,456 px, epochs of 1,179,648
        (96, 147_456, 16, 8),
        (128, 147_456, 9, 8),
        (192, 147_456, 4, 8),
        (288, 147_456, 2, 7),  # 147456 / 82944 = 1.8; 1179648 / 165888 = 7.1
        (384, 147_456, 1, 8),
        (384, 10, 1, 8),  # never less than one tile
    ],
)
def test_tiles_and_steps_by_tile_size(size, batch, tiles, steps):
    scenes = [made_scene("large", (400, 400))]
    parameters = unet(tile_size=size, batch_pixels=batch, epoch_pixels=1_179_648)
    samples = samples_of(parameters, scenes, make_split(scenes, RULE))
    assert (samples.tiles_per_batch, samples.steps) == (tiles, steps)


@given(st.integers(1, 80).map(lambda half: 2 * half), st.integers(1, 50_000), st.integers(1, 10**7))
def test_an_epoch_has_equal_pixels_within_a_batch_for_every_tile_size(size, batch_pixels, epoch_pixels):
    samples = samples_of(unet(tile_size=size, batch_pixels=batch_pixels, epoch_pixels=epoch_pixels))
    batch = samples.tiles_per_batch * size**2
    assert abs(samples.steps * batch - epoch_pixels) <= batch
    assert abs(batch - batch_pixels) <= size**2


def test_shapes():
    features, target = samples_of(unet()).batch(0, 0)
    assert (features.shape, target.shape) == ((8, 32, 32, 8), (8, 32, 32, 2))
    features, target = samples_of(ffnn(tile_size=4)).batch(0, 0)
    assert (features.shape, target.shape) == ((1024, 8), (1024, 2))
    assert features.dtype == target.dtype == np.float32


def coded(scene):
    """The scene with its blue telling each pixel's number: nodata stays."""
    numbers = (np.arange(scene.mask.size).reshape(scene.mask.shape) + 1) / 50_000
    changed = with_bands(scene, lambda values: values)
    changed.scene.bands["blue"][:] = np.where(scene.scene.valid, numbers, np.nan)
    return changed


def numbers_in(features):
    """Pixel numbers that `coded` wrote; -1 where there is no data."""
    return np.rint(features[..., 0] * 50_000).astype(int) - 1


@pytest.mark.parametrize("augment", [True, False])
def test_label_and_weight_are_those_of_the_pixel_shown(augment):
    scene = coded(PAIR[0])
    split = make_split([scene], RULE)
    parameters = unet(augment=augment, glacier_weight=3.0, batch_pixels=64 * 1024)
    features, target = samples_of(parameters, [scene], split).batch(0, 0)
    number, shown = numbers_in(features), features.any(axis=-1)
    training, mask = split.training("disc").ravel(), scene.mask.ravel()
    np.testing.assert_array_equal(target[shown][:, 0], mask[number[shown]])
    expected = training[number[shown]] * np.where(mask[number[shown]], 3.0, 1.0)
    np.testing.assert_array_equal(target[shown][:, 1], expected)
    assert not target[~shown][:, 1].any()
    assert (~shown).any() and (target[shown][:, 1] == 0).any()  # nodata and validation were among them


def test_pixels_for_the_per_pixel_network_are_training_pixels():
    scene = coded(PAIR[0])
    split = make_split([scene], RULE)
    features, target = samples_of(ffnn(), [scene], split).batch(0, 0)
    assert split.training("disc").ravel()[numbers_in(features)].all()
    assert (target[:, 1] == 1).all()


def test_augmentation_shows_every_symmetry_and_none_without():
    rows, columns = np.indices((32, 32))
    scene = with_bands(
        made_scene("slope", (32, 32)), lambda values: np.where(True, rows * 32 + columns, 0) / 1024
    )
    split = make_split([made_scene("slope", (32, 32))], SplitRule(block=4, gap=0))
    corners = {}
    for augment in (True, False):
        samples = samples_of(unet(augment=augment, batch_pixels=128 * 1024), [scene], split)
        features = samples.batch(0, 0)[0]
        corners[augment] = {tuple(np.rint(tile[:2, :2, 0].ravel() * 1024)) for tile in features}
    assert len(corners[True]) == 8
    assert corners[False] == {(0, 1, 32, 33)}


def test_no_data_has_features_of_zero_even_with_noise():
    # the report's first set: a ratio of zeros must not come out as 1
    shared = {"features": "report_ratio", "augment": False, "batch_pixels": 64 * 1024}
    plain, target = samples_of(unet(**shared)).batch(0, 0)
    noisy = samples_of(unet(**shared, noise=0.05, brightness=0.3)).batch(0, 0)[0]
    empty = ~plain.any(axis=-1)
    assert empty.any()
    np.testing.assert_array_equal(~noisy.any(axis=-1), empty)
    assert not target[empty][:, 1].any()
    assert np.isfinite(noisy).all() and not np.array_equal(noisy, plain)


def test_brightness_is_one_factor_a_tile():
    scenes = [filled(scene, 0.5) for scene in made_pair()]
    split = make_split(scenes, RULE)
    tiles = samples_of(unet(brightness=0.2, features="false_colour"), scenes, split).batch(0, 0)[0]
    factors = tiles[:, 0, 0, 0] / 0.5
    np.testing.assert_allclose(
        tiles, np.broadcast_to(factors[:, None, None, None] / 2, tiles.shape), rtol=1e-5
    )
    assert 0.8 <= factors.min() < factors.max() <= 1.2


def test_noise_has_the_spread_asked_for():
    scenes = [filled(scene, 0.5) for scene in made_pair()]
    samples = samples_of(unet(noise=0.03, features="false_colour"), scenes, make_split(scenes, RULE))
    tiles = samples.batch(0, 0)[0]
    # 24,576 values: the standard deviation is known to .5 %
    assert tiles.std() == pytest.approx(0.03, rel=0.03)
    assert tiles.mean() == pytest.approx(0.5, abs=0.002)


def test_a_scene_smaller_than_the_tile_is_padded_with_weight_zero():
    small, large = made_scene("small", (40, 50)), made_scene("large", (100, 120))
    rule = SplitRule(block=5, gap=0)
    split = make_split([small, large], rule)
    samples = samples_of(unet(tile_size=64, augment=False), [small, large], split)
    padded = samples.scenes[0]
    assert padded.stack.shape[:2] == padded.target.shape[:2] == (64, 64)
    assert not padded.target[40:].any() and not padded.target[:, 50:].any()
    assert padded.stack[40:].all()  # mirrored imagery, not black
    assert padded.target[..., 1].sum() == split.training("small").sum()


def test_a_tile_larger_than_every_scene_is_refused():
    with pytest.raises(GlacierError, match="256 px is larger than every scene .the largest has 180 x 220 px"):
        samples_of(unet(tile_size=256))


def test_a_missing_band_is_refused():
    scenes = [made_scene("disc", (200, 160), drop=("nir",))]
    with pytest.raises(GlacierError, match="disc: nir missing"):
        samples_of(unet(), scenes, make_split(scenes, RULE))


@pytest.mark.parametrize("network", [unet, ffnn])
def test_balanced_classes_weigh_the_same(network):
    samples = samples_of(network(glacier_weight="balanced"))
    sums = np.zeros(2)
    for scene in samples.scenes:  # scenes are drawn equally often, whatever their size
        label, weight = scene.target[..., 0], scene.target[..., 1]
        sums += np.array([weight[label == kind].sum() for kind in (0, 1)]) / (weight > 0).sum()
    assert sums[0] == pytest.approx(sums[1], rel=1e-4)


def test_each_scene_is_drawn_equally_often():
    small, large = made_scene("small", (60, 60)), made_scene("large", (200, 200), seed=4)
    scenes = [
        filled(small, 0.2),
        filled(large, 0.9),
    ]
    split = make_split(scenes, SplitRule(block=10, gap=1))
    blue = samples_of(ffnn(batch_pixels=20_000), scenes, split).batch(0, 0)[0][:, 0]
    assert (blue < 0.5).mean() == pytest.approx(0.5, abs=0.02)  # standard deviation .0035


def test_a_scene_held_out_gives_no_tiles():
    split = make_split(PAIR, SplitRule(protocol="scene", held=("disc",), block=20))
    assert len(samples_of(unet(), PAIR, split).scenes) == 1


def outside_training(change):
    """The scenes with `change` applied to every pixel that is not for training."""
    changed = []
    for scene in PAIR:
        training = SPLIT.training(scene.scene.name)
        changed.append(with_bands(scene, lambda old, keep=training: np.where(keep, old, change(old))))
    return changed


@pytest.mark.parametrize("features", ["spectral", "report_ratio"])
def test_statistics_come_from_training_pixels_alone(features):
    expected = feature_statistics(PAIR, SPLIT, features)
    brighter = feature_statistics(outside_training(lambda values: 3 * values + 1), SPLIT, features)
    np.testing.assert_array_equal(brighter, expected)
    inside = [with_bands(scene, lambda values: values * 1.1) for scene in PAIR]
    assert not np.array_equal(feature_statistics(inside, SPLIT, features)[0], expected[0])


def test_statistics_worked_by_hand():
    # Scene means .2 and .6 weigh the same: mean .4; each is constant, so the variance is .2 ** 2
    scenes = [filled(scene, value) for scene, value in zip(PAIR, (0.2, 0.6), strict=True)]
    mean, variance = feature_statistics(scenes, SPLIT, "false_colour")
    np.testing.assert_allclose(mean, 0.4, rtol=1e-6)
    np.testing.assert_allclose(variance, 0.04, rtol=1e-5)


def test_labels_outside_the_training_pixels_change_no_weight():
    flipped = [with_mask(scene, scene.mask ^ ~SPLIT.training(scene.scene.name)) for scene in PAIR]
    parameters = unet(glacier_weight="balanced")
    for one, other in zip(samples_of(parameters).scenes, samples_of(parameters, flipped).scenes, strict=True):
        np.testing.assert_array_equal(one.target[..., 1], other.target[..., 1])
