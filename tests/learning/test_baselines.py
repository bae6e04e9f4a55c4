"""Baselines: their rules by hand, their tuning on a scene whose answer is known, their cache."""

import numpy as np
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.crs import CRS
from scipy.ndimage import median_filter

from glacier_ml.errors import GlacierError
from glacier_ml.evaluation.metrics import confusion
from glacier_ml.learning import baselines, trees
from glacier_ml.learning.baselines import fit_baselines
from glacier_ml.learning.calibration import best_threshold, fit_temperature
from glacier_ml.learning.rules import BandRatioClassifier, NdsiClassifier, tune_band_ratio, tune_ndsi
from glacier_ml.learning.splits import CALIBRATION, NOTHING, TRAINING, SceneSplit, Split, SplitRule
from glacier_ml.learning.trees import fit_gradient_boosting, fit_random_forest
from glacier_ml.scenes.catalog import CatalogEntry, LabelledScene
from glacier_ml.scenes.scene import Grid, Scene

NAMES = ["NDSI", "NDSI tuned", "band ratio", "gradient boosting", "random forest"]
GRID = CRS.from_epsg(32606), Affine(30, 0, 500_000, 0, -30, 6_780_000)


def scene_of(name="made", **bands):
    bands = {band: np.atleast_2d(np.asarray(values, dtype=np.float32)) for band, values in bands.items()}
    valid = np.logical_and.reduce([np.isfinite(values) for values in bands.values()])
    return Scene(name, bands, valid, Grid(*GRID, valid.shape))


def made_labelled(name="made", seed=0, shape=(48, 64)):
    """Ice where green is bright and swir1 dark, rock elsewhere; noise that leaves a gap between them."""
    random = np.random.default_rng(seed)
    mask = np.zeros(shape, dtype=bool)
    mask[: shape[0] // 2, : shape[1] // 2] = True
    ice = {"blue": 0.6, "green": 0.6, "red": 0.55, "nir": 0.5, "swir1": 0.05}
    rock = {"blue": 0.1, "green": 0.12, "red": 0.14, "nir": 0.2, "swir1": 0.1}
    noise = {band: random.uniform(0.97, 1.03, shape) for band in ice}
    scene = scene_of(name, **{band: np.where(mask, ice[band], rock[band]) * noise[band] for band in ice})
    return LabelledScene(scene, mask, None, CatalogEntry(name, name, "there", "region", "train"))


def made_split(*scenes, use=None):
    """Training on the left three quarters of each scene, calibration on the rest."""
    parts = {}
    for one in scenes:
        uses = np.full(one.scene.shape, TRAINING, dtype=np.uint8) if use is None else use.copy()
        if use is None:
            uses[:, ::4] = CALIBRATION
        parts[one.scene.name] = SceneSplit(uses, np.ones(one.scene.shape, dtype=np.int32), one.scene.digest)
    return Split(SplitRule(), parts)


@pytest.fixture(autouse=True)
def small_trees(monkeypatch):
    """What the trees learn here, a few of them learn, too."""
    monkeypatch.setattr(trees, "FOREST_TREES", 12)
    monkeypatch.setattr(trees, "BOOSTING_ROUNDS", 30)


def mapped(classifier, scene):
    return classifier.probability(scene) >= classifier.threshold


def test_ndsi_rule_by_hand():
    # NDSI of (.5, .1) is 4/6; of (.3, .2) 1/5; the third is as dark in NIR as water; the fourth is no data
    scene = scene_of(green=[0.5, 0.3, 0.5, np.nan], nir=[0.4, 0.4, 0.1, 0.4], swir1=[0.1, 0.2, 0.1, 0.1])
    score = NdsiClassifier().probability(scene)
    assert score.dtype == np.float32
    np.testing.assert_allclose(score, [[5 / 6, 0.6, 0, np.nan]], rtol=1e-6)
    assert mapped(NdsiClassifier(), scene).tolist() == [[True, False, False, False]]
    assert mapped(NdsiClassifier(ndsi=0.1), scene).tolist() == [[True, True, False, False]]


def test_band_ratio_rule_by_hand():
    # red / swir1 = 3 on ice; one lit pixel inside rock and one dark pixel inside ice are median-filtered away
    red = np.full((5, 10), 0.1)
    red[:, :5] = 0.3
    red[2, 7], red[2, 2] = 0.3, 0.1
    scene = scene_of(blue=np.full((5, 10), 0.2), red=red, swir1=np.full((5, 10), 0.1))
    glacier = mapped(BandRatioClassifier(), scene)
    assert glacier[:, :5].all() and not glacier[:, 5:].any()
    assert not mapped(BandRatioClassifier(blue=0.2), scene).any()  # blue must be above
    assert BandRatioClassifier(ratio=3).threshold == 0.75


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.3, 6))
def test_thresholding_the_median_is_the_median_of_the_thresholded(seed, ratio):
    random = np.random.default_rng(seed)
    scene = scene_of(
        blue=np.full((9, 11), 0.3),
        red=random.uniform(0.05, 1, (9, 11)),
        swir1=random.uniform(0.05, 1, (9, 11)),
    )
    rule = BandRatioClassifier(ratio=ratio)
    above = scene.bands["red"] / (scene.bands["red"] + scene.bands["swir1"]) >= np.float32(rule.threshold)
    expected = median_filter(above.astype(np.uint8), size=3, mode="nearest").astype(bool)
    assert np.mean(mapped(rule, scene) != expected) <= 0.02  # rounding at the threshold itself


