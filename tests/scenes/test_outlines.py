"""Outlines of every form on a scene's grid, by hand-counted pixels."""

from dataclasses import replace
from pathlib import Path

import geopandas
import numpy as np
import pyogrio.raw
import pytest
import rasterio
from affine import Affine
from made_outlines import expected, rectangle
from rasterio.crs import CRS
from rasterio.transform import array_bounds
from rasterio.warp import transform, transform_bounds
from shapely.geometry import LineString

from glacier_ml.errors import GlacierError
from glacier_ml.scenes.outlines import (
    clip_outlines,
    find_outlines,
    names_outlines,
    outline_dates,
    read_labels,
    read_mask,
    read_outlines,
)
from glacier_ml.scenes.rasters import write_raster
from glacier_ml.scenes.reading import open_scene
from glacier_ml.scenes.scene import Grid


@pytest.fixture
def polygons(tmp_path):
    """Factory of vector files of the geometries, with attribute columns."""

    def write(geometries, crs, filename="outlines.gpkg", **columns):
        frame = geopandas.GeoDataFrame(
            columns or {"id": range(len(geometries))}, geometry=geometries, crs=crs
        )
        frame.to_file(tmp_path / filename)
        return tmp_path / filename

    return write


@pytest.mark.parametrize("suffix", [".gpkg", ".shp", ".geojson", ".json", ".fgb"])
def test_polygons_of_every_format_in_degrees(tiny_grid, polygons, suffix):
    grid = tiny_grid()
    # Edges in the middle between pixel centres, so that the bow of a straight edge in degrees (far
    # below a pixel over 300 m) cannot reach a centre.
    frame = geopandas.GeoSeries([rectangle(grid, 4, 6, 14, 16)], crs=grid.crs.to_wkt()).to_crs(4326)
    path = polygons(list(frame), "EPSG:4326", f"outlines{suffix}")
    np.testing.assert_array_equal(read_mask(path, grid), expected(grid, 4, 6, 14, 16))


def test_a_pixel_belongs_to_the_polygon_that_holds_its_centre(tiny_grid, polygons):
    grid = tiny_grid()
    # Rows 2.4 to 5.6: centres 2.5, 3.5, 4.5, 5.5 lie inside. Columns 1.6 to 4.4: centres 2.5, 3.5.
    path = polygons([rectangle(grid, 2.4, 1.6, 5.6, 4.4)], "EPSG:32606")
    mask, known = read_labels(path, grid)
    np.testing.assert_array_equal(mask, expected(grid, 2, 2, 6, 4))
    assert known.all()


def test_only_polygons_in_the_scenes_window_are_read(tiny_grid, polygons, monkeypatch):
    grid = tiny_grid()
    shapes = [rectangle(grid, 1, 1, 4, 4), rectangle(grid, 500, 500, 600, 600)]
    path = polygons(shapes, "EPSG:32606")
    counts = []
    read = pyogrio.raw.read
    monkeypatch.setattr(
        pyogrio.raw,
        "read",
        lambda *given, **named: counts.append(read(*given, **named)) or counts[-1],
    )
    assert read_mask(path, grid).sum() == 9
    assert [len(rows) for _, rows, _, _ in counts] == [1]


def test_holes_and_overlaps_count_once(tiny_grid, polygons):
    grid = tiny_grid()
    holed = rectangle(grid, 2, 2, 12, 12).difference(rectangle(grid, 5, 5, 8, 8))
    path = polygons([holed, rectangle(grid, 2, 2, 4, 12)], "EPSG:32606")
    assert read_mask(path, grid).sum() == 100 - 9


@pytest.mark.parametrize("shift", [100, 100_000])
def test_polygons_that_miss_the_scene_are_refused(tiny_grid, polygons, shift):
    grid = tiny_grid()
    path = polygons([rectangle(grid, shift, shift, shift + 5, shift + 5)], "EPSG:32606")
    with pytest.raises(GlacierError, match=r"tiny: outlines\.gpkg: no polygon covers a pixel of the scene"):
        read_mask(path, grid, "tiny")


