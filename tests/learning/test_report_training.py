"""Training and mapping by the report's recipe, and several steps in one call."""

import numpy as np
import pytest
from made_scenes import made_pair

from glacier_ml.learning.classifier import NetworkClassifier
from glacier_ml.learning.networks import build_network
from glacier_ml.learning.parameters import parse_parameters
from glacier_ml.learning.samples import collect_samples
from glacier_ml.learning.splits import SplitRule, make_split
from glacier_ml.learning.tiles import tile_origins
from glacier_ml.learning.training import TrainingStep, fit, steps_at_once

PAIR = made_pair(nodata=9)
SPLIT = make_split(PAIR, SplitRule(block=20, gap=4))
SCENE = PAIR[0].scene  # 200 x 160 px


def unet(**changed):
    values = {"network": "unet", "recipe": "report", "tile_size": 32, "levels": 2, "tile_divisor": 8}
    return parse_parameters({**values, **changed}, "test")


def ffnn(**changed):
    values = {"network": "ffnn", "recipe": "report", "hidden_layers": 1, "nodes": 10}
    small = {"epochs": 3, "epoch_pixels": 4096, "batch_pixels": 512}
    return parse_parameters({**values, **small, **changed}, "test")


def sound(**changed):
    values = {"network": "ffnn", "learning_rate": 0.01, "tile_size": 1, "hidden_layers": 1, "nodes": 10}
    small = {"epochs": 3, "epoch_pixels": 4096, "batch_pixels": 512, "schedule": "fixed"}
    return parse_parameters({**values, **small, **changed}, "test")


def built(parameters, seed=3):
    """Build a network that nobody trained; its features pass as they are."""
    import keras

    keras.utils.set_random_seed(seed)
    return NetworkClassifier("unet", build_network(parameters, np.zeros(3), np.ones(3)), parameters)


def never(classifier):
    raise AssertionError("the report's recipe is measured on its own test samples")


def scripted(values):
    upcoming = iter(values)
    return lambda classifier: {"val/iou": next(upcoming), "val/accuracy": 0.5}


@pytest.fixture(scope="module")
def fitted():
    """A U-Net trained by the recipe, in pieces for want of memory."""
    parameters = unet(epochs=3, learning_rate=0.01, batch_pixels=4 * 32**2, epoch_pixels=64 * 32**2)
    return fit(parameters, PAIR, SPLIT, never, memory_limit=1.3e6)


def test_the_report_learns_and_tests_on_its_own_leaky_split(fitted):
    assert fitted.best["val/accuracy"] > 0.8
    assert set(fitted.best) >= {"train/accuracy", "val/iou", "val/accuracy", "val/loss"}


def test_the_batch_really_used_is_told(fitted):
    assert fitted.samples.tiles_per_batch == 4
    assert 1 < fitted.pieces <= 4
    assert fitted.batch_used == -(-4 // fitted.pieces)


def test_the_weights_of_the_last_epoch_are_kept():
    result = fit(sound(keep_best=False), PAIR, SPLIT, scripted([0.9, 0.1, 0.2]))
    assert result.best_epoch == 2 and result.best["val/iou"] == 0.2 and not result.weights
    best = fit(sound(), PAIR, SPLIT, scripted([0.9, 0.1, 0.2]))
    assert best.best_epoch == 0 and best.best["val/iou"] == 0.9
    pairs = zip(result.classifier.network.get_weights(), best.classifier.network.get_weights(), strict=True)
    assert any(not np.array_equal(one, other) for one, other in pairs)


def test_patience_counts_epochs_without_a_better_training_accuracy():
    # A rate of 1e-12 changes nothing: every epoch shows all samples to the same network.
    whole = {"epoch_pixels": 0, "batch_pixels": 16_384, "learning_rate": 1e-12}
    result = fit(ffnn(epochs=9, patience=2, **whole), PAIR, SPLIT, never)
    assert len({metrics["train/accuracy"] for metrics in result.history}) == 1
    assert len(result.history) == 3 and result.best_epoch == 2  # the first is best, two more wait


# In two halves, of an odd number and of one pixel too; whole with Dice or batch normalisation.
@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"batch_pixels": 333},
        {"batch_pixels": 1, "epoch_pixels": 5},
        {"dice": 1.0},
        {"batch_norm": True},
    ],
)
def test_several_steps_in_one_call_are_the_same_steps(changed):
    parameters = sound(clip_norm=1.0, penalty=1e-3, **changed)
    samples = collect_samples(PAIR, SPLIT, parameters, 0)
    batches = [samples.batch(0, number) for number in range(5)]
    outcomes = []
    for at_once in (1, 5):
        import keras

        keras.utils.set_random_seed(1)
        network = build_network(parameters, np.zeros(samples.features), np.ones(samples.features))
        step = TrainingStep(network, parameters, 5)
        sums = step.take(batches) if at_once == 5 else sum(step(*batch, 1) for batch in batches)
        outcomes.append([sums, *network.get_weights()])
    for single, grouped in zip(*outcomes, strict=True):
        np.testing.assert_allclose(grouped, single, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("pixels", "pieces", "together"),
    [
        (32, 1, 128),  # at most 128
        (256, 1, 64),  # 16,384 / 256
        (16_384, 1, 1),
        (147_456, 1, 1),
        (256, 2, 1),  # a batch in pieces is a matter of memory
    ],
)
def test_small_batches_go_together(pixels, pieces, together):
    samples = collect_samples(PAIR, SPLIT, sound(batch_pixels=pixels), 0)
    assert steps_at_once(samples, pieces) == together


