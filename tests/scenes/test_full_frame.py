"""A whole Landsat frame, 8000 x 7000 pixels: imported in bounded memory."""

import numpy as np
import pytest
import rasterio
from landsat_bundles import made_bundle, packed, product_id
from peak_memory import needs_proc, peak_gb

FRAME = (7000, 8000)
IMPORT = """
from glacier_ml.cli import main
main(["import-scene", "--source", sys.argv[1], "--output", sys.argv[2]])
"""


@pytest.mark.thorough
@pytest.mark.timeout(1800)
@needs_proc
def test_a_frame_is_imported_below_a_gigabyte_and_a_half(tmp_path):
    source = packed(made_bundle(tmp_path / "bundle", shape=FRAME), "tar")
    peak, told = peak_gb(IMPORT, source, tmp_path / "scenes")
    assert peak < 1.5 and "100%" in told
    with rasterio.open(tmp_path / f"scenes/{product_id()}/nir.tif") as dataset:
        assert dataset.shape == FRAME
        # The made level of near infrared is 60 + index mod 64; 0.004 level - 0.02 (tests/landsat_bundles.py).
        row, column = 6999, 7990
        level = 60 + (row * 8000 + column) % 64
        value = dataset.read(1, window=rasterio.windows.Window(column, row, 1, 1))[0, 0]
        np.testing.assert_allclose(value, 0.004 * level - 0.02, atol=1e-6)