@settings(max_examples=40, deadline=None)
@given(st.floats(-0.25, 2, width=32), st.floats(-0.25, 2, width=32), st.floats(-0.25, 2, width=32))
def test_scores_stay_between_0_and_1(first, second, third):
    bands = {"blue": [[0.3]], "green": [[first]], "red": [[first]], "nir": [[third]], "swir1": [[second]]}
    for rule in (NdsiClassifier(), BandRatioClassifier()):
        assert 0 <= rule.probability(scene_of(**bands))[0, 0] <= 1


def test_every_baseline_maps_the_wanted_valid_pixels_alone(tmp_path):
    labelled = made_labelled()
    labelled.scene.valid[5, 5] = False
    wanted = np.zeros(labelled.scene.shape, dtype=bool)
    wanted[:10, :10] = True
    for classifier in fit_baselines([labelled], made_split(labelled), seed=0, cache=tmp_path):
        probability = classifier.probability(labelled.scene, wanted)
        assert probability.shape == labelled.scene.shape and probability.dtype == np.float32
        np.testing.assert_array_equal(np.isfinite(probability), wanted & labelled.scene.valid)
        whole = classifier.probability(labelled.scene)
        np.testing.assert_array_equal(probability[np.isfinite(probability)], whole[np.isfinite(probability)])


def test_tuned_rules_separate_separable_classes():
    # ice: NDSI .85, red / swir1 11; rock: .09, 1.4
    labelled = made_labelled()
    split = made_split(labelled)
    ndsi, ratio = tune_ndsi([labelled], split), tune_band_ratio([labelled], split)
    assert confusion(labelled.mask, mapped(ndsi, labelled.scene)).iou == 1
    # the median rounds the corner of the ice by a pixel
    assert confusion(labelled.mask, mapped(ratio, labelled.scene)).iou > 0.99
    assert 0.05 < ndsi.ndsi < 0.86 and 1.2 < ratio.ratio < 12
    assert ndsi.name != NdsiClassifier().name


@pytest.mark.parametrize("fit", [fit_gradient_boosting, fit_random_forest])
def test_trees_learn_from_training_pixels_alone(fit):
    labelled = made_labelled()
    use = np.full(labelled.scene.shape, NOTHING, dtype=np.uint8)
    use[:, ::2] = TRAINING
    lying = LabelledScene(labelled.scene, labelled.mask ^ (use != TRAINING), None, labelled.entry)
    honest = fit([labelled], made_split(labelled, use=use), seed=0)
    deceived = fit([lying], made_split(lying, use=use), seed=0)
    assert (honest.threshold, honest.temperature) == (0.5, 1.0)  # no calibration pixel, no choice
    np.testing.assert_array_equal(honest.probability(labelled.scene), deceived.probability(labelled.scene))
    assert confusion(labelled.mask, mapped(honest, labelled.scene)).iou == 1


def noisy(labelled, share=0.2):
    """The same scene with the labels of a share of its pixels turned over: no map of it can be sure."""
    turned = np.random.default_rng(5).random(labelled.mask.shape) < share
    return LabelledScene(labelled.scene, labelled.mask ^ turned, None, labelled.entry)


@pytest.mark.parametrize("fit", [fit_gradient_boosting, fit_random_forest])
def test_trees_are_calibrated_on_calibration_pixels(fit):
    labelled = noisy(made_labelled())
    split = made_split(labelled)
    fitted = fit([labelled], split, seed=0)
    pixels = split.calibration("made")
    raw = fitted.calibrated(0.5, 1.0).probability(labelled.scene)[pixels]
    truth = labelled.mask[pixels]
    assert fitted.temperature == pytest.approx(fit_temperature([raw], [truth]))
    warm = fitted.probability(labelled.scene)[pixels]
    assert fitted.threshold == best_threshold([warm], [truth])
    # p ** (1 / T) : (1 - p) ** (1 / T) is what dividing a logit by T does to the odds
    first, other = raw.astype(float) ** (1 / fitted.temperature), (1 - raw) ** (1 / fitted.temperature)
    inside = (raw > 1e-6) & (raw < 1 - 1e-6)
    np.testing.assert_allclose(warm[inside], (first / (first + other))[inside], rtol=1e-4)


