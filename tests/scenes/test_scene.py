import numpy as np
import pytest
from affine import Affine
from rasterio.crs import CRS

from glacier_ml.errors import GlacierError
from glacier_ml.scenes.scene import Grid, Scene

GRID = Grid(CRS.from_epsg(32606), Affine(30, 0, 500_000, 0, -30, 6_800_000), (40, 50))


def made_scene(**bands):
    valid = np.logical_and.reduce([np.isfinite(values) for values in bands.values()])
    return Scene("made", bands, valid, GRID)


def test_stack_orders_bands_and_fills_nodata_with_zero():
    blue = np.full(GRID.shape, 0.2, np.float32)
    blue[0, 0] = np.nan
    scene = made_scene(blue=blue, red=np.full(GRID.shape, 0.4, np.float32))
    stack = scene.stack(("red", "blue"))
    assert stack.shape == (40, 50, 2)
    assert stack[1, 1].tolist() == pytest.approx([0.4, 0.2])
    assert stack[0, 0].tolist() == [0, 0]


def test_missing_band_is_named():
    scene = made_scene(blue=np.ones(GRID.shape, np.float32))
    with pytest.raises(GlacierError, match=r"made: swir1 missing; needed are blue, swir1 \(found blue\)"):
        scene.stack(("blue", "swir1"))
    with pytest.raises(GlacierError, match="blue_saturated missing"):
        made_scene(red=np.ones(GRID.shape, np.float32)).stack(("blue_saturated",))


def test_saturation_is_a_value_that_many_pixels_share():
    blue = np.linspace(0.1, 0.5, 2000, dtype=np.float32).reshape(GRID.shape)
    assert not made_scene(blue=blue).saturated("blue").any()  # one pixel of 2000 is .0005, below .001
    blue = np.minimum(blue, blue[38, 0])  # rows 38 and 39 lie at the ceiling
    scene = made_scene(blue=blue)
    assert scene.saturated("blue").sum() == 100
    assert scene.stack(("blue_saturated",))[:, :, 0].sum() == 100


def test_digest_follows_the_pixels_and_not_the_name():
    blue = np.linspace(0.1, 0.5, 2000, dtype=np.float32).reshape(GRID.shape)
    one = made_scene(blue=blue)
    other = Scene("renamed", {"blue": blue.copy()}, one.valid, GRID)
    assert one.digest == other.digest
    changed = blue.copy()
    changed[3, 3] += 1e-3
    assert made_scene(blue=changed).digest != one.digest


@pytest.mark.real_data
def test_blue_of_patagonia_saturates_over_snow(real_scenes):
    from glacier_ml.scenes.reading import open_scene

    scene = open_scene(real_scenes / "geometry8")
    # scenes/README.md: 40 % of geometry8's valid pixels are at DN 255 in blue.
    assert scene.saturated("blue")[scene.valid].mean() == pytest.approx(0.40, abs=0.01)
