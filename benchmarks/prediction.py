"""A whole frame, 8000 x 7000 pixels, mapped end to end, against a PyTorch script of the same network.

    python -m benchmarks.prediction [--rows 7000] [--columns 8000] [--rounds 2] [--keep FOLDER]

A scene is mirrored until it fills the frame. The U-Net of experiments/unet.yaml and the per-pixel network of
ffnn.yaml have random weights, which take as long. Both sides read five bands, compute eight features, map
windows of 256 px that overlap by 64 px, blend them, and write probability, mask and uncertainty as COGs; ours
also reads a sixth band and hashes them all, checks ranges and files, measures the area and draws a preview.
The peer (`torch_mapping`) holds bands and maps in memory, folds batch normalisation into its convolutions,
takes the quicker layout and runs once eagerly, once compiled. Seconds are from the call to the last file,
imports left out, compiling included; the sides take turns, each in a process of its own, and the quickest of
the rounds counts. `at peak` is the time that the network's floating-point operations, overlap included, take
at the machine's fastest product of 4096 x 4096 matrices (of numpy's, PyTorch's and TensorFlow's).
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.growth_inputs import write_large_scene
from benchmarks.processes import asked
from benchmarks.tables import Table, run
from glacier_ml.learning.classifier import NetworkClassifier
from glacier_ml.learning.features import feature_set
from glacier_ml.learning.networks import build_network
from glacier_ml.learning.parameters import AnyParameters, FfnnParameters, UnetParameters  # noqa: F401
from glacier_ml.learning.stitching import OVERLAP, WINDOW
from glacier_ml.learning.tiles import window_origins
from glacier_ml.scenes.catalog import open_catalog
from glacier_ml.studies.experiment import read_experiment

AIMS = {"peer": 1.3, "peak": 0.5}
AGREE = 1e-3  # of probabilities
NETWORKS = {"ffnn": "FFNN", "unet": "U-Net"}
LIBRARIES = ("numpy", "torch", "tensorflow")


Call = tuple[str, str, tuple[Any, ...]]
"""Module, function, arguments."""


def make_model(kind: str, folder: str) -> list[float]:
    """Save a network of random weights, and these in the order of its layers; gives nothing of interest."""
    from glacier_ml.learning.backend import start_tensorflow

    start_tensorflow()
    parameters = read_experiment(f"experiments/{kind}.yaml", kind).baseline
    network = build_network(parameters, np.full(8, 0.3), np.full(8, 0.1))
    random = np.random.default_rng(0)
    for layer in network.layers:  # what is 0 or 1 in a network that never learned costs no time
        if type(layer).__name__ == "BatchNormalization":
            scale, offset, mean, variance = (
                random.uniform(0.5, 1.5, weight.shape) for weight in layer.weights
            )
            layer.set_weights([scale, offset - 1, mean - 1, variance])
    ranges = {name: [0.0, 0.9] for name in feature_set(parameters.features).features}
    NetworkClassifier(kind, network, parameters, origin={"feature_range": ranges}).save(Path(folder))
    first = network.get_layer("normalisation")
    arrays = [np.asarray(first.mean), np.asarray(first.variance), *network.get_weights()]
    np.savez(Path(folder) / "weights.npz", *[array.astype(np.float32) for array in arrays])
    return []


def ours(model: str, scene: str, output: str) -> dict[str, float]:
    """Seconds of the product's mapping."""
    import glacier_ml
    from glacier_ml.learning.backend import start_tensorflow
    from glacier_ml.studies.tracking import load_classifier

    start_tensorflow()
    load_classifier(model)  # imports all that is needed
    shutil.rmtree(output, ignore_errors=True)  # what is mapped already would not be mapped again
    begun = time.perf_counter()
    glacier_ml.map_scenes(model, scene, output)
    return {"s": time.perf_counter() - begun}


