"""Landsat bundles: a metadata file (MTL) and the files of digital numbers (DN) that came with it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from rasterio.windows import Window

from glacier_ml.errors import GlacierError
from glacier_ml.scenes.landsat.archives import METADATA_FILE, SUFFIXES, content, one_line, opened_files
from glacier_ml.scenes.landsat.metadata import Metadata, read_metadata
from glacier_ml.scenes.landsat.names import SENSOR_BANDS, band_number, sensors_in
from glacier_ml.scenes.landsat.radiometry import Rescaling, rescale
from glacier_ml.scenes.rasters import grid_of, open_raster
from glacier_ml.scenes.scene import BANDS, Scene
from glacier_ml.scenes.sources import Layer, Source, common_grid

LARGEST_METADATA = 2**20
"""Bytes of a metadata file; real ones have 7 to 65 thousand. Chosen here."""

LARGEST_BLOCK = 10_000 * 10_000
"""Pixels of a file's largest block, which is unpacked whole for any of its pixels: a frame has 60 million.
Chosen here."""

_FORMS = ("txt", "json", "xml")  # taken in this order where a bundle has its metadata file in several
# Kinds of quality band by collection; the BQA that Landsat 8 had before the collections has other bits.
_QUALITY = {"C2": ("QA_PIXEL", "QA_RADSAT"), "C1": ("BQA",), "pre": ()}
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_DN = ("uint8", "uint16", "int16")
_NAME = re.compile(r"[A-Za-z0-9][\w.+-]*", re.ASCII)

# Rasters that no scene is made of: ETM+'s thermal bands, angles, Level 2's temperature and by-products.
_OTHER = re.compile(
    r"_(B6_VCID_\d|SAA|SZA|VAA|VZA|ST_\w+|SR_\w*(QA|CLOUD|OPACITY|AEROSOL)\w*)$", re.IGNORECASE
)


def is_bundle(path: Path) -> bool:
    """Whether a path looks like a bundle: a folder with a metadata file, or an archive by its suffix.

    Examples
    --------
    >>> is_bundle(Path("LT05_L1TP_066017_20070917_20200830_02_T1.tar"))
    True
    >>> is_bundle(Path("2007_TOA.tif"))
    False
    """
    try:
        if path.is_dir():
            return any(_is_metadata(file.name) for file in path.iterdir())
    except (OSError, ValueError):
        return False
    return path.name.lower().endswith(SUFFIXES)


@contextmanager
def open_bundle(path: Path, name: str | None = None, method: str | None = None) -> Iterator[Source]:
    """Open a Level-1 bundle, or the surface reflectance of a Level-2 one, without reading pixels.

    Parameters
    ----------
    path : pathlib.Path
        Folder, `.tar`, `.tar.gz`, `.tgz` or `.zip` of Landsat 4 to 9, of any collection.
    name : str, optional
        The scene's; default its product id, in older bundles its scene id.
    method : str, optional
        'mtl' or 'chander', see `radiometry.rescale`.

    Yields
    ------
    Source
        To be read inside the block: what was unpacked is gone afterwards.

    Raises
    ------
    GlacierError
        As `archives.opened_files`; where there are metadata files of two products, a band's file is missing
        or no GeoTIFF of DN, or grids differ.
    """
    place = name or _place(path)
    with opened_files(path, place, _is_wanted) as files:
        metadata = _metadata(files, place)
        ids = [metadata.product_id or "", metadata.scene_id]
        name = name or next((one for one in ids if _NAME.fullmatch(one)), place)
        yield _source(path, name, method, metadata, files)


def _place(path: Path) -> str:
    """What errors call a bundle until its id is known: the folder's name, or the archive's without suffix."""
    name = path.name if path.name.lower().endswith(SUFFIXES) else path.resolve().name
    return re.sub(r"\.(tar|tar\.gz|tgz|zip)$", "", name, flags=re.IGNORECASE)


@dataclass(frozen=True)
class _Bundle(Source):
    """A bundle's source.

    Attributes
    ----------
    files : dict of str to str
        What errors call a file, by what GDAL calls it.
    untagged : bool
        Whether nodata tags at the sensor's ceiling are passed over; see `_untagged`.
    """

    files: dict[str, str] = field(default_factory=dict)
    untagged: bool = False

    def read(self, window: Window | None = None, drop: tuple[str, ...] = ()) -> Scene:
        """Read a window; see `Source.read`."""
        with _by_name(self.files):
            scene = super().read(window, drop)
        if not self.untagged:
            return scene
        # Saturated in every band, swir2 too: not snow but an empty margin.
        void = np.logical_and.reduce([scene.quality[f"saturated_{band}"] for band in self.layers])
        for values in scene.bands.values():
            values[void] = np.nan
        saturated = {
            mask: flags & ~void for mask, flags in scene.quality.items() if mask.startswith("saturated")
        }
        return replace(scene, valid=scene.valid & ~void, quality=scene.quality | saturated)


def _is_metadata(name: str) -> bool:
    return METADATA_FILE.search(name) is not None and not name.startswith(".")


def _is_wanted(name: str) -> bool:
    """Whether a file may be one of those that make a scene: others need not be unpacked."""
    stem, _, suffix = name.rpartition(".")
    if suffix.lower() not in ("tif", "tiff"):
        return _is_metadata(name)
    sensors, number = sensors_in(name), band_number(stem)
    if number is not None and len(sensors) == 1:
        return number in SENSOR_BANDS[sensors.pop()] and not _OTHER.search(stem)
    return not _OTHER.search(stem)


def _metadata(files: dict[str, str], place: str) -> Metadata:
    """The bundle's metadata, from one of the forms that lie there."""
    found = sorted(filter(_is_metadata, files), key=_form)
    products = {name.rpartition(".")[0].casefold(): name for name in found}
    if len(products) > 1:
        first, second = list(products.values())[:2]
        raise GlacierError(
            f"{place}: {first} and {second} are two products' metadata; keep each product in its own folder"
        )
    text = content(files[found[0]], place, LARGEST_METADATA + 1)
    if len(text) > LARGEST_METADATA:
        raise GlacierError(
            f"{place}: {found[0]} has more than {LARGEST_METADATA} bytes, metadata about 10,000; replace it"
        )
    return read_metadata(text, f"{place}: {found[0]}")


