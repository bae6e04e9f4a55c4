"""RGI and GLIMS as every kind of file: the same mask, the window alone read, nothing written."""

import json
import shutil
import zipfile

import geopandas
import numpy as np
import pyarrow.parquet
import pyogrio
import pyogrio.raw
import pytest
import shapely
from made_outlines import expected, rectangle, write_outlines, zip_files
from shapely.geometry import LineString, Point, box

from glacier_ml.scenes import outlines
from glacier_ml.scenes.outlines import read_mask, read_outlines
from glacier_ml.scenes.vectors import geoparquet
from glacier_ml.scenes.vectors.layers import VECTORS, polygon_layer

RGI_7 = {"rgi_id": ["RGI2000-v7.0-G-01-00001"], "src_date": ["2001-08-12T00:00:00"]}


def in_degrees(grid, *polygons):
    return list(geopandas.GeoSeries(polygons, crs=grid.crs.to_wkt()).to_crs(4326))


@pytest.mark.parametrize("suffix", VECTORS)
def test_every_format_gives_the_same_mask_and_date(tmp_path, tiny_grid, suffix):
    grid = tiny_grid()
    path = write_outlines(
        tmp_path / f"rgi{suffix}", in_degrees(grid, rectangle(grid, 4, 6, 14, 16)), 4326, **RGI_7
    )
    labels = read_outlines(path, grid)
    np.testing.assert_array_equal(labels.mask, expected(grid, 4, 6, 14, 16))
    assert labels.known.all()
    assert labels.source == "RGI 7"
    assert labels.dates.mean == "2001-08-12"


@pytest.mark.parametrize("suffix", [".gpkg", ".shp", ".fgb", ".geojson", ".zip"])
def test_gdal_yields_the_windows_polygons_alone(tmp_path, tiny_grid, suffix, monkeypatch):
    grid = tiny_grid()
    shapes = [rectangle(grid, 1, 1, 4, 4), rectangle(grid, 500, 500, 600, 600)]
    path = write_outlines(tmp_path / f"rgi{suffix}", in_degrees(grid, *shapes), 4326)
    counts = []
    read = pyogrio.raw.read

    def counting(*given, **named):
        answer = read(*given, **named)
        counts.append(len(answer[1]))
        return answer

    monkeypatch.setattr(pyogrio.raw, "read", counting)
    assert read_mask(path, grid).sum() == 9
    assert counts == [1]


def test_row_groups_of_geoparquet_that_lie_elsewhere_are_not_read(tmp_path, tiny_grid, monkeypatch):
    grid = tiny_grid()
    places = [rectangle(grid, 100 * n + 1, 1, 100 * n + 4, 4) for n in range(5)]
    frame = geopandas.GeoDataFrame({"id": range(5)}, geometry=in_degrees(grid, *places), crs=4326)
    path = tmp_path / "rgi.parquet"
    frame.to_parquet(path, write_covering_bbox=True, row_group_size=1)
    read = []
    iter_batches = pyarrow.parquet.ParquetFile.iter_batches

    def noting(self, *given, **named):
        read.append((named["row_groups"][0], "geometry" in named["columns"]))
        return iter_batches(self, *given, **named)

    monkeypatch.setattr(pyarrow.parquet.ParquetFile, "iter_batches", noting)
    assert read_mask(path, grid).sum() == 9
    assert [group for group, geometry in read if geometry] == [0]
    assert [group for group, geometry in read if not geometry] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("covering", [True, False])
def test_batches_of_geoparquet_are_put_together(tmp_path, tiny_grid, monkeypatch, covering):
    grid = tiny_grid()
    monkeypatch.setattr(geoparquet, "_BATCH", 3)
    columns = [rectangle(grid, 0, 2 * n, 2, 2 * n + 1) for n in range(16)]
    frame = geopandas.GeoDataFrame({"rgi_id": [f"R{n}" for n in range(16)]}, geometry=columns, crs=32606)
    path = tmp_path / "rgi.parquet"
    frame.to_parquet(path, write_covering_bbox=covering, row_group_size=7)
    # Every other column of the first two rows.
    assert read_mask(path, grid).sum() == 2 * 16


