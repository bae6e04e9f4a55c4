"""Windows in every projection: the 180th meridian, the poles, neighbour zones, projections that end."""

import geopandas
import numpy as np
import pytest
import shapely
from affine import Affine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_outlines import expected, rectangle, write_outlines
from pyproj import Transformer
from rasterio.crs import CRS
from shapely.geometry import MultiPolygon, Polygon, box

from glacier_ml.errors import GlacierError
from glacier_ml.scenes.outlines import read_mask
from glacier_ml.scenes.scene import Grid

FORMATS = (".gpkg", ".shp", ".geojson", ".fgb", ".parquet", ".geoparquet")


def projected(shape, source, target, every=100.0):
    """A shape with points at least every so many units, in another CRS."""
    move = Transformer.from_crs(source, target, always_xy=True).transform
    return shapely.transform(
        shapely.segmentize(shape, every), lambda xy: np.column_stack(move(xy[:, 0], xy[:, 1]))
    )


@pytest.fixture
def wrangel(tiny_grid):
    """A grid of UTM 1 whose middle lies on the 180th meridian at 71 degrees north, and a shape in degrees."""
    x, y = Transformer.from_crs(4326, 32601, always_xy=True).transform(180, 71)
    grid = tiny_grid((40, 60), 32601, round(x / 30) * 30.0 - 900, round(y / 30) * 30.0 + 600)
    degrees = projected(rectangle(grid, 10, 10, 30, 50), 32601, 4326)
    return grid, degrees


def ways_to_cross(leaping):
    """A shape that leaps from 180 to -180 as drawn by those who know how."""
    to_360 = shapely.transform(leaping, lambda xy: np.column_stack([xy[:, 0] % 360, xy[:, 1]]))
    east = shapely.intersection(to_360, box(0, 0, 180, 90))
    west = shapely.transform(shapely.intersection(to_360, box(180, 0, 360, 90)), lambda xy: xy - [360.0, 0.0])
    return {
        "leaping": [leaping],
        "0 to 360": [to_360],
        "two rows": [east, west],
        "two parts": [MultiPolygon([east, west])],
    }


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("way", ["leaping", "0 to 360", "two rows", "two parts"])
def test_across_the_180th_meridian(tmp_path, wrangel, suffix, way):
    grid, degrees = wrangel
    longitudes = shapely.get_coordinates(degrees)[:, 0]
    assert longitudes.min() < -179.9
    assert longitudes.max() > 179.9
    path = write_outlines(tmp_path / f"rgi{suffix}", ways_to_cross(degrees)[way], 4326)
    np.testing.assert_array_equal(read_mask(path, grid), expected(grid, 10, 10, 30, 50))


def test_a_world_of_polygons_is_not_read_for_a_window_on_the_180th_meridian(tmp_path, wrangel):
    grid, degrees = wrangel
    others = [box(lon, 70, lon + 1, 72) for lon in range(-170, 170, 10)]
    path = write_outlines(tmp_path / "rgi.gpkg", ways_to_cross(degrees)["two rows"] + others, 4326)
    np.testing.assert_array_equal(read_mask(path, grid), expected(grid, 10, 10, 30, 50))


@pytest.mark.parametrize("pole", [3413, 3031])
@pytest.mark.parametrize("suffix", [".gpkg", ".geoparquet"])
def test_at_the_poles(tmp_path, tiny_grid, pole, suffix):
    grid = tiny_grid((40, 60), pole, -900.0, 600.0)
    beside = projected(rectangle(grid, 5, 5, 15, 15), pole, 4326, 20.0)
    path = write_outlines(tmp_path / f"rgi{suffix}", [beside], 4326)
    np.testing.assert_array_equal(read_mask(path, grid), expected(grid, 5, 5, 15, 15))


@pytest.mark.parametrize("ends", [3857, "+proj=gnom +lat_0=-60 +lon_0=30", 3031])
def test_a_projection_that_ends_before_the_scene(tmp_path, tiny_grid, ends):
    grid = tiny_grid((40, 60), 3413, -900.0, 600.0)
    path = write_outlines(tmp_path / "rgi.gpkg", [box(0, 0, 1e5, 1e5)], ends)
    with pytest.raises(
        GlacierError, match=r"rgi\.gpkg: its CRS .* has no usable coordinates for the scene's"
    ):
        read_mask(path, grid, "tiny")


