"""Radiometry on real Landsat 5 data: metadata files, another tool's reflectance, an Earth Engine scene."""

import math
from datetime import date

import numpy as np
import pytest
import rasterio

from glacier_ml.scenes.landsat.metadata import read_metadata
from glacier_ml.scenes.landsat.names import SENSOR_BANDS
from glacier_ml.scenes.landsat.radiometry import (
    ESUN,
    radiance_rescaling,
    rescale,
    toa_rescaling,
)
from glacier_ml.scenes.landsat.sun import earth_sun_distance
from glacier_ml.scenes.scene import BANDS

pytestmark = pytest.mark.real_data

LEVEL1 = "LT52240631988227CUB02"
MTL_ESUN = (1944.0, 1759.0, 1490.0, 1033.0, 209.6, 82.24)
SECOND_ESUN = (1958.0, 1827.0, 1551.0, 1036.0, 214.9, 80.65)
PEER_DISTANCE = 1.0129127139570338
FILES = {
    "LT05_L1GS_030025_19860927_20161003_01_T2": MTL_ESUN,
    "LT05_L1TP_218072_20100801_20161015_01_T1": MTL_ESUN,
    "LT05_L1TP_047027_20101006_20160512_01_T1": SECOND_ESUN,
}


def read(folder, name):
    return read_metadata((folder / f"{name}_MTL.txt").read_bytes(), name)


@pytest.mark.parametrize("name", FILES)
def test_real_files_are_read(real_toa, name):
    metadata = read(real_toa / "mtl", name)
    assert (metadata.product_id, metadata.collection, metadata.level) == (name, "C1", 1)
    assert (metadata.spacecraft, metadata.sensor) == ("LANDSAT_5", "TM")
    assert metadata.date.replace("-", "") == name.split("_")[3]
    assert metadata.band_files == {n: f"{name}_B{n}.TIF" for n in SENSOR_BANDS["TM"]}
    assert metadata.quality_files == {"BQA": f"{name}_BQA.TIF"}
    assert metadata.earth_sun_distance == pytest.approx(
        earth_sun_distance(date.fromisoformat(metadata.date)), abs=1e-4
    )


@pytest.mark.parametrize("name", FILES)
def test_the_irradiance_that_a_file_implies_is_one_of_two_tables(real_toa, name):
    # Both multipliers have five digits: their ratio is known to 1e-4.
    metadata = read(real_toa / "mtl", name)
    _, mtl = rescale(metadata, "mtl", name)
    sine = math.sin(math.radians(metadata.sun_elevation_deg))
    distance = metadata.earth_sun_distance
    implied = [
        math.pi * radiance[0] * distance**2 / (mtl[band].gain * sine)
        for band, radiance in radiance_rescaling(metadata, name).items()
    ]
    assert implied == pytest.approx(FILES[name], rel=1.2e-4)


@pytest.mark.parametrize("name", [name for name, esun in FILES.items() if esun == MTL_ESUN])
def test_the_two_methods_are_as_far_apart_as_their_irradiances(real_toa, name):
    metadata = read(real_toa / "mtl", name)
    mtl, chander = (rescale(metadata, method, name)[1] for method in ("mtl", "chander"))
    percent = [100 * (mtl[band].gain / chander[band].gain - 1) for band in BANDS]
    assert percent == pytest.approx([2.0, 2.1, 3.1, -0.2, 5.0, 1.5], abs=0.05)


def level1(real_toa):
    folder = real_toa / LEVEL1
    metadata = read(folder, LEVEL1)
    with rasterio.open(folder / "PEER_spatialEco_Landsat_TM5.tif") as dataset:
        peer = dict(zip(BANDS, dataset.read(), strict=True))
    numbers = {}
    for number, band in SENSOR_BANDS["TM"].items():
        with rasterio.open(folder / metadata.band_files[number]) as dataset:
            numbers[band] = dataset.read(1).astype(np.float64)
    return metadata, numbers, peer


def differences(real_toa, esun, distance, radiance=None):
    """Largest absolute difference from the peer by band, both cut to 0..1 as the peer is."""
    metadata, numbers, peer = level1(real_toa)
    radiance = radiance or radiance_rescaling(metadata, LEVEL1)
    found = {}
    for band in BANDS:
        gain, offset = toa_rescaling(radiance[band], esun[band], distance, metadata.sun_elevation_deg)
        ours = np.clip(gain * numbers[band] + offset, 0, 1)
        both = np.isfinite(peer[band])
        found[band] = float(np.abs(ours - peer[band])[both].max())
    return found


