"""Every layout that Earth Engine hands out, today and when the report was written, through `open_scene`."""

import zipfile

import numpy as np
import pytest
import rasterio

from glacier_ml.errors import GlacierError
from glacier_ml.scenes.outlines import find_outlines
from glacier_ml.scenes.reading import holds_scene, open_scene, open_source
from glacier_ml.scenes.scene import BANDS

IMAGE = "LT05_066017_20070917"
# LANDSAT/LT05/C02/T1_TOA, in the order of Earth Engine's data catalogue.
TOA_BANDS = ("B1", "B2", "B3", "B4", "B5", "B6", "B7", "QA_PIXEL", "QA_RADSAT", "SAA", "SZA", "VAA", "VZA")
NAMES = {"B1": "blue", "B2": "green", "B3": "red", "B4": "nir", "B5": "swir1", "B7": "swir2"}
# Reflectance of band n is n / 10; 280 K; clear (bit 6) = 64; sun and view angles in hundredths of a degree.
VALUES = {f"B{number}": number / 10 for number in range(1, 8)} | {
    "B6": 280.0, "QA_PIXEL": 64, "QA_RADSAT": 0, "SAA": 15000, "SZA": 6050, "VAA": 10000, "VZA": 300
}  # fmt: skip


def planes_of(shape, labels=TOA_BANDS):
    """Float planes by band: row 0 cloud (bit 3), row 1 snow (bit 5), row 2 B1 saturated (bit 0)."""
    planes = {label: np.full(shape, VALUES[label], np.float64) for label in labels}
    if "QA_PIXEL" in planes:
        planes["QA_PIXEL"][0] = 8
        planes["QA_PIXEL"][1] = 32 + 64
        planes["QA_RADSAT"][2] = 1
    return planes


def write_tiff(path, planes, grid, dtype="float32", described=True, tags=None, nodata=None):
    profile = {"driver": "GTiff", "height": grid.shape[0], "width": grid.shape[1], "count": len(planes)}
    profile |= {"dtype": dtype, "crs": grid.crs, "transform": grid.transform, "nodata": nodata}
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(path, "w", **profile) as file:
        for index, (label, plane) in enumerate(planes.items(), 1):
            file.write(plane.astype(dtype), index)
            if described:
                file.set_band_description(index, label)
        file.update_tags(**(tags or {}))
    return path


@pytest.fixture
def grid(tiny_grid):
    return tiny_grid((12, 16))


def check_bands(scene, names=BANDS):
    assert tuple(scene.bands) == names
    for label, name in NAMES.items():
        if name in names:
            assert scene.bands[name][5, 5] == pytest.approx(VALUES[label])


def check_quality(scene, columns=slice(None)):
    assert scene.quality["cloud"][0, columns].all()
    assert not scene.quality["cloud"][1:, columns].any()
    assert scene.quality["snow"][1, columns].all()
    assert scene.quality["saturated_blue"][2, columns].all()
    assert not scene.quality["saturated_blue"][3:, columns].any()


def test_the_reports_folder_of_named_bands(tmp_path, grid):
    # As the report's subsets: each file's band is described by Landsat's name, glimsRast.tif lies among them.
    folder = tmp_path / "2007_TOA"
    for label, plane in planes_of(grid.shape, ("B1", "B2", "B3", "B4", "B5")).items():
        plane[:, 12:] = np.nan
        name = "swir" if label == "B5" else NAMES[label]
        write_tiff(folder / f"{name}.tif", {label: plane}, grid)
    write_tiff(folder / "glimsRast.tif", {"constant": np.ones(grid.shape)}, grid)
    scene = open_scene(folder)
    check_bands(scene, ("blue", "green", "red", "nir", "swir1"))
    assert scene.valid.sum() == 12 * 12
    assert find_outlines(folder) == folder / "glimsRast.tif"
    # Its exports tell nothing of themselves.
    assert [scene.provenance.get(key) for key in ("sensor", "date", "sun_elevation_deg")] == [
        None,
        None,
        None,
    ]
    assert scene.quality == {}


