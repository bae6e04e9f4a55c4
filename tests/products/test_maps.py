"""Map files as GDAL reads them, and areas against the ellipsoid."""

import math
import os
import resource

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.crs import CRS

from glacier_ml.errors import GlacierError
from glacier_ml.products.maps import area_km2, file_stem, pixel_areas, staged, write_map
from glacier_ml.scenes.scene import Grid, Scene

UTM = CRS.from_epsg(32606)
PLACE = Affine(30, 0, 500_000, 0, -30, 6_780_000)


def made_scene(shape=(300, 40), name="made"):
    valid = np.ones(shape, dtype=bool)
    valid[:, 0] = False
    bands = {band: np.where(valid, 0.2, np.nan).astype(np.float32) for band in ("red", "nir", "swir1")}
    return Scene(name, bands, valid, Grid(UTM, PLACE, shape), {"date": "2009-09-06"})


def made_probability(scene):
    probability = np.linspace(0, 1, scene.shape[0], dtype=np.float32)[:, None].repeat(scene.shape[1], axis=1)
    return np.where(scene.valid, probability, np.nan).astype(np.float32)


def test_files_lie_on_the_scenes_grid_with_nodata_and_tags(tmp_path):
    scene = made_scene()
    probability = made_probability(scene)
    files = write_map(scene, probability, 0.5, tmp_path / "new" / "folder", {"model": "unet@1", "run_id": 7})
    assert sorted(path.name for path in (tmp_path / "new" / "folder").iterdir()) == [
        "made_mask.tif",
        "made_preview.png",
        "made_probability.tif",
    ]
    with rasterio.open(files.probability) as raster:
        assert (raster.crs, raster.transform, raster.shape) == (UTM, PLACE, scene.shape)
        assert raster.dtypes == ("float32",) and math.isnan(raster.nodata)
        np.testing.assert_array_equal(raster.read(1), probability)
        tags = raster.tags()
    expected = {
        "scene": "made",
        "scene_date": "2009-09-06",
        "threshold": "0.5",
        "model": "unet@1",
        "run_id": "7",
    }
    assert expected.items() <= tags.items()
    assert tags["software"].startswith("glacier_ml")
    assert tags["scene_digest"] == scene.digest
    with rasterio.open(files.mask) as raster:
        assert raster.dtypes == ("uint8",) and raster.nodata == 255
        mask = raster.read(1)
        assert raster.colormap(1)[1] == (86, 180, 233, 255)
        assert expected.items() <= raster.tags().items()
    assert (mask[:, 0] == 255).all()
    np.testing.assert_array_equal(mask[:, 1:], probability[:, 1:] >= 0.5)
    assert files.preview.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("encoding", ["float32", "uint8"])
def test_rasters_are_cloud_optimized(tmp_path, encoding):
    cogeo = pytest.importorskip("rio_cogeo.cogeo")
    scene = made_scene((700, 520))
    files = write_map(scene, made_probability(scene), 0.5, tmp_path, encoding=encoding, picture=False)
    assert files.preview is None
    for path in (files.probability, files.mask):
        assert cogeo.cog_validate(path, strict=True) == (True, [], [])
        with rasterio.open(path) as raster:
            assert raster.overviews(1) == [2, 4]


def test_a_full_disk_is_told_and_leaves_no_map(tmp_path):
    scene = made_scene((300, 300))
    noise = np.random.default_rng(0).random(scene.shape, np.float32)
    probability = np.where(scene.valid, noise, np.nan).astype(np.float32)
    whole = write_map(scene, probability, 0.5, tmp_path / "whole", picture=False)
    size = whole.probability.stat().st_size
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    for lacking in (1, 100, 1000, 20_000, 100_000, size - 100):
        resource.setrlimit(resource.RLIMIT_FSIZE, (size - lacking, hard))  # no file may grow beyond
        try:
            with pytest.raises(GlacierError, match="the output folder cannot be written"):
                write_map(scene, probability, 0.5, tmp_path / "maps", picture=False)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert os.listdir(tmp_path / "maps") == []


def test_percent_encoding_keeps_the_probability_to_half_a_percent(tmp_path):
    scene = made_scene()
    probability = made_probability(scene)
    files = write_map(scene, probability, 0.5, tmp_path, encoding="uint8", picture=False)
    with rasterio.open(files.probability) as raster:
        stored = raster.read(1, masked=True) * raster.scales[0]
    assert (stored.mask == ~scene.valid).all()
    assert np.abs(stored - probability)[scene.valid].max() <= 0.005 + 1e-6
    with pytest.raises(GlacierError, match="encoding: 'int4' is not known"):
        write_map(scene, probability, 0.5, tmp_path, encoding="int4", picture=False)


def test_pixels_that_the_classifier_left_out_are_nodata_and_no_area(tmp_path):
    scene = made_scene((20, 20))
    probability = np.ones(scene.shape, dtype=np.float32)
    probability[:10] = np.nan
    files = write_map(scene, probability, 0.5, tmp_path, picture=False)
    with rasterio.open(files.mask) as raster:
        assert (raster.read(1) == 255).sum() == 10 * 20 + 10  # upper half and the scene's nodata column
    # 190 pixels of 900 m2 on the map, .9996^2 of the ground on the central meridian
    assert files.area_km2 == pytest.approx(190 * 900 / 0.9996**2 / 1e6, rel=1e-6)


