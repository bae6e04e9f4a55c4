"""Assets of a STAC Item: which of them hold which band, and what their values mean."""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass
from typing import Any

from glacier_ml.errors import GlacierError
from glacier_ml.scenes.addresses import file_of, is_address, resolve, shown
from glacier_ml.scenes.landsat.names import SENSOR_BANDS, band_number
from glacier_ml.scenes.scene import BANDS

# Band by the EO extension's common names and by the names that catalogs give their assets.
_NAMES = {
    "blue": "blue",
    "green": "green",
    "red": "red",
    "nir": "nir",
    "nir08": "nir",
    "swir1": "swir1",
    "swir16": "swir1",
    "swir2": "swir2",
    "swir22": "swir2",
}
_PICTURES = {"thumbnail", "overview", "visual"}
_QUALITY = re.compile(r"(?:^|[._-])(?P<kind>qa_pixel|qa_radsat|bqa)(?:\.tiff?)?$", re.IGNORECASE)
_METADATA = re.compile(r"(?:^|_)MTL\.(?P<form>json|txt|xml)$", re.IGNORECASE)
_FORMS = ("json", "txt", "xml")
_NO_REFLECTANCE = re.compile(r"watt|\bw\b|radian|steradian|kelvin|degree", re.IGNORECASE)


@dataclass(frozen=True)
class BandAsset:
    """One band of one asset.

    Attributes
    ----------
    key : str
        The asset's.
    href : str
        What GDAL opens.
    index, count : int
        Position in the asset, from 1, and how many bands it has by the Item.
    fields : dict
        What the Item says of the band: the fields of `bands`, `eo:bands`, `raster:bands` and the asset's own.
    """

    key: str
    href: str
    index: int
    count: int
    fields: dict[str, Any]


def band_assets(item: Any, sensor: str | None, location: str, where: str) -> dict[str, BandAsset]:
    """Asset of each band that the Item has, in the order of `BANDS`.

    Parameters
    ----------
    item : pystac.Item
    sensor : str or None
        What band numbers mean.
    location : str
        Where the Item came from, for its relative hrefs.
    where : str
        What errors begin with.

    Raises
    ------
    GlacierError
        Where no asset is a band, two are one band, or an href may not be read.
    """
    found: dict[str, list[tuple[tuple[int, ...], str, int, dict[str, Any]]]] = {}
    for key, asset in item.assets.items():
        entries = _entries(item, asset) if _is_raster(asset) else []
        for index, entry in enumerate(entries, 1):
            if band := _band_of(entry, key if len(entries) == 1 else "", sensor):
                # A band alone in its asset before one of many, a plain key before others, nir08 before nir.
                rank = (len(entries), int(_NAMES.get(key.lower()) != band), int(_common_name(entry) == "nir"))
                found.setdefault(band, []).append((rank, key, index, entry))
    if not found:
        raise _no_band(item, sensor, where)
    chosen = {}
    for band in [band for band in BANDS if band in found]:
        ranked = sorted(found[band], key=lambda one: one[:3])
        if len(ranked) > 1 and ranked[0][0] == ranked[1][0]:
            raise GlacierError(
                f"{where}: assets {shown(ranked[0][1])} and {shown(ranked[1][1])} are both {band}; keep one"
            )
        (count, *_), key, index, entry = ranked[0]
        href = asset_href(item.assets[key], location, where)
        chosen[band] = BandAsset(key, href, index, count, entry)
    return chosen


def _no_band(item: Any, sensor: str | None, where: str) -> GlacierError:
    keys = ", ".join(sorted(map(shown, item.assets))[:20]) or "none"
    numbered = any(band_number(key) is not None for key in item.assets)
    if numbered and sensor is None:
        return GlacierError(
            f"{where}: bands are numbered and the Item names no sensor (assets: {keys}); "
            "give common_name to its bands, or platform and instruments to the Item"
        )
    return GlacierError(
        f"{where}: no asset is a GeoTIFF of one of {', '.join(BANDS)} (assets: {keys}); give another Item"
    )


def quality_assets(item: Any, location: str, where: str) -> dict[str, str]:
    """Href of each quality band by kind: 'QA_PIXEL', 'QA_RADSAT', 'BQA'."""
    found: dict[str, str] = {}
    for key, asset in item.assets.items():
        match = _QUALITY.search(key) or _QUALITY.search(file_of(asset.href))
        if match and _is_raster(asset):
            found.setdefault(match["kind"].upper(), asset_href(asset, location, where))
    return found


