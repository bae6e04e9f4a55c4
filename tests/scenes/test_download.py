"""What surrounds a download: ids, regions, files, catalogs, interruptions; Earth Engine itself is made up."""

from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_earth_engine import COLUMNS, MADE_TRANSFORM, ROWS, MadeEarthEngine, band_info, outline
from rasterio.transform import array_bounds
from rasterio.warp import transform, transform_bounds

from glacier_ml.errors import GlacierError
from glacier_ml.scenes import download as module
from glacier_ml.scenes.catalog import open_catalog
from glacier_ml.scenes.download import download, successor
from glacier_ml.scenes.entries import read_entries
from glacier_ml.scenes.reading import open_scene, scene_grid, window_of

REPORT = Path(__file__).resolve().parents[2] / "experiments" / "catalogs" / "report.yaml"

IMAGE = "LANDSAT/LT05/C02/T1_TOA/LT05_066017_20070917"
BOUNDED = f"earth_engine_id: {IMAGE}, bounds: [-147.35, 61.135, -147.34, 61.145]"


@pytest.fixture
def catalog(tmp_path):
    """Factory of a catalog: one text of more keys for each scene."""

    def write(*keys, role="train", name="catalog.yaml"):
        lines = [
            f"- {{name: s{number}, path: nowhere/{number}, place: p, region: r, role: {role}, {more}}}"
            for number, more in enumerate(keys, 1)
        ]
        path = tmp_path / name
        path.write_text("scenes:\n" + "\n".join(lines) + "\n")
        return path

    return write


@pytest.fixture
def one(catalog):
    return catalog(f"earth_engine_id: {IMAGE}")


def names_in(folder):
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_an_image_becomes_a_scene_folder_and_a_catalog(one, tmp_path):
    made = download(one, tmp_path / "out", client=MadeEarthEngine())
    assert made == [tmp_path / "out" / "s1"]
    assert names_in(tmp_path / "out") == ["catalog.yaml", "s1"]
    assert names_in(made[0]) == sorted(
        [f"{band}.tif" for band in ("blue", "green", "red", "nir", "swir1", "swir2", "QA_PIXEL", "QA_RADSAT")]
        + ["outlines.gpkg"]
    )
    scene = open_scene(made[0])
    assert scene.shape == (ROWS, COLUMNS)
    # Blue is B1: 0.1 + (3 + 0.007) / 1000 in row 3, column 7; swir2 is B7.
    assert scene.bands["blue"][3, 7] == pytest.approx(0.103007)
    assert scene.bands["swir2"][3, 7] == pytest.approx(0.703007)
    # Columns from 80 are masked.
    assert scene.valid[:, :80].all()
    assert not scene.valid[:, 80:].any()
    assert np.isnan(scene.bands["blue"][:, 80:]).all()


def test_quality_bands_keep_their_bits(one, tmp_path):
    (made,) = download(one, tmp_path / "out", client=MadeEarthEngine())
    quality = open_scene(made).quality
    assert quality["cloud"][10, :80].all()
    assert quality["cloud"].sum() == 80
    assert quality["saturated_blue"].sum() == 80
    assert quality["fill"][:, 80:].all()
    with rasterio.open(made / "QA_PIXEL.tif") as file:
        assert file.dtypes == ("uint16",)


def test_the_scene_tells_where_it_came_from(one, tmp_path):
    (made,) = download(one, tmp_path / "out", client=MadeEarthEngine())
    provenance = open_scene(made).provenance
    told = {
        "scene_id": "LT50660172007260GLC00", "product_id": "LT05_L1TP_066017_20070917_20200829_02_T1",
        "spacecraft": "LANDSAT_5", "sensor": "TM", "date": "2007-09-17", "sun_elevation_deg": 29.5,
        "earth_sun_distance": 1.0051, "collection": "C2", "level": 1, "quantity": "toa_reflectance",
    }  # fmt: skip
    assert {key: provenance[key] for key in told} == told
    assert provenance["tags"]["SOURCE"] == IMAGE


def test_what_the_image_does_not_tell_is_left_out(one, tmp_path):
    client = MadeEarthEngine(bands=[f"B{number}" for number in range(1, 8)])
    client.info["properties"] = {"DATE_ACQUIRED": "2007-09-17"}
    (made,) = download(one, tmp_path / "out", client=client)
    scene = open_scene(made)
    assert scene.provenance.get("sun_elevation_deg") is None
    assert not {"cloud", "fill"} & set(scene.quality)


