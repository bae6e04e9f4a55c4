"""STAC Items: a scene whose assets, on the web or beside the Item, are its bands."""

from __future__ import annotations

import json
import re
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from glacier_ml.errors import GlacierError
from glacier_ml.scenes.addresses import fetch, file_of, is_address, kind_of, shown, whole_address
from glacier_ml.scenes.assets import BandAsset, band_assets, fill_of, metadata_asset, quality_assets, scale_of
from glacier_ml.scenes.landsat.metadata import Metadata, read_metadata
from glacier_ml.scenes.landsat.names import date_in, sensors_in
from glacier_ml.scenes.landsat.radiometry import Rescaling, rescale
from glacier_ml.scenes.rasters import open_raster
from glacier_ml.scenes.sources import Layer, Source, common_grid

# Collection 2 Level-2 surface reflectance, one rule for all bands and sensors. Both levels' fill is 0.
_SURFACE = (2.75e-05, -0.2)
_FILL = 0.0

_LEVEL = re.compile(r"(?:^|[_-]|c2)L(?P<level>[12])(?:[A-Z]{1,2})?(?:[_-]|$)", re.IGNORECASE)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_KINDS = {
    "Collection": "a Collection; give the address of one of its Items",
    "Catalog": "a Catalog; give the address of one of its Items",
    "FeatureCollection": "a collection of features; give one Item",
}


def is_item(location: str) -> bool:
    """Whether a location is taken for a STAC Item: by its address, or as a `.json` file with an Item in it.

    Examples
    --------
    >>> is_item("https://example.org/items/LT05_L2SP_066017_20070917_02_T1")
    True
    >>> is_item("https://example.org/scene.tif"), is_item("scenes/2007_TOA")
    (False, False)
    """
    if is_address(whole_address(location)):
        return kind_of(location) == "item"
    path = Path(location)
    try:
        if path.suffix.lower() != ".json" or not path.expanduser().is_file():
            return False
        content = _content(str(path.expanduser()), location)
    except (GlacierError, OSError, ValueError, RuntimeError):
        return False
    return isinstance(content, dict) and content.get("type") == "Feature" and "assets" in content


def open_item(location: str, name: str | None = None, method: str | None = None) -> Source:
    """Scene of a STAC Item, from the Item, its metadata file and the headers of its bands.

    Parameters
    ----------
    location : str
        Address (http, https) or path of the Item. Its assets are told by the `common_name` of their bands,
        else by their keys (blue, nir08, swir16, B1, SR_B1).
    name : str, optional
        The scene's; default the Item's id.
    method : str, optional
        'mtl' or 'chander' for Level-1 Items, see `landsat.radiometry.rescale`.

    Returns
    -------
    Source
        Read by HTTP range requests, window by window. Whole numbers become reflectance by the metadata file
        (Level 1), the Item's scale and offset, or the rule of Collection 2 Level 2.

    Raises
    ------
    GlacierError
        Where there is no Item, no asset is a band, DN have no scale, an href is not allowed or grids differ.
    """
    location = whole_address(location)
    location = location if is_address(location) else str(Path(location).expanduser())
    item = _item(location, name or file_of(location))
    name = name or _plain(item.id) or file_of(location)
    sensor = _sensor(item)
    bands = band_assets(item, sensor, location, name)
    opened = {band: _band(asset, name) for band, asset in bands.items()}
    how, layers = _calibrated(item, opened, method, location, name)
    if sensor and how.get("sensor", sensor) != sensor:
        other = how["sensor"]
        raise GlacierError(f"{name}: the Item is of {sensor}, its metadata file of {other}; correct the Item")
    found = quality_assets(item, location, name).items()
    quality = {kind: replace(_layer(href), gain=1.0) for kind, href in found}
    grid = common_grid(layers | quality, name)
    files = {"files": {band: layer.file for band, layer in layers.items()}}
    return Source(name, layers, grid, _provenance(item, location, sensor) | how | files, quality)