def test_the_forest_is_that_of_scikit_learn_and_the_same_twice():
    labelled = made_labelled()
    split = made_split(labelled, use=np.full(labelled.scene.shape, TRAINING, dtype=np.uint8))
    first, again = (fit_random_forest([labelled], split, seed=3) for _ in range(2))
    probability = first.probability(labelled.scene)
    np.testing.assert_array_equal(probability, again.probability(labelled.scene))
    green, swir1 = labelled.scene.bands["green"], labelled.scene.bands["swir1"]
    values = np.zeros((48 * 64, len(first.feature_names)), dtype=np.float32)
    for name, column in {
        **labelled.scene.bands,
        "ndsi": (green - swir1) / (green + swir1),
        "ndwi": (green - labelled.scene.bands["nir"]) / (green + labelled.scene.bands["nir"]),
        "log_red_swir1": np.log(labelled.scene.bands["red"] / swir1),
    }.items():
        values[:, first.feature_names.index(name)] = column.ravel()
    np.testing.assert_allclose(probability.ravel(), first.model.predict_proba(values)[:, 1], atol=1e-6)
    other = fit_random_forest([noisy(labelled)], split, seed=4)
    assert (other.probability(labelled.scene) != probability).any()


def test_trees_fit_at_most_as_many_pixels_as_they_may_alike_from_each_scene(monkeypatch):
    first, second = made_labelled("first"), made_labelled("second", seed=1, shape=(96, 64))
    monkeypatch.setattr(trees, "FOREST_PIXELS", 1000)
    drawn = []
    compute = trees.compute_features
    monkeypatch.setattr(
        trees, "compute_features", lambda *given: drawn.append(len(given[0])) or compute(*given)
    )
    everything = {
        one.scene.name: np.full(one.scene.shape, TRAINING, dtype=np.uint8) for one in (first, second)
    }
    split = made_split()
    for one in (first, second):
        blocks = np.ones(one.scene.shape, dtype=np.int32)
        split.scenes[one.scene.name] = SceneSplit(everything[one.scene.name], blocks, one.scene.digest)
    fit_random_forest([first, second], split, seed=0)
    assert drawn == [500, 500]


def test_trees_map_disturbed_features():
    labelled = made_labelled()
    labelled.scene.valid[:, :7] = False
    fitted = fit_gradient_boosting([labelled], made_split(labelled), seed=0)
    seen = []

    def keep(features):
        seen.append(features)
        return features

    whole = fitted.probability(labelled.scene)
    np.testing.assert_array_equal(fitted.probability(labelled.scene, disturb=keep), whole)
    assert seen[0].shape == (48, 64, len(fitted.feature_names)) and not seen[0][:, :7].any()
    rock = fitted.probability(labelled.scene, disturb=lambda features: features * 0 + features[-1, -1])
    assert (rock[labelled.scene.valid] < 0.5).all()


def test_trees_without_a_training_pixel_are_refused():
    labelled = made_labelled()
    split = made_split(labelled, use=np.full(labelled.scene.shape, CALIBRATION, dtype=np.uint8))
    with pytest.raises(GlacierError, match="no scene has a training pixel"):
        fit_random_forest([labelled], split, seed=0)


def test_the_median_is_tuned_too():
    # glacier in single rows, which a median of 3 x 3 px wipes out: then none is the better rule
    mask = np.zeros((40, 40), dtype=bool)
    mask[::4] = True
    swir1 = np.where(mask, 0.05, 0.3)
    scene = scene_of("rows", blue=np.full((40, 40), 0.5), red=np.full((40, 40), 0.4), swir1=swir1)
    labelled = LabelledScene(scene, mask, None, CatalogEntry("rows", "rows", "there", "region", "train"))
    tuned = tune_band_ratio([labelled], made_split(labelled))
    assert tuned.median == 1 and confusion(mask, mapped(tuned, scene)).iou == 1
    assert tune_band_ratio([made_labelled()], made_split(made_labelled())).median in (1, 3)


