"""Tables of scores and differences, worked by hand on a few pixels."""

import math

import numpy as np
import pytest
from made_scenes import made_scene, with_mask

from glacier_ml.evaluation.comparison import EARLIER, POOLED, SceneMaps, compare_maps
from glacier_ml.evaluation.scores import SCORES

ROW = np.array([True, True, False, False])


def maps_of(name, truth, masks, **known):
    """Maps of a scene: `masks` by classifier, one a seed, at threshold .5."""
    truth = np.array(truth, dtype=bool)
    labelled = with_mask(made_scene(name, truth.shape, np.zeros), truth)
    probabilities = {
        one: [np.where(mask, 0.9, 0.1).astype(np.float32) for mask in seeds] for one, seeds in masks.items()
    }
    thresholds = {one: [0.5] * len(seeds) for one, seeds in masks.items()}
    return SceneMaps(labelled, np.ones(truth.shape, dtype=bool), probabilities, thresholds, **known)


def score_of(comparison, classifier, score="iou", scene=None, subset="all"):
    rows = comparison.scores.set_index(["scene", "subset", "classifier", "score"])
    return rows.loc[(scene or comparison.overall, subset, classifier, score)]


def test_a_score_is_the_mean_over_seeds_and_its_extremes_stand_beside():
    # IoU of the seeds: 1 (all right), 1/2 (half of the glacier), 2/4 (all called glacier): mean 2/3
    seeds = [[ROW] * 8, [ROW & [True, False, False, False]] * 8, [np.ones(4, dtype=bool)] * 8]
    seeds = [np.tile(one, (3, 1)) for one in seeds]  # six blocks
    found = score_of(compare_maps([maps_of("a", [ROW] * 24, {"unet": seeds})], side=4), "unet")
    assert found.value == pytest.approx(2 / 3)
    assert (found.lowest, found.highest, found.seeds, found.pixels) == (0.5, 1, 3, 96)
    # All blocks are alike. Two seeds are drawn: one draw of nine has twice the 1, four have none.
    assert (found.low, found.high) == (0.5, 1)


def test_the_interval_of_six_blocks_worked_by_hand():
    # Left blocks all glacier and missed, right ones none: IoU 0 whatever is drawn. k of six drawn blocks are
    # right ones with the chance of k heads in six tosses: 0 in 1.6 %, 0 or 1 in 10.9 % of the draws, and so
    # at the other end. The middle 95 % of the accuracies k / 6 go from 1/6 to 5/6.
    truth = np.array([[1, 1, 0, 0]] * 6)
    comparison = compare_maps([maps_of("a", truth, {"none": [np.zeros((6, 4), bool)]})], side=2)
    accuracy = score_of(comparison, "none", "accuracy")
    assert (accuracy.value, accuracy.low, accuracy.high) == (0.5, pytest.approx(1 / 6), pytest.approx(5 / 6))
    iou = score_of(comparison, "none")
    assert (iou.value, iou.low, iou.high) == (0, 0, 0)


def test_less_than_six_blocks_give_no_interval_and_tell_no_two_maps_apart():
    # All wrong against all right: five blocks that agree are not enough to call it sure, six are.
    def pair(blocks):
        truth = np.ones((2 * blocks, 2), bool)
        comparison = compare_maps([maps_of("a", truth, {"wrong": [~truth], "right": [truth]})], side=2)
        row = comparison.pairs[comparison.pairs.score == "iou"].iloc[0]
        assert row.difference == 1
        return row.distinguishable, math.isfinite(row.low)

    assert [pair(blocks) for blocks in (5, 6)] == [(False, False), (True, True)]


