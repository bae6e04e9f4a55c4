"""What GLIMS' and RGI's columns mean: days, analyses, rock, debris."""

import datetime

import geopandas
import numpy as np
import pandas
import pytest
from made_outlines import expected, rectangle, write_outlines

from glacier_ml.errors import GlacierError
from glacier_ml.scenes.catalog import open_catalog
from glacier_ml.scenes.outlines import OutlineWarning, outline_dates, read_outlines
from glacier_ml.scenes.vectors.inventories import inventory_of, outline_days, outline_keys

# (first, last) day of what the columns may hold.
DATES = {
    "20070917": ("2007-09-17", "2007-09-17"),
    "20070999": ("2007-09-01", "2007-09-30"),
    "20079999": ("2007-01-01", "2007-12-31"),
    "20070017": ("2007-01-01", "2007-12-31"),
    "2008-02": ("2008-02-01", "2008-02-29"),
    "2007": ("2007-01-01", "2007-12-31"),
    "2007-09-17T00:00:00": ("2007-09-17", "2007-09-17"),
    "2007-09-17T21:15:00+00:00": ("2007-09-17", "2007-09-17"),
    "2007-09-17 21:15:00.123456-08": ("2007-09-17", "2007-09-17"),
    "2007/09/17": ("2007-09-17", "2007-09-17"),
    "-9999999": (None, None),
    "99999999": (None, None),
    "20071340": (None, None),
    "": (None, None),
    "unknown": (None, None),
}


@pytest.mark.parametrize("column", ["src_date", "bgndate"])
@pytest.mark.parametrize("text", DATES)
def test_dates_as_text(text, column):
    inventory = "RGI 6" if column == "bgndate" else "RGI 7"
    first, last, middle = outline_days(pandas.DataFrame({column: [text]}), inventory)
    days = tuple(None if pandas.isna(one[0]) else one[0].date().isoformat() for one in (first, last))
    assert days == DATES[text]
    assert pandas.isna(middle[0]) == (days == (None, None))


@pytest.mark.parametrize(
    "value",
    [
        20070917,
        20070917.0,
        datetime.date(2007, 9, 17),
        datetime.datetime(2007, 9, 17, 21, 15),
        pandas.Timestamp("2007-09-17T21:15", tz="UTC"),
        np.datetime64("2007-09-17"),
    ],
)
def test_dates_of_other_types(value):
    first, last, _ = outline_days(pandas.DataFrame({"src_date": [value]}), "GLIMS")
    assert (str(first[0].date()), str(last[0].date())) == ("2007-09-17", "2007-09-17")


def test_an_end_date_ends_the_period_and_one_before_the_beginning_does_not():
    frame = pandas.DataFrame(
        {"bgndate": ["20040701", "20040701", "20049999"], "enddate": ["20060831", "-9999999", "20030101"]}
    )
    _, last, middle = outline_days(frame, "RGI 6")
    assert [str(day.date()) for day in last] == ["2006-08-31", "2004-07-01", "2004-12-31"]
    # 2004-07-01 to 2006-08-31 is 791 days: the middle is 395.5 days on, 2005-07-31 at noon.
    assert str(middle[0]) == "2005-07-31 12:00:00"


def test_inventories_are_told_by_their_columns():
    assert inventory_of(["line_type", "area"]) == "GLIMS"
    assert inventory_of(["GLAC_ID", "SRC_DATE"]) == "GLIMS"
    # RGI 7 keeps GLIMS' analysis and day.
    assert inventory_of(["rgi_id", "glims_id", "anlys_id", "src_date"]) == "RGI 7"
    assert inventory_of(["RGIId", "GLIMSId", "BgnDate"]) == "RGI 6"
    assert inventory_of([]) == "polygons"


def test_keys_of_rows():
    frame = pandas.DataFrame({"glac_id": ["G1", None], "anlys_id": [7, 8], "line_type": ["a", "b"]})
    assert outline_keys(frame, "GLIMS") == ["G1/7/a", ""]
    assert outline_keys(pandas.DataFrame({"rgiid": ["R1", ""]}), "RGI 6") == ["R1", ""]
    assert outline_keys(frame, "polygons") == ["", ""]


