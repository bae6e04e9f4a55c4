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
    found = score_of(compare_maps([maps_of("a", [ROW] * 8, {"unet": seeds})], side=4), "unet")
    assert found.value == pytest.approx(2 / 3)
    assert (found.lowest, found.highest, found.seeds, found.pixels) == (0.5, 1, 3, 32)
    # Both blocks are alike. Two seeds are drawn: one draw of nine has twice the 1, four have none.
    assert (found.low, found.high) == (0.5, 1)


def test_the_interval_of_two_blocks_worked_by_hand():
    # Left block all glacier and missed, right block none: IoU 0 whatever is drawn; accuracy 0, 1/2 or 1.
    truth = [[1, 1, 0, 0]] * 2
    comparison = compare_maps([maps_of("a", truth, {"none": [np.zeros((2, 4), bool)]})], side=2)
    accuracy = score_of(comparison, "none", "accuracy")
    assert (accuracy.value, accuracy.low, accuracy.high) == (0.5, 0, 1)
    iou = score_of(comparison, "none")
    assert (iou.value, iou.low, iou.high) == (0, 0, 0)


def test_all_scenes_are_a_mean_in_which_each_weighs_the_same():
    small = maps_of("small", [ROW] * 2, {"unet": [[ROW] * 2]})  # IoU 1
    large = maps_of("large", [ROW] * 8, {"unet": [np.ones((8, 4), bool)]})  # IoU 1/2
    comparison = compare_maps([small, large], side=2)
    assert comparison.overall == POOLED
    pooled = score_of(comparison, "unet")
    assert (pooled.value, pooled.pixels) == (0.75, 40)
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
