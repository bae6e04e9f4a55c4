"""The network of a mapped frame alone, by the engines that might serve it: for `benchmarks.prediction`."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from glacier_ml.learning.backend import start_tensorflow
from glacier_ml.learning.classifier import PIXELS_AT_ONCE, NetworkClassifier
from glacier_ml.learning.stitching import WINDOW, WINDOWS_AT_ONCE

SIDE = 4096  # of the matrices whose product says what the machine can do
TIMES = 8


def ours(model: str) -> dict[str, float]:
    """Megapixels a second of the network as it maps."""
    classifier = NetworkClassifier.load(Path(model)).fixed
    batch = _batch(classifier.name)
    return {"MP/s": _speed(lambda: classifier.network_logit(batch), batch)}


def as_onnx(model: str, path: str) -> list[float]:
    """Write the network, without features and sigmoid, as ONNX; gives nothing of interest."""
    from onnx import TensorProto, helper, save

    from glacier_ml.learning.onnx_export import IR_VERSION, OPSET
    from glacier_ml.learning.onnx_graph import Graph, Tensor, add_network

    graph = Graph()
    logit = add_network(NetworkClassifier.load(Path(model)).network, Tensor(graph, "features"))
    shapes = {"features": ["tiles", 8, "rows", "columns"], logit.name: ["tiles", 1, "rows", "columns"]}
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]
    made = helper.make_graph(graph.nodes, "network", ends[:1], ends[1:], graph.constants)
    opset = [helper.make_opsetid("", OPSET)]
    save(helper.make_model(made, opset_imports=opset, ir_version=IR_VERSION), path)
    return []


def onnx_runtime(path: str) -> dict[str, float]:
    """Megapixels a second in ONNX Runtime, which takes as many threads as there are cores."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    batch = _channels_first()
    return {"MP/s": _speed(lambda: session.run(None, {"features": batch}), batch)}


def openvino(path: str) -> dict[str, float]:
    """Megapixels a second in OpenVINO, a window after the other on each core."""
    import openvino as vino

    core = vino.Core()
    network = core.read_model(path)
    batch = _channels_first()
    network.reshape([1, *batch.shape[1:]])
    hints = {"PERFORMANCE_HINT": "THROUGHPUT", "INFERENCE_PRECISION_HINT": "f32"}
    compiled = core.compile_model(network, "CPU", hints)
    queue = vino.AsyncInferQueue(compiled)

    def run() -> None:
        for window in batch:
            queue.start_async({0: window[None]}, share_inputs=True)
        queue.wait_all()

    return {"MP/s": _speed(run, batch)}


def _batch(name: str) -> np.ndarray:
    shape = (WINDOWS_AT_ONCE, WINDOW, WINDOW, 8) if name == "unet" else (PIXELS_AT_ONCE, 8)
    return np.random.default_rng(0).random(shape, np.float32)


def _channels_first() -> np.ndarray:
    return np.ascontiguousarray(_batch("unet").transpose(0, 3, 1, 2))


def _speed(run: Callable[[], Any], batch: np.ndarray) -> float:
    """Megapixels a second of the quickest of several calls; the first, which prepares much, is left out."""
    return batch.size / 8e6 / _least(run)


def _least(run: Callable[[], Any]) -> float:
    run()
    seconds = []
    for _ in range(TIMES):
        begun = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - begun)
    return min(seconds)


def product(library: str) -> dict[str, float]:
    """GFLOP/s of a product of two float32 matrices."""
    matrix = np.random.default_rng(0).random((SIDE, SIDE), np.float32)
    return {"GFLOP/s": 2 * SIDE**3 / _least(_product(library, matrix)) / 1e9}


def _product(library: str, matrix: np.ndarray) -> Callable[[], Any]:
    if library == "numpy":
        return lambda: matrix @ matrix
    if library == "torch":
        import torch

        tensor = torch.from_numpy(matrix)
        return lambda: torch.mm(tensor, tensor)
    start_tensorflow()
    import tensorflow as tf

    constant = tf.constant(matrix)
    return lambda: tf.matmul(constant, constant).numpy()
