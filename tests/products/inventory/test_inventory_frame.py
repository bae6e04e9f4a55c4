"""A whole Landsat frame, 8000 x 7000 pixels with thousands of glaciers: in bounded memory and minutes."""

import numpy as np
import pandas as pd
import pytest
from made_maps import write_maps
from made_outlines import rectangle, write_outlines
from peak_memory import needs_proc, peak_gb

FRAME = (7000, 8000)
RUN = """
from glacier_ml.cli import main
main(["inventory", "--maps", sys.argv[1], "--output", sys.argv[2], "--outlines", sys.argv[3]])
"""


@pytest.mark.thorough
@pytest.mark.timeout(1800)
@needs_proc
def test_a_frame_of_thousands_of_glaciers_needs_less_than_3_gigabytes(tmp_path, tiny_grid):
    grid = tiny_grid(shape=FRAME)
    row, column = np.indices(FRAME, dtype=np.float32)
    ice = np.sin(row / 16) * np.sin(column / 19) + 0.3 * np.sin((row + column) / 5) > 0.35
    probability = np.where(ice, np.float32(0.9), np.float32(0.05))
    write_maps(tmp_path / "maps", ice, grid, probability=probability, members=[ice, ice], percent=True)
    # Each outline covers the complexes of a square: their divides run through the ice between.
    corners = [
        (top, left, top + 200, left + 200) for top in range(0, 7000, 200) for left in range(0, 8000, 200)
    ]
    ids = [f"RGI2000-v7.0-G-01-{number:05d}" for number in range(len(corners))]
    shapes = [rectangle(grid, *one) for one in corners]
    outlines = write_outlines(tmp_path / "rgi.gpkg", shapes, "EPSG:32606", rgi_id=ids)
    del row, column, probability
    output = tmp_path / "out.gpkg"
    peak, _ = peak_gb(RUN, tmp_path / "maps", output, outlines)
    assert peak < 3  # 1.5 when it was written
    summary = pd.read_csv(tmp_path / "out_summary.csv").iloc[0]
    assert summary["glaciers"] == len(corners) == 1400
    assert summary["area_km2"] == pytest.approx(ice.sum() * 9e-4, rel=0.01)
