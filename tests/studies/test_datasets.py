"""Scenes as inputs of runs: found again by digest, told where they lie and never by what password."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from made_scenes import disc, made_scene, valley

from glacier_ml.scenes.catalog import dataset_digest
from glacier_ml.studies import tracking
from glacier_ml.studies.tracking.datasets import dataset_name, scene_date
from glacier_ml.studies.tracking.runs import client

SIGNED = "https://me:hush42@example.org/scenes/fjord.tif?X-Signature=abc123"


@pytest.fixture(scope="module")
def scenes():
    """A scene in a folder and one behind a signed address."""
    near = made_scene("cape", (100, 80), disc, nodata=20)
    far = made_scene("fjord", (60, 80), valley, seed=1)
    dates = {"date": None, "date_bands": {"swir1": "2007-09-17", "nir": "2007-09-17", "red": "2007-09-01"}}
    near = replace(near, scene=replace(near.scene, provenance=dates))
    return [near, replace(far, entry=replace(far.entry, path=SIGNED))]


def logged(scenes, context, **options):
    """Datasets of a run that has logged these scenes, by name; and the run."""
    with tracking.start_run("train", "train") as run_id:
        tracking.log_scenes(scenes, context, Path("shelf/catalog.yaml"), **options)
    run = client().get_run(run_id)
    inputs = run.inputs.dataset_inputs
    assert {tag.value for one in inputs for tag in one.tags if tag.key == "mlflow.data.context"} == {context}
    return {one.dataset.name: one.dataset for one in inputs}, run


def test_scenes_are_logged_as_one_dataset_and_each(store, scenes):
    found, run = logged(scenes, "training")
    digest = dataset_digest(scenes)
    assert {name: one.digest for name, one in found.items()} == {
        "cape, fjord": digest[:12],
        "cape": scenes[0].scene.digest[:12],
        "fjord": scenes[1].scene.digest[:12],
    }
    where = [run.info.experiment_id]
    for one in (digest, scenes[1].scene.digest):
        runs = client().search_runs(where, f"dataset.digest = '{one[:12]}' and dataset.context = 'training'")
        assert [each.info.run_id for each in runs] == [run.info.run_id]
    assert client().search_runs(where, "dataset.context = 'test'") == []


def test_a_dataset_tells_what_it_is(store, scenes):
    found, _ = logged(scenes, "test")
    cape = json.loads(found["cape"].profile)
    # 100 rows of 80 columns, the right 20 without data.
    assert (cape["rows"], cape["columns"], cape["valid_pixels"]) == (100, 80, 6000)
    assert cape["date"] == "2007-09-17/2007-09-01" and cape["place"] == "cape"
    assert cape["sha256"] == scenes[0].scene.digest
    mask = scenes[0].mask[:, :60]
    assert cape["glacier_percent"] == round(100 * mask.mean(), 1)
    columns = json.loads(found["cape"].schema)["mlflow_colspec"]
    assert [one["name"] for one in columns] == ["blue", "green", "red", "nir", "swir1", "glacier"]
    both = json.loads(found["cape, fjord"].profile)
    assert (both["scenes"], both["valid_pixels"]) == (2, 6000 + 60 * 80)
    assert json.loads(found["cape, fjord"].source) == {"uri": str(Path("shelf/catalog.yaml").resolve())}
    # Metadata, never pixels: the 24,000 values of a scene would take far more.
    assert all(len(one.profile) + len(one.schema) + len(one.source) < 1500 for one in found.values())


def test_no_secret_of_an_address_is_written_down(store, scenes):
    found, _ = logged(scenes, "training")
    assert (found["fjord"].source_type, json.loads(found["fjord"].source)) == (
        "http",
        {"url": "https://example.org/scenes/fjord.tif"},
    )
    database = (store / "mlflow.db").read_bytes()
    assert b"example.org" in database
    assert b"hush42" not in database and b"abc123" not in database


def test_logging_again_adds_nothing(store, scenes):
    with tracking.start_run("train", "train") as run_id:
        for each in (True, False):
            tracking.log_scenes(scenes, "training", "s3://bucket/scenes/", dataset_digest(scenes), each)
    inputs = client().get_run(run_id).inputs.dataset_inputs
    assert len(inputs) == 3
    assert {one.dataset.source_type for one in inputs} == {"s3", "local", "http"}


def test_another_process_may_be_quicker(store, scenes, monkeypatch):
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    log, calls = MlflowClient.log_inputs, []

    def late(*given, **named):
        calls.append(given)
        if len(calls) == 1:
            raise MlflowException("UNIQUE constraint failed: datasets.experiment_id, datasets.name")
        log(*given, **named)

    monkeypatch.setattr(MlflowClient, "log_inputs", late)
    found, _ = logged(scenes, "training", each=False)
    assert list(found) == ["cape, fjord"] and len(calls) == 2


def test_names_stay_short():
    many = [made_scene(f"s{number}", (20, 20)) for number in range(5)]
    assert dataset_name(many[:3]) == "s0, s1, s2" and dataset_name(many) == "s0, s1, s2 and 2 more"
    assert scene_date(many[0]) == ""