@pytest.fixture(scope="module")
def untrained():
    return built(unet(dropout=0.0))


def test_a_map_is_the_networks_answer_to_each_tile(untrained):
    features, logit = untrained.features(SCENE), untrained.logit(SCENE)
    # 200 = 6 * 32 + 8, 160 = 5 * 32: rows 168 to 200 are covered by a tile shifted back
    for row, column in [(0, 0), (32, 64), (160, 96)]:
        place = np.s_[row : row + 32, column : column + 32]
        answer = untrained.network(features[place][None], training=False).numpy()[0, ..., 0]
        kept = SCENE.valid[place]
        np.testing.assert_allclose(logit[place][kept], answer[kept], rtol=1e-4, atol=1e-5)
    below = untrained.network(features[168:200, :32][None], training=False).numpy()[0, ..., 0]
    np.testing.assert_allclose(logit[192:200, :32], below[24:], rtol=1e-4, atol=1e-5)
    assert tile_origins(200, 32)[-2:] == [160, 168]
    assert np.isfinite(logit[SCENE.valid]).all() and np.isnan(logit[~SCENE.valid]).all()


def test_tiles_leave_seams_that_the_stitched_map_has_not(untrained):
    features, tiled = untrained.features(SCENE), untrained.logit(SCENE)
    ours = untrained.parameters.model_copy(update={"recipe": "sound"})
    stitching = NetworkClassifier("unet", untrained.network, ours)
    stitched = stitching.logit(SCENE, None, lambda other: features)  # the same features to the same network
    difference = np.abs(tiled - stitched)[:192, :128]  # whole tiles with data
    # Two convolutions before the pooling, two below it, two after: 2 + 2 * 2 + 1 + 2 = 9 px, no more than 10
    # to a tile's border; blocks of the pooling begin at even pixels in both.
    row, column = np.indices(difference.shape) % 32
    near = np.minimum.reduce([row, column, 31 - row, 31 - column])
    inside, border = difference[near >= 10], difference[near == 0]
    scale = stitched[:192, :128].std()
    assert inside.max() < 1e-4 * max(scale, 1)
    assert np.median(border) > 0.02 * scale


def test_a_scene_smaller_than_a_tile_is_mapped_whole(untrained):
    from made_scenes import made_scene

    small = made_scene("small", (20, 25), noise=0.01).scene
    assert np.isfinite(untrained.probability(small)).all()


def test_a_map_depends_on_the_rest_of_its_image(untrained):
    from dataclasses import replace

    brighter = {**SCENE.bands, "blue": SCENE.bands["blue"].copy()}
    brighter["blue"][190:, :20] = 1.2  # twice the largest elsewhere
    before, after = untrained.probability(SCENE), untrained.probability(replace(SCENE, bands=brighter))
    assert np.nanmax(np.abs(before - after)[:100]) > 1e-3  # ninety rows away and more


def test_a_saved_classifier_of_the_report_maps_as_before(untrained, tmp_path):
    untrained.save(tmp_path)
    again = NetworkClassifier.load(tmp_path)
    assert again.parameters == untrained.parameters
    np.testing.assert_allclose(again.probability(SCENE), untrained.probability(SCENE), rtol=1e-5)