def test_a_polygon_between_pixel_centres_is_refused(tiny_grid, polygons):
    grid = tiny_grid()
    path = polygons([rectangle(grid, 3.6, 3.6, 4.4, 4.4)], "EPSG:32606")
    with pytest.raises(GlacierError, match="no polygon covers a pixel"):
        read_mask(path, grid)


def test_glims_rock_and_other_lines_are_not_glacier(tiny_grid, polygons):
    grid = tiny_grid()
    kinds = ["glac_bound", "intrnl_rock", "pro_lake", "debris_cov"]
    places = [(2, 2, 12, 12), (4, 4, 6, 6), (12, 12, 16, 16), (2, 2, 4, 4)]
    path = polygons([rectangle(grid, *place) for place in places], "EPSG:32606", line_type=kinds)
    # 10 x 10 of ice less 2 x 2 of rock; the lake lies outside, debris-covered ice is ice already.
    assert read_mask(path, grid).sum() == 96


def glims_of_two_days(grid, polygons):
    return polygons(
        [rectangle(grid, 2, 2, 12, 12), rectangle(grid, 4, 4, 5, 5), rectangle(grid, 2, 2, 6, 6)],
        "EPSG:32606",
        line_type=["glac_bound", "intrnl_rock", "glac_bound"],
        glac_id=["G1", "G1", "G1"],
        anlys_id=[1, 1, 2],
        src_date=["1978-08-26T00:00:00", "1978-08-26T00:00:00", "2009-09-06T00:00:00"],
    )


@pytest.mark.parametrize(("date", "pixels"), [("1980-01-01", 100 - 1), ("2007-09", 16)])
def test_of_several_days_the_nearest_outline_counts_with_its_own_rock(tiny_grid, polygons, date, pixels):
    grid = tiny_grid()
    assert read_mask(glims_of_two_days(grid, polygons), grid, date=date).sum() == pixels


def test_outlines_of_several_days_need_the_scenes_date(tiny_grid, polygons):
    grid = tiny_grid()
    with pytest.raises(GlacierError, match="outlines glacier G1 on several days; say the scene's 'date:'"):
        read_mask(glims_of_two_days(grid, polygons), grid, "tiny")


def test_a_file_without_polygons_a_crs_or_content_is_refused(tiny_grid, polygons, tmp_path):
    grid = tiny_grid()
    lines = polygons([LineString([(0, 0), (1, 1)])], "EPSG:32606", "lines.gpkg")
    with pytest.raises(GlacierError, match="one layer of polygons is wanted, found none"):
        read_mask(lines, grid)
    nowhere = polygons([rectangle(grid, 1, 1, 4, 4)], "EPSG:32606", "nowhere.shp")
    nowhere.with_suffix(".prj").unlink()
    with pytest.raises(GlacierError, match="has no coordinate reference system; add it"):
        read_mask(nowhere, grid)
    (tmp_path / "damaged.gpkg").write_bytes(b"no database")
    with pytest.raises(GlacierError, match=r"tiny: damaged\.gpkg: cannot be read"):
        read_mask(tmp_path / "damaged.gpkg", grid, "tiny")
    (tmp_path / "outlines.kml").write_text("<kml/>")
    with pytest.raises(GlacierError, match="is no file of outlines; give one of .tif"):
        read_mask(tmp_path / "outlines.kml", grid)


def test_a_file_of_two_polygon_layers_is_refused(tiny_grid, polygons, tmp_path):
    grid = tiny_grid()
    path = polygons([rectangle(grid, 1, 1, 4, 4)], "EPSG:32606", "first.gpkg")
    frame = geopandas.GeoDataFrame(geometry=[rectangle(grid, 1, 1, 9, 9)], crs="EPSG:32606")
    frame.to_file(path, layer="second")
    with pytest.raises(GlacierError, match="one layer of polygons is wanted, found first, second"):
        read_mask(path, grid)


