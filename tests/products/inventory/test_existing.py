"""Existing outlines with their ids, and what they say of the scene's ground."""

import numpy as np
import pytest
from made_outlines import rectangle, write_outlines

from glacier_ml.errors import GlacierError
from glacier_ml.products.inventory.areas import polygon_areas_km2
from glacier_ml.products.inventory.existing import read_existing
from glacier_ml.scenes.outlines import OutlineWarning

UTM = "EPSG:32606"


def test_rgi_7_keeps_what_is_true_of_the_glacier(tmp_path, tiny_grid):
    grid = tiny_grid()
    path = write_outlines(
        tmp_path / "rgi.gpkg",
        [rectangle(grid, 2, 2, 12, 12), rectangle(grid, 2, 12, 12, 20), rectangle(grid, 500, 2, 510, 9)],
        UTM,
        rgi_id=["RGI2000-v7.0-G-01-00001", "RGI2000-v7.0-G-01-00002", "RGI2000-v7.0-G-01-00003"],
        src_date=["2000-07-01T00:00:00", "2001-08-02T00:00:00", None],
        glac_name=["Upper", None, "Far"],
        o1region=["01", "01", "01"],
        zmin_m=[100.0, 200.0, 300.0],
        term_type=[1, 9, 9],
    )
    existing = read_existing(path, grid, "peak", "2009-09-06")
    table = existing.table
    assert existing.source == "RGI 7"
    assert table["outline_id"].tolist() == ["RGI2000-v7.0-G-01-00001", "RGI2000-v7.0-G-01-00002"]
    assert table["rgi_id"].tolist() == table["outline_id"].tolist()
    assert table["then_date"].tolist() == ["2000-07-01", "2001-08-02"]
    assert (table["glac_name"][0], table["o1region"][0], table["term_type"].tolist()) == (
        "Upper",
        "01",
        [1, 9],
    )
    assert "zmin_m" not in table  # it belongs to the old outline
    expected = polygon_areas_km2(np.array([rectangle(grid, 2, 2, 12, 12)], object), UTM)[0]
    assert table["area_then_km2"][0] == pytest.approx(expected, rel=1e-9)
    owners = existing.owners(grid)
    assert (owners[2:12, 2:12] == 1).all() and (owners[2:12, 12:20] == 2).all()
    assert (owners > 0).sum() == 180


def test_rgi_6_ids_and_names(tmp_path, tiny_grid):
    grid = tiny_grid()
    path = write_outlines(
        tmp_path / "rgi60.shp",
        [rectangle(grid, 2, 2, 12, 12)],
        UTM,
        RGIId=["RGI60-01.10689"],
        GLIMSId=["G212998E61207N"],
        BgnDate=["20070917"],
        EndDate=["-9999999"],
        Name=["Columbia"],
        O1Region=["1"],
    )
    existing = read_existing(path, grid, "peak", None)
    row = existing.table.iloc[0]
    assert (existing.source, row["outline_id"], row["glims_id"]) == (
        "RGI 6",
        "RGI60-01.10689",
        "G212998E61207N",
    )
    assert (row["glac_name"], row["then_date"], row["o1region"]) == ("Columbia", "2007-09-17", "1")


def test_glims_takes_the_nearest_day_less_its_rocks(tmp_path, tiny_grid):
    grid = tiny_grid()
    path = write_outlines(
        tmp_path / "glims.gpkg",
        [
            rectangle(grid, 2, 2, 20, 20),
            rectangle(grid, 2, 2, 12, 12),
            rectangle(grid, 4, 4, 6, 6),
            rectangle(grid, 14, 2, 18, 9),
        ],
        UTM,
        line_type=["glac_bound", "glac_bound", "intrnl_rock", "glac_bound"],
        glac_id=["G1", "G1", "G1", "G1"],
        anlys_id=[1, 2, 2, 2],
        src_date=["1980-08-01T00:00:00", "2008-08-01T00:00:00", "2008-08-01T00:00:00", "2008-08-01T00:00:00"],
    )
    existing = read_existing(path, grid, "peak", "2009-09-06")
    # One glacier, in two pieces that day: 100 pixels less a rock of 4, and 28.
    assert existing.table["outline_id"].tolist() == existing.table["glims_id"].tolist() == ["G1"]
    assert (existing.owners(grid) == 1).sum() == 124
    assert existing.shapes[0].geom_type == "MultiPolygon"
    with pytest.raises(GlacierError, match="outlines glacier G1 on several days"):
        read_existing(path, grid, "peak", None)