def test_geoparquet_of_coordinate_lists_is_read(tmp_path, tiny_grid):
    grid = tiny_grid()
    frame = geopandas.GeoDataFrame({"id": [1]}, geometry=[rectangle(grid, 1, 1, 4, 4)], crs=32606)
    frame.to_parquet(tmp_path / "rgi.parquet", geometry_encoding="geoarrow")
    np.testing.assert_array_equal(read_mask(tmp_path / "rgi.parquet", grid), expected(grid, 1, 1, 4, 4))


def test_geoparquet_without_a_word_on_its_crs_is_in_degrees(tmp_path, tiny_grid):
    grid = tiny_grid()
    path = write_outlines(
        tmp_path / "rgi.parquet", in_degrees(grid, rectangle(grid, 4, 6, 14, 16)), "OGC:CRS84"
    )
    table = pyarrow.parquet.read_table(path)
    told = json.loads(table.schema.metadata[b"geo"])
    del told["columns"]["geometry"]["crs"]
    pyarrow.parquet.write_table(table.replace_schema_metadata({"geo": json.dumps(told)}), path)
    np.testing.assert_array_equal(read_mask(path, grid), expected(grid, 4, 6, 14, 16))


def glims_download(tmp_path, grid):
    """GLIMS as it is downloaded: several Shapefiles in a folder of a zip, with hypsometry and a read-me."""
    folder = tmp_path / "loose"
    folder.mkdir()
    ice = rectangle(grid, 2, 2, 12, 12)
    for name, shape in (
        ("polygons", ice),
        ("points", ice.centroid),
        ("lines", LineString(ice.exterior.coords)),
    ):
        write_outlines(folder / f"glims_{name}.shp", [shape], "EPSG:32606", line_type=["glac_bound"])
    (folder / "README.txt").write_text("about")
    (folder / "glims_hypsometry_50.csv").write_text("a,b\n")
    return zip_files(tmp_path / "glims_db_20240603.zip", folder, "glims_download_98948")


def test_of_a_download_the_polygons_are_read_and_nothing_is_written(tmp_path, tiny_grid):
    grid = tiny_grid()
    path = glims_download(tmp_path, grid)
    shutil.rmtree(tmp_path / "loose")
    before = path.stat()
    assert read_mask(path, grid).sum() == 100
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    assert (path.stat().st_mtime_ns, path.stat().st_size) == (before.st_mtime_ns, before.st_size)


def test_glims_polygons_are_preferred_to_other_layers_of_polygons(tmp_path, tiny_grid):
    grid = tiny_grid()
    path = tmp_path / "glims.gpkg"
    for layer, size in (("glims_polygons", 12), ("glims_images", 20)):
        frame = geopandas.GeoDataFrame(geometry=[rectangle(grid, 2, 2, size, size)], crs=32606)
        frame.to_file(path, layer=layer)
    pyogrio.write_dataframe(frame.drop(columns="geometry").assign(key=1), path, layer="metadata")
    assert polygon_layer(path, "glims").name == "glims_polygons"
    assert read_mask(path, grid).sum() == 100


def test_a_geopackage_in_a_zip_is_read(tmp_path, tiny_grid):
    grid = tiny_grid()
    loose = tmp_path / "loose"
    loose.mkdir()
    write_outlines(loose / "rgi.gpkg", [rectangle(grid, 1, 1, 4, 4)], 32606)
    (loose / "style.json").write_text("{}")
    assert read_mask(zip_files(tmp_path / "rgi.gpkg.zip", loose, "one/two"), grid).sum() == 9


