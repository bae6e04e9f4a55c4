"""STAC Items as the catalogs write them, for the bundles of `landsat_bundles`."""

import json

from landsat_bundles import SHAPE, band_file, date_of, made_bundle, product_id, quality_files, scene_id

from glacier_ml.scenes.landsat.names import SENSOR_BANDS

COMMON = {"nir": "nir08", "swir1": "swir16", "swir2": "swir22"}
GEOTIFF = "image/vnd.stac.geotiff; cloud-optimized=true"
COG = "image/tiff; application=geotiff; profile=cloud-optimized"
_PLATFORM = {
    "TM": ("LANDSAT_5", ["TM"]),
    "ETM+": ("LANDSAT_7", ["ETM"]),
    "OLI": ("LANDSAT_8", ["OLI", "TIRS"]),
}


def numbers(sensor):
    """Band number by the common name of the EO extension."""
    return {COMMON.get(band, band): number for number, band in SENSOR_BANDS[sensor].items()}


def bare_item(sensor="TM", collection="C2", **properties):
    """An Item without assets, properties as on landsatlook.usgs.gov."""
    platform, instruments = _PLATFORM[sensor]
    product = product_id(sensor, collection)
    known = {
        "datetime": f"{date_of(sensor)}T20:41:02.123456Z",
        "platform": platform,
        "instruments": list(instruments),
        "view:sun_elevation": 30.5,
        "landsat:correction": product.split("_")[1],
        "landsat:scene_id": scene_id(sensor),
        "landsat:collection_number": "02",
    }
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "stac_extensions": [
            "https://landsat.usgs.gov/stac/landsat-extension/v1.1.1/schema.json",
            "https://stac-extensions.github.io/view/v1.0.0/schema.json",
            "https://stac-extensions.github.io/eo/v1.0.0/schema.json",
            "https://stac-extensions.github.io/alternate-assets/v1.1.0/schema.json",
        ],
        "id": f"{product}_SR" if collection == "C2L2" else product,
        "geometry": None,
        "links": [{"rel": "self", "href": "https://example.org/items/one"}],
        "properties": known | properties,
        "assets": {
            "thumbnail": {"href": "thumb.jpeg", "type": "image/jpeg", "roles": ["thumbnail"]},
            "ANG.txt": {"href": f"{product}_ANG.txt", "type": "text/plain", "roles": ["metadata"]},
        },
    }


def archive_item(sensor="TM", collection="C2", form="json"):
    """Level 1 or 2 as the archive's catalog (landsatlook.usgs.gov) has them: no scale, alternates on S3."""
    item = bare_item(sensor, collection)
    surface = "SR_" if collection == "C2L2" else ""
    for common, number in numbers(sensor).items():
        file = band_file(sensor, collection, number)
        item["assets"][common] = {
            "href": file,
            "type": GEOTIFF,
            "roles": ["data"],
            "eo:bands": [{"name": f"{surface}B{number}", "common_name": common, "gsd": 30}],
            "alternate": {"s3": {"href": f"s3://bucket/{file}", "storage:requester_pays": True}},
        }
    for kind, file in quality_files(sensor, collection).items():
        item["assets"][kind.lower()] = {"href": file, "type": GEOTIFF, "roles": ["data"]}
    item["assets"][f"MTL.{form}"] = {"href": f"{product_id(sensor, collection)}_MTL.{form}"}
    return item


def cloud_item(sensor="OLI"):
    """Level 2 as Planetary Computer and Element 84 have it: scale and offset in `raster:bands`."""
    item = archive_item(sensor, "C2L2") | {"collection": "landsat-c2-l2"}
    item["properties"] |= {
        "platform": item["properties"]["platform"].lower().replace("_", "-"),
        "instruments": [one.lower() for one in item["properties"]["instruments"]],
    }
    item["assets"]["mtl.json"] = item["assets"].pop("MTL.json")
    for common in numbers(sensor):
        scale = {"nodata": 0, "data_type": "uint16", "scale": 2.75e-05, "offset": -0.2}
        item["assets"][common] |= {"type": COG, "roles": ["reflectance"], "raster:bands": [scale]}
    thermal = {"name": "ST_B10", "common_name": "lwir11"}
    item["assets"]["lwir11"] = {"href": "st.tif", "type": COG, "eo:bands": [thermal]}
    item["assets"]["rendered_preview"] = {"href": "preview.png", "type": "image/png", "roles": ["overview"]}
    return item


def newest_item(sensor="TM"):
    """Level 2 in STAC 1.1: one list `bands`, scales of the raster extension 2.0 beside it."""
    item = bare_item(sensor, "C2L2") | {"stac_version": "1.1.0"}
    for common, number in numbers(sensor).items():
        item["assets"][f"SR_B{number}"] = {
            "href": band_file(sensor, "C2L2", number),
            "type": COG,
            "bands": [{"name": f"SR_B{number}", "eo:common_name": common}],
            "raster:scale": 2.75e-05,
            "raster:offset": -0.2,
            "nodata": 0,
        }
    return item


def written(item, folder):
    """The Item as a file of the folder."""
    path = folder / "item.json"
    path.write_text(json.dumps(item), encoding="utf-8")
    return path


def made_item(folder, sensor="TM", collection="C2", shape=SHAPE, **options):
    """A bundle with the archive's Item beside it: path of the Item."""
    made_bundle(folder, sensor, collection, "json", shape=shape, **options)
    return written(archive_item(sensor, collection), folder)
