"""Time, megapixels a second and peak memory of mapping a whole frame, against the network alone.

    python benchmarks/predict_frame.py [--scene SCENE] [--model MODEL] [--keep FOLDER]

SCENE (default: a made one) is mirrored until it fills a frame of 7000 x 8000 pixels. MODEL is a registered
model or a folder; without it the U-Net of experiments/unet.yaml maps with random weights: that takes as long.
The peer is the same network on windows that do not overlap, of features that lie in memory: no reading, no
features, no blending, no files. Both run in processes of their own, one after the other.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from glacier_ml.learning.classifier import NetworkClassifier
from glacier_ml.learning.networks import build_network
from glacier_ml.scenes.made.synthetic import embedded_catalog
from glacier_ml.scenes.reading import open_scene, write_scene
from glacier_ml.scenes.scene import Grid, Scene
from glacier_ml.studies.experiment import read_experiment

FRAME = (7000, 8000)
PEAK = """
lines = open("/proc/self/status").read().splitlines()
print("peak", next(line.split()[1] for line in lines if line.startswith("VmHWM")))
"""
OURS = """
import glacier_ml
from glacier_ml.learning.stitching import Stitching
glacier_ml.map_scenes({model!r}, {scene!r}, {output!r}, stitching=Stitching({blend!r}))
"""
PEER = """
import numpy as np, time
from glacier_ml.studies.tracking import load_classifier
network = load_classifier({model!r})
batch = np.random.default_rng(0).random((4, 256, 256, len(network.feature_names)), np.float32)
pixelwise = network.parameters.network == "ffnn"
batch = batch.reshape(-1, batch.shape[-1]) if pixelwise else batch
network.network_logit(batch)
begun = time.perf_counter()
for _ in range({batches}):
    network.network_logit(batch)
print("seconds", time.perf_counter() - begun)
"""


def make_frame(source: Path, folder: Path) -> Path:
    """A scene mirrored to a frame, as a scene folder."""
    scene = open_scene(source)
    rows, columns = (mirrored(length, wanted) for length, wanted in zip(scene.shape, FRAME, strict=True))
    bands = {band: values[np.ix_(rows, columns)] for band, values in scene.bands.items()}
    grid = Grid(scene.grid.crs, scene.grid.transform, FRAME)
    write_scene(Scene("frame", bands, scene.valid[np.ix_(rows, columns)], grid), folder)
    return folder


def mirrored(length: int, wanted: int) -> np.ndarray:
    """Indices that run to the end of an axis and back until there are as many as wanted.

    >>> mirrored(3, 8).tolist()
    [0, 1, 2, 2, 1, 0, 0, 1]
    """
    there = np.arange(wanted) % (2 * length)
    return np.minimum(there, 2 * length - 1 - there)


def random_model(folder: Path) -> Path:
    """The U-Net of experiments/unet.yaml, untrained."""
    parameters = read_experiment("experiments/unet.yaml", "unet").baseline
    network = build_network(parameters, np.full(8, 0.3), np.full(8, 0.1))
    NetworkClassifier("unet", network, parameters).save(folder)
    return folder


def measured(code: str) -> tuple[float, list[str]]:
    """Seconds of code in a process of its own, and the words that it prints last."""
    begun = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code + PEAK], stdout=subprocess.PIPE, text=True, check=True)
    return time.perf_counter() - begun, done.stdout.split()[-4:]


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scene", type=Path, help="a scene of your own")
    parser.add_argument("--model", default="", help="a registered model or a folder")
    parser.add_argument("--keep", type=Path, help="folder that keeps frame and maps")
    parser.add_argument("--blend", default="smooth", help="smooth or halo")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        work = chosen.keep or Path(temporary)
        source = chosen.scene or next(embedded_catalog().parent.glob("*/red.tif")).parent
        scene = work / "frame" if (work / "frame").exists() else make_frame(source, work / "frame")
        model = chosen.model or str(random_model(work / "model"))
        megapixels = FRAME[0] * FRAME[1] / 1e6
        batches = 40
        _, words = measured(PEER.format(model=model, batches=batches))
        peer = float(words[1]) * megapixels * 1e6 / (batches * 4 * 256 * 256)
        told = {"model": model, "scene": str(scene), "output": str(work / "maps"), "blend": chosen.blend}
        seconds, words = measured(OURS.format(**told))
        print("| what | s | MP/s | ratio to the peer | peak, GB |\n|---|---|---|---|---|")
        print(f"| the network alone | {peer:.0f} | {megapixels / peer:.2f} | 1 | |")
        peak = int(words[-1]) * 1024 / 1e9
        print(
            f"| the frame | {seconds:.0f} | {megapixels / seconds:.2f} | {seconds / peer:.2f} | {peak:.2f} |"
        )


if __name__ == "__main__":
    main()