def test_probability_on_another_grid_is_refused(tmp_path):
    with pytest.raises(
        GlacierError, match=r"made: the probability has shape \(2, 2\), the scene \(300, 40\)"
    ):
        write_map(made_scene(), np.zeros((2, 2), dtype=np.float32), 0.5, tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_folder_that_cannot_be_written_is_one_line(tmp_path):
    scene = made_scene((20, 20))
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    with pytest.raises(GlacierError, match="file: the output folder cannot be written"):
        write_map(scene, made_probability(scene), 0.5, blocked)
    assert blocked.read_text() == "not a folder"


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write anywhere")
def test_read_only_folder_is_one_line(tmp_path):
    scene = made_scene((20, 20))
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(GlacierError, match="cannot be written"):
            write_map(scene, made_probability(scene), 0.5, tmp_path)
    finally:
        tmp_path.chmod(0o700)


def test_a_failure_in_the_middle_leaves_the_earlier_files(tmp_path):
    (tmp_path / "map.tif").write_text("earlier")
    with pytest.raises(RuntimeError, match="in the middle"), staged(tmp_path) as partial:
        (partial / "map.tif").write_text("later")
        raise RuntimeError("in the middle")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["earlier"]


@given(st.text())
def test_file_stems_stay_in_their_folder(name):
    stem = file_stem(name)
    assert stem and not stem.startswith(".") and "/" not in stem and "\\" not in stem


def test_area_on_utms_central_meridian():
    # The scale is .9996 there: 100 x 100 pixels of 30 m are 9 / .9996^2 = 9.007204 km2. 50 columns
    # beside it the scale is larger by (1500 / 6.39e6)^2 / 2 = 3e-8.
    grid = Grid(UTM, Affine(30, 0, 498_500, 0, -30, 6_780_000), (100, 100))
    assert area_km2(np.ones((100, 100), dtype=bool), grid) == pytest.approx(9.007204, rel=1e-6)


def test_area_of_a_geographic_grid_at_the_equator():
    # a square arc second: (pi / 648000)^2 x M N, with N = 6378137 m and M = 6335439.327 m (WGS 84)
    second = 1 / 3600
    grid = Grid(CRS.from_epsg(4326), Affine(second, 0, 10, 0, -second, second / 2), (1, 1))
    expected = (math.pi / 648000) ** 2 * 6378137 * 6335439.327 / 1e6
    assert area_km2(np.ones((1, 1), dtype=bool), grid) == pytest.approx(expected, rel=1e-8)


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from([4326, 32606, 32618, 3857, 3413, 3035, 2263]),
    st.floats(-60, 60),
    st.floats(0, 1),
    st.tuples(st.integers(1, 200), st.integers(1, 200)),
)
def test_area_is_that_of_the_geodesic_polygon(epsg, turn, where, shape):
    from pyproj import CRS as Projection  # noqa: N811 (rasterio's CRS has the name)
    from pyproj import Transformer

    # a point inside the projection's area of use, whatever its units; the grid may be turned
    projection = Projection.from_epsg(epsg)
    west, south, east, north = projection.area_of_use.bounds
    latitude = max(south, -80) + (min(north, 80) - max(south, -80)) * (0.2 + 0.6 * where)
    there = Transformer.from_crs(projection.geodetic_crs, projection, always_xy=True)
    x, y = there.transform(west + (east - west) * (0.2 + 0.6 * where), latitude)
    metre = 1 / 111_000 if projection.is_geographic else 1 / projection.axis_info[0].unit_conversion_factor
    transform = Affine.translation(x, y) @ Affine.rotation(turn) @ Affine.scale(30 * metre, -30 * metre)
    rows, columns = shape
    steps = np.linspace(0, 1, 50)[:-1]
    edge = [(columns * s, 0) for s in steps] + [(columns, rows * s) for s in steps]
    edge += [(columns * (1 - s), rows) for s in steps] + [(0, rows * (1 - s)) for s in steps]
    ring = np.array([transform @ corner for corner in edge])
    back = Transformer.from_crs(projection, projection.geodetic_crs, always_xy=True)
    polygon, _ = projection.get_geod().polygon_area_perimeter(*back.transform(*ring.T))
    grid = Grid(CRS.from_epsg(epsg), transform, shape)
    assert area_km2(np.ones(shape, dtype=bool), grid) == pytest.approx(abs(polygon) / 1e6, rel=2e-5)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_areas_of_parts_add_up(seed, share):
    grid = Grid(CRS.from_epsg(4326), Affine(0.01, 0, -147, 0, -0.01, 61), (130, 70))
    part = np.random.default_rng(seed).random(grid.shape) < share
    whole = area_km2(np.ones(grid.shape, dtype=bool), grid)
    assert area_km2(part, grid) + area_km2(~part, grid) == pytest.approx(whole, rel=1e-9)


def test_nodes_reach_every_edge():
    rows, columns, areas = pixel_areas(Grid(UTM, PLACE, (130, 1)))
    assert rows.tolist() == [0, 43, 86, 129]
    assert columns.tolist() == [0]
    assert areas.shape == (4, 1)


def test_area_across_the_date_line():
    grid = Grid(CRS.from_epsg(4326), Affine(0.01, 0, 179.9, 0, -0.01, 0.1), (20, 20))
    there = Grid(CRS.from_epsg(4326), Affine(0.01, 0, 10, 0, -0.01, 0.1), (20, 20))
    everything = np.ones((20, 20), dtype=bool)
    assert area_km2(everything, grid) == pytest.approx(area_km2(everything, there), rel=1e-9)
