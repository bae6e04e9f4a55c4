"""From maps to an inventory: areas, divides, change and verdicts derived by hand."""

import geopandas
import numpy as np
import pandas as pd
import pytest
import shapely
from affine import Affine
from made_maps import write_maps
from made_outlines import rectangle, write_outlines
from rasterio.crs import CRS

from glacier_ml.errors import GlacierError
from glacier_ml.products.inventory.cautions import InventoryWarning
from glacier_ml.products.inventory.compilation import inventory as made_inventory
from glacier_ml.products.inventory.options import InventoryOptions
from glacier_ml.scenes.scene import Grid

pytestmark = pytest.mark.usefixtures("without_plot")

PIXEL_KM2 = 900 / 0.9996**2 / 1e6


def inventory(maps, output, **chosen):
    return made_inventory(maps, output, InventoryOptions(**chosen))


IDS = [f"RGI2000-v7.0-G-01-0000{number}" for number in range(1, 6)]


@pytest.fixture
def wide_grid(tiny_grid):
    """Grid of 60 rows and 80 columns on the central meridian of UTM 6."""
    return tiny_grid(shape=(60, 80), west=500_000.0 - 15 * 80)


def two_glaciers(grid):
    """A glacier of 400 pixels with a nunatak of 4, one of 100 at the edge, and a speck of 5."""
    mask = np.zeros(grid.shape, np.uint8)
    mask[10:30, 10:30] = 1
    mask[15:17, 15:17] = 0
    mask[20:30, 70:80] = 1
    mask[50, 10:15] = 1
    return mask


def rgi(path, grid, corners, ids=IDS, **columns):
    shapes = [rectangle(grid, *one) for one in corners]
    dates = ["2000-08-01T00:00:00"] * len(shapes)
    return write_outlines(path, shapes, "EPSG:32606", rgi_id=ids[: len(shapes)], src_date=dates, **columns)


def test_glaciers_are_outlined_measured_and_told_of(tmp_path, wide_grid):
    write_maps(tmp_path / "maps", two_glaciers(wide_grid), wide_grid)
    files = inventory(tmp_path / "maps", tmp_path / "out" / "glaciers.gpkg")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "glaciers.gpkg",
        "glaciers_areas.png",
        "glaciers_glaciers.csv",
        "glaciers_summary.csv",
    ]
    frame = geopandas.read_file(files.outlines)
    assert frame["glacier_id"].tolist() == ["peak-00001", "peak-00002"]
    assert frame["area_km2"].tolist() == pytest.approx([396 * PIXEL_KM2, 100 * PIXEL_KM2], rel=1e-5)
    assert frame["touches_edge"].tolist() == [False, True]
    assert [len(one.geoms[0].interiors) for one in frame.geometry] == [1, 0]
    assert frame.geometry.is_valid.all() and frame.crs.to_epsg() == 4326
    assert frame["rgi_id"].isna().all() and frame["src_date"].tolist() == ["2009-09-06"] * 2
    told = frame[["scene", "model", "model_version", "run_id", "threshold", "software", "scene_digest"]]
    assert told.iloc[0].tolist() == ["peak", "glacier-unet", "3", "r7", 0.5, "glacier_ml 0.1.0", "abc"]
    assert frame["minimum_area_km2"].tolist() == [0.01] * 2 and frame["utm_zone"].tolist() == [6, 6]
    points = geopandas.points_from_xy(frame["cenlon"], frame["cenlat"])
    assert shapely.contains(np.asarray(frame.geometry), np.asarray(points)).all()
    # Outlines of 80 + 8 and, of the one at the edge, 30 sides; straight ones come out up to 8 % off.
    half_pixel = np.array([88, 30]) * 0.5 * PIXEL_KM2
    assert frame["half_pixel_buffer_km2"].tolist() == pytest.approx(half_pixel, rel=0.09)
    assert frame["one_pixel_buffer_km2"].tolist() == (2 * frame["half_pixel_buffer_km2"]).tolist()
    assert frame["probability_sum_area_km2"].tolist() == pytest.approx(frame["area_km2"].tolist(), rel=1e-6)
    assert frame["combined_terms"].tolist() == ["half_pixel+probability"] * 2
    summary = pd.read_csv(files.summary).iloc[0]
    assert (summary["glaciers"], summary["touching_edge"]) == (2, 1)
    assert summary["area_km2"] == pytest.approx(496 * PIXEL_KM2, rel=1e-5)
    terms = frame["combined_uncertainty_km2"]
    assert summary["uncertainty_independent_km2"] == pytest.approx(np.hypot(*terms))
    assert summary["uncertainty_correlated_km2"] == pytest.approx(terms.sum())
    assert files.lines[0].startswith("peak: 2 glaciers, 0.447 km2, +- ")


