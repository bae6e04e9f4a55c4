import os
import subprocess
import sys
from pathlib import Path

import grimp
import numpy as np
import pytest

from glacier_ml.errors import GlacierError
from glacier_ml.studies import tracking
from glacier_ml.studies.tracking.registry import REQUIREMENTS, requirements
from glacier_ml.studies.tracking.runs import client

# Loads the champion as a user would who knows mlflow alone; the store is the working folder.
LOAD_AND_PREDICT = """
import sys
import mlflow
import numpy as np
model = mlflow.pyfunc.load_model("models:/glacier-ffnn@champion")
stack = np.full((2, 5, 7, {bands}), 0.3, dtype=np.float32)
stack[0, 0, 0, 0] = np.nan
probability = model.predict(stack)
assert probability.shape == (2, 5, 7) and probability.dtype == np.float32
assert np.isnan(probability[0, 0, 0]) and np.isfinite(probability[1]).all()
assert not {{"optuna", "sklearn.ensemble"}} & set(sys.modules)
import glacier_ml.learning.classifier
print(glacier_ml.learning.classifier.__file__)
print(f"{{probability[1, 0, 0]:.6f}}")
"""


@pytest.fixture
def registered(store, tiny_classifier):
    """Make the tiny classifier version 1 and champion of glacier-ffnn in the working folder's store."""
    tiny_classifier.save(store / "trained")
    with tracking.start_run("refit", "refit") as run_id:
        described = "Not worth keeping: {}.".format
        metrics, tags = {"best/iou": 0.5}, {"split": "abc"}
        version = tracking.register_model(store / "trained", "glacier-ffnn", metrics, tags, described)
    tracking.move_alias("glacier-ffnn", "champion", version)
    return run_id


def test_a_registered_model_is_the_challenger_with_its_metrics(registered, tiny_classifier):
    version = client().get_model_version_by_alias("glacier-ffnn", "challenger")
    assert (str(version.version), version.description) == ("1", "Not worth keeping: 1.")
    assert version.tags == {"split": "abc", "bands": " ".join(tiny_classifier.bands)}
    assert version.run_id == registered
    assert client().get_run(registered).data.metrics == {"best/iou": 0.5}
    logged = client().get_logged_model(version.source.removeprefix("models:/"))
    assert [metric.value for metric in logged.metrics] == [0.5]


def test_a_model_s_own_page_keeps_what_people_wrote(registered):
    tags = {"network": "ffnn", "task": "glacier segmentation"}
    tracking.describe_model("glacier-ffnn", "What it is.", tags)  # was registered without a word
    model = client().get_registered_model("glacier-ffnn")
    assert (model.description, model.tags) == ("What it is.", tags)
    client().update_registered_model("glacier-ffnn", "Mine.")
    client().set_registered_model_tag("glacier-ffnn", "task", "mine")
    tracking.describe_model("glacier-ffnn", "What it is.", tags)
    model = client().get_registered_model("glacier-ffnn")
    assert (model.description, model.tags["task"]) == ("Mine.", "mine")
    tracking.describe_model("glacier-unet", "New.", tags)
    assert client().get_registered_model("glacier-unet").description == "New."


def test_aliases_move(registered, store):
    assert tracking.model_version("glacier-ffnn", "champion") == "1"
    assert tracking.model_version("glacier-ffnn", "nobody") is None
    assert tracking.model_version("glacier-unet", "champion") is None
    with tracking.start_run("refit", "refit"):
        again = tracking.register_model(store / "trained", "glacier-ffnn", {}, {}, "Another: {}.".format)
    assert again == "2" == tracking.model_version("glacier-ffnn", "challenger")
    assert tracking.model_version("glacier-ffnn", "champion") == "1"


@pytest.mark.parametrize("kind", ["alias", "version", "run", "folder"])
def test_a_classifier_is_loaded_by_any_address(registered, store, tiny_classifier, kind):
    address = {
        "alias": "models:/glacier-ffnn@champion",
        "version": "models:/glacier-ffnn/1",
        "run": f"runs:/{registered}/model",
        "folder": str(store / "trained"),
    }[kind]
    loaded = tracking.load_classifier(address)
    stack = np.linspace(0.01, 0.9, 3 * 4 * len(loaded.bands), dtype=np.float32).reshape(3, 4, -1)
    np.testing.assert_array_equal(
        loaded.probability_of_array(stack), tiny_classifier.probability_of_array(stack)
    )


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("models:/glacier-unet@champion", r"no model glacier-unet is registered \(found glacier-ffnn\)"),
        ("models:/glacier-ffnn@best", r"no alias best \(found (champion|challenger) = version 1, .*name one"),
        ("models:/glacier-ffnn/7", "has no such version"),
        ("models:/glacier ffnn@", "cannot be read"),
        ("runs:/" + "0" * 32 + "/model", "cannot be read|no such"),
        ("nowhere", "no such folder"),
    ],
)
def test_a_missing_model_is_told_with_what_there_is(registered, address, told):
    with pytest.raises(GlacierError, match=told) as caught:
        tracking.load_classifier(address)
    assert "\n" not in str(caught.value)