def test_a_raster_on_the_scenes_grid_is_its_own_mask(tmp_path, tiny_grid):
    grid = tiny_grid()
    values = np.zeros(grid.shape)
    # GLIMS rasters hold 1 or the glacier's area; NaN and infinity are no glacier.
    values[0, :5] = [1, 482.7, -1, np.nan, np.inf]
    mask, known = read_labels(write_raster(tmp_path / "glims.tif", values, grid), grid)
    assert np.argwhere(mask).tolist() == [[0, 0], [0, 1], [0, 2]]
    assert known.all()


def test_nodata_of_a_raster_is_not_glacier(tmp_path, tiny_grid):
    grid = tiny_grid()
    values = expected(grid, 0, 0, 5, 5).astype(np.uint8)
    values[10:, :] = 255
    mask, known = read_labels(write_raster(tmp_path / "outlines.tif", values, grid, nodata=255), grid)
    assert mask.sum() == 25
    assert known.all()


def test_a_raster_in_degrees_is_sampled_at_pixel_centres(tmp_path, tiny_grid):
    grid = tiny_grid(shape=(48, 64))
    west, south, east, north = transform_bounds(grid.crs, 4326, *array_bounds(*grid.shape, grid.transform))
    step = 0.0004
    shape = (int((north - south) / step) + 3, int((east - west) / step) + 3)
    coarse = Grid(CRS.from_epsg(4326), Affine(step, 0, west - step, 0, -step, north + step), shape)
    drawn = np.random.default_rng(0).random(shape) < 0.5
    mask = read_mask(write_raster(tmp_path / "glims.tif", drawn, coarse), grid)

    row, column = np.indices(grid.shape)
    x, y = grid.transform @ (column.ravel() + 0.5, row.ravel() + 0.5)
    place = np.array(transform(grid.crs, coarse.crs, x, y))
    source_column, source_row = np.floor(~coarse.transform @ place).astype(int)
    exact = drawn[source_row, source_column].reshape(grid.shape)
    # GDAL approximates the projection to an eighth of a source pixel: only centres that lie so close to
    # a border between two cells may fall on its other side.
    assert (mask == exact).mean() > 0.95


def test_what_lies_beyond_a_raster_is_not_known(tmp_path, tiny_grid):
    grid = tiny_grid()
    half = tiny_grid(shape=(24, 16))
    mask, known = read_labels(write_raster(tmp_path / "half.tif", np.ones((24, 16)), half), grid)
    np.testing.assert_array_equal(known, expected(grid, 0, 0, 24, 16))
    np.testing.assert_array_equal(mask, known)


def test_a_raster_without_a_glacier_is_allowed_and_one_of_another_place_is_not(tmp_path, tiny_grid):
    grid, far = tiny_grid(), tiny_grid(west=600_000.0)
    path = write_raster(tmp_path / "none.tif", np.zeros(grid.shape, np.uint8), grid)
    assert not read_mask(path, grid).any()
    with pytest.raises(GlacierError, match=r"tiny: none\.tif: does not overlap the scene"):
        read_mask(path, far, "tiny")


@pytest.mark.parametrize("scene_too", [True, False])
def test_a_raster_on_a_site_grid_fits_a_scene_on_the_same_alone(tmp_path, tiny_grid, scene_too):
    site = replace(tiny_grid(), crs=CRS.from_wkt('LOCAL_CS["site grid",UNIT["metre",1]]'))
    path = write_raster(tmp_path / "glims.tif", expected(site, 0, 0, 5, 8).astype(np.uint8), site)
    if scene_too:
        assert read_mask(path, site).sum() == 40
        return
    with pytest.raises(GlacierError, match=r"glims\.tif: its coordinates cannot be related to the scene's"):
        read_mask(path, tiny_grid())


def test_a_raster_of_several_bands_is_refused(tmp_path, tiny_grid):
    grid = tiny_grid()
    profile = {"driver": "GTiff", "height": 24, "width": 32, "count": 3, "dtype": "uint8"}
    with rasterio.open(tmp_path / "rgb.tif", "w", crs=grid.crs, transform=grid.transform, **profile):
        pass
    with pytest.raises(GlacierError, match="an outline raster has one band, this has 3"):
        read_mask(tmp_path / "rgb.tif", grid)


