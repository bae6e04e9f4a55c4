"""Many scenes, one model: what is written, and what is refused before anything is."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import rasterio
from landsat_bundles import made_bundle
from made_classifiers import MadeClassifier
from made_scenes import disc, valley
from tiny_studies import SHAPE, write_catalog

from glacier_ml.errors import GlacierError
from glacier_ml.products.batch import area_table, check_mapping, map_scenes
from glacier_ml.scenes.catalog import open_catalog
from glacier_ml.scenes.scene import SURFACE, TOA

MASKS = {"early": disc(SHAPE), "fjord": valley(SHAPE)}


@pytest.fixture
def entries(tmp_path):
    """Two scenes as they lie on disk."""
    return open_catalog(write_catalog(tmp_path / "scenes", ("train", "unseen"))).entries


@pytest.fixture
def classifier():
    """Maps .8 on glaciers and .1 elsewhere."""
    maps = {name: np.where(mask, 0.8, 0.1).astype(np.float32) for name, mask in MASKS.items()}
    return MadeClassifier(maps, threshold=0.4)


def test_each_scene_gets_its_maps_on_its_own_grid(entries, classifier, tmp_path):
    written = map_scenes(classifier, entries, tmp_path / "maps", {"model": "models:/glacier-ffnn@champion"})
    assert list(written) == ["early", "fjord"]
    for entry in entries:
        files, grid = written[entry.name], entry.open().grid
        with rasterio.open(files.mask) as mask, rasterio.open(files.probability) as probability:
            assert (mask.crs, mask.transform, mask.shape) == (grid.crs, grid.transform, grid.shape)
            np.testing.assert_array_equal(mask.read(1), MASKS[entry.name])
            assert set(np.unique(probability.read(1).round(3)).tolist()) == {
                np.float32(0.1).item(),
                np.float32(0.8).item(),
            }
            assert (
                mask.tags()["model"] == "models:/glacier-ffnn@champion" and mask.tags()["threshold"] == "0.4"
            )
        # 900 m2 a pixel, but for the grid's scale on the ellipsoid.
        assert files.area_km2 == pytest.approx(MASKS[entry.name].sum() * 900 / 1e6, rel=2e-3)
        assert files.preview.is_file()


def test_the_areas_are_tabled(entries, classifier, tmp_path):
    written = map_scenes(classifier, entries, tmp_path / "maps")
    table = area_table(written)
    assert list(table.scene) == ["early", "fjord"]
    assert list(table.area_km2) == [round(files.area_km2, 3) for files in written.values()]
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "maps/areas.csv"), table)


def test_scenes_are_read_one_at_a_time(entries, classifier, tmp_path, monkeypatch):
    events = []
    opened = type(entries[0]).open
    monkeypatch.setattr(type(entries[0]), "open", lambda self: events.append(self.name) or opened(self))
    monkeypatch.setattr(
        "glacier_ml.products.batch.write_map",
        lambda scene, *rest: events.append(f"{scene.name} written") or _Files(),
    )
    map_scenes(classifier, entries, tmp_path)
    assert events == ["early", "early written", "fjord", "fjord written"]


class _Files:
    """Stands in for MapFiles."""

    area_km2 = 0.0
    probability = mask = type("Named", (), {"name": "map.tif"})


def test_a_scene_that_lacks_a_band_is_refused_before_any_is_mapped(entries, classifier, tmp_path):
    (tmp_path / "scenes/fjord/swir1.tif").unlink()
    with pytest.raises(
        GlacierError, match=r"fjord: swir1 missing; needed are .* \(found blue, green, red, nir\)"
    ):
        map_scenes(classifier, entries, tmp_path / "maps")
    assert not (tmp_path / "maps").exists() and classifier.asked == []


def test_no_scene_is_refused(classifier, tmp_path):
    with pytest.raises(GlacierError, match="predict: there is no scene to map"):
        check_mapping(classifier, (), tmp_path)


@pytest.mark.parametrize("output", ["taken", "taken/below"])
def test_a_file_in_the_folder_s_place_is_refused_before_any_work(entries, classifier, tmp_path, output):
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(GlacierError, match="the output folder cannot be written .*taken is a file.; choose"):
        map_scenes(classifier, entries, tmp_path / output)
    assert classifier.asked == []


def test_surface_reflectance_is_not_fed_to_what_learned_from_the_top_of_the_atmosphere(tmp_path):
    made_bundle(tmp_path / "scenes/ground", collection="C2L2", shape=SHAPE)
    entries = open_catalog(tmp_path / "scenes").entries
    learned = SimpleNamespace(bands=("blue", "swir1"), quantity=TOA)
    rule = "ground: holds surface reflectance, and toa reflectance is needed"
    with pytest.raises(GlacierError, match=rule):
        check_mapping(learned, entries, tmp_path / "maps")
    check_mapping(SimpleNamespace(bands=("blue", "swir1"), quantity=SURFACE), entries, tmp_path / "maps")
    # Thresholds learned from neither: they take what they are given.
    check_mapping(SimpleNamespace(bands=("blue", "swir1")), entries, tmp_path / "maps")
