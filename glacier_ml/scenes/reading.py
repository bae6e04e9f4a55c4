"""Scenes from files and to files: a folder with one GeoTIFF a band, or one GeoTIFF with all of them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glacier_ml.errors import GlacierError
from glacier_ml.scenes.landsat.names import SENSOR_BANDS, band_number, date_in, sensor_named, sensors_in
from glacier_ml.scenes.outlines import names_outlines
from glacier_ml.scenes.rasters import grid_difference, grid_of, open_raster, write_raster
from glacier_ml.scenes.scene import BANDS, Grid, Scene

_RASTERS = (".tif", ".tiff")
_LARGEST_MEDIAN = 2.0  # reflectance seldom passes 1.2, even of snow facing a low sun; DN start far above
_DATE_TAGS = ("DATE", "DATE_ACQUIRED", "ACQUISITION_DATE")
_DATE = re.compile(r"\d{4}-\d{2}(-\d{2})?")


@dataclass(frozen=True)
class _Layer:
    """One band of one file, before it is read."""

    label: str
    path: Path
    index: int


def open_scene(path: str | Path, name: str | None = None, sensor: str | None = None) -> Scene:
    """Read a scene of top-of-atmosphere reflectance.

    Parameters
    ----------
    path : str or pathlib.Path
        A folder with one GeoTIFF a band (`blue.tif`, `green.tif`, `red.tif`, `nir.tif`, `swir1.tif` or
        `swir.tif`, `swir2.tif`, or names that end in B1, B2, ...), or one GeoTIFF whose bands are
        described so. Other bands (thermal, quality) are left out.
    name : str, optional
        Name of the scene; default the folder's or the file's.
    sensor : str, optional
        'TM', 'ETM+' or 'OLI' (or a mission, 'Landsat 5'): what band numbers mean. Without it, the
        files' tags, their names and the folder's name are asked, in this order.

    Returns
    -------
    Scene
        float32 bands, NaN where the file has nodata, NaN or an infinity; valid where every band has data.

    Raises
    ------
    GlacierError
        Where there is no band, a band number could mean two bands, the bands' grids differ, the
        georeference is missing, the values are DN or no pixel has data in every band.
    """
    path = Path(path)
    name = name or scene_name(path)
    layers = _layers(path, name)
    tags = _tags(layers, name)
    sensor = _sensor(path, layers, tags, name, sensor)
    named = _named(layers, sensor, name)
    bands, grid = _read(named, name)
    valid = np.logical_and.reduce([np.isfinite(values) for values in bands.values()])
    if not valid.any():
        raise GlacierError(
            f"{name}: no pixel has data in every band ({', '.join(bands)}); check the files' nodata"
        )
    return Scene(name, bands, valid, grid, _provenance(path, named, sensor, tags))


def scene_name(path: Path) -> str:
    """Name of a scene that nobody named: its folder's, or its file's without the suffix."""
    return path.resolve().name if path.is_dir() else path.stem


def scene_grid(path: Path, name: str) -> Grid:
    """Grid of a scene, from the header of its first band alone.

    Raises
    ------
    GlacierError
        Where there is no band or no georeference.
    """
    with open_raster(_layers(path, name)[0].path, name) as dataset:
        return grid_of(dataset, name)


def scene_bands(path: Path, name: str, sensor: str | None = None) -> tuple[str, ...]:
    """Bands of a scene, from the headers of its files; raises as `open_scene` where no pixel is read."""
    layers = _layers(path, name)
    return tuple(_named(layers, _sensor(path, layers, _tags(layers, name), name, sensor), name))


def holds_scene(path: Path) -> bool:
    """Whether a path looks like a scene: a folder of band files, or a GeoTIFF of several bands.

    Raises
    ------
    GlacierError
        Where a lone GeoTIFF cannot be read.
    """
    if path.is_dir():
        files = _rasters(path)
        return any(_is_band(file.stem) for file in files) or len(_stacks(files)) == 1
    return path.suffix.lower() in _RASTERS and path.is_file() and bool(_stacks([path]))


def write_scene(scene: Scene, folder: Path) -> None:
    """Write a scene as a folder with one float32 GeoTIFF a band, NaN = no data.

    Parameters
    ----------
    scene : Scene
        Its date and sensor, where its provenance has them, become tags of each file.
    folder : pathlib.Path
        Made where it is missing; band files in it are replaced.

    Raises
    ------
    GlacierError
        Where the folder cannot be written.
    """
    known = {key: scene.provenance.get(key) for key in ("date", "sensor")}
    tags = {key.upper(): str(value) for key, value in known.items() if value}
    for band, values in scene.bands.items():
        write_raster(Path(folder) / f"{band}.tif", values, scene.grid, float("nan"), tags, band)


def _rasters(folder: Path) -> list[Path]:
    return sorted(
        file
        for file in folder.iterdir()
        if file.suffix.lower() in _RASTERS and not file.name.startswith(".") and not names_outlines(file)
    )


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


def _layers(path: Path, name: str) -> list[_Layer]:
    if not path.exists():
        raise GlacierError(f"{name}: {path} does not exist; give a scene folder or a GeoTIFF")
    if path.is_file():
        return _layers_of_file(path, name)
    files = _rasters(path)
    layers = [_Layer(file.stem, file, 1) for file in files if _is_band(file.stem)]
    if layers:
        return layers
    stacks = _stacks(files)
    if len(stacks) == 1:
        return _layers_of_file(stacks[0], name)
    found = ", ".join(file.name for file in files) or "no GeoTIFF"
    raise GlacierError(
        f"{name}: {path} is no scene folder; it needs {', '.join(f'{band}.tif' for band in BANDS[:5])} "
        f"or one GeoTIFF of several bands (found {found})"
    )


def _layers_of_file(path: Path, name: str) -> list[_Layer]:
    with open_raster(path, name) as dataset:
        labels = [description or "" for description in dataset.descriptions]
    layers = [_Layer(label, path, index) for index, label in enumerate(labels, 1) if _is_band(label)]
    if not layers:
        found = ", ".join(label or "none" for label in labels)
        raise GlacierError(
            f"{name}: the bands of {path.name} are not named (descriptions: {found}); "
            "describe them as blue, green, red, nir, swir1 or B1, B2, ..."
        )
    return layers


def _tags(layers: list[_Layer], name: str) -> dict[str, str]:
    """Tags of the first file; the others come from the same export."""
    with open_raster(layers[0].path, name) as dataset:
        return {str(key): str(value) for key, value in dataset.tags().items()}


def _sensor(
    path: Path, layers: list[_Layer], tags: dict[str, str], name: str, said: str | None
) -> str | None:
    if said:
        return sensor_named(said, name)
    sources = [" ".join(tags.values()), " ".join(layer.path.stem for layer in layers), path.resolve().name]
    for source in sources:
        found = sensors_in(source)
        if len(found) == 1:
            return found.pop()
        if found:
            raise GlacierError(
                f"{name}: sensors {' and '.join(sorted(found))} are both named by its files; say which"
            )
    return None


def _named(layers: list[_Layer], sensor: str | None, name: str) -> dict[str, _Layer]:
    """Layers by band name, in the order of BANDS."""
    numbered = [layer.label for layer in layers if _plain(layer.label) is None]
    if numbered and sensor is None:
        raise GlacierError(
            f"{name}: {', '.join(numbered)} are other bands on TM or ETM+ than on OLI; say which by "
            "'sensor: TM' in the catalog, a tag SENSOR=TM in the file or a name that begins with LT05"
        )
    found: dict[str, _Layer] = {}
    for layer in layers:
        numbers = SENSOR_BANDS[sensor] if sensor else {}
        band = _plain(layer.label) or numbers.get(band_number(layer.label) or 0)
        if band in found:
            raise GlacierError(
                f"{name}: {_place(found[band])} and {_place(layer)} are both {band}; keep one of them"
            )
        if band:
            found[band] = layer
    if not found:
        raise GlacierError(
            f"{name}: none of {', '.join(numbered)} is a reflective band of {sensor}; add them"
        )
    return {band: found[band] for band in BANDS if band in found}


def _place(layer: _Layer) -> str:
    return layer.path.name if layer.label == layer.path.stem else f"{layer.path.name} band {layer.index}"


def _read(named: dict[str, _Layer], name: str) -> tuple[dict[str, NDArray[np.float32]], Grid]:
    bands, grids = {}, {}
    for band, layer in named.items():
        with open_raster(layer.path, name) as dataset:
            grids[band] = grid_of(dataset, name)
            bands[band] = _reflectance(dataset, layer, name)
    first = next(iter(grids))
    for band, grid in grids.items():
        difference = grid_difference(grids[first], grid)
        if difference:
            raise GlacierError(
                f"{name}: {_place(named[first])} and {_place(named[band])} are on different grids "
                f"({difference}); export all bands on one grid"
            )
    return bands, grids[first]


def _reflectance(dataset: Any, layer: _Layer, name: str) -> NDArray[np.float32]:
    if layer.label == layer.path.stem and dataset.count > 1:
        raise GlacierError(
            f"{name}: {layer.path.name} has {dataset.count} bands, not one; keep one band a file"
        )
    raw = dataset.read(layer.index, masked=True)
    scale, offset = dataset.scales[layer.index - 1], dataset.offsets[layer.index - 1]
    with np.errstate(over="ignore"):  # fill beyond float32 becomes infinite and thus invalid
        values = raw.astype(np.float32).filled(np.nan)
    if (scale, offset) != (1.0, 0.0):
        values = (values * scale + offset).astype(np.float32)
    values[~np.isfinite(values)] = np.nan
    has_data = np.isfinite(values)
    median = float(np.median(values[has_data])) if has_data.any() else 0.0
    if (raw.dtype.kind in "iu" and scale == 1.0) or median > _LARGEST_MEDIAN:
        raise GlacierError(
            f"{name}: {_place(layer)} holds DN, not reflectance ({raw.dtype}, median {median:g}); "
            "convert it to top-of-atmosphere reflectance (0 to about 1) first"
        )
    return values


def _provenance(
    path: Path, named: dict[str, _Layer], sensor: str | None, tags: dict[str, str]
) -> dict[str, Any]:
    files = {band: layer.path.name for band, layer in named.items()}
    said = [_DATE.match(value) for key, value in tags.items() if key.upper() in _DATE_TAGS]
    ids = [*tags.values(), *files.values(), path.resolve().name]
    dates = [match[0] for match in said if match] or [date for date in map(date_in, ids) if date]
    return {
        "source": str(path),
        "files": files,
        "sizes": {layer.path.name: layer.path.stat().st_size for layer in named.values()},
        "sensor": sensor,
        "date": dates[0] if dates else None,
        "tags": tags,
    }