def test_an_ensembles_spread_goes_into_the_combination(tmp_path, wide_grid):
    mask = two_glaciers(wide_grid)
    fewer = mask.copy()
    fewer[10:12, 10:30] = 0  # 40 pixels of the first
    write_maps(tmp_path, mask, wide_grid, members=[mask, fewer])
    frame = geopandas.read_file(inventory(tmp_path, tmp_path / "out.gpkg").outlines)
    # 396 and 356 pixels: the sample's standard deviation is 40 / sqrt(2).
    assert frame["ensemble_std_km2"].tolist() == pytest.approx([40 / 2**0.5 * PIXEL_KM2, 0], rel=1e-5)
    assert frame["combined_terms"].tolist() == ["half_pixel+probability+ensemble"] * 2
    squares = frame["half_pixel_buffer_km2"] ** 2 + frame["ensemble_std_km2"] ** 2
    assert frame["combined_uncertainty_km2"].tolist() == pytest.approx((squares**0.5).tolist())


def test_the_minimum_area_decides_on_specks(tmp_path, wide_grid):
    write_maps(tmp_path, two_glaciers(wide_grid), wide_grid)
    # The speck has .0045 km2.
    assert (
        len(geopandas.read_file(inventory(tmp_path, tmp_path / "a.gpkg", minimum_area=0.004).outlines)) == 3
    )
    with pytest.raises(GlacierError, match="no glacier of 5 km2 or more is mapped; lower --minimum-area"):
        inventory(tmp_path, tmp_path / "b.gpkg", minimum_area=5)
    assert not (tmp_path / "b.gpkg").exists()


def changed(tmp_path, grid):
    """Maps where the first of five known glaciers shrank, and the files of their inventory.

    Then: 1 and 2 share a divide at column 30; 3 is half beyond the scene; 4 is gone; 5 lies in a gap.
    """
    mask = np.zeros(grid.shape, np.uint8)
    mask[10:30, 20:50] = 1  # 1 lost its columns 10 to 19
    mask[30:34, 25:28] = 1  # and reaches further down, beyond its outline
    mask[40:50, 70:80] = 1
    mask[50:58, 2:10] = 1  # a new glacier
    mask[40:55, 40:55] = 255
    corners = [(10, 10, 30, 30), (10, 30, 30, 50), (40, 70, 50, 90), (40, 20, 50, 30), (42, 42, 52, 52)]
    outlines = rgi(tmp_path / "rgi.gpkg", grid, corners, glac_name=["Upper", None, None, None, None])
    write_maps(tmp_path / "maps", mask, grid)
    with pytest.warns(
        InventoryWarning, match="RGI outlines were not made for rates of area change of single"
    ):
        return inventory(tmp_path / "maps", tmp_path / "now.gpkg", outlines=outlines)


def test_complexes_are_split_at_their_divides_and_change_is_told_by_id(tmp_path, wide_grid):
    files = changed(tmp_path, wide_grid)
    rows = pd.read_csv(files.glaciers).set_index("glacier_id")
    assert rows.index.tolist() == [*IDS, "peak-00001"]
    assert rows["status"].tolist() == ["mapped"] * 3 + ["not mapped", "not seen", "mapped"]
    # 200 pixels of its outline and 12 below it; all of the second; the half of the third that is seen.
    now = np.array([212, 400, 100, 0, 0, 64]) * PIXEL_KM2
    assert rows["area_km2"].tolist() == pytest.approx(now.tolist(), rel=1e-5)
    then = np.array([400, 400, 200, 100, 100, np.nan]) * PIXEL_KM2
    assert rows["area_then_km2"].tolist() == pytest.approx(then.tolist(), rel=1e-5, nan_ok=True)
    assert rows["share_seen"].tolist() == pytest.approx([1, 1, 0.5, 1, 0, np.nan], rel=1e-6, nan_ok=True)
    change = np.array([-188, 0, 0, -100, np.nan, np.nan]) * PIXEL_KM2
    assert rows["change_km2"].tolist() == pytest.approx(change.tolist(), rel=1e-4, abs=1e-5, nan_ok=True)
    verdicts = ["shrank", "within uncertainty", "within uncertainty", "shrank", "not seen", ""]
    assert rows["verdict"].fillna("").tolist() == verdicts
    assert rows["area_outside_outline_km2"].iloc[0] == pytest.approx(12 * PIXEL_KM2, rel=1e-5)
    # The second glacier's outline less the divide: 80 - 20 sides, 15 m to each side.
    then_buffer = rows["then_uncertainty_km2"].iloc[1]
    assert then_buffer == pytest.approx(60 * 0.5 * PIXEL_KM2, rel=0.09)
    now_too = np.hypot(then_buffer, rows["combined_uncertainty_km2"].iloc[1])
    assert rows["change_uncertainty_km2"].iloc[1] == pytest.approx(now_too)