def _form(name: str) -> tuple[int, str]:
    return _FORMS.index(name.rpartition(".")[2].lower()), name


def _source(path: Path, name: str, method: str | None, metadata: Metadata, files: dict[str, str]) -> Source:
    method, rescaling = rescale(metadata, method, name)
    found = _band_files(metadata, files, name)
    layers = {band: _layer(file, files, rescaling[band]) for band, file in found.items()}
    quality = {kind: _layer(file, files) for kind, file in _quality_files(metadata, files, name).items()}
    everything = [*layers.values(), *quality.values()]
    headers = [_header(layer, name) for layer in everything]
    # A gain of one says that a quality band's whole numbers are no DN to complain of.
    with _by_name({}):
        grid = common_grid(layers | {kind: replace(layer, gain=1.0) for kind, layer in quality.items()}, name)
    tagged = dict(zip(layers, [header.nodata for header in headers], strict=False))
    untagged = {
        band: _untagged(layer, name)
        for band, layer in layers.items()
        if layer.ceiling is not None and tagged[band] == layer.ceiling
    }
    return _Bundle(
        name,
        layers | untagged,
        grid,
        _provenance(path, method, metadata, found, headers[0].tags),
        quality,
        {layer.path: layer.file for layer in [*everything, *untagged.values()]},
        bool(untagged),
    )


def _band_files(metadata: Metadata, files: dict[str, str], name: str) -> dict[str, str]:
    """File by band, in the order of `BANDS`."""
    numbers = {band: number for number, band in SENSOR_BANDS[metadata.sensor].items()}
    surface = "SR_" if metadata.level == 2 else ""
    found: dict[str, str] = {}
    for band in BANDS:
        number = numbers[band]
        names = _names(metadata.band_files.get(number), metadata, f"{surface}B{number}")
        file = _file(files, names, name)
        if file is None:
            raise GlacierError(f"{name}: {names[0]} ({band}) is missing; put it beside the metadata file")
        if file in found.values():
            raise GlacierError(
                f"{name}: the metadata file names {file} for two bands; replace the metadata file"
            )
        found[band] = file
    return found


def _quality_files(metadata: Metadata, files: dict[str, str], name: str) -> dict[str, str]:
    """File by kind of quality band; a bundle may have none."""
    kinds = _QUALITY[metadata.collection]
    named = {kind: _names(metadata.quality_files.get(kind), metadata, kind) for kind in kinds}
    found = {kind: _file(files, names, name) for kind, names in named.items()}
    return {kind: file for kind, file in found.items() if file}


