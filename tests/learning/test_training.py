"""Training: what the gradient sees, what is learnt, and what ends a training."""

import numpy as np
import pytest
from made_scenes import kept_in, made_pair, with_mask

from glacier_ml.evaluation.yardstick import measure
from glacier_ml.learning import samples as samples_module
from glacier_ml.learning.networks import build_network, training_bytes
from glacier_ml.learning.optimization import build_optimizer, build_schedule
from glacier_ml.learning.parameters import parse_parameters
from glacier_ml.learning.samples import collect_samples
from glacier_ml.learning.splits import SplitRule, make_split
from glacier_ml.learning.store import SampleStore
from glacier_ml.learning.training import (
    Fitted,
    TrainingFailed,
    TrainingStep,
    fit,
    soft_dice,
    split_batch,
)

PAIR = made_pair(nodata=9)
SPLIT = make_split(PAIR, SplitRule(block=20, gap=4))
FLOAT32 = {"rtol": 1e-5, "atol": 1e-5}


def unet(**changed):
    values = {"network": "unet", "learning_rate": 0.01, "tile_size": 32, "levels": 2, "base_filters": 4}
    small = {"epochs": 3, "epoch_pixels": 65_536, "batch_pixels": 8192, "convolutions": 1}
    return parse_parameters({**values, **small, **changed}, "test")


def ffnn(**changed):
    values = {"network": "ffnn", "learning_rate": 0.01, "tile_size": 1, "hidden_layers": 1, "nodes": 10}
    small = {"epochs": 3, "epoch_pixels": 16_384, "batch_pixels": 1024}
    return parse_parameters({**values, **small, **changed}, "test")


def validate(classifier):
    return measure(classifier, PAIR, SPLIT.validation)


def nothing(classifier):
    """A validation that costs nothing, where it is not what is tested."""
    return {"val/iou": 0.5, "val/loss": 0.5}


def scripted(monitor, values):
    """A validation that reports these values, one an epoch."""
    upcoming = iter(values)
    return lambda classifier: {monitor: next(upcoming)}


def network_of(parameters, samples, seed=1):
    import keras

    keras.utils.set_random_seed(seed)
    return build_network(parameters, np.zeros(samples.features), np.ones(samples.features))


class Rewound:
    """A network and its optimiser, brought back to the same start before each run: tracing takes seconds."""

    def __init__(self, parameters):
        self.parameters = parameters
        samples = collect_samples(PAIR, SPLIT, parameters, 0)
        self.network = network_of(parameters, samples)
        self.step = TrainingStep(self.network, parameters, samples.steps)
        self.start = self.network.get_weights()
        self.state = [np.array(variable) for variable in self.step.update.optimizer.variables]

    def rewind(self):
        self.network.set_weights(self.start)
        for variable, value in zip(self.step.update.optimizer.variables, self.state, strict=True):
            variable.assign(value)

    def weights_after(self, scenes=PAIR, steps=1, pieces=1):
        """Weights after some steps, and what the last one counted."""
        self.rewind()
        samples = collect_samples(scenes, SPLIT, self.parameters, 0)
        for number in range(steps):
            counts = self.step(*samples.batch(0, number), pieces)
        return self.network.get_weights(), counts


def same(first, second):
    return all(np.array_equal(one, other) for one, other in zip(first, second, strict=True))


def flipped(pixels):
    """The scenes with the labels of `pixels(name)` turned into their contrary."""
    return [with_mask(scene, scene.mask ^ pixels(scene.scene.name)) for scene in PAIR]


@pytest.fixture(scope="module")
def label_reader():
    # 96 px tiles hold blocks of 20 px with their gaps; every term of the loss that reads a label is on
    rewound = Rewound(
        unet(tile_size=96, batch_pixels=4 * 96**2, dice=1.0, glacier_weight="balanced", penalty=1e-4)
    )
    return rewound, rewound.weights_after(steps=2)[0]


def test_tiles_contain_validation_blocks_and_gaps_as_imagery(label_reader):
    samples = collect_samples(PAIR, SPLIT, label_reader[0].parameters, 0)
    for number in range(2):
        features, target = samples.batch(0, number)
        unlabelled = features.any(axis=-1) & (target[..., 1] == 0)
        assert (unlabelled.mean(axis=(1, 2)) > 0.1).all()


