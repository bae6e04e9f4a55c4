"""A whole frame, 8000 x 7000 pixels, mapped end to end, against a PyTorch script of the same network.

    python -m benchmarks.prediction [--rows 7000] [--columns 8000] [--keep FOLDER]

A made scene is mirrored until it fills the frame. The U-Net of experiments/unet.yaml and the per-pixel
network of ffnn.yaml have random weights, which take as long. Both sides read five bands, compute eight
features, map windows of 256 px that overlap by 64 px, blend them, and write probability, mask and
uncertainty as COGs; ours also hashes every band, checks ranges and files, measures the area and draws a
preview. The peer holds bands and maps in memory, folds batch normalisation into its convolutions and takes
the quicker layout (`torch_mapping`). Seconds are from the call to the last file, imports left out; every
side has a process of its own. `at peak` is the time that the network's floating-point operations, overlap
included, take at the machine's fastest product of 4096 x 4096 matrices.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.processes import asked
from benchmarks.tables import Table, run
from glacier_ml.learning.classifier import NetworkClassifier
from glacier_ml.learning.networks import build_network
from glacier_ml.learning.parameters import AnyParameters, FfnnParameters, UnetParameters  # noqa: F401
from glacier_ml.learning.stitching import OVERLAP, WINDOW
from glacier_ml.learning.tiles import window_origins
from glacier_ml.scenes.made.synthetic import embedded_catalog
from glacier_ml.scenes.reading import open_scene, write_scene
from glacier_ml.scenes.scene import Grid, Scene
from glacier_ml.studies.experiment import read_experiment

AIMS = {"peer": 1.3, "peak": 0.5}
AGREE = 1e-3  # of probabilities


def make_frame(shape: tuple[int, int], folder: Path) -> Path:
    """A scene mirrored to a frame, as a scene folder."""
    scene = open_scene(next(embedded_catalog().parent.glob("*/red.tif")).parent)
    rows, columns = (mirrored(length, wanted) for length, wanted in zip(scene.shape, shape, strict=True))
    bands = {band: values[np.ix_(rows, columns)] for band, values in scene.bands.items()}
    grid = Grid(scene.grid.crs, scene.grid.transform, shape)
    write_scene(Scene("frame", bands, scene.valid[np.ix_(rows, columns)], grid), folder)
    return folder


def mirrored(length: int, wanted: int) -> np.ndarray:
    """Indices that run to the end of an axis and back until there are as many as wanted.

    >>> mirrored(3, 8).tolist()
    [0, 1, 2, 2, 1, 0, 0, 1]
    """
    there = np.arange(wanted) % (2 * length)
    return np.minimum(there, 2 * length - 1 - there)


def make_model(kind: str, folder: str) -> list[float]:
    """Save an untrained network and its weights, in the order of its layers; gives nothing of interest."""
    from glacier_ml.learning.backend import start_tensorflow

    start_tensorflow()
    parameters = read_experiment(f"experiments/{kind}.yaml", kind).baseline
    network = build_network(parameters, np.full(8, 0.3), np.full(8, 0.1))
    NetworkClassifier(kind, network, parameters).save(Path(folder))
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
    classifier = load_classifier(model)  # imports all that is needed
    begun = time.perf_counter()
    glacier_ml.map_scenes(model, scene, output)
    found = {"seconds": time.perf_counter() - begun}
    if classifier.name == "unet":
        batch = np.random.default_rng(0).random((4, WINDOW, WINDOW, 8), np.float32)
        found["batch"] = min(timed(classifier, batch) for _ in range(8))
    return found


def timed(classifier: NetworkClassifier, batch: np.ndarray) -> float:
    """Seconds of one batch of windows."""
    begun = time.perf_counter()
    classifier.network_logit(batch)
    return time.perf_counter() - begun


def peak_gflops() -> float:
    """Of a product of two float32 matrices of 4096 x 4096, the quickest of numpy's and PyTorch's."""
    import torch

    side, seconds = 4096, []
    for make, product in ((np.random.default_rng(0).random, np.matmul), (torch.rand, torch.matmul)):
        matrix = make((side, side), dtype=np.float32 if make is not torch.rand else torch.float32)
        for _ in range(4):
            begun = time.perf_counter()
            product(matrix, matrix)
            seconds.append(time.perf_counter() - begun)
    return 2 * side**3 / min(seconds) / 1e9


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


def agreement(one: Path, other: Path) -> float:
    """Largest difference of two rasters, row by row of blocks."""
    import rasterio
    from rasterio.windows import Window

    largest = 0.0
    with rasterio.open(one) as first, rasterio.open(other) as second:
        for top in range(0, first.height, 512):
            window = Window(0, top, first.width, min(512, first.height - top))
            difference = np.abs(first.read(1, window=window) - second.read(1, window=window))
            largest = max(largest, float(np.nanmax(difference)))
    return largest


def compare(kind: str, name: str, scene: Path, work: Path, shape: tuple[int, int], table: Table) -> None:
    """Map the frame by both, and note rows and ratios of one network."""
    module, megapixels = "benchmarks.prediction", shape[0] * shape[1] / 1e6
    asked(module, "make_model", kind, str(work / kind))
    mine, memory = asked(module, "ours", str(work / kind), str(scene), str(work / f"{kind}_ours"))
    weights = str(work / kind / "weights.npz")
    told = (kind, weights, str(scene), str(work / f"{kind}_peer"))
    peer, peer_memory = asked("benchmarks.torch_mapping", "map_frame", *told)
    apart = agreement(
        work / f"{kind}_ours" / "frame_probability.tif", work / f"{kind}_peer" / "probability.tif"
    )
    if not apart < AGREE:
        raise RuntimeError(f"{name}: the peer's map differs by {apart:.3g}, so it is not the same network")
    for who, found, peak in (("ours", mine, memory), ("PyTorch", peer, peer_memory)):
        row = {"what": f"{name}, {who}", "s": found["seconds"], "MP/s": megapixels / found["seconds"]}
        table.rows.append(row | {"peak, GB": peak / 1e9, "network alone, s a batch": found.get("batch", "")})
    table.ratio(f"{name}: frame, PyTorch / ours", peer["seconds"] / mine["seconds"], AIMS["peer"])
    table.notes.append(f"{name}: probabilities differ by at most {apart:.1g}")
    if kind == "unet":
        table.ratio(f"{name}: network alone, PyTorch / ours", peer["batch"] / mine["batch"])
        note_peak(
            name, read_experiment(f"experiments/{kind}.yaml", kind).baseline, mine["seconds"], shape, table
        )


def note_peak(
    name: str, parameters: AnyParameters, seconds: float, shape: tuple[int, int], table: Table
) -> None:
    """Note how near the frame came to the time of the network's operations at the machine's peak."""
    count = np.prod([len(window_origins(length, WINDOW, OVERLAP)) for length in shape])
    gflops, needed = peak_gflops(), flops_a_pixel(parameters)
    at_peak = float(count) * WINDOW**2 * needed / gflops / 1e9
    table.rows.append({"what": f"{name}, at peak", "s": at_peak})
    table.ratio(f"{name}: frame, at peak / ours", at_peak / seconds, AIMS["peak"])
    overlap = float(count) * WINDOW**2 / (shape[0] * shape[1])
    told = f"{needed:.0f} operations a pixel, {overlap:.2f} times for the overlap, at {gflops:.0f} GFLOP/s"
    table.notes.append(f"{name}: {told}")


def measure(options: argparse.Namespace) -> Table:
    """Compare both networks."""
    table, shape = Table(), (options.rows, options.columns)
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(options.keep or temporary).resolve()
        scene = work / "frame"
        if not scene.exists():
            make_frame(shape, scene)
        for kind, name in (("ffnn", "FFNN"), ("unet", "U-Net")):
            compare(kind, name, scene, work, shape, table)
    table.notes.append(f"{shape[1]} x {shape[0]} pixels, {len(os.sched_getaffinity(0))} cores")
    return table


def more(parser: argparse.ArgumentParser) -> Any:
    """Options of this benchmark."""
    parser.add_argument("--rows", type=int, default=7000)
    parser.add_argument("--columns", type=int, default=8000)
    return parser.add_argument("--keep", help="folder that keeps frame, models and maps")


if __name__ == "__main__":
    run(measure, str(__doc__), more)