@pytest.mark.real_data
@pytest.mark.parametrize("folder", ["2007_TOA", "2009_TOA", "geometry8", "geometry3", "geometry4"])
def test_the_reports_own_subsets(real_scenes, folder):
    assert holds_scene(real_scenes / folder)
    scene = open_scene(real_scenes / folder)
    assert tuple(scene.bands) == ("blue", "green", "red", "nir", "swir1")
    assert scene.valid.mean() > 0.5


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("in_folder", [False, True])
def test_todays_single_file(tmp_path, grid, dtype, in_folder):
    place = tmp_path / "export" / f"{IMAGE}.tif" if in_folder else tmp_path / f"{IMAGE}.tif"
    write_tiff(place, planes_of(grid.shape), grid, dtype)
    path = place.parent if in_folder else place
    assert holds_scene(path)
    scene = open_scene(path)
    check_bands(scene)
    check_quality(scene)
    assert scene.valid.all()
    assert scene.grid == grid
    assert scene.bands["blue"].dtype == np.float32
    assert (scene.provenance["sensor"], scene.provenance["date"]) == ("TM", "2007-09-17")
    # An export carries no sun elevation.
    assert scene.provenance.get("sun_elevation_deg") is None
    with open_source(path, "a") as source:
        assert set(source.layers) == set(NAMES.values())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_masked_pixels_of_a_float_export_have_no_data(tmp_path, grid, dtype):
    # Outside the image: NaN in every band, quality too. What is no number there is fill.
    planes = planes_of(grid.shape)
    for plane in planes.values():
        plane[:, 12:] = np.nan
    scene = open_scene(write_tiff(tmp_path / f"{IMAGE}.tif", planes, grid, dtype))
    assert np.array_equal(scene.valid, np.arange(16)[None] < np.full((12, 1), 12))
    check_quality(scene, slice(0, 12))
    assert scene.quality["fill"][:, 12:].all()
    assert not scene.quality["fill"][:, :12].any()


def test_masked_pixels_may_be_minus_infinity_as_nodata(tmp_path, grid):
    planes = planes_of(grid.shape, ("B1", "B2", "B3", "B4", "B5", "B7"))
    for plane in planes.values():
        plane[:, 12:] = -np.inf
    for nodata in (None, -np.inf):
        scene = open_scene(write_tiff(tmp_path / f"{IMAGE}.tif", planes, grid, nodata=nodata))
        assert scene.valid.sum() == 12 * 12
        assert np.isnan(scene.bands["blue"][:, 12:]).all()


def test_a_nodata_value_set_at_the_export_counts(tmp_path, grid):
    planes = planes_of(grid.shape, ("B1", "B2", "B3", "B4", "B5", "B7"))
    for plane in planes.values():
        plane[:, 12:] = -9999
    scene = open_scene(write_tiff(tmp_path / f"{IMAGE}.tif", planes, grid, nodata=-9999))
    assert scene.valid.sum() == 12 * 12


def test_zeros_without_nodata_are_reflectance_unless_the_quality_band_calls_them_fill(tmp_path, grid):
    # 0 may be masked or dark: no file without nodata and quality band tells.
    planes = planes_of(grid.shape)
    for label, plane in planes.items():
        plane[:, 12:] = 1 if label == "QA_PIXEL" else 0
    scene = open_scene(write_tiff(tmp_path / "quality" / f"{IMAGE}.tif", planes, grid))
    assert scene.valid.sum() == 12 * 12
    plain = {label: plane for label, plane in planes.items() if label in NAMES}
    scene = open_scene(write_tiff(tmp_path / "plain" / f"{IMAGE}.tif", plain, grid))
    assert scene.valid.all()


@pytest.mark.parametrize("separator", [".", "_"])
def test_one_file_a_band(tmp_path, grid, separator):
    folder = tmp_path / "scene"
    for label, plane in planes_of(grid.shape).items():
        write_tiff(folder / f"{IMAGE}{separator}{label}.tif", {label: plane}, grid, described=False)
    assert holds_scene(folder)
    scene = open_scene(folder)
    check_bands(scene)
    check_quality(scene)
    assert (scene.provenance["sensor"], scene.provenance["date"]) == ("TM", "2007-09-17")


def test_one_file_a_band_with_whole_numbers_of_quality(tmp_path, grid):
    folder = tmp_path / "scene"
    for label, plane in planes_of(grid.shape).items():
        dtype = "uint16" if label.startswith("QA_") else "float32"
        write_tiff(folder / f"{IMAGE}.{label}.tif", {label: plane}, grid, dtype, described=False)
    check_quality(open_scene(folder))


@pytest.mark.parametrize("single", [False, True])
def test_the_zip_of_a_download_url_is_read_unpacked(tmp_path, grid, single):
    # getDownloadURL gives a .zip with <image>.<band>.tif, or with one .tif where filePerBand is false.
    planes = planes_of(grid.shape)
    folder = tmp_path / "files"
    if single:
        write_tiff(folder / "download.tif", planes, grid, tags={"SENSOR": "TM"})
    else:
        for label, plane in planes.items():
            write_tiff(folder / f"{IMAGE}.{label}.tif", {label: plane}, grid, described=False)
    path = tmp_path / "download.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.iterdir()):
            archive.write(file, file.name)
    # An archive is a bundle, and a bundle has an MTL.
    with pytest.raises(GlacierError, match=r"^download: .*(MTL|metadata)") as raised:
        open_scene(path)
    assert "\n" not in str(raised.value)
    zipfile.ZipFile(path).extractall(tmp_path / "unpacked")
    scene = open_scene(tmp_path / "unpacked")
    check_bands(scene)
    check_quality(scene)


