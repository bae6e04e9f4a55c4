"""Stitching: where windows begin, what a halo keeps out, what a blend leaves of their borders."""

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_networks import ffnn, unet, untrained
from made_scenes import filled, made_scene, with_bands

from glacier_ml.errors import GlacierError
from glacier_ml.learning import stitching as module
from glacier_ml.learning.networks import receptive_radius
from glacier_ml.learning.stitching import CORE, OVERLAP, WINDOW, Stitching, stitched_rows
from glacier_ml.learning.tiles import SYMMETRIES, reflect_to, transform_d4, undo_d4

HALO = Stitching("halo")


def waves(shape):
    """Slow waves in every band: whatever steps there are, the stitching made them."""
    rows, columns = np.indices(shape)
    wave = 0.3 + 0.1 * np.sin(rows / 23) + 0.1 * np.cos(columns / 17 + rows / 41)
    return with_bands(filled(made_scene("smooth", shape), 1.0), lambda values: values * wave).scene


def mapped(classifier, scene, stitching=None):
    """The map of a scene, read strip by strip."""
    pieces = list(classifier.probability_rows(scene.rows, scene.shape, stitching or Stitching()))
    starts = [row for row, _ in pieces]
    assert starts == np.cumsum([0, *(len(piece) for _, piece in pieces)])[:-1].tolist()
    return np.concatenate([piece for _, piece in pieces])


