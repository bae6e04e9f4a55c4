"""Splits: what each protocol sets apart, on what it depends, and what it refuses."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_scenes import made_pair, made_scene, with_mask
from scipy.ndimage import distance_transform_cdt

from glacier_ml.errors import GlacierError
from glacier_ml.learning.splits import (
    TOLERANCE,
    SplitRule,
    check_protocol,
    make_split,
    number_blocks,
    untrained_pixels,
)
from glacier_ml.scenes.catalog import open_catalog

BLOCK = SplitRule(block=20, gap=8)
PAIR = made_pair(nodata=7)
# Four scenes of two places in one region, and one of another region.
FOUR = [
    made_scene("a-2007", (60, 60), seed=1, place="a", region="north"),
    made_scene("a-2009", (60, 60), seed=2, place="a", region="north"),
    made_scene("b-2007", (60, 80), seed=3, place="b", region="north"),
    made_scene("c-2007", (80, 60), seed=4, place="c", region="south"),
]


def check_rule(labelled, split, gap):
    """Hold a block split's rule on one scene: classes, fraction within 3 points, and the gap."""
    name, valid, mask = labelled.scene.name, labelled.scene.valid, labelled.mask
    training, validation = split.training(name), split.validation(name)
    assert not (training & validation).any()
    assert valid[training | validation].all()
    glacier = mask[validation]
    assert 0 < glacier.mean() < 1
    assert abs(glacier.mean() - mask[valid].mean()) <= TOLERANCE
    assert 0 < mask[training].mean() < 1
    # chessboard distance of every pixel from the nearest validation pixel
    distance = distance_transform_cdt(~validation, metric="chessboard")
    assert distance[training].min() >= gap
    calibration, scoring = split.calibration(name), split.scoring(name)
    np.testing.assert_array_equal(calibration | scoring, validation)
    assert not (calibration & scoring).any()
    assert 0 < mask[calibration].mean() < 1
    assert 0 < mask[scoring].mean() < 1


@given(st.integers(0, 10_000), st.sampled_from([0, 1, 8]))
def test_blocks_resemble_their_scene_and_keep_their_distance(seed, gap):
    split = make_split(PAIR, dataclasses.replace(BLOCK, seed=seed, gap=gap))
    for labelled in PAIR:
        check_rule(labelled, split, gap)


def test_labels_next_to_validation_are_left_out_but_no_others():
    split = make_split(PAIR, BLOCK)
    for labelled in PAIR:
        numbers = number_blocks(labelled.scene.shape, 20)
        whole = np.isin(numbers, np.unique(split.blocks(labelled.scene.name))[1:])
        far = distance_transform_cdt(~whole, metric="chessboard") > 8
        np.testing.assert_array_equal(split.training(labelled.scene.name), far & labelled.scene.valid)


def test_about_a_fifth_of_the_blocks_validates():
    # 200 x 160 px hold 10 x 8 blocks of 20 px, all with data: 80 / 5 = 16 blocks, half of them calibrate
    scene = made_scene("disc", (200, 160))
    split = make_split([scene], BLOCK)
    assert len(np.unique(split.blocks("disc"))) - 1 == 16
    assert split.calibration("disc").sum() == split.scoring("disc").sum() == 8 * 400