@pytest.mark.parametrize(
    "pixels",
    [
        SPLIT.validation,
        lambda name: ~SPLIT.training(name) & ~SPLIT.validation(name),  # the gap, and no data
        lambda name: ~SPLIT.training(name),
    ],
    ids=["validation", "gap", "both"],
)
def test_the_gradient_does_not_depend_on_labels_of_validation_or_gap(label_reader, pixels):
    rewound, expected = label_reader
    assert same(rewound.weights_after(flipped(pixels), steps=2)[0], expected)


def test_the_gradient_depends_on_the_labels_of_training_pixels(label_reader):
    rewound, expected = label_reader
    assert not same(rewound.weights_after(flipped(SPLIT.training), steps=2)[0], expected)
    assert not same(rewound.start, expected)


@pytest.fixture(scope="module", params=[unet, ffnn], ids=["unet", "ffnn"])
def fitted(request):
    parameters = request.param()
    heard = []
    result = fit(
        parameters, PAIR, SPLIT, validate, on_epoch=lambda epoch, metrics: heard.append((epoch, metrics))
    )
    return parameters, result, heard


def test_a_separable_scene_is_learnt_in_a_few_epochs(fitted):
    _, result, _ = fitted
    assert result.best["val/iou"] > 0.9
    assert result.history[-1]["train/iou"] > 0.9
    assert result.history[-1]["train/loss"] < result.history[0]["train/loss"]


def test_every_epoch_is_recorded_and_heard_of(fitted):
    parameters, result, heard = fitted
    assert [epoch for epoch, _ in heard] == list(range(parameters.epochs))
    assert [metrics for _, metrics in heard] == result.history
    assert {"train/loss", "train/accuracy", "train/iou", "val/iou", "val/loss"} <= set(result.history[0])
    assert result.pieces == 1


def test_the_network_left_behind_is_that_of_the_best_epoch(fitted):
    _, result, _ = fitted
    assert validate(result.classifier) == {
        name: value for name, value in result.best.items() if name.startswith("val/")
    }


@pytest.fixture
def drawn(monkeypatch):
    """Scenes that features were drawn from."""
    scenes, usual = [], samples_module._draw
    monkeypatch.setattr(
        samples_module, "_draw", lambda scene, *given: scenes.append(scene) or usual(scene, *given)
    )
    return scenes


def test_the_same_seed_gives_the_same_history_from_a_store_too(fitted, tmp_path, drawn):
    parameters, result, _ = fitted
    scenes = [kept_in(SampleStore(tmp_path), scene) for scene in PAIR]
    again = fit(parameters, scenes, SPLIT, lambda classifier: measure(classifier, scenes, SPLIT.validation))
    assert again.history == result.history
    assert same(again.classifier.network.get_weights(), result.classifier.network.get_weights())
    assert again.classifier.feature_range == result.classifier.feature_range
    assert len(drawn) == len(PAIR)


def test_another_seed_gives_another_history():
    losses = [
        fit(ffnn(epochs=1), PAIR, SPLIT, nothing, seed=seed).history[0]["train/loss"] for seed in (0, 1)
    ]
    assert losses[0] != losses[1]


def test_further_training_continues_from_the_given_weights(fitted, drawn):
    parameters, result, _ = fitted
    before = [weight.copy() for weight in result.classifier.network.get_weights()]
    slow = parameters.model_copy(update={"learning_rate": 1e-9, "epochs": 1})
    further = fit(slow, PAIR, SPLIT, validate, initial=result.classifier)
    assert len(drawn) == len(PAIR)  # one drawing serves normalisation and range
    for old, new in zip(before, further.classifier.network.get_weights(), strict=True):
        if old.shape and old.ndim > 1:  # kernels; statistics of batch normalisation move with the data
            np.testing.assert_allclose(new, old, atol=1e-6)
    assert further.best["val/iou"] > 0.9


@pytest.mark.parametrize("network", [unet, ffnn])
def test_a_batch_in_pieces_gives_the_step_of_the_whole(network):
    # sgd: the step is the gradient, where Adam would hide its size
    plain = {"optimizer": "sgd", "learning_rate": 0.1, "clip_norm": 0.0, "schedule": "fixed"}
    rewound = Rewound(network(batch_norm=False, penalty=1e-3, **plain))
    whole, counted = rewound.weights_after()
    for pieces in (2, 3):
        parted, counted_in_parts = rewound.weights_after(pieces=pieces)
        for one, other in zip(whole, parted, strict=True):
            np.testing.assert_allclose(other, one, **FLOAT32)
        np.testing.assert_allclose(counted_in_parts, counted, rtol=1e-5)


