"""A stand-in for Earth Engine: one image whose every pixel tells where it lies, and some GLIMS outlines."""

import numpy as np
from affine import Affine

from glacier_ml.errors import GlacierError

ROWS, COLUMNS = 120, 90
MADE_TRANSFORM = Affine(30, 0, 480_000, 0, -30, 6_780_000)
PROPERTIES = {
    "LANDSAT_SCENE_ID": "LT50660172007260GLC00",
    "LANDSAT_PRODUCT_ID": "LT05_L1TP_066017_20070917_20200829_02_T1",
    "SPACECRAFT_ID": "LANDSAT_5",
    "DATE_ACQUIRED": "2007-09-17",
    "SUN_ELEVATION": 29.5,
    "EARTH_SUN_DISTANCE": 1.0051,
}
ALL = ("B1", "B2", "B3", "B4", "B5", "B6", "B7", "SAA", "SZA", "VAA", "VZA", "QA_PIXEL", "QA_RADSAT")


def band_info(label):
    return {
        "id": label,
        "crs": "EPSG:32606",
        "crs_transform": list(MADE_TRANSFORM)[:6],
        "dimensions": [COLUMNS, ROWS],
        "data_type": {"type": "PixelType", "precision": "float"},
    }


def outline(glac_id="G213000E61000N", src_date="2007-08-01T00:00:00", line_type="glac_bound", **more):
    """A GeoJSON feature as Earth Engine gives it: 0.02 x 0.02 degrees about the image's middle."""
    west, south = -147.36, 61.14
    ring = [
        (west, south),
        (west + 0.02, south),
        (west + 0.02, south + 0.02),
        (west, south + 0.02),
        (west, south),
    ]
    properties = {
        "glac_id": glac_id,
        "src_date": src_date,
        "line_type": line_type,
        "anlys_id": 1.0,
        "area": 2.5,
    }
    return {
        "type": "Feature",
        "geometry": more.pop("geometry", {"type": "Polygon", "coordinates": [ring]}),
        "properties": properties | more,
    }


class MadeEarthEngine:
    """Reflectance: a tenth of the band's number + (row + column / 1000) / 1000; masked from column 80 on."""

    def __init__(self, bands=ALL, features=None, masked_from=80, stop_after=None, error=None):
        self.info = {
            "type": "Image", "bands": [band_info(label) for label in bands], "properties": dict(PROPERTIES)
        }  # fmt: skip
        self.features = [outline()] if features is None else features
        self.masked_from, self.stop_after, self.error = masked_from, stop_after, error
        self.asked = []

    def image_info(self, image_id, where):
        self.asked.append(("info", image_id))
        if not image_id.startswith("LANDSAT/LT05/C02/"):
            raise GlacierError(f"{where}: Earth Engine has no such image")
        return self.info

    def pixels(self, image_id, band, grid, fill, where):
        self.asked.append(("pixels", band))
        if self.stop_after is not None and len(self.asked) > self.stop_after:
            raise self.error
        offset = ~MADE_TRANSFORM @ (grid.transform.c, grid.transform.f)
        assert offset == tuple(map(round, offset)), "not on the image's own pixels"
        row, column = np.indices(grid.shape) + np.array([round(offset[1]), round(offset[0])])[:, None, None]
        if band.startswith("QA_"):
            # Row 10 is cloud (bit 3), its first band saturated (bit 0).
            values = np.where(row == 10, 8 if band == "QA_PIXEL" else 1, 0)
        else:
            values = int(band[1:]) / 10 + (row + column / 1000) / 1000
        return np.where(column >= self.masked_from, fill, values)

    def outlines(self, bounds, where):
        self.asked.append(("outlines", tuple(bounds)))
        return self.features
