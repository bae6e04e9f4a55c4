"""Training: fit one network with one set of parameters, and keep its best epoch."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from glacier_ml.learning.backend import start_tensorflow
from glacier_ml.learning.classifier import NetworkClassifier
from glacier_ml.learning.features import feature_set
from glacier_ml.learning.networks import build_network, training_bytes
from glacier_ml.learning.optimization import WeightUpdate
from glacier_ml.learning.parameters import AnyParameters, FfnnParameters
from glacier_ml.learning.recipe import ReportSamples, collect_report_samples
from glacier_ml.learning.samples import FeatureStatistics, Samples, collect_samples, feature_statistics
from glacier_ml.learning.splits import Split
from glacier_ml.scenes.ahead import ahead

if TYPE_CHECKING:
    import keras

    from glacier_ml.scenes.catalog import LabelledScene

Metrics = dict[str, float]
CALL_STEPS, CALL_PIXELS = 128, 16_384  # that go to TensorFlow in one call at most; chosen here


class TrainingFailed(Exception):  # noqa: N818 - it ends a trial, not the program
    """These parameters cannot be trained here; the message says why."""


@dataclass
class Fitted:
    """What training leaves behind.

    Attributes
    ----------
    classifier : NetworkClassifier
        With the weights of the best epoch, or of the last one where `keep_best` is off.
    history : list of dict
        Metrics of each epoch, `train/...` and `val/...`.
    best_epoch : int
        Index into `history`, of the epoch whose weights are kept once the training has ended.
    pieces : int
        Parts that each batch was split into to stay within memory.
    samples : Samples or ReportSamples
        What it was trained from.
    """

    classifier: NetworkClassifier
    samples: Samples | ReportSamples
    history: list[Metrics] = field(default_factory=list)
    best_epoch: int = 0
    pieces: int = 1
    weights: list[NDArray] = field(default_factory=list)

    @property
    def batch_used(self) -> int:
        """Tiles, or single pixels, that the network saw at once: a batch's, or those of its largest part."""
        return math.ceil(self.samples.tiles_per_batch / self.pieces)

    def measure(self, validate: Callable[[NetworkClassifier], Metrics]) -> Metrics:
        """The network's `val/...` as it stands: by `validate`, or on the report's own test samples."""
        if isinstance(self.samples, ReportSamples):
            return self.samples.measure(self.classifier.network_logit)
        return validate(self.classifier)

    def record(self, metrics: Metrics, monitor: str, keep_best: bool = True) -> None:
        """Note an epoch, and keep the network's weights where it is the best so far."""
        self.history.append(metrics)
        self.best_epoch = best_of(self.history, monitor)
        if self.best_epoch == len(self.history) - 1:
            self.weights = self.classifier.network.get_weights() if keep_best else []

    def finish(self) -> None:
        """Give the network the weights kept; the last epoch's, where none were, are in it already."""
        if self.weights:
            self.classifier.network.set_weights(self.weights)
        else:
            self.best_epoch = len(self.history) - 1

    @property
    def best(self) -> Metrics:
        """Metrics of the best epoch; after a training without `keep_best`, of the last."""
        return self.history[self.best_epoch]


def best_of(history: Sequence[Metrics], monitor: str) -> int:
    """Index of the epoch with the best `monitor`, of equal ones the first."""
    sign = -1 if monitor == "val/loss" else 1
    return max(range(len(history)), key=lambda epoch: sign * history[epoch][monitor])


def fit(
    parameters: AnyParameters,
    scenes: Sequence[LabelledScene],
    split: Split,
    validate: Callable[[NetworkClassifier], Metrics],
    *,
    seed: int = 0,
    memory_limit: float | None = None,
    on_epoch: Callable[[int, Metrics], None] | None = None,
    initial: NetworkClassifier | None = None,
) -> Fitted:
    """Train a network, and keep the weights of its best epoch, or of its last (`keep_best`).

    Parameters
    ----------
    validate : callable
        Classifier to `val/...` metrics; called after every epoch with the network as it stands. The report's
        recipe has test samples of its own instead.
    memory_limit : float, optional
        Bytes that a step may take by estimate; larger batches are split and their gradients summed.
    on_epoch : callable, optional
        Hears of each epoch (0, 1, ...) and its metrics; what it raises ends the training.
    initial : NetworkClassifier, optional
        Its network is trained further, normalisation included, instead of a new one.

    Raises `TrainingFailed` where the loss is not finite, or a tile does not fit into memory.
    """
    samples = _collect(scenes, split, parameters, seed)
    classifier = _start(parameters, scenes, split, seed, initial)
    fitted = Fitted(classifier, samples, pieces=split_batch(samples, memory_limit))
    step = TrainingStep(classifier.network, parameters, samples.steps)
    for epoch in range(parameters.epochs):
        metrics = _train_epoch(step, samples, epoch, fitted.pieces) | fitted.measure(validate)
        fitted.record(metrics, parameters.monitor, parameters.keep_best)
        if on_epoch:
            on_epoch(epoch, metrics)
        if parameters.patience and epoch - fitted.best_epoch >= parameters.patience:
            break
    fitted.finish()
    return fitted