def test_a_batch_of_equal_halves_has_the_dice_term_of_each(label_reader):
    rewound, _ = label_reader
    assert rewound.parameters.dice == 1
    batch = collect_samples(PAIR, SPLIT, rewound.parameters, 0).batch(0, 0)
    features, target = (np.concatenate([part[:2], part[:2]]) for part in batch)
    losses = []
    for pieces in (1, 2):
        rewound.rewind()
        losses.append(rewound.step(features, target, pieces)[0])
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)  # the Dice term's 1 above and below weighs more


def test_what_a_step_counts(label_reader):
    rewound, _ = label_reader
    loss, pixels, hits, alarms, misses, correct = rewound.weights_after()[1]
    target = collect_samples(PAIR, SPLIT, rewound.parameters, 0).batch(0, 0)[1]
    assert loss > 0
    assert pixels == (target[..., 1] > 0).sum()
    assert hits + misses == ((target[..., 1] > 0) & (target[..., 0] > 0)).sum()
    assert correct == pixels - alarms - misses


def test_memory_decides_the_pieces():
    parameters = unet(batch_pixels=8 * 32**2)
    samples = collect_samples(PAIR, SPLIT, parameters, 0)
    tiles = {count: training_bytes(parameters, 8, count * 32**2) for count in (1, 2, 3, 4, 8)}
    assert split_batch(samples, None) == split_batch(samples, tiles[8]) == 1
    assert split_batch(samples, tiles[8] - 1) == split_batch(samples, tiles[4]) == 2
    assert split_batch(samples, tiles[4] - 1) == split_batch(samples, tiles[3]) == 3  # 3 + 3 + 2 tiles
    assert split_batch(samples, tiles[1]) == 8
    with pytest.raises(TrainingFailed, match=r"memory: one tile of 32 px needs about .* GB, memory_limit is"):
        split_batch(samples, tiles[1] - 1)


def test_a_small_memory_limit_trains_in_pieces_or_fails():
    parameters = ffnn(epochs=1, epoch_pixels=1024, tile_size=16, batch_pixels=8 * 16**2)
    limit = training_bytes(parameters, 8, 3 * 16**2)
    assert fit(parameters, PAIR, SPLIT, nothing, memory_limit=limit).pieces == 3
    with pytest.raises(TrainingFailed, match="memory"):
        fit(parameters, PAIR, SPLIT, nothing, memory_limit=1000)


def test_a_loss_that_is_not_finite_ends_the_training():
    hopeless = ffnn(optimizer="sgd", learning_rate=1e30, clip_norm=0.0, schedule="fixed", hidden_layers=3)
    with pytest.raises(TrainingFailed, match="loss: not finite in epoch 1; a smaller learning_rate may do"):
        fit(hopeless, PAIR, SPLIT, nothing)


@pytest.mark.parametrize(
    ("monitor", "patience", "values", "epochs", "best"),
    [
        ("val/iou", 2, [0.1, 0.5, 0.4, 0.5, 0.9], 4, 1),  # equal is no improvement
        ("val/loss", 2, [0.9, 0.5, 0.6, 0.4, 0.5, 0.6], 6, 3),
        ("val/iou", 0, [0.5, 0.4, 0.3, 0.2, 0.1, 0.6], 6, 5),  # 0 never stops early
        ("val/f1", 1, [0.5, 0.6, 0.6, 0.9], 3, 1),
    ],
)
def test_early_stopping_waits_for_the_monitored_metric(monitor, patience, values, epochs, best):
    parameters = ffnn(epochs=len(values), epoch_pixels=1024, monitor=monitor, patience=patience)
    result = fit(parameters, PAIR, SPLIT, scripted(monitor, values))
    assert (len(result.history), result.best_epoch) == (epochs, best)


def test_the_best_epochs_weights_are_kept():
    seen = []

    def remember(classifier):
        seen.append([weight.copy() for weight in classifier.network.get_weights()])
        return {"val/iou": [0.1, 0.8, 0.3][len(seen) - 1]}

    result = fit(ffnn(epoch_pixels=2048), PAIR, SPLIT, remember)
    assert result.best_epoch == 1
    assert same(result.classifier.network.get_weights(), seen[1])
    assert not same(seen[1], seen[2])


