"""Comparison on small scenes with known answers."""

import math
from dataclasses import dataclass, replace

import numpy as np
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.crs import CRS

from glacier_ml.errors import GlacierError
from glacier_ml.evaluation.bootstrap import bootstrap_difference, spatial_blocks
from glacier_ml.evaluation.comparison import (
    EARLIER,
    POOLED,
    classify_scenes,
    compare,
    compare_pairs,
    earlier_outlines,
)
from glacier_ml.scenes.catalog import CatalogEntry, LabelledScene
from glacier_ml.scenes.scene import Grid, Scene


@dataclass(frozen=True)
class Drawn:
    """A classifier that answers a drawn probability."""

    name: str
    drawn: np.ndarray
    threshold: float = 0.5
    bands: tuple = ("blue",)

    def probability(self, scene, wanted=None):
        return np.where(scene.valid, self.drawn, np.nan).astype(np.float32)


@dataclass(frozen=True)
class Entry(CatalogEntry):
    """A catalog entry whose scene is at hand."""

    at_hand: object = None

    def load(self):
        return self.at_hand


def labelled(name, mask, valid=None, date=None, place="there", east=500_000.0):
    mask = np.asarray(mask, dtype=bool)
    valid = np.ones(mask.shape, dtype=bool) if valid is None else np.asarray(valid, dtype=bool)
    grid = Grid(CRS.from_epsg(32606), Affine(30, 0, east, 0, -30, 6_700_000), mask.shape)
    scene = Scene(name, {"blue": np.where(valid, 0.1, np.nan).astype(np.float32)}, valid, grid)
    entry = Entry(name, name, place, "region", "train", date=date)
    return LabelledScene(scene, mask, None, entry)


def entry_of(one):
    return replace(one.entry, at_hand=one)


def test_every_classifier_is_scored_on_the_same_pixels():
    # Pixel 3 is not valid; 'half' has no value at pixel 2, so pixels 0, 1, 4 count for both.
    scene = labelled("a", [[1, 1, 0, 1, 0]], valid=[[1, 1, 1, 0, 1]])
    full = Drawn("full", np.array([[0.9, 0.9, 0.9, 0.9, 0.9]]))
    half = Drawn("half", np.array([[0.9, 0.1, np.nan, 0.9, 0.1]]))
    table = compare([full, half], [scene]).set_index("classifier")
    assert table["pixels"].tolist() == [3, 3]
    assert table.loc["full", "iou"] == pytest.approx(2 / 3)  # 2 right, 1 too many
    assert table.loc["half", "iou"] == pytest.approx(1 / 2)  # 1 right, 1 missed
    assert table.loc["half", "precision"] == 1
    assert table["threshold"].tolist() == [0.5, 0.5]


def test_a_pixel_at_the_threshold_is_glacier():
    scene = labelled("a", [[1, 0]])
    table = compare([Drawn("edge", np.array([[0.7, 0.69]]), threshold=0.7)], [scene])
    assert table["iou"].tolist() == [1.0]


def test_the_earlier_outline_is_a_row_of_its_own():
    scene = labelled("a", [[1, 1, 0, 0]])
    earlier = {"a": np.array([[True, True, True, False]])}
    table = compare([Drawn("none", np.zeros((1, 4)))], [scene], earlier).set_index("classifier")
    assert table.loc[EARLIER, "iou"] == pytest.approx(2 / 3)
    assert table.loc[EARLIER, "accuracy"] == 0.75
    assert math.isnan(table.loc[EARLIER, "threshold"])


def test_several_scenes_are_pooled_where_all_were_mapped():
    # scene a: 1 of 2 right; scene b: 2 of 2 right; pooled IoU 3/4
    scenes = [labelled("a", [[1, 1, 0]]), labelled("b", [[1, 1, 0]])]
    first = Drawn("some", np.array([[1, 0, 0]]))
    table = compare([first], scenes, {"b": np.array([[True, True, False]])})
    pooled = table[table["scene"] == POOLED]
    assert pooled["classifier"].tolist() == ["some"]
    assert pooled["iou"].tolist() == [0.5]
    assert pooled["pixels"].tolist() == [6]


def test_comparison_needs_labels_and_different_names():
    with pytest.raises(GlacierError, match="role test"):
        compare([Drawn("one", np.zeros((1, 1)))], [])
    with pytest.raises(GlacierError, match="different names"):
        compare([Drawn("one", np.zeros((1, 1)))] * 2, [labelled("a", [[1]])])
    with pytest.raises(GlacierError, match="a: has no outlines"):
        compare([Drawn("one", np.zeros((1, 1)))], [replace(labelled("a", [[1]]), mask=None)])


def test_earlier_outlines_want_the_same_place_and_grid_and_an_earlier_date():
    held = labelled("2009", [[1, 0, 0]], date="2009-09-06")
    latest = labelled("2008", [[1, 1, 0]], date="2008-08")
    others = [
        labelled("2007", [[1, 1, 1]], date="2007-09-17"),
        labelled("2011", [[0, 0, 0]], date="2011-09"),
        labelled("elsewhere", [[0, 1, 1]], date="2008-09", place="elsewhere"),
        labelled("shifted", [[0, 1, 1]], date="2008-09", east=500_015.0),
    ]
    found = earlier_outlines([entry_of(one) for one in (latest, *others)], [held])
    assert found["2009"].tolist() == [[True, True, False]]
    assert earlier_outlines([entry_of(one) for one in others[1:]], [held]) == {}