def test_another_tools_reflectance_is_met(real_toa):
    found = differences(real_toa, dict(zip(BANDS, SECOND_ESUN, strict=True)), PEER_DISTANCE)
    print("largest difference from the peer by band:", found)
    assert max(found.values()) < 2e-8  # float32 of values below 1


def test_a_wrong_table_a_wrong_distance_and_rounding_would_show(real_toa):
    peers = dict(zip(BANDS, SECOND_ESUN, strict=True))
    chander = max(differences(real_toa, ESUN["LANDSAT_5"], PEER_DISTANCE).values())
    assert chander == pytest.approx(0.009, abs=0.0005)
    distance = max(differences(real_toa, peers, earth_sun_distance(date(1988, 8, 14))).values())
    assert 1e-5 < distance < 1.5e-4  # 2 x 7e-5 of a reflectance below 0.6
    assert max(differences(real_toa, peers, 1.0).values()) > 0.01
    # The file's RADIANCE_MULT has three decimals; its LMAX and LMIN give them whole.
    metadata = level1(real_toa)[0]
    rounded = radiance_rescaling(metadata, LEVEL1)
    exact = radiance_rescaling(read_metadata(without_rescaling(real_toa), LEVEL1), LEVEL1)
    percent = [100 * (rounded[band][0] / exact[band][0] - 1) for band in BANDS]
    assert percent == pytest.approx([-0.05, -0.02, 0.00, 0.00, -0.29, 0.68], abs=0.01)
    found = differences(real_toa, peers, PEER_DISTANCE, exact)
    print("largest difference from the peer by band, gains not rounded:", found)
    assert 1e-4 < max(found.values()) < 3e-3


def without_rescaling(real_toa):
    content = (real_toa / LEVEL1 / f"{LEVEL1}_MTL.txt").read_bytes()
    before, _, rest = content.partition(b"  GROUP = RADIOMETRIC_RESCALING")
    return before + rest.partition(b"END_GROUP = RADIOMETRIC_RESCALING\n")[2]


def test_the_product_is_not_clipped(real_toa):
    metadata, numbers, _ = level1(real_toa)
    method, bands = rescale(metadata, None, LEVEL1)
    assert method == "chander"
    assert bands["swir2"].gain * 1 + bands["swir2"].offset < 0  # DN 1 is LMIN, below zero


def lattice(real_scenes, band):
    """Step and one value of the lattice that a band's values stand on, from its sorted unique values."""
    name = "swir" if band == "swir1" else band
    with rasterio.open(real_scenes / "2009_TOA" / f"{name}.tif") as dataset:
        values = np.unique(dataset.read(1).astype(np.float64))
    values = values[np.isfinite(values)]
    step = np.diff(values).min()
    for _ in range(3):  # the smallest gap numbers the values roughly, each fit better
        numbers = np.round((values - values[0]) / step)
        step, first = np.polyfit(numbers, values, 1)
    assert np.abs(values - first - step * numbers).max() < 3e-8  # float32 of values below 1
    return float(step), float(first)


def test_a_scene_from_earth_engine_stands_on_the_mtl_methods_lattice(real_toa, real_scenes):
    # A file of 2010 with the same calibration: its coefficient / d^2 by d^2 / sin of the scene, 1 / 0.547.
    name = "LT05_L1TP_218072_20100801_20161015_01_T1"
    metadata = read(real_toa / "mtl", name)
    _, bands = rescale(metadata, "mtl", name)
    own = math.sin(math.radians(metadata.sun_elevation_deg)) / metadata.earth_sun_distance**2
    suns = []
    for band in BANDS[:5]:  # the scene has no swir2
        step, first = lattice(real_scenes, band)
        suns.append(own * bands[band].gain / step)
        # Some DN has each value: (value - intercept) / slope is whole, so intercept / slope is the file's.
        number = first / step - bands[band].offset / bands[band].gain
        assert number == pytest.approx(round(number), abs=2e-3)
        assert 0 <= round(number) <= 255
    print("sin(sun) / d^2 by band:", suns)
    assert suns == pytest.approx([0.547] * 5, abs=5e-4)
    assert max(suns) / min(suns) - 1 < 1.2e-4  # the file's multipliers have five digits


def test_chanders_method_does_not_give_that_lattice(real_toa, real_scenes):
    metadata = read(real_toa / "mtl", "LT05_L1TP_218072_20100801_20161015_01_T1")
    _, bands = rescale(metadata, "chander", "2010")
    ratios = [bands[band].gain / lattice(real_scenes, band)[0] for band in BANDS[:5]]
    assert max(ratios) / min(ratios) - 1 > 0.05