def test_outlines_are_found_inside_and_beside_a_scene(tmp_path):
    folder = tmp_path / "columbia"
    folder.mkdir()
    for name in ("blue.tif", "ground.tif", "area.geojson"):
        (folder / name).touch()
    assert find_outlines(folder) is None
    (tmp_path / "columbia_outlines.shp").touch()
    (tmp_path / "columbia_outlines.dbf").touch()
    assert find_outlines(folder) == tmp_path / "columbia_outlines.shp"
    (folder / "glimsRast.tif").touch()
    assert find_outlines(folder) == folder / "glimsRast.tif"
    (folder / "RGI60-01.gpkg").touch()
    with pytest.raises(GlacierError, match=r"both RGI60-01\.gpkg and glimsRast\.tif may be its outlines"):
        find_outlines(folder)
    assert find_outlines(tmp_path / "columbia.tif") == tmp_path / "columbia_outlines.shp"


def test_names_tell_outlines_from_scenes_and_from_what_lies_beside_them():
    outline_names = [
        "RGI2000-v7.0-G-01_alaska.zip", "nsidc0770_01.rgi60.Alaska.zip", "01_rgi60_Alaska.shp",
        "NSIDC-0272_glims_db_north_20240603_v01.0.zip", "glims_polygons.shp", "outlines.parquet",
        "glacier_outlines.geojson", "outlines.shz", "rgi60.geoparquet", "glimsRast.tif",
    ]  # fmt: skip
    assert [name for name in outline_names if not names_outlines(Path(name))] == []
    others = [
        "LT05_L1TP_066017_20070917_20200829_02_T1.zip", "LT05_L1TP_066017_20070917_MTL.json", "item.json",
        "georgia.tif", "blue.tif", "glims_points.shp", "glims_images.shp", "glims_lines.shp",
        "RGI2000-v7.0-G-01_alaska-attributes.csv", "RGI2000-v7.0-I-01_alaska-intersects.shp", "rgi.kml",
    ]  # fmt: skip
    assert [name for name in others if names_outlines(Path(name))] == []


def test_outlines_beside_an_archive_go_by_the_scenes_name(tmp_path):
    (tmp_path / "LT05_x_outlines.zip").touch()
    assert find_outlines(tmp_path / "LT05_x.tar.gz") == tmp_path / "LT05_x_outlines.zip"
    assert find_outlines(tmp_path / "LT05_x.tar") == tmp_path / "LT05_x_outlines.zip"
    assert find_outlines(tmp_path / "LT05_y.tar") is None


def test_a_raster_has_no_dates_and_cannot_be_clipped(tmp_path, tiny_grid):
    grid = tiny_grid()
    path = write_raster(tmp_path / "outlines.tif", np.ones(grid.shape, np.uint8), grid)
    assert outline_dates(path, grid) is None
    labels = read_outlines(path, grid)
    assert (labels.source, labels.debris, labels.dates) == ("raster", None, None)
    with pytest.raises(GlacierError, match=r"outlines\.tif: is a raster, which is not clipped"):
        clip_outlines(path, grid, tmp_path / "clipped.gpkg", "tiny")


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("folder", "glacier_fraction"), [("2007_TOA", 0.198), ("2009_TOA", 0.153), ("geometry8", 0.463)]
)
def test_glacier_fraction_of_the_landsat_scenes(real_scenes, folder, glacier_fraction):
    scene = open_scene(real_scenes / folder)
    mask, known = read_labels(find_outlines(real_scenes / folder), scene.grid)
    labelled = scene.valid & known
    assert round(float(mask[labelled].mean()), 3) == glacier_fraction
    # The raster's box of degrees leaves a border of the scene without a label, and little of its data.
    assert 0.99 < labelled.sum() / scene.valid.sum() < 1
