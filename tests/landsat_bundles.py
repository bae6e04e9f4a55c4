"""Made Landsat bundles of a few pixels: every sensor, collection, form of MTL and container.

Whatever the sensor, collection and level, a made bundle holds one and the same reflectance:
`reflectance(band)`, 0.004 `level_of(band)` - 0.02. Two pixels are special: (0, 0) is fill in every band, and
(0, 1) of blue is at the sensor's ceiling (not at Level 2). The sun stands 30 degrees high, its sine is 0.5:

- TM, ETM+: REFLECTANCE_MULT 0.002, ADD -0.01, so (0.002 DN - 0.01) / 0.5 = 0.004 DN - 0.02: DN = level.
- OLI: 2e-5 and -0.1, so 4e-5 DN - 0.2: DN = 100 level + 4500.
- Level 2: 2.75e-5 DN - 0.2: DN = (0.004 level + 0.18) / 2.75e-5, rounded.
- Before the collections (TM, ETM+), radiance alone: RADIANCE_MULT = 0.002 ESUN / pi, ADD = -0.01 ESUN / pi of
  Chander et al. (2009), so the same reflectance times d^2 of 2007-09-17, about 1.0102.
"""

import gzip
import io
import json
import math
import tarfile
import zipfile

import numpy as np
from affine import Affine
from rasterio.crs import CRS

from glacier_ml.scenes.landsat.names import SENSOR_BANDS
from glacier_ml.scenes.rasters import write_raster
from glacier_ml.scenes.scene import BANDS, Grid

SENSORS = ("TM", "ETM+", "OLI")
COLLECTIONS = ("pre", "C1", "C2", "C2L2")
FORMS = ("txt", "json", "xml")
CONTAINERS = ("folder", "tar", "tar.gz", "zip")

SHAPE = (4, 6)
FILL, SATURATED, CLOUD, SHADOW, SNOW = (0, 0), (0, 1), (1, 0), (1, 1), (1, 2)

_MISSION = {"TM": ("LT05", "LANDSAT_5", "TM"), "ETM+": ("LE07", "LANDSAT_7", "ETM")}
_MISSION["OLI"] = ("LC08", "LANDSAT_8", "OLI_TIRS")
_OTHERS = {"TM": ("6",), "ETM+": ("6_VCID_1", "6_VCID_2", "8"), "OLI": ("1", "8", "9", "10", "11")}
_ESUN = {
    "TM": {1: 1983.0, 2: 1796.0, 3: 1536.0, 4: 1031.0, 5: 220.0, 7: 83.44},
    "ETM+": {1: 1997.0, 2: 1812.0, 3: 1533.0, 4: 1039.0, 5: 230.8, 7: 84.90},
}
_ROOTS = {"C1": "L1_METADATA_FILE", "pre": "L1_METADATA_FILE"}


def level_of(band, shape=SHAPE):
    """Level (rows, columns) of a band: a ramp of its own, 30 to 103 in the default shape."""
    index = np.arange(shape[0] * shape[1]).reshape(shape)
    return 30 + 10 * BANDS.index(band) + index % 64


def reflectance(band, shape=SHAPE):
    """What a reader must find, but at `FILL` and at `SATURATED` of blue."""
    return 0.004 * level_of(band, shape) - 0.02


def product_id(sensor="TM", collection="C2"):
    prefix = _MISSION[sensor][0]
    if collection == "pre":
        return scene_id(sensor)
    process = "L2SP" if collection == "C2L2" else "L1TP"
    day = date_of(sensor).replace("-", "")
    return f"{prefix}_{process}_066017_{day}_20210830_{'01' if collection == 'C1' else '02'}_T1"


def date_of(sensor="TM"):
    """Day 260 of a year in which the sensor flew."""
    return "2020-09-16" if sensor == "OLI" else "2007-09-17"


def scene_id(sensor="TM"):
    prefix = _MISSION[sensor][0]
    return f"{prefix[:2]}{prefix[3]}066017{date_of(sensor)[:4]}260PAC01"


def band_file(sensor, collection, number):
    return f"{product_id(sensor, collection)}_{'SR_' if collection == 'C2L2' else ''}B{number}.TIF"


def quality_files(sensor, collection):
    """File by kind: Collection 1 has BQA, Collection 2 QA_PIXEL and QA_RADSAT."""
    kinds = {"pre": (), "C1": ("BQA",)}.get(collection, ("QA_PIXEL", "QA_RADSAT"))
    return {kind: f"{product_id(sensor, collection)}_{kind}.TIF" for kind in kinds}


