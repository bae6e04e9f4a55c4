"""The ONNX file: the classifier's probabilities in ONNX Runtime, and what deepness reads and does with it."""

import json
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from made_networks import ffnn, unet, untrained

from glacier_ml.errors import GlacierError
from glacier_ml.learning import onnx_export as module
from glacier_ml.learning.classifier import NetworkClassifier
from glacier_ml.learning.features import FEATURE_SETS, compute_features, feature_set
from glacier_ml.learning.onnx_export import export_onnx, metadata
from glacier_ml.learning.onnx_graph import Graph, Tensor, add_features, add_network, has_data
from glacier_ml.learning.parameters import Activation

onnx = pytest.importorskip("onnx", reason="the extra onnx is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")

NETWORKS = {
    "unet": unet(batch_norm=True, convolutions=2, dropout=0.1),
    "unet with a head": unet(head_nodes=[6], activation="leaky_relu", levels=2),
    "ffnn": ffnn(hidden_layers=2, dropout=0.1, batch_norm=True),
    "ffnn without a hidden layer": ffnn(hidden_layers=0),
}


def trained(parameters, features=8):
    """A network none of whose weights and running means is at its start, which would hide a wrong one."""
    made = untrained(parameters, features)
    random = np.random.default_rng(5)
    weights = made.network.get_weights()
    made.network.set_weights(
        [w * random.uniform(0.5, 1.5, w.shape) + random.normal(0, 0.05, w.shape) for w in weights]
    )
    return made.calibrated(threshold=0.4, temperature=1.7)


def session_of(content):
    return onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])


def answer(session, stacks):
    """Probability (n, rows, columns) of reflectance (n, rows, columns, bands)."""
    return session.run(None, {"reflectance": np.moveaxis(stacks, -1, 1)})[0][:, 0]


def tile(bands=5, seed=1):
    """A tile of sixteen grounds, each of one reflectance in a band, and noise."""
    random = np.random.default_rng(seed)
    grounds = random.uniform(0, 0.9, (4, 4, bands)).repeat(64, axis=0).repeat(64, axis=1)
    return (grounds + random.normal(0, 0.05, grounds.shape)).astype(np.float32)


@pytest.fixture(scope="module", params=NETWORKS)
def pair(request):
    """A classifier and the session of its file."""
    classifier = trained(NETWORKS[request.param])
    return classifier, session_of(export_onnx(classifier).content)


def test_the_file_answers_as_keras_does(pair):
    classifier, session = pair
    stacks = np.stack([tile(seed=1), tile(seed=2)])
    found = answer(session, stacks)
    assert found.dtype == np.float32 and found.std() > 0.01
    for one, stack in zip(found, stacks, strict=True):
        np.testing.assert_allclose(one, classifier.probability_of_array(stack), atol=1e-5)


def test_no_data_is_0_and_its_neighbours_see_it_as_keras_does(pair):
    classifier, session = pair
    stack = tile()
    stack[10:20, 10:20, 3] = np.nan
    stack[50, 60:70, 0] = np.inf
    stack[30:40, 100:110] = 0
    known = np.isfinite(stack).all(axis=-1) & (stack != 0).any(axis=-1)
    found = answer(session, stack[None])[0]
    assert (found[~known] == 0).all() and known.sum() == 256 * 256 - 100 - 10 - 100
    np.testing.assert_allclose(found[known], classifier.probability_of_array(stack)[known], atol=1e-5)


@pytest.mark.parametrize("activation", get_args(Activation))
def test_every_activation_has_its_counterpart(activation):
    assert export_onnx(trained(ffnn(activation=activation, hidden_layers=2))).difference < 1e-5


@pytest.mark.parametrize("network", [unet, ffnn])
def test_a_saved_classifier_is_exported_as_well(network, tmp_path):
    trained(network()).save(tmp_path)
    assert export_onnx(NetworkClassifier.load(tmp_path)).difference < 1e-5


def features_session(name):
    graph = Graph()
    reflectance = Tensor(graph, "reflectance")
    bands = feature_set(name).bands
    result = add_features(reflectance, has_data(reflectance), bands, feature_set(name).features)
    given, answered = (
        onnx.helper.make_tensor_value_info(key, onnx.TensorProto.FLOAT, [1, channels, 3, 3])
        for key, channels in (("reflectance", len(bands)), (result.name, len(feature_set(name).features)))
    )
    made = onnx.helper.make_graph(graph.nodes, "features", [given], [answered], graph.constants)
    opset = [onnx.helper.make_opsetid("", module.OPSET)]
    return session_of(onnx.helper.make_model(made, opset_imports=opset, ir_version=8).SerializeToString())


# Reflectances near the floor and far from it, no data, and numbers that a sensor never gives.
REFLECTANCE = st.one_of(
    st.floats(-0.125, 1.75, width=32),
    st.sampled_from([0.0, float(np.float32(0.005)), np.nan, np.inf]),
    st.floats(-1e6, 1e6, width=32),
)