def flops_a_pixel(parameters: AnyParameters) -> float:
    """Multiplications and additions of the kernels, a pixel of input.

    A per-pixel network, 2 (8 x 10 + 10); a U-Net of two levels, 144 + 9 down, 4 + 36 up, 2 for the logit:

    >>> flops_a_pixel(FfnnParameters(learning_rate=1, tile_size=1, hidden_layers=1, nodes=10))
    180.0
    >>> flops_a_pixel(UnetParameters(learning_rate=1, tile_size=8, levels=2, base_filters=1, convolutions=1))
    195.0
    """
    if isinstance(parameters, FfnnParameters):
        widths = [8, *[parameters.nodes] * parameters.hidden_layers, 1]
        return 2.0 * sum(below * width for below, width in zip(widths, widths[1:], strict=False))
    total, below, filters = 0.0, 8, parameters.level_filters
    again = parameters.convolutions - 1
    for level, width in enumerate(filters):  # down: 3 x 3 kernels at a quarter of the pixels a level
        total += 18 * (below * width + again * width**2) / 4**level
        below = width
    for level, width in list(enumerate(filters[:-1]))[::-1]:  # up: 2 x 2 without overlap, then two inputs
        total += (2 * below * width + 18 * (2 * width * width + again * width**2)) / 4**level
        below = width
    return total + 2 * filters[0]


def quickest(calls: dict[str, Call], rounds: int, table: Table) -> dict[str, tuple[dict, int]]:
    """Of calls that take turns the quickest answers, by `s` or `MP/s`, and their peaks of memory, by name.

    What cannot be run, for want of a compiler or a package, is noted and left out.
    """
    found: dict[str, list[tuple[dict, int]]] = {}
    for round_ in range(rounds):
        for name, (module, function, arguments) in calls.items():
            if name in found or round_ == 0:
                try:
                    found.setdefault(name, []).append(asked(module, function, *arguments))
                except RuntimeError as error:
                    reason = str(error).split("): ", 1)[-1]  # without the call, which names a folder
                    table.notes.append(f"{name}: left out: {reason}")
                    found.pop(name)
    return {name: max(answers, key=lambda one: _speed(one[0])) for name, answers in found.items()}


def _speed(answer: dict[str, float]) -> float:
    return answer["MP/s"] if "MP/s" in answer else 1 / answer["s"]


def compare_frames(kind: str, name: str, work: Path, options: argparse.Namespace, table: Table) -> float:
    """Map the frame by all sides, and note rows and ratio of one network; gives our seconds."""
    scene, model = str(work / "frame"), work / kind
    weights, peer = str(model / "weights.npz"), ("benchmarks.torch_mapping", "map_frame")
    calls: dict[str, Call] = {
        "ours": ("benchmarks.prediction", "ours", (str(model), scene, str(work / f"{kind}_0")))
    }
    for number, how in enumerate(("eager", "compiled"), 1):
        calls[f"PyTorch, {how}"] = (*peer, (kind, weights, scene, str(work / f"{kind}_{number}"), how))
    found = quickest(calls, options.rounds, table)
    megapixels = options.rows * options.columns / 1e6
    for who, (answer, peak) in found.items():
        row = {"what": f"{name} frame, {who}", "s": answer["s"], "MP/s": megapixels / answer["s"]}
        table.rows.append(row | {"peak, GB": peak / 1e9} | answer)
    seconds = {who: answer["s"] for who, (answer, _) in found.items()}
    mine = seconds.pop("ours")
    table.ratio(f"{name} frame, peer / ours", min(seconds.values()) / mine, AIMS["peer"])
    for number, who in enumerate(calls):
        if who in seconds:
            check_agreement(f"{name}, {who}", work / f"{kind}_0", work / f"{kind}_{number}", table)
    return mine


def compare_networks(kind: str, name: str, work: Path, options: argparse.Namespace, table: Table) -> None:
    """Note rows and ratio of one network alone, on windows or pixels that lie in memory."""
    model, weights, engines = str(work / kind), str(work / kind / "weights.npz"), "benchmarks.network_engines"
    calls: dict[str, Call] = {"ours": (engines, "ours", (model,))}
    for how in ("eager", "compiled"):
        calls[f"PyTorch, {how}"] = ("benchmarks.torch_mapping", "speed", (kind, weights, how))
    if kind == "unet":
        path = str(work / "network.onnx")
        asked(engines, "as_onnx", model, path)
        calls |= {
            "ONNX Runtime": (engines, "onnx_runtime", (path,)),
            "OpenVINO": (engines, "openvino", (path,)),
        }
    found = quickest(calls, options.rounds, table)
    for who, (answer, _) in found.items():
        table.rows.append({"what": f"{name} alone, {who}", **answer})
    speeds = {who: answer["MP/s"] for who, (answer, _) in found.items()}
    mine = speeds.pop("ours")
    table.ratio(f"{name} alone, ours / best peer", mine / max(speeds.values()))


