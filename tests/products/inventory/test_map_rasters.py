"""The rasters of a map: found, checked, read."""

import numpy as np
import pytest
from made_maps import TAGS, write_maps

from glacier_ml.errors import GlacierError
from glacier_ml.products.inventory.cautions import InventoryWarning
from glacier_ml.products.inventory.map_rasters import STRIP, find_maps


def some_mask(grid):
    mask = np.zeros(grid.shape, np.uint8)
    mask[2:6, 3:9] = 1
    mask[:, -1] = 255
    return mask


def test_maps_are_found_by_name_with_their_tags(tmp_path, tiny_grid):
    grid = tiny_grid()
    for stem in ("west", "east"):
        write_maps(tmp_path, some_mask(grid), grid, stem=stem, scene=f"{stem}-2009")
    found = find_maps(tmp_path)
    assert [one.scene for one in found] == ["east-2009", "west-2009"]
    assert (found[0].date, found[0].tags["model"], found[0].members) == ("2009-09-06", "glacier-unet", None)
    assert [one.stem for one in find_maps(tmp_path, "west-2009")] == ["west"]
    assert [one.stem for one in find_maps(tmp_path, "west")] == ["west"]
    with pytest.raises(GlacierError, match="holds no map of scene north; choose one of east-2009, west-2009"):
        find_maps(tmp_path, "north")
    np.testing.assert_array_equal(found[0].read_mask(), some_mask(grid))


def test_a_scene_without_name_and_date_goes_by_its_files(tmp_path, tiny_grid):
    grid = tiny_grid()
    write_maps(tmp_path, some_mask(grid), grid, scene=None, scene_date=None)
    (one,) = find_maps(tmp_path)
    assert (one.scene, one.date) == ("peak", None)


@pytest.mark.parametrize("percent", [False, True])
def test_probabilities_come_by_strips_with_their_scale_and_gaps(tmp_path, tiny_grid, percent):
    grid = tiny_grid(shape=(STRIP + 5, 8))
    probability = np.linspace(0, 1, STRIP + 5)[:, None].repeat(8, axis=1)
    probability[3, 4] = np.nan
    write_maps(tmp_path, np.zeros(grid.shape), grid, probability=probability, percent=percent)
    first, second = find_maps(tmp_path)[0].probabilities()
    assert (first.shape, second.shape) == ((STRIP, 8), (5, 8))
    # percent keeps probabilities to half a hundredth
    np.testing.assert_allclose(np.concatenate([first, second]), probability, atol=0.005 + 1e-6)
    assert np.isnan(first[3, 4])


def test_bad_folders_are_told_in_one_line(tmp_path, tiny_grid):
    grid = tiny_grid()
    with pytest.raises(GlacierError, match="none: is not a folder of maps; give the one that predict wrote"):
        find_maps(tmp_path / "none")
    with pytest.raises(GlacierError, match="holds no <scene>_mask.tif; run predict"):
        find_maps(tmp_path)
    write_maps(tmp_path, some_mask(grid), grid)
    (tmp_path / "peak_probability.tif").unlink()
    with pytest.raises(GlacierError, match="peak: peak_probability.tif is missing beside peak_mask.tif"):
        find_maps(tmp_path)


@pytest.mark.parametrize("raster", ["probability", "members"])
def test_rasters_on_different_grids_are_refused(tmp_path, tiny_grid, raster):
    grid, moved = tiny_grid(), tiny_grid(west=480_030.0)
    write_maps(tmp_path, some_mask(grid), grid)
    write_maps(tmp_path / "moved", some_mask(moved), moved, members=[some_mask(moved)])
    (tmp_path / "moved" / f"peak_{raster}.tif").replace(tmp_path / f"peak_{raster}.tif")
    with pytest.raises(GlacierError, match=f"peak_{raster}.tif and peak_mask.tif lie on different grids"):
        find_maps(tmp_path)


def test_what_is_no_mask_is_refused(tmp_path, tiny_grid):
    grid = tiny_grid()
    write_maps(tmp_path, np.where(some_mask(grid) == 1, 2, 0), grid)
    with pytest.raises(GlacierError, match="a mask holds 0, 1 and 255, this also 2; run predict again"):
        find_maps(tmp_path)[0].read_mask()
    (tmp_path / "peak_probability.tif").replace(tmp_path / "peak_mask.tif")
    with pytest.raises(GlacierError, match="peak_mask.tif has 1 band of uint8, this has 1 of float32"):
        find_maps(tmp_path)


@pytest.mark.parametrize("raster", ["probability", "members"])
@pytest.mark.parametrize("tag", ["scene_digest", "model", "run_id", "threshold"])
def test_rasters_of_different_runs_are_refused(tmp_path, tiny_grid, raster, tag):
    grid = tiny_grid()
    mask = some_mask(grid)
    write_maps(tmp_path, mask, grid)
    write_maps(tmp_path / "older", mask, grid, members=[mask], **{tag: "0.25"})
    (tmp_path / "older" / f"peak_{raster}.tif").replace(tmp_path / f"peak_{raster}.tif")
    line = (
        f"peak: peak_mask.tif and peak_{raster}.tif are of different runs .{tag} .* and 0.25.; run predict a"
    )
    with pytest.raises(GlacierError, match=line):
        find_maps(tmp_path)


def test_a_mask_that_lost_its_tags_goes_by_those_of_the_probability(tmp_path, tiny_grid):
    grid, nothing = tiny_grid(), dict.fromkeys(TAGS)
    write_maps(tmp_path / "maps", some_mask(grid), grid, members=[some_mask(grid)])
    write_maps(tmp_path / "corrected", some_mask(grid), grid, **nothing)
    (tmp_path / "corrected" / "peak_mask.tif").replace(tmp_path / "maps" / "peak_mask.tif")
    (one,) = find_maps(tmp_path / "maps")
    assert (one.scene, one.date, one.tags["run_id"]) == ("peak", "2009-09-06", "r7")


@pytest.mark.parametrize("damaged", [False, True])
def test_masks_from_elsewhere_are_passed_over(tmp_path, tiny_grid, damaged):
    grid = tiny_grid()
    write_maps(tmp_path, some_mask(grid), grid)
    write_maps(tmp_path / "other", np.full(grid.shape, 7), grid, **dict.fromkeys(TAGS))
    cloud = (tmp_path / "other" / "peak_mask.tif").replace(tmp_path / "cloud_mask.tif")
    if damaged:
        cloud.write_bytes(b"II*")
    with pytest.warns(InventoryWarning, match="cloud_mask.tif passed over: without a probability beside it"):
        assert [one.scene for one in find_maps(tmp_path)] == ["peak"]
    assert [one.scene for one in find_maps(tmp_path, "peak")] == ["peak"]  # and no word of the other
    for name in ("mask", "probability"):
        (tmp_path / f"peak_{name}.tif").unlink()
    with pytest.raises(GlacierError, match="no <scene>_mask.tif but cloud_mask.tif from elsewhere; run pre"):
        find_maps(tmp_path)


def test_a_damaged_map_does_not_stop_another_scenes(tmp_path, tiny_grid):
    grid = tiny_grid()
    for stem in ("east", "west"):
        write_maps(tmp_path, some_mask(grid), grid, stem=stem)
    (tmp_path / "west_mask.tif").write_bytes(b"II*")
    assert [one.scene for one in find_maps(tmp_path, "east")] == ["east"]
    with pytest.raises(GlacierError, match="west: .*west_mask.tif"):
        find_maps(tmp_path)