def test_of_a_polygon_that_leaves_the_projection_the_near_part_counts(tmp_path, tiny_grid):
    grid = tiny_grid()
    # Half the world, the other side of which no UTM zone can tell.
    path = write_outlines(tmp_path / "rgi.gpkg", [box(-179, -89, 0, 89)], 4326)
    assert read_mask(path, grid).all()


@pytest.mark.parametrize(
    "crs", [4326, 3413, 32605, 32607, 3338, 3857, "OGC:CRS84", 4269, 2964, "EPSG:4326+5773"]
)
def test_the_same_outline_in_other_projections(tmp_path, tiny_grid, crs):
    grid = tiny_grid()
    # Edges on pixel corners, half a pixel from any centre.
    shape = projected(rectangle(grid, 4, 6, 14, 16), 32606, crs, 30.0)
    path = write_outlines(tmp_path / "rgi.gpkg", [shape], crs)
    np.testing.assert_array_equal(read_mask(path, grid), expected(grid, 4, 6, 14, 16))


def test_on_a_grid_in_degrees_and_on_a_turned_one(tmp_path, tiny_grid):
    grid = tiny_grid()
    degrees = Grid(CRS.from_epsg(4326), Affine(0.0005, 0, -147.4, 0, -0.0005, 61.2), (100, 120))
    drawn = projected(rectangle(degrees, 40, 20, 80, 60), 4326, 3413, 0.001)
    path = write_outlines(tmp_path / "polar.gpkg", [drawn], 3413)
    np.testing.assert_array_equal(read_mask(path, degrees), expected(degrees, 40, 20, 80, 60))
    turned = Grid(grid.crs, grid.transform @ Affine.rotation(30), grid.shape)
    corners = [turned.transform @ corner for corner in ((5, 6), (15, 6), (15, 16), (5, 16))]
    path = write_outlines(tmp_path / "turned.gpkg", [Polygon(corners)], 32606)
    np.testing.assert_array_equal(read_mask(path, turned), expected(turned, 6, 5, 16, 15))


def test_long_edges_bow_as_their_own_projection_has_them(tmp_path, tiny_grid):
    # 2400 x 200 pixels of 30 m: along a parallel at 61 degrees north the edge bows by
    # (36 km)^2 tan(61) / (2 * 6371 km) = 183 m = 6 pixels from the straight line between its ends.
    grid = tiny_grid((200, 2400), west=464_000.0, north=6_764_000.0)
    drawn = box(-148, 60, -146, 61)
    path = write_outlines(tmp_path / "rgi.gpkg", [drawn], 4326)
    mask = read_mask(path, grid)
    row, column = np.indices(grid.shape)
    x, y = grid.transform @ (column + 0.5, row + 0.5)
    lon, lat = Transformer.from_crs(32606, 4326, always_xy=True).transform(x, y)
    inside = (lat < 61) & (lon > -148) & (lon < -146)
    assert 0 < inside.sum() < inside.size
    # GeoPackage and projection agree to metres, so only centres that close to the edge may differ.
    assert (mask != inside).sum() < 0.1 * grid.shape[1]


@settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    ring=st.lists(st.tuples(st.floats(1, 31), st.floats(1, 23)), min_size=3, max_size=8),
    crs=st.sampled_from([4326, 3413, 32605, 32607]),
)
def test_round_trips_change_boundary_pixels_alone(tmp_path_factory, tiny_grid, ring, crs):
    grid = tiny_grid()
    drawn = shapely.convex_hull(Polygon([grid.transform @ point for point in ring]))
    if drawn.geom_type != "Polygon" or drawn.area < 50 * 900:
        return
    folder = tmp_path_factory.mktemp("round")
    own = read_mask(write_outlines(folder / "own.gpkg", [drawn], 32606), grid)
    other = geopandas.GeoSeries([drawn], crs=32606).to_crs(crs)
    again = read_mask(write_outlines(folder / "other.gpkg", list(other), crs), grid)
    row, column = np.nonzero(own != again)
    centres = shapely.points(np.column_stack(grid.transform @ (column + 0.5, row + 0.5)))
    assert (shapely.distance(centres, drawn.exterior) < 1.0).all()
