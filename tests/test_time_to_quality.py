"""The benchmark of time to quality: what its peer trains on, and how its seconds are told."""

import math

import numpy as np
import pytest
from made_scenes import made_pair

from benchmarks.report_recipe import store_tiles
from benchmarks.time_to_quality import Run, summarise
from glacier_ml.learning.features import feature_set
from glacier_ml.learning.splits import SplitRule, make_split
from glacier_ml.learning.stored_scenes import scene_features
from glacier_ml.learning.tiles import undo_d4

SIZE = 48


@pytest.fixture(scope="module")
def stored():
    """Two scenes, their split, and the peer's tiles of them."""
    scenes = made_pair(nodata=7)
    split = make_split(scenes, SplitRule(block=32, gap=4))
    return scenes, split, store_tiles(scenes, split, SIZE)


def assembled(copies, shape):
    """One image of the tiles of each scene, from their copies of one symmetry."""
    rows, columns = shape[0] // SIZE, shape[1] // SIZE
    return copies.reshape(rows, columns, SIZE, SIZE).swapaxes(1, 2).reshape(rows * SIZE, columns * SIZE)


@pytest.mark.parametrize("symmetry", range(8))
def test_the_weight_of_the_peer_is_that_of_the_training_pixels(stored, symmetry):
    scenes, split, tiles = stored
    first = 0
    for scene in scenes:
        rows, columns = (length // SIZE * SIZE for length in scene.scene.shape)
        count = rows * columns // SIZE**2
        own = slice(8 * first + symmetry, 8 * (first + count), 8)
        weight, label = (
            assembled(undo_d4(part[own], symmetry), scene.scene.shape)
            for part in (tiles.weight[..., None], tiles.label)
        )
        training = split.training(scene.scene.name)[:rows, :columns]
        assert np.array_equal(weight, training)
        assert not weight[split.validation(scene.scene.name)[:rows, :columns]].any()
        assert np.array_equal(label, training & scene.truth[:rows, :columns])
        first += count
    assert len(tiles) == 8 * first


def test_the_share_tells_how_much_the_remainder_costs(stored):
    scenes, split, tiles = stored
    wanted = sum(split.training(scene.scene.name).sum() for scene in scenes)
    assert tiles.share == pytest.approx(tiles.weight.sum() / 8 / wanted)
    assert 0.5 < tiles.share < 1


def test_features_are_of_the_whole_image(stored):
    scenes, _, tiles = stored
    features = scene_features(scenes[0].scene, feature_set("report_ratio"), "report")
    assert np.array_equal(tiles.features[0], features[:SIZE, :SIZE])
    assert features.min() == 0 and features.max() == 1


def run(name, *curve, cap=math.inf):
    return Run(name, cap, list(curve), seconds=curve[-1][0])


def test_ratios_are_of_the_median_of_ours():
    ours = [
        run("a", (10, 0.5), (20, 0.81)),
        run("b", (10, 0.8), (20, 0.9)),
        run("c", (10, 0.7), (40, 0.82)),
    ]
    table = summarise(ours, run("peer", (500, 0.4), (800, 0.8), (900, 0.7), cap=1000), 0.8)
    assert table.ratios["time to 0.80"] == 800 / 20
    assert table.ratios["best IoU"] == pytest.approx(0.82 / 0.8)
    assert table.series["a"] == [(10, 0.5), (20, 0.81)]


def test_the_cap_counts_where_the_peer_does_not_arrive():
    table = summarise([run("a", (10, 0.85))], run("peer", (990, 0.4), cap=1000), 0.8)
    assert table.ratios["time to 0.80"] == 100
    assert [row["CPU s to 0.80"] for row in table.rows] == [10, "> 1000"]


def test_what_of_ours_never_arrives_has_no_merit():
    table = summarise([run("a", (10, 0.7))], run("peer", (990, 0.4), cap=1000), 0.8)
    assert table.ratios["time to 0.80"] == 0
    assert table.rows[0]["CPU s to 0.80"] == "never"