def test_the_file_holds_what_is_mapped_with_shared_divides(tmp_path, wide_grid):
    frame = geopandas.read_file(changed(tmp_path, wide_grid).outlines)
    assert frame["rgi_id"].fillna("").tolist() == [*IDS[:3], ""]
    assert frame["glac_name"].fillna("").tolist() == ["Upper", "", "", ""]
    assert frame["outline_source"].fillna("").tolist() == ["RGI 7"] * 3 + [""]
    shapes = np.asarray(frame.geometry)
    assert shapely.coverage_is_valid(shapes)
    shared = shapely.intersection(shapes[0], shapes[1])
    assert shapely.area(shared) == 0 and shapely.length(shared) > 0


def test_the_summary_sums_change_up_with_its_warning(tmp_path, wide_grid):
    files = changed(tmp_path, wide_grid)
    row = pd.read_csv(files.summary).iloc[0]
    rows = pd.read_csv(files.glaciers)
    assert row["change_km2"] == pytest.approx(-288 * PIXEL_KM2, rel=1e-4)
    assert (row["known_glaciers_seen"], row["not_mapped"], row["new_glaciers"]) == (4, 1, 1)
    assert (row["grew"], row["shrank"], row["within_uncertainty"]) == (0, 2, 2)
    each = rows["change_uncertainty_km2"].dropna()
    assert row["change_uncertainty_independent_km2"] == pytest.approx(np.sqrt((each**2).sum()))
    assert row["change_uncertainty_correlated_km2"] == pytest.approx(each.sum())
    assert row["verdict_independent"] == row["verdict_correlated"] == "shrank"
    assert row["warning"].startswith("RGI outlines were not made for rates")
    assert row["area_outside_outlines_km2"] == pytest.approx(12 * PIXEL_KM2, rel=1e-5)
    assert row["new_glaciers_km2"] == pytest.approx(64 * PIXEL_KM2, rel=1e-5)


@pytest.mark.parametrize(("suffix", "schema"), [(".gpkg", "rgi7"), (".shp", "glims"), (".parquet", "glims")])
def test_an_inventory_of_ours_is_compared_with_by_its_own_ids_and_uncertainty(
    tmp_path, wide_grid, suffix, schema
):
    write_maps(tmp_path / "then", two_glaciers(wide_grid), wide_grid, scene_date="2007-08-01")
    first = inventory(tmp_path / "then", tmp_path / f"then{suffix}", schema=schema)
    mask = two_glaciers(wide_grid)
    mask[10:20, 10:30] = 0  # half of the first: 200 pixels less the nunatak's 4
    write_maps(tmp_path / "now", mask, wide_grid)
    with pytest.warns(InventoryWarning, match="touched the edge of the earlier scene.*: 1; their change"):
        second = inventory(tmp_path / "now", tmp_path / "now.gpkg", outlines=first.outlines)
    before, rows = pd.read_csv(first.glaciers), pd.read_csv(second.glaciers)
    assert rows["glacier_id"].tolist() == before["glacier_id"].tolist() == ["peak-00001", "peak-00002"]
    assert rows["then_uncertainty_km2"].tolist() == pytest.approx(before["combined_uncertainty_km2"].tolist())
    assert rows["change_km2"].tolist() == pytest.approx([-196 * PIXEL_KM2, 0], rel=1e-4, abs=1e-7)
    assert rows["verdict"].tolist() == ["shrank", "within uncertainty"]
    assert rows["then_date"].tolist() == ["2007-08-01"] * 2
    assert rows["outline_source"].tolist() == ["glacier_ml inventory"] * 2


