"""A scene to draw, and what a drawn figure says."""

import numpy as np
from affine import Affine
from rasterio.crs import CRS

from glacier_ml.scenes.scene import Grid, Scene

UTM = CRS.from_epsg(32606)


def shown_scene(shape=(60, 80), crs=UTM, transform=None):
    ramp = np.linspace(0, 1, shape[0] * shape[1], dtype=np.float32).reshape(shape)
    bands = {"red": ramp, "nir": 1 - ramp, "swir1": ramp / 2}
    valid = np.ones(shape, dtype=bool)
    valid[:, :5] = False
    bands = {band: np.where(valid, values, np.nan).astype(np.float32) for band, values in bands.items()}
    transform = transform or Affine(30, 0, 500_000, 0, -30, 6_700_000)
    return Scene("made", bands, valid, Grid(crs, transform, shape), {"date": "2009-09-06"})


def texts(figure):
    """All titles and labels of a figure."""
    found = [figure.get_suptitle()]
    for axes in figure.axes:
        found += [
            axes.get_title(),
            axes.get_xlabel(),
            axes.get_ylabel(),
            *(text.get_text() for text in axes.texts),
        ]
    for legend in (*figure.legends, *(axes.get_legend() for axes in figure.axes if axes.get_legend())):
        found += [text.get_text() for text in legend.get_texts()]
    return " | ".join(found)


def drawn(figure, tmp_path):
    """Render, because a figure that cannot be written is none."""
    path = tmp_path / "figure.png"
    figure.savefig(path)
    assert path.stat().st_size > 5000
    return texts(figure)
