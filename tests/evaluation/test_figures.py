"""Figures: what they say and which colours they use; how they look is for eyes."""

import numpy as np
import pytest
from drawn_figures import drawn, shown_scene

from glacier_ml.evaluation import figures
from glacier_ml.evaluation.comparison import SceneMaps
from glacier_ml.scenes.catalog import CatalogEntry, LabelledScene


def labelled(scene, mask):
    return LabelledScene(scene, mask, None, CatalogEntry("made", "made", "there", "region", "test"))


@pytest.fixture
def scene():
    return shown_scene()


@pytest.fixture
def mask(scene):
    return np.arange(scene.shape[0])[:, None] < np.full(scene.shape[1], 20)


def test_false_colour_stretches_each_band_and_greys_no_data(scene):
    image = figures.false_colour(scene)
    assert image.shape == (60, 80, 3)
    assert image.min() == 0 and image.max() == 1
    np.testing.assert_allclose(image[:, :5], np.broadcast_to(figures.NO_DATA, (60, 5, 3)))
    # SWIR1 and red rise over the scene, NIR falls
    assert image[0, 10].tolist() == [0, 1, 0]
    assert image[-1, -1].tolist() == [1, 0, 1]


def test_false_colour_of_a_flat_or_empty_scene_is_finite():
    flat = shown_scene()
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
    drawn(figures.preview(shown_scene(shape), probability, 0.5), tmp_path)
