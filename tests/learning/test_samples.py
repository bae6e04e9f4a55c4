"""Samples: what a batch holds, what weighs nothing, and what it all depends on."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_scenes import disc, filled, kept_in, made_pair, made_scene, with_bands, with_mask

from glacier_ml.errors import GlacierError
from glacier_ml.learning import samples as module
from glacier_ml.learning import stored_scenes
from glacier_ml.learning.parameters import parse_parameters
from glacier_ml.learning.samples import collect_samples, feature_statistics
from glacier_ml.learning.splits import SplitRule, make_split
from glacier_ml.learning.store import SampleStore
from glacier_ml.learning.tiles import transform_d4

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
        glacier, trains = scene.target[..., 0], scene.target[..., 1]
        weights = (trains & ~glacier).sum(), samples.glacier_weight * (trains & glacier).sum()
        sums += np.array(weights) / trains.sum()
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
    found = feature_statistics(scenes, SPLIT, "false_colour")
    np.testing.assert_allclose(found.mean, 0.4, rtol=1e-6)
    np.testing.assert_allclose(found.variance, 0.04, rtol=1e-5)
    # Half of the weight each: the hundredth that is least is .2, the hundredth that is largest .6
    np.testing.assert_allclose([found.low, found.high], [[0.2] * 3, [0.6] * 3], rtol=1e-6)


def test_labels_outside_the_training_pixels_change_no_weight():
    flipped = [with_mask(scene, scene.mask ^ ~SPLIT.training(scene.scene.name)) for scene in PAIR]
    parameters = unet(glacier_weight="balanced")
    one, other = samples_of(parameters), samples_of(parameters, flipped)
    assert one.glacier_weight == other.glacier_weight
    weights, others = (samples.batch(0, 0)[1][..., 1] for samples in (one, other))
    np.testing.assert_array_equal(weights, others)


SMALL = made_scene("small", (40, 70), disc, seed=5)
TRIO = [*PAIR, SMALL]
TRIO_SPLIT = make_split(TRIO, SplitRule(block=12, gap=1))
DISTURBED = {"brightness": 0.1, "noise": 0.01}
SEARCHED = {
    "disturbed": unet(**DISTURBED),
    "undisturbed": unet(),
    "balanced": unet(glacier_weight="balanced", tile_size=16),
    "padded": unet(tile_size=64, augment=False),
    "padded and disturbed": unet(tile_size=64, **DISTURBED),
    "saturation": unet(features="spectral_saturation"),
    "pixels": ffnn(glacier_weight=3.3),
    "pixels, disturbed": ffnn(tile_size=4, **DISTURBED),
    "no weight on glaciers": ffnn(glacier_weight=0.0),
}


def kept(folder, scenes=TRIO):
    """The scenes as another trial, or another process, has them."""
    store = SampleStore(folder)
    return [kept_in(store, scene) for scene in scenes]


@pytest.mark.parametrize("parameters", SEARCHED.values(), ids=SEARCHED)
def test_batches_and_statistics_are_bit_for_bit_those_without_a_store(tmp_path, parameters):
    expected = samples_of(parameters, TRIO, TRIO_SPLIT)
    for _ in range(2):
        found = samples_of(parameters, kept(tmp_path), TRIO_SPLIT)
        for epoch, step in ((0, 0), (1, 2)):
            for one, other in zip(expected.batch(epoch, step), found.batch(epoch, step), strict=True):
                assert one.dtype == other.dtype
                np.testing.assert_array_equal(one, other)
        np.testing.assert_array_equal(
            feature_statistics(kept(tmp_path), TRIO_SPLIT, parameters.features),
            feature_statistics(TRIO, TRIO_SPLIT, parameters.features),
        )


@pytest.fixture
def counted(monkeypatch):
    """How often whole scenes were stacked or had features computed, and tiles had."""
    calls = {"stack": 0, "scene": 0, "batch": 0}

    def count(place, name, usual, key):
        def counting(*given):
            calls[key] += 1
            return usual(*given)

        monkeypatch.setattr(place, name, counting)

    count(stored_scenes.StoredScene, "stack", stored_scenes.StoredScene.stack, "stack")
    count(stored_scenes, "features_of_bands", stored_scenes.features_of_bands, "scene")
    count(module, "compute_features", module.compute_features, "batch")
    return calls


def test_what_trials_share_is_computed_once(tmp_path, counted):
    # Sizes up to 40 px pad nothing, and weights come when a batch is cut: all share the same three stacks.
    trials = [unet(brightness=0.1, tile_size=size, glacier_weight=size / 9) for size in (16, 32, 40)]
    for number, parameters in enumerate(trials):
        samples_of(parameters, kept(tmp_path), TRIO_SPLIT, seed=number).batch(0, 0)
    assert counted == {"stack": 3, "scene": 0, "batch": 3}
    files = {file.name.partition("-")[0] for file in tmp_path.iterdir()}
    assert files == {"stack", "target", "pixels"} and len(list(tmp_path.iterdir())) == 9
    feature_statistics(kept(tmp_path), TRIO_SPLIT, "spectral")
    assert counted == {"stack": 3, "scene": 3, "batch": 3}
    feature_statistics(kept(tmp_path), TRIO_SPLIT, "spectral")
    samples_of(unet(), kept(tmp_path), TRIO_SPLIT).batch(0, 0)  # undisturbed: cut from these features
    assert counted == {"stack": 3, "scene": 3, "batch": 3}
    samples_of(unet(tile_size=64), kept(tmp_path), TRIO_SPLIT)  # one scene of three is padded
    assert counted["scene"] == 4


def test_targets_depend_on_labels_and_training_pixels(tmp_path):
    def targets(scenes, split):
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        samples_of(unet(), kept(folder, scenes), split)
        return {file.name for file in folder.glob("target-*")}

    expected = targets(PAIR, SPLIT)
    assert targets(PAIR, make_split(PAIR, RULE)) == expected
    relabelled = [with_mask(PAIR[0], PAIR[0].mask ^ (np.indices(PAIR[0].mask.shape)[0] < 1)), PAIR[1]]
    assert len(targets(relabelled, SPLIT) & expected) == 1
    assert not targets(PAIR, make_split(PAIR, SplitRule(block=20, gap=5))) & expected


@given(seed=st.integers(0, 2**31), count=st.integers(0, 50))
def test_single_pixels_are_tiles_of_one_pixel(seed, count):
    random = np.random.default_rng(seed)
    for scene in samples_of(ffnn()).scenes:
        pixels = random.choice(scene.pixels, size=count)
        corners = np.stack(np.unravel_index(pixels, scene.target.shape[:2]), axis=1)
        for picked, gathered in zip(
            module._pick(scene, pixels), module._gather(scene, corners, 1), strict=True
        ):
            np.testing.assert_array_equal(picked, gathered)


@given(seed=st.integers(0, 2**31), count=st.integers(1, 9), size=st.integers(2, 40))
def test_tiles_are_cut_where_their_corners_are(seed, count, size):
    random = np.random.default_rng(seed)
    scene = samples_of(unet(tile_size=32)).scenes[0]
    corners = random.integers(np.array(scene.target.shape[:2]) - size + 1, size=(count, 2))
    places = [(slice(row, row + size), slice(column, column + size)) for row, column in corners]
    for values, gathered in zip(
        (scene.stack, scene.target), module._gather(scene, corners, size), strict=True
    ):
        assert gathered.flags.c_contiguous
        np.testing.assert_array_equal(gathered, [values[place] for place in places])


@given(symmetries=st.lists(st.integers(0, 7), min_size=1, max_size=12), seed=st.integers(0, 2**31))
def test_each_tile_is_turned_by_its_own_symmetry(symmetries, seed):
    tiles = np.random.default_rng(seed).random((len(symmetries), 3, 3, 2), np.float32)
    one_by_one = [transform_d4(tile, symmetry) for tile, symmetry in zip(tiles, symmetries, strict=True)]
    turned = module._turned(tiles, np.array(symmetries))
    assert turned.flags.c_contiguous
    np.testing.assert_array_equal(turned, one_by_one)
