"""Outlines against their scene: other grids, codings, days, and what is bright beyond them."""

from dataclasses import replace

import numpy as np
import pytest
from affine import Affine
from rasterio.crs import CRS
from rasterio.transform import array_bounds
from rasterio.warp import transform_bounds

from glacier_ml.scenes.catalog import CatalogEntry
from glacier_ml.scenes.inspection.outlines import pixel_area_km2
from glacier_ml.scenes.inspection.report import inspect_scene
from glacier_ml.scenes.made.synthetic import make_scene, write_made
from glacier_ml.scenes.rasters import write_raster
from glacier_ml.scenes.scene import Grid

SHAPE = (24, 32)
RASTERS = ("grid-mismatch", "outline-coding")


@pytest.fixture
def inspected(tiny_scene_folder, tmp_path):
    """Report of the tiny scene, of 2007-09-17, with a file of outlines; the upper left quarter is glacier."""

    def inspect(outlines, **keys):
        folder = tiny_scene_folder(outlines=False)
        known = {"role": "train", "date": "2007-09-17", "outlines": outlines} | keys
        return inspect_scene(CatalogEntry("tiny", folder, "p", "r", **known))

    return inspect


def raster(tmp_path, grid, values=None):
    """Outline raster on a grid: by default its upper left quarter is 1."""
    row, column = np.indices(grid.shape)
    quarter = (row < grid.shape[0] // 2) & (column < grid.shape[1] // 2)
    values = quarter.astype(np.float64) if values is None else values
    return write_raster(tmp_path / "glims.tif", values, grid)


def told(report):
    return {one.code: one for one in report.findings}


def test_a_raster_on_the_scene_s_grid_is_left_in_peace(inspected, tmp_path, tiny_grid):
    report = inspected(raster(tmp_path, tiny_grid()))
    assert not set(told(report)) & set(RASTERS)
    # 12 x 16 of 24 x 32 pixels.
    assert report.facts["outlines"]["glacier_percent"] == 25.0
    assert report.facts["outlines"]["gap_days"] is None
    assert "of an unknown day, gap to the scene unknown" in report.to_text()


def test_a_shifted_raster_is_told_by_how_far_pairing_by_index_would_be_wrong(inspected, tmp_path, tiny_grid):
    # 90 m west and 120 m south: 3 columns and 4 rows, 5 pixels.
    finding = told(inspected(raster(tmp_path, tiny_grid(west=479_910.0, north=6_779_880.0))))["grid-mismatch"]
    assert finding.severity == "fault"
    assert finding.data == pytest.approx({"worst_px": 5.0, "median_px": 5.0})
    assert "EPSG:32606, 24 x 32" in finding.message


def test_a_raster_in_degrees_is_told_with_both_systems(inspected, tmp_path, tiny_grid):
    scene = tiny_grid()
    west, south, east, north = transform_bounds(
        scene.crs, "EPSG:4326", *array_bounds(*SHAPE, scene.transform)
    )
    transform = Affine((east - west) / 32, 0, west, 0, (south - north) / 24, north)
    finding = told(inspected(raster(tmp_path, Grid(CRS.from_epsg(4326), transform, SHAPE))))["grid-mismatch"]
    assert "(EPSG:4326, 24 x 32) than the bands (EPSG:32606, 24 x 32)" in finding.message
    # The box around the scene in degrees is larger than the scene by less than a pixel.
    assert 0 < finding.data["worst_px"] < 1


def test_a_raster_of_another_shape_cannot_be_paired_at_all(inspected, tmp_path, tiny_grid):
    finding = told(inspected(raster(tmp_path, tiny_grid(shape=(48, 64), cell=15.0))))["grid-mismatch"]
    assert "cannot be paired by array index" in finding.message
    assert finding.data == {}


def test_codings_other_than_0_and_1_are_told(inspected, tmp_path, tiny_grid):
    values = np.zeros(SHAPE)
    values[:2], values[-1] = 36.6846, np.nan
    finding = told(inspected(raster(tmp_path, tiny_grid(), values)))["outline-coding"]
    # 64 pixels of 900 m2 are .06 of the 36.7 km2 that the value may stand for.
    assert (
        "2 values up to 36.6846 instead of 0 and 1 (by their size the glaciers' areas in km2)"
        in finding.message
    )
    values[:2] = 2.0
    finding = told(inspected(raster(tmp_path, tiny_grid(), values)))["outline-coding"]
    assert "(unexplained)" in finding.message
    # 64 x .0009 = .0576 km2: the value is too small for the area.
    values[:2] = 0.05
    assert "(unexplained)" in told(inspected(raster(tmp_path, tiny_grid(), values)))["outline-coding"].message


def polygons(tmp_path, grid, **columns):
    """Outlines of the upper left quarter as polygons of RGI 7."""
    import geopandas
    from shapely.geometry import box

    left, top = grid.transform @ (0, 0)
    right, bottom = grid.transform @ (16, 12)
    shapes = columns.pop("shapes", [box(left, bottom, right, top)])
    frame = geopandas.GeoDataFrame({"rgi_id": ["RGI2000-v7.0-G-01-00001"] * len(shapes)} | columns,
                                   geometry=shapes, crs=grid.crs.to_wkt())  # fmt: skip
    frame.to_file(tmp_path / "rgi.gpkg")
    return tmp_path / "rgi.gpkg"


@pytest.mark.parametrize(
    ("day", "severity"),
    [("2007-08-01", None), ("2005-08-01", "note"), ("2001-08-01", "fault"), ("2009-09-17", "note")],
)
def test_the_gap_between_outlines_and_scene(inspected, tmp_path, tiny_grid, day, severity):
    report = inspected(polygons(tmp_path, tiny_grid(), src_date=[f"{day}T00:00:00"]))
    finding = told(report).get("outline-gap")
    assert (finding.severity if finding else None) == severity
    gap = np.datetime64("2007-09-17") - np.datetime64(day)
    assert report.facts["outlines"]["gap_days"] == pytest.approx(gap.astype(int), abs=1)
    if day == "2009-09-17":
        assert "2.0 years after the scene" in finding.message
    assert not set(told(report)) & set(RASTERS)


def test_outlines_that_were_mended_are_told(inspected, tmp_path, tiny_grid):
    from shapely.geometry import Polygon

    left, top = tiny_grid().transform @ (0, 0)
    bow_tie = Polygon([(left, top), (left + 480, top - 360), (left + 480, top), (left, top - 360)])
    report = inspected(polygons(tmp_path, tiny_grid(), shapes=[bow_tie]))
    assert "1 invalid polygon mended" in told(report)["outlines-mended"].message


def test_outlines_that_cannot_be_read_or_lie_elsewhere_are_a_fault_and_the_bands_are_told(
    inspected, tmp_path, tiny_grid
):
    (tmp_path / "rgi.gpkg").write_text("no outlines")
    report = inspected(tmp_path / "rgi.gpkg")
    assert told(report)["outlines-unreadable"].severity == "fault"
    assert set(report.facts["bands"]) == {"blue", "green", "red", "nir", "swir1"}
    report = inspected(raster(tmp_path, tiny_grid(west=900_000.0)))
    assert "does not overlap the scene" in told(report)["outlines-unreadable"].message
    damaged = tmp_path / "damaged.tif"
    damaged.write_bytes(b"II*\x00 no more")
    assert "outlines-unreadable" in told(inspected(damaged))


def test_a_training_scene_without_outlines_is_a_fault(inspected):
    assert told(inspected(None))["no-outlines"].message.startswith("role train needs outlines")
    assert "no-outlines" not in told(inspected(None, role="unseen"))


def test_a_mask_beside_the_image_is_a_fault(tmp_path):
    made = make_scene(1, "alaska", (320, 288))
    write_made(made, tmp_path / "made")
    # Rows and columns are rolled by so much: the outlines lie too low and too far left.
    write_raster(
        tmp_path / "moved.tif", np.roll(made.mask, (4, -3), (0, 1)).astype(np.uint8), made.scene.grid
    )
    keys = {"date": made.scene.provenance["date"], "outlines": tmp_path / "moved.tif"}
    finding = told(inspect_scene(CatalogEntry("made", tmp_path / "made", "p", "r", "train", **keys)))[
        "mask-shift"
    ]
    assert finding.severity == "fault"
    assert (finding.data["rows"], finding.data["columns"]) == pytest.approx((4, -3), abs=1)


def test_debris_is_told_by_its_share_of_the_glacier(inspected, tmp_path, tiny_grid):
    import geopandas
    from made_outlines import rectangle

    # 12 x 16 = 192 pixels of glacier, 3 x 16 = 48 of them under debris.
    shapes = [rectangle(tiny_grid(), 0, 0, 12, 16), rectangle(tiny_grid(), 9, 0, 12, 16)]
    columns = {"line_type": ["glac_bound", "debris_cov"], "glac_id": ["G"] * 2, "anlys_id": [1, 1]}
    geopandas.GeoDataFrame(columns, geometry=shapes, crs=32606).to_file(tmp_path / "glims.gpkg")
    report = inspected(tmp_path / "glims.gpkg")
    assert report.facts["outlines"]["debris_percent"] == 25.0
    assert "glims.gpkg (GLIMS), glacier 25.0 %, 25.0 % of it under debris" in report.to_text()


def test_what_is_bright_outside_is_told_by_share_and_area(tiny_scene_folder, tmp_path, tiny_grid):
    # NDSI .79 and NIR .42 on the glacier's 192 pixels; of the 576 others, two rows in the lower half.
    values = {band: np.full(SHAPE, dark, np.float32) for band, dark in
              [("green", 0.11), ("nir", 0.22), ("swir1", 0.25)]}  # fmt: skip
    for band, bright in [("green", 0.52), ("nir", 0.42), ("swir1", 0.06)]:
        values[band][:12, :16] = values[band][20:22] = bright
    folder = tiny_scene_folder(replace=values, drop=("blue", "red"))
    entry = CatalogEntry("tiny", folder, "p", "r", "train", "2007-09-17", outlines=folder / "outlines.tif")
    report = inspect_scene(entry)
    bright = report.facts["bright"]
    assert bright["inside_percent"] == 100.0
    assert bright["outside_percent"] == pytest.approx(100 * 64 / 576)
    assert bright["outside_km2"] == pytest.approx(64 * 0.0009)
    assert bright["percent"] == pytest.approx(100 * 256 / 768)
    assert told(report)["bright-outside-outlines"].message.startswith(
        "NDSI-bright outside outlines: 11.1 % (0.0576 km2; inside 100.0 %)"
    )


def test_area_of_a_pixel(tiny_grid):
    assert pixel_area_km2(tiny_grid()) == pytest.approx(0.0009)
    # A hundredth of a degree at 60 degrees north: 1.112 km by .556 km.
    degrees = Grid(CRS.from_epsg(4326), Affine(0.01, 0, 10, 0, -0.01, 60.005), (1, 1))
    assert pixel_area_km2(degrees) == pytest.approx(1.112 * 0.556, rel=1e-3)
    feet = replace(tiny_grid(), crs=CRS.from_epsg(2225))
    assert pixel_area_km2(feet) == pytest.approx(900 * 0.3048**2 / 1e6, rel=1e-4)