def mtl_groups(sensor="TM", collection="C2"):
    """Groups of the MTL as the collection arranges them, root's name first."""
    newest = collection.startswith("C2")
    files = _file_names(sensor, collection)
    product = _product(sensor, collection)
    if not newest:
        groups = {"METADATA_FILE_INFO": _info(sensor, collection), "PRODUCT_METADATA": product | files}
    else:
        groups = {"PRODUCT_CONTENTS": _info(sensor, collection) | files}
    groups["IMAGE_ATTRIBUTES"] = {"SUN_AZIMUTH": "150.0", "SUN_ELEVATION": "30.00000000"}
    if newest:
        groups["IMAGE_ATTRIBUTES"] = product | groups["IMAGE_ATTRIBUTES"]
    if collection != "pre" or sensor == "OLI":
        groups["IMAGE_ATTRIBUTES"]["EARTH_SUN_DISTANCE"] = "1.0050300"
    groups |= _radiometry(sensor, collection)
    return _ROOTS.get(collection, "LANDSAT_METADATA_FILE"), groups


def mtl_text(root, groups, form="txt"):
    """The MTL as bytes of a form: txt, json or xml."""
    if form == "json":
        return json.dumps({root: groups}, indent=2).encode()
    if form == "xml":
        lines = [f"<{root}>"]
        for group, pairs in groups.items():
            inner = [f"    <{key}>{value}</{key}>" for key, value in pairs.items()]
            lines += [f"  <{group}>", *inner, f"  </{group}>"]
        return "\n".join(['<?xml version="1.0" encoding="UTF-8"?>', *lines, f"</{root}>", ""]).encode()
    lines = [f"GROUP = {root}"]
    for group, pairs in groups.items():
        inner = [f"    {key} = {_quoted(value)}" for key, value in pairs.items()]
        lines += [f"  GROUP = {group}", *inner, f"  END_GROUP = {group}"]
    return "\n".join([*lines, f"END_GROUP = {root}", "END", ""]).encode()


def made_bundle(
    folder, sensor="TM", collection="C2", form="txt", *, shape=SHAPE, replace=None, drop=(), quality=True
):
    """Write a bundle's files into a folder and return it.

    `replace` gives a file, by its suffix such as 'B1' or 'QA_PIXEL', other values (rows, columns); `drop`
    leaves files out, by the same suffixes or 'MTL'; `form` is one of FORMS or several.
    """
    folder.mkdir(parents=True, exist_ok=True)
    grid = Grid(CRS.from_epsg(32606), Affine(30, 0, 480_000, 0, -30, 6_780_000), shape)
    rasters = _numbers(sensor, collection, shape)
    if quality:
        rasters |= _quality(sensor, collection, shape)
    stem = product_id(sensor, collection)
    for suffix, values in rasters.items():
        if suffix not in drop:
            other = (replace or {}).get(suffix, values)
            placed = Grid(grid.crs, grid.transform, other.shape)
            write_raster(folder / f"{stem}_{suffix}.TIF", other.astype(values.dtype), placed)
    if "MTL" not in drop:
        for one in (form,) if isinstance(form, str) else form:
            (folder / f"{stem}_MTL.{one}").write_bytes(mtl_text(*mtl_groups(sensor, collection), one))
    return folder


def packed(folder, container, target=None, inside=""):
    """Pack a folder's files: path of `folder` itself, or of the tar, tar.gz or zip beside it (or `target`).

    `inside` puts them into a folder of that name.
    """
    if container == "folder":
        return folder
    target = target or folder.with_name(f"{folder.name}.{container}")
    members = {inside + file.name: file.read_bytes() for file in sorted(folder.iterdir())}
    target.write_bytes(archive_bytes(members, container))
    return target


def archive_bytes(members, container):
    """A tar, tar.gz or zip of members (bytes by name), in memory."""
    buffer = io.BytesIO()
    if container == "zip":
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in members.items():
                archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
        return buffer.getvalue()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return gzip.compress(buffer.getvalue(), 6, mtime=0) if container == "tar.gz" else buffer.getvalue()


def _quoted(value):
    plain = value.upper().replace(".", "").replace("-", "").replace("E", "").isdigit()
    return value if plain else f'"{value}"'


def _info(sensor, collection):
    info = {"ORIGIN": "Made for tests"}
    if collection.startswith("C2"):
        level = "L2SP" if collection == "C2L2" else "L1TP"
        return info | {
            "LANDSAT_PRODUCT_ID": product_id(sensor, collection),
            "PROCESSING_LEVEL": level,
            "COLLECTION_NUMBER": "02",
            "COLLECTION_CATEGORY": "T1",
        }
    info["LANDSAT_SCENE_ID"] = scene_id(sensor)
    if collection == "C1":
        info |= {"LANDSAT_PRODUCT_ID": product_id(sensor, collection), "COLLECTION_NUMBER": "01"}
    return info


def _product(sensor, collection):
    _, spacecraft, instrument = _MISSION[sensor]
    product = {"SPACECRAFT_ID": spacecraft, "SENSOR_ID": instrument, "WRS_PATH": "066", "WRS_ROW": "017"}
    if not collection.startswith("C2"):
        product["DATA_TYPE"] = "L1TP" if collection == "C1" else "L1T"
    return product | {"DATE_ACQUIRED": date_of(sensor)}


