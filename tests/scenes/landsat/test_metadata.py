"""MTL files of every form, collection and sensor, and the lines that bad ones are refused with."""

import json

import pytest
from landsat_bundles import COLLECTIONS, FORMS, SENSORS, date_of, mtl_groups, mtl_text, product_id, scene_id

from glacier_ml.errors import GlacierError
from glacier_ml.scenes.landsat.metadata import read_metadata
from glacier_ml.scenes.landsat.names import SENSOR_BANDS

SPACECRAFT = {"TM": "LANDSAT_5", "ETM+": "LANDSAT_7", "OLI": "LANDSAT_8"}
SURFACE, LEVEL1 = "LEVEL2_SURFACE_REFLECTANCE_PARAMETERS", "LEVEL1_RADIOMETRIC_RESCALING"

# As the processing system wrote them until August 2012.
OLD = """GROUP = L1_METADATA_FILE
  GROUP = METADATA_FILE_INFO
    STATION_ID = "EDC"
  END_GROUP = METADATA_FILE_INFO
  GROUP = PRODUCT_METADATA
    PRODUCT_TYPE = "L1T"
    SPACECRAFT_ID = "Landsat7"
    SENSOR_ID = "ETM+"
    ACQUISITION_DATE = 2010-03-15
    BAND_COMBINATION = "123456678"
    BAND1_FILE_NAME = "L71092085_08520100315_B10.TIF"
    BAND2_FILE_NAME = "L71092085_08520100315_B20.TIF"
    BAND61_FILE_NAME = "L71092085_08520100315_B61.TIF"
    BAND62_FILE_NAME = "L72092085_08520100315_B62.TIF"
    BAND7_FILE_NAME = "L72092085_08520100315_B70.TIF"
    METADATA_L1_FILE_NAME = "L71092085_08520100315_MTL.txt"
  END_GROUP = PRODUCT_METADATA
  GROUP = MIN_MAX_RADIANCE
    LMAX_BAND61 = 17.040
  END_GROUP = MIN_MAX_RADIANCE
  GROUP = PRODUCT_PARAMETERS
    SUN_AZIMUTH = 53.7730377
    SUN_ELEVATION = 41.5610274
  END_GROUP = PRODUCT_PARAMETERS
END_GROUP = L1_METADATA_FILE
END
"""


def made(sensor="TM", collection="C1", form="txt", /, **changes):
    """A made MTL with values changed by key, wherever it stands; None takes the key away."""
    root, groups = mtl_groups(sensor, collection)
    for pairs in groups.values():
        for key in changes.keys() & pairs.keys():
            pairs[key] = changes[key]
        for key in [key for key, value in pairs.items() if value is None]:
            del pairs[key]
    return mtl_text(root, groups, form)


def refusal(content):
    with pytest.raises(GlacierError) as caught:
        read_metadata(content, "2007: MTL")
    message = str(caught.value)
    assert message.startswith("2007: MTL: ") and len(message.splitlines()) == 1
    return message


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("collection", COLLECTIONS)
@pytest.mark.parametrize("sensor", SENSORS)
def test_every_form_and_collection_says_the_same(sensor, collection, form):
    found = read_metadata(made(sensor, collection, form), "MTL")
    assert (found.sensor, found.spacecraft) == (sensor, SPACECRAFT[sensor])
    assert (found.date, found.scene_id) == (date_of(sensor), scene_id(sensor))
    assert found.product_id == (None if collection == "pre" else product_id(sensor, collection))
    assert (found.collection, found.level) == (
        collection[:2] if collection != "pre" else "pre",
        1 + ("L2" in collection),
    )
    assert found.sun_elevation_deg == 30.0
    assert found.earth_sun_distance == (None if collection == "pre" and sensor != "OLI" else 1.00503)
    middle = "SR_B" if collection == "C2L2" else "B"
    stem = product_id(sensor, collection)
    assert found.band_files == {n: f"{stem}_{middle}{n}.TIF" for n in SENSOR_BANDS[sensor]}
    kinds = {"pre": (), "C1": ("BQA",)}.get(collection, ("QA_PIXEL", "QA_RADSAT"))
    assert found.quality_files == {kind: f"{stem}_{kind}.TIF" for kind in kinds}


@pytest.mark.parametrize("collection", COLLECTIONS)
@pytest.mark.parametrize("sensor", SENSORS)
def test_text_json_and_xml_give_equal_metadata(sensor, collection):
    text, *others = [read_metadata(made(sensor, collection, form), "MTL") for form in FORMS]
    assert others == [text, text]


def test_the_groups_of_a_level_2_file_are_kept_apart():
    groups = read_metadata(made("TM", "C2L2"), "MTL").groups
    assert groups[SURFACE]["REFLECTANCE_MULT_BAND_1"] == "2.75e-05"
    assert groups[LEVEL1]["REFLECTANCE_MULT_BAND_1"] == "2.0000E-03"


@pytest.mark.parametrize(
    "padded",
    [
        lambda text: text.ljust(65_535, b"\0"),
        lambda text: text.ljust(65_535, b" "),
        lambda text: text + b"\0\r\n" * 9,
        lambda text: b"\n  " + text,
        lambda text: text.replace(b"\n", b"\r\n"),
        lambda text: text.replace(b"\n", b"\r"),
        lambda text: b"\xef\xbb\xbf" + text,
        lambda text: text.removesuffix(b"END\n"),
    ],
)
def test_padding_and_line_ends_do_not_matter(padded):
    assert read_metadata(padded(made()), "MTL") == read_metadata(made(), "MTL")