def test_plain_polygons_go_by_their_id_or_a_number(tmp_path, tiny_grid):
    grid = tiny_grid()
    shapes = [rectangle(grid, 2, 2, 12, 12), rectangle(grid, 14, 2, 18, 9)]
    named = write_outlines(tmp_path / "named.geojson", [*shapes], UTM, id=["north", "south"])
    assert read_existing(named, grid, "peak", None).table["outline_id"].tolist() == ["north", "south"]
    bare = write_outlines(tmp_path / "bare.gpkg", [*shapes], UTM, note=["a", "b"])
    existing = read_existing(bare, grid, "peak", None)
    assert existing.table["outline_id"].tolist() == ["outline-1", "outline-2"]
    assert existing.table["rgi_id"].isna().all() and existing.table["then_date"].isna().all()


@pytest.mark.parametrize("epsg", [32606, 4326])
def test_the_share_in_the_window_is_that_of_the_area(tmp_path, tiny_grid, epsg):
    grid = tiny_grid()
    import geopandas

    # Columns -10 to 30: three quarters lie in the window.
    outline = geopandas.GeoSeries([rectangle(grid, 2, -10, 12, 30)], crs=UTM).to_crs(epsg)
    path = write_outlines(tmp_path / "wide.gpkg", list(outline), outline.crs, id=["a"])
    share = read_existing(path, grid, "peak", None).table["share_in_window"][0]
    assert share == pytest.approx(0.75, rel=1e-3)


def test_the_smaller_of_overlapping_outlines_owns_the_ground(tmp_path, tiny_grid):
    grid = tiny_grid()
    shapes = [rectangle(grid, 5, 5, 8, 8), rectangle(grid, 2, 2, 20, 20)]
    path = write_outlines(tmp_path / "over.gpkg", shapes, UTM, id=["small", "large"])
    owners = read_existing(path, grid, "peak", None).owners(grid)
    assert ((owners == 1).sum(), (owners == 2).sum()) == (9, 18 * 18 - 9)


def test_what_had_to_be_mended_is_told(tmp_path, tiny_grid):
    from shapely.geometry import Polygon

    grid = tiny_grid()
    corners = [(2, 2), (12, 12), (12, 2), (2, 12)]  # crosses itself
    crossed = Polygon([grid.transform @ corner for corner in corners])
    path = write_outlines(tmp_path / "crossed.gpkg", [crossed], UTM, id=["a"])
    with pytest.warns(OutlineWarning, match="crossed.gpkg: 1 invalid polygon mended"):
        read_existing(path, grid, "peak", None)


def test_bad_outlines_are_told_in_one_line(tmp_path, tiny_grid):
    grid = tiny_grid()
    far = write_outlines(tmp_path / "far.gpkg", [rectangle(grid, 9000, 2, 9010, 9)], UTM, id=["a"])
    with pytest.raises(GlacierError, match="peak: far.gpkg: no polygon covers a pixel of the scene"):
        read_existing(far, grid, "peak", None)
    near = write_outlines(tmp_path / "near.gpkg", [rectangle(grid, 24, 2, 26, 9)], UTM, id=["a"])
    with pytest.raises(GlacierError, match="peak: near.gpkg: no polygon covers a part of the scene"):
        read_existing(near, grid, "peak", None)
    (tmp_path / "outlines.tif").write_bytes(b"II*")
    with pytest.raises(GlacierError, match="outlines.tif: is no file of polygons; give outlines as one of"):
        read_existing(tmp_path / "outlines.tif", grid, "peak", None)