def test_members_that_point_outside_of_the_archive_are_passed_over(tmp_path, tiny_grid):
    grid = tiny_grid()
    good = write_outlines(tmp_path / "rgi.zip", [rectangle(grid, 1, 1, 4, 4)], 32606)
    with zipfile.ZipFile(good, "a") as archive:
        archive.writestr("../../escaped.geojson", "{}")
        archive.writestr("/etc/escaped.geojson", "{}")
        archive.writestr("__MACOSX/._drawn.shp", "resource fork")
    assert read_mask(good, grid).sum() == 9


def test_columns_in_capitals_mean_the_same(tmp_path, tiny_grid):
    grid = tiny_grid()
    shapes = [rectangle(grid, 2, 2, 12, 12), rectangle(grid, 4, 4, 6, 6)]
    path = write_outlines(tmp_path / "glims.shp", shapes, 32606, LINE_TYPE=["glac_bound", "intrnl_rock"])
    assert read_mask(path, grid).sum() == 96


def test_shapes_in_space_are_flattened_and_points_beside_them_left_out(tmp_path, tiny_grid):
    grid = tiny_grid()
    solid = shapely.force_3d(rectangle(grid, 1, 1, 4, 4), 812.5)
    path = write_outlines(tmp_path / "rgi.geojson", in_degrees(grid, solid, Point(480_100, 6_779_900)), 4326)
    assert read_mask(path, grid).sum() == 9


def test_curves_are_drawn_as_chords(tmp_path, tiny_grid):
    grid = tiny_grid()
    x, y = 480_480, 6_779_640  # the middle of 32 columns and 24 rows
    ring = f"CIRCULARSTRING({x - 300} {y},{x} {y + 300},{x + 300} {y},{x} {y - 300},{x - 300} {y})"
    table = geopandas.pd.DataFrame({"WKT": [f"CURVEPOLYGON({ring})"]})
    table.to_csv(tmp_path / "curve.csv", index=False)
    frame = geopandas.GeoDataFrame(pyogrio.read_dataframe(tmp_path / "curve.csv")).set_crs(32606)
    frame.to_file(tmp_path / "curve.gpkg")
    # A disc of 10 pixels' radius has pi * 100 = 314 pixels, give or take its edge.
    assert read_mask(tmp_path / "curve.gpkg", grid).sum() == pytest.approx(314, abs=8)


def test_an_unclosed_ring_is_closed_and_told(tmp_path, tiny_grid):
    grid = tiny_grid()
    (ice,) = in_degrees(grid, rectangle(grid, 4, 6, 14, 16))
    shape = {"type": "Polygon", "coordinates": [list(ice.exterior.coords)[:-1]]}
    feature = {"type": "Feature", "properties": {}, "geometry": shape}
    path = tmp_path / "rgi.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    with pytest.warns(outlines.OutlineWarning, match=r"^rgi\.geojson: 1 invalid polygon mended$"):
        np.testing.assert_array_equal(read_mask(path, grid), expected(grid, 4, 6, 14, 16))


def test_text_in_another_encoding_than_named_is_no_hindrance(tmp_path, tiny_grid):
    grid = tiny_grid()
    path = write_outlines(
        tmp_path / "rgi.shp", [rectangle(grid, 1, 1, 4, 4)], 32606, RGIId=["RGI60-01.1"], Name=["Kl\u00fcane"]
    )
    table = path.with_suffix(".dbf")
    table.write_bytes(table.read_bytes().replace("\u00fc".encode(), b"\xfc "))
    assert path.with_suffix(".cpg").read_text() == "UTF-8"
    assert read_mask(path, grid).sum() == 9
    assert outlines.clip_outlines(path, grid, tmp_path / "out.gpkg").is_file()


def test_the_window_decides_and_not_the_box_around_all(tmp_path, tiny_grid):
    grid = tiny_grid()
    path = write_outlines(tmp_path / "rgi.gpkg", [box(479_000, 6_770_000, 490_000, 6_790_000)], 32606)
    assert read_mask(path, grid).all()
