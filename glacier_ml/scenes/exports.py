"""Scenes as people export them: a folder with one GeoTIFF a band, or one GeoTIFF with all of them.

Either may also lie at an address, which is a text here: a path of this machine is a `pathlib.Path`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from glacier_ml.errors import GlacierError
from glacier_ml.scenes.addresses import file_of, inside, kind_of, shown
from glacier_ml.scenes.landsat.names import SENSOR_BANDS, band_number, date_in, sensor_named, sensors_in
from glacier_ml.scenes.outlines import names_outlines
from glacier_ml.scenes.rasters import open_raster
from glacier_ml.scenes.remote import UnfoundError
from glacier_ml.scenes.scene import BANDS
from glacier_ml.scenes.sources import Layer, Source, common_grid

RASTERS = (".tif", ".tiff")
_DATE_TAGS = ("DATE", "DATE_ACQUIRED", "ACQUISITION_DATE")
_DATE = re.compile(r"\d{4}-\d{2}(-\d{2})?")
_QUALITY = re.compile(r"(?:^|[._])(?P<kind>QA_PIXEL|QA_RADSAT|BQA)$|^(?P<own>quality)$", re.IGNORECASE)
_MAP = re.compile(r"(?P<stem>.+)_(?:probability|mask|uncertainty|spread|members)\.tif")
_SHARD = re.compile(r"-\d{10}-\d{10}$")

# What importing writes as tags of its files, by provenance key.
TAGS = {
    "scene_id": "SCENE_ID",
    "product_id": "PRODUCT_ID",
    "spacecraft": "SPACECRAFT",
    "sensor": "SENSOR",
    "date": "DATE",
    "sun_elevation_deg": "SUN_ELEVATION",
    "earth_sun_distance": "EARTH_SUN_DISTANCE",
    "collection": "COLLECTION",
    "level": "LEVEL",
    "quantity": "QUANTITY",
    "method": "METHOD",
    "software": "SOFTWARE",
    "source": "SOURCE",
    "masks": "MASKS",  # those that quality.tif tells; of the others nothing is known
}
_NUMBERS = ("sun_elevation_deg", "earth_sun_distance", "level")


def open_export(path: Path | str, name: str, sensor: str | None = None) -> Source:
    """Scene of a folder with one GeoTIFF a band or of one GeoTIFF, from its headers.

    Parameters
    ----------
    path : pathlib.Path or str
        See `reading.open_scene`; a text is an address, of a GeoTIFF or of a folder of `<band>.tif`.
    name : str
        The scene's.
    sensor : str, optional
        What band numbers mean, where the files do not say.

    Returns
    -------
    Source

    Raises
    ------
    GlacierError
        Where there is no band, a band number could mean two bands or the bands' grids differ.
    """
    layers = _layers_at(path, name) if isinstance(path, str) else _layers(path, name)
    tags = _tags(layers, name)
    _check_masks(path, layers, tags, name)
    sensor = _sensor(path, layers, tags, name, sensor)
    named = _named([layer for layer in layers if _is_band(layer.label)], sensor, name)
    quality = _quality(layers)
    grid = common_grid({**named, **quality}, name)
    return Source(name, named, grid, _provenance(path, named, sensor, tags), quality)


def grid_of_export(path: Path, name: str) -> Any:
    """Grid of an export's first band."""
    first = _layers(path, name)[0]
    return common_grid({first.label: replace(first, gain=1.0)}, name)


def holds_export(path: Path) -> bool:
    """Whether a path looks like an export: a folder of band files, or a GeoTIFF of several bands.

    Raises
    ------
    GlacierError
        Where a lone GeoTIFF cannot be read.
    """
    if path.is_dir():
        files = _rasters(path)
        return any(_is_band(file.stem) for file in files) or len(_stacks(files)) == 1
    return path.suffix.lower() in RASTERS and path.is_file() and not _is_map(path) and bool(_stacks([path]))


def _rasters(folder: Path) -> list[Path]:
    return sorted(
        file
        for file in folder.iterdir()
        if file.suffix.lower() in RASTERS
        and not file.name.startswith(".")
        and not names_outlines(file)
        and not _is_map(file)
    )


def _is_map(file: Path) -> bool:
    """Whether a raster is part of a map, whose record lies beside it, and no scene's."""
    match = _MAP.fullmatch(file.name)
    return match is not None and file.with_name(f"{match['stem']}_map.json").is_file()


