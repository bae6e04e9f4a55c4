"""Outlines paired by array index: what the report had, and how far it is off."""

from dataclasses import replace

import numpy as np
import pytest
import rasterio
from rasterio.crs import CRS

from glacier_ml.errors import GlacierError
from glacier_ml.scenes.catalog import open_catalog
from glacier_ml.scenes.index_pairing import index_offsets, index_paired
from glacier_ml.scenes.rasters import grid_of, write_raster


def load(folder):
    return open_catalog(folder).entries[0].load()


@pytest.fixture
def shifted(tiny_scene_folder, tiny_grid):
    """A scene of 24 x 32 px whose raster of outlines lies 90 m, three pixels, further east."""
    folder = tiny_scene_folder("shifted", outlines=False)
    mask = np.zeros((24, 32), np.uint8)
    mask[:12, :16] = 1
    write_raster(folder / "outlines.tif", mask, tiny_grid(west=480_090.0))
    return folder, mask.astype(bool)


def test_pairing_takes_the_rows_and_columns_as_they_are(shifted):
    folder, mask = shifted
    labelled = load(folder)
    # Reprojected, the outline begins at column 3, and the columns before it have no label.
    assert labelled.mask[0, 3:19].all() and not labelled.scene.valid[:, :3].any()
    paired = index_paired(labelled)
    np.testing.assert_array_equal(paired.mask, mask)
    assert paired.scene.valid.all()


def test_outlines_on_the_scenes_grid_stay_as_they_are(tiny_scene_folder):
    labelled = load(tiny_scene_folder())
    assert index_paired(labelled) is labelled


def test_polygons_and_scenes_without_outlines_stay_as_they_are(tiny_scene_folder):
    labelled = load(tiny_scene_folder())
    for outlines in (None, labelled.entry.path / "outlines.gpkg"):
        other = replace(labelled, entry=replace(labelled.entry, outlines=outlines))
        assert index_paired(other) is other


def test_unequal_shapes_cannot_be_paired(tiny_scene_folder, tiny_grid):
    folder = tiny_scene_folder(outlines=False)
    write_raster(folder / "outlines.tif", np.ones((30, 40), np.uint8), tiny_grid(shape=(30, 40)))
    with pytest.raises(GlacierError, match="tiny: outlines.tif has 30 x 40 px and the scene 24 x 32;.*sound"):
        index_paired(load(folder))


def test_offsets_worked_by_hand(tiny_grid):
    # 90 m further east are 3 columns; cells of 60 m end twice as far: the last of 32 lies 31 columns on
    east = index_offsets(tiny_grid(), tiny_grid(west=480_090.0))
    np.testing.assert_allclose(east, np.broadcast_to([0, 3], (2, 2, 2)), atol=1e-6)
    coarse = index_offsets(tiny_grid(), tiny_grid(cell=60.0))
    np.testing.assert_allclose(coarse[0, 0], [0.5, 0.5], atol=1e-6)
    np.testing.assert_allclose(coarse[1, 1], [0.5 + 23, 0.5 + 31], atol=1e-6)


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "outlines", "pixels"),
    [("columbia-2007", "2007_TOA", 4), ("columbia-2009", "2009_TOA", 4), ("patagonia-8", "geometry8", 26)],
)
def test_the_reports_pairing_is_pixels_off(real_scenes, name, outlines, pixels):
    with (
        rasterio.open(real_scenes / outlines / "blue.tif") as band,
        rasterio.open(real_scenes / outlines / "glimsRast.tif") as raster,
    ):
        assert raster.crs == CRS.from_epsg(4326) and raster.shape == band.shape
        offsets = index_offsets(grid_of(band, name), grid_of(raster, name))
    assert np.abs(offsets).max() == pytest.approx(pixels, abs=1)


@pytest.mark.real_data
def test_the_reports_masks_are_wrong_where_outlines_run(real_scenes):
    catalog = {entry.name: entry for entry in open_catalog(real_scenes).entries}
    labelled = catalog["patagonia-8"].load()
    paired = index_paired(labelled)
    known = labelled.scene.valid & paired.scene.valid
    wrong = (labelled.mask != paired.mask)[known].mean()
    assert 0.01 < wrong < 0.2
    assert paired.mask.mean() == pytest.approx(0.463, abs=0.02)  # its share of glacier is about the same
