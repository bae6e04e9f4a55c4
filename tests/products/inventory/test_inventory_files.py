"""Schemas and formats: what comes back from disk is what was written, under known names."""

import re

import geopandas
import numpy as np
import pandas as pd
import pytest
from shapely.geometry import MultiPolygon, box

from glacier_ml.errors import GlacierError
from glacier_ml.products.inventory.files import SUFFIXES, check_output, write_outlines
from glacier_ml.products.inventory.schemas import (
    GLIMS_COLUMNS,
    OWN_COLUMNS,
    RGI7_COLUMNS,
    SHAPEFILE_NAMES,
    check_schema,
    in_schema,
    long_names,
)

# The attributes of the glacier product, in the order of the RGI 7.0 user guide.
RGI7 = """
rgi_id o1region o2region glims_id anlys_id subm_id src_date cenlon cenlat utm_zone area_km2 primeclass
conn_lvl surge_type term_type glac_name is_rgi6 termlon termlat zmin_m zmax_m zmed_m zmean_m slope_deg
aspect_deg aspect_sec dem_source lmax_m
""".split()


def some_rows():
    return pd.DataFrame(
        {
            "glacier_id": ["peak-00001", "RGI2000-v7.0-G-01-00002"],
            "rgi_id": [None, "RGI2000-v7.0-G-01-00002"],
            "glims_id": [None, "G212998E61207N"],
            "term_type": [None, 1],
            "src_date": ["2009-09-06", None],
            "area_km2": [1.5, 2.25],
            "utm_zone": [6.0, 6.0],
            "touches_edge": [True, False],
            "combined_uncertainty_km2": [0.1, 0.2],
            "ensemble_std_km2": [np.nan, np.nan],
            "threshold": ["0.5", "0.5"],
            "model": ["unet", None],
            "run_id": ["r7", "r7"],
            "scene": ["peak", "peak"],
            "software": ["glacier_ml 0.1.0", None],
            "half_pixel_m": [15.0, 15.0],
        },
        index=[3, 9],
    )


def some_frame(schema="rgi7"):
    shapes = [box(10, 60, 10.1, 60.1), MultiPolygon([box(10.2, 60, 10.3, 60.1), box(11, 60, 11.1, 60.1)])]
    return geopandas.GeoDataFrame(in_schema(some_rows(), schema), geometry=shapes, crs=4326)


def test_rgi_7_has_all_columns_in_order_and_invents_nothing():
    assert list(RGI7_COLUMNS) == RGI7
    rows = in_schema(some_rows(), "rgi7")
    assert list(rows)[: len(RGI7)] == RGI7
    assert rows["rgi_id"].isna().tolist() == [True, False]
    unknown = ["zmin_m", "zmax_m", "slope_deg", "aspect_sec", "dem_source", "lmax_m", "anlys_id", "is_rgi6"]
    assert rows[unknown].isna().all().all()
    assert rows["utm_zone"].tolist() == [6, 6] and rows["threshold"].tolist() == [0.5, 0.5]


def test_glims_has_boundaries_local_ids_and_uncertainties():
    rows = in_schema(some_rows(), "glims")
    assert list(rows)[: len(GLIMS_COLUMNS)] == list(GLIMS_COLUMNS)
    assert rows["line_type"].tolist() == ["glac_bound"] * 2
    assert rows["anlys_id"].isna().all() and rows["glob_unc_x"].isna().all()
    assert rows["glac_id"].fillna("").tolist() == ["", "G212998E61207N"]
    assert rows["local_id"].tolist() == some_rows()["glacier_id"].tolist()
    assert rows["area"].tolist() == [1.5, 2.25] and rows["loc_unc_x"].tolist() == [15.0, 15.0]
    assert rows["proc_desc"].iloc[0] == "automatic, glacier_ml 0.1.0, model unet, run r7, scene peak"
    assert rows["proc_desc"].iloc[1] == "automatic, glacier_ml, model unknown, run r7, scene peak"


@pytest.mark.parametrize("schema", ["rgi7", "glims"])
def test_no_name_is_cut_in_a_shapefile(schema):
    names = [SHAPEFILE_NAMES.get(name, name) for name in check_schema(schema)]
    assert max(map(len, names)) <= 10
    assert len({name.lower() for name in names}) == len(names)
    assert set(SHAPEFILE_NAMES) <= set(OWN_COLUMNS)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_format_gives_back_rows_and_shapes(tmp_path, suffix):
    path, frame = tmp_path / f"out{suffix}", some_frame()
    write_outlines(frame, path)
    read = geopandas.read_parquet if "parquet" in suffix else geopandas.read_file
    # FlatGeobuf puts rows in the order of its index.
    back = long_names(read(path)).sort_values("glacier_id", ascending=False)
    assert [name for name in back if name != "geometry"] == [name for name in frame if name != "geometry"]
    assert back.crs.to_epsg() == 4326 or back.crs.to_string() == "OGC:CRS84"
    assert back["glacier_id"].tolist() == frame["glacier_id"].tolist()
    assert back["rgi_id"].isna().tolist() == [True, False]
    assert back["area_km2"].tolist() == [1.5, 2.25] and back["zmin_m"].isna().all()
    assert back["touches_edge"].tolist() == [True, False]
    assert back["term_type"].isna().tolist() == [True, False] and back["term_type"].iloc[1] == 1
    assert all(one.equals(other) for one, other in zip(back.geometry, frame.geometry, strict=True))


def test_geojson_is_as_the_standard_wants_it(tmp_path):
    write_outlines(some_frame(), tmp_path / "out.geojson")
    text = (tmp_path / "out.geojson").read_text()
    assert '"crs"' not in text and '"zmin_m": null' in text


def test_text_columns_without_text_stay_text_in_geoparquet(tmp_path):
    import pyarrow.parquet

    write_outlines(some_frame(), tmp_path / "out.parquet")
    schema = pyarrow.parquet.read_schema(tmp_path / "out.parquet")
    assert str(schema.field("dem_source").type) in ("string", "large_string")
    assert str(schema.field("anlys_id").type) == "int64"


def test_bad_names_are_refused_before_any_work(tmp_path):
    with pytest.raises(
        GlacierError, match="out.kml: an inventory is no '.kml'; end the name in one of .gpkg"
    ):
        check_output(tmp_path / "out.kml")
    (tmp_path / "out.gpkg").mkdir()
    with pytest.raises(GlacierError, match="out.gpkg: is a folder; give the name of a file"):
        check_output(tmp_path / "out.gpkg")
    (tmp_path / "file").write_text("mine")
    with pytest.raises(GlacierError, match="the output folder cannot be written"):
        check_output(tmp_path / "file" / "out.gpkg")
    with pytest.raises(GlacierError, match="schema: 'rgi6' is not known; choose rgi7 or glims"):
        check_schema("rgi6")


def test_what_cannot_be_written_is_one_line(tmp_path):
    with pytest.raises(GlacierError, match="out.gpkg: cannot be written .*; choose another folder"):
        write_outlines(some_frame(), tmp_path / "none" / "out.gpkg")


def test_the_page_explains_every_column_of_ours(request):
    page = (request.config.rootpath / "docs" / "inventory.md").read_text(encoding="utf-8")
    table = page[page.index("## Columns") : page.index("## Change")]
    told = set(re.findall(r"`([a-z0-9_]+)`", table))
    assert set(OWN_COLUMNS) | set(SHAPEFILE_NAMES.values()) <= told