def test_an_undated_scene_counts_as_earlier_and_the_scene_itself_never():
    held = labelled("held", [[1, 0]], date="2009-09-06")
    undated = labelled("undated", [[1, 1]])
    assert earlier_outlines([entry_of(undated)], [held])["held"].tolist() == [[True, True]]
    assert earlier_outlines([entry_of(held)], [held]) == {}


def test_blocks_cover_the_grid_from_one():
    blocks = spatial_blocks((130, 64), 64)
    assert np.unique(blocks, return_counts=True)[1].tolist() == [64 * 64, 64 * 64, 2 * 64]
    assert blocks[0, 0] == 1


def test_interval_of_two_blocks_worked_by_hand():
    # Block 1: first wrong, second right (IoU 0 and 1 of 4 px); block 2: both right. Resamples are
    # {1,1}: 1 - 0; {2,2}: 1 - 1; {1,2}: 1 - 4/8. Of many, a quarter each at the ends: [0, 1].
    truth = np.ones((2, 4), dtype=bool)
    first = np.array([[0, 0, 1, 1]] * 2, dtype=bool)
    interval = bootstrap_difference(truth, first, truth, spatial_blocks((2, 4), 2))
    assert (interval.difference, interval.low, interval.high) == (0.5, 0.0, 1.0)
    assert not interval.distinguishable


def test_pixels_of_block_zero_do_not_count():
    truth = np.ones((2, 6), dtype=bool)
    blocks = np.array([[1, 1, 2, 2, 0, 0]] * 2)
    second = np.array([[1, 1, 1, 1, 0, 0]] * 2, dtype=bool)
    assert bootstrap_difference(truth, truth, second, blocks).difference == 0


def test_several_scenes_give_the_difference_of_mean_ious():
    # scene 1: second - first = 1 - 1/2; scene 2: 0 - 1; the mean is -1/4
    truth = np.ones((1, 4), dtype=bool)
    half = np.array([[1, 0, 1, 0]], dtype=bool)
    blocks = np.array([[1, 1, 2, 2]])
    interval = bootstrap_difference([truth, truth], [half, truth], [truth, ~truth], [blocks, blocks])
    assert interval.difference == -0.25
    # every block of a scene is alike, so every resample is too
    assert (interval.low, interval.high) == (-0.25, -0.25)
    assert interval.distinguishable


def test_one_block_tells_nothing_of_chance():
    truth = np.ones((2, 2), dtype=bool)
    interval = bootstrap_difference(truth, ~truth, truth, spatial_blocks((2, 2), 64))
    assert interval.difference == 1
    assert math.isnan(interval.low) and math.isnan(interval.high) and not interval.distinguishable


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_swapping_the_maps_turns_the_interval_around(seed):
    random = np.random.default_rng(seed)
    truth, first, second = random.random((3, 16, 16)) < 0.5
    blocks = spatial_blocks((16, 16), 4)
    there = bootstrap_difference(truth, first, second, blocks, repeats=50)
    back = bootstrap_difference(truth, second, first, blocks, repeats=50)
    np.testing.assert_allclose(
        (back.difference, back.low, back.high), (-there.difference, -there.high, -there.low)
    )
    assert there.low <= there.high


def test_interval_covers_the_difference_of_equal_maps_about_as_often_as_it_says():
    # Two maps with independent errors in whole blocks: their true difference is 0.
    random = np.random.default_rng(0)
    blocks = spatial_blocks((64, 64), 8)
    truth = np.ones((64, 64), dtype=bool)
    covered = 0
    for _ in range(100):
        wrong = random.random((2, blocks.max() + 1)) < 0.3
        interval = bootstrap_difference(truth, ~wrong[0][blocks], ~wrong[1][blocks], blocks, repeats=200)
        covered += interval.low <= 0 <= interval.high
    assert 88 <= covered <= 100  # 95 % +- 3 standard errors of 100 trials


def test_pairs_come_with_intervals():
    scene = labelled("a", np.ones((8, 8)))
    half = np.tile([[1.0, 0.0]], (8, 4))
    maps = classify_scenes([[Drawn("half", half)], [Drawn("all", np.ones((8, 8)))]], [scene])
    pairs = compare_pairs(maps, side=4)
    assert pairs[["first", "second"]].values.tolist() == [["half", "all"]]
    assert pairs.loc[0, ["difference", "low", "high"]].tolist() == [0.5, 0.5, 0.5]
    assert bool(pairs.loc[0, "distinguishable"])


@pytest.mark.real_data
def test_columbia_2007_outline_handed_in_for_2009(real_scenes):
    from glacier_ml.scenes.catalog import open_catalog

    catalog = open_catalog(real_scenes)
    held = [entry.load() for entry in catalog.of_role("test")]
    earlier = earlier_outlines(catalog.of_role("train"), held)
    assert list(earlier) == ["columbia-2009"]
    table = compare([Drawn("nothing", np.zeros(held[0].scene.shape))], held, earlier).set_index("classifier")
    assert table.loc[EARLIER, "accuracy"] == pytest.approx(0.954, abs=0.002)
    assert table.loc[EARLIER, "iou"] == pytest.approx(0.768, abs=0.002)
    assert table.loc["nothing", "accuracy"] == pytest.approx(0.847, abs=0.002)  # all background