def _collect(
    scenes: Sequence[LabelledScene], split: Split, parameters: AnyParameters, seed: int
) -> Samples | ReportSamples:
    collect = collect_report_samples if parameters.recipe == "report" else collect_samples
    return collect(scenes, split, parameters, seed)


def split_batch(samples: Samples | ReportSamples, memory_limit: float | None) -> int:
    """Parts that a batch must be split into so that one step stays within `memory_limit` [bytes].

    Raises
    ------
    TrainingFailed
        Where not even a single tile fits.
    """
    parameters, features = samples.parameters, samples.features
    tile = parameters.tile_size**2
    needed = training_bytes(parameters, features, samples.tiles_per_batch * tile)
    if memory_limit is None or needed <= memory_limit:
        return 1
    for pieces in range(2, samples.tiles_per_batch + 1):
        tiles = math.ceil(samples.tiles_per_batch / pieces)
        if training_bytes(parameters, features, tiles * tile) <= memory_limit:
            return pieces
    one = training_bytes(parameters, features, tile)
    raise TrainingFailed(
        f"memory: one tile of {parameters.tile_size} px needs about {one / 1e9:.1f} GB, "
        f"memory_limit is {memory_limit / 1e9:.1f} GB"
    )


class TrainingStep:
    """One step of the optimiser, traced once.

    Loss: cross-entropy weighted by pixel, plus `dice` times a soft Dice term, plus the L2 penalty.
    """

    def __init__(self, network: keras.Model, parameters: AnyParameters, steps: int) -> None:
        import tensorflow as tf

        self.network, self.dice = network, parameters.dice
        # Neither Dice nor batch normalisation is the same of halves as of the whole.
        whole = bool(parameters.dice or parameters.batch_norm)
        self._divisible = isinstance(parameters, FfnnParameters) and not whole
        self.update = WeightUpdate(network, parameters, steps * parameters.epochs)
        self._gradients = tf.function(self._differentiate, reduce_retracing=True, autograph=False)
        self._apply = tf.function(self.update, autograph=False)
        self._steps: Any = None  # traced when first needed

    def take(self, batches: Sequence[tuple[NDArray, NDArray]]) -> NDArray[np.float64]:
        """Take a step for each batch, all of one size, in one call; gives the sum of what they count."""
        import tensorflow as tf

        features, target = (np.stack(part) for part in zip(*batches, strict=True))
        if self._steps is None:
            # Free numbers of steps and samples: an epoch's rest needs no trace of its own.
            signature = [tf.TensorSpec([None, None, *part.shape[2:]]) for part in (features, target)]
            self._steps = tf.function(self._in_turn, input_signature=signature)
        sums: NDArray[np.float64] = self._steps(features, target).numpy().astype(np.float64)
        return sums

    def _in_turn(self, features: Any, target: Any) -> Any:
        import tensorflow as tf

        sums = tf.zeros(6)
        for number in tf.range(tf.shape(features)[0]):
            total = tf.maximum(tf.reduce_sum(target[number, ..., 1]), 1e-9)
            differentiate = self._differentiate_halves if self._divisible else self._differentiate
            gradients, counts = differentiate(features[number], target[number], total)
            self.update(gradients)
            sums += counts
        return sums

    def _differentiate_halves(self, features: Any, target: Any, total: Any) -> tuple[list[Any], Any]:
        """As `_differentiate`, of two halves at once: one operation on so few pixels fills no two cores."""
        import tensorflow as tf

        half = tf.shape(features)[0] // 2
        left, counted = self._differentiate(features[:half], target[:half], total, 2.0)
        right, rest = self._differentiate(features[half:], target[half:], total, 2.0)
        return [a + b for a, b in zip(left, right, strict=True)], counted + rest

    def __call__(self, features: NDArray, target: NDArray, pieces: int) -> NDArray[np.float64]:
        """Take one step; gives the loss and the pixels (all, hits, false alarms, misses, correct)."""
        total = np.float32(max(target[..., 1].sum(), 1e-9))
        sums, gradients = np.zeros(6), None
        for some, wanted in _pieces(features, target, pieces):
            part, counts = self._gradients(some, wanted, total, np.float32(pieces))
            gradients = part if gradients is None else [a + b for a, b in zip(gradients, part, strict=True)]
            sums += counts.numpy()
        self._apply(gradients)
        return sums

    def _differentiate(
        self, features: Any, target: Any, total: Any, pieces: Any = 1.0
    ) -> tuple[list[Any], Any]:
        import tensorflow as tf

        label, weight = target[..., 0], target[..., 1]
        with tf.GradientTape() as tape:
            logit = self.network(features, training=True)[..., 0]
            entropy = tf.nn.sigmoid_cross_entropy_with_logits(label, logit)
            loss = tf.reduce_sum(entropy * weight) / total
            if self.dice:
                loss += self.dice * soft_dice(label, tf.sigmoid(logit), weight) / pieces
            if penalties := self.network.losses:
                loss += tf.add_n(penalties) / pieces
            scaled = self.update.optimizer.scale_loss(loss)
        gradients = tape.gradient(scaled, self.network.trainable_variables)
        glacier, mapped = label > 0.5, logit > 0
        counted = tf.cast(weight > 0, tf.float32)
        sums = [
            loss,
            tf.reduce_sum(counted),
            *(tf.reduce_sum(tf.where(case, counted, 0.0)) for case in _cases(glacier, mapped)),
        ]
        return gradients, tf.stack(sums)