def check_agreement(name: str, ours: Path, other: Path, table: Table) -> None:
    """Note how far the other's probabilities are from ours; too far, and it is not the same network."""
    apart = agreement(ours / "frame_probability.tif", other / "probability.tif")
    if not apart < AGREE:
        raise RuntimeError(f"{name}: its probabilities differ by {apart:.3g}, so it is not the same network")
    table.notes.append(f"{name}: probabilities differ by at most {apart:.1g}")


def agreement(one: Path, other: Path) -> float:
    """Largest difference of two rasters, row by row of blocks; NaN where one alone has data."""
    import rasterio
    from rasterio.windows import Window

    largest = 0.0
    with rasterio.open(one) as first, rasterio.open(other) as second:
        for top in range(0, first.height, 512):
            window = Window(0, top, first.width, min(512, first.height - top))
            values = [raster.read(1, window=window) for raster in (first, second)]
            if (np.isnan(values[0]) != np.isnan(values[1])).any():
                return float("nan")
            if not np.isnan(values[0]).all():
                largest = max(largest, float(np.nanmax(np.abs(values[0] - values[1]))))
    return largest


def compare_with_peak(seconds: float, options: argparse.Namespace, table: Table) -> None:
    """Note how near the U-Net's frame came to the time of its operations at the machine's peak."""
    calls: dict[str, Call] = {
        f"product of matrices, {name}": ("benchmarks.network_engines", "product", (name,))
        for name in LIBRARIES
    }
    gflops = {}
    for name, (module, function, arguments) in calls.items():
        gflops[name] = asked(module, function, *arguments)[0]["GFLOP/s"]
        table.rows.append({"what": name, "GFLOP/s": gflops[name]})
    peak = max(gflops.values())
    needed = flops_a_pixel(read_experiment("experiments/unet.yaml", "unet").baseline)
    origins = [window_origins(length, WINDOW, OVERLAP) for length in (options.rows, options.columns)]
    mapped = float(np.prod([len(one) for one in origins])) * WINDOW**2
    at_peak = mapped * needed / peak / 1e9
    table.rows.append({"what": "U-Net frame, at peak", "s": at_peak})
    table.ratio("U-Net frame, at peak / ours", at_peak / seconds, AIMS["peak"])
    overlap = mapped / (options.rows * options.columns)
    table.notes.append(
        f"U-Net: {needed:.0f} operations a pixel, {overlap:.2f} times for the overlap, {peak:.0f} GFLOP/s"
    )


def measure(options: argparse.Namespace) -> Table:
    """Compare both networks."""
    table, seconds = Table(), {}
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(options.keep or temporary).resolve()
        scene = open_catalog(options.data).of_role("train")[0].open()
        write_large_scene(scene, (options.rows, options.columns), work / "frame")
        for kind, name in NETWORKS.items():
            asked("benchmarks.prediction", "make_model", kind, str(work / kind))
            seconds[kind] = compare_frames(kind, name, work, options, table)
        for kind, name in NETWORKS.items():
            compare_networks(kind, name, work, options, table)
    compare_with_peak(seconds["unet"], options, table)
    cores = len(os.sched_getaffinity(0))
    table.notes.append(f"{options.columns} x {options.rows} pixels, {cores} cores")
    return table


def more(parser: argparse.ArgumentParser) -> Any:
    """Options of this benchmark."""
    parser.add_argument("--rows", type=int, default=7000)
    parser.add_argument("--columns", type=int, default=8000)
    parser.add_argument("--rounds", type=int, default=2, help="of which the quickest counts")
    return parser.add_argument("--keep", help="folder that keeps frame, models and maps")


if __name__ == "__main__":
    run(measure, str(__doc__), more)