def test_a_scene_that_validates_whole_leaves_training_to_the_others():
    first, second = made_labelled("first"), made_labelled("second", seed=1)
    held = np.full(second.scene.shape, CALIBRATION, dtype=np.uint8)
    split = made_split(first)
    split.scenes["second"] = SceneSplit(held, np.ones(held.shape, dtype=np.int32), second.scene.digest)
    assert tune_ndsi([first, second], split) == tune_ndsi([first], split)
    fitted = fit_gradient_boosting([first, second], split, seed=0)
    assert confusion(second.mask, mapped(fitted, second.scene)).iou == 1


def test_baselines_are_fitted_once_for_the_same_inputs(tmp_path, monkeypatch):
    labelled = made_labelled()
    split = made_split(labelled)
    fitted = fit_baselines([labelled], split, seed=0, cache=tmp_path)
    assert [one.name for one in fitted] == NAMES
    calls = []
    fit = baselines.fit_gradient_boosting
    monkeypatch.setattr(baselines, "fit_gradient_boosting", lambda *given: calls.append(given) or fit(*given))
    again = fit_baselines([labelled], split, seed=0, cache=tmp_path)
    assert not calls
    for one, other in zip(fitted, again, strict=True):
        np.testing.assert_array_equal(one.probability(labelled.scene), other.probability(labelled.scene))
    relabelled = LabelledScene(labelled.scene, np.roll(labelled.mask, 3), None, labelled.entry)
    fit_baselines([relabelled], split, seed=0, cache=tmp_path)
    fit_baselines([labelled], split, seed=1, cache=tmp_path)
    assert len(calls) == 2


def test_a_damaged_cache_is_refitted(tmp_path):
    labelled = made_labelled()
    split = made_split(labelled)
    fit_baselines([labelled], split, seed=0, cache=tmp_path)
    (stored,) = tmp_path.iterdir()
    whole = stored.stat().st_size
    stored.write_bytes(b"not a pickle")
    assert len(fit_baselines([labelled], split, seed=0, cache=tmp_path)) == 5
    assert stored.stat().st_size == whole


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    labelled = made_labelled()
    assert len(fit_baselines([labelled], made_split(labelled), seed=0, cache=blocked)) == 5


def test_the_cache_folder_follows_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("GLACIER_ML_CACHE", str(tmp_path))
    labelled = made_labelled()
    fit_baselines([labelled], made_split(labelled), seed=0)
    assert [path.suffix for path in (tmp_path / "baselines").iterdir()] == [".joblib"]


def test_a_missing_band_or_mask_is_one_line(tmp_path):
    with pytest.raises(GlacierError, match="made: swir1 missing"):
        NdsiClassifier().probability(scene_of(green=[0.5], nir=[0.4]))
    labelled = made_labelled()
    unlabelled = LabelledScene(labelled.scene, None, None, labelled.entry)
    with pytest.raises(GlacierError, match="made: has no outlines"):
        fit_baselines([unlabelled], made_split(labelled), seed=0, cache=tmp_path)


@pytest.mark.thorough
@pytest.mark.timeout(1800)
@pytest.mark.real_data
def test_the_stored_baselines_of_the_landsat_scenes_are_small(real_scenes, tmp_path, monkeypatch):
    from glacier_ml.learning.splits import make_split
    from glacier_ml.scenes.catalog import open_catalog

    monkeypatch.undo()  # as many trees as people get
    assert (trees.FOREST_TREES, trees.BOOSTING_ROUNDS) == (100, 150)
    scenes = [entry.load() for entry in open_catalog(real_scenes).of_role("train")]
    fitted = fit_baselines(scenes, make_split(scenes, SplitRule()), seed=0, cache=tmp_path)
    (stored,) = tmp_path.iterdir()
    assert stored.stat().st_size < 40e6
    for one in fitted[3:]:  # votes and boosted logits alike are nearly right before any temperature
        assert 0.5 < one.temperature < 2 and 0.3 < one.threshold < 0.8


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "accuracy", "iou"),
    [("columbia-2007", 0.771, 0.396), ("columbia-2009", 0.769, 0.312), ("patagonia-8", 0.768, 0.655)],
)
def test_ndsi_scores_on_the_labelled_landsat_scenes(real_scenes, name, accuracy, iou):
    from glacier_ml.scenes.catalog import open_catalog

    (entry,) = [entry for entry in open_catalog(real_scenes).entries if entry.name == name]
    labelled = entry.load()
    scored = confusion(labelled.mask, mapped(NdsiClassifier(), labelled.scene), labelled.scene.valid)
    # a nearest-neighbour mask moves by part of a pixel with the way of resampling: .002
    assert scored.accuracy == pytest.approx(accuracy, abs=0.002)
    assert scored.iou == pytest.approx(iou, abs=0.002)
