"""Metadata of a Landsat product: what its MTL file says, typed and checked."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any

from glacier_ml.errors import GlacierError
from glacier_ml.scenes.landsat.mtl import parse_mtl
from glacier_ml.scenes.landsat.names import SENSOR_BANDS

LOWEST_SUN_DEG = 0.1
"""Sun elevation from which a scene counts as taken by day; below, reflectance means nothing. Chosen here."""

NEAREST_SUN, FARTHEST_SUN = 0.98, 1.02
"""Earth-Sun distances, in astronomical units, between which every day's lies."""

# Where keys stand: Collection 2, then Collection 1 and before, then before August 2012 (SUN_ELEVATION alone).
_CONTENTS = ("PRODUCT_CONTENTS", "PRODUCT_METADATA")
_IMAGE = ("IMAGE_ATTRIBUTES", "PRODUCT_METADATA", "PRODUCT_PARAMETERS")
_RECORDS = ("METADATA_FILE_INFO", "LEVEL1_PROCESSING_RECORD", "PRODUCT_CONTENTS")

_SENSOR_OF = {4: "TM", 5: "TM", 7: "ETM+", 8: "OLI", 9: "OLI"}
_SPELLINGS = {"TM": "TM", "ETM": "ETM+", "ETM+": "ETM+", "OLI": "OLI", "OLI_TIRS": "OLI"}
_LAUNCHED = {4: "1982-07-16", 5: "1984-03-01", 7: "1999-04-15", 8: "2013-02-11", 9: "2021-09-27"}

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,199}")
_SPACECRAFT = re.compile(r"landsat[_ -]?([1-9])", re.IGNORECASE | re.ASCII)


@dataclass(frozen=True)
class Metadata:
    """What an MTL file says of its product.

    Attributes
    ----------
    groups : dict of str to dict of str to str
        Every value as text by key by group. Groups are kept apart: a Level-2 MTL has REFLECTANCE_MULT_BAND_n
        in two of them.
    root : str
        Name of the outermost group.
    collection : str
        'C2', 'C1' or 'pre' (before the collections).
    level : int
        1 (digital numbers) or 2 (surface reflectance).
    scene_id : str
        LANDSAT_SCENE_ID, else the product's id, else what the names of the product's files begin with.
    product_id : str or None
        LANDSAT_PRODUCT_ID, which products before the collections lack.
    spacecraft, sensor : str
        'LANDSAT_5' and 'TM', 'ETM+' or 'OLI', as in `names.SENSOR_BANDS`.
    date : str
        Day of acquisition, YYYY-MM-DD.
    sun_elevation_deg : float
        At the scene's centre, above 0 to 90 degrees.
    earth_sun_distance : float or None
        In astronomical units; MTLs before 2014 or so lack it.
    band_files : dict of int to str
        File names of the multispectral bands by band number; of a Level-2 product, the surface reflectance's.
    quality_files : dict of str to str
        File names by kind: 'QA_PIXEL', 'QA_RADSAT' (Collection 2) or 'BQA' (Collection 1). The BQA of
        Landsat 8 products before Collection 1 has other bits and is left out.
    """

    groups: dict[str, dict[str, str]]
    root: str
    collection: str
    level: int
    scene_id: str
    product_id: str | None
    spacecraft: str
    sensor: str
    date: str
    sun_elevation_deg: float
    earth_sun_distance: float | None
    band_files: dict[int, str]
    quality_files: dict[str, str]

    @property
    def provenance(self) -> dict[str, Any]:
        """What a scene's provenance takes from here; plain JSON values."""
        return {
            "sensor": self.sensor,
            "date": self.date,
            "scene_id": self.scene_id,
            "product_id": self.product_id,
            "spacecraft": self.spacecraft,
            "sun_elevation_deg": self.sun_elevation_deg,
            "earth_sun_distance": self.earth_sun_distance,
            "collection": self.collection,
        }

    def text(self, key: str, groups: Iterable[str]) -> str | None:
        """Value of a key in the first of the groups that has it."""
        return _text(self.groups, key, groups)

    def number(self, key: str, groups: Iterable[str], where: str) -> float | None:
        """Value of a key in the first of the groups that has it, as a finite number.

        Raises
        ------
        GlacierError
            Where the value is no finite number.
        """
        value = self.text(key, groups)
        return None if value is None else _number(value, key, where)


