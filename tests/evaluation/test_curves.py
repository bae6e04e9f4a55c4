"""Scores over thresholds and reliability, against the masks themselves and worked bins."""

import numpy as np
import pytest
from made_scenes import made_scene

from glacier_ml.evaluation.curves import confusion_by_threshold, reliability_table, threshold_table
from glacier_ml.evaluation.metrics import confusion
from glacier_ml.evaluation.scene_maps import SceneMaps
from glacier_ml.learning.calibration import THRESHOLDS


@pytest.fixture(scope="module")
def maps():
    """Two seeds of a network and a rule on a noisy map, some pixels without data."""
    labelled, random = made_scene(shape=(40, 30), nodata=4), np.random.default_rng(0)
    seeds = [
        np.clip(np.where(labelled.mask, 0.7, 0.3) + random.normal(0, 0.3, labelled.mask.shape), 0, 1)
        for _ in range(3)
    ]
    first, second, rule = (one.astype(np.float32) for one in seeds)
    probabilities = {"unet": [first, second], "NDSI": [rule]}
    thresholds = {"unet": [0.4, 0.6], "NDSI": [0.7]}
    return SceneMaps(labelled, labelled.scene.valid, probabilities, thresholds, rules=frozenset(["NDSI"]))


def test_counts_by_threshold_are_those_of_the_masks(maps):
    probability = maps.probabilities["unet"][0][maps.valid]
    table = confusion_by_threshold(maps.truth[maps.valid], probability, THRESHOLDS)
    for threshold, counts in list(zip(THRESHOLDS, table, strict=True))[::15]:
        one = confusion(maps.truth, maps.probabilities["unet"][0] >= threshold, maps.valid)
        assert counts.tolist() == [
            one.true_positive,
            one.false_positive,
            one.false_negative,
            one.true_negative,
        ]


def test_a_row_of_the_threshold_table_is_the_mean_over_seeds(maps):
    table = threshold_table([maps])
    assert len(table) == 2 * (len(THRESHOLDS) + 1)
    row = table[(table.classifier == "unet") & (table.threshold == 0.7) & ~table.own].iloc[0]
    ious = [confusion(maps.truth, one >= 0.7, maps.valid).iou for one in maps.probabilities["unet"]]
    assert row.iou == pytest.approx(np.mean(ious))


def test_the_own_row_scores_each_seed_at_its_own_threshold(maps):
    table = threshold_table([maps])
    (row,) = table[(table.classifier == "unet") & table.own].itertuples()
    pairs = zip(maps.probabilities["unet"], (0.4, 0.6), strict=True)
    ious = [confusion(maps.truth, one >= own, maps.valid).iou for one, own in pairs]
    assert (row.threshold, row.iou) == (0.5, pytest.approx(np.mean(ious)))


def test_reliability_pools_the_seeds_and_leaves_rules_out(maps):
    table = reliability_table([maps])
    assert set(table.classifier) == {"unet"} and table.bin.tolist() == list(range(15))
    assert table.pixels.sum() == 2 * maps.valid.sum()
    # bin 7 holds .4667 to .5333
    values = np.concatenate([one[maps.valid] for one in maps.probabilities["unet"]])
    inside = (values >= 7 / 15) & (values < 8 / 15)
    row = table[table.bin == 7].iloc[0]
    assert row.probability == pytest.approx(values[inside].mean(), rel=1e-6)
    assert row.glacier == pytest.approx(np.tile(maps.truth[maps.valid], 2)[inside].mean())


def test_a_pixel_at_a_threshold_is_glacier_as_in_the_masks():
    probability = np.array([0.3, 0.7], dtype=np.float32)
    counts = confusion_by_threshold(np.array([True, True]), probability, np.array([0.3, 0.7]))
    assert counts[:, 0].tolist() == [2, 1]