def glims(path, grid, rows):
    """GLIMS of rows (line_type, glac_id, anlys_id, src_date, place, other columns...)."""
    names = ["line_type", "glac_id", "anlys_id", "src_date", "place", "rec_status", "glac_stat"]
    columns = pandas.DataFrame([dict(zip(names, row, strict=False)) for row in rows])
    places = [rectangle(grid, *place) for place in columns.pop("place")]
    return write_outlines(path, places, 32606, **{name: columns[name].tolist() for name in columns})


def test_each_glacier_is_of_its_own_nearest_day(tmp_path, tiny_grid):
    grid = tiny_grid()
    path = glims(
        tmp_path / "glims.gpkg",
        grid,
        [
            ("glac_bound", "G1", 1, "1978-08-26", (0, 0, 10, 10)),
            ("intrnl_rock", "G1", 1, "1978-08-26", (1, 1, 2, 2)),
            ("glac_bound", "G1", 2, "2006-09-06", (0, 0, 5, 5)),
            ("intrnl_rock", "G1", 2, "2006-09-06", (1, 1, 3, 3)),
            ("glac_bound", "G2", 3, "1950-01-01", (12, 12, 15, 15)),
            ("pro_lake", "G1", 2, "2006-09-06", (5, 5, 8, 8)),
        ],
    )
    labels = read_outlines(path, grid, date="2007-09-17")
    # 25 of G1 in 2006 less 4 of rock, and 9 of G2, which has no other day.
    assert labels.mask.sum() == 25 - 4 + 9
    assert (labels.dates.earliest, labels.dates.latest) == ("1950-01-01", "2006-09-06")
    assert labels.debris is None
    assert read_outlines(path, grid, date="1979").mask.sum() == 100 - 1 + 9
    with pytest.raises(GlacierError, match="outlines glacier G1 on several days; say the scene's 'date:'"):
        read_outlines(path, grid)


def test_debris_covered_ice_is_ice_and_told_apart(tmp_path, tiny_grid):
    grid = tiny_grid()
    path = glims(
        tmp_path / "glims.shp",
        grid,
        [
            ("glac_bound", "G1", 1, "2006-09-06", (0, 0, 10, 10)),
            ("intrnl_rock", "G1", 1, "2006-09-06", (0, 0, 2, 2)),
            ("debris_cov", "G1", 1, "2006-09-06", (1, 1, 4, 4)),
            ("debris_cov", "G1", 2, "1990-09-06", (0, 0, 9, 9)),
        ],
    )
    labels = read_outlines(path, grid, date="2007-09-17")
    debris = expected(grid, 1, 1, 4, 4)
    debris[:2, :2] = False
    np.testing.assert_array_equal(labels.debris, debris)
    assert labels.mask.sum() == 96
    assert (labels.mask & labels.debris).sum() == labels.debris.sum() == 8


def test_of_several_analyses_of_one_day_the_last_counts_and_is_told(tmp_path, tiny_grid):
    grid = tiny_grid()
    path = glims(
        tmp_path / "glims.gpkg",
        grid,
        [
            ("glac_bound", "G1", 9, "2006-09-06", (0, 0, 10, 10)),
            ("glac_bound", "G1", 10, "2006-09-06", (0, 0, 5, 5)),
            ("glac_bound", "G1", 10, "2006-09-06", (6, 6, 7, 7)),
            ("intrnl_rock", "G1", 9, "2006-09-06", (0, 0, 4, 4)),
        ],
    )
    with pytest.warns(
        OutlineWarning, match=r"^glims\.gpkg: 1 glacier drawn by several analyses: the last one"
    ):
        labels = read_outlines(path, grid, date="2007-09-17")
    # Both parts of analysis 10, and none of the rock of analysis 9.
    assert labels.mask.sum() == 25 + 1


def test_rows_that_glims_does_not_stand_by_and_glaciers_that_are_gone(tmp_path, tiny_grid):
    grid = tiny_grid()
    path = glims(
        tmp_path / "glims.gpkg",
        grid,
        [
            ("glac_bound", "G1", 1, "2006-09-06", (0, 0, 10, 10), "withdrawn", "exists"),
            ("glac_bound", "G1", 2, "1990-09-06", (0, 0, 5, 5), "okay", "exists"),
            ("glac_bound", "G2", 3, "1990-09-06", (12, 12, 15, 15), "okay", "exists"),
            ("glac_bound", "G2", 4, "2006-09-06", (12, 12, 14, 14), "okay", "gone"),
        ],
    )
    with pytest.warns(OutlineWarning, match="1 row that GLIMS does not call okay .*1 outline of glaciers"):
        assert read_outlines(path, grid, date="2007-09-17").mask.sum() == 25
    with pytest.warns(OutlineWarning, match="1 row that GLIMS does not call okay left out$"):
        assert read_outlines(path, grid, date="1991-01-01").mask.sum() == 25 + 9