def one_pass(classifier, scene):
    """The network over the whole scene at once, reflected up to a multiple of its stride."""
    stride = classifier.parameters.stride
    rows, columns = (-(-length // stride) * stride for length in scene.shape)
    features = reflect_to(classifier.features(scene), rows, columns)
    logit = classifier.network_logit(features[None])[0, : scene.shape[0], : scene.shape[1]]
    return np.where(scene.valid, 1 / (1 + np.exp(-logit.astype(np.float64))), np.nan)


@pytest.fixture(scope="module")
def deep():
    """A U-Net of four levels, which sees 51 px around a pixel."""
    return untrained(unet(levels=4, base_filters=4, convolutions=2))


@pytest.mark.parametrize("shape", [(530, 290), (700, 301), (20, 20), (37, 411), (256, 512), (257, 100)])
def test_with_a_halo_the_map_is_that_of_one_pass_over_the_whole(deep, shape):
    scene = made_scene("any", shape, nodata=3).scene
    np.testing.assert_allclose(mapped(deep, scene, HALO), one_pass(deep, scene), atol=1e-5, rtol=0)


def test_a_halo_that_is_too_small_would_be_seen(deep, monkeypatch):
    from glacier_ml.learning import classifier

    monkeypatch.setattr(classifier, "receptive_radius", lambda parameters: 8)
    scene = made_scene("any", (530, 290)).scene
    assert np.abs(mapped(deep, scene, HALO) - one_pass(deep, scene)).max() > 1e-4


@pytest.mark.parametrize("levels, convolutions", [(2, 1), (3, 1), (3, 2)])
def test_a_network_sees_as_far_as_its_radius_and_no_farther(levels, convolutions):
    import tensorflow as tf

    parameters = unet(levels=levels, convolutions=convolutions, activation="tanh")
    network, stride = untrained(parameters).network, parameters.stride
    radius = receptive_radius(parameters)
    side = 2 * (radius // stride + 2) * stride
    features = tf.Variable(np.random.default_rng(0).random((1, side, side, 8), np.float32))
    reached = 0
    for pixel in range(side // 2, side // 2 + stride):
        with tf.GradientTape() as tape:
            logit = network(features, training=False)[0, pixel, pixel, 0]
        swayed = np.abs(tape.gradient(logit, features).numpy()[0]).sum(axis=-1)
        for axis in (0, 1):
            places = np.flatnonzero(swayed.any(axis=axis))
            reached = max(reached, pixel - places[0], places[-1] - pixel)
    assert reached == radius


@pytest.mark.parametrize("stitching", [Stitching(), HALO])
@pytest.mark.parametrize("stride", [4, 16, 32, 128])
def test_windows_start_at_multiples_of_the_pooling_stride(stitching, stride):
    shape, starts = (600, 470), []
    row, column = np.indices(shape, dtype=np.float32)
    places = np.stack([row, column, np.zeros(shape, np.float32)], axis=-1)

    def network(batch):
        starts.extend((int(one[0, 0, 0]), int(one[0, 0, 1])) for one in batch)
        assert batch.shape[1] % stride == 0 and batch.shape[2] % stride == 0
        return batch[..., 0] * 1000 + batch[..., 1]

    def read(first, last):
        return places[first:last], np.ones((last - first, shape[1]), bool)

    pieces = [piece for _, piece in stitched_rows(network, read, shape, stitching, stride, 50)]
    assert len(starts) > 4 and all(row % stride == column % stride == 0 for row, column in starts)
    # Inside, where nothing is reflected, every window says where a pixel lies.
    np.testing.assert_allclose(np.concatenate(pieces), row * 1000 + column, rtol=1e-5)


def steps(probability):
    """Absolute steps from each row to the next, and from each column to the next as rows."""
    return [np.abs(np.diff(probability, axis=0)), np.abs(np.diff(probability, axis=1)).T]


def seams(probability, overlap=OVERLAP):
    """Mean step across the windows' borders over the mean elsewhere; the largest there, and elsewhere."""
    ratios, largest, elsewhere = [], 0.0, 0.0
    for found in steps(probability):
        length = len(found) + 1
        origins = range(0, length, WINDOW - overlap)
        borders = {edge for origin in origins for edge in (origin, origin + WINDOW)}
        at = np.isin(np.arange(1, length), sorted(borders))
        ratios.append(np.nanmean(found[at]) / np.nanmean(found[~at]))
        largest, elsewhere = max(largest, np.nanmax(found[at])), max(elsewhere, np.nanmax(found[~at]))
    return max(ratios), largest, elsewhere


def test_the_default_blend_leaves_no_seam_where_windows_meet(monkeypatch):
    classifier, scene = untrained(unet(levels=4, base_filters=8, convolutions=2)), waves((470, 500))
    ratio, largest, elsewhere = seams(mapped(classifier, scene))
    assert ratio <= 1.1 and largest <= elsewhere
    # the measure does see seams: without overlap they are there
    monkeypatch.setattr(module, "OVERLAP", 0)
    ratio, largest, elsewhere = seams(mapped(classifier, scene), overlap=0)
    assert ratio > 1.3


def test_where_windows_meet_the_map_is_as_smooth_as_that_of_one_pass(deep):
    # Pooling leaves steps of its own every 2, 4 and 8 px, on which all borders lie: the same rows and columns
    # of a map without windows say how large they are.
    scene = made_scene("any", (460, 470), seed=5).scene
    blended, whole = mapped(deep, scene), mapped(deep, scene, HALO)
    for found, control in zip(steps(blended), steps(whole), strict=True):
        at = np.isin(np.arange(1, len(found) + 1), [192, 256, 384, 448])
        assert found[at].mean() <= 1.1 * control[at].mean()


@pytest.mark.parametrize("network", [unet, ffnn])
@pytest.mark.parametrize("shape", [(20, 20), (21, 403), (300, 33), (449, 450)])
def test_strip_by_strip_the_map_is_that_of_the_whole_scene(network, shape):
    classifier = untrained(network())
    scene = made_scene("any", shape, nodata=4).scene
    expected = classifier.probability(scene)
    np.testing.assert_allclose(mapped(classifier, scene), expected, atol=1e-6, rtol=0)
    assert (np.isnan(expected) == ~scene.valid).all()


def test_a_scene_smaller_than_a_window_is_reflected_and_the_reflection_is_not_in_the_map(deep):
    scene = made_scene("small", (50, 70)).scene
    window = reflect_to(deep.features(scene), WINDOW, WINDOW)
    logit = deep.fixed.network_logit(window[None])[0, :50, :70]  # by the kernels that map
    np.testing.assert_allclose(mapped(deep, scene), 1 / (1 + np.exp(-logit)), atol=1e-6)


@settings(deadline=None, max_examples=8)
@given(st.integers(0, 7))
def test_a_symmetric_map_turns_with_its_scene(symmetry):
    classifier = untrained(unet())
    features = np.random.default_rng(1).random((256, 256, 8), dtype=np.float32)
    turned = np.ascontiguousarray(transform_d4(features, symmetry))

    def answer(image):
        wanted = np.ones(image.shape[:2], bool)
        read = lambda first, last: (image[first:last], wanted[first:last])  # noqa: E731
        options = Stitching(symmetric=True)
        rows = stitched_rows(classifier.network_logit, read, image.shape[:2], options, 4, 13)
        return np.concatenate([piece for _, piece in rows])[:, :, None]

    np.testing.assert_allclose(undo_d4(answer(turned), symmetry), answer(features), atol=1e-4)


@given(st.integers(0, SYMMETRIES - 1))
def test_every_symmetry_is_undone(symmetry):
    image = np.arange(2 * 3 * 5).reshape(2, 3, 5, 1)  # not square, either
    np.testing.assert_array_equal(undo_d4(transform_d4(image, symmetry), symmetry), image)


def test_a_symmetric_map_is_the_mean_over_the_eight_images_worked_by_hand():
    # A network that answers a pixel's right neighbour: averaged over turns and mirrors, each of the four
    # neighbours comes twice.
    def network(batch):
        return np.roll(batch[..., 0], -1, axis=2)

    image = np.zeros((WINDOW, WINDOW, 1), np.float32)
    image[100, 100] = 8.0
    read = lambda first, last: (image[first:last], np.ones((last - first, WINDOW), bool))  # noqa: E731
    (_, answer), *rest = stitched_rows(network, read, (WINDOW, WINDOW), Stitching(symmetric=True), 4, 1)
    found = {(int(r), int(c)): float(answer[r, c]) for r, c in np.argwhere(answer)}
    assert found == {(99, 100): 2.0, (101, 100): 2.0, (100, 99): 2.0, (100, 101): 2.0} and not rest


def test_an_unknown_blend_is_refused():
    with pytest.raises(GlacierError, match="blend: 'cubic' is not known; choose smooth or halo"):
        Stitching("cubic")


def test_a_network_that_sees_too_far_is_refused_a_halo():
    classifier = untrained(unet(levels=8, base_filters=1, filters=[1] * 8, tile_size=128, convolutions=2))
    with pytest.raises(GlacierError, match="blend: halo: the network sees .* px around a pixel, .*smooth"):
        mapped(classifier, waves((40, 40)), HALO)


def test_what_is_kept_of_a_window_with_a_halo_is_a_multiple_of_every_stride():
    assert CORE % 128 == 0


def test_the_network_maps_two_batches_at_once():
    # 8 windows of 256 px every 192 px are 1600 px: two batches of four, each of which waits for the other.
    together = threading.Barrier(2, timeout=60)

    def network(batch):
        together.wait()
        return batch[..., 0]

    def read(first, last):
        rows, columns = np.mgrid[first:last, 0:1600]
        return (rows + columns)[..., None].astype(np.float32), np.ones(rows.shape, bool)

    ((row, logit),) = stitched_rows(network, read, (WINDOW, 1600), Stitching(), stride=16, radius=0)
    assert row == 0 and not together.broken
    np.testing.assert_allclose(logit, np.add.outer(np.arange(WINDOW), np.arange(1600)), rtol=1e-5)
