"""The made scenes are worth training on: what one pixel tells is not enough, what lies around it is."""

import numpy as np
import pytest

from glacier_ml.evaluation.yardstick import measure
from glacier_ml.learning.calibration import THRESHOLDS, calibrate, iou_by_threshold
from glacier_ml.learning.training import fit
from glacier_ml.scenes.catalog import open_catalog
from glacier_ml.scenes.made.ground import GROUND_CLASSES
from glacier_ml.studies.data import load_scenes, load_training_data
from glacier_ml.studies.experiment import read_experiment

BANDS = ("blue", "green", "red", "nir", "swir1", "swir2")
LEAST_GAP = 0.15
LEAST_SHARE = 0.60
CONFUSING = ("melange", "debris", "shadow", "snow")


@pytest.fixture(scope="module")
def boosting():
    """Gradient boosting on all bands of 100,000 pixels a training scene: held-out scenes and its maps."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    train, held_out = (load_scenes(open_catalog(), role) for role in ("train", "test"))
    random = np.random.default_rng(0)
    pixels, labels = [], []
    for scene in train:
        drawn = random.choice(np.flatnonzero(scene.scene.valid), 100_000, replace=False)
        pixels.append(scene.scene.stack(BANDS).reshape(-1, len(BANDS))[drawn])
        labels.append(scene.mask.ravel()[drawn])
    model = HistGradientBoostingClassifier(random_state=0)
    model.fit(np.concatenate(pixels), np.concatenate(labels))
    maps = [model.predict_proba(scene.scene.stack(BANDS)[scene.scene.valid])[:, 1] for scene in held_out]
    return held_out, maps


def best_ious(held_out, maps):
    """Threshold that is best on the held-out pixels themselves, and each scene's IoU at it."""
    curves = [
        iou_by_threshold(probability.astype(np.float32), scene.mask[scene.scene.valid])
        for scene, probability in zip(held_out, maps, strict=True)
    ]
    best = int(np.argmax(np.mean(curves, axis=0)))
    return float(THRESHOLDS[best]), [float(curve[best]) for curve in curves]


@pytest.mark.thorough
@pytest.mark.timeout(1200)
def test_errors_of_single_pixels_are_what_surroundings_would_tell(boosting):
    threshold, _ = best_ious(*boosting)
    confusing = [key for key, name in GROUND_CLASSES.items() if any(word in name for word in CONFUSING)]
    errors = np.concatenate(
        [
            scene.ground[scene.scene.valid][(probability >= threshold) != scene.mask[scene.scene.valid]]
            for scene, probability in zip(*boosting, strict=True)
        ]
    )
    assert np.isin(errors, confusing).mean() >= LEAST_SHARE


@pytest.mark.thorough
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_unet_leaves_gradient_boosting_behind(boosting, seed):
    held_out, _ = boosting
    experiment = read_experiment("experiments/unet.yaml")
    data = load_training_data(None, experiment.split_rule)

    def validate(classifier):
        return measure(classifier, data.scenes[:1], data.split.validation)

    # A trial's few epochs, less than a registered model gets.
    fitted = fit(experiment.baseline, data.scenes, data.split, validate, seed=seed)
    mapped = calibrate(fitted.classifier, data.scenes, data.split)
    unet = measure(mapped, held_out, lambda name: pixels_of(held_out, name))["val/iou"]
    boosted = np.mean(best_ious(*boosting)[1])
    print(f"seed {seed}: U-Net {unet:.3f}, gradient boosting {boosted:.3f}")
    assert unet - boosted >= LEAST_GAP


def pixels_of(scenes, name):
    """Valid pixels of the scene of that name."""
    return next(scene.scene.valid for scene in scenes if scene.scene.name == name)
