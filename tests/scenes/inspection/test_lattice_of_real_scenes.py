"""The lattices of the Landsat scenes, of another tool's reflectance and of real metadata files."""

import re

import numpy as np
import pytest
import rasterio

from glacier_ml.scenes.inspection.gains import BANDS
from glacier_ml.scenes.inspection.lattice import dn_of, find_lattice, saturated_share, settle_irradiance
from glacier_ml.scenes.reading import open_scene

# What the Landsat scenes' values tell, by band; where one number stands, it is that of every band.
REAL_FACTORS = {
    "2007_TOA": {"blue": 0.7273, "green": 0.7273, "red": 0.7273, "nir": 0.7273, "swir1": 0.4947},
    "2009_TOA": dict.fromkeys(BANDS[:5], 0.5467),
    "geometry3": dict.fromkeys(BANDS[:5], 0.4947),
    "geometry4": dict.fromkeys(BANDS[:5], 0.4947),
    "geometry8": dict.fromkeys(BANDS[:5], 0.4622),
}


@pytest.mark.real_data
@pytest.mark.parametrize("name", REAL_FACTORS)
def test_the_landsat_scenes_tell_their_suns(real_scenes, name):
    scene = open_scene(real_scenes / name)
    found = {band: find_lattice(values, band) for band, values in scene.bands.items()}
    assert {band: one.sun_factor for band, one in found.items()} == pytest.approx(
        REAL_FACTORS[name], abs=1e-4
    )
    assert settle_irradiance(found) == found
    assert [found[band].table for band in BANDS[:5]] == [
        "MTL 193", "MTL 365", "MTL 264", "MTL 221", "MTL 30.2"
    ]  # fmt: skip
    for one in found.values():
        assert one.sensor == "TM"
        assert one.residual < 1e-4
        assert one.off_share == 0


@pytest.mark.real_data
def test_blue_of_patagonia_is_saturated_in_40_percent(real_scenes):
    values = open_scene(real_scenes / "geometry8").bands["blue"]
    assert saturated_share(values, find_lattice(values, "blue")) == pytest.approx(0.40, abs=0.005)


@pytest.mark.real_data
def test_another_tools_reflectance_of_1988(real_toa):
    # Landsat 5 before 1992, gains to 3 decimals, the irradiances of 2016, d = 1.0129127; its MTL has the sun
    # at 49.75588889 degrees. Values are clipped at 0 and 1.
    folder = real_toa / "LT52240631988227CUB02"
    with rasterio.open(folder / "PEER_spatialEco_Landsat_TM5.tif") as dataset:
        bands = dict(zip(BANDS, dataset.read().astype(np.float32), strict=True))
    found = settle_irradiance({band: find_lattice(values, band, "TM") for band, values in bands.items()})
    factor = np.sin(np.radians(49.75588889)) / 1.0129127139570338**2
    for number, band in zip((1, 2, 3, 4, 5, 7), BANDS, strict=True):
        assert found[band].sun_factor == pytest.approx(factor, abs=2 * found[band].tolerance)
        assert found[band].table.startswith("USGS 2016")
        with rasterio.open(folder / f"LT52240631988227CUB02_B{number}.TIF") as dataset:
            told = dn_of(bands[band], found[band])
            inside = (bands[band] > 0) & (bands[band] < 1)
            np.testing.assert_array_equal(told[inside], dataset.read(1)[inside])
    assert found["blue"].table == "USGS 2016 169, 3 decimals"


@pytest.mark.real_data
def test_the_coefficients_of_real_metadata_files(real_toa):
    dn = np.arange(8, 200)
    files = sorted((real_toa / "mtl").glob("*_MTL.txt"))
    assert len(files) == 3
    for file in files:
        told = dict(re.findall(r"^\s*(\w+) = (\S+)$", file.read_text(encoding="ascii"), re.MULTILINE))
        sine = np.sin(np.radians(float(told["SUN_ELEVATION"])))
        factor = sine / float(told["EARTH_SUN_DISTANCE"]) ** 2
        found = {}
        for number, band in zip((1, 2, 3, 4, 5, 7), BANDS, strict=True):
            mult, add = (float(told[f"REFLECTANCE_{key}_BAND_{number}"]) for key in ("MULT", "ADD"))
            values = ((mult * dn + add) / sine).astype(np.float32)
            found[band] = find_lattice(values, band, "TM")
            np.testing.assert_array_equal(dn_of(values, found[band]), dn)
            assert found[band].table == f"MTL {float(told[f'RADIANCE_MAXIMUM_BAND_{number}']):g}"
        # One of the files of 2016 follows another table of irradiances, which no single band tells.
        table = "USGS 2016" if "20160512" in file.name else "MTL"
        for one in settle_irradiance(found).values():
            assert one.sun_factor == pytest.approx(factor, abs=1e-4)
            assert one.table.startswith(table)
