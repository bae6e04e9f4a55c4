"""The same seed, data and machine give the same training, bit for bit: in another process, in any order."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from made_scenes import made_pair

from glacier_ml.evaluation.yardstick import measure
from glacier_ml.learning.backend import THREADS, start_tensorflow
from glacier_ml.learning.parameters import parse_parameters
from glacier_ml.learning.splits import SplitRule, make_split
from glacier_ml.learning.training import fit
from glacier_ml.studies.data import load_training_data
from glacier_ml.studies.experiment import read_experiment

ROOT = Path(__file__).resolve().parents[2]
PAIR = made_pair(nodata=9)
SPLIT = make_split(PAIR, SplitRule(block=20, gap=4))
SHARED = {"learning_rate": 0.01, "penalty": 1e-4, "dropout": 0.1, "epochs": 2}
TINY = {
    # every kind of layer, term of the loss and disturbance that draws or sums; several tiles a batch
    "unet": {**SHARED, "tile_size": 32, "levels": 3, "base_filters": 4, "convolutions": 1}
    | {"epoch_pixels": 32_768, "batch_pixels": 8192, "brightness": 0.1, "noise": 0.01, "dice": 1.0},
    "ffnn": {**SHARED, "tile_size": 1, "hidden_layers": 2, "nodes": 10, "batch_pixels": 1024}
    | {"epoch_pixels": 16_384, "brightness": 0.1},
}


def outcome(parameters, scenes, split):
    """Digest of all weights, and the history, of one training."""
    result = fit(parameters, scenes, split, lambda classifier: measure(classifier, scenes, split.validation))
    state = hashlib.sha256()
    for weights in result.classifier.network.get_weights():
        state.update(weights.tobytes())
    return [state.hexdigest(), result.history]


def tiny_outcomes(networks):
    """What tiny networks become, trained one after the other in this process."""
    chosen = {name: parse_parameters({"network": name, **TINY[name]}, "test") for name in networks}
    return {name: outcome(parameters, PAIR, SPLIT) for name, parameters in chosen.items()}


def real_outcomes(folder, changes):
    """What the baselines of both experiment files become in some steps on the real scenes."""
    found = {}
    for name, changed in changes.items():
        experiment = read_experiment(ROOT / "experiments" / f"{name}.yaml")
        parameters = experiment.with_values({**changed, "epochs": 1})
        data = load_training_data(folder / "catalog.yaml", experiment.split_rule, [parameters])
        found[name] = outcome(parameters, data.scenes, data.split)
    return found


def in_another_process(call, threads=None):
    """What `call`, a call of this module's, gives in a new process, and the threads that TensorFlow has."""
    code = (
        f"import json; from pathlib import Path; import test_repeatable as here; found = here.{call}; "
        "import tensorflow as tf; "
        "print(json.dumps([found, tf.config.threading.get_intra_op_parallelism_threads()]))"
    )
    paths = map(str, (ROOT, ROOT / "tests", Path(__file__).parent))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)} | (
        {THREADS: str(threads)} if threads else {}
    )
    command = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1200, env=environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_training_is_the_same_in_another_process_and_order():
    start_tensorflow()
    # as many threads as there are without a limit
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    found, threads = in_another_process("tiny_outcomes(['ffnn', 'unet'])", threads=cores)
    assert threads == cores
    assert found == tiny_outcomes(["unet", "ffnn"])


@pytest.mark.thorough
@pytest.mark.real_data
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("threads", [None, 1])
def test_real_networks_are_trained_alike_on_real_scenes(real_scenes, threads):
    steps = {"unet": {"epoch_pixels": 12 * 65_536}, "ffnn": {"epoch_pixels": 262_144}}
    call = f"real_outcomes(Path({str(real_scenes)!r}), {steps!r})"
    assert in_another_process(call, threads) == in_another_process(call, threads)
