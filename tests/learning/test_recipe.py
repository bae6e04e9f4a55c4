"""The report's samples: its tiles, its eight copies, and the leak of its split, shown."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_scenes import kept_in, made_pair, made_scene

from glacier_ml.errors import GlacierError
from glacier_ml.learning import stored_scenes
from glacier_ml.learning.parameters import parse_parameters
from glacier_ml.learning.recipe import collect_report_samples, shuffle_and_split
from glacier_ml.learning.samples import check_samples
from glacier_ml.learning.splits import SplitRule, make_split
from glacier_ml.learning.store import SampleStore
from glacier_ml.learning.tiles import cut_tiles, tile_origins, transform_d4

PAIR = made_pair(nodata=9)  # 200 x 160 and 180 x 220 px, 9 columns of each without data
SPLIT = make_split(PAIR, SplitRule(block=20, gap=4))


def unet(**changed):
    values = {"network": "unet", "recipe": "report", "tile_size": 32, "levels": 2}
    return parse_parameters({**values, **changed}, "test")


def ffnn(**changed):
    return parse_parameters({"network": "ffnn", "recipe": "report", **changed}, "test")


def samples_of(parameters, scenes=PAIR, split=SPLIT, seed=0):
    return collect_report_samples(scenes, split, parameters, seed)


TILES = samples_of(unet())
PIXELS = samples_of(ffnn())


@pytest.mark.parametrize(
    ("shape", "size", "tiles"),
    [
        # Columbia Glacier: 887 = 3 * 288 + 23, 495 = 288 + 207; doubled, 576 exceeds 495: one a row
        ((887, 495), 288, 3 * 1),
        ((887, 495), 96, 9 * 5),
        # Patagonia: 1297 = 4 * 288 + 145 and 1333 = 4 * 288 + 181; 1297 = 10 * 128 + 17, 1333 = 10 * 128 + 53
        ((1297, 1333), 288, 4 * 4),
        ((1297, 1333), 128, 10 * 10),
        # 768 exceeds both 500 and 700: a single tile
        ((500, 700), 384, 1),
    ],
)
def test_the_reports_number_of_tiles(shape, size, tiles):
    assert len(cut_tiles(np.zeros((*shape, 1), np.uint8), size)) == tiles


def test_the_reports_numbers_of_samples_fit_one_size_of_its_fourth_scene():
    # 4520, 2440, 416 and 232 samples at 96, 128, 288 and 384 px, eight of a tile, less the tiles of 2007,
    # 2009 and geometry8, leave 306, 169, 30 and 16 for geometry7, which is not to be had whole.
    known = [(887, 495), (887, 495), (1297, 1333)]
    left = {
        size: samples // 8 - sum((rows // size) * (columns // size) for rows, columns in known)
        for size, samples in {96: 4520, 128: 2440, 288: 416, 384: 232}.items()
    }
    assert left == {96: 306, 128: 169, 288: 30, 384: 16}
    # 17 x 18, 13 x 13, 5 x 6 and 4 x 4 tiles: 1664 to 1727 by 1728 to 1791 px have them all
    for rows, columns in [(1664, 1728), (1727, 1791)]:
        assert {size: (rows // size) * (columns // size) for size in left} == left


def test_tiles_and_pixels_of_the_scenes():
    # 200 x 160: 6 x 5 tiles of 32 px; 180 x 220: 5 x 6
    assert TILES.values.shape == (60, 32, 32, 3) and TILES.copies == 8
    assert len(TILES.train) + len(TILES.test) == 480
    assert TILES.numbers.tolist() == [*range(1, 31)] * 2 and TILES.owners.tolist() == [0] * 30 + [1] * 30
    # every valid pixel is a row: 200 x 151 + 180 x 211
    assert PIXELS.values.shape == (200 * 151 + 180 * 211, 3) and PIXELS.copies == 1


@given(st.integers(2, 1000), st.integers(0, 9))
def test_the_split_keeps_every_sample_once_and_a_fifth_apart(samples, seed):
    train, test = shuffle_and_split(samples, seed)
    assert sorted([*train, *test]) == list(range(samples))
    assert len(train) == max(1, int(samples * 0.8))


def test_rotations_of_test_tiles_are_trained_on():
    tiles_of = [set((part // 8).tolist()) for part in (TILES.train, TILES.test)]
    # A tile's eight copies are all on one side with a chance of .8 ** 8 + .2 ** 8 = .17: of 60 tiles about 50
    # are on both.
    assert len(tiles_of[0] & tiles_of[1]) > 40
    leaked = 0
    for sample in TILES.test:
        (tested,), _ = TILES.cut(np.array([sample]))
        trained = TILES.train[TILES.train // 8 == sample // 8]
        images = [transform_d4(tested, symmetry) for symmetry in range(8)]
        copies = TILES.cut(trained)[0]
        leaked += any(np.array_equal(copy, image) for copy in copies for image in images)
    assert leaked / len(TILES.test) > 0.9  # all but tiles whose eight copies are all tested


def test_neighbours_of_test_pixels_are_trained_on():
    trained = np.zeros(len(PIXELS.values), bool)
    trained[PIXELS.train] = True
    neighbours = np.clip(PIXELS.test + 1, 0, len(trained) - 1)  # of the same row of the scene, nearly always
    assert trained[neighbours].mean() == pytest.approx(0.8, abs=0.02)


def test_the_eight_copies_carry_their_labels_along():
    scene = PAIR[0]
    tile = scene.mask[:32, :32], scene.mask[64:96, 32:64]  # the first tile, and the twelfth: row 2, column 1
    for number, mask in zip((0, 11), tile, strict=True):
        values, targets = TILES.cut(8 * number + np.arange(8))
        for symmetry in range(8):
            np.testing.assert_array_equal(
                targets[symmetry, ..., 0], transform_d4(mask[..., None], symmetry)[..., 0]
            )
            np.testing.assert_array_equal(values[symmetry], transform_d4(TILES.values[number], symmetry))


def test_without_augmentation_a_tile_is_one_sample():
    plain = samples_of(unet(augment=False))
    assert (plain.copies, len(plain.train), len(plain.test)) == (1, 48, 12)


def test_an_epoch_shows_every_training_sample_once_in_batches_of_32():
    # 480 samples: 384 train, 12 batches of 32
    assert (TILES.tiles_per_batch, TILES.steps) == (32, 12)
    numbered = TILES.__class__(
        **{**vars(TILES), "values": np.arange(60.0)[:, None, None, None] * np.ones((1, 32, 32, 3))}
    )
    shown = np.concatenate([numbered.batch(0, step)[0][:, 0, 0, 0] for step in range(12)])
    np.testing.assert_array_equal(np.sort(shown), np.sort(TILES.train // 8))
    assert not np.array_equal(shown[:32], numbered.batch(1, 0)[0][:, 0, 0, 0])  # shuffled anew


def test_the_last_batch_is_the_rest():
    # 68,180 pixels: 54,544 train; by 10,000 five whole batches and 4,544
    samples = samples_of(ffnn(batch_pixels=10_000))
    assert (len(samples.train), samples.steps) == (54_544, 6)
    assert [len(samples.batch(0, step)[0]) for step in (0, 4, 5)] == [10_000, 10_000, 4544]


def test_epoch_pixels_thin_epochs_and_tests_alike():
    samples = samples_of(ffnn(epoch_pixels=1000, batch_pixels=300))
    assert (samples.samples_per_epoch, samples.steps, len(samples.measured)) == (1000, 4, 1000)
    np.testing.assert_array_equal(samples.measured, samples.test[:1000])  # the same ones every epoch
    tiles = samples_of(unet(epoch_pixels=4 * 32**2, batch_pixels=2 * 32**2))
    assert (tiles.samples_per_epoch, tiles.tiles_per_batch, tiles.steps) == (4, 2, 2)


def test_batches_are_a_pure_function_of_seed_epoch_and_step():
    again = samples_of(ffnn(), seed=0)
    other = samples_of(ffnn(), seed=1)
    np.testing.assert_array_equal(again.batch(3, 2)[0], PIXELS.batch(3, 2)[0])
    np.testing.assert_array_equal(PIXELS.batch(0, 0)[0], again.batch(0, 0)[0])
    assert not np.array_equal(other.batch(3, 2)[0], again.batch(3, 2)[0])
    np.testing.assert_array_equal(other.test, again.test)  # the split's seed draws it, not the network's


def test_scores_worked_by_hand():
    def say_glacier(values):
        return np.full(values.shape[:-1], 2.0, np.float32)

    metrics = PIXELS.measure(say_glacier)
    truth = PIXELS.targets[PIXELS.test, 0]
    # all called glacier: hits are the glacier's pixels, the rest false alarms; -ln sigmoid(2) and (-2)
    assert (
        metrics["val/accuracy"]
        == metrics["val/iou"]
        == metrics["val/precision"]
        == pytest.approx(truth.mean())
    )
    assert metrics["val/recall"] == 1
    loss = truth.mean() * np.log1p(np.exp(-2)) + (1 - truth.mean()) * np.log1p(np.exp(2))
    assert metrics["val/loss"] == pytest.approx(loss, rel=1e-5)
    nothing = PIXELS.measure(lambda values: -say_glacier(values))
    assert (nothing["val/iou"], nothing["val/precision"], nothing["val/f1"]) == (0, 0, 0)


@pytest.mark.parametrize(("samples", "side"), [(TILES, 32), (PIXELS, 64)], ids=["tiles", "pixels"])
def test_counts_by_block_are_those_of_the_scores(samples, side):
    def by_blue(values):
        return values[..., 0] - np.float32(0.5)

    told = samples.block_counts(by_blue)
    assert (told["side"], told["threshold"], list(told["scenes"])) == (side, 0.5, ["disc", "valley"])
    total = sum(np.sum(scene["counts"], axis=0) for scene in told["scenes"].values())
    hits, alarms, misses, _ = total
    metrics = samples.measure(by_blue)
    assert metrics["val/iou"] == pytest.approx(hits / (hits + alarms + misses))
    assert (
        total.sum() == samples.targets[samples.test // samples.copies][..., 1].sum()
    )  # no data counts nowhere
    for scene in told["scenes"].values():
        assert scene["block"] == sorted(set(scene["block"])) and len(scene["block"]) == len(scene["counts"])


def test_a_block_is_the_original_tile_whatever_its_copies():
    told = TILES.block_counts(lambda values: values[..., 0])["scenes"]["disc"]
    tested = {int(tile) for tile in TILES.test // 8 if tile < 30}
    assert told["block"] == sorted(tile + 1 for tile in tested)


def test_scenes_smaller_than_a_tile_give_none_and_all_such_are_refused():
    small, large = made_scene("small", (100, 300)), made_scene("large", (130, 260))
    split = make_split([small, large], SplitRule(block=10, gap=1))
    samples = samples_of(unet(tile_size=128), [small, large], split)
    assert samples.names == ("large",) and len(samples.values) == 2
    with pytest.raises(GlacierError, match="tile_size: no scene holds a whole tile of 128 px"):
        samples_of(unet(tile_size=128), [small], split)
    with pytest.raises(GlacierError, match="tile_size: 128 px is larger than every scene"):
        check_samples([small], unet(tile_size=128))


def test_a_scene_held_out_gives_no_samples():
    split = make_split(PAIR, SplitRule(protocol="scene", held=("disc",), block=20))
    assert samples_of(unet(), PAIR, split).names == ("valley",)


@given(st.integers(1, 300), st.integers(1, 120))
def test_tiles_cover_an_axis_and_only_the_last_one_overlaps(length, size):
    origins = tile_origins(length, size)
    covered = np.zeros(max(length, size), int)
    for origin in origins:
        covered[origin : origin + size] += 1
    assert covered.min() == 1 and (covered[: length // size * size - size] == 1).all()
    assert origins[-1] + size == max(length, size)


@pytest.mark.parametrize("expected", [TILES, PIXELS], ids=["tiles", "pixels"])
def test_samples_of_a_store_are_bit_for_bit_those_without_and_made_once(tmp_path, monkeypatch, expected):
    calls = []
    usual = stored_scenes.report_features
    monkeypatch.setattr(
        stored_scenes, "report_features", lambda *given: calls.append(given[0].shape) or usual(*given)
    )
    for seed in (0, 0, 1):  # of the order alone
        store = SampleStore(tmp_path)
        found = samples_of(expected.parameters, [kept_in(store, scene) for scene in PAIR], seed=seed)
        for name in ("values", "targets", "owners", "numbers", "train", "test"):
            one, other = getattr(found, name), getattr(expected, name)
            assert one.dtype == other.dtype
            np.testing.assert_array_equal(one, other)
        for one, other in zip(found.cut(found.test), expected.cut(found.test), strict=True):
            np.testing.assert_array_equal(one, other)
        assert found.measure(lambda values: values[..., 0]) == expected.measure(lambda values: values[..., 0])
        assert not found.values.flags.writeable
    assert calls == [(200, 160, 5), (180, 220, 5)]


def test_tiles_of_another_size_are_cut_from_the_same_features(tmp_path):
    store = SampleStore(tmp_path)
    scenes = [kept_in(store, scene) for scene in PAIR]
    for size in (32, 64):
        samples_of(unet(tile_size=size), scenes)
    kinds = [file.name.partition("-")[0] for file in tmp_path.iterdir()]
    assert kinds.count("features") == 2  # of two scenes
    assert kinds.count("report_values") == kinds.count("report_targets") == 2  # of two sizes
