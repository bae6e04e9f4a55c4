"""A batch of scenes that lie at addresses."""

import numpy as np
import pandas as pd
import pytest
import rasterio
from made_classifiers import MadeClassifier
from range_server import BODIES, serving, straighten

from glacier_ml.errors import GlacierError
from glacier_ml.products.batch import map_scenes
from glacier_ml.scenes.catalog import open_catalog

NAMES = ("a", "b", "c")
MAP = np.where(np.indices((24, 32))[0] < 12, 0.9, 0.1).astype(np.float32)


@pytest.fixture
def served(tmp_path, tiny_scene_folder, monkeypatch):
    """A server of three scenes, and their catalog: by a signed address, in a bucket, on this machine."""
    straighten(monkeypatch, tmp_path)
    for seed, name in enumerate(NAMES):
        tiny_scene_folder(name, outlines=False, seed=seed)
    with serving(tmp_path) as server:
        server.bodies = BODIES
        for name, value in server.stores().items():
            monkeypatch.setenv(name, value)
        paths = (f"{server.url('a/')}?sig=secret", server.address("s3", "b"), "c")
        rows = [
            f"  - {{name: {name}, path: '{path}', place: p, region: r, role: unseen}}"
            for name, path in zip(NAMES, paths, strict=True)
        ]
        (tmp_path / "catalog.yaml").write_text("\n".join(["scenes:", *rows]))
        yield server


def test_scenes_at_addresses_go_in_one_batch(served, tmp_path):
    entries = open_catalog(tmp_path / "catalog.yaml").entries
    written = map_scenes(MadeClassifier(dict.fromkeys(NAMES, MAP)), entries, tmp_path / "maps")
    assert list(written) == list(NAMES)
    # Half of 24 x 32 pixels of 900 m2: 0.3456 km2, but for the grid's scale on the ellipsoid.
    areas = pd.read_csv(tmp_path / "maps/areas.csv").area_km2
    assert areas.to_numpy() == pytest.approx(0.3456, rel=2e-3)
    for file in (tmp_path / "maps").iterdir():
        assert b"secret" not in file.read_bytes()
    with rasterio.open(written["a"].files.mask) as mask:
        np.testing.assert_array_equal(mask.read(1) == 1, MAP > 0.5)


def test_an_address_without_a_scene_is_refused_before_any_work(served, tmp_path):
    (tmp_path / "b").rename(tmp_path / "elsewhere")
    entries = open_catalog(tmp_path / "catalog.yaml").entries
    with pytest.raises(GlacierError, match="b: s3://.*/b holds none of blue.tif"):
        map_scenes(MadeClassifier(dict.fromkeys(NAMES, MAP)), entries, tmp_path / "maps")
    assert not (tmp_path / "maps").exists()
