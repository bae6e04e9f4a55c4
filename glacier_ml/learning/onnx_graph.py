"""A network and its features as an ONNX graph, node by node.

Written with `onnx` alone, from the few layers that `networks` builds: Keras's own export, by tf2onnx 1.17,
leaves the fixed normalisation out of the file and knows no GELU; jax2onnx brings JAX and thirty packages.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from glacier_ml.errors import GlacierError
from glacier_ml.learning.features import FEATURES

if TYPE_CHECKING:
    import keras

_OPERATORS = {
    np.add: "Add",
    np.subtract: "Sub",
    np.multiply: "Mul",
    np.divide: "Div",
    np.maximum: "Max",
    np.log: "Log",
}


class Graph:
    """Nodes and constants, in the order in which they are computed; all numbers float32."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def add(self, operator: str, *inputs: Any, **attributes: Any) -> Tensor:
        """Add a node with one output; what is no `Tensor` among its inputs becomes a constant."""
        from onnx import helper

        name = f"{operator}_{len(self.nodes)}"
        names = [value.name if isinstance(value, Tensor) else self._constant(value) for value in inputs]
        self.nodes.append(helper.make_node(operator, names, [name], name=name, **attributes))
        return Tensor(self, name)

    def _constant(self, value: Any) -> str:
        from onnx import numpy_helper

        array = np.asarray(value)
        if array.dtype.kind == "f":
            array = np.ascontiguousarray(array, dtype=np.float32)
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(array, name))
        return name


class Tensor(NDArrayOperatorsMixin):
    """A value of the graph, (batch, channels, rows, columns); NumPy's functions of it become nodes.

    So the formulas of `features` write themselves into the graph, and are stated once.
    """

    def __init__(self, graph: Graph, name: str) -> None:
        self.graph, self.name = graph, name

    def __array_ufunc__(self, function: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        if method != "__call__" or function not in _OPERATORS or set(options) - {"dtype"}:
            return NotImplemented  # NumPy then says which function it was
        return self.graph.add(_OPERATORS[function], *inputs)


def has_data(reflectance: Tensor) -> Tensor:
    """Whether a pixel (batch, 1, rows, columns) has data: a number in every band, and not 0 in all."""
    add = reflectance.graph.add
    total = add("ReduceL1", reflectance, axes=[1], keepdims=1)  # NaN or infinite where any band is
    return add("And", add("Greater", total, 0.0), add("LessOrEqual", total, np.finfo(np.float32).max))


def add_features(
    reflectance: Tensor, known: Tensor, bands: tuple[str, ...], names: tuple[str, ...]
) -> Tensor:
    """Add what `features.compute_features` does: (batch, features, rows, columns), 0 where not known."""
    add = reflectance.graph.add
    kept = add("Where", known, reflectance, 0.0)
    columns = {
        band: add("Gather", kept, np.array([place], dtype=np.int64), axis=1)
        for place, band in enumerate(bands)
    }
    computed = [
        add(
            "Clip",
            FEATURES[name].formula(*(columns[band] for band in FEATURES[name].bands)),
            *FEATURES[name].bounds,
        )
        for name in names
    ]
    return add("Where", known, add("Concat", *computed, axis=1), 0.0)


def add_network(network: keras.Model, features: Tensor) -> Tensor:
    """Add a network's layers: (batch, features, rows, columns) -> (batch, 1, rows, columns) logit.

    Raises
    ------
    GlacierError
        Where a layer is of a kind that `networks` does not use.
    """
    values = {id(network.input): features}
    for layer in network.layers[1:]:  # in the order of the data; the first is the input
        kind = type(layer).__name__
        if kind not in _LAYERS:
            raise GlacierError(
                f"layer {layer.name}: {kind} cannot be exported; known are {', '.join(_LAYERS)}"
            )
        given = layer.input if isinstance(layer.input, list) else [layer.input]
        values[id(layer.output)] = _LAYERS[kind](layer, *(values[id(tensor)] for tensor in given))
    return values[id(network.output)]


def _normalisation(layer: Any, values: Tensor) -> Tensor:
    mean, variance = (part.numpy().reshape(1, -1, 1, 1) for part in (layer.mean, layer.variance))
    return (values - mean) / np.maximum(np.sqrt(variance), np.float32(1e-7))  # the least is Keras's


def _convolution(layer: Any, values: Tensor) -> Tensor:
    kernel, *bias = layer.get_weights()  # kernel (rows, columns, in, out), its sides odd
    margin = [side // 2 for side in kernel.shape[:2]]
    return values.graph.add("Conv", values, kernel.transpose(3, 2, 0, 1), *bias, pads=margin * 2)


def _dense(layer: Any, values: Tensor) -> Tensor:
    kernel, *bias = layer.get_weights()  # (in, out): at each pixel, a 1 x 1 convolution
    return values.graph.add("Conv", values, kernel.T[:, :, None, None], *bias)


def _upsampling(layer: Any, values: Tensor) -> Tensor:
    kernel, *bias = layer.get_weights()  # (rows, columns, out, in), as wide as the stride: nothing overlaps
    return values.graph.add(
        "ConvTranspose", values, kernel.transpose(3, 2, 0, 1), *bias, strides=layer.strides
    )


def _batch_normalisation(layer: Any, values: Tensor) -> Tensor:
    return values.graph.add("BatchNormalization", values, *layer.get_weights(), epsilon=layer.epsilon)


def _activation(layer: Any, values: Tensor) -> Any:
    return _ACTIVATIONS[layer.get_config()["activation"]](values)


def _gelu(values: Tensor) -> Tensor:
    return 0.5 * values * (1.0 + values.graph.add("Erf", values / np.sqrt(2.0)))


_ACTIVATIONS: dict[str, Callable[[Any], Any]] = {
    "linear": lambda values: values,
    "relu": lambda values: values.graph.add("Relu", values),
    "elu": lambda values: values.graph.add("Elu", values),
    "tanh": lambda values: values.graph.add("Tanh", values),
    "sigmoid": lambda values: values.graph.add("Sigmoid", values),
    "silu": lambda values: values * values.graph.add("Sigmoid", values),
    "gelu": _gelu,
}

_LAYERS: dict[str, Callable[..., Any]] = {
    "Normalization": _normalisation,
    "Conv2D": _convolution,
    "Dense": _dense,
    "BatchNormalization": _batch_normalisation,
    "Activation": _activation,
    "LeakyReLU": lambda layer, values: values.graph.add("LeakyRelu", values, alpha=layer.negative_slope),
    "MaxPooling2D": lambda layer, values: values.graph.add(
        "MaxPool", values, kernel_shape=layer.pool_size, strides=layer.strides
    ),
    "Conv2DTranspose": _upsampling,
    "Concatenate": lambda layer, *parts: parts[0].graph.add("Concat", *parts, axis=1),
    "Dropout": lambda layer, values: values,  # acts in training alone
}