def test_outlines_of_a_later_day_are_told(tmp_path, wide_grid):
    write_maps(tmp_path / "maps", two_glaciers(wide_grid), wide_grid, scene_date="1999-09")
    outlines = rgi(tmp_path / "rgi.gpkg", wide_grid, [(10, 10, 30, 30)])
    with pytest.warns(InventoryWarning) as told:
        inventory(tmp_path / "maps", tmp_path / "out.gpkg", outlines=outlines)
    assert any("existing outlines of a later day than their scene: 1; " in str(one.message) for one in told)


def test_growth_by_ice_beyond_the_outline_is_told(tmp_path, wide_grid):
    write_maps(tmp_path / "maps", two_glaciers(wide_grid), wide_grid)
    outlines = write_outlines(
        tmp_path / "o.gpkg", [rectangle(wide_grid, 10, 10, 20, 30)], "EPSG:32606", id=["a"]
    )
    # Below the outline lie 10 more rows of 20 pixels: 200 of 900 m2.
    with pytest.warns(InventoryWarning, match="than is uncertain: 1, with 0.18 km2 of it; before"):
        files = inventory(tmp_path / "maps", tmp_path / "out.gpkg", outlines=outlines)
    assert pd.read_csv(files.glaciers)["verdict"][0] == "grew"


GRIDS = {
    "utm south": (32718, Affine(30, 0, 650_000, 0, -30, 4_500_000)),
    "polar": (3413, Affine(30, 0, -2_000_000, 0, -30, 1_000_000)),
    "degrees": (4326, Affine(0.0003, 0, -147, 0, -0.0002, 61.2)),
    "across 180 degrees": (32601, Affine(30, 0, 358_000, 0, -30, 7_200_000)),
}


@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize("schema", ["rgi7", "glims"])
def test_a_map_against_its_own_inventory_shows_no_change(tmp_path, name, schema):
    epsg, transform = GRIDS[name]
    row, column = np.indices((120, 160))
    ice = np.sin(row / 9) * np.sin(column / 11) + 0.4 * np.sin((row + 2 * column) / 4) > 0.3
    write_maps(tmp_path, ice, Grid(CRS.from_epsg(epsg), transform, ice.shape))
    first = inventory(tmp_path, tmp_path / "first.gpkg", schema=schema)
    with pytest.warns(InventoryWarning, match="touched the edge"):
        again = inventory(tmp_path, tmp_path / "again.gpkg", schema=schema, outlines=first.outlines)
    before, rows = pd.read_csv(first.glaciers), pd.read_csv(again.glaciers)
    assert rows["glacier_id"].tolist() == before["glacier_id"].tolist()
    assert rows["share_seen"].tolist() == pytest.approx([1] * len(rows), abs=1e-5)
    assert rows["change_km2"].abs().max() < 1e-5 * before.get("area_km2", before.get("area")).max()
    assert set(rows["verdict"]) == {"within uncertainty"}
    shapes = [np.asarray(geopandas.read_file(one.outlines).geometry) for one in (first, again)]
    assert shapely.area(shapely.symmetric_difference(*shapes)).max() < 1e-12


def test_new_glaciers_never_take_an_id_that_is_given(tmp_path, wide_grid):
    write_maps(tmp_path / "then", two_glaciers(wide_grid), wide_grid)
    first = inventory(tmp_path / "then", tmp_path / "then.gpkg")
    mask = two_glaciers(wide_grid)
    mask[40:48, 40:48] = 1
    write_maps(tmp_path / "now", mask, wide_grid)
    with pytest.warns(InventoryWarning):
        second = inventory(tmp_path / "now", tmp_path / "now.gpkg", outlines=first.outlines)
    ids = geopandas.read_file(second.outlines)["glacier_id"].tolist()
    assert ids == ["peak-00001", "peak-00002", "peak-00003"]


def test_a_scene_without_a_glacier_is_told(tmp_path, wide_grid, tiny_grid):
    far = tiny_grid(shape=(60, 80), north=6_700_000.0)
    write_maps(tmp_path, two_glaciers(wide_grid), wide_grid)
    write_maps(tmp_path, np.zeros(far.shape), far, stem="bare")
    with pytest.warns(InventoryWarning, match="no glacier of 0.01 km2 or more is mapped in bare"):
        files = inventory(tmp_path, tmp_path / "out.gpkg")
    assert pd.read_csv(files.summary)["scene"].tolist() == ["peak"]