def test_pieces_of_a_large_export_are_told_apart_from_a_scene(tmp_path, grid, tiny_grid):
    # Drive cuts at 10,000 or so pixels and adds row and column of each piece's corner to the name.
    east = tiny_grid((12, 16), west=grid.transform.c + 16 * 30)
    folder = tmp_path / "drive"
    for name, place in ((f"{IMAGE}-0000000000-0000000000", grid), (f"{IMAGE}-0000000000-0000000016", east)):
        write_tiff(folder / f"{name}.tif", planes_of(grid.shape), place)
    with pytest.raises(GlacierError, match="pieces of one export; join them .gdalwarp") as raised:
        open_scene(folder)
    assert "\n" not in str(raised.value)


def test_pieces_of_an_export_of_one_file_a_band_are_told(tmp_path, grid, tiny_grid):
    east = tiny_grid((12, 16), west=grid.transform.c + 16 * 30)
    folder = tmp_path / "drive"
    for corner, place in (("0000000000-0000000000", grid), ("0000000000-0000000016", east)):
        for band in ("blue", "green", "red", "nir", "swir1"):
            write_tiff(folder / f"{band}-{corner}.tif", {band: np.full(grid.shape, 0.2)}, place)
    with pytest.raises(GlacierError, match="pieces of"):
        open_scene(folder)


def test_a_joined_export_is_read(tmp_path, grid, tiny_grid):
    # gdalwarp keeps the descriptions; the file is one again.
    planes = planes_of((12, 32))
    scene = open_scene(write_tiff(tmp_path / f"{IMAGE}.tif", planes, tiny_grid((12, 32))))
    check_bands(scene)
    assert scene.shape == (12, 32)


@pytest.mark.parametrize("in_one_file", [False, True])
def test_surface_reflectance_as_numbers_is_told_with_what_to_do(tmp_path, grid, in_one_file):
    # LANDSAT/LT05/C02/T1_L2: uint16, reflectance = 2.75e-05 x value - 0.2, which the export does not apply.
    planes = {f"SR_{label}": np.full(grid.shape, 12_000) for label in NAMES}
    if in_one_file:
        path = write_tiff(tmp_path / f"{IMAGE}.tif", planes, grid, "uint16")
    else:
        path = tmp_path / "scene"
        for label, plane in planes.items():
            write_tiff(path / f"{IMAGE}.{label}.tif", {label: plane}, grid, "uint16")
    with pytest.raises(GlacierError, match=r"holds DN, not reflectance .*2\.75e-05") as raised:
        open_scene(path)
    assert "\n" not in str(raised.value)


def test_surface_reflectance_is_read_where_scale_and_offset_are_set(tmp_path, grid):
    planes = {f"SR_{label}": np.full(grid.shape, 12_000) for label in NAMES}
    path = write_tiff(tmp_path / f"{IMAGE}.tif", planes, grid, "uint16")
    with rasterio.open(path, "r+") as file:
        file.scales, file.offsets = [2.75e-05] * len(planes), [-0.2] * len(planes)
    # 12000 x 2.75e-05 - 0.2 = 0.13
    assert open_scene(path).bands["blue"][5, 5] == pytest.approx(0.13)


def test_a_sun_elevation_is_known_only_where_a_tag_tells_it(tmp_path, grid):
    path = tmp_path / f"{IMAGE}.tif"
    planes = planes_of(grid.shape)
    assert open_scene(write_tiff(path, planes, grid)).provenance.get("sun_elevation_deg") is None
    write_tiff(path, planes, grid, tags={"SUN_ELEVATION": "29.5", "DATE_ACQUIRED": "2007-09-17"})
    assert open_scene(path).provenance["sun_elevation_deg"] == 29.5


@pytest.mark.parametrize(
    ("image", "labels", "sensor"),
    [
        (
            "LE07_066017_20000917",
            ("B1", "B2", "B3", "B4", "B5", "B6_VCID_1", "B6_VCID_2", "B7", "B8"),
            "ETM+",
        ),
        ("LC08_066017_20140917", tuple(f"B{number}" for number in range(1, 12)), "OLI"),
    ],
)
def test_other_sensors_thermal_and_panchromatic_bands_are_left_out(tmp_path, grid, image, labels, sensor):
    planes = {label: np.full(grid.shape, index / 100) for index, label in enumerate(labels, 1)}
    scene = open_scene(write_tiff(tmp_path / f"{image}.tif", planes, grid))
    assert scene.provenance["sensor"] == sensor
    first = {band: round(float(values[0, 0]) * 100) for band, values in scene.bands.items()}
    # ETM+: B7 is the eighth. OLI: B1 is coastal, swir2 B7.
    expected = dict(zip(NAMES.values(), (1, 2, 3, 4, 5, 8) if sensor == "ETM+" else range(2, 8), strict=True))
    assert first == expected
