import numpy as np
import pytest
from affine import Affine
from made_scenes import made_scene
from rasterio.crs import CRS

from glacier_ml.learning.overlaps import seen_elsewhere, widen
from glacier_ml.learning.splits import SplitRule, make_split
from glacier_ml.scenes.catalog import LabelledScene
from glacier_ml.scenes.scene import Grid, Scene


def moved(labelled, rows, columns):
    """The same scene, its grid shifted down and right by whole pixels."""
    scene, grid = labelled.scene, labelled.scene.grid
    shifted = Grid(grid.crs, grid.transform @ Affine.translation(columns, rows), grid.shape)
    again = Scene(scene.name, scene.bands, scene.valid, shifted)
    return LabelledScene(again, labelled.mask, None, labelled.entry)


def test_ground_that_validates_at_one_date_does_not_train_at_another():
    early, late = (made_scene(name, (200, 180), seed=seed, place="a") for seed, name in enumerate("xy"))
    split = make_split([early, late], SplitRule(block=20, gap=4))
    for one, other in (("x", "y"), ("y", "x")):
        assert split.training(one).any()
        # 4 px of gap on the other's ground, too
        assert not (split.training(one) & widen(split.validation(other), 4)).any()


def test_another_place_on_the_same_grid_withholds_nothing():
    early, other = (made_scene(name, (60, 60), seed=seed, place=name) for seed, name in enumerate("xy"))
    validation = {name: np.ones((60, 60), dtype=bool) for name in "xy"}
    assert not seen_elsewhere(early, [early, other], validation, 4).any()


def test_shifted_grids_meet_on_the_ground():
    early = made_scene("x", (60, 60), seed=0, place="a")
    late = moved(made_scene("y", (60, 60), seed=1, place="a"), rows=10, columns=5)
    there = np.zeros((60, 60), dtype=bool)
    there[0:20, 0:20] = True  # in late's pixels: rows 10..29, columns 5..24 of early's
    seen = seen_elsewhere(early, [early, late], {"x": there, "y": there}, 0)
    expected = np.zeros((60, 60), dtype=bool)
    expected[10:30, 5:25] = True
    np.testing.assert_array_equal(seen, expected)


def test_other_crs_is_reprojected():
    early = made_scene("x", (60, 60), seed=0, place="a")
    late = made_scene("y", (60, 60), seed=1, place="a")
    west, north = early.scene.grid.transform.c, early.scene.grid.transform.f
    from pyproj import Transformer

    corner = Transformer.from_crs(32606, 32605, always_xy=True).transform(west, north)
    grid = Grid(CRS.from_epsg(32605), Affine(30, 0, corner[0], 0, -30, corner[1]), (60, 60))
    late = LabelledScene(Scene("y", late.scene.bands, late.scene.valid, grid), late.mask, None, late.entry)
    everywhere = {name: np.ones((60, 60), dtype=bool) for name in "xy"}
    seen = seen_elsewhere(early, [early, late], everywhere, 0)
    assert 0.7 < seen.mean() < 1  # the zones' grids are turned by some degrees against each other


@pytest.mark.parametrize(("gap", "pixels"), [(0, 1), (1, 9), (2, 25)])
def test_widen_counts_rows_and_columns(gap, pixels):
    mask = np.zeros((9, 9), dtype=bool)
    mask[4, 4] = True
    assert widen(mask, gap).sum() == pixels