def test_nothing_registered_is_told(store):
    with pytest.raises(GlacierError, match="none is in sqlite.*register=true first"):
        tracking.load_classifier("models:/glacier-unet@champion")


def test_a_folder_without_a_classifier_is_told(store):
    with pytest.raises(GlacierError, match="holds no classifier.json"):
        tracking.load_classifier(str(store))


def test_the_requirements_are_what_prediction_imports():
    # Everything outside the standard library that a module reachable from the classifier imports.
    graph = grimp.build_graph("glacier_ml", include_external_packages=True)
    start = "glacier_ml.learning.classifier"
    ours = {start, *(name for name in graph.find_upstream_modules(start) if name.startswith("glacier_ml"))}
    direct = {name for module in ours for name in graph.find_modules_directly_imported_by(module)}
    external = {name.partition(".")[0] for name in direct if not name.startswith("glacier_ml")}
    assert external - set(sys.stdlib_module_names) == set(REQUIREMENTS)
    assert [line.partition("==")[0] for line in requirements()] == list(REQUIREMENTS)


def test_the_model_says_what_it_takes(registered):
    import mlflow

    info = mlflow.models.get_model_info("models:/glacier-ffnn@champion")
    bands = 5
    assert [spec.shape for spec in info.signature.inputs] == [(-1, -1, -1, bands)]
    assert [spec.shape for spec in info.signature.outputs] == [(-1, -1, -1)]
    folder = Path(mlflow.artifacts.download_artifacts("models:/glacier-ffnn@champion"))
    wanted = (folder / "requirements.txt").read_text().split()
    assert set(requirements()) <= set(wanted)
    assert not [line for line in wanted if line.startswith(("optuna", "glacier"))]
    assert not list(folder.rglob("__pycache__"))


def predict_elsewhere(python, store, bands, **environment):
    """Load and predict in another interpreter; the code file of the classifier, and a probability."""
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [python, "-c", LOAD_AND_PREDICT.format(bands=bands)],
        cwd=store,
        env={**inherited, "TF_CPP_MIN_LOG_LEVEL": "3", **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    place, probability = done.stdout.split()[-2:]
    return Path(place), float(probability)


def test_the_model_brings_its_own_code(registered, store, tiny_classifier, tmp_path_factory):
    # An installed glacier_ml, whose stand-in mlflow has loaded at its start, must not hide the model's code.
    site = tmp_path_factory.mktemp("site")
    (site / "glacier_ml").symlink_to(Path(tracking.__file__).parents[2])
    (site / "probe-0.dist-info").mkdir()
    (site / "probe-0.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: probe\nVersion: 0\n")
    (site / "probe-0.dist-info/entry_points.txt").write_text(
        "[mlflow.run_context_provider]\nglacier_ml = glacier_ml.conda_standin:ProjectStart\n"
    )
    place, probability = predict_elsewhere(
        sys.executable, store, len(tiny_classifier.bands), PYTHONPATH=str(site)
    )
    assert place.is_relative_to(store / "mlruns")
    stack = np.full((1, 1, len(tiny_classifier.bands)), 0.3, dtype=np.float32)
    assert probability == pytest.approx(float(tiny_classifier.probability_of_array(stack)[0, 0]), abs=1e-5)


@pytest.mark.thorough
@pytest.mark.timeout(1800)
def test_the_model_loads_where_only_its_requirements_are(
    registered, store, tiny_classifier, tmp_path_factory
):
    import mlflow

    folder = Path(mlflow.artifacts.download_artifacts("models:/glacier-ffnn@champion"))
    home = tmp_path_factory.mktemp("clean") / "venv"
    subprocess.run([sys.executable, "-m", "venv", home], check=True)
    python = str(home / "bin/python")
    subprocess.run([python, "-m", "pip", "install", "-q", "-r", folder / "requirements.txt"], check=True)
    place, _ = predict_elsewhere(python, store, len(tiny_classifier.bands))
    assert place.is_relative_to(store / "mlruns")