def test_a_scene_without_glacier_ranks_no_map_by_who_is_undefined_there():
    # Scene a: 'sharp' has IoU 1, 'dull' 1/2. Scene b has no glacier: one maps none (NaN), the other some
    # (0). Each map's own mean would be 1 and 1/4 - or 1/2 and 1/2, where 'sharp' raises the alarm.
    ground = np.zeros((4, 12), bool)
    alarm = ground | (np.arange(12) == 3)
    row = np.tile(ROW, 3)
    half = row & np.tile([True, False, False, False], 3)
    first = maps_of("a", [row] * 4, {"sharp": [[row] * 4], "dull": [[half] * 4]})
    for second in ({"sharp": [ground], "dull": [alarm]}, {"sharp": [alarm], "dull": [ground]}):
        comparison = compare_maps([first, maps_of("b", ground, second)], side=2)
        found = {name: score_of(comparison, name) for name in second}
        assert {name: (one.value, one.scenes) for name, one in found.items()} == {
            "sharp": (1, 1),
            "dull": (0.5, 1),
        }
        row_of_pair = comparison.pairs[comparison.pairs.score == "iou"].iloc[0]
        assert row_of_pair.difference == -0.5
        accuracy = score_of(comparison, "dull", "accuracy")  # defined in both
        assert accuracy.scenes == 2 and accuracy.pixels == 96


def test_errors_of_area_do_not_cancel_between_scenes():
    # +50 % in one scene, -50 % in the other: of all scenes it is 50 %, and 'right' is nearer 0 by that.
    less, more = [[1, 0, 0, 0]] * 6, [[1, 1, 1, 0]] * 6
    truth = [ROW] * 6
    maps = [
        maps_of(name, truth, {"off": [mask], "right": [truth]}) for name, mask in (("a", less), ("b", more))
    ]
    comparison = compare_maps(maps, side=2)
    values = [score_of(comparison, "off", "area_error_percent", scene).value for scene in ("a", "b", None)]
    assert values == [-50, 50, 50]
    row = comparison.pairs[comparison.pairs.score == "area_error_percent"].iloc[0]
    assert (row["first"], row.difference) == ("off", -50) and row.low < row.high < 0


def test_draws_in_which_one_scene_is_undefined_are_left_out():
    # Scene b has glacier in one of its four blocks: all drawn ones miss it in (3/4)^4 = 32 % of the draws.
    # Were scene a to stand for both there, the interval would go up to its IoU of 1; b has 0 if defined.
    truth = np.zeros((2, 8), bool)
    truth[:, 0] = True
    nothing = np.zeros(truth.shape, bool)
    maps = [maps_of("a", [ROW] * 4, {"one": [[ROW] * 4]}), maps_of("b", truth, {"one": [nothing]})]
    found = score_of(compare_maps(maps, side=2), "one")
    assert (found.value, found.low, found.high) == (0.5, 0.5, 0.5)


def test_all_scenes_are_a_mean_in_which_each_weighs_the_same():
    small = maps_of("small", [ROW] * 4, {"unet": [[ROW] * 4]})  # IoU 1
    large = maps_of("large", [ROW] * 8, {"unet": [np.ones((8, 4), bool)]})  # IoU 1/2
    comparison = compare_maps([small, large], side=2)
    assert comparison.overall == POOLED
    pooled = score_of(comparison, "unet")
    assert (pooled.value, pooled.pixels) == (0.75, 48)
    assert pooled.low <= 0.75 <= pooled.high


def test_undefined_scores_are_nan_and_never_a_number():
    # An outline has no probability, nothing mapped no precision, a rule no calibration.
    masks = {"none": [np.zeros((4, 4), bool)], "NDSI": [[ROW] * 4]}
    known = {"earlier": np.array([ROW] * 4), "rules": frozenset(["NDSI"])}
    comparison = compare_maps([maps_of("a", [ROW] * 4, masks, **known)], side=2)
    assert math.isnan(score_of(comparison, "none", "precision").value)
    for name in ("NDSI", EARLIER):
        assert math.isnan(score_of(comparison, name, "ece").value)
        assert score_of(comparison, name, "iou").value == 1
    assert score_of(comparison, "none", "ece").value == pytest.approx(0.4)  # says .1, and half is glacier
    assert set(comparison.reliability.classifier) == {"none"}
    whole = comparison.scores[comparison.scores.subset == "all"]
    assert (whole.groupby("classifier").score.nunique() == len(SCORES)).all()


