"""Inventories where something is not known, or nothing is there: said, and never taken for nought."""

import geopandas
import numpy as np
import pandas as pd
import pytest
from affine import Affine
from made_maps import write_maps
from made_outlines import rectangle, write_outlines
from rasterio.crs import CRS

from glacier_ml.errors import GlacierError
from glacier_ml.products.inventory import compilation
from glacier_ml.products.inventory.cautions import InventoryWarning
from glacier_ml.products.inventory.map_rasters import find_maps
from glacier_ml.products.inventory.options import InventoryOptions
from glacier_ml.scenes.scene import Grid


def inventory(maps, output, **chosen):
    return compilation.inventory(maps, output, InventoryOptions(**chosen))


def block(grid, columns=slice(5, 15)):
    mask = np.zeros(grid.shape, np.uint8)
    mask[5:15, columns] = 1
    return mask


@pytest.mark.parametrize(
    ("members", "lacks"), [(None, "a members raster"), (1, "a members raster of several members")]
)
def test_change_without_a_known_uncertainty_has_no_verdict(tmp_path, tiny_grid, members, lacks):
    grid = tiny_grid()
    mask = block(grid)
    write_maps(tmp_path / "maps", mask, grid, members=members and [mask])
    # Half of it is gone, but how sure that is nobody knows.
    then = write_outlines(tmp_path / "o.gpkg", [rectangle(grid, 5, 5, 15, 25)], "EPSG:32606", id=["a"])
    line = (
        f"peak: the combined uncertainty is not known, as the map lacks {lacks}; map with several models, or "
        "leave ensemble out of --terms for half_pixel"
    )
    with pytest.warns(InventoryWarning, match=line):
        files = inventory(tmp_path / "maps", tmp_path / "out.gpkg", terms=("ensemble",), outlines=then)
    row = pd.read_csv(files.glaciers).iloc[0]
    assert (
        row[["combined_uncertainty_km2", "combined_terms", "change_uncertainty_km2", "verdict"]].isna().all()
    )
    assert row["change_km2"] == pytest.approx(-100 * 9e-4, rel=1e-3)
    assert geopandas.read_file(files.outlines)["combined_uncertainty_km2"].isna().all()
    summary = pd.read_csv(files.summary).iloc[0]
    assert summary.filter(like="uncertainty_").drop(["within_uncertainty"], errors="ignore").isna().all()
    assert (summary["grew"], summary["shrank"], summary["within_uncertainty"]) == (0, 0, 0)
    assert files.lines == (
        "peak: 1 glacier, 0.090 km2, uncertainty not known",
        "peak: change of 1 known glacier -0.090 km2: uncertainty not known",
    )


@pytest.mark.usefixtures("without_plot")
def test_a_scene_without_a_date_has_none_in_files_and_words(tmp_path, tiny_grid):
    grid = tiny_grid()
    write_maps(tmp_path / "maps", block(grid), grid, scene_date=None, model=None)
    write_maps(tmp_path / "maps", block(grid), tiny_grid(north=6_900_000.0), stem="dated")
    files = inventory(tmp_path / "maps", tmp_path / "out.gpkg")
    summary = pd.read_csv(files.summary, dtype=str, keep_default_na=False).set_index("scene")
    assert summary["src_date"].to_dict() == {"dated": "2009-09-06", "peak": ""}
    rows = pd.read_csv(files.glaciers, dtype=str, keep_default_na=False).set_index("scene")
    assert rows[["src_date", "model"]].loc["peak"].tolist() == ["", ""]
    for text in (*files.lines, files.summary.read_text(), files.glaciers.read_text()):
        assert "nan" not in text.lower() and "None" not in text


def test_where_nothing_is_mapped_no_minimum_is_blamed(tmp_path, tiny_grid):
    grid = tiny_grid()
    write_maps(tmp_path, np.zeros(grid.shape), grid)
    with pytest.raises(GlacierError, match=f"{tmp_path}: no glacier is mapped; look at the maps"):
        inventory(tmp_path, tmp_path / "a.gpkg", minimum_area=0)
    with pytest.raises(GlacierError, match="no glacier of 0.01 km2 or more is mapped; lower --minimum-area"):
        inventory(tmp_path, tmp_path / "a.gpkg")


def scenes_at(folder, *places):
    """Maps of 24 x 32 pixels at (EPSG code, west, north), named in their order."""
    for number, (epsg, west, north) in enumerate(places):
        grid = Grid(CRS.from_epsg(epsg), Affine(30, 0, west, 0, -30, north), (24, 32))
        write_maps(folder, np.zeros(grid.shape), grid, stem=f"s{number}")
    return find_maps(folder)


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ((32606, 480_930, 6_780_300), 1),
        ((32606, 480_960, 6_780_300), 0),  # side by side; by degrees their boxes overlap
        ((32607, 157_900, 6_796_600), 1),  # the first one's corner is at 157 436, 6 796 652 of zone 7 (PROJ)
        ((32607, 500_000, 6_780_000), 0),
    ],
)
def test_scenes_that_show_the_same_ground_are_told(tmp_path, recwarn, other, told):
    compilation._tell_overlaps(scenes_at(tmp_path, (32606, 480_000, 6_780_000), other))
    assert len(recwarn) == told


def test_overlaps_across_the_180th_meridian_are_told_and_places_counted_once(tmp_path, recwarn, monkeypatch):
    # At 64 N 180 degrees is 146.7 km from the middle of zones 1 and 60: one begins beyond, one lies across.
    east, west = (32601, 353_600, 7_100_000), (32660, 646_500, 7_100_000)
    found = scenes_at(tmp_path, east, west, (32606, 480_000, 6_780_000))
    counted, degrees = [], compilation._degrees
    monkeypatch.setattr(compilation, "_degrees", lambda grid: counted.append(1) or degrees(grid))
    compilation._tell_overlaps(found)
    assert [str(one.message)[:6] for one in recwarn] == ["s0 and"]
    assert len(counted) == 3