def test_what_on_epoch_raises_ends_the_training():
    class Pruned(Exception):  # noqa: N818
        pass

    heard = []

    def prune(epoch, metrics):
        heard.append(epoch)
        if epoch == 1:
            raise Pruned

    with pytest.raises(Pruned):
        fit(ffnn(epochs=5, epoch_pixels=1024), PAIR, SPLIT, nothing, on_epoch=prune)
    assert heard == [0, 1]


@pytest.mark.parametrize(("name", "kind"), [("sgd", "SGD"), ("adam", "Adam"), ("adamw", "AdamW")])
def test_optimisers(name, kind):
    fixed = ffnn(optimizer=name, learning_rate=0.5, schedule="fixed", clip_norm=2.0)
    optimizer = build_optimizer(fixed)
    assert type(optimizer).__name__ == kind
    assert optimizer.global_clipnorm == 2.0
    assert float(optimizer.learning_rate) == 0.5 and build_schedule(fixed, 100) is None
    assert build_optimizer(ffnn(optimizer=name, clip_norm=0.0)).global_clipnorm is None


def test_momentum_is_sgds():
    assert build_optimizer(ffnn(optimizer="sgd", momentum=0.5)).momentum == 0.5


def test_a_cosine_schedule_warms_up_and_decays_to_nothing():
    schedule = build_schedule(ffnn(learning_rate=0.5, schedule="cosine"), 200)
    # 5 % of 200 steps: from a tenth to all of it over 10 steps; halfway down at 10 + 95; 0 at the end
    rates = [float(schedule(step)) for step in (0, 10, 105, 200)]
    assert rates == pytest.approx([0.05, 0.5, 0.25, 0])
    short = build_schedule(ffnn(learning_rate=0.5, schedule="cosine"), 3)
    assert float(short(0)) == 0.5  # too short to warm up


@pytest.mark.parametrize(
    ("network", "precision", "layer"),
    [(unet, "mixed_bfloat16", "conv2d"), (ffnn, "mixed_float16", "dense")],
)
def test_mixed_precision_takes_a_step_and_leaves_the_policy_as_it_was(network, precision, layer):
    import keras

    before = keras.config.dtype_policy().name
    parameters = network(precision=precision, epochs=1, epoch_pixels=1024, batch_pixels=1024)
    result = fit(parameters, PAIR, SPLIT, validate)
    assert keras.config.dtype_policy().name == before == "float32"
    layers = result.classifier.network
    assert layers.layers[-1].compute_dtype == "float32"  # the logit
    assert layers.get_layer(layer).compute_dtype == precision.removeprefix("mixed_")
    assert np.isfinite(result.best["val/loss"])


def test_soft_dice_worked_by_hand():
    # weight 0 is not there; overlap .5 + 1 = 1.5, sizes 2 + 2: 1 - (2 * 1.5 + 1) / (4 + 1)
    label, probability = np.float32([1, 1, 0, 0]), np.float32([0.5, 1.0, 0.5, 1.0])
    assert float(soft_dice(label, probability, np.float32([1, 1, 1, 0]))) == pytest.approx(1 - 4 / 5)
    nowhere = np.zeros(4, np.float32)
    assert float(soft_dice(nowhere, nowhere, np.ones(4, np.float32))) == 0


def test_a_record_keeps_the_first_epoch_even_if_it_is_worthless(fitted):
    _, result, _ = fitted
    record = Fitted(result.classifier, result.samples)
    record.record({"val/iou": 0.0}, "val/iou")
    assert record.best_epoch == 0 and record.weights


def test_a_hybrid_head_is_trained_with_the_rest():
    parameters = unet(epochs=1, epoch_pixels=8192, batch_pixels=4096, base_filters=2, head_nodes=[3])
    fitted = fit(parameters, PAIR, SPLIT, nothing)
    networks = fitted.classifier.network, network_of(parameters, fitted.samples, seed=0)
    convolutions = [[one for one in it.layers if type(one).__name__ == "Conv2D"] for it in networks]
    kernel, start = (layers[-2].kernel for layers in convolutions)  # the last is the logit
    assert kernel.shape == start.shape == (1, 1, 2, 3)
    assert np.abs(np.array(kernel) - np.array(start)).min() > 0
