"""The command that writes a registered model as an ONNX file."""

import json
import sys

import numpy as np
import pytest
from made_networks import ffnn, untrained
from made_scenes import disc, made_scene

from glacier_ml.cli import main
from glacier_ml.studies.tracking import load_classifier

onnxruntime = pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")


def failure(capsys, *arguments):
    """What a command that is refused prints on stderr."""
    with pytest.raises(SystemExit) as ended:
        main(["export-onnx", *map(str, arguments)])
    assert ended.value.code == 2
    return capsys.readouterr().err


@pytest.fixture
def saved(tmp_path):
    """A folder that holds a classifier."""
    untrained(ffnn()).save(tmp_path / "saved")
    return tmp_path / "saved"


@pytest.mark.parametrize("name", ["unet", "ffnn"])
def test_a_registered_model_maps_the_same_in_onnx_runtime(name, beside_project, capsys):
    model, path = f"models:/glacier-{name}@champion", beside_project / "out" / "glacier.onnx"
    with pytest.raises(SystemExit) as ended:
        main(["export-onnx", "--model", model, "--output", str(path)])
    told = capsys.readouterr().out
    assert ended.value.code == 0 and [file.name for file in path.parent.iterdir()] == ["glacier.onnx"]
    assert told.startswith(f"{path}: ") and "bands blue green red nir swir1; differs from Keras by" in told
    classifier, session = load_classifier(model), onnxruntime.InferenceSession(str(path))
    read = session.get_modelmeta().custom_metadata_map
    assert (
        json.loads(read["seg_thresh"]) == classifier.threshold
        and json.loads(read["source"]) == f"{model}, version 1"
    )
    scene = made_scene("early", (256, 256), disc, nodata=9).scene
    found = session.run(None, {"reflectance": scene.stack(classifier.bands).transpose(2, 0, 1)[None]})[0][
        0, 0
    ]
    expected = classifier.probability(scene)
    assert np.nanmin(expected) < 0.2 and np.nanmax(expected) > 0.8
    np.testing.assert_allclose(found, np.nan_to_num(expected), atol=1e-4)


def test_scale_and_resolution_reach_the_file(saved, tmp_path):
    path = tmp_path / "small.onnx"
    options = ["--model", str(saved), "--output", str(path), "--scale", "10000", "--resolution", "15"]
    with pytest.raises(SystemExit):
        main(["export-onnx", *options])
    read = onnxruntime.InferenceSession(str(path)).get_modelmeta().custom_metadata_map
    assert json.loads(read["resolution"]) == 1500  # centimetres
    assert json.loads(read["standardization_std"]) == [pytest.approx(39.2157, rel=1e-5)] * 5  # 10000 / 255


def test_another_suffix_is_refused(saved, capsys):
    told = failure(capsys, "--model", saved, "--output", "glacier.tflite")
    rule = "output: glacier.tflite does not end in .onnx; name a file such as glacier-unet.onnx"
    assert told == f"glacier-ml: error: {rule}\n"


def test_a_folder_that_cannot_be_written_is_told_before_the_model_is_read(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    told = failure(capsys, "--model", "no such model", "--output", tmp_path / "file" / "glacier.onnx")
    assert "the output folder cannot be written" in told and told.count("\n") == 1


def test_the_extra_is_named_where_it_is_missing(saved, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "onnx", None)  # as if it were not installed
    told = failure(capsys, "--model", saved, "--output", tmp_path / "glacier.onnx")
    assert "pip install 'glacier_ml[onnx]'" in told and told.count("\n") == 1


def test_a_model_that_cannot_be_exported_leaves_no_file(tmp_path, capsys):
    untrained(ffnn(recipe="report"), features=3).save(tmp_path / "report")
    told = failure(capsys, "--model", tmp_path / "report", "--output", tmp_path / "out" / "glacier.onnx")
    assert "recipe: report" in told and told.count("\n") == 1 and not (tmp_path / "out").exists()
