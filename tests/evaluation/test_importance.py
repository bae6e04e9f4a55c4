"""Permutation importance: what a map loses is worked by hand where one feature decides it."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_scenes import made_scene, valley

from glacier_ml.errors import GlacierError
from glacier_ml.evaluation import importance as module
from glacier_ml.evaluation.importance import (
    count_maps,
    feature_groups,
    measured_pixels,
    permutation_importance,
    shuffling,
)
from glacier_ml.evaluation.windows import typical_window


@dataclasses.dataclass(frozen=True)
class GreenRule:
    """Glacier where green is bright: the feature 'green' decides alone, 'swir1' is there for nothing."""

    name: str = "green rule"
    threshold: float = 0.5
    bands: tuple[str, ...] = ("green", "swir1")
    feature_names: tuple[str, ...] = ("green", "swir1", "ndsi")

    def probability(self, scene, wanted=None, disturb=None):
        green, swir1 = scene.bands["green"], scene.bands["swir1"]
        features = np.stack([green, swir1, (green - swir1) / (green + swir1)], axis=-1)
        features = features if disturb is None else disturb(features)
        shown = scene.valid if wanted is None else scene.valid & wanted
        return np.where(shown, (features[..., 0] > 0.3).astype(np.float32), np.float32(np.nan))


def test_the_loss_is_that_of_a_map_at_random_where_one_feature_decides():
    scene = made_scene("valley", (120, 100), valley, nodata=20)
    table = permutation_importance([GreenRule()], [scene], repeats=4, seed=3)
    assert list(table.columns) == ["classifier", "scene", "feature", "repeat", "drop", "iou", "members"]
    assert set(table.feature) == {"green", "swir1", "ndsi", "all of green", "all of swir1"}
    repeats = table.groupby("feature").repeat.apply(list).to_dict()
    assert {len(found) for name, found in repeats.items() if name.startswith("all of")} == {1}
    assert repeats["green"] == repeats["swir1"] == repeats["ndsi"] == [0, 1, 2, 3]
    assert (table.iou == 1).all()  # the rule maps the made scene without a fault
    # Shuffled, a share p of the pixels is mapped wherever they lie: of the glacier's p again a share p.
    # IoU = p^2 / (p + p - p^2) = p / (2 - p), give or take chance.
    p = scene.mask[scene.scene.valid].mean()
    means = table.groupby("feature")["drop"].mean()
    for feature in ("green", "all of green"):
        assert means[feature] == pytest.approx(1 - p / (2 - p), abs=0.02)
    assert means["swir1"] == means["ndsi"] == means["all of swir1"] == 0


def test_the_same_seed_gives_the_same_table_and_another_does_not():
    scene = made_scene("disc", (60, 50))
    first, again, other = (
        permutation_importance([GreenRule()], [scene], repeats=1, seed=seed) for seed in (0, 0, 1)
    )
    assert first.equals(again) and not first.equals(other)


def test_every_classifier_and_scene_has_its_rows_and_is_told_of():
    scenes = [made_scene("disc", (60, 50)), made_scene("valley", (40, 60), valley)]
    classifiers = [GreenRule(), GreenRule("other", threshold=2.0)]  # the other maps no glacier at all
    told = []
    table = permutation_importance(classifiers, scenes, repeats=2, tell=lambda: told.append(1))
    assert len(told) == count_maps(classifiers, 2, repeats=2) == 2 * 2 * (1 + 2 * 3 + 2)
    counts = table.groupby(["classifier", "scene"]).size()
    assert len(counts) == 4 and (counts == 8).all()
    assert (table[table.classifier == "other"].iou == 0).all()
    assert (table[table.classifier == "other"]["drop"] == 0).all()
    # features are shuffled alike for both, so that one may be set against the other
    twin = permutation_importance([GreenRule("twin")], scenes, repeats=2)
    assert (twin["drop"].to_numpy() == table[table.classifier == "green rule"]["drop"].to_numpy()).all()


@settings(deadline=None, derandomize=True, max_examples=50)
@given(st.integers(0, 2**32 - 1), st.lists(st.sampled_from([0, 1, 2]), min_size=1, max_size=3, unique=True))
def test_shuffling_moves_values_of_the_valid_pixels_together(seed, columns):
    random = np.random.default_rng(seed)
    features = random.normal(size=(7, 9, 3)).astype(np.float32)
    valid = random.random((7, 9)) < 0.7
    before = features.copy()
    changed = shuffling(valid, columns, random)(features)
    np.testing.assert_array_equal(features, before)  # its input is left alone
    others = [column for column in range(3) if column not in columns]
    np.testing.assert_array_equal(changed[..., others], features[..., others])
    np.testing.assert_array_equal(changed[~valid], features[~valid])
    # the rows of the chosen columns are the same ones in another order: together, or not at all
    rows = [sorted(map(tuple, one[valid][:, columns].tolist())) for one in (features, changed)]
    assert rows[0] == rows[1]


def test_groups_are_made_of_a_band():
    spectral = ("blue", "green", "red", "nir", "swir1", "ndsi", "ndwi", "log_red_swir1")
    groups = feature_groups(spectral)
    assert list(groups)[:8] == list(spectral) and groups["blue"] == ("blue",)
    assert {name: members for name, members in groups.items() if name.startswith("all of")} == {
        "all of green": ("green", "ndsi", "ndwi"),
        "all of red": ("red", "log_red_swir1"),
        "all of nir": ("nir", "ndwi"),
        "all of swir1": ("swir1", "ndsi", "log_red_swir1"),
    }
    # blue and whether it is saturated are one band's; a ratio alone with its bands is no group
    assert feature_groups(["blue", "blue_saturated"])["all of blue"] == ("blue", "blue_saturated")
    assert list(feature_groups(["swir1_red", "ndwi"])) == ["swir1_red", "ndwi"]


def test_a_large_scene_is_measured_in_one_window_like_it(monkeypatch):
    scene = made_scene("disc", (600, 700))
    monkeypatch.setattr(module, "WHOLE_PIXELS", 600 * 700)
    assert (measured_pixels(scene) == scene.scene.valid).all()
    monkeypatch.setattr(module, "WHOLE_PIXELS", 600 * 700 - 1)
    counted = measured_pixels(scene)
    rows, columns = np.flatnonzero(counted.any(axis=1)), np.flatnonzero(counted.any(axis=0))
    assert counted.sum() == 320 * 320
    # origins 0, 64, 256 (of 600 - 320 = 280 and 700 - 320 = 380): what two windows of 256 px reach
    assert rows[0] in (0, 64, 256) and columns[0] in (0, 64, 256)
    assert abs(scene.mask[counted].mean() - scene.mask.mean()) < 0.25
    assert permutation_importance([GreenRule()], [scene], repeats=1).iou.eq(1).all()


def test_the_window_is_the_one_with_the_wanted_share():
    truth = np.zeros((60, 80), dtype=bool)
    truth[:, 40:] = True
    valid = np.ones(truth.shape, dtype=bool)
    # 20 columns half on glacier: 30 to 49; the first row of them
    assert typical_window(truth, valid, 20, 0.5, step=10) == (0, 30)
    assert typical_window(truth, valid, 20, 0.0, step=10) == (0, 0)
    assert typical_window(truth, valid, 20, 1.0, step=10) == (0, 40)
    valid[:30] = False  # then windows of the lower half alone are full
    assert typical_window(truth, valid, 20, 0.5, step=10) == (30, 30)
    assert typical_window(truth, valid, 500, 0.5) == (0, 0)  # larger than the scene: all of it


def test_nothing_to_repeat_and_no_mask_are_one_line():
    scene = made_scene("disc", (30, 30))
    with pytest.raises(GlacierError, match=r"repeats must be at least 1 \(found 0\)"):
        permutation_importance([GreenRule()], [scene], repeats=0)
    with pytest.raises(GlacierError, match="disc: has no outlines"):
        permutation_importance([GreenRule()], [dataclasses.replace(scene, mask=None)])