def _file_names(sensor, collection):
    names = {}
    for number in [*(str(number) for number in SENSOR_BANDS[sensor]), *_OTHERS[sensor]]:
        if collection != "C2L2" or number.isdigit() and int(number) in SENSOR_BANDS[sensor]:
            names[f"FILE_NAME_BAND_{number}"] = band_file(sensor, collection, number)
    keys = {"BQA": "FILE_NAME_BAND_QUALITY", "QA_PIXEL": "FILE_NAME_QUALITY_L1_PIXEL"}
    keys["QA_RADSAT"] = "FILE_NAME_QUALITY_L1_RADIOMETRIC_SATURATION"
    return names | {keys[kind]: file for kind, file in quality_files(sensor, collection).items()}


def _radiometry(sensor, collection):
    newest, bands = collection.startswith("C2"), list(SENSOR_BANDS[sensor])
    largest = "65535" if sensor == "OLI" else "255"
    limits = {f"QUANTIZE_CAL_MAX_BAND_{number}": largest for number in bands}
    limits |= {f"QUANTIZE_CAL_MIN_BAND_{number}": "1" for number in bands}
    mult, add = ("2.0000E-05", "-0.100000") if sensor == "OLI" else ("2.0000E-03", "-0.010000")
    scale = {}
    for number in bands:
        esun = _ESUN.get(sensor, {}).get(number, 1000.0)
        scale[f"RADIANCE_MULT_BAND_{number}"] = f"{float(mult) * esun / math.pi:.10f}"
        scale[f"RADIANCE_ADD_BAND_{number}"] = f"{float(add) * esun / math.pi:.10f}"
        if collection != "pre" or sensor == "OLI":
            scale |= {f"REFLECTANCE_MULT_BAND_{number}": mult, f"REFLECTANCE_ADD_BAND_{number}": add}
    prefix = "LEVEL1_" if newest else ""
    groups = {f"{prefix}MIN_MAX_PIXEL_VALUE": limits, f"{prefix}RADIOMETRIC_RESCALING": scale}
    if not newest:
        return groups
    record = {"LANDSAT_SCENE_ID": scene_id(sensor), "LANDSAT_PRODUCT_ID": product_id(sensor, "C2")}
    groups = {"LEVEL1_PROCESSING_RECORD": record | {"PROCESSING_LEVEL": "L1TP"}} | groups
    if collection == "C2":
        return groups
    surface = {f"REFLECTANCE_MULT_BAND_{number}": "2.75e-05" for number in bands}
    surface |= {f"REFLECTANCE_ADD_BAND_{number}": "-0.2" for number in bands}
    return {"LEVEL2_SURFACE_REFLECTANCE_PARAMETERS": surface} | groups


def _numbers(sensor, collection, shape):
    """DN by file suffix, in the sensor's integer type; thermal and panchromatic files hold nonsense."""
    kind = np.uint16 if sensor == "OLI" or collection == "C2L2" else np.uint8
    rasters = {}
    for number, band in SENSOR_BANDS[sensor].items():
        level = level_of(band, shape)
        values = 100 * level + 4500 if sensor == "OLI" else level
        if collection == "C2L2":
            values = np.round((0.004 * level + 0.18) / 2.75e-5)
        elif band == "blue":
            values[SATURATED] = 65535 if sensor == "OLI" else 255
        values[FILL] = 0
        rasters[f"{'SR_' if collection == 'C2L2' else ''}B{number}"] = values.astype(kind)
    if collection == "C2L2":
        return rasters | {"ST_B10" if sensor == "OLI" else "ST_B6": np.full(shape, 7, kind)}
    return rasters | {f"B{number}": np.full((3, 2), 7, kind) for number in _OTHERS[sensor]}


def _quality(sensor, collection, shape):
    flags = {kind: np.zeros(shape, np.uint16) for kind in quality_files(sensor, collection)}
    if "BQA" in flags:  # bit 0 fill, 4 cloud, 7-8 and 9-10 confidence of shadow and snow: 3 is high
        for pixel, value in {FILL: 1, CLOUD: 1 << 4, SHADOW: 3 << 7, SNOW: 3 << 9}.items():
            flags["BQA"][pixel] = value
    if "QA_PIXEL" in flags:  # bit 0 fill, 3 cloud, 4 shadow, 5 snow
        for pixel, value in {FILL: 1, CLOUD: 1 << 3, SHADOW: 1 << 4, SNOW: 1 << 5}.items():
            flags["QA_PIXEL"][pixel] = value
        blue = next(number for number, band in SENSOR_BANDS[sensor].items() if band == "blue")
        flags["QA_RADSAT"][SATURATED] = 1 << (blue - 1)
    return flags