def _cases(glacier: Any, mapped: Any) -> tuple[Any, ...]:
    import tensorflow as tf

    hit, alarm = tf.logical_and(glacier, mapped), tf.logical_and(~glacier, mapped)
    return hit, alarm, tf.logical_and(glacier, ~mapped), tf.equal(glacier, mapped)


def soft_dice(label: Any, probability: Any, weight: Any) -> Any:
    """1 - Dice of probabilities over a batch, every pixel by its weight; 0 is perfect."""
    import tensorflow as tf

    overlap = tf.reduce_sum(weight * label * probability)
    size = tf.reduce_sum(weight * (label + probability))
    return 1 - (2 * overlap + 1) / (size + 1)  # the 1 keeps tiles without glacier defined


def _start(
    parameters: AnyParameters,
    scenes: Sequence[LabelledScene],
    split: Split,
    seed: int,
    initial: NetworkClassifier | None,
) -> NetworkClassifier:
    start_tensorflow()
    import keras

    # Names begin anew. What the last training left Python finds by itself: to look each time takes .3 s.
    keras.backend.clear_session(free_memory=False)
    keras.utils.set_random_seed(seed)
    statistics = _statistics(parameters, scenes, split)
    origin = _seen(parameters, statistics, initial)
    if initial:
        return NetworkClassifier(parameters.network, initial.network, parameters, origin=origin)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(parameters.precision)
    try:
        network = build_network(parameters, statistics.mean, statistics.variance)
    finally:
        keras.config.set_dtype_policy(before)
    return NetworkClassifier(parameters.network, network, parameters, origin=origin)


def _seen(
    parameters: AnyParameters, statistics: FeatureStatistics, initial: NetworkClassifier | None
) -> dict[str, Any]:
    """Which values of the features a network has seen in training, or the one that it goes on from."""
    if parameters.recipe == "report":
        return {}
    names = feature_set(parameters.features).features
    own = zip(names, statistics.low.tolist(), statistics.high.tolist(), strict=True)
    seen = {name: [low, high] for name, low, high in own}
    before = initial.feature_range if initial else {}
    for name in set(before) & set(seen):
        seen[name] = [min(seen[name][0], before[name][0]), max(seen[name][1], before[name][1])]
    return {"feature_range": seen}


def _statistics(
    parameters: AnyParameters, scenes: Sequence[LabelledScene], split: Split
) -> FeatureStatistics:
    if parameters.recipe == "report":  # its features are scaled already, image by image
        nothing = np.zeros(len(feature_set(parameters.features).features))
        return FeatureStatistics(nothing, nothing + 1, nothing, nothing + 1)
    return feature_statistics(scenes, split, parameters.features)


def _train_epoch(step: TrainingStep, samples: Samples | ReportSamples, epoch: int, pieces: int) -> Metrics:
    sums = np.zeros(6)
    for batches in _prefetched(samples, epoch, steps_at_once(samples, pieces)):
        sums += step.take(batches) if len(batches) > 1 else step(*batches[0], pieces)
        if not np.isfinite(sums[0]):
            raise TrainingFailed(f"loss: not finite in epoch {epoch + 1}; a smaller learning_rate may do")
    loss, pixels, hits, alarms, misses, correct = sums
    return {
        "train/loss": float(loss / samples.steps),
        "train/accuracy": float(correct / max(pixels, 1)),
        "train/iou": float(hits / max(hits + alarms + misses, 1)),
    }


def steps_at_once(samples: Samples | ReportSamples, pieces: int) -> int:
    """Steps to take in one call: below some thousand pixels a call takes longer than its step."""
    pixels = samples.tiles_per_batch * samples.parameters.tile_size**2
    return max(1, min(CALL_STEPS, CALL_PIXELS // pixels)) if pieces == 1 else 1


def _prefetched(
    samples: Samples | ReportSamples, epoch: int, at_once: int
) -> Iterator[list[tuple[NDArray, NDArray]]]:
    """Batches of an epoch, `at_once` of one size together, the next ones cut while the network works."""

    def cut(first: int) -> list[tuple[NDArray, NDArray]]:
        return [samples.batch(epoch, step) for step in range(first, min(first + at_once, samples.steps))]

    for batches in ahead(cut, range(0, samples.steps, at_once)):
        shorter = len(batches) > 1 and len(batches[-1][0]) < len(batches[0][0])
        yield batches[:-1] if shorter else batches
        if shorter:  # the last batch of the report's epochs
            yield batches[-1:]


def _pieces(features: NDArray, target: NDArray, pieces: int) -> Iterator[tuple[NDArray, NDArray]]:
    if pieces == 1:
        yield features, target
        return
    yield from zip(np.array_split(features, pieces), np.array_split(target, pieces), strict=True)