def read_metadata(content: bytes, where: str) -> Metadata:
    """Read an MTL file of Landsat 4 to 9 (TM, ETM+, OLI), in any of its forms and of any age.

    Parameters
    ----------
    content : bytes
        The whole file: text, JSON or XML, told from the content.
    where : str
        How errors call the file.

    Raises
    ------
    GlacierError
        Where the content is no MTL, lacks what every product needs, contradicts itself, or is of a sensor or
        a night scene that no reflectance can be had of.
    """
    root, groups = parse_mtl(content, where)
    number = _spacecraft(groups, where)
    sensor = _sensor(groups, number, where)
    collection = _collection(root, groups, where)
    product_id = _text(groups, "LANDSAT_PRODUCT_ID", _RECORDS[::-1])
    scene_id = _text(groups, "LANDSAT_SCENE_ID", _RECORDS) or product_id or _old_scene_id(groups, where)
    for name in (scene_id, product_id):
        _check_name(name or "x", "the scene's id", where)
    return Metadata(
        groups=groups,
        root=root,
        collection=collection,
        level=_level(root, groups, where),
        scene_id=scene_id,
        product_id=product_id,
        spacecraft=f"LANDSAT_{number}",
        sensor=sensor,
        date=_date(groups, number, where),
        sun_elevation_deg=_sun_elevation(groups, where),
        earth_sun_distance=_distance(groups, where),
        band_files=_band_files(groups, sensor, where),
        quality_files=_quality_files(groups, collection, where),
    )


def _text(groups: dict[str, dict[str, str]], key: str, names: Iterable[str]) -> str | None:
    found = (groups[name][key] for name in names if key in groups.get(name, {}))
    return next(found, None)


def _needed(
    groups: dict[str, dict[str, str]], keys: tuple[str, ...], names: Iterable[str], where: str
) -> str:
    for key in keys:
        value = _text(groups, key, names)
        if value:
            return value
    raise GlacierError(f"{where}: {keys[0]} is missing; download the MTL file anew")


def _number(value: str, key: str, where: str) -> float:
    number = float(value) if _NUMBER.fullmatch(value) else math.nan
    if not math.isfinite(number):
        raise GlacierError(f"{where}: {key} is {value[:40]!r}, not a number; download the MTL file anew")
    return number


def _spacecraft(groups: dict[str, dict[str, str]], where: str) -> int:
    value = _needed(groups, ("SPACECRAFT_ID",), _IMAGE, where)
    match = _SPACECRAFT.fullmatch(value)
    if match is None or int(match[1]) not in (*_SENSOR_OF, 1, 2, 3):
        raise GlacierError(
            f"{where}: spacecraft {value[:40]!r} is not known; Landsat 4, 5, 7, 8 and 9 can be read"
        )
    return int(match[1])


def _sensor(groups: dict[str, dict[str, str]], spacecraft: int, where: str) -> str:
    value = _needed(groups, ("SENSOR_ID",), _IMAGE, where)
    if value == "MSS" or spacecraft not in _SENSOR_OF:
        raise GlacierError(f"{where}: MSS has no shortwave infrared and cannot be used; take TM, ETM+ or OLI")
    sensor = _SPELLINGS.get(value)
    if sensor is None:
        raise GlacierError(f"{where}: sensor {value[:40]!r} is not known; TM, ETM+ and OLI can be read")
    if sensor != _SENSOR_OF[spacecraft]:
        raise GlacierError(
            f"{where}: Landsat {spacecraft} carries {_SENSOR_OF[spacecraft]}, not {sensor}; "
            "download the MTL file anew"
        )
    return sensor


def _collection(root: str, groups: dict[str, dict[str, str]], where: str) -> str:
    number = _text(groups, "COLLECTION_NUMBER", ("PRODUCT_CONTENTS", "METADATA_FILE_INFO"))
    if number is None:
        return "pre" if root == "L1_METADATA_FILE" else "C2"
    collection = {("L1_METADATA_FILE", "1"): "C1", ("LANDSAT_METADATA_FILE", "2"): "C2"}.get(
        (root, number.lstrip("0"))
    )
    if collection is None:
        raise GlacierError(
            f"{where}: COLLECTION_NUMBER is {number[:40]!r} in a file that begins with {root}; "
            "Collections 1 and 2 and products before them can be read"
        )
    return collection


