"""The race of a mapped frame: what its peers are, and what is read off."""

import numpy as np
import pytest
import rasterio
from affine import Affine
from made_networks import ffnn, unet, untrained
from made_scenes import made_scene

from benchmarks import prediction
from benchmarks.growth_inputs import mirrored, write_large_scene
from benchmarks.prediction import agreement, flops_a_pixel, ours, quickest
from benchmarks.tables import Table


def test_a_frame_is_the_scene_mirrored_to_and_fro():
    assert mirrored(3, 8).tolist() == [0, 1, 2, 2, 1, 0, 0, 1]


def test_each_round_maps_anew(tmp_path):
    untrained(ffnn()).save(tmp_path / "model")
    scene = write_large_scene(made_scene().scene, (300, 310), tmp_path / "frame")
    mapped = []
    for _ in range(2):
        assert ours(str(tmp_path / "model"), str(scene), str(tmp_path / "maps"))["s"] > 0
        mapped.append((tmp_path / "maps" / "frame_probability.tif").stat())
    assert mapped[0].st_mtime_ns < mapped[1].st_mtime_ns  # else the first round's map would have stayed


@pytest.mark.parametrize("parameters", [unet(levels=3, base_filters=4, convolutions=2), ffnn()])
def test_operations_are_those_of_the_kernels(parameters):
    side = 64
    network, pixels = untrained(parameters).network, side**2
    scale = {id(network.input): 1.0}  # pixels of a layer for one of the input
    total = 0.0
    for layer in network.layers[1:]:
        given = layer.input[0] if isinstance(layer.input, list) else layer.input
        scale[id(layer.output)] = scale[id(given)]
        kind = type(layer).__name__
        if kind == "MaxPooling2D":
            scale[id(layer.output)] /= 4
        elif kind == "Conv2DTranspose":  # a kernel of 2 x 2 for each pixel of its input
            total += 2 * np.prod(layer.get_weights()[0].shape) * scale[id(given)] * pixels
            scale[id(layer.output)] *= 4
        elif kind in ("Conv2D", "Dense"):
            total += 2 * np.prod(layer.get_weights()[0].shape) * scale[id(given)] * pixels
    assert flops_a_pixel(parameters) == pytest.approx(total / pixels)


def raster(path, values):
    options = {"driver": "GTiff", "dtype": "float32", "count": 1, "crs": "EPSG:32606", "nodata": np.nan}
    rows, columns = values.shape
    with rasterio.open(
        path, "w", height=rows, width=columns, transform=Affine(30, 0, 0, 0, -30, 0), **options
    ) as file:
        file.write(values.astype(np.float32), 1)
    return path


def test_maps_agree_as_far_as_their_values_and_where_they_have_data(tmp_path):
    values = np.random.default_rng(0).random((700, 5))
    values[600:, 2] = np.nan
    one = raster(tmp_path / "one.tif", values)
    values[650, 0] += 0.25
    assert agreement(one, raster(tmp_path / "two.tif", values)) == pytest.approx(0.25, abs=1e-6)
    values[3, 3] = np.nan
    assert np.isnan(agreement(one, raster(tmp_path / "three.tif", values)))


def test_the_quickest_of_the_rounds_counts_and_what_fails_is_noted_once(monkeypatch):
    answers = {"a": iter([{"s": 3.0}, {"s": 2.0}]), "b": iter([{"MP/s": 3.0}, {"MP/s": 2.0}])}

    def asked(module, function, *arguments):
        if function == "c":
            raise RuntimeError("no compiler")
        return next(answers[function]), 7

    monkeypatch.setattr(prediction, "asked", asked)
    table = Table()
    found = quickest({name: ("here", name, ()) for name in "abc"}, 2, table)
    assert found == {"a": ({"s": 2.0}, 7), "b": ({"MP/s": 3.0}, 7)}
    assert table.notes == ["c: left out: no compiler"]


@pytest.mark.parametrize("kind", ["unet", "ffnn"])
def test_the_peer_is_the_same_network(kind, tmp_path):
    torch = pytest.importorskip("torch")
    from benchmarks.torch_mapping import fused, network_of
    from glacier_ml.learning.classifier import NetworkClassifier

    prediction.make_model(kind, str(tmp_path))
    shape = (2, 32, 64, 8) if kind == "unet" else (50, 8)
    values = np.random.default_rng(0).random(shape, np.float32)
    peer = network_of(kind, tmp_path / "weights.npz")
    given = torch.from_numpy(np.moveaxis(values, -1, 1).copy())
    with torch.inference_mode():
        logit = (fused(peer) if kind == "unet" else peer)(given).numpy()
    expected = NetworkClassifier.load(tmp_path).network_logit(values)
    assert expected.std() > 0.1
    np.testing.assert_allclose(logit, expected, atol=1e-4)
