"""What cannot be used as outlines is refused in one line that says why."""

import json
import sqlite3
import zipfile

import geopandas
import pytest
import shapely
from made_outlines import rectangle, write_outlines, zip_files
from shapely.geometry import LineString, Point, box

from glacier_ml.errors import GlacierError
from glacier_ml.scenes.outlines import read_outlines
from glacier_ml.scenes.vectors import layers
from glacier_ml.scenes.vectors.layers import VECTORS


@pytest.fixture
def refusal(tiny_grid):
    """The one line that reading a file of outlines ends in."""

    def read(path, grid=None):
        with pytest.raises(GlacierError) as caught:
            read_outlines(path, grid or tiny_grid(), "tiny")
        told = str(caught.value)
        assert "\n" not in told
        assert told.startswith(f"tiny: {path.name}: ")
        return told

    return read


@pytest.fixture
def degrees(tiny_grid):
    """A polygon in the tiny grid, in degrees."""
    return list(geopandas.GeoSeries([rectangle(tiny_grid(), 4, 6, 14, 16)], crs=32606).to_crs(4326))


@pytest.mark.parametrize("suffix", [".gpkg", ".zip", ".fgb", ".parquet"])
def test_metres_declared_as_degrees(tmp_path, tiny_grid, refusal, suffix):
    path = write_outlines(tmp_path / f"rgi{suffix}", [rectangle(tiny_grid(), 4, 6, 14, 16)], 4326)
    assert "are no degrees, but the unit of its CRS WGS 84 is the degree" in refusal(path)


def test_latitude_before_longitude(tmp_path, degrees, refusal):
    swapped = [shapely.transform(one, lambda points: points[:, ::-1]) for one in degrees]
    path = write_outlines(tmp_path / "rgi.gpkg", swapped, 4326)
    assert "have the latitude first; write the longitude first" in refusal(path)


@pytest.mark.parametrize("suffix", [".gpkg", ".shp", ".geoparquet"])
def test_degrees_declared_as_metres(tmp_path, degrees, refusal, suffix):
    path = write_outlines(tmp_path / f"rgi{suffix}", degrees, 32606)
    assert "look like degrees, but the unit of its CRS WGS 84 / UTM zone 6N is the metre" in refusal(path)


@pytest.mark.parametrize("suffix", VECTORS)
def test_polygons_of_another_place_say_how_far(tmp_path, refusal, suffix):
    # The grid's middle lies at 147.36 W 61.15 N; the Alps are some 7,800 km away, by a great circle.
    path = write_outlines(tmp_path / f"rgi{suffix}", [box(10, 46, 11, 47)], 4326)
    assert "they lie 7,843 km or more away by its CRS WGS 84; give outlines of its place" in refusal(path)


@pytest.mark.parametrize("suffix", VECTORS)
def test_no_polygon_at_all(tmp_path, refusal, suffix):
    if suffix in (*layers.PARQUET, ".fgb"):
        path = write_outlines(tmp_path / f"rgi{suffix}", [], 4326)
    elif suffix in (".zip", ".shz", ".shp", ".gpkg"):
        path = write_outlines(tmp_path / f"rgi{suffix}", [None], 4326)
    else:
        path = tmp_path / f"rgi{suffix}"
        path.write_text('{"type": "FeatureCollection", "features": []}')
    assert "holds no polygon at all" in refusal(path) or "found none" in refusal(path)


@pytest.mark.parametrize("shape", [Point(-147.3, 61.1), LineString([(-147.4, 61.1), (-147.3, 61.2)])])
@pytest.mark.parametrize("suffix", [".gpkg", ".zip", ".geojson", ".parquet"])
def test_points_and_lines_alone(tmp_path, refusal, suffix, shape):
    path = write_outlines(tmp_path / f"rgi{suffix}", [shape], 4326)
    told = refusal(path)
    assert f"one layer of polygons is wanted, found none, but {shape.geom_type}" in told


def test_several_layers_of_polygons(tmp_path, degrees, refusal):
    loose = tmp_path / "loose"
    loose.mkdir()
    for name in "abcdef":
        write_outlines(loose / f"{name}.shp", degrees, 4326)
    path = zip_files(tmp_path / "rgi.zip", loose)
    assert "one layer of polygons is wanted, found a, b, c, d, ...; keep the one to use" in refusal(path)


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize(
    ("part", "told"),
    [
        (".shx", "rgi.shx missing; copy all files of the Shapefile"),
        (".dbf", "rgi.dbf missing; copy all files of the Shapefile"),
        (".prj", "has no coordinate reference system; add it (a .prj file for a Shapefile)"),
    ],
)
def test_missing_parts_of_a_shapefile(tmp_path, degrees, refusal, part, told, zipped):
    folder = tmp_path / "loose"
    folder.mkdir()
    path = write_outlines(folder / "rgi.shp", degrees, 4326)
    path.with_suffix(part).unlink()
    assert told in refusal(zip_files(tmp_path / "rgi.zip", folder, "deep") if zipped else path)