def test_changed_pixels_are_scored_apart():
    # Column 2 is new glacier: the old outline misses it, 'sees' maps it, 'keeps' does not.
    truth, before = np.array([[1, 1, 1, 0]] * 4, bool), np.array([[1, 1, 0, 0]] * 4, bool)
    maps = maps_of("a", truth, {"sees": [truth], "keeps": [before]}, earlier=before)
    comparison = compare_maps([maps], side=2)
    recalls = [score_of(comparison, name, "recall", subset="changed") for name in ("sees", "keeps", EARLIER)]
    assert [one.value for one in recalls] == [1, 0, 0] and {one.pixels for one in recalls} == {4}
    assert score_of(comparison, "keeps", "iou", subset="unchanged").value == 1
    assert score_of(comparison, "keeps", "iou").value == pytest.approx(2 / 3)


def test_boundaries_are_scored_on_whole_scenes_alone():
    truth = np.array([ROW] * 4)
    comparison = compare_maps([maps_of("a", truth, {"one": [truth]}, earlier=truth)], side=2)
    scores = comparison.scores
    assert score_of(comparison, "one", "boundary_f1_1px").value == 1
    assert not scores[scores.subset != "all"].score.str.contains("boundary|distance|area").any()


def test_a_difference_is_second_minus_first_on_the_same_blocks():
    # Both maps err in the same blocks: each IoU is uncertain, their difference is not.
    random = np.random.default_rng(0)
    truth = np.ones((32, 32), bool)
    wrong = np.kron(random.random((8, 8)) < 0.3, np.ones((4, 4), bool))
    comparison = compare_maps([maps_of("a", truth, {"one": [~wrong], "other": [~wrong]})], side=4)
    row = comparison.pairs[comparison.pairs.score == "iou"].iloc[0]
    assert (row["first"], row["second"]) == ("one", "other")
    assert (row.difference, row.low, row.high, row.distinguishable) == (0, 0, 0, False)
    alone = score_of(comparison, "one")
    assert alone.high - alone.low > 0.1


def test_an_error_of_area_is_compared_by_its_magnitude():
    # 'less' misses 1 of 2 columns (-50 %), 'more' maps 1 too many (+50 %): neither is nearer 0.
    truth = [ROW] * 4
    masks = {"less": [[[1, 0, 0, 0]] * 4], "more": [[[1, 1, 1, 0]] * 4]}
    comparison = compare_maps([maps_of("a", truth, masks)], side=4)
    assert score_of(comparison, "less", "area_error_percent").value == -50
    row = comparison.pairs[comparison.pairs.score == "area_error_percent"].iloc[0]
    assert row.difference == 0
    assert math.isnan(row.low) and not row.distinguishable  # one block tells nothing of chance


def test_an_outline_of_one_scene_has_differences_there_and_none_overall():
    truth = np.array([ROW] * 4)
    maps = [maps_of("a", truth, {"unet": [truth]}, earlier=~truth), maps_of("b", truth, {"unet": [truth]})]
    comparison = compare_maps(maps, side=2)
    assert comparison.pairs.empty
    there = comparison.scene_pairs[comparison.scene_pairs.score == "iou"]
    assert there[["scene", "first", "second", "difference"]].values.tolist() == [["a", "unet", EARLIER, -1.0]]
    names = comparison.scores[comparison.scores.scene == POOLED].classifier.unique()
    assert list(names) == ["unet"]


def test_the_same_seed_gives_the_same_tables():
    random = np.random.default_rng(0)
    truth, *seeds = random.random((4, 16, 16)) < 0.5
    first, again, other = (
        compare_maps([maps_of("a", truth, {"unet": seeds})], side=4, repeats=50, seed=seed)
        for seed in (0, 0, 1)
    )
    assert first.scores.equals(again.scores) and not first.scores.equals(other.scores)
