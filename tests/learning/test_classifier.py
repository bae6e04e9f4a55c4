"""Classifier: any size, no data stays no data, no seams, and what a saved folder holds."""

import dataclasses
import json
import pickletools
import zipfile

import numpy as np
import pytest
from made_networks import ffnn, unet, untrained
from made_scenes import filled, made_scene, with_bands

from glacier_ml.errors import GlacierError
from glacier_ml.learning.classifier import NetworkClassifier

SIZES = [(20, 20), (21, 37), (64, 300), (255, 257), (300, 270)]


@pytest.fixture(scope="module", params=[unet, ffnn], ids=["unet", "ffnn"])
def classifier(request):
    return untrained(request.param())


@pytest.mark.parametrize("shape", SIZES)
def test_a_map_has_the_shape_of_its_scene_and_nodata_stays(classifier, shape):
    scene = made_scene("any", shape, nodata=3).scene
    probability = classifier.probability(scene)
    assert probability.shape == shape and probability.dtype == np.float32
    np.testing.assert_array_equal(np.isfinite(probability), scene.valid)
    inside = probability[scene.valid]
    assert 0 <= inside.min() < inside.max() <= 1


def test_only_wanted_pixels_are_given_and_they_are_those_of_the_whole_map(classifier):
    scene = made_scene("any", (300, 270), nodata=5).scene
    wanted = np.zeros(scene.shape, dtype=bool)
    wanted[280:, 100:] = True  # within the lower windows alone
    some, whole = classifier.probability(scene, wanted), classifier.probability(scene)
    np.testing.assert_array_equal(np.isfinite(some), wanted & scene.valid)
    # windows that hold no wanted pixel are not computed; those that do are blended as ever
    np.testing.assert_allclose(some[wanted], whole[wanted], atol=1e-6)


def test_without_a_wanted_pixel_nothing_is_computed(classifier):
    scene = made_scene("any", (40, 30)).scene
    assert np.isnan(classifier.probability(scene, np.zeros((40, 30), dtype=bool))).all()


def test_no_data_is_the_same_whatever_hides_beneath(classifier):
    scene = made_scene("any", (60, 50), nodata=10).scene
    hidden = {
        band: np.where(scene.valid, values, 0.9).astype(np.float32) for band, values in scene.bands.items()
    }
    covered = dataclasses.replace(scene, bands=hidden)
    np.testing.assert_array_equal(classifier.probability(covered), classifier.probability(scene))


@pytest.mark.parametrize("features", ["spectral", "report_ratio"])
@pytest.mark.parametrize("network", [unet, ffnn])
def test_an_array_gives_the_map_of_its_scene(network, features):
    parameters = network(features=features)
    classifier = untrained(parameters, 8 if features == "spectral" else 3)
    scene = made_scene("any", (41, 53), nodata=6).scene
    stack = np.stack([scene.bands[band] for band in classifier.bands], axis=-1)
    assert np.isnan(stack[:, -6:]).all()
    np.testing.assert_array_equal(classifier.probability_of_array(stack), classifier.probability(scene))


@pytest.mark.parametrize(
    ("change", "rule"),
    {
        "bands": (lambda stack: stack[..., :4], r"has shape \(20, 20, 4\), and .* needs float32 reflectance"),
        "one pixel": (lambda stack: stack[0, 0], r"has shape \(5,\)"),
        "DN": (lambda stack: (stack * 255).astype(np.uint8), "holds uint8, and .*convert DN to reflectance"),
        "float64": (lambda stack: stack.astype(float), r"holds float64, .*use astype\('float32'\)"),
        "DN as floats": (lambda stack: stack * 255, "holds DN, not reflectance .median 102"),
        "DN with fill": (
            lambda stack: np.where(np.arange(20)[:, None, None] < 14, np.float32(0), stack * 20_000),
            "holds DN, not reflectance .median 8000",
        ),
    }.values(),
)
def test_an_array_of_what_was_not_learned_from_is_refused(classifier, change, rule):
    with pytest.raises(GlacierError, match=f"^array: {rule}"):
        classifier.probability_of_array(change(np.full((20, 20, 5), 0.4, dtype=np.float32)))


def test_infinity_is_no_data(classifier):
    stack = np.full((20, 20, 5), 0.4, dtype=np.float32)
    stack[3, 4, 2], stack[5, 6, 0] = np.inf, -np.inf
    missing = np.isnan(classifier.probability_of_array(stack))
    assert missing[3, 4] and missing[5, 6] and missing.sum() == 2


def test_temperature_divides_the_logit(classifier):
    scene = made_scene("any", (40, 30)).scene
    warm = classifier.calibrated(0.3, 2.0)
    assert (warm.threshold, warm.temperature, classifier.temperature) == (0.3, 2.0, 1.0)
    expected = 1 / (1 + np.exp(-classifier.logit(scene) / 2))
    np.testing.assert_allclose(warm.probability(scene), expected, rtol=1e-5)
    np.testing.assert_array_equal(warm.logit(scene), classifier.logit(scene))


def test_logits_of_any_size_are_probabilities(classifier):
    sure = classifier.calibrated(0.5, 1e-6)
    probability = sure.probability(made_scene("any", (40, 30)).scene)
    assert np.isfinite(probability).all() and 0 <= probability.min() <= probability.max() <= 1