def test_undated_outlines_count_where_there_are_no_others(tmp_path, tiny_grid):
    grid = tiny_grid()
    path = glims(
        tmp_path / "glims.gpkg",
        grid,
        [
            ("glac_bound", "G1", 1, None, (0, 0, 10, 10)),
            ("glac_bound", "G1", 2, "2006-09-06", (0, 0, 5, 5)),
            ("glac_bound", "G2", 3, None, (12, 12, 17, 17)),
        ],
    )
    labels = read_outlines(path, grid, date="2007-09-17")
    assert labels.mask.sum() == 25 + 25
    # Half of the area in the window has no date.
    assert labels.dates.undated == pytest.approx(0.5)
    assert labels.dates.gap_years("2007-09-17") == pytest.approx(376 / 365.25)


def test_dates_of_rgi_6_are_weighted_by_area(tmp_path, tiny_grid):
    grid = tiny_grid()
    shapes = [rectangle(grid, 0, 0, 10, 10), rectangle(grid, 12, 0, 22, 30)]
    path = write_outlines(
        tmp_path / "01_rgi60_Alaska.shp",
        shapes,
        32606,
        RGIId=["RGI60-01.1", "RGI60-01.2"],
        BgnDate=["20040101", "20080101"],
        EndDate=["-9999999", "-9999999"],
    )
    dates = outline_dates(path, grid)
    # 100 pixels of 2004 and 300 of 2008, 1461 days on: 3/4 of them, 1095.75 days, is 2006-12-31.
    assert (dates.earliest, dates.mean, dates.latest) == ("2004-01-01", "2006-12-31", "2008-01-01")
    assert dates.undated == 0
    undated = write_outlines(tmp_path / "rgi.gpkg", shapes, 32606, RGIId=["R1", "R2"])
    assert outline_dates(undated, grid) is None


def test_dates_are_those_of_the_ground_in_the_window(tmp_path, tiny_grid):
    grid = tiny_grid()
    # A ring around the window: its bounds, by which GeoParquet is read, hold the window; its ground does not.
    ring = rectangle(grid, -9, -9, 60, 60).difference(rectangle(grid, -5, -5, 50, 50))
    path = write_outlines(
        tmp_path / "rgi.parquet", [rectangle(grid, 0, 0, 8, 8), ring], grid.crs.to_wkt(),
        rgi_id=["a", "b"], src_date=["2001-08-12", "1950-01-01"],
    )  # fmt: skip
    dates = outline_dates(path, grid)
    assert (dates.earliest, dates.latest, dates.undated) == ("2001-08-12", "2001-08-12", 0.0)


def test_a_catalog_hands_debris_and_dates_on(tiny_scene_folder, tiny_grid):
    folder = tiny_scene_folder(outlines=False)
    glims(
        folder / "glims.gpkg",
        tiny_grid(),
        [
            ("glac_bound", "G1", 1, "2006-09-06", (0, 0, 10, 10)),
            ("debris_cov", "G1", 1, "2006-09-06", (1, 1, 4, 4)),
        ],
    )
    (entry,) = open_catalog(folder).entries
    labelled = entry.load()
    assert labelled.debris.sum() == 9
    assert labelled.outline_dates.mean == "2006-09-06"


def test_without_ids_every_bound_counts(tmp_path, tiny_grid):
    grid = tiny_grid()
    frame = geopandas.GeoDataFrame(
        {"line_type": ["glac_bound", "glac_bound"], "src_date": ["1990-01-01", "2000-01-01"]},
        geometry=[rectangle(grid, 0, 0, 2, 2), rectangle(grid, 4, 4, 6, 6)],
        crs=32606,
    )
    frame.to_file(tmp_path / "glims.gpkg")
    assert read_outlines(tmp_path / "glims.gpkg", grid).mask.sum() == 8
