"""A whole Landsat frame, 8000 x 7000 pixels: mapped in bounded memory."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
from landsat_bundles import made_bundle
from made_networks import unet, untrained
from rio_cogeo.cogeo import cog_validate

FRAME = (7000, 8000)
PREDICT = """
import sys
from pathlib import Path
import glacier_ml
try:
    glacier_ml.map_scenes(*sys.argv[1:], picture=True)
finally:
    lines = Path("/proc/self/status").read_text().splitlines()
    print("peak", next(line.split()[1] for line in lines if line.startswith("VmHWM")))
"""


@pytest.mark.thorough
@pytest.mark.timeout(1800)
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak is read from Linux's /proc")
def test_a_frame_is_mapped_below_three_gigabytes(tmp_path):
    untrained(unet(levels=5, base_filters=4, convolutions=1)).save(tmp_path / "model")
    bundle = made_bundle(tmp_path / "bundle", shape=FRAME)
    command = [sys.executable, "-c", PREDICT, tmp_path / "model", bundle, tmp_path / "maps"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout.split()[-1]) * 1024 / 1e9 < 3  # 1.6 when it was written
    assert "100%" in done.stderr
    for kind in ("probability", "mask", "uncertainty"):
        path = tmp_path / f"maps/bundle_{kind}.tif"
        assert cog_validate(path, strict=True) == (True, [], [])
        with rasterio.open(path) as raster:
            assert raster.shape == FRAME and len(raster.overviews(1)) >= 4
    with rasterio.open(path) as raster:
        part = raster.read(1, window=rasterio.windows.Window(7900, 6900, 100, 100))
    assert np.isfinite(part).all() and 0 <= part.min() <= part.max() <= 1
