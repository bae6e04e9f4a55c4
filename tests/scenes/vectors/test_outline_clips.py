"""Clipped outlines: whole polygons with their columns, in a file that appears whole or not at all."""

import geopandas
import numpy as np
import pandas
import pyogrio
import pytest
import shapely
from made_outlines import rectangle, write_outlines
from shapely.geometry import Polygon

from glacier_ml.errors import GlacierError
from glacier_ml.scenes.outlines import OutlineWarning, clip_outlines, read_outlines
from glacier_ml.scenes.vectors.clipping import write_polygons
from glacier_ml.scenes.vectors.layers import VECTORS


def inventory(grid):
    """One polygon across the window's edge, one in it at two dates, one far away."""
    shapes = [
        rectangle(grid, -5, -5, 4, 4),
        rectangle(grid, 10, 10, 14, 14),
        rectangle(grid, 10, 10, 14, 14),
        rectangle(grid, 900, 900, 950, 950),
    ]
    return geopandas.GeoDataFrame(
        {
            "line_type": ["glac_bound"] * 4,
            "glac_id": ["G1", "G2", "G2", "G3"],
            "anlys_id": [1, 2, 3, 4],
            "src_date": ["2001-08-12", "1990-01-01", "2006-08-12", "2001-08-12"],
            "area": [0.5, np.nan, 1.5, 2.5],
            "glac_name": ["Columbia", None, "Kl\u00fcane", "far"],
        },
        geometry=shapes,
        crs=32606,
    )


@pytest.mark.parametrize("suffix", VECTORS)
def test_what_meets_the_window_keeps_shape_columns_and_crs(tmp_path, tiny_grid, suffix):
    grid = tiny_grid()
    frame = inventory(grid).to_crs(4326)
    path = write_outlines(
        tmp_path / f"glims{suffix}", frame.geometry, 4326, **{n: frame[n] for n in frame.columns[:-1]}
    )
    output = clip_outlines(path, grid, tmp_path / "scene" / "outlines.gpkg")
    clipped = geopandas.read_file(output).sort_values("anlys_id")  # FlatGeobuf sorts by place
    assert clipped.crs == 4326
    # Both dates of G2 stay: which one counts depends on the scene's date.
    assert clipped["glac_id"].tolist() == ["G1", "G2", "G2"]
    assert clipped["glac_name"].tolist()[::2] == ["Columbia", "Kl\u00fcane"]
    assert clipped["area"].isna().tolist() == [False, True, False]
    assert shapely.equals_exact(
        shapely.normalize(shapely.get_parts(clipped.geometry)), shapely.normalize(frame.geometry[:3]), 1e-9
    ).all()
    assert [file.name for file in output.parent.iterdir()] == ["outlines.gpkg"]
    for date in ("1991-01-01", "2007-09-17"):
        np.testing.assert_array_equal(
            read_outlines(output, grid, date=date).mask, read_outlines(path, grid, date=date).mask
        )


def test_clips_are_mended_and_told_once(tmp_path, tiny_grid):
    grid = tiny_grid()
    west, north = grid.transform @ (2, 2)
    bow = Polygon([(west, north), (west + 300, north - 300), (west + 300, north), (west, north - 300)])
    path = write_outlines(tmp_path / "rgi.gpkg", [bow, bow], 32606, rgi_id=["R1", "R1"])
    with pytest.warns(OutlineWarning, match=r"^rgi\.gpkg: 2 invalid polygons mended, 1 duplicate left out$"):
        output = clip_outlines(path, grid, tmp_path / "outlines.gpkg")
    assert geopandas.read_file(output).geometry.is_valid.all()
    assert read_outlines(output, grid).mask.any()


def test_a_file_that_is_there_is_replaced_and_a_failure_leaves_it(tmp_path, tiny_grid, monkeypatch):
    grid = tiny_grid()
    path = write_outlines(tmp_path / "rgi.gpkg", [rectangle(grid, 1, 1, 4, 4)], 32606)
    output = tmp_path / "scene" / "outlines.gpkg"
    output.parent.mkdir()
    output.write_text("old")
    monkeypatch.setattr(pyogrio, "write_dataframe", fail_halfway)
    with pytest.raises(GlacierError, match=r"outlines\.gpkg: cannot be written \(disk full\)"):
        clip_outlines(path, grid, output)
    assert [file.read_text() for file in output.parent.iterdir()] == ["old"]
    monkeypatch.undo()
    clip_outlines(path, grid, output)
    assert len(geopandas.read_file(output)) == 1


def fail_halfway(frame, path, **named):
    path.write_text("half")
    raise OSError("disk full")


def test_a_window_without_a_polygon_and_another_format_are_refused(tmp_path, tiny_grid):
    grid = tiny_grid()
    path = write_outlines(tmp_path / "rgi.gpkg", [rectangle(grid, 500, 500, 600, 600)], 32606)
    with pytest.raises(
        GlacierError, match=r"tiny: rgi\.gpkg: no polygon covers a pixel of the scene: they lie 21"
    ):
        clip_outlines(path, grid, tmp_path / "outlines.gpkg", "tiny")
    inside = write_outlines(tmp_path / "rgi2.gpkg", [rectangle(grid, 1, 1, 4, 4)], 32606)
    with pytest.raises(GlacierError, match=r"outlines\.shp: clipped outlines are a GeoPackage"):
        clip_outlines(inside, grid, tmp_path / "outlines.shp")
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(GlacierError, match="cannot be written .*; choose another folder"):
        clip_outlines(inside, grid, tmp_path / "taken" / "outlines.gpkg")


def test_columns_that_a_geopackage_cannot_hold(tmp_path, tiny_grid):
    grid = tiny_grid()
    frame = geopandas.GeoDataFrame(
        {
            "fid": ["a", "b"],
            "GEOM": [1, 2],
            "Name": ["x", None],
            "name": ["y", "z"],
            "parts": [[1, 2], None],
            "more": [{"k": "v"}, b"\x01"],
            "when": pandas.to_datetime(["2001-08-12T21:00Z", None]),
        },
        geometry=[rectangle(grid, 1, 1, 4, 4)] * 2,
        crs=32606,
    )
    written = geopandas.read_file(write_polygons(frame, tmp_path / "out.gpkg"))
    assert list(written.columns) == ["fid_", "GEOM_", "Name", "name_", "parts", "more", "when", "geometry"]
    assert written["fid_"].tolist() == ["a", "b"]
    assert written["parts"].tolist()[0] in ("[1, 2]", [1, 2])
    assert written["when"][0] == pandas.Timestamp("2001-08-12T21:00Z")


def test_a_ring_around_the_window_is_left_out(tmp_path, tiny_grid):
    grid = tiny_grid()
    ring = rectangle(grid, -9, -9, 60, 60).difference(rectangle(grid, -5, -5, 50, 50))
    path = write_outlines(
        tmp_path / "rgi.parquet", [rectangle(grid, 0, 0, 8, 8), ring], 32606, rgi_id=["a", "b"]
    )
    output = clip_outlines(path, grid, tmp_path / "outlines.gpkg")
    assert geopandas.read_file(output)["rgi_id"].tolist() == ["a"]
