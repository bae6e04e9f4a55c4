"""Fixtures for all tests: the labelled Landsat scenes, where they are, tiny scenes, tracking stores."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from rasterio.crs import CRS

from glacier_ml.learning.backend import ONEDNN
from glacier_ml.scenes.rasters import write_raster
from glacier_ml.scenes.scene import Grid

# Some tests import Keras before the package starts it: their process, too, shall compute as the others do.
os.environ.setdefault(ONEDNN, "1")

ROOT = Path(__file__).resolve().parent.parent
TOLD = ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME", "MLFLOW_TRACKING_URI")

# Reflectance of glacier and other ground, by band: bright and dark in the visible, low in swir1 on ice.
TINY_REFLECTANCE = {
    "blue": (0.55, 0.10),
    "green": (0.52, 0.11),
    "red": (0.50, 0.12),
    "nir": (0.42, 0.22),
    "swir1": (0.05, 0.25),
}


# Minutes each, one after the other: begun first, so that no worker is left with them at the end.
LONG = (
    *("test_main_job.py", "test_made_bar.py", "test_running.py"),
    *("test_inspection_report.py", "test_outline_damage.py", "test_stac_fuzz.py"),
)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Keep on one worker what shares a file's fixtures, or the tiny project; the long ones come first."""
    for item in items:
        shared = "tiny_project" in item.fixturenames
        item.add_marker(pytest.mark.xdist_group("tiny_project" if shared else item.path.stem))
    items.sort(key=lambda item: (item.path.name not in LONG, "tiny_project" not in item.fixturenames))


@pytest.fixture(scope="session")
def real_scenes():
    """Folder of the Landsat scenes: $GLACIER_ML_REAL_DATA, else shared/scenes near the checkout."""
    named = os.environ.get("GLACIER_ML_REAL_DATA")
    roots = [Path(named)] if named else [ROOT.parent / "shared", ROOT / "shared"]
    for folder in [folder for root in roots for folder in (root, root / "scenes")]:
        if (folder / "catalog.yaml").is_file():
            return folder
    pytest.skip(f"no catalog.yaml of the Landsat scenes below {' or '.join(map(str, roots))}")


@pytest.fixture(scope="session")
def real_toa():
    """Folder of the Landsat 5 Level-1 data with known answers, beside the Landsat scenes."""
    named = os.environ.get("GLACIER_ML_REAL_DATA")
    roots = [Path(named), Path(named).parent] if named else [ROOT.parent / "shared", ROOT / "shared"]
    for folder in [root / "toa" for root in roots]:
        if (folder / "LT52240631988227CUB02").is_dir():
            return folder
    pytest.skip(f"no toa/LT52240631988227CUB02 below {' or '.join(map(str, roots))}")


@pytest.fixture(autouse=True, scope="session")
def samples_apart(tmp_path_factory):
    """Keep what trials share out of the home folder, unless GLACIER_ML_CACHE names another."""
    from glacier_ml.learning import store

    usual, apart = store.cache_folder, tmp_path_factory.mktemp("samples")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "cache_folder", lambda: usual() if os.environ.get("GLACIER_ML_CACHE") else apart)
        yield


@pytest.fixture
def tiny_grid():
    """Factory of grids, 24 rows and 32 columns of 30 m in UTM 6 north unless told otherwise."""

    def make(shape=(24, 32), epsg=32606, west=480_000.0, north=6_780_000.0, cell=30.0):
        return Grid(CRS.from_epsg(epsg), Affine(cell, 0, west, 0, -cell, north), shape)

    return make


@pytest.fixture
def tiny_scene_folder(tmp_path, tiny_grid):
    """Factory of scene folders: `tiny_scene_folder(name, ...)` -> path of a folder under tmp_path.

    The upper left quarter is glacier. `outlines` writes outlines.tif; `nodata_columns` columns at the right
    edge are NaN in every band; `replace` gives a band other values (rows, columns); `drop` leaves bands
    out; the other keywords are tiny_grid's.
    """

    def write(
        name="tiny", *, outlines=True, nodata_columns=0, replace=None, drop=(), seed=0, tags=None, **where
    ):
        grid = tiny_grid(**where)
        row, column = np.indices(grid.shape)
        glacier = (row < grid.shape[0] // 2) & (column < grid.shape[1] // 2)
        noise = np.random.default_rng(seed)
        folder = tmp_path / name
        for band, (ice, ground) in TINY_REFLECTANCE.items():
            values = np.where(glacier, ice, ground) + noise.normal(0, 0.01, grid.shape)
            values[:, grid.shape[1] - nodata_columns :] = np.nan
            values = (replace or {}).get(band, values.astype(np.float32))
            if band not in drop:
                write_raster(folder / f"{band}.tif", values, grid, tags=tags)
        if outlines:
            write_raster(folder / "outlines.tif", glacier, grid)
        return folder

    return write


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory):
    """Make mlflow's tables once: that takes a second or more, and a copy nothing."""
    from mlflow import MlflowClient

    path = tmp_path_factory.mktemp("database") / "mlflow.db"
    MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def store(tmp_path, monkeypatch, empty_database):
    """Make an empty working folder the tracking store, with nothing told by the environment."""
    import mlflow

    for name in TOLD:
        monkeypatch.delenv(name, raising=False)
    shutil.copy(empty_database, tmp_path)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    while mlflow.active_run():
        mlflow.end_run()


@pytest.fixture(scope="session")
def tiny_project(tmp_path_factory, empty_database):
    """A folder where both networks were tuned on tiny scenes and promoted: see `tiny_studies.TinyProject`."""
    import matplotlib
    from tiny_studies import run_tiny_project

    folder = tmp_path_factory.mktemp("project")
    shutil.copy(empty_database, folder)
    with pytest.MonkeyPatch.context() as patch:
        for name in TOLD:
            patch.delenv(name, raising=False)
        patch.setenv("GLACIER_ML_CACHE", str(folder / "cache"))
        patch.setitem(matplotlib.rcParams, "savefig.dpi", 25)  # its thirty pictures are to be there, not seen
        patch.chdir(folder)
        project = run_tiny_project(folder)
    return project


@pytest.fixture(scope="session")
def short_studies():
    """Starts studies whose trials take moments: see `short_study.ShortStudies`."""
    from short_study import ShortStudies

    studies = ShortStudies()
    yield studies
    studies.close()


@pytest.fixture
def beside_project(tiny_project, store, monkeypatch):
    """An empty working folder whose tracking store and studies are a copy of the tiny project's."""
    for name in ("mlflow.db", "optuna.db"):
        shutil.copy(tiny_project.folder / name, store)
    monkeypatch.setenv("GLACIER_ML_CACHE", str(tiny_project.folder / "cache"))
    return store