@pytest.mark.parametrize("name", FEATURE_SETS)
def test_the_features_are_the_same(name):
    session, chosen = features_session(name), feature_set(name)

    @settings(max_examples=30, deadline=None)
    @given(arrays(np.float32, (3, 3, len(chosen.bands)), elements=REFLECTANCE))
    def same(stack):
        found = session.run(None, {"reflectance": stack.transpose(2, 0, 1)[None]})[0][0].transpose(1, 2, 0)
        np.testing.assert_allclose(found, compute_features(stack, chosen.bands, chosen), rtol=1e-5, atol=1e-6)

    same()


def test_the_file_says_what_deepness_reads():
    classifier = trained(NETWORKS["ffnn"])
    session = session_of(export_onnx(classifier, source="models:/glacier-ffnn/3").content)
    (given,), (answered,) = session.get_inputs(), session.get_outputs()
    assert given.shape == ["batch", 5, 256, 256] and answered.shape == ["batch", 1, 256, 256]
    read = {key: json.loads(value) for key, value in session.get_modelmeta().custom_metadata_map.items()}
    assert read == {
        "model_type": "Segmentor",
        "class_names": {"0": "background", "1": "glacier"},
        "resolution": 3000,  # centimetres: Landsat's 30 m
        "tile_size": 256,
        "tiles_size": 256,
        "tiles_overlap": 25,  # percent: 64 of 256 px
        "seg_thresh": 0.4,
        "seg_small_segment": 0,
        "standardization_mean": [0, 0, 0, 0, 0],
        "standardization_std": [pytest.approx(0.00392157)] * 5,  # 1 / 255
        "bands": ["blue", "green", "red", "nir", "swir1"],
        "quantity": "toa_reflectance",
        "features": list(FEATURE_SETS["spectral"]),
        "source": "models:/glacier-ffnn/3",
        "run_id": "",
        "digest": classifier.digest,
    }


def test_a_flag_of_saturation_is_not_scaled():
    classifier = trained(ffnn(features="spectral_saturation"), 9)
    described = {key: json.loads(value) for key, value in metadata(classifier, 10_000).items()}
    # (value / 255 - 0) / std is the value over the scale of its layer: reflectance x 10,000, or 0 and 1.
    assert list(described["bands"])[-1] == "blue_saturated"
    assert described["standardization_std"] == pytest.approx([10_000 / 255] * 5 + [1 / 255])


@pytest.mark.parametrize(("scale", "kind"), [(1, np.float32), (10_000, np.int16)])
def test_what_deepness_feeds_becomes_the_classifiers_mask(pair, scale, kind):
    # Deepness: value / 255, less the mean, by the standard deviation; glacier unless below the threshold.
    classifier, session = pair
    layer = np.round(tile() * scale).astype(kind) if kind is np.int16 else tile()
    layer[:5] = 0  # beyond the raster deepness pads with 0
    described = {key: json.loads(value) for key, value in metadata(classifier, scale).items()}
    mean, deviation = (np.float32(described[f"standardization_{part}"]) for part in ("mean", "std"))
    fed = (np.float32(layer * 1.0 / 255.0) - mean) / deviation
    found = answer(session, fed[None])[0] >= described["seg_thresh"]
    probability = classifier.probability_of_array(np.float32(layer / scale))
    wanted = (probability >= classifier.threshold) & (layer != 0).any(axis=-1)
    sure = np.abs(probability - classifier.threshold) > 1e-4
    np.testing.assert_array_equal(found[sure], wanted[sure])
    assert sure.mean() > 0.99 and not found[:5].any() and 0.01 < found.mean() < 0.99


def test_a_file_that_differs_from_keras_is_refused(monkeypatch):
    classifier = trained(ffnn())
    monkeypatch.setattr(module, "add_features", lambda *given: add_features(*given) * 1.01)
    with pytest.raises(
        GlacierError, match=r"^ffnn: the file's probabilities differ from Keras's by .*e-0\d, more"
    ):
        export_onnx(classifier)


@pytest.mark.parametrize(
    ("parameters", "told"),
    [
        (ffnn(recipe="report"), "scaled by the least and the largest of the whole image"),
        (unet(precision="mixed_float16"), "computes in mixed_float16"),
        (unet(levels=8, filters=[2] * 10, tile_size=512), "pools by 512, more than a tile's 256 px"),
    ],
)
def test_what_cannot_be_exported_is_told_in_a_line(parameters, told):
    with pytest.raises(GlacierError, match=told) as refused:
        export_onnx(NetworkClassifier(parameters.network, None, parameters))
    assert "\n" not in str(refused.value)


def test_a_layer_without_counterpart_is_named():
    from keras import Input, Model, layers

    inputs = Input((None, None, 8))
    network = Model(inputs, layers.UnitNormalization(name="odd")(inputs))
    with pytest.raises(GlacierError, match="layer odd: UnitNormalization cannot be exported"):
        add_network(network, Tensor(Graph(), "features"))


def test_a_function_without_counterpart_is_named():
    with pytest.raises(TypeError, match="arctan"):
        np.arctan(Tensor(Graph(), "reflectance"))