def test_a_byte_of_latin_1_is_a_letter():
    content = made("TM", "C1", ORIGIN="PLACE").replace(b"PLACE", b"Gl\xe4r\x85nisch")
    assert read_metadata(content, "MTL").groups["METADATA_FILE_INFO"]["ORIGIN"] == "Gl\xe4r\x85nisch"


def test_numbers_in_json_are_read_as_they_are_written():
    root, groups = mtl_groups("TM", "C2")
    content = json.dumps({root: groups}).replace('"30.00000000"', "30.00000000").replace('"255"', "255")
    assert read_metadata(content.encode(), "MTL") == read_metadata(made("TM", "C2"), "MTL")


def test_the_oldest_names_of_keys_are_known():
    found = read_metadata(OLD.encode(), "MTL")
    assert (found.collection, found.level, found.spacecraft, found.sensor) == ("pre", 1, "LANDSAT_7", "ETM+")
    assert (found.date, found.sun_elevation_deg) == ("2010-03-15", 41.5610274)
    assert (found.scene_id, found.product_id) == ("L71092085_08520100315", None)
    assert found.band_files == {
        1: "L71092085_08520100315_B10.TIF",
        2: "L71092085_08520100315_B20.TIF",
        7: "L72092085_08520100315_B70.TIF",
    }


def test_a_landsat_8_bqa_before_collection_1_is_left_out():
    content = made("OLI", "pre").replace(
        b"    FILE_NAME_BAND_2", b'    FILE_NAME_BAND_QUALITY = "x_BQA.TIF"\n    FILE_NAME_BAND_2'
    )
    assert read_metadata(content, "MTL").quality_files == {}


@pytest.mark.parametrize("sensor", ["OLI", "OLI_TIRS"])
def test_oli_with_and_without_tirs_is_oli(sensor):
    assert read_metadata(made("OLI", "C2", SENSOR_ID=sensor), "MTL").sensor == "OLI"


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("key", "value", "line"),
    [
        ("SUN_ELEVATION", None, "SUN_ELEVATION is missing"),
        ("SUN_ELEVATION", "-12.5", r"night scene \(SUN_ELEVATION is -12.5 degrees\)"),
        ("SUN_ELEVATION", "0.0", "night scene"),
        ("SUN_ELEVATION", "1e-9", "night scene"),
        ("SUN_ELEVATION", "90.1", "above 90 degrees"),
        ("SUN_ELEVATION", "nan", "SUN_ELEVATION is 'nan', not a number"),
        ("SUN_ELEVATION", "-inf", "not a number"),
        ("SUN_ELEVATION", "1e400", "not a number"),
        ("SUN_ELEVATION", "9" * 5000, "not a number"),
        ("SUN_ELEVATION", "3_0", "not a number"),
        ("SUN_ELEVATION", "\u0663\u0660", "not a number"),
        ("EARTH_SUN_DISTANCE", "149.6", "0.98 to 1.02 astronomical units"),
        ("DATE_ACQUIRED", None, "DATE_ACQUIRED is missing"),
        ("DATE_ACQUIRED", "2007-02-30", "DATE_ACQUIRED is '2007-02-30', not a day"),
        ("DATE_ACQUIRED", "20070917", "not a day"),
        ("DATE_ACQUIRED", "1983-09-17", r"before Landsat 5 was launched \(1984-03-01\)"),
        ("SPACECRAFT_ID", None, "SPACECRAFT_ID is missing"),
        ("SPACECRAFT_ID", "LANDSAT_6", "spacecraft 'LANDSAT_6' is not known"),
        ("SPACECRAFT_ID", "SENTINEL_2", "spacecraft 'SENTINEL_2' is not known; Landsat 4, 5, 7, 8 and 9"),
        ("SPACECRAFT_ID", "LANDSAT_7", r"Landsat 7 carries ETM\+, not TM"),
        ("SPACECRAFT_ID", "LANDSAT_2", "MSS has no shortwave infrared"),
        ("SENSOR_ID", "MSS", r"MSS has no shortwave infrared .* take TM, ETM\+ or OLI"),
        ("SENSOR_ID", "TIRS", "sensor 'TIRS' is not known"),
        ("COLLECTION_NUMBER", "03", "COLLECTION_NUMBER is '03' in a file that begins with LANDSAT"),
        ("PROCESSING_LEVEL", "ARD", "PROCESSING_LEVEL is 'ARD'; Levels 1 and 2"),
        ("FILE_NAME_BAND_3", "../../etc/passwd", "FILE_NAME_BAND_3 is '../../etc/passwd', not a plain"),
        ("FILE_NAME_BAND_3", "/vsicurl/x", "not a plain file name"),
        ("FILE_NAME_BAND_3", r"..\x.TIF", "not a plain file name"),
        ("FILE_NAME_BAND_3", "..", "not a plain file name"),
        ("FILE_NAME_BAND_3", "", "not a plain file name"),
        ("FILE_NAME_BAND_3", "a" * 300, "not a plain file name"),
        ("FILE_NAME_QUALITY_L1_PIXEL", "C:x", "not a plain file name"),
        ("LANDSAT_SCENE_ID", "../x", "the scene's id is '../x', not a plain file name"),
        ("FILE_NAME_BAND_3", product_id() + "_B4.TIF", "two bands are in one file"),
    ],
)  # fmt: skip
def test_a_bad_value_is_refused_in_one_line(form, key, value, line):
    with pytest.raises(GlacierError, match=line):
        read_metadata(made("TM", "C2", form, **{key: value}), "MTL")
    refusal(made("TM", "C2", form, **{key: value}))
