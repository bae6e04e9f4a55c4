"""Scenes as every classifier maps them: which pixels count, and what an earlier outline is."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from affine import Affine
from rasterio.crs import CRS

from glacier_ml.errors import GlacierError
from glacier_ml.evaluation.scene_maps import EARLIER, classify_scenes, earlier_outlines
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


@dataclass(frozen=True)
class Trained(Drawn):
    """A classifier with a temperature, trained from a seed."""

    temperature: float = 1.0
    origin: dict = None


def test_only_pixels_count_that_every_map_has():
    # Pixel 3 is not valid; one seed has no value at pixel 2: pixels 0, 1, 4 are left.
    scene = labelled("a", [[1, 1, 0, 1, 0]], valid=[[1, 1, 1, 0, 1]])
    full = Drawn("full", np.array([[0.9, 0.9, 0.9, 0.9, 0.9]]))
    half = [Drawn("half", np.array([[0.9, 0.1, last, 0.9, 0.1]])) for last in (0.3, np.nan)]
    heard = []
    (maps,) = classify_scenes([[full], half], [scene], tell=heard.append)
    assert maps.valid.tolist() == [[True, True, False, False, True]]
    assert [len(seeds) for seeds in maps.probabilities.values()] == [1, 2]
    assert heard == ["a: full", "a: half", "a: half"]


def test_every_seed_has_its_own_threshold_and_a_pixel_at_it_is_glacier():
    scene = labelled("a", [[1, 0]])
    seeds = [Drawn("edge", np.array([[0.7, 0.69]]), threshold=value) for value in (0.7, 0.5)]
    (maps,) = classify_scenes([seeds], [scene], {"a": np.array([[False, True]])})
    assert [mask.tolist() for mask in maps.masks["edge"]] == [[[True, False]], [[True, True]]]
    assert [mask.tolist() for mask in maps.masks[EARLIER]] == [[[False, True]]]
    assert list(maps.masks) == ["edge", EARLIER]


def test_a_rule_is_told_from_a_classifier_that_gives_probabilities():
    ones = np.ones((1, 2))
    network = [Trained("unet", ones, origin={"seed": seed}) for seed in (4, 5)]
    (maps,) = classify_scenes([network, [Drawn("NDSI", ones)]], [labelled("a", [[1, 0]])])
    assert maps.rules == {"NDSI"}
    assert maps.seeds == {"unet": [4, 5], "NDSI": []}


def test_a_comparison_needs_labels_and_different_names():
    one = [Drawn("one", np.zeros((1, 1)))]
    with pytest.raises(GlacierError, match="role test"):
        classify_scenes([one], [])
    with pytest.raises(GlacierError, match="different names"):
        classify_scenes([one, one], [labelled("a", [[1]])])
    with pytest.raises(GlacierError, match="a: has no outlines"):
        classify_scenes([one], [replace(labelled("a", [[1]]), mask=None)])
    with pytest.raises(GlacierError, match="a: no pixel is valid in scene and maps; compare on another"):
        classify_scenes([[Drawn("none", np.full((1, 1), np.nan))]], [labelled("a", [[1]])])


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