def test_scenes_of_one_place_are_told_and_can_be_chosen(tmp_path, wide_grid):
    mask = two_glaciers(wide_grid)
    write_maps(tmp_path, mask, wide_grid, stem="peak-2007")
    mask[25:30, 10:30] = mask[29, 70:80] = 0
    write_maps(tmp_path, mask, wide_grid, stem="peak-2009")
    with pytest.warns(InventoryWarning, match="peak-2007 and peak-2009 show the same ground"):
        both = inventory(tmp_path, tmp_path / "both.gpkg")
    assert pd.read_csv(both.summary)["scene"].tolist() == ["peak-2007", "peak-2009"]
    one = inventory(tmp_path, tmp_path / "one.gpkg", scene="peak-2009")
    frame = geopandas.read_file(one.outlines)
    assert frame["glacier_id"].tolist() == ["peak-2009-00001", "peak-2009-00002"]
    with pytest.raises(
        GlacierError, match="both.gpkg: holds peak-2007 and peak-2009, which show the same gr"
    ):
        inventory(tmp_path, tmp_path / "x.gpkg", outlines=both.outlines, scene="peak-2009")
    geopandas.read_file(both.outlines).assign(glacier_id="same").to_file(tmp_path / "twice.gpkg")
    with pytest.raises(GlacierError, match="holds glacier same 4 times; give an inventory of one scene"):
        inventory(tmp_path, tmp_path / "x.gpkg", outlines=tmp_path / "twice.gpkg", scene="peak-2009")


def test_outlines_may_miss_one_scene_but_not_all(tmp_path, wide_grid, tiny_grid):
    far = tiny_grid(shape=(60, 80), north=6_700_000.0)
    write_maps(tmp_path / "maps", two_glaciers(wide_grid), wide_grid, stem="near")
    write_maps(tmp_path / "maps", two_glaciers(far), far, stem="far")
    outlines = rgi(tmp_path / "rgi.gpkg", wide_grid, [(10, 10, 30, 30)])
    with pytest.warns(InventoryWarning) as told:
        files = inventory(tmp_path / "maps", tmp_path / "out.gpkg", outlines=outlines)
    assert any("all glaciers count as new: far: rgi.gpkg: no polygon" in str(one.message) for one in told)
    summary = pd.read_csv(files.summary).set_index("scene")
    assert summary["known_glaciers_seen"].fillna(0).to_dict() == {"far": 0, "near": 1}
    assert len(files.lines) == 3
    with pytest.raises(GlacierError, match="far: rgi.gpkg: no polygon covers a pixel of the scene"):
        inventory(tmp_path / "maps", tmp_path / "x.gpkg", outlines=outlines, scene="far")


def test_simpler_outlines_leave_the_areas_alone(tmp_path, wide_grid):
    row, column = np.indices(wide_grid.shape)
    write_maps(tmp_path, np.hypot(row - 30, column - 40) < 22, wide_grid)
    exact, simple = (
        geopandas.read_file(inventory(tmp_path, tmp_path / name, simplify=metres).outlines)
        for name, metres in (("exact.gpkg", None), ("simple.gpkg", 60.0))
    )
    assert simple["area_km2"].tolist() == exact["area_km2"].tolist()
    assert simple["simplified_m"].tolist() == [60.0]
    assert (
        shapely.get_num_coordinates(simple.geometry[0]) < shapely.get_num_coordinates(exact.geometry[0]) / 2
    )


def test_bad_input_is_one_line_and_writes_nothing(tmp_path, wide_grid):
    maps = write_maps(tmp_path / "maps", two_glaciers(wide_grid), wide_grid)
    (tmp_path / "own.gpkg").write_bytes(b"SQLite")
    wrong = {
        "minimum-area: is -1; give zero or more": {"minimum_area": -1},
        "simplify: is inf; give zero or more": {"simplify": float("inf")},
        "schema: 'wgi' is not known": {"schema": "wgi"},
        "terms: 'luck' is not known": {"terms": ["luck"]},
        "none.gpkg: is no file of polygons; give RGI, GLIMS or an earlier": {
            "outlines": tmp_path / "none.gpkg"
        },
        "own.gpkg: cannot be read": {"outlines": tmp_path / "own.gpkg"},
        "holds no map of scene north": {"scene": "north"},
    }
    for line, options in wrong.items():
        with pytest.raises(GlacierError, match=line):
            inventory(maps, tmp_path / "out" / "x.gpkg", **options)
    with pytest.raises(GlacierError, match="own.gpkg: is the file of existing outlines; give the new one"):
        inventory(maps, tmp_path / "own.gpkg", outlines=tmp_path / "own.gpkg")
    assert not (tmp_path / "out").exists()
