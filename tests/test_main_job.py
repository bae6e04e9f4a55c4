"""The main job from end to end, typed as a user types it: `mlflow run .` on a machine without conda."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from urllib import request
from urllib.error import HTTPError

import numpy as np
import pandas as pd
import pytest
import rasterio
from landsat_bundles import made_bundle, packed, product_id
from tiny_studies import SHAPE, write_catalog, write_experiment

from glacier_ml.scenes.catalog import open_catalog

ROOT = Path(__file__).resolve().parent.parent
HIDDEN = ("MLFLOW_", "CONDA_", "GLACIER_ML_", "PYTEST_CURRENT_TEST")  # mlflow knows the last, and says less
LOAD = """
import mlflow, numpy as np
model = mlflow.pyfunc.load_model("models:/glacier-unet@champion")
probability = model.predict(np.full((2, 40, 50, 5), 0.3, dtype=np.float32))
assert probability.shape == (2, 40, 50) and 0 <= probability.min() <= probability.max() <= 1
runs = mlflow.search_runs(search_all_experiments=True)
print(*sorted(set(runs["tags.kind"])), *sorted(set(runs.status)), len(runs))
"""

PREDICT = """
import mlflow, numpy as np
stack = np.linspace(0.01, 0.6, 12 * 9 * 5, dtype=np.float32).reshape(1, 12, 9, 5)
print(*mlflow.pyfunc.load_model("models:/glacier-unet@champion").predict(stack).ravel())
"""


def environment(site):
    """What the commands run in: glacier_ml as if installed, no conda, nothing told about tracking."""
    entry = site / "glacier_ml-0.dist-info"
    entry.mkdir(parents=True, exist_ok=True)
    (entry / "METADATA").write_text("Metadata-Version: 2.1\nName: glacier_ml\nVersion: 0\n")
    (entry / "entry_points.txt").write_text(
        "[mlflow.run_context_provider]\nglacier_ml = glacier_ml.conda_standin:ProjectStart\n"
    )
    kept = {name: value for name, value in os.environ.items() if not name.startswith(HIDDEN)}
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    return {**kept, "PYTHONPATH": f"{site}:{ROOT}", "PATH": path, "GLACIER_ML_CACHE": str(site / "cache")}


def type_in(folder, *arguments):
    """Run a command of this environment in a folder; gives what it printed."""
    done = subprocess.run(
        [Path(sys.executable).parent / arguments[0], *map(str, arguments[1:])],
        cwd=folder,
        env=environment(folder.parent / "site"),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return done


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A checkout whose experiments and scenes are tiny."""
    folder = tmp_path_factory.mktemp("job") / "glacier_ml"
    folder.mkdir()
    for name in ("MLproject", "conda.yaml"):
        shutil.copy(ROOT / name, folder)
    for network in ("ffnn", "unet"):
        few = {"epochs": 1, "epoch_pixels": 16384}  # what is learned does not matter here
        write_experiment(folder / "experiments", network, few)
    write_catalog(folder.parent / "scenes")
    return folder


@pytest.fixture(scope="module")
def job(project):
    """What `mlflow run .` printed."""
    return type_in(project, "mlflow", "run", ".", "-P", "data=../scenes", "-P", "trials=1")


def test_the_job_says_that_there_is_no_conda_and_who_leads(job):
    notices = [line for line in job.stderr.splitlines() if line.startswith("glacier_ml:")]
    assert len(notices) == 1 and "no conda" in notices[0]
    for network in ("ffnn", "unet"):
        assert f"glacier-{network} version 1 is the champion: there was no champion" in job.stdout
    assert "Best map of late: " in job.stdout
    assert "Each network was trained from one seed" in job.stdout
    assert "Traceback" not in job.stderr


def test_the_job_leaves_table_and_maps_on_the_scenes_grids(job, project):
    table = pd.read_csv(project / "comparison/scores.csv")
    assert (project / "comparison/report.html").is_file()
    assert set(table.scene) == {"late"}
    assert {"unet", "ffnn", "NDSI", "gradient boosting", "earlier outline unchanged"} <= set(table.classifier)
    maps = {path.name for path in (project / "maps").glob("*.tif")}
    kinds = ("mask", "probability", "uncertainty")
    assert maps == {f"{scene}_{kind}.tif" for scene in ("late", "blank") for kind in kinds}
    for entry in open_catalog(project.parent / "scenes").of_role("test", "unseen"):
        grid = entry.open().grid
        with rasterio.open(project / f"maps/{entry.name}_mask.tif") as mask:
            assert (mask.shape, mask.crs, mask.transform) == (SHAPE, grid.crs, grid.transform)
            assert set(np.unique(mask.read(1))) <= {0, 1, 255}
            assert mask.tags()["model"] == "models:/glacier-unet@champion"


def test_the_champion_loads_with_mlflow_alone_and_the_runs_are_nested(job, project):
    *kinds, status, count = type_in(project, "python", "-c", LOAD).stdout.split()
    assert kinds == ["compare", "main", "predict", "promote", "refit", "study", "trial"]
    # Nothing is left running: main, promote, compare, predict, and of each network study, trial and refit.
    assert (status, count) == ("FINISHED", "10")