def test_a_disturbance_changes_what_the_network_is_fed_and_nothing_else(classifier):
    scene = made_scene("any", (60, 50), nodata=10).scene
    seen = []

    def darker(features):
        seen.append(features)
        return np.where(scene.valid[..., None], features * 0.5, features)

    changed = classifier.probability(scene, disturb=darker)
    assert classifier.feature_names == (
        "blue",
        "green",
        "red",
        "nir",
        "swir1",
        "ndsi",
        "ndwi",
        "log_red_swir1",
    )
    assert seen[0].shape == (60, 50, 8)  # one call, with the features of the whole scene
    np.testing.assert_array_equal(seen[0], classifier.features(scene))
    np.testing.assert_array_equal(seen[0][..., 0], np.where(scene.valid, scene.bands["blue"], 0))
    np.testing.assert_array_equal(np.isfinite(changed), scene.valid)
    whole = classifier.probability(scene)
    assert (changed[scene.valid] != whole[scene.valid]).any()
    np.testing.assert_array_equal(classifier.probability(scene, disturb=lambda features: features), whole)


def test_a_scene_without_a_needed_band_is_refused(classifier):
    scene = made_scene("dark", (40, 30), drop=("nir", "swir1")).scene
    with pytest.raises(
        GlacierError, match="dark: nir and swir1 missing; needed are blue, green, red, nir, swir1"
    ):
        classifier.probability(scene)


def test_another_kind_of_reflectance_than_was_learned_from_is_refused(classifier):
    scene = smooth_scene((40, 40))
    ground = dataclasses.replace(scene, provenance={"quantity": "surface_reflectance"})
    with pytest.raises(GlacierError, match="holds surface reflectance, and toa reflectance is needed"):
        classifier.probability(ground)
    learned = dataclasses.replace(classifier, origin={"quantity": "surface_reflectance"})
    np.testing.assert_array_equal(learned.probability(ground), classifier.probability(scene))
    with pytest.raises(GlacierError, match="holds toa reflectance, and surface reflectance is needed"):
        learned.probability(scene)


def test_the_order_of_a_scenes_bands_is_no_matter(classifier):
    scene = made_scene("any", (40, 30)).scene
    turned = dataclasses.replace(scene, bands=dict(reversed(scene.bands.items())))
    np.testing.assert_array_equal(classifier.probability(turned), classifier.probability(scene))


def smooth_scene(shape):
    """Slow waves in every band: whatever steps there are, the stitching made them."""
    rows, columns = np.indices(shape)
    wave = 0.3 + 0.1 * np.sin(rows / 23) + 0.1 * np.cos(columns / 17 + rows / 41)
    return with_bands(filled(made_scene("smooth", shape), 1.0), lambda values: values * wave).scene


def test_a_network_that_pools_by_more_than_a_window_is_refused():
    parameters = unet(levels=8, base_filters=1, filters=[1] * 10, tile_size=512)
    with pytest.raises(GlacierError, match="pools by 512 px, more than half a window's 256 px"):
        untrained(parameters).probability(made_scene("any", (40, 30)).scene)


def test_a_saved_classifier_gives_the_same_map_bit_for_bit(classifier, tmp_path):
    classifier = classifier.calibrated(0.35, 1.7)
    classifier.save(tmp_path / "model" / "deep")
    loaded = NetworkClassifier.load(tmp_path / "model" / "deep")
    scene = made_scene("any", (60, 70), nodata=4).scene
    np.testing.assert_array_equal(loaded.probability(scene), classifier.probability(scene))
    for name in ("name", "bands", "threshold", "temperature", "parameters", "origin"):
        assert getattr(loaded, name) == getattr(classifier, name)


def holds_pickle(content):
    """Whether bytes can be read to their end as one pickle."""
    try:
        return sum(1 for _ in pickletools.genops(content)) > 1
    except Exception:  # noqa: BLE001 - whatever it stumbles over, it is no pickle
        return False


def test_a_saved_folder_holds_a_keras_file_and_json_and_no_pickle(classifier, tmp_path):
    classifier.save(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"network.keras", "classifier.json"}
    with zipfile.ZipFile(tmp_path / "network.keras") as archive:
        names = set(archive.namelist())
        assert {"config.json", "model.weights.h5"} <= names
        assert not any(holds_pickle(archive.read(name)) for name in names)
    card = json.loads((tmp_path / "classifier.json").read_text())
    assert card["bands"] == list(classifier.bands)
    assert card["parameters"]["features"] == "spectral"


def test_a_folder_without_a_classifier_is_refused(tmp_path):
    with pytest.raises(GlacierError, match=f"^{tmp_path}/none: holds no classifier.json; name a folder"):
        NetworkClassifier.load(tmp_path / "none")


def spoilt(classifier, folder, **changed):
    """A saved folder whose card was changed by hand."""
    classifier.save(folder)
    card = json.loads((folder / "classifier.json").read_text())
    (folder / "classifier.json").write_text(json.dumps(card | changed))
    return folder


def test_another_format_or_parameter_is_refused(classifier, tmp_path):
    with pytest.raises(GlacierError, match=r"classifier.json: format 99 \(this version reads 1\)"):
        NetworkClassifier.load(spoilt(classifier, tmp_path / "later", format=99))
    with pytest.raises(GlacierError, match="classifier.json: network: must be one of unet, ffnn"):
        NetworkClassifier.load(spoilt(classifier, tmp_path / "strange", parameters={}))


def test_a_folder_that_was_cut_short_is_refused(classifier, tmp_path):
    classifier.save(tmp_path)
    (tmp_path / "network.keras").unlink()
    with pytest.raises(GlacierError, match="network.keras: is missing or cannot be read"):
        NetworkClassifier.load(tmp_path)
    (tmp_path / "network.keras").write_bytes(b"PK half a file")
    with pytest.raises(GlacierError, match="network.keras: is missing or cannot be read"):
        NetworkClassifier.load(tmp_path)
    (tmp_path / "classifier.json").write_text('{"format": 1,')
    with pytest.raises(GlacierError, match="classifier.json: is not valid JSON"):
        NetworkClassifier.load(tmp_path)
