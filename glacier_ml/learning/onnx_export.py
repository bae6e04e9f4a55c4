"""A classifier as one ONNX file: reflectance in, glacier probability out, with what QGIS's deepness reads.

Deepness (PUT Vision, https://github.com/PUTvision/qgis-plugin-deepness) feeds (batch, bands, rows, columns),
every value divided by 255 and then standardised as the file's metadata say. It calls a pixel glacier unless
its probability is below the threshold, so that NaN would be glacier: a pixel without data gets 0.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glacier_ml.errors import GlacierError
from glacier_ml.learning.classifier import NetworkClassifier
from glacier_ml.learning.features import feature_set
from glacier_ml.learning.onnx_graph import Graph, Tensor, add_features, add_network, has_data
from glacier_ml.learning.parameters import UnetParameters
from glacier_ml.learning.stitching import OVERLAP, WINDOW
from glacier_ml.scenes.scene import SATURATION

Array = NDArray[np.float32]

TOLERANCE = 1e-4
"""Largest difference in probability between Keras and the file."""

LANDSAT_PIXEL = 30.0  # side [m] of a pixel of Landsat's reflective bands
OPSET, IR_VERSION = 17, 8  # of 2022: also read by the older ONNX Runtimes that come with QGIS
_DIVISOR = 255.0  # deepness takes every layer for one of bytes


@dataclass(frozen=True)
class OnnxExport:
    """A classifier's ONNX file and how well it was found to agree.

    Attributes
    ----------
    content : bytes
        The file.
    bands : tuple of str
        Order of its input's channels.
    difference : float
        Largest difference in probability from the classifier on a random tile, at most `TOLERANCE`.
    """

    content: bytes
    bands: tuple[str, ...]
    difference: float


def check_installed() -> None:
    """Refuse where the packages of the extra `onnx` are missing.

    Raises
    ------
    GlacierError
        Naming the one that is missing.
    """
    try:
        import onnx  # noqa: F401 - only whether it is there
        import onnxruntime  # noqa: F401
    except ImportError as error:
        raise GlacierError(
            f"ONNX: its packages are not installed ({error}); pip install 'glacier_ml[onnx]'"
        ) from error


def export_onnx(
    classifier: NetworkClassifier, scale: float = 1.0, resolution: float = LANDSAT_PIXEL, source: str = ""
) -> OnnxExport:
    """Write a classifier as an ONNX file and compare the two on a random tile.

    The graph maps float32 reflectance (batch, bands, 256, 256) to probability (batch, 1, 256, 256): features,
    network, temperature and sigmoid are within. A pixel that is no number in some band, or 0 in all, has no
    data: it enters as 0 and leaves as 0.

    Parameters
    ----------
    classifier : NetworkClassifier
        In single precision, and not of the report's recipe.
    scale : float
        What the layer in QGIS holds for a reflectance of 1.
    resolution : float
        Side of a pixel [m].
    source : str
        Where the model came from, for the metadata.

    Raises
    ------
    GlacierError
        Where the classifier cannot be exported, a package is missing, or the file's map differs from
        the classifier's by more than `TOLERANCE`.
    """
    check_installed()
    _check_exportable(classifier)
    content = _model(classifier, metadata(classifier, scale, resolution, source)).SerializeToString()
    difference = _difference(classifier, content)
    if not difference <= TOLERANCE:
        raise GlacierError(
            f"{classifier.name}: the file's probabilities differ from Keras's by {difference:.1e}, more than "
            f"{TOLERANCE:g}; nothing was written"
        )
    return OnnxExport(content, classifier.bands, difference)


def metadata(
    classifier: NetworkClassifier, scale: float = 1.0, resolution: float = LANDSAT_PIXEL, source: str = ""
) -> dict[str, str]:
    """Describe a classifier in the keys and JSON values that deepness reads, and in some of our own.

    Returns
    -------
    dict of str to str
        model_type, class_names, resolution [cm], tile_size and tiles_size [px] (its code reads the one, its
        manual names the other), tiles_overlap [%], seg_thresh, seg_small_segment (0: nothing is smoothed),
        standardization_mean and standardization_std (they undo the division by 255); then bands, quantity,
        features and source.
    """
    bands = classifier.bands
    values: Mapping[str, Any] = {
        "model_type": "Segmentor",
        "class_names": {"0": "background", "1": "glacier"},
        "resolution": 100 * resolution,
        "tile_size": WINDOW,
        "tiles_size": WINDOW,
        "tiles_overlap": 100 * OVERLAP // WINDOW,
        "seg_thresh": classifier.threshold,
        "seg_small_segment": 0,
        "standardization_mean": [0.0] * len(bands),
        # A flag that a band is saturated is 0 or 1 whatever the scale of the others.
        "standardization_std": [(1 if band in SATURATION else scale) / _DIVISOR for band in bands],
        "bands": bands,
        "quantity": classifier.quantity,
        "features": classifier.feature_names,
        "source": source,
        "run_id": str(classifier.origin.get("run_id", "")),
        "digest": classifier.digest,
    }
    return {key: json.dumps(value) for key, value in values.items()}


def _check_exportable(classifier: NetworkClassifier) -> None:
    parameters = classifier.parameters
    if parameters.recipe == "report":
        raise GlacierError(
            f"{classifier.name}: its features are scaled by the least and the largest of the whole image "
            "(recipe: report), which no tile knows; export a model of recipe: sound"
        )
    if parameters.precision != "float32":
        raise GlacierError(
            f"{classifier.name}: computes in {parameters.precision}, which the file's single precision does "
            "not repeat; train it with precision: float32"
        )
    if isinstance(parameters, UnetParameters) and WINDOW % parameters.stride:
        raise GlacierError(
            f"{classifier.name}: pools by {parameters.stride}, more than a tile's {WINDOW} px; export one of "
            "fewer levels"
        )


def _model(classifier: NetworkClassifier, described: Mapping[str, str]) -> Any:
    from onnx import TensorProto, checker, helper

    graph = Graph()
    reflectance = Tensor(graph, "reflectance")
    known = has_data(reflectance)
    names = feature_set(classifier.parameters.features).features
    logit = add_network(classifier.network, add_features(reflectance, known, classifier.bands, names))
    probability = graph.add("Sigmoid", logit / classifier.temperature)
    result = graph.add("Where", known, probability, 0.0)
    shapes = {"reflectance": len(classifier.bands), result.name: 1}
    given, answered = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", channels, WINDOW, WINDOW])
        for name, channels in shapes.items()
    )
    made = helper.make_graph(graph.nodes, classifier.name, [given], [answered], graph.constants)
    opset = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(made, opset_imports=opset, ir_version=IR_VERSION, producer_name="glacier_ml")
    helper.set_model_props(model, dict(described))
    checker.check_model(model, full_check=True)
    return model


def _difference(classifier: NetworkClassifier, content: bytes) -> float:
    """Largest difference in probability on a random tile, some of whose pixels have no data."""
    import onnxruntime

    tile = _random_tile(len(classifier.bands))
    known = np.isfinite(tile).all(axis=-1) & (tile != 0).any(axis=-1)
    expected = np.where(known, classifier.probability_of_array(tile), 0)
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    found = session.run(None, {"reflectance": tile.transpose(2, 0, 1)[None]})[0][0, 0]
    return float(np.abs(found - expected).max())


def _random_tile(bands: int) -> Array:
    """Reflectance (256, 256, bands): grounds of 32 px, noise, and two of them without data."""
    random = np.random.default_rng(0)  # uneven grounds, since on noise alone a network may see one class
    grounds = random.uniform(0, 1, (WINDOW // 32, WINDOW // 32, bands)).repeat(32, axis=0).repeat(32, axis=1)
    tile = (grounds + random.normal(0, 0.02, grounds.shape)).astype(np.float32)
    tile[:32, :32], tile[:32, 32:64, 0] = 0, np.nan
    return tile
