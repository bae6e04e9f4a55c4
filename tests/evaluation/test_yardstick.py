"""The yardstick: scores worked by hand on a made classifier, and what calibration may see."""

from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from made_scenes import made_pair, made_scene, with_mask

from glacier_ml.evaluation.yardstick import KeptMaps, block_counts, measure, score
from glacier_ml.learning.calibration import calibrate
from glacier_ml.learning.splits import SplitRule, make_split


@dataclass(frozen=True)
class Said:
    """A classifier that says of each scene what it was told to; it notes which pixels it was asked for."""

    logits: dict
    threshold: float = 0.5
    temperature: float = 1.0
    asked: dict = field(default_factory=dict)

    def probability(self, scene, wanted=None):
        self.asked[scene.name] = wanted
        probability = 1 / (1 + np.exp(-self.logits[scene.name] / self.temperature))
        return np.where(scene.valid & wanted, probability, np.nan).astype(np.float32)

    def calibrated(self, threshold, temperature):
        return replace(self, threshold=threshold, temperature=temperature)


def logit(probability):
    probability = np.asarray(probability, dtype=float)
    return np.log(probability / (1 - probability))


def small(name, truth):
    scene = made_scene(name, (2, 3))
    return with_mask(scene, np.array(truth, dtype=bool).reshape(2, 3))


# a: three glacier pixels, said .9 .8 .2, and three others, said .6 .1 .3: 2 hits, 1 miss, 1 false alarm
# b: one glacier, said .9, among other ground said .1
A, B = small("a", [1, 1, 1, 0, 0, 0]), small("b", [1, 0, 0, 0, 0, 0])
SAID = Said(
    {
        "a": logit([[0.9, 0.8, 0.2], [0.6, 0.1, 0.3]]),
        "b": logit([[0.9, 0.1, 0.1], [0.1, 0.1, 0.1]]),
    }
)


def everywhere(name):
    return np.ones((2, 3), dtype=bool)


def test_scores_of_one_scene_worked_by_hand():
    metrics = measure(SAID, [A], everywhere)
    # -ln of what was said of the truth: .9 .8 .2 and, of other ground, .4 .9 .7
    loss = -np.log([0.9, 0.8, 0.2, 0.4, 0.9, 0.7]).mean()
    expected = {
        "val/iou": 2 / 4,
        "val/f1": 4 / 6,
        "val/accuracy": 4 / 6,
        "val/precision": 2 / 3,
        "val/recall": 2 / 3,
        "val/loss": loss,
    }
    assert metrics == pytest.approx(expected, rel=1e-5)


def test_counts_by_block_worked_by_hand():
    # Blocks of 2 px: the first of a holds .9 .8 and, below, .6 .1; its second .2, and .3, which is not chosen
    chosen = np.array([[1, 1, 1], [1, 1, 0]], dtype=bool)
    told = block_counts(SAID, [A, B], lambda name: chosen & (name == "a"), side=2)
    assert told == {
        "side": 2,
        "threshold": 0.5,
        "scenes": {"a": {"block": [1, 2], "counts": [[2, 1, 0, 1], [0, 0, 1, 0]]}},
    }
    # From .65 on, the false alarm of .6 is none.
    assert block_counts(SAID, [A], lambda name: chosen, 2, 0.65)["scenes"]["a"]["counts"][0] == [2, 0, 0, 2]


def test_kept_maps_are_computed_once_for_the_same_pixels():
    said = Said({"a": SAID.logits["a"].copy()})
    maps, some = KeptMaps(said), np.array([[1, 1, 1], [1, 1, 0]], dtype=bool)
    before = maps.probability(A.scene, some)
    said.asked.clear()
    said.logits["a"][:] = 0  # trained further: other maps, but not of what is kept
    np.testing.assert_array_equal(maps.probability(A.scene, some.copy()), before)
    assert not said.asked and np.isnan(before[1, 2])
    assert (maps.probability(A.scene, ~some)[~some] == 0.5).all() and "a" in said.asked


def test_several_scenes_weigh_the_same_and_are_named():
    metrics = measure(SAID, [A, B], everywhere, "best/")
    assert metrics["best/iou_a"] == 0.5 and metrics["best/iou_b"] == 1
    assert metrics["best/iou"] == pytest.approx((0.5 + 1) / 2)
    assert metrics["best/accuracy"] == pytest.approx((4 / 6 + 1) / 2)
    losses = [score(SAID, scene, everywhere(""))[1] for scene in (A, B)]
    assert metrics["best/loss"] == pytest.approx(np.mean(losses))