def test_the_region_is_cut_from_the_images_own_pixels(catalog, tmp_path):
    (made,) = download(catalog(BOUNDED), tmp_path / "out", client=MadeEarthEngine())
    part = open_scene(made)
    # The corners of the bounds, in pixels of the part: inside it, and at each edge within a pixel of one.
    west, south, east, north = -147.35, 61.135, -147.34, 61.145
    corners = transform("EPSG:4326", part.grid.crs, [west, east, west, east], [south, south, north, north])
    columns, rows = ~part.grid.transform @ tuple(map(np.array, corners))
    height, width = part.shape
    assert 0 <= rows.min() < 1
    assert 0 <= columns.min() < 1
    assert 0 <= height - rows.max() < 1
    assert 0 <= width - columns.max() < 1
    # The values tell the place: B1 holds 0.1 + (row + column / 1000) / 1000 of the whole image.
    column, row = ~MADE_TRANSFORM @ (part.grid.transform.c, part.grid.transform.f)
    assert part.bands["blue"][0, 0] == pytest.approx(0.1 + (row + column / 1000) / 1000)


def test_large_images_come_in_strips(one, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_REQUEST", 7 * COLUMNS)  # 7 rows a request: 120 = 17 x 7 + 1
    client = MadeEarthEngine()
    (made,) = download(one, tmp_path / "out", client=client)
    assert client.asked.count(("pixels", "B1")) == 18
    assert open_scene(made).bands["blue"][119, 0] == pytest.approx(0.1 + 0.119)


def test_ids_of_collection_1_are_read_as_their_successors(catalog, tmp_path, capsys):
    client = MadeEarthEngine()
    download(catalog(f"earth_engine_id: {IMAGE.replace('C02', 'C01')}"), tmp_path / "out", client=client)
    assert ("info", IMAGE) in client.asked
    assert f"s1: Collection 1 is no more; {IMAGE} instead of" in capsys.readouterr().err
    (entry,) = open_catalog(tmp_path / "out").entries
    assert entry.earth_engine_id == IMAGE


def test_the_new_catalog_lists_what_was_downloaded(catalog, tmp_path, capsys):
    source = catalog(f"{BOUNDED}, date: 2007-09, date_bands: {{swir1: 2007-07}}", "sensor: TM")
    download(source, tmp_path / "out", client=MadeEarthEngine())
    (entry,) = open_catalog(tmp_path / "out").entries
    assert (entry.name, entry.place, entry.region, entry.role) == ("s1", "p", "r", "train")
    assert (entry.date, entry.date_bands, entry.sensor) == ("2007-09-17", {}, "TM")
    assert entry.bounds == (-147.35, 61.135, -147.34, 61.145)
    assert entry.path == tmp_path / "out" / "s1"
    assert entry.outlines == tmp_path / "out" / "s1" / "outlines.gpkg"
    assert "s1: all bands of an image are of one day; date_bands is left out" in capsys.readouterr().err


def test_outlines_keep_their_columns_and_the_nearest_day_counts(one, tmp_path):
    # The same glacier twice: 2007 is the western half, 1990 the whole.
    west = {
        "type": "Polygon",
        "coordinates": [[[-147.36, 61.14], [-147.35, 61.14], [-147.35, 61.16], [-147.36, 61.14]]],
    }
    features = [
        outline(src_date="1990-07-01T00:00:00"),
        outline(geometry=west, glac_name="Columbia", anlys_id=2.0),
    ]
    (made,) = download(one, tmp_path / "out", client=MadeEarthEngine(features=features))
    frame = geopandas.read_file(made / "outlines.gpkg")
    assert {"glac_id", "src_date", "line_type", "anlys_id", "area", "glac_name"} <= set(frame.columns)
    assert len(frame) == 2
    assert frame.crs.to_epsg() == 4326
    (entry,) = open_catalog(tmp_path / "out").entries
    mask = entry.load().truth
    alone = MadeEarthEngine(features=[outline(geometry=west, anlys_id=2.0)])
    download(one, tmp_path / "alone", client=alone)
    (other,) = open_catalog(tmp_path / "alone").entries
    assert np.array_equal(mask, other.load().truth)


def test_outlines_are_asked_for_the_scenes_place_in_degrees(one, tmp_path):
    client = MadeEarthEngine()
    download(one, tmp_path / "out", client=client)
    (bounds,) = [asked for what, asked in client.asked if what == "outlines"]
    # 480 km east is 20 km = 0.37 degrees west of 147 W at 61 N; 90 columns are 2.7 km = 0.05 degrees.
    assert bounds == pytest.approx((-147.37, 61.125, -147.32, 61.157), abs=0.01)


def test_lines_that_outlines_degenerate_into_are_left_out(one, tmp_path):
    polygon = outline()["geometry"]
    line = {"type": "LineString", "coordinates": [[-147.36, 61.14], [-147.35, 61.14]]}
    mixed = outline(geometry={"type": "GeometryCollection", "geometries": [polygon, line]})
    features = [mixed, outline(glac_id="line", geometry=line), outline(glac_id="none", geometry=None)]
    (made,) = download(one, tmp_path / "out", client=MadeEarthEngine(features=features))
    frame = geopandas.read_file(made / "outlines.gpkg")
    assert list(frame.glac_id) == ["G213000E61000N"]
    assert set(frame.geom_type) <= {"Polygon", "MultiPolygon"}


def test_unseen_scenes_get_no_outlines(catalog, tmp_path):
    client = MadeEarthEngine()
    (made,) = download(catalog(BOUNDED, role="unseen"), tmp_path / "out", client=client)
    assert "outlines.gpkg" not in names_in(made)
    assert [what for what, _ in client.asked].count("outlines") == 0
    assert open_catalog(tmp_path / "out").entries[0].outlines is None


def test_a_place_without_outlines_is_told_and_the_scene_kept(one, tmp_path):
    with pytest.raises(GlacierError, match="^s1: GLIMS has no outline there; set role: unseen"):
        download(one, tmp_path / "out", client=MadeEarthEngine(features=[]))
    assert names_in(tmp_path / "out") == ["s1"]


def test_scenes_that_are_there_are_kept_and_not_asked_for(one, tmp_path, capsys):
    (made,) = download(one, tmp_path / "out", outlines=False, client=MadeEarthEngine())
    assert "outlines.gpkg" not in names_in(made)
    client = MadeEarthEngine()
    assert download(one, tmp_path / "out", client=client) == [made]
    # Only the outlines were missing.
    assert [what for what, _ in client.asked] == ["outlines"]
    assert "outlines.gpkg" in names_in(made)
    client = MadeEarthEngine()
    download(one, tmp_path / "out", client=client)
    assert client.asked == []
    assert "s1: is there and kept" in capsys.readouterr().err


@pytest.mark.parametrize("error", [KeyboardInterrupt(), GlacierError("s2: quota"), OSError("disk full")])
def test_an_interruption_leaves_whole_scenes_alone(catalog, tmp_path, error):
    source = catalog(BOUNDED, BOUNDED)
    # s1 asks 1 + 8 + 1 times, so s2 stops amid its bands.
    client = MadeEarthEngine(stop_after=14, error=error)
    with pytest.raises((KeyboardInterrupt, GlacierError)):
        download(source, tmp_path / "out", client=client)
    assert names_in(tmp_path / "out") == ["s1"]
    again = MadeEarthEngine()
    download(source, tmp_path / "out", client=again)
    assert names_in(tmp_path / "out") == ["catalog.yaml", "s1", "s2"]
    assert [what for what, _ in again.asked].count("info") == 1


def test_a_folder_that_holds_something_else_is_left_alone(one, catalog, tmp_path):
    (tmp_path / "out" / "s1").mkdir(parents=True)
    (tmp_path / "out" / "s1" / "mine.txt").write_text("mine")
    with pytest.raises(GlacierError, match="^s1: .*/s1 is there and no download of LANDSAT"):
        download(one, tmp_path / "out", client=MadeEarthEngine())
    assert names_in(tmp_path / "out" / "s1") == ["mine.txt"]
    download(one, tmp_path / "whole", client=MadeEarthEngine())
    with pytest.raises(GlacierError, match="within the catalog's bounds; move it away"):
        download(catalog(BOUNDED), tmp_path / "whole", client=MadeEarthEngine())


def test_catalogs_of_other_scenes_are_not_replaced(one, catalog, tmp_path):
    with pytest.raises(
        GlacierError, match="catalog.yaml: is the catalog itself and would be replaced; choose"
    ):
        download(one, tmp_path, client=MadeEarthEngine())
    download(catalog(BOUNDED, BOUNDED, name="two.yaml"), tmp_path / "out", client=MadeEarthEngine())
    with pytest.raises(GlacierError, match=r"lists other scenes \(s2\) and would be replaced"):
        download(catalog(BOUNDED, name="one.yaml"), tmp_path / "out", client=MadeEarthEngine())


@pytest.mark.parametrize(
    "image_id",
    [
        "LT05_066017_20070917",
        "LANDSAT/LT05/C02/T1_L2/LT05_066017_20070917",
        "LANDSAT/LT05/C02/T1/LT05_066017_20070917",
        "LANDSAT/LT05/C02/T1_TOA/LE07_066017_20070917",
        "LANDSAT/LT05/C02/T1_TOA",
        "COPERNICUS/S2/20070917",
    ],
)
def test_ids_of_other_images_are_refused(image_id):
    with pytest.raises(
        GlacierError, match="^s1: earth_engine_id .* is no Landsat image of top-of-atmosphere"
    ):
        successor(image_id, "s1")


def test_a_catalog_without_ids_is_refused(catalog, tmp_path):
    with pytest.raises(GlacierError, match="no scene has an earth_engine_id; add one"):
        download(catalog("sensor: TM"), tmp_path / "out", client=MadeEarthEngine())


@pytest.mark.parametrize(
    ("client", "message"),
    [
        (MadeEarthEngine(masked_from=0), "has no data within the bounds"),
        (MadeEarthEngine(bands=["B1", "B2", "B3"]), "the image has no B4, B5, B7; choose another"),
        (MadeEarthEngine(bands=[]), "the image has no B1, B2"),
    ],
)
def test_images_without_the_data_are_refused(one, tmp_path, client, message):
    with pytest.raises(GlacierError, match=f"^s1: .*{message}"):
        download(one, tmp_path / "out", client=client)
    assert names_in(tmp_path / "out") == []


def test_bounds_beside_the_image_are_refused(catalog, tmp_path):
    source = catalog(f"earth_engine_id: {IMAGE}, bounds: [-140, 61, -139, 62]")
    with pytest.raises(GlacierError, match="^s1: bounds miss the scene"):
        download(source, tmp_path / "out", client=MadeEarthEngine())


def test_pixels_of_another_shape_are_refused(one, tmp_path, monkeypatch):
    client = MadeEarthEngine()
    monkeypatch.setattr(client, "pixels", lambda *asked: np.zeros((2, 2)))
    with pytest.raises(GlacierError, match=r"^s1: Earth Engine gave \(2, 2\) pixels of B1; try again"):
        download(one, tmp_path / "out", client=client)
    assert names_in(tmp_path / "out") == []


def test_a_folder_that_cannot_be_written_is_told(one, tmp_path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(GlacierError, match="cannot be written"):
        download(one, tmp_path / "out", client=MadeEarthEngine())


def test_the_reports_catalog_can_be_downloaded():
    for entry in read_entries(REPORT, existing=False):
        assert successor(entry["earth_engine_id"], "").startswith("LANDSAT/LT05/C02/T1_TOA/LT05_")
        assert len(entry["bounds"]) == 4


@pytest.mark.real_data
def test_the_reports_bounds_are_its_subsets_own(real_scenes):
    for entry in read_entries(REPORT, existing=False):
        grid = scene_grid(real_scenes / entry["path"].name, entry["name"])
        window = window_of(grid, entry["bounds"], entry["name"])
        assert (window.row_off, window.col_off, window.height, window.width) == (0, 0, *grid.shape)
        # Nor more than the box in degrees about it, rounded outwards.
        corners = array_bounds(*grid.shape, grid.transform)
        assert transform_bounds(grid.crs, "EPSG:4326", *corners) == pytest.approx(entry["bounds"], abs=2e-4)


ANY = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["EPSG:32606", "EPSG:4326", "B1", ""]),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.sampled_from(["id", "crs"]), inner),
    max_leaves=8,
)
INFO = (
    st.fixed_dictionaries({}, optional={"crs": ANY, "crs_transform": ANY, "dimensions": ANY, "id": ANY}).map(
        lambda broken: {"bands": [band_info(f"B{number}") | broken for number in (1, 2, 3, 4, 5, 7)]}
    )
    | ANY
)


def check_odd_answer(info):
    entry = {
        "name": "s1",
        "earth_engine_id": IMAGE,
        "sensor": "TM",
        "bounds": (-147.35, 61.135, -147.34, 61.145),
    }
    try:
        grid, _ = module._grid(info, entry)
    except GlacierError as error:
        assert "\n" not in str(error)
    else:
        assert min(grid.shape) > 0


@settings(max_examples=500, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(INFO)
def test_odd_answers_are_told_in_one_line(info):
    check_odd_answer(info)


@pytest.mark.thorough
@pytest.mark.timeout(1800)
@settings(max_examples=10_000, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(INFO)
def test_many_odd_answers_are_told_in_one_line(info):
    check_odd_answer(info)
