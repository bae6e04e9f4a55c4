"""One scene, one map: sizes, edges, ensembles, warnings, tags."""

from dataclasses import replace

import numpy as np
import pytest
import rasterio
from made_networks import ffnn, unet, untrained
from made_scenes import made_scene
from rio_cogeo.cogeo import cog_validate

from glacier_ml.errors import GlacierError
from glacier_ml.learning.ensembles import Ensemble
from glacier_ml.learning.stitching import Stitching
from glacier_ml.products.batch import map_scenes
from glacier_ml.products.mapping import Job, MapOptions, UnusualSceneWarning, map_scene
from glacier_ml.scenes.catalog import CatalogEntry
from glacier_ml.scenes.reading import write_scene

PLAIN = MapOptions(picture=False)


@pytest.fixture
def entry(tmp_path):
    """Factory: a scene on disk."""

    def make(shape=(60, 50), name="one", **options):
        write_scene(made_scene(name, shape, **options).scene, tmp_path / name)
        return CatalogEntry(name, tmp_path / name, "place", "region", "unseen", date="2009-09-06")

    return make


def read(path):
    with rasterio.open(path) as raster:
        return raster.read(masked=True), raster.tags()


@pytest.mark.parametrize("network", [unet, ffnn])
@pytest.mark.parametrize("shape", [(20, 20), (21, 333), (451, 67)])
def test_a_scene_of_any_size_is_mapped_as_in_memory(entry, tmp_path, network, shape):
    classifier, one = untrained(network()), entry(shape, nodata=4)
    mapped = map_scene(Job(classifier, tmp_path / "maps", {"model": "it"}, PLAIN), one)
    expected = classifier.probability(one.open())
    probability, tags = read(mapped.files.probability)
    np.testing.assert_allclose(probability[0].filled(np.nan), expected, atol=1e-6)
    mask, _ = read(mapped.files.mask)
    assert mask.mask[0].sum() == 4 * shape[0]  # the edge without data
    np.testing.assert_array_equal(mask[0].filled(0) == 1, expected >= 0.5)
    assert tags["scene_digest"] == one.open().digest and tags["scene_date"] == "2009-09-06"
    assert tags["model"] == "it" and tags["outside_training_range"] == "not known"


def test_an_ensemble_leaves_spread_and_a_mask_of_each_member(entry, tmp_path):
    members = (untrained(unet()).calibrated(0.4, 1.0), untrained(ffnn()).calibrated(0.6, 1.0))
    one = entry((300, 50), nodata=2)
    mapped = map_scenes(Ensemble(members), [one], tmp_path / "maps", options=PLAIN)["one"]
    maps = np.stack([member.probability(one.open()) for member in members])
    spread, tags = read(mapped.files.spread)
    # Of two values the standard deviation (n - 1) is their difference over the root of 2.
    np.testing.assert_allclose(spread[0].filled(np.nan), np.abs(maps[0] - maps[1]) / 2**0.5, atol=1e-6)
    assert tags["threshold"] == "0.5"
    masks, _ = read(mapped.files.members)
    assert masks.shape == (2, 300, 50)
    for mask, probability, threshold in zip(masks, maps, (0.4, 0.6), strict=True):
        np.testing.assert_array_equal(mask.filled(0) == 1, probability >= np.float32(threshold))
    for path in (mapped.files.spread, mapped.files.members):
        assert cog_validate(path, strict=True) == (True, [], []) and path.with_suffix(".qml").is_file()


def ranged(**ranges):
    return replace(untrained(ffnn()), origin={"feature_range": {k: list(v) for k, v in ranges.items()}})


def test_a_scene_unlike_those_of_training_is_told_and_tagged(entry, tmp_path):
    one = entry()
    values = one.open().bands["red"]
    low = float(np.quantile(values, 0.25))
    classifier = ranged(red=(low, 2.0), nir=(-1, 2))
    with pytest.warns(UnusualSceneWarning, match="^one: red 25 % of its pixels lie outside the 1 to 99 %"):
        mapped = map_scenes(classifier, [one], tmp_path / "maps", options=PLAIN)["one"]
    assert mapped.outside == {"red": pytest.approx(0.25, abs=0.001), "nir": 0.0}
    for path in (mapped.files.probability, mapped.files.mask, mapped.files.uncertainty):
        assert read(path)[1]["outside_training_range"] == "red 25 %"
    with pytest.warns(UnusualSceneWarning):  # told again where the map was there already
        assert not map_scenes(classifier, [one], tmp_path / "maps", options=PLAIN)["one"].new


def test_up_to_a_fifth_of_the_pixels_is_no_matter(entry, tmp_path):
    one = entry()
    low = float(np.quantile(one.open().bands["red"], 0.19))
    mapped = map_scenes(ranged(red=(low, 2.0)), [one], tmp_path / "maps", options=PLAIN)["one"]
    assert mapped.warning == "" and read(mapped.files.mask)[1]["outside_training_range"] == "no"


def test_progress_counts_every_pixel_once(entry, tmp_path):
    told = []
    one = entry((450, 70))
    for _ in range(2):  # mapped, and found there already
        map_scene(Job(untrained(unet()), tmp_path / "maps", {}, PLAIN), one, told.append)
        assert sum(told) == 450 * 70
        told.clear()


@pytest.mark.parametrize("stitching", [Stitching("halo"), Stitching(symmetric=True)])
def test_other_ways_of_stitching_give_other_maps_of_the_same_scene(entry, tmp_path, stitching):
    classifier, one = untrained(unet()), entry((300, 280))
    scene = one.open()
    for chosen in (Stitching(), stitching):
        options = MapOptions("float32", chosen, picture=False)
        mapped = map_scene(Job(classifier, tmp_path / "maps", {}, options), one)
        rows = [piece for _, piece in classifier.probability_rows(scene.rows, scene.shape, chosen)]
        np.testing.assert_allclose(read(mapped.files.probability)[0][0], np.concatenate(rows), atol=1e-6)
        assert mapped.new


def test_an_unknown_encoding_is_refused():
    with pytest.raises(GlacierError, match="encoding: 'int4' is not known; choose float32 or uint8"):
        MapOptions("int4")
