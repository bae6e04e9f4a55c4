"""A whole Landsat frame, 8000 x 7000 pixels: mapped in bounded memory."""

import numpy as np
import pytest
import rasterio
from landsat_bundles import made_bundle
from made_networks import unet, untrained
from peak_memory import needs_proc, peak_gb
from rio_cogeo.cogeo import cog_validate

FRAME = (7000, 8000)
PREDICT = """
import glacier_ml
glacier_ml.map_scenes(*sys.argv[1:])
"""


@pytest.mark.thorough
@pytest.mark.timeout(1800)
@needs_proc
def test_a_frame_is_mapped_below_three_gigabytes(tmp_path):
    untrained(unet(levels=5, base_filters=4, convolutions=1)).save(tmp_path / "model")
    bundle = made_bundle(tmp_path / "bundle", shape=FRAME)
    peak, told = peak_gb(PREDICT, tmp_path / "model", bundle, tmp_path / "maps")
    assert peak < 3 and "100%" in told  # 1.6 when it was written
    for kind in ("probability", "mask", "uncertainty"):
        path = tmp_path / f"maps/bundle_{kind}.tif"
        assert cog_validate(path, strict=True) == (True, [], [])
        with rasterio.open(path) as raster:
            assert raster.shape == FRAME and len(raster.overviews(1)) >= 4
    with rasterio.open(path) as raster:
        part = raster.read(1, window=rasterio.windows.Window(7900, 6900, 100, 100))
    assert np.isfinite(part).all() and 0 <= part.min() <= part.max() <= 1