def _level(root: str, groups: dict[str, dict[str, str]], where: str) -> int:
    if root == "L1_METADATA_FILE":
        return 1
    value = _needed(groups, ("PROCESSING_LEVEL",), ("PRODUCT_CONTENTS",), where)
    if value[:2] not in ("L1", "L2"):
        raise GlacierError(f"{where}: PROCESSING_LEVEL is {value[:40]!r}; Levels 1 and 2 can be read")
    return int(value[1])


def _old_scene_id(groups: dict[str, dict[str, str]], where: str) -> str:
    keys = ("LANDSAT_SCENE_ID", "METADATA_L1_FILE_NAME", "METADATA_FILE_NAME")
    return _needed(groups, keys, _CONTENTS, where).partition("_MTL")[0]


def _date(groups: dict[str, dict[str, str]], spacecraft: int, where: str) -> str:
    value = _needed(groups, ("DATE_ACQUIRED", "ACQUISITION_DATE"), _IMAGE, where)
    try:
        day = date.fromisoformat(value) if _DATE.fullmatch(value) else None
    except ValueError:
        day = None
    if day is None:
        raise GlacierError(f"{where}: DATE_ACQUIRED is {value[:40]!r}, not a day; download the MTL file anew")
    if value < _LAUNCHED[spacecraft]:
        raise GlacierError(
            f"{where}: DATE_ACQUIRED is {value}, before Landsat {spacecraft} was launched "
            f"({_LAUNCHED[spacecraft]}); download the MTL file anew"
        )
    return value


def _sun_elevation(groups: dict[str, dict[str, str]], where: str) -> float:
    text = _needed(groups, ("SUN_ELEVATION",), ("IMAGE_ATTRIBUTES", "PRODUCT_PARAMETERS"), where)
    elevation = _number(text, "SUN_ELEVATION", where)
    if elevation > 90:
        raise GlacierError(
            f"{where}: SUN_ELEVATION is {elevation:g}, above 90 degrees; download the MTL file anew"
        )
    if elevation < LOWEST_SUN_DEG:
        raise GlacierError(
            f"{where}: night scene (SUN_ELEVATION is {elevation:g} degrees), it has no reflectance; "
            "take one by day"
        )
    return elevation


def _distance(groups: dict[str, dict[str, str]], where: str) -> float | None:
    text = _text(groups, "EARTH_SUN_DISTANCE", _IMAGE)
    if text is None:
        return None
    distance = _number(text, "EARTH_SUN_DISTANCE", where)
    if not NEAREST_SUN <= distance <= FARTHEST_SUN:
        raise GlacierError(
            f"{where}: EARTH_SUN_DISTANCE is {distance:g}, not {NEAREST_SUN} to {FARTHEST_SUN} astronomical "
            "units; download the MTL file anew"
        )
    return distance


def _band_files(groups: dict[str, dict[str, str]], sensor: str, where: str) -> dict[int, str]:
    files: dict[int, str] = {}
    for number in SENSOR_BANDS[sensor]:
        for key in (f"FILE_NAME_BAND_{number}", f"BAND{number}_FILE_NAME"):
            name = _text(groups, key, _CONTENTS)
            if name is not None and number not in files:
                _check_name(name, key, where)
                if name in files.values():
                    raise GlacierError(
                        f"{where}: two bands are in one file {name!r}; download the MTL file anew"
                    )
                files[number] = name
    return files


def _quality_files(groups: dict[str, dict[str, str]], collection: str, where: str) -> dict[str, str]:
    keys = {
        "C2": {
            "QA_PIXEL": "FILE_NAME_QUALITY_L1_PIXEL",
            "QA_RADSAT": "FILE_NAME_QUALITY_L1_RADIOMETRIC_SATURATION",
        },
        "C1": {"BQA": "FILE_NAME_BAND_QUALITY"},
        "pre": {},
    }[collection]
    files = {}
    for kind, key in keys.items():
        name = _text(groups, key, _CONTENTS)
        if name is not None:
            _check_name(name, key, where)
            files[kind] = name
    return files


def _check_name(name: str, key: str, where: str) -> None:
    """Check that a name can be joined to a folder and stays in it."""
    if not _FILE.fullmatch(name) or ".." in name:
        raise GlacierError(
            f"{where}: {key} is {name[:60]!r}, not a plain file name (letters, digits, '_', '.', '+', '-'); "
            "download the MTL file anew"
        )