def metadata_asset(item: Any, location: str, where: str) -> str | None:
    """Href of the Landsat metadata file (MTL), if the Item has one."""
    found: dict[str, Any] = {}
    for key, asset in item.assets.items():
        if match := _METADATA.search(file_of(asset.href)) or _METADATA.search(key):
            found.setdefault(match["form"].lower(), asset)
    form = next((form for form in _FORMS if form in found), None)
    return resolve(found[form].href, location, where) if form else None


def asset_href(asset: Any, location: str, where: str) -> str:
    """What GDAL opens for an asset.

    That is its own href; an alternate on S3 where the environment agrees to pay for requests, as the archive
    of the United States Geological Survey asks, whose https addresses want a login.
    """
    alternates = asset.extra_fields.get("alternate")
    if isinstance(alternates, dict) and os.environ.get("AWS_REQUEST_PAYER"):
        for alternate in alternates.values():
            href = alternate.get("href") if isinstance(alternate, dict) else None
            if isinstance(href, str) and is_address(href) and href.lower().startswith("s3"):
                return resolve(href, location, where)
    return resolve(asset.href, location, where)


def scale_of(band: BandAsset, where: str) -> tuple[float, float] | None:
    """Scale and offset by which a band's values become reflectance, if the Item tells any but 1 and 0.

    Raises
    ------
    GlacierError
        Where they are no numbers, or none that make reflectance.
    """
    fields = band.fields
    scale, offset = (_first(fields, "raster:" + key, key) for key in ("scale", "offset"))
    unit = fields.get("unit", fields.get("raster:unit"))
    if scale is None or (isinstance(unit, str) and _NO_REFLECTANCE.search(unit)):
        return None
    offset = 0.0 if offset is None else offset
    # Bounds chosen here: a step of whole numbers is far below 1, and so is the darkest value.
    if not (_is_number(scale) and _is_number(offset) and 0 < scale <= 1 and abs(offset) <= 1):
        raise GlacierError(
            f"{where}: asset {shown(band.key)} has scale {shown(repr(scale))} and offset "
            f"{shown(repr(offset))}, which make no reflectance; correct the Item"
        )
    return None if (scale, offset) == (1, 0) else (float(scale), float(offset))


def fill_of(band: BandAsset) -> float | None:
    """Value without data, if the Item tells one."""
    fill = _first(band.fields, "nodata", "raster:nodata")
    return float(fill) if _is_number(fill) else None


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) < 1e300 and math.isfinite(value)


def _first(fields: dict[str, Any], *keys: str) -> Any:
    return next((fields[key] for key in keys if fields.get(key) is not None), None)


def _is_raster(asset: Any) -> bool:
    """Whether an asset may be a GeoTIFF of data, by its media type, else by its file's name."""
    if _PICTURES & {role for role in asset.roles or () if isinstance(role, str)}:
        return False
    if isinstance(asset.media_type, str):
        return "tiff" in asset.media_type.lower()
    return file_of(asset.href).lower().endswith((".tif", ".tiff"))


def _entries(item: Any, asset: Any) -> list[dict[str, Any]]:
    """What the Item says of each band of an asset; at least one band."""
    merged: list[dict[str, Any]] = []
    for field in ("raster:bands", "eo:bands", "bands"):
        told = asset.extra_fields.get(field)
        for position, entry in enumerate(told if isinstance(told, list) else ()):
            if isinstance(entry, int) and field == "eo:bands":
                entry = _band_of_item(item, entry)
            if position == len(merged):
                merged.append({})
            merged[position] |= entry if isinstance(entry, dict) else {}
    own = {
        key: value
        for key, value in asset.extra_fields.items()
        if key in ("raster:scale", "raster:offset", "nodata", "unit", "eo:common_name")
    }
    return [own | entry for entry in merged or [{}]]


def _band_of_item(item: Any, position: int) -> Any:
    """Band of an Item of STAC 0.8 or before, whose assets name bands by their position in its properties."""
    bands = item.properties.get("eo:bands")
    inside = isinstance(bands, list) and 0 <= position < len(bands)
    return bands[position] if inside else {}


def _common_name(entry: dict[str, Any]) -> str | None:
    name = _first(entry, "eo:common_name", "common_name")
    return name.lower() if isinstance(name, str) else None


def _band_of(entry: dict[str, Any], key: str, sensor: str | None) -> str | None:
    common = _common_name(entry)
    if common is not None:
        return _NAMES.get(common)
    name = entry.get("name")
    for label in (name if isinstance(name, str) else "", key):
        if band := _NAMES.get(label.lower()):
            return band
        number = band_number(label)
        # ST_B6 and ST_B10 are surface temperature.
        if number is not None and sensor and "ST_" not in label.upper():
            return SENSOR_BANDS[sensor].get(number)
    return None
