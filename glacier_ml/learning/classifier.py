"""Classifier: bands in, glacier probability out, at any scene size."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from glacier_ml.errors import GlacierError
from glacier_ml.learning.backend import start_tensorflow
from glacier_ml.learning.features import compute_features, feature_set
from glacier_ml.learning.networks import receptive_radius
from glacier_ml.learning.parameters import AnyParameters, UnetParameters, parse_parameters
from glacier_ml.learning.report_features import report_features
from glacier_ml.learning.stitching import CALLS_AT_ONCE, Array, Mask, Reader, Stitching, stitched_rows
from glacier_ml.learning.stored_scenes import scene_features
from glacier_ml.learning.tiles import reflect_to, tile_origins
from glacier_ml.scenes.ahead import ahead
from glacier_ml.scenes.scene import TOA, Scene, check_quantity
from glacier_ml.scenes.sources import LARGEST_MEDIAN, median_reflectance

if TYPE_CHECKING:
    import keras

SceneReader = Callable[[int, int], Scene]
Disturbance = Callable[[Array], Array]
"""Changes features (rows, columns, features) into others of the same shape, see `evaluation.importance`."""

ROWS_AT_ONCE = 256  # of a scene that is mapped pixel by pixel
PIXELS_AT_ONCE = 16_384  # a layer's values of more leave the cache: a sixth slower
FORMAT = 1


class Classifier(Protocol):
    """What evaluation and products know of a network, a threshold or a scikit-learn model."""

    @property
    def name(self) -> str:
        """Short name for tables and figures."""

    @property
    def bands(self) -> tuple[str, ...]:
        """Bands that a scene must have."""

    @property
    def threshold(self) -> float:
        """Probability from which on a pixel is called glacier."""

    def probability(self, scene: Scene, wanted: Mask | None = None) -> Array:
        """Glacier probability (rows, columns), NaN where the scene is not valid or a pixel is not wanted."""


@dataclass(frozen=True)
class NetworkClassifier:
    """A trained network with all it needs to be fed the right thing.

    Attributes
    ----------
    name : str
        'unet' or 'ffnn'.
    network : keras.Model
        Features to logits; its normalisation is its first layer.
    parameters : UnetParameters or FfnnParameters
        What it was built and trained with.
    threshold : float
        Probability from which on a pixel is glacier.
    temperature : float
        Logits are divided by it.
    origin : dict
        Plain JSON: dataset digest, split, seed, metrics and what else tells where the model came from.
    """

    name: str
    network: keras.Model
    parameters: AnyParameters
    threshold: float = 0.5
    temperature: float = 1.0
    origin: dict[str, Any] = field(default_factory=dict)

    @property
    def bands(self) -> tuple[str, ...]:
        """Bands that a scene must have, in the order of an array's last axis."""
        return feature_set(self.parameters.features).bands

    @property
    def quantity(self) -> str:
        """Kind of reflectance that it was trained on, see `Scene.quantity`."""
        return self.origin.get("quantity", TOA)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Features that it was trained on, in the order of the network's input."""
        return feature_set(self.parameters.features).features

    @cached_property
    def digest(self) -> str:
        """SHA-256 of parameters, weights, threshold and temperature: what decides its maps."""
        card = [self.parameters.model_dump(), self.threshold, self.temperature]
        state = hashlib.sha256(json.dumps(card, sort_keys=True).encode())
        for weights in self.network.get_weights():
            state.update(np.ascontiguousarray(weights).tobytes())
        return state.hexdigest()

    @property
    def feature_range(self) -> dict[str, tuple[float, float]]:
        """Quantiles .01 and .99 of each feature in training; empty where the model does not tell."""
        return {name: (low, high) for name, (low, high) in self.origin.get("feature_range", {}).items()}

    def probability(
        self, scene: Scene, wanted: Mask | None = None, disturb: Disturbance | None = None
    ) -> Array:
        """Map a scene.

        Parameters
        ----------
        scene : Scene
            With at least `bands`.
        wanted : ndarray of bool, optional
            (rows, columns): only windows that hold a wanted pixel are computed.
        disturb : callable, optional
            Changes the features before the network sees them, to find out what it makes of them.

        Returns
        -------
        ndarray
            float32 (rows, columns) probability, NaN where not valid or not wanted.

        Raises
        ------
        GlacierError
            Where the scene lacks a band or holds another kind of reflectance than the network learned from.
        """
        return self._probability(self.logit(scene, wanted, disturb))

    def probability_rows(
        self, read: SceneReader, shape: tuple[int, int], stitching: Stitching
    ) -> Iterator[tuple[int, Array]]:
        """Map a scene that is read strip by strip, from the top to the bottom.

        Parameters
        ----------
        read : callable
            Gives the scene of the rows from a first to before a last.
        shape : tuple of int
            (rows, columns) of the whole.
        stitching : Stitching
            How a U-Net's windows become one map; the per-pixel network has none.

        Yields
        ------
        int, ndarray
            First row of the next piece, and its probability (rows, columns), NaN where not valid.

        Raises
        ------
        GlacierError
            As `probability`.
        """
        if self.parameters.recipe == "report":  # its features are scaled by the whole image's extremes
            yield 0, self.probability(read(0, shape[0]))
            return

        def fed(first: int, last: int) -> tuple[Array, Mask]:
            scene = read(first, last)
            return self.features(scene), scene.valid

        if isinstance(self.parameters, UnetParameters):
            pieces = self.fixed._stitched_rows(self.parameters, fed, shape, stitching)
        else:
            pieces = self._pixelwise_rows(fed, shape)
        for row, logit in pieces:
            yield row, self._probability(logit)

    def _pixelwise_rows(self, fed: Reader, shape: tuple[int, int]) -> Iterator[tuple[int, Array]]:
        starts = range(0, shape[0], ROWS_AT_ONCE)
        strips = ahead(lambda row: (row, *fed(row, min(row + ROWS_AT_ONCE, shape[0]))), starts)
        for row, features, wanted in strips:
            yield row, self.fixed._pixelwise(features, wanted)

    def probability_of_array(self, stack: Array) -> Array:
        """Map an array (rows, columns, bands) of reflectance; NaN in any band is no data.

        Raises
        ------
        GlacierError
            Where its bands, their type or their values are not what the network learned from.
        """
        self._check_array(stack)
        valid: Mask = np.asarray(np.isfinite(stack).all(axis=-1))
        logit = self._stitch(self._features(stack), valid)
        return self._probability(np.where(valid, logit, np.float32(np.nan)))

    def _check_array(self, stack: NDArray[Any]) -> None:
        needed = f"float32 reflectance (rows, columns, {len(self.bands)}) of {', '.join(self.bands)}"
        if stack.ndim != 3 or stack.shape[-1] != len(self.bands):
            raise GlacierError(f"array: has shape {stack.shape}, and {self.name} needs {needed}; stack these")
        if stack.dtype != np.float32:
            mend = "convert DN to reflectance" if stack.dtype.kind in "iu" else "use astype('float32')"
            raise GlacierError(f"array: holds {stack.dtype}, and {self.name} needs {needed}; {mend}")
        if (median := median_reflectance(stack[np.isfinite(stack)])) > LARGEST_MEDIAN:
            raise GlacierError(
                f"array: holds DN, not reflectance (median {median:g}), and {self.name} needs {needed}; "
                "convert it (0 to about 1) first"
            )

    def features(self, scene: Scene) -> Array:
        """Features (rows, columns, features) as the network is fed them, 0 where the scene is not valid.

        Read-only where a store keeps them, see `stored_scenes`.
        """
        check_quantity(scene.name, scene.quantity, self.quantity)
        return scene_features(scene, feature_set(self.parameters.features), self.parameters.recipe)

    def logit(self, scene: Scene, wanted: Mask | None = None, disturb: Disturbance | None = None) -> Array:
        """Stitched logits (rows, columns) before the temperature, NaN where not valid or not wanted."""
        wanted = scene.valid if wanted is None else np.logical_and(wanted, scene.valid)
        features = self.features(scene) if disturb is None else disturb(self.features(scene))
        return np.where(wanted, self._stitch(features, wanted), np.float32(np.nan))

    def calibrated(self, threshold: float, temperature: float) -> NetworkClassifier:
        """Give a copy with another threshold and temperature."""
        return replace(self, threshold=float(threshold), temperature=float(temperature))

    def _features(self, stack: Array) -> Array:
        compute = report_features if self.parameters.recipe == "report" else compute_features
        return compute(stack, self.bands, feature_set(self.parameters.features))

    def network_logit(self, features: Array) -> Array:
        """Logits of features as the network takes them: tiles (tiles, size, size, features) or pixels."""
        logit: Array = self._run(features).numpy()
        return logit

    def _probability(self, logit: Array) -> Array:
        scaled = np.clip(logit / np.float32(self.temperature), -80, 80)  # exp overflows float32 beyond 88
        return (1 / (1 + np.exp(-scaled))).astype(np.float32)

    @cached_property
    def _run(self) -> Any:
        import tensorflow as tf

        rank = 4 if isinstance(self.parameters, UnetParameters) else 2
        features = len(feature_set(self.parameters.features).features)
        shape = [None] * (rank - 1) + [features]
        # One trace for every batch size and window: retracing costs seconds.
        signature = [tf.TensorSpec(shape, tf.float32)]
        return tf.function(
            lambda values: self.network(values, training=False)[..., 0], input_signature=signature
        )

    @cached_property
    def fixed(self) -> NetworkClassifier:
        """The same with constants for weights, which TensorFlow maps a sixth quicker; it cannot learn."""
        kept = [[value.numpy() for value in values] for values in _variables(self.network)]

        def network(values: Any, training: bool = False) -> Any:
            return self.network.stateless_call(*kept, values, training=training)[0]

        return replace(self, network=network)

    def _stitch(self, features: Array, wanted: Mask) -> Array:
        if not isinstance(self.parameters, UnetParameters):
            return self._pixelwise(features, wanted)
        if self.parameters.recipe == "report":
            return self._tiled(features, wanted)
        pieces = self._stitched_rows(
            self.parameters,
            lambda first, last: (features[first:last], wanted[first:last]),
            wanted.shape,
            Stitching(),
        )
        return np.concatenate([logit for _, logit in pieces])

    def _stitched_rows(
        self, parameters: UnetParameters, read: Reader, shape: tuple[int, int], stitching: Stitching
    ) -> Iterator[tuple[int, Array]]:
        radius = receptive_radius(parameters)
        return stitched_rows(self.network_logit, read, shape, stitching, parameters.stride, radius)

    def _tiled(self, features: Array, wanted: Mask) -> Array:
        """Map tile by tile as the report did: no overlap, so that every tile's border is a seam."""
        size = self.parameters.tile_size
        logit = np.full(wanted.shape, np.nan, dtype=np.float32)
        padded = reflect_to(features, size, size)
        # From the far corner: the tiles shifted back come first and are overwritten by the regular ones.
        for row in reversed(tile_origins(wanted.shape[0], size)):
            for column in reversed(tile_origins(wanted.shape[1], size)):
                place = (slice(row, row + size), slice(column, column + size))
                if wanted[place].any():
                    rows, columns = logit[place].shape
                    logit[place] = self.network_logit(padded[place][None])[0, :rows, :columns]
        return logit

    def _pixelwise(self, features: Array, wanted: Mask) -> Array:
        pixels = features.reshape(-1, features.shape[-1])
        if not (everywhere := wanted.all()):
            pixels = pixels[wanted.ravel()]
        starts = range(0, len(pixels), PIXELS_AT_ONCE)
        logits = ahead(
            lambda start: self.network_logit(pixels[start : start + PIXELS_AT_ONCE]), starts, CALLS_AT_ONCE
        )
        parts = list(logits)
        if everywhere:
            return np.concatenate(parts).reshape(wanted.shape)
        logit = np.full(wanted.shape, np.nan, dtype=np.float32)
        if parts:
            logit[wanted] = np.concatenate(parts)
        return logit

    def save(self, folder: Path) -> None:
        """Write `network.keras` and `classifier.json` into a folder, made where missing."""
        folder.mkdir(parents=True, exist_ok=True)
        self.network.save(folder / "network.keras")
        card = {
            "format": FORMAT,
            "name": self.name,
            "bands": list(self.bands),
            "threshold": self.threshold,
            "temperature": self.temperature,
            "parameters": self.parameters.model_dump(),
            "origin": self.origin,
        }
        (folder / "classifier.json").write_text(json.dumps(card, indent=2) + "\n")

    @classmethod
    def load(cls, folder: Path) -> NetworkClassifier:
        """Read what `save` wrote.

        Raises
        ------
        GlacierError
            Where the folder holds no classifier, one of another format, or a file that cannot be read.
        """
        card_path = Path(folder) / "classifier.json"
        if not card_path.is_file():
            raise GlacierError(
                f"{folder}: holds no classifier.json; name a folder that a classifier was saved to"
            )
        try:
            card = json.loads(card_path.read_text())
        except ValueError as error:
            raise GlacierError(
                f"{card_path}: is not valid JSON ({error}); save the classifier again"
            ) from error
        if card.get("format") != FORMAT:
            raise GlacierError(
                f"{card_path}: format {card.get('format')} (this version reads {FORMAT}); train it anew"
            )
        parameters = parse_parameters(card["parameters"], str(card_path))
        network = _load_network(Path(folder) / "network.keras")
        return cls(card["name"], network, parameters, card["threshold"], card["temperature"], card["origin"])


def _variables(network: keras.Model) -> tuple[list[Any], list[Any]]:
    return network.trainable_variables, network.non_trainable_variables


def _load_network(path: Path) -> keras.Model:
    start_tensorflow()
    import keras

    try:
        return keras.models.load_model(path, compile=False)
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise GlacierError(
            f"{path}: is missing or cannot be read ({reason}); save the classifier again"
        ) from error
