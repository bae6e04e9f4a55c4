"""Pictures of a trial: what they say; how they look is for eyes."""

import numpy as np
import pytest
from drawn_figures import drawn, shown_scene

from glacier_ml.evaluation import trial_figures
from glacier_ml.evaluation.metrics import Confusion


@pytest.fixture
def scene():
    return shown_scene()


@pytest.fixture
def mask(scene):
    return np.arange(scene.shape[0])[:, None] < np.full(scene.shape[1], 20)


def test_learning_curve_shows_both_parts_and_the_best_epoch(tmp_path):
    history = {
        "train/iou": [0.1, 0.5, 0.9],
        "val/iou": [0.1, 0.7, 0.6],
        "val/loss": [0.9, 0.4, 0.5],
        "seconds": [1],
    }
    figure = trial_figures.learning_curve(history, "trial-007")
    said = drawn(figure, tmp_path)
    assert len(figure.axes) == 2
    for part in (
        "trial-007",
        "iou: best validation 0.700 at epoch 2",
        "loss: best validation 0.400 at epoch 2",
    ):
        assert part in said


def test_metrics_of_validation_alone_share_panels(tmp_path):
    names = ("train/loss", "val/loss", "val/f1", "val/recall", "val/iou_fjord", "val/iou_cape")
    figure = trial_figures.learning_curve({name: [0.1, 0.5] for name in names})
    said = drawn(figure, tmp_path)
    lines = [{str(line.get_label()).partition(",")[0] for line in axes.lines} for axes in figure.axes]
    assert lines[1:] == [{"f1", "recall"}, {"iou_fjord", "iou_cape"}] and "f1, last 0.500" in said


def test_learning_curve_of_a_run_that_failed_at_once_is_drawn(tmp_path):
    drawn(trial_figures.learning_curve({"train/loss": [float("nan")], "val/loss": []}), tmp_path)


def test_confusion_matrix_says_pixels_and_shares(tmp_path):
    # glacier: 30 of 50 mapped
    said = drawn(trial_figures.confusion_matrix(Confusion(30, 10, 20, 40), "NDSI"), tmp_path)
    for part in ("NDSI", "30 px", "60.0 % of the true class", "IoU 0.500", "precision 0.750"):
        assert part in said


def test_validation_panel_counts_the_shown_pixels_alone(scene, mask, tmp_path):
    shown = np.zeros(scene.shape, dtype=bool)
    shown[10:30, 0:45] = True  # 40 valid columns; rows 10-19 are glacier
    probability = np.where(scene.valid, 0.9, np.nan).astype(np.float32)
    said = drawn(trial_figures.validation_panel(scene, mask, probability, 0.5, shown), tmp_path)
    for part in ("made, 800 validation pixels", "glacier 50.0 %", "threshold 0.50", "IoU 0.500", "0.5 km"):
        assert part in said


def test_a_large_scene_s_panel_counts_every_pixel_and_draws_some(tmp_path):
    large = shown_scene((1000, 1200))
    shown = np.zeros(large.shape, dtype=bool)
    shown[:500] = True
    mask = np.arange(1200)[None, :] >= np.full((1000, 1), 605)
    probability = np.where(mask, 0.9, 0.1).astype(np.float32)
    figure = trial_figures.validation_panel(large, mask, probability, 0.5, shown)
    # 500 rows of 1195 columns with data, of which 595 are glacier; every second pixel is drawn.
    for part in ("597,500 validation pixels", "glacier 49.8 %", "IoU 1.000", "5 km"):
        assert part in drawn(figure, tmp_path)
    assert {axes.images[0].get_array().shape[:2] for axes in figure.axes if axes.images} >= {(500, 600)}


def test_figures_leave_no_global_state():
    from matplotlib import _pylab_helpers

    trial_figures.confusion_matrix(Confusion(1, 1, 1, 1))
    assert not _pylab_helpers.Gcf.figs