@contextmanager
def served(project):
    """The champion behind HTTP, as a user types it; gives the address that answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = "mlflow models serve -m models:/glacier-unet@champion --env-manager local"
    command += f" --workers 1 --host 127.0.0.1 --port {port}"
    process = subprocess.Popen(
        [Path(sys.executable).parent / command.split()[0], *command.split()[1:]],
        cwd=project,
        env=environment(project.parent / "site"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


def asked(address, content=None, until=0.0):
    """Status and text of an answer; tried again until then while nobody listens."""
    body = None if content is None else json.dumps(content).encode()
    wanted = request.Request(address, body, {"Content-Type": "application/json"})
    while True:
        try:
            with request.urlopen(wanted, timeout=60) as answer:
                return answer.status, answer.read().decode()
        except HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.2)


def test_the_champion_answers_over_http_and_refuses_what_it_has_not_learned_from(job, project):
    stack = np.linspace(0.01, 0.6, 12 * 9 * 5, dtype=np.float32).reshape(1, 12, 9, 5)
    told = type_in(project, "python", "-c", PREDICT)  # the same array, from Python
    with served(project) as address:
        assert asked(f"{address}/ping", until=time.monotonic() + 200)[0] == 200
        status, text = asked(f"{address}/invocations", {"inputs": stack.tolist()})
        assert status == 200
        probability = np.array(json.loads(text)["predictions"])
        assert probability.shape == (1, 12, 9)
        np.testing.assert_allclose(
            probability.ravel(), [float(one) for one in told.stdout.split()], atol=1e-6
        )
        for wrong, rule in {
            "DN": ((stack * 255).tolist(), "holds DN, not reflectance"),
            "four bands": (stack[..., :4].tolist(), "shape"),
        }.values():
            status, text = asked(f"{address}/invocations", {"inputs": wrong})
            assert 400 <= status < 600 and rule in text, text


def test_a_study_is_resumed_by_its_own_entry_point(job, project):
    # The main job's U-Net study has its one trial: the same file and data go on with it.
    arguments = ("-e", "tune_unet", "-P", "data=../scenes", "-P", "trials=1")
    done = type_in(project, "mlflow", "run", ".", *arguments)
    assert "goes on after 1 trials" in done.stderr
    assert "registered as glacier-unet version 1" in done.stdout  # nothing better was found


def test_a_scene_is_mapped_by_its_own_entry_point(job, project):
    arguments = ("-e", "predict", "-P", "data=../scenes/blank", "-P", "output=one")
    done = type_in(project, "mlflow", "run", ".", *arguments)
    assert "area_km2" in done.stdout and (project / "one/blank_mask.tif").is_file()


def test_a_bundle_from_the_archive_becomes_an_inventory(job, project):
    bundle = packed(made_bundle(project.parent / "bundle", shape=(48, 40)), "tar")
    done = type_in(project, "mlflow", "run", ".", "-e", "import_scene", "-P", f"source={bundle}")
    assert f"scenes/{product_id()}: TM, 2007-09-17, toa_reflectance by mtl" in done.stdout
    assert "100%" in done.stderr
    type_in(project, "mlflow", "run", ".", "-e", "predict", "-P", "data=scenes", "-P", "output=imported")
    with rasterio.open(project / f"imported/{product_id()}_mask.tif") as mask:
        assert mask.shape == (48, 40) and mask.tags()["scene_date"] == "2007-09-17"
    arguments = (
        "--maps",
        "imported",
        "--output",
        "inventory.gpkg",
        "--minimum-area",
        "0",
        "--data",
        "scenes",
    )
    done = type_in(project, "python", "-m", "glacier_ml", "inventory", *arguments)
    assert "(errors independent)" in done.stdout
    names = {path.name for path in project.glob("inventory*")}
    assert names == {
        "inventory.gpkg",
        "inventory_glaciers.csv",
        "inventory_summary.csv",
        "inventory_areas.png",
        "inventory_outlines.png",
    }
    assert set(pd.read_csv(project / "inventory_summary.csv").scene) == {product_id()}


@pytest.mark.thorough
@pytest.mark.timeout(3600)
def test_the_default_job_ends_with_a_unet_above_ndsi_and_the_ffnn(tmp_path):
    folder = tmp_path / "glacier_ml"
    shutil.copytree(ROOT / "experiments", folder / "experiments")
    for name in ("MLproject", "conda.yaml"):
        shutil.copy(ROOT / name, folder)
    done = type_in(folder, "mlflow", "run", ".")
    table = pd.read_csv(folder / "comparison/scores.csv")
    table = table[(table.scene != "all scenes") & (table.subset == "all") & (table.score == "iou")]
    ious = table.groupby("classifier").value.mean()
    assert ious["unet"] > max(ious["NDSI"], ious["ffnn"]), done.stdout