def _names(named: str | None, metadata: Metadata, ending: str) -> list[str]:
    """What a file may be called: as the metadata file says, else by the product's or the scene's id."""
    ids = [one for one in (metadata.product_id, metadata.scene_id) if one]
    return [
        *([named] if named else []),
        *(f"{one}_{ending}.{suffix}" for one in ids for suffix in ("TIF", "TIFF")),
    ]


def _file(files: dict[str, str], names: list[str], name: str) -> str | None:
    """The first file that is called one of the names, in whatever case."""
    for wanted in names:
        if wanted in files:
            return wanted
        alike = [file for file in files if file.casefold() == wanted.casefold()]
        if len(alike) > 1:
            raise GlacierError(f"{name}: {' and '.join(alike)} differ in case alone; keep one of them")
        if alike:
            return alike[0]
    return None


def _layer(file: str, files: dict[str, str], scale: Rescaling | None = None) -> Layer:
    """One band a file: its label is the file's stem, so that errors name the file alone."""
    stem = Path(file).stem
    if scale is None:
        return Layer(stem, files[file], file=file)
    return Layer(stem, files[file], 1, scale.gain, scale.offset, scale.fill, scale.ceiling, file)


@dataclass(frozen=True)
class _Header:
    tags: dict[str, str]
    nodata: float | None


def _header(layer: Layer, name: str) -> _Header:
    """Header of a band's file, which must be a plain GeoTIFF of DN.

    GDAL tells a format by a file's content, and some formats name further files: only a TIFF is opened.
    """
    if content(layer.path, name, 4) not in _TIFF:
        raise GlacierError(f"{name}: {layer.file} is no TIFF; replace the file")
    names = {layer.path: layer.file, Path(layer.path).name: layer.file}
    with _by_name(names), open_raster(layer.path, name) as dataset:
        grid_of(dataset, name)
        _check_kind(dataset, layer, name)
        return _Header({str(key): str(value) for key, value in dataset.tags().items()}, dataset.nodata)


def _check_kind(dataset: Any, layer: Layer, name: str) -> None:
    if dataset.count != 1 or dataset.dtypes[0] not in _DN:
        raise GlacierError(
            f"{name}: {layer.file} has {dataset.count} bands of {dataset.dtypes[0]}, not one of "
            f"{', '.join(_DN)}; replace the file"
        )
    rows, columns = dataset.block_shapes[0]
    if rows * columns > LARGEST_BLOCK:
        raise GlacierError(
            f"{name}: {layer.file} is packed in blocks of {rows} x {columns} pixels, more than a Landsat "
            "scene has; write it in tiles"
        )


def _untagged(layer: Layer, name: str) -> Layer:
    """A layer whose nodata tag is passed over, as GDAL's vrt:// can.

    Programs that cut bundles tag bytes with nodata = 255. The metadata says that 255 is QUANTIZE_CAL_MAX, the
    largest valid DN: over snow blue is saturated there, and the tag, taken at its word, would cut holes into
    glaciers. So 255 is data, and saturated. Where every band has it, swir2 among them, which no snow
    saturates, it is an empty margin: see `_Bundle.read`. (Scene LT52240631988227CUB02 has the tag, and no
    pixel of 255: its known reflectance agrees either way.)
    """
    if "?" in layer.path:
        raise GlacierError(
            f"{name}: the path {layer.path} holds a question mark; rename the folder or the archive"
        )
    return replace(layer, path=f"vrt://{layer.path}?a_nodata=none")


def _provenance(
    path: Path, method: str, metadata: Metadata, found: dict[str, str], tags: dict[str, str]
) -> dict[str, Any]:
    return metadata.provenance | {
        "source": str(path),
        "files": found,
        "level": metadata.level,
        "quantity": "surface_reflectance" if metadata.level == 2 else "toa_reflectance",
        "method": method,
        "tags": tags,
    }


@contextmanager
def _by_name(files: dict[str, str]) -> Iterator[None]:
    """Errors call files by their own names, not by those of temporary files or of parts of a tar."""
    try:
        yield
    except GlacierError as error:
        text = str(error)
        for place in sorted(files, key=len, reverse=True):
            text = text.replace(place, files[place])
        raise GlacierError(one_line(text, 1000)) from error
