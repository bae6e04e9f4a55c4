"""Figures: what they say and which colours they use; how they look is for eyes."""

import numpy as np
import pytest
from affine import Affine
from rasterio.crs import CRS

from glacier_ml.evaluation import figures
from glacier_ml.evaluation.comparison import SceneMaps
from glacier_ml.evaluation.metrics import Confusion
from glacier_ml.scenes.catalog import CatalogEntry, LabelledScene
from glacier_ml.scenes.scene import Grid, Scene

UTM = CRS.from_epsg(32606)


def made_scene(shape=(60, 80), crs=UTM, transform=None):
    ramp = np.linspace(0, 1, shape[0] * shape[1], dtype=np.float32).reshape(shape)
    bands = {"red": ramp, "nir": 1 - ramp, "swir1": ramp / 2}
    valid = np.ones(shape, dtype=bool)
    valid[:, :5] = False
    bands = {band: np.where(valid, values, np.nan).astype(np.float32) for band, values in bands.items()}
    transform = transform or Affine(30, 0, 500_000, 0, -30, 6_700_000)
    return Scene("made", bands, valid, Grid(crs, transform, shape), {"date": "2009-09-06"})


def labelled(scene, mask):
    return LabelledScene(scene, mask, None, CatalogEntry("made", "made", "there", "region", "test"))


@pytest.fixture
def scene():
    return made_scene()


@pytest.fixture
def mask(scene):
    return np.arange(scene.shape[0])[:, None] < np.full(scene.shape[1], 20)


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


def test_false_colour_stretches_each_band_and_greys_no_data(scene):
    image = figures.false_colour(scene)
    assert image.shape == (60, 80, 3)
    assert image.min() == 0 and image.max() == 1
    np.testing.assert_allclose(image[:, :5], np.broadcast_to(figures.NO_DATA, (60, 5, 3)))
    # SWIR1 and red rise over the scene, NIR falls
    assert image[0, 10].tolist() == [0, 1, 0]
    assert image[-1, -1].tolist() == [1, 0, 1]


def test_false_colour_of_a_flat_or_empty_scene_is_finite():
    flat = made_scene()
    flat.bands["red"][:] = 0.3
    assert np.isfinite(figures.false_colour(flat)).all()
    flat.valid[:] = False
    np.testing.assert_allclose(figures.false_colour(flat), np.broadcast_to(figures.NO_DATA, (60, 80, 3)))


def test_outcomes_have_their_colours():
    truth = np.array([[1, 0, 1, 0, 1]], dtype=bool)
    mapped = np.array([[1, 1, 0, 0, 1]], dtype=bool)
    shown = np.array([[1, 1, 1, 1, 0]], dtype=bool)
    image = figures.outcome_image(truth, mapped, shown)
    np.testing.assert_allclose(image[0], [*figures.OUTCOMES.values(), figures.NO_DATA], rtol=1e-6)


def test_learning_curve_shows_both_parts_and_the_best_epoch(tmp_path):
    history = {
        "train/iou": [0.1, 0.5, 0.9],
        "val/iou": [0.1, 0.7, 0.6],
        "val/loss": [0.9, 0.4, 0.5],
        "seconds": [1],
    }
    figure = figures.learning_curve(history, "trial-007")
    said = drawn(figure, tmp_path)
    assert len(figure.axes) == 2
    for part in (
        "trial-007",
        "iou: best validation 0.700 at epoch 2",
        "loss: best validation 0.400 at epoch 2",
    ):
        assert part in said


def test_learning_curve_of_a_run_that_failed_at_once_is_drawn(tmp_path):
    drawn(figures.learning_curve({"train/loss": [float("nan")], "val/loss": []}), tmp_path)


def test_confusion_matrix_says_pixels_and_shares(tmp_path):
    # glacier: 30 of 50 mapped
    said = drawn(figures.confusion_matrix(Confusion(30, 10, 20, 40), "NDSI"), tmp_path)
    for part in ("NDSI", "30 px", "60.0 % of the true class", "IoU 0.500", "precision 0.750"):
        assert part in said


def test_validation_panel_counts_the_shown_pixels_alone(scene, mask, tmp_path):
    shown = np.zeros(scene.shape, dtype=bool)
    shown[10:30, 0:45] = True  # 40 valid columns; rows 10-19 are glacier
    probability = np.where(scene.valid, 0.9, np.nan).astype(np.float32)
    said = drawn(figures.validation_panel(scene, mask, probability, 0.5, shown), tmp_path)
    for part in ("made, 800 validation pixels", "glacier 50.0 %", "threshold 0.50", "IoU 0.500", "0.5 km"):
        assert part in said


def test_a_large_scene_s_panel_counts_every_pixel_and_draws_some(tmp_path):
    large = made_scene((1000, 1200))
    shown = np.zeros(large.shape, dtype=bool)
    shown[:500] = True
    mask = np.arange(1200)[None, :] >= np.full((1000, 1), 605)
    probability = np.where(mask, 0.9, 0.1).astype(np.float32)
    figure = figures.validation_panel(large, mask, probability, 0.5, shown)
    # 500 rows of 1195 columns with data, of which 595 are glacier; every second pixel is drawn.
    for part in ("597,500 validation pixels", "glacier 49.8 %", "IoU 1.000", "5 km"):
        assert part in drawn(figure, tmp_path)
    assert {axes.images[0].get_array().shape[:2] for axes in figure.axes if axes.images} >= {(500, 600)}


def test_comparison_maps_have_a_panel_a_classifier(scene, mask, tmp_path):
    probability = np.where(mask, 0.8, 0.1).astype(np.float32)
    maps = SceneMaps(
        labelled(scene, mask),
        scene.valid,
        {"U-Net": [probability] * 2, "NDSI": [1 - probability]},
        {"U-Net": [0.5, 0.5], "NDSI": [0.5]},
        mask,
    )
    said = drawn(figures.comparison_maps(maps), tmp_path)
    for part in (
        "U-Net, the first of 2 seeds\nIoU 1.000",
        "NDSI\nIoU 0.000",
        "earlier outline unchanged",
        "false positive",
        "33.3 % glacier",
    ):
        assert part in said


def test_preview_names_scene_date_and_share(scene, mask, tmp_path):
    probability = np.where(mask, 0.8, 0.1).astype(np.float32)
    said = drawn(figures.preview(scene, probability, 0.5), tmp_path)
    assert "made, 2009-09-06" in said and "33.3 % glacier" in said


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (20, 20), (20, 4)])  # the last has no data
@pytest.mark.parametrize("level", [0.0, 1.0])
def test_preview_of_tiny_and_one_class_scenes_is_drawn(shape, level, tmp_path):
    probability = np.full(shape, level, dtype=np.float32)
    drawn(figures.preview(made_scene(shape), probability, 0.5), tmp_path)


def test_figures_leave_no_global_state():
    from matplotlib import _pylab_helpers

    figures.confusion_matrix(Confusion(1, 1, 1, 1))
    assert not _pylab_helpers.Gcf.figs