def _is_band(label: str) -> bool:
    return _plain(label) is not None or band_number(label) is not None


def _plain(label: str) -> str | None:
    """Band that a label names outright, in any case; 'swir' alone is the report's swir1."""
    label = label.strip().lower().rpartition(".")[2]  # Earth Engine's downloads are called scene.band.tif
    label = "swir1" if label == "swir" else label
    return label if label in BANDS else None


def _stacks(files: Iterable[Path]) -> list[Path]:
    """Those files that have several bands."""
    found = []
    for file in files:
        with open_raster(file, file.stem) as dataset:
            if dataset.count > 1:
                found.append(file)
    return found


def _layers(path: Path, name: str) -> list[Layer]:
    """Bands, and after them the quality bands, that the files hold."""
    if not path.exists():
        raise GlacierError(f"{name}: {path} does not exist; give a scene folder or a GeoTIFF")
    if path.is_file():
        return _layers_of_file(path, name)
    files = _rasters(path)
    layers = [Layer(file.stem, str(file)) for file in files if _is_band(file.stem)]
    if layers:
        return layers + [Layer(file.stem, str(file)) for file in files if _QUALITY.search(file.stem)]
    stacks = _stacks(files)
    if len(stacks) == 1:
        return _layers_of_file(stacks[0], name)
    _refuse_shards(files, name)
    found = ", ".join(file.name for file in files) or "no GeoTIFF"
    raise GlacierError(
        f"{name}: {path} is no scene folder; it needs {', '.join(f'{band}.tif' for band in BANDS[:5])} "
        f"or one GeoTIFF of several bands (found {found})"
    )


def _layers_at(address: str, name: str) -> list[Layer]:
    """Layers of a GeoTIFF at an address, or of a folder there.

    Nothing lists a folder on the web, and few may list a bucket: the names that importing gives, and swir,
    are tried by their headers.
    """
    if kind_of(address) == "raster":
        return _layers_of_file(address, name)
    found: dict[str, Layer] = {}
    lacking = []
    for label in (*BANDS, "swir", "quality"):
        if label == "swir" and "swir1" in found:
            continue
        place = Layer(label, inside(address, f"{label}.tif"), file=f"{label}.tif")
        try:
            with open_raster(place.path, name):
                found[label] = place
        except UnfoundError as error:
            lacking.append(error)
    if not found.keys() - {"quality"}:
        raise next((error for error in lacking if error.denied), _no_band_at(address, name)) from lacking[0]
    return list(found.values())


def _no_band_at(address: str, name: str) -> GlacierError:
    tried = ", ".join(f"{band}.tif" for band in BANDS)
    return GlacierError(
        f"{name}: {shown(address)} holds none of {tried}; give the address of a scene folder, of one GeoTIFF "
        "(.tif) or of a STAC Item (http, https; without a slash at its end)"
    )


def _check_masks(path: Path | str, layers: list[Layer], tags: dict[str, str], name: str) -> None:
    """Refuse a folder at an address whose quality band is lacking though its files tell of masks."""
    folder = isinstance(path, str) and kind_of(path) == "folder"
    if folder and tags.get("MASKS") and all(layer.label != "quality" for layer in layers):
        raise GlacierError(
            f"{name}: quality.tif of {shown(str(path))} is not there or may not be read, and its bands tell "
            "of masks; put it there"
        )


def _refuse_shards(files: list[Path], name: str) -> None:
    """Earth Engine cuts large exports into files that end in -row-column."""
    pieces = [file for file in files if _SHARD.search(file.stem)]
    if pieces:
        raise GlacierError(
            f"{name}: {pieces[0].name} and its like are pieces of one export; join them (gdalwarp) "
            "or export a smaller region"
        )


def _layers_of_file(path: Path | str, name: str) -> list[Layer]:
    with open_raster(path, name) as dataset:
        labels = [description or "" for description in dataset.descriptions]
    file = _last_part(path)
    everything = [Layer(label, str(path), index, file=file) for index, label in enumerate(labels, 1)]
    layers = [layer for layer in everything if _is_band(layer.label)]
    if not layers:
        found = ", ".join(label or "none" for label in labels)
        raise GlacierError(
            f"{name}: the bands of {file} are not named (descriptions: {found}); "
            "describe them as blue, green, red, nir, swir1 or B1, B2, ..."
        )
    return layers + [layer for layer in everything if _QUALITY.search(layer.label)]


