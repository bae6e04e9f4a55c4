"""import-scene and inspect at the command line: what they print, and one line for every bad input."""

import json
import re
import tarfile
import warnings

import geopandas
import numpy as np
import pytest
import rasterio
from landsat_bundles import made_bundle, mtl_groups, mtl_text, packed, product_id
from shapely.geometry import Polygon, box
from test_cli import run, tree

from glacier_ml.scenes.landsat import archives
from glacier_ml.scenes.outlines import OutlineWarning
from glacier_ml.scenes.reading import open_scene


def spoiled_mtl(folder, **changes):
    """Rewrite the MTL with other values; None leaves a key out."""
    root, groups = mtl_groups()
    for pairs in groups.values():
        for key, value in changes.items():
            if key in pairs and value is None:
                del pairs[key]
            elif key in pairs:
                pairs[key] = value
    next(folder.glob("*_MTL.txt")).write_bytes(mtl_text(root, groups))
    return folder


def tar_with(folder, member):
    """A tar of the bundle with one member more."""
    path = packed(folder, "tar")
    with tarfile.open(path, "a") as archive:
        archive.addfile(member)
    return path


def linked(folder):
    member = tarfile.TarInfo(f"{product_id()}_B9.TIF")
    member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
    return tar_with(folder, member)


def truncated(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


def damaged_band(folder):
    file = next(folder.glob("*_B1.TIF"))
    file.write_bytes(file.read_bytes()[:60] + b"\0" * 40)
    return folder


def other_size(folder):
    profile = {"driver": "GTiff", "width": 3, "height": 3, "count": 1, "dtype": "uint8", "crs": "EPSG:32606"}
    transform = rasterio.Affine(30, 0, 480_000, 0, -30, 6_780_000)
    band = next(folder.glob("*_B4.TIF"))
    band.unlink()  # GDAL would delete the MTL with the band that it replaces
    with rasterio.open(band, "w", transform=transform, **profile) as dataset:
        dataset.write(np.ones((1, 3, 3), np.uint8))
    return folder


def bomb(folder):
    """A tar.gz whose red band is 4 MiB of zeros, in a kilobyte or two."""
    next(folder.glob("*_B3.TIF")).write_bytes(bytes(4 * 2**20))
    return packed(folder, "tar.gz")


def twice(folder):
    """A shelf with the same scene under two names."""
    made_bundle(folder.parent / "shelf/first")
    made_bundle(folder.parent / "shelf/second")
    return folder.parent / "shelf"


def without(folder, pattern):
    next(folder.glob(pattern)).unlink()
    return folder


BAD_SOURCES = {
    "absolute path in a tar": (lambda b: tar_with(b, tarfile.TarInfo("/etc/evil_B1.TIF")), r"\.tar"),
    "parent path in a tar": (lambda b: tar_with(b, tarfile.TarInfo("../../evil_B1.TIF")), r"\.\."),
    "link in a tar": (linked, "link"),
    "truncated tar.gz": (lambda b: truncated(packed(b, "tar.gz")), "tar.gz"),
    "truncated zip": (lambda b: truncated(packed(b, "zip")), "zip"),
    "damaged band": (damaged_band, r"_B1\.TIF"),
    "missing band": (lambda b: without(b, "*_B2.TIF"), r"_B2\.TIF"),
    "bands of mixed size": (other_size, r"different grids \(shape"),
    "no MTL": (lambda b: without(b, "*_MTL.txt"), "DN.*MTL"),
    "no sun elevation": (lambda b: spoiled_mtl(b, SUN_ELEVATION=None), "SUN_ELEVATION"),
    "night": (lambda b: spoiled_mtl(b, SUN_ELEVATION="-12.5"), "night"),
    "not there": (lambda b: b / "nowhere", "does not exist"),
    "decompression bomb": (bomb, "bundle.tar.gz unpacks to more than 1048576 bytes, too much"),
    "the same scene twice": (twice, "second: is scene .*, and so is .*first; keep one of them"),
}


@pytest.mark.parametrize("name", BAD_SOURCES)
def test_a_bad_bundle_gets_one_line_and_leaves_nothing(tmp_path, monkeypatch, capfd, name):
    spoil, told = BAD_SOURCES[name]
    source = spoil(made_bundle(tmp_path / "bundle"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setattr(archives, "ALWAYS_ALLOWED", 2**20)  # the bomb here is four times as large
    before = tree(tmp_path)
    assert run("import-scene", "--source", source, "--output", tmp_path / "scenes") == 2
    error = capfd.readouterr().err
    error = error[error.rindex("glacier-ml: ") :]  # after a progress bar that had begun
    assert re.search(told, error), error
    assert error.startswith("glacier-ml: error: ") and error.count("\n") == 1, error
    assert tree(tmp_path) - before <= {tmp_path / "scenes"}


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        ("--method", "toa", "'--method': 'toa' is not one of 'mtl', 'chander'"),
        ("--bounds", "1,2,3", "'--bounds': '1,2,3' has 3 numbers; give west,south,east,north"),
        ("--bounds", "1,2,3,north", "'--bounds': 'north' is not a valid float"),
        ("--bounds", "20,80,21,81", "bounds miss the scene, which lies at -147"),
        ("--bounds", "21,80,21,81", "are not west,south,east,north"),
        ("--bounds", "nan,80,21,81", "are not west,south,east,north"),
        ("--drop", "clouds", "drop: clouds cannot be told from its files .masks: "),
        ("--outlines", "nowhere.gpkg", "nowhere.gpkg"),
    ],
)
def test_a_bad_option_gets_one_line_and_leaves_nothing(tmp_path, capfd, option, value, told):
    source = made_bundle(tmp_path / "bundle")
    output = tmp_path / "scenes"
    assert run("import-scene", "--source", source, "--output", output, f"{option}={value}") == 2
    error = capfd.readouterr().err
    error = error[error.rindex("glacier-ml: ") :]
    assert re.search(told, error), error
    assert not output.exists() or not list(output.iterdir())


def outlines_of(shape, crs, folder):
    """A GeoPackage of one polygon, or of none."""
    path = folder / "rgi.gpkg"
    shapes = [shape] if shape is not None else []
    geopandas.GeoDataFrame({"rgi_id": ["a"] * len(shapes)}, geometry=shapes, crs=crs).to_file(path)
    return path


@pytest.mark.parametrize(
    ("shape", "crs", "told"),
    [
        (None, "EPSG:32606", "rgi.gpkg: .*no polygon"),
        (box(480_030, 6_779_880, 480_120, 6_779_970), "EPSG:4326", "rgi.gpkg: .*(degrees|EPSG:4326)"),
        (box(480_030, 1_779_880, 480_120, 1_779_970), "EPSG:32606", "rgi.gpkg: .*km"),
    ],
    ids=["empty", "metres declared as degrees", "elsewhere"],
)
def test_outlines_that_do_not_fit_get_one_line_and_leave_nothing(tmp_path, capfd, shape, crs, told):
    outlines = outlines_of(shape, crs, tmp_path)
    source = made_bundle(tmp_path / "bundle")
    before = tree(tmp_path)
    output = tmp_path / "out"
    assert run("import-scene", "--source", source, "--output", output, "--outlines", outlines) == 2
    error = capfd.readouterr().err
    error = error[error.rindex("glacier-ml: ") :]
    assert re.search(told, error) and error.count("\n") == 1, error
    assert error.startswith("glacier-ml: error: ")
    assert tree(tmp_path) - before <= {tmp_path / "out"}


def test_import_then_inspect(tmp_path, capsys):
    source = packed(made_bundle(tmp_path / "bundle", shape=(40, 50)), "tar.gz")
    assert run("import-scene", "--source", source, "--output", tmp_path / "scenes") == 0
    told = capsys.readouterr().out
    (folder,) = (tmp_path / "scenes").iterdir()
    assert told.startswith(f"{folder}: TM, 2007-09-17, toa_reflectance by mtl, ") and told.count("\n") == 1
    assert open_scene(folder).provenance["scene_id"]
    for place in (source, folder):
        assert run("inspect", "--data", place) == 0
        text = capsys.readouterr().out
        assert "2007-09-17" in text and "blue" in text
        assert run("inspect", "--data", place, "--json") == 0
        content = json.loads(capsys.readouterr().out)
        assert len(content) == 1 and content[0]["findings"] is not None


def test_help_says_which_method_is_the_default(capfd):
    assert run("import-scene", "--help") == 0
    assert "[default: mtl, where the MTL lacks the keys chander]" in " ".join(capfd.readouterr().out.split())


def test_a_source_must_be_named(capfd):
    assert run("import-scene", "--source", "") == 2
    assert "source: not given; name a Landsat bundle" in capfd.readouterr().err


def test_a_mended_outline_is_told_in_a_line(tmp_path, capfd):
    # A bow tie of 30 m cells within the made bundle's grid.
    bow = Polygon([(480_030, 6_779_970), (480_120, 6_779_880), (480_120, 6_779_970), (480_030, 6_779_880)])
    frame = geopandas.GeoDataFrame({"rgi_id": ["a"]}, geometry=[bow], crs="EPSG:32606")
    frame.to_file(tmp_path / "rgi.gpkg")
    source = made_bundle(tmp_path / "bundle")
    with warnings.catch_warnings():
        warnings.simplefilter("default", OutlineWarning)
        status = run(
            "import-scene", "--source", source, "--output", tmp_path / "scenes", "--outlines",
            tmp_path / "rgi.gpkg",
        )  # fmt: skip
    told = capfd.readouterr().err
    assert status == 0
    assert re.search(r"^glacier-ml: warning: .*rgi\.gpkg: 1 invalid polygon mended$", told, re.MULTILINE), (
        told
    )


def test_a_catalog_to_download_must_be_there(tmp_path, capfd):
    for place in ("", tmp_path / "nowhere.yaml", tmp_path):
        assert run("download", "--data", place, "--output", tmp_path / "scenes") == 2
        error = capfd.readouterr().err
        assert re.search("data: .*; (name|give) a catalog whose scenes have an earth_engine_id", error), error
    assert not (tmp_path / "scenes").exists()