@pytest.mark.parametrize("suffix", VECTORS)
def test_half_a_file(tmp_path, degrees, refusal, suffix):
    path = write_outlines(tmp_path / f"rgi{suffix}", degrees, 4326)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert "cannot be read" in refusal(path)
    path.write_bytes(b"")
    assert "cannot be read" in refusal(path)


def test_geoparquet_that_nobody_gave_a_crs(tmp_path, tiny_grid, refusal):
    path = write_outlines(tmp_path / "rgi.parquet", [rectangle(tiny_grid(), 4, 6, 14, 16)], None)
    assert "has no coordinate reference system; write the file again with one" in refusal(path)


def test_parquet_without_geometry(tmp_path, refusal):
    geopandas.pd.DataFrame({"id": [1]}).to_parquet(tmp_path / "rgi.parquet")
    assert "is Parquet without geometry (no 'geo' metadata)" in refusal(tmp_path / "rgi.parquet")


def test_zips_without_a_vector_file(tmp_path, refusal):
    with zipfile.ZipFile(tmp_path / "00_rgi60.zip", "w") as archive:
        archive.writestr("01_rgi60_Alaska.zip", b"PK")
        archive.writestr("readme.txt", "x")
    assert "holds no vector file (.txt, .zip); a zip of one of .gpkg .shp" in refusal(
        tmp_path / "00_rgi60.zip"
    )
    with zipfile.ZipFile(tmp_path / "rgi.zip", "w"):
        pass
    assert "holds no vector file (nothing)" in refusal(tmp_path / "rgi.zip")


def test_a_zip_bomb_is_not_opened(tmp_path, degrees, refusal, monkeypatch):
    path = write_outlines(tmp_path / "rgi.zip", degrees, 4326)
    monkeypatch.setattr(layers, "LARGEST_LAYER", 100)
    assert "drawn.shp would unpack to 0.0 GiB, more than 0; make a GeoPackage" in refusal(path)
    monkeypatch.setattr(layers, "LARGEST_TEXT", 10**6)
    with zipfile.ZipFile(tmp_path / "glims.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("glims.geojson", " " * 2 * 10**6)
    assert "glims.geojson would unpack to" in refusal(tmp_path / "glims.zip")


def test_json_that_is_no_outlines(tmp_path, refusal):
    for name, content in {
        "rgi_mtl.json": {"LANDSAT_METADATA_FILE": {"PRODUCT_CONTENTS": {}}},
        "rgi_item.json": {"type": "Feature", "stac_version": "1.0.0", "geometry": None, "properties": {}},
        "rgi_list.json": [1, 2],
    }.items():
        (tmp_path / name).write_text(json.dumps(content))
        assert "cannot be read" in refusal(tmp_path / name) or "no polygon" in refusal(tmp_path / name)


def test_a_file_that_would_send_gdal_elsewhere_is_not_followed(tmp_path, degrees, refusal):
    target = write_outlines(tmp_path / "target.gpkg", degrees, 4326)
    source = f"<SrcDataSource>{target}</SrcDataSource>"
    vrt = f'<OGRVRTDataSource><OGRVRTLayer name="target">{source}</OGRVRTLayer></OGRVRTDataSource>'
    for suffix in (".geojson", ".gpkg", ".fgb"):
        (tmp_path / f"rgi{suffix}").write_text(vrt)
        assert "inside); replace the file" in refusal(tmp_path / f"rgi{suffix}")
    with zipfile.ZipFile(tmp_path / "rgi.zip", "w") as archive:
        archive.writestr("rgi.geojson", vrt)
    assert "rgi.geojson is no GeoJSON inside" in refusal(tmp_path / "rgi.zip")


def test_a_database_in_use_gets_no_files_beside_it(tmp_path, tiny_grid, degrees):
    path = write_outlines(tmp_path / "rgi.gpkg", degrees, 4326)
    with sqlite3.connect(path) as database:
        database.execute("pragma journal_mode=wal")
    database.close()
    assert read_outlines(path, tiny_grid()).mask.sum() == 100
    assert [file.name for file in tmp_path.iterdir()] == ["rgi.gpkg"]


def test_a_crs_that_says_nothing_of_the_earth(tmp_path, refusal):
    path = write_outlines(tmp_path / "rgi.gpkg", [box(0, 0, 1e5, 1e5)], 'LOCAL_CS["mine",UNIT["metre",1]]')
    assert "its coordinates cannot be related to the scene's" in refusal(path)


def test_a_damaged_prj(tmp_path, degrees, refusal):
    path = write_outlines(tmp_path / "rgi.shp", degrees, 4326)
    path.with_suffix(".prj").write_text("GEOGCS[nonsense")
    assert "coordinate reference system" in refusal(path) or "cannot be read" in refusal(path)