def _last_part(path: Path | str) -> str:
    return file_of(path) if isinstance(path, str) else path.name


def _own_name(path: Path | str) -> str:
    """Name that a scene's folder or file has, wherever it is called from."""
    return file_of(path) if isinstance(path, str) else path.resolve().name


def _tags(layers: list[Layer], name: str) -> dict[str, str]:
    """Tags of the first file; the others come from the same export."""
    with open_raster(layers[0].path, name) as dataset:
        return {str(key): str(value) for key, value in dataset.tags().items()}


def _sensor(
    path: Path | str, layers: list[Layer], tags: dict[str, str], name: str, said: str | None
) -> str | None:
    if said:
        return sensor_named(said, name)
    own = tags.get("SENSOR", "")
    sources = [own, " ".join(tags.values()), " ".join(Path(_file(layer)).stem for layer in layers)]
    for source in [*sources, _own_name(path)]:
        found = sensors_in(source)
        if len(found) == 1:
            return found.pop()
        if found:
            raise GlacierError(
                f"{name}: sensors {' and '.join(sorted(found))} are both named by its files; say which"
            )
    return None


def _named(layers: list[Layer], sensor: str | None, name: str) -> dict[str, Layer]:
    """Layers by band name, in the order of BANDS."""
    numbered = [layer.label for layer in layers if _plain(layer.label) is None]
    if numbered and sensor is None:
        raise GlacierError(
            f"{name}: {', '.join(numbered)} are other bands on TM or ETM+ than on OLI; say which by "
            "'sensor: TM' in the catalog, a tag SENSOR=TM in the file or a name that begins with LT05"
        )
    found: dict[str, Layer] = {}
    for layer in layers:
        numbers = SENSOR_BANDS[sensor] if sensor else {}
        band = _plain(layer.label) or numbers.get(band_number(layer.label) or 0)
        if band in found:
            raise GlacierError(
                f"{name}: {found[band].place} and {layer.place} are both {band}; keep one of them"
            )
        if band:
            found[band] = layer
    if not found:
        raise GlacierError(
            f"{name}: none of {', '.join(numbered)} is a reflective band of {sensor}; add them"
        )
    return {band: found[band] for band in BANDS if band in found}


def _quality(layers: list[Layer]) -> dict[str, Layer]:
    """Quality bands by kind; a folder that this package wrote has one of its own, which says all."""
    found = {}
    for layer in layers:
        if match := _QUALITY.search(layer.label):
            kind = "quality" if match["own"] else match["kind"].upper()
            found[kind] = replace(layer, gain=1.0)  # bits: neither reflectance nor to be checked as such
    return {"quality": found["quality"]} if "quality" in found else found


def _provenance(
    path: Path | str, named: dict[str, Layer], sensor: str | None, tags: dict[str, str]
) -> dict[str, Any]:
    files = {band: _file(layer) for band, layer in named.items()}
    said = [_DATE.match(value) for key, value in tags.items() if key.upper() in _DATE_TAGS]
    ids = [*tags.values(), *files.values(), _own_name(path)]
    dates = [match[0] for match in said if match] or [date for date in map(date_in, ids) if date]
    known = {key: _told(key, tags[tag]) for key, tag in TAGS.items() if tag in tags and key != "source"}
    return known | {
        "source": shown(path) if isinstance(path, str) else str(path),
        "files": files,
        **({} if isinstance(path, str) else {"sizes": _sizes(named)}),
        "sensor": sensor,
        "date": dates[0] if dates else None,
        "tags": tags,
    }


def _file(layer: Layer) -> str:
    return layer.file or Path(layer.path).name


def _sizes(named: dict[str, Layer]) -> dict[str, int]:
    """Bytes of each file of this machine."""
    return {_file(layer): Path(layer.path).stat().st_size for layer in named.values()}


def _told(key: str, text: str) -> str | float | None:
    """Value of a tag: a number where the key means one and it is one."""
    if key not in _NUMBERS:
        return text
    try:
        return int(text) if key == "level" else float(text)
    except ValueError:
        return None