def test_blocks_are_numbered_on_validation_pixels_alone():
    split = make_split(PAIR, BLOCK)
    np.testing.assert_array_equal(split.blocks("disc") > 0, split.validation("disc"))
    numbers = split.blocks("disc")
    rows, columns = np.nonzero(numbers)
    # 160 columns hold 8 blocks: block n lies at row (n - 1) // 8, column (n - 1) % 8
    np.testing.assert_array_equal(numbers[rows, columns], rows // 20 * 8 + columns // 20 + 1)


def test_glacier_in_one_corner_is_met_all_the_same():
    # Only the upper left ninth of the scene: unstratified draws of a fifth of the blocks would miss by far.
    def corner(shape):
        rows, columns = np.indices(shape)
        return (rows < shape[0] / 3) & (columns < shape[1] / 3)

    scene = made_scene("corner", (240, 240), corner)
    for seed in range(10):
        check_rule(scene, make_split([scene], dataclasses.replace(BLOCK, seed=seed)), 8)


@pytest.mark.parametrize("protocol", ["block", "random", "place", "scene", "region"])
def test_a_split_depends_on_the_data_and_its_seed_alone(protocol):
    rule = SplitRule(protocol=protocol, block=5, gap=4)
    first = make_split(FOUR, rule)
    np.random.seed(5)  # noqa: NPY002 - the global state must not matter
    assert make_split(FOUR, rule).digest == first.digest
    assert make_split(FOUR[::-1], rule).digest == first.digest
    digests = {make_split(FOUR, dataclasses.replace(rule, seed=seed)).digest for seed in range(8)}
    assert len(digests) == 8


@pytest.mark.parametrize("change", [{"gap": 5}, {"fraction": 0.25}, {"block": 6}, {"protocol": "random"}])
def test_the_digest_knows_the_rule(change):
    rule = SplitRule(block=5, gap=4)
    assert make_split(FOUR, dataclasses.replace(rule, **change)).digest != make_split(FOUR, rule).digest


def test_another_seed_draws_other_blocks():
    drawn = [make_split(PAIR, dataclasses.replace(BLOCK, seed=seed)).validation("disc") for seed in (0, 1)]
    assert not np.array_equal(*drawn)


def test_scenes_of_one_shape_are_drawn_independently():
    split = make_split(FOUR[:2], SplitRule(block=5, gap=4))
    assert not np.array_equal(split.validation("a-2007"), split.validation("a-2009"))


def test_a_scene_added_leaves_the_others_as_they_were():
    alone, together = make_split(PAIR[:1], BLOCK), make_split(PAIR, BLOCK)
    np.testing.assert_array_equal(alone.validation("disc"), together.validation("disc"))


def test_the_same_pixels_are_split_alike_whatever_their_name():
    renamed = made_scene("renamed", (60, 60), seed=1)
    rule = SplitRule(block=5, gap=4)
    np.testing.assert_array_equal(
        make_split([renamed], rule).validation("renamed"), make_split(FOUR, rule).validation("a-2007")
    )


@pytest.mark.parametrize(
    ("protocol", "held", "validating"),
    [
        ("scene", ("a-2009",), {"a-2009"}),
        ("place", ("a",), {"a-2007", "a-2009"}),
        ("region", ("south",), {"c-2007"}),
        ("region", ("north",), {"a-2007", "a-2009", "b-2007"}),
    ],
)
def test_whole_scenes_validate_where_named(protocol, held, validating):
    split = make_split(FOUR, SplitRule(protocol=protocol, held=held, block=20))
    for labelled in FOUR:
        name = labelled.scene.name
        whole = split.validation(name) if name in validating else split.training(name)
        np.testing.assert_array_equal(whole, labelled.scene.valid)
        assert split.validation(name).any() == (name in validating)
    for name in validating:  # both halves, each block in one of them
        assert split.calibration(name).any() and split.scoring(name).any()
        both = set(split.blocks(name)[split.calibration(name)]) & set(split.blocks(name)[split.scoring(name)])
        assert not both


@pytest.mark.parametrize("protocol", ["scene", "place", "region"])
def test_without_names_some_are_drawn_and_some_stay(protocol):
    split = make_split(FOUR, SplitRule(protocol=protocol, block=20))
    held = [scene for scene in FOUR if split.validation(scene.scene.name).any()]
    group = {"scene": "name", "place": "place", "region": "region"}[protocol]
    # a fifth of 4 scenes, 3 places, 2 regions is one of each
    assert len({getattr(scene.entry, group) for scene in held}) == 1
    others = {getattr(scene.entry, group) for scene in FOUR if scene not in held}
    assert others and not others & {getattr(scene.entry, group) for scene in held}


def test_a_held_scene_of_one_block_scores():
    for seed in range(5):
        split = make_split(FOUR, SplitRule(protocol="scene", held=("a-2007",), seed=seed))
        np.testing.assert_array_equal(split.scoring("a-2007"), split.validation("a-2007"))


def test_a_lone_validation_block_scores():
    # 4 blocks of 45 px: a fifth of them is one
    def stripes(shape):
        return np.indices(shape)[1] % 9 < 3

    split = make_split([made_scene("stripes", (90, 90), stripes)], SplitRule(block=45, gap=3))
    assert split.validation("stripes").sum() == split.scoring("stripes").sum() == 45**2


def test_a_random_split_draws_single_pixels():
    scene = made_scene("disc", (200, 200))
    split = make_split([scene], SplitRule(protocol="random"))
    # 40,000 draws at .2: standard deviation .002; calibration is the half of it
    assert split.validation("disc").mean() == pytest.approx(0.2, abs=0.01)
    assert split.calibration("disc").mean() == pytest.approx(0.1, abs=0.01)
    np.testing.assert_array_equal(split.training("disc") ^ split.validation("disc"), scene.scene.valid)


def test_untrained_are_the_validation_blocks_of_a_scene_known_by_its_pixels():
    split = make_split(PAIR, BLOCK)
    renamed = with_mask(PAIR[0], ~PAIR[0].mask)
    np.testing.assert_array_equal(untrained_pixels(split.describe(), renamed), split.validation("disc"))
    stranger = made_scene("disc", (200, 160), seed=9, nodata=7)  # the name is known, the pixels are not
    np.testing.assert_array_equal(untrained_pixels(split.describe(), stranger), stranger.scene.valid)


def test_untrained_by_another_block_size_than_ones_own():
    theirs = make_split(PAIR, SplitRule(block=32, gap=8, seed=3))
    mine = make_split(PAIR, BLOCK)
    both = untrained_pixels(theirs.describe(), PAIR[0]) & untrained_pixels(mine.describe(), PAIR[0])
    np.testing.assert_array_equal(both, theirs.validation("disc") & mine.validation("disc"))


def test_after_a_random_split_no_pixel_counts_as_untrained():
    split = make_split(PAIR, SplitRule(protocol="random"))
    assert not untrained_pixels(split.describe(), PAIR[0]).any()


def test_after_a_split_by_place_the_held_place_is_untrained():
    split = make_split(FOUR, SplitRule(protocol="place", held=("a",), block=20))
    assert untrained_pixels(split.describe(), FOUR[0]).all()
    assert not untrained_pixels(split.describe(), FOUR[2]).any()


def refused(scenes, rule, match):
    with pytest.raises(GlacierError, match=match) as caught:
        make_split(scenes, rule)
    assert "\n" not in str(caught.value)


def test_what_cannot_be_split_is_refused():
    refused([], BLOCK, "no scene has the role train")
    refused([with_mask(FOUR[0], None)], BLOCK, "a-2007: has no outlines")
    everything = np.ones((60, 60), dtype=bool)
    refused([with_mask(FOUR[0], everything)], BLOCK, "a-2007: every valid pixel is glacier")
    refused([with_mask(FOUR[0], ~everything)], BLOCK, "a-2007: every valid pixel is not glacier")
    refused([FOUR[0]], SplitRule(block=60), "a-2007: 1 blocks of 60 px hold valid pixels, a split needs 3")
    refused([FOUR[0]], SplitRule(block=40, fraction=0.01), "no 1 of its 4 blocks of 40 px .* of its 0.346")
    refused([FOUR[0]], SplitRule(protocol="place"), r"by place needs a place on each side; .* have a \(held")
    refused(FOUR, SplitRule(protocol="place", held=("d",)), r"have a, b, c \(held out: d\)")
    refused(FOUR, SplitRule(protocol="place", held=("a", "b", "c")), "needs a place on each side")


def test_only_glacier_beneath_nodata_is_one_class():
    scene = made_scene("disc", (60, 60), nodata=30)
    right = np.zeros((60, 60), dtype=bool)
    right[:, 30:] = True
    refused([with_mask(scene, right)], BLOCK, "every valid pixel is not glacier")


def test_a_gap_that_leaves_no_training_pixel_is_refused():
    refused([FOUR[0]], SplitRule(block=10, gap=60), "gap of 60 px around blocks of 10 px leaves no training")


def test_an_unknown_protocol_is_refused():
    with pytest.raises(GlacierError, match="'blocks' is not a way to split; choose one of block, scene"):
        check_protocol("blocks")
    check_protocol("place")


@pytest.mark.real_data
def test_the_landsat_scenes_can_be_split_whatever_the_seed(real_scenes):
    # columbia-2007's ice lies in its top third: plain random blocks would miss its fraction
    scenes = [entry.load() for entry in open_catalog(real_scenes).of_role("train")]
    assert [scene.scene.name for scene in scenes] == ["columbia-2007", "patagonia-8"]
    for seed in range(5):
        split = make_split(scenes, SplitRule(seed=seed))
        for labelled in scenes:
            check_rule(labelled, split, 16)