def _content(location: str, where: str) -> Any:
    text = fetch(location, where)
    try:
        return json.loads(text.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise GlacierError(
            f"{where}: {shown(location)} is not JSON ({reason}); give the address of a STAC Item"
        ) from error


def _item(location: str, where: str) -> Any:
    """Item at a location; pystac brings older versions up to date and asks nothing of the web."""
    try:
        import pystac
    except ImportError as error:
        raise GlacierError(f"{where}: reading STAC Items needs pystac; install glacier_ml[stac]") from error
    content = _content(location, where)
    _check_shape(content, location, where)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # deprecated extensions are the catalog's affair
            return pystac.Item.from_dict(content, href=location, migrate=True, preserve_dict=False)
    except (pystac.STACError, LookupError, ValueError, TypeError, AttributeError, ArithmeticError) as error:
        reason = shown(" ".join(f"{type(error).__name__}: {error}".split()))
        raise GlacierError(f"{where}: {shown(location)} is no valid Item ({reason}); correct it") from error


def _check_shape(content: Any, location: str, where: str) -> None:
    """Refuse what is no Item before pystac trips over it."""
    kind = content.get("type") if isinstance(content, dict) else None
    if isinstance(kind, str) and kind in _KINDS:
        raise GlacierError(f"{where}: {shown(location)} is {_KINDS[kind]}")
    if kind != "Feature" or not isinstance(content.get("assets"), dict):
        raise GlacierError(
            f"{where}: {shown(location)} is no STAC Item (type Feature with assets); give the address of one"
        )
    kinds = {"id": str, "stac_version": str, "properties": dict}
    wrong = [key for key, kind in kinds.items() if not isinstance(content.get(key), kind)]
    for key, asset in content["assets"].items():
        if not isinstance(asset, dict) or not isinstance(asset.get("href"), str):
            wrong.append(f"asset {shown(key)}")
        elif not isinstance(asset.get("roles", []), list | None):
            wrong.append(f"roles of asset {shown(key)}")
    if wrong:
        raise GlacierError(
            f"{where}: {shown(location)} has no usable {', '.join(wrong[:5])}; correct the Item"
        )
    # Neither is used here, and either could be anything.
    content.update(links=[], geometry=None, bbox=None)


def _plain(text: str) -> str:
    """An id as a scene's name: files will be called so."""
    return re.sub(r"[^\w.+-]+", "_", text, flags=re.ASCII).lstrip("._+-")[:100]


def _told(item: Any, key: str) -> str:
    """A property as text; lists are joined, what is no text is nothing."""
    value = item.properties.get(key)
    parts = value if isinstance(value, list) else [value]
    return " ".join(part for part in parts if isinstance(part, str))


def _sensor(item: Any) -> str | None:
    """Sensor by instruments, platform or id; none where the instruments are other ones, such as MSS."""
    if instruments := _told(item, "instruments"):
        texts = [instruments]
    else:
        texts = [_told(item, "platform") or _told(item, "eo:platform"), item.id]
    for text in texts:
        found = sensors_in(text)
        if len(found) == 1:
            return found.pop()
    return None


def _level(item: Any) -> int | None:
    collection = item.collection_id if isinstance(item.collection_id, str) else ""
    for text in (_told(item, "landsat:correction"), _told(item, "processing:level"), item.id, collection):
        if match := _LEVEL.search(text):
            return int(match["level"])
    return None


def _layer(href: str, index: int = 1, label: str | None = None) -> Layer:
    file = file_of(href)
    return Layer(label or Path(file).stem, href, index, file=file)


@dataclass(frozen=True)
class _Band:
    """A band before it is known how its values become reflectance.

    Attributes
    ----------
    layer : Layer
        Without a gain.
    whole, tagged : bool
        Whether its file holds whole numbers, and whether the file itself scales them.
    scale : tuple of float or None
        Scale and offset by the Item.
    """

    layer: Layer
    whole: bool
    tagged: bool
    scale: tuple[float, float] | None

    @property
    def is_dn(self) -> bool:
        """Whole numbers that nothing scales."""
        return self.whole and self.scale is None and not self.tagged

    def by_item(self, level: int | None) -> Layer:
        """The layer as the Item says, DN by the rule of Level 2."""
        scale = _SURFACE if self.is_dn else self.scale
        fill = _FILL if self.whole and level and self.layer.fill is None else self.layer.fill
        if scale is None:
            return replace(self.layer, fill=fill)
        return replace(self.layer, gain=scale[0], offset=scale[1], fill=fill)

    def by_metadata(self, rule: Rescaling) -> Layer:
        """The layer as the metadata file says."""
        return replace(self.layer, gain=rule.gain, offset=rule.offset, fill=rule.fill, ceiling=rule.ceiling)


def _band(asset: BandAsset, name: str) -> _Band:
    label = f"band {asset.index}" if asset.count > 1 else None
    layer = replace(_layer(asset.href, asset.index, label), fill=fill_of(asset))
    with open_raster(layer.path, name) as dataset:
        if layer.index > dataset.count or (asset.count == 1 and dataset.count > 1):
            raise GlacierError(
                f"{name}: {layer.file} has {dataset.count} bands, and the Item says {asset.count}; "
                "correct the Item"
            )
        whole = np.dtype(dataset.dtypes[layer.index - 1]).kind in "iu"
        tagged = dataset.scales[layer.index - 1] != 1.0
    return _Band(layer, whole, tagged, scale_of(asset, name))


def _calibrated(
    item: Any, bands: dict[str, _Band], method: str | None, location: str, name: str
) -> tuple[dict[str, Any], dict[str, Layer]]:
    """What the provenance says of how values become reflectance, and the layers that do it."""
    level = _level(item)
    whole = any(band.whole for band in bands.values())
    if method is not None or (whole and level == 1) or any(band.is_dn for band in bands.values()):
        metadata = _metadata(item, method, location, name)
        if metadata:
            return _by_metadata(metadata, bands, method, name)
    layers = {}
    for key, band in bands.items():
        if band.is_dn and level != 2:
            raise GlacierError(
                f"{name}: {band.layer.file} holds DN, and the Item has neither a metadata file (asset "
                "MTL.json or MTL.txt) nor a scale; give an Item that has one"
            )
        layers[key] = band.by_item(level)
    return _quantity(level, "surface" if level == 2 and whole else "as given"), layers


def _by_metadata(
    metadata: Metadata, bands: dict[str, _Band], method: str | None, name: str
) -> tuple[dict[str, Any], dict[str, Layer]]:
    if not all(band.whole for band in bands.values()):
        raise GlacierError(
            f"{name}: some bands hold DN, which its metadata file tells of, and some do not; correct the Item"
        )
    used, rescaling = rescale(metadata, method, name)
    lacking = [band for band in bands if band not in rescaling]
    if lacking:
        raise GlacierError(
            f"{name}: the metadata file tells nothing of {', '.join(lacking)}; give an Item that has a scale"
        )
    layers = {key: band.by_metadata(rescaling[key]) for key, band in bands.items()}
    return _quantity(metadata.level, used) | metadata.provenance, layers


def _quantity(level: int | None, method: str) -> dict[str, Any]:
    quantities = {1: "toa_reflectance", 2: "surface_reflectance"}
    return {"level": level, "quantity": quantities.get(level or 0), "method": method}


def _metadata(item: Any, method: str | None, location: str, name: str) -> Metadata | None:
    href = metadata_asset(item, location, name)
    if href is None:
        if method is not None:
            raise GlacierError(
                f"{name}: method {method} needs a metadata file, and the Item has none (asset MTL.json or "
                "MTL.txt); leave it out"
            )
        return None
    return read_metadata(fetch(href, name), f"{name}: {file_of(href)}")


def _provenance(item: Any, location: str, sensor: str | None) -> dict[str, Any]:
    when = item.datetime.date().isoformat() if item.datetime else _told(item, "start_datetime")[:10]
    day = when if _DATE.fullmatch(when) else date_in(item.id)
    height = item.properties.get("view:sun_elevation", item.properties.get("eo:sun_elevation"))
    number = isinstance(height, int | float) and not isinstance(height, bool) and -90 <= height <= 90
    platform = _told(item, "platform") or _told(item, "eo:platform")
    version = _told(item, "landsat:collection_number")
    return {
        "source": shown(location),
        "sensor": sensor,
        "date": day,
        "scene_id": _told(item, "landsat:scene_id") or item.id,
        "product_id": item.id,
        "spacecraft": platform.upper().replace("-", "_") or None,
        "sun_elevation_deg": float(height) if number else None,
        "earth_sun_distance": None,
        "collection": f"C{version.lstrip('0')}" if version.strip("0") else None,
        "tags": {},
    }