def test_the_threshold_is_the_classifiers():
    # at .65 the false alarm of .6 is gone: 2 / 3
    assert measure(replace(SAID, threshold=0.65), [A], everywhere)["val/iou"] == pytest.approx(2 / 3)
    # a pixel at the threshold is glacier
    even = Said({"a": np.zeros((2, 3))})
    assert measure(even, [A], everywhere)["val/recall"] == 1


def test_only_the_chosen_pixels_are_asked_for_and_count():
    chosen = np.array([[True, True, False], [False, True, False]])
    said = replace(SAID, asked={})
    metrics = measure(said, [A], lambda name: chosen)
    assert metrics["val/iou"] == metrics["val/accuracy"] == 1
    np.testing.assert_array_equal(said.asked["a"], chosen)


def test_a_scene_without_a_chosen_pixel_is_left_out():
    metrics = measure(SAID, [A, B], lambda name: everywhere(name) & (name == "a"))
    assert metrics == measure(SAID, [A], everywhere)
    assert score(SAID, A, ~everywhere("a"))[0].pixels == 0


def test_an_undefined_score_counts_as_the_worst():
    nothing = Said({"a": np.full((2, 3), -5.0)})  # no glacier mapped: precision is 0 / 0
    metrics = measure(nothing, [A], everywhere)
    assert metrics["val/precision"] == metrics["val/iou"] == metrics["val/recall"] == 0


def test_certain_and_wrong_is_a_finite_loss():
    wrong = Said({"a": np.where(A.mask, -100.0, 100.0)})
    # clipped 1e-7 from 0 and 1: -ln 1e-7 = 16.1, give or take what float32 can hold next to 1
    assert measure(wrong, [A], everywhere)["val/loss"] == pytest.approx(16.1, abs=0.2)


@pytest.fixture(scope="module")
def miscalibrated():
    """Scenes, their split, and a classifier too sure of itself and too shy of glacier.

    Two normal distributions 2 apart have a log likelihood ratio of 2x + 2; it says 4x.
    """
    scenes = made_pair()
    split = make_split(scenes, SplitRule(block=20, gap=4))
    random = np.random.default_rng(0)
    logits = {
        scene.scene.name: 4 * (np.where(scene.mask, 0, -2) + random.normal(0, 1, scene.mask.shape))
        for scene in scenes
    }
    return scenes, split, Said(logits)


def test_calibration_finds_a_better_threshold_and_temperature(miscalibrated):
    scenes, split, said = miscalibrated
    fitted = calibrate(said, scenes, split)
    assert fitted.temperature > 1.2 and fitted.threshold < 0.5
    for pixels in (split.calibration, split.scoring):
        before, after = measure(said, scenes, pixels), measure(fitted, scenes, pixels)
        assert after["val/loss"] < before["val/loss"]
        assert after["val/iou"] > before["val/iou"]


def test_an_earlier_calibration_is_forgotten(miscalibrated):
    scenes, split, said = miscalibrated
    fitted, again = calibrate(said, scenes, split), calibrate(said.calibrated(0.9, 5.0), scenes, split)
    assert (again.threshold, again.temperature) == (fitted.threshold, fitted.temperature)


def test_calibration_sees_the_calibration_half_alone(miscalibrated):
    scenes, split, said = miscalibrated
    said = replace(said, asked={})
    expected = calibrate(said, scenes, split)
    for scene in scenes:
        np.testing.assert_array_equal(said.asked[scene.scene.name], split.calibration(scene.scene.name))

    def flipped(pixels):
        changed = [with_mask(scene, scene.mask ^ pixels(scene.scene.name)) for scene in scenes]
        fitted = calibrate(said, changed, split)
        return fitted.threshold, fitted.temperature

    known = (expected.threshold, expected.temperature)
    assert flipped(split.scoring) == flipped(split.training) == known
    assert flipped(split.calibration) != known


def test_without_a_calibration_half_nothing_is_fitted():
    def stripes(shape):
        return np.indices(shape)[1] % 9 < 3

    scene = made_scene("stripes", (90, 90), stripes)
    split = make_split([scene], SplitRule(block=45, gap=3))
    said = Said({"stripes": np.zeros((90, 90))}, threshold=0.7, temperature=3.0)
    assert (calibrate(said, [scene], split).threshold, calibrate(said, [scene], split).temperature) == (
        0.5,
        1.0,
    )
