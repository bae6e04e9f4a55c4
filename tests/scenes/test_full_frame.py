"""A whole Landsat frame, 8000 x 7000 pixels: imported in bounded memory."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
from landsat_bundles import made_bundle, packed, product_id

FRAME = (7000, 8000)
IMPORT = """
import sys
from pathlib import Path
from glacier_ml.cli import main
try:
    main(["import-scene", "--source", sys.argv[1], "--output", sys.argv[2]])
finally:
    lines = Path("/proc/self/status").read_text().splitlines()
    print("peak", next(line.split()[1] for line in lines if line.startswith("VmHWM")))
"""


@pytest.mark.thorough
@pytest.mark.timeout(1800)
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak is read from Linux's /proc")
def test_a_frame_is_imported_below_a_gigabyte_and_a_half(tmp_path):
    source = packed(made_bundle(tmp_path / "bundle", shape=FRAME), "tar")
    done = subprocess.run(
        [sys.executable, "-c", IMPORT, source, tmp_path / "scenes"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    peak_gb = int(done.stdout.split()[-1]) * 1024 / 1e9
    assert peak_gb < 1.5
    assert "100%" in done.stderr
    with rasterio.open(tmp_path / f"scenes/{product_id()}/nir.tif") as dataset:
        assert dataset.shape == FRAME
        # The made level of near infrared is 60 + index mod 64; 0.004 level - 0.02 (tests/landsat_bundles.py).
        row, column = 6999, 7990
        level = 60 + (row * 8000 + column) % 64
        value = dataset.read(1, window=rasterio.windows.Window(column, row, 1, 1))[0, 0]
        np.testing.assert_allclose(value, 0.004 * level - 0.02, atol=1e-6)
