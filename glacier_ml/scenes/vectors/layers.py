"""Files of polygons of every format, and the one layer in each that counts."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path, PurePosixPath
from typing import Any

from glacier_ml.errors import GlacierError
from glacier_ml.scenes.vectors.vector_layer import VectorLayer, told_in_one_line

PLAIN = (".gpkg", ".shp", ".geojson", ".json", ".fgb")
ZIPPED = (".zip", ".shz")
PARQUET = (".parquet", ".geoparquet")
VECTORS = PLAIN + ZIPPED + PARQUET

LARGEST_LAYER = 16 * 2**30
"""Bytes of the largest layer read from a zip file: all of GLIMS has about a third of that. Chosen here."""

_BEGINNING = 64

LARGEST_TEXT = 2 * 2**30
"""Bytes of the largest GeoJSON read from a zip file, because it is parsed whole. Chosen here."""

_DRIVERS = ("GPKG", "ESRI Shapefile", "FlatGeobuf", "GeoJSON", "GeoJSONSeq", "JSONFG", "TopoJSON", "ESRIJSON")

# How files begin. GDAL goes by the content, and some formats of its own would send it to other files.
_BEGINNINGS = {
    ".gpkg": (b"SQLite format 3\0", "GeoPackage"),
    ".shp": (b"\x00\x00\x27\x0a", "Shapefile"),
    ".fgb": (b"fgb", "FlatGeobuf"),
    ".geojson": (b"{", "GeoJSON"),
    ".json": (b"{", "GeoJSON"),
}

_POLYGONAL = ("Polygon", "Surface", "Unknown", "Collection")
_PREFERRED = re.compile(r"glims_polygons|(glacier_?)?outlines", re.IGNORECASE)


def polygon_layer(path: Path, where: str) -> VectorLayer:
    """Find the layer of polygons in a file, without reading a polygon.

    Parameters
    ----------
    path : pathlib.Path
        A file of one of the suffixes `VECTORS`; a zip file may hold folders, and is read in place.
    where : str
        What errors begin with.

    Returns
    -------
    VectorLayer

    Raises
    ------
    GlacierError
        Where the file is damaged or lacks a part, holds no or several layers of polygons, or has no CRS.
    """
    if path.suffix.lower() in PARQUET:
        from glacier_ml.scenes.vectors.geoparquet import parquet_layer

        return parquet_layer(path, where)
    zipped = path.suffix.lower() in ZIPPED
    with told_in_one_line(where):
        datasets = _zipped_datasets(path, where) if zipped else [_plain_dataset(path, where)]
        if len(datasets) == 1 and datasets[0].lower().endswith("json"):
            # One layer, and every opening parses the whole file.
            return _described(datasets[0], None, where)
        dataset, name = _choose(_layers(datasets), where)
        return _described(dataset, name, where)


def _layers(datasets: list[str]) -> list[tuple[str, str, str | None]]:
    """Dataset, layer and kind of geometry of all layers."""
    import pyogrio

    return [
        (dataset, str(name), kind and str(kind))
        for dataset in datasets
        for name, kind in pyogrio.list_layers(dataset)
    ]


def _choose(layers: list[tuple[str, str, str | None]], where: str) -> tuple[str, str]:
    """Dataset and name of the one layer that holds polygons."""
    if not layers:
        raise GlacierError(f"{where}: cannot be read (it has no layer); replace the file")
    found = [one for one in layers if one[2] and any(word in one[2] for word in _POLYGONAL)]
    if len(found) > 1:
        found = [one for one in found if one[2] != "Unknown"] or found
    preferred = [one for one in found if _PREFERRED.match(one[1])]
    if len(found) > 1 and len(preferred) == 1:
        found = preferred
    if len(found) != 1:
        other = ", ".join(sorted({one[2] for one in layers if one[2]}))
        names = ", ".join(one[1] for one in found[:4]) + (", ..." if len(found) > 4 else "")
        came = names or f"none{f', but {other}' if other else ''}"
        raise GlacierError(f"{where}: one layer of polygons is wanted, found {came}; keep the one to use")
    return found[0][:2]


def _described(dataset: str, name: str | None, where: str) -> VectorLayer:
    import pyogrio

    info = pyogrio.read_info(dataset, layer=name)
    if name is None:
        _, name = _choose([(dataset, str(info["layer_name"]), info["geometry_type"])], where)
    if info["driver"] not in _DRIVERS:
        raise GlacierError(f"{where}: is {info['driver']}; give one of {' '.join(VECTORS)}")
    if info["crs"] is None:
        raise GlacierError(
            f"{where}: has no coordinate reference system; add it (a .prj file for a Shapefile)"
        )
    bounds: Any = info["total_bounds"]
    return VectorLayer(
        dataset,
        name,
        str(info["crs"]),
        tuple(str(field) for field in info["fields"]),
        None if bounds is None else (float(bounds[0]), float(bounds[1]), float(bounds[2]), float(bounds[3])),
        int(info["features"]),
    )


def _plain_dataset(path: Path, where: str) -> str:
    if path.suffix.lower() == ".shp":
        beside = {file.name.lower() for file in path.absolute().parent.iterdir()}
        _check_parts(PurePosixPath(path.name), beside, where)
    with path.open("rb") as file:
        _check_beginning(path.name, file.read(_BEGINNING), where)
    return str(path)


def _check_beginning(name: str, content: bytes, where: str) -> None:
    beginning, kind = _BEGINNINGS[PurePosixPath(name).suffix.lower()]
    content = content.removeprefix(b"\xef\xbb\xbf").lstrip() if beginning == b"{" else content
    if not content.startswith(beginning):
        raise GlacierError(f"{where}: cannot be read ({name} is no {kind} inside); replace the file")


def _check_parts(shapefile: PurePosixPath, beside: set[str], where: str) -> None:
    """Refuse a Shapefile without its index or its columns: without line_type, rock would pass for ice."""
    parts = [shapefile.with_suffix(suffix) for suffix in (".shx", ".dbf")]
    lacking = [part.name for part in parts if str(part).lower() not in beside]
    if lacking:
        raise GlacierError(f"{where}: {' and '.join(lacking)} missing; copy all files of the Shapefile")


def _zipped_datasets(path: Path, where: str) -> list[str]:
    """GDAL's paths of the vector files in a zip file, which is never unpacked."""
    with zipfile.ZipFile(path) as archive:
        members = [one for one in archive.infolist() if not one.is_dir() and _harmless(one.filename)]
        names = {one.filename.lower() for one in members}
        found = [one for one in members if PurePosixPath(one.filename).suffix.lower() in PLAIN]
        # A .json beside a Shapefile is metadata; GeoJSON stands for itself.
        found = [one for one in found if not one.filename.lower().endswith(".json")] or found
        for one in found:
            _check_member(one, members, names, where)
            with archive.open(one) as file:
                _check_beginning(one.filename, file.read(_BEGINNING), where)
    if not found:
        holds = (
            ", ".join(sorted({PurePosixPath(one).suffix or "no suffix" for one in names})[:6]) or "nothing"
        )
        raise GlacierError(
            f"{where}: holds no vector file ({holds}); a zip of one of {' '.join(PLAIN)} is wanted, "
            "zips inside it unpacked"
        )
    # Braces end the archive's name, whatever its suffix.
    return [f"/vsizip/{{{path.absolute()}}}/{one.filename}" for one in found]


def _harmless(name: str) -> bool:
    """Whether a member's path stays inside the archive and is no system's own file."""
    parts = name.replace("\\", "/").split("/")
    return not name.startswith(("/", "\\")) and ".." not in parts and not parts[-1].startswith("._")


def _check_member(
    member: zipfile.ZipInfo, members: list[zipfile.ZipInfo], names: set[str], where: str
) -> None:
    if member.filename.lower().endswith(".shp"):
        _check_parts(PurePosixPath(member.filename), names, where)
    stem = str(PurePosixPath(member.filename).with_suffix(""))
    parts = [one for one in members if one.filename == member.filename or one.filename.startswith(f"{stem}.")]
    size = sum(one.file_size for one in parts)
    largest = LARGEST_TEXT if member.filename.lower().endswith("json") else LARGEST_LAYER
    if size > largest:
        raise GlacierError(
            f"{where}: {member.filename} would unpack to {size / 2**30:.1f} GiB, "
            f"more than {largest / 2**30:.0f}; make a GeoPackage of the region wanted"
        )
    if any(one.flag_bits & 1 for one in parts):
        raise GlacierError(f"{where}: {member.filename} is encrypted; unpack it first")
