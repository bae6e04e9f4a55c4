import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from glacier_ml.errors import GlacierError
from glacier_ml.studies import tracking
from glacier_ml.studies.tracking.runs import GENERATED_NAME, client, flatten


def tags_of(run_id):
    return client().get_run(run_id).data.tags


def status_of(run_id):
    return client().get_run(run_id).info.status


def test_a_run_is_named_tagged_and_in_the_named_experiment(store):
    with tracking.start_run("train", "training", tags={"seed": 3}) as run_id:
        assert tags_of(run_id)["state"] == "running"
        assert tracking.active_run_id() == run_id
    run = client().get_run(run_id)
    assert (run.info.run_name, run.info.status) == ("train", "FINISHED")
    assert {key: run.data.tags[key] for key in ("kind", "seed", "state")} == {
        "kind": "training",
        "seed": "3",
        "state": "complete",
    }
    assert client().get_experiment(run.info.experiment_id).name == "glacier_ml"
    assert (store / "mlflow.db").is_file()


def test_runs_nest_under_the_active_one(store):
    with tracking.start_run("study", "study") as study, tracking.start_run("trial-000", "trial") as trial:
        pass
    assert tags_of(trial)["mlflow.parentRunId"] == study
    assert "mlflow.parentRunId" not in tags_of(study)


def test_a_worker_opens_trials_under_another_run_than_its_own(store):
    with tracking.start_run("study", "study") as study:
        pass
    with tracking.start_run("worker", "worker") as worker:
        with tracking.start_run("trial-000", "trial", parent=study) as trial:
            assert tracking.active_run_id() == trial
        assert tracking.active_run_id() == worker
    assert tags_of(trial)["mlflow.parentRunId"] == study


def test_an_exception_fails_the_run_and_is_told(store):
    with pytest.raises(ValueError), tracking.start_run("train", "training") as run_id:
        raise ValueError("loss is not finite\nsecond line")
    assert status_of(run_id) == "FAILED"
    assert tags_of(run_id)["state"] == "failed"
    assert tags_of(run_id)["reason"] == "ValueError: loss is not finite"


def test_an_interrupt_kills_the_run(store):
    with pytest.raises(KeyboardInterrupt), tracking.start_run("train", "training") as run_id:
        raise KeyboardInterrupt
    assert (status_of(run_id), tags_of(run_id)["state"]) == ("KILLED", "killed")


def test_a_state_that_the_block_has_set_stays(store):
    with pytest.raises(StopIteration), tracking.start_run("trial-000", "trial") as run_id:
        tracking.set_tags({"state": "pruned"})
        raise StopIteration
    assert (status_of(run_id), tags_of(run_id)["state"]) == ("FINISHED", "pruned")
    assert "reason" not in tags_of(run_id)


def opened_by_mlflow_run(name=None):
    """Open a run as `mlflow run` does, with an entry point's parameters."""
    run = client().create_run(client().create_experiment("chosen"), run_name=name)
    client().log_param(run.info.run_id, "data", "''")
    return run.info.run_id


def test_the_run_that_mlflow_run_opened_is_taken_over_once(store, monkeypatch):
    given = opened_by_mlflow_run()
    monkeypatch.setenv("MLFLOW_RUN_ID", given)
    assert GENERATED_NAME.fullmatch(client().get_run(given).info.run_name)
    with tracking.start_run("main", "main") as run_id:
        with tracking.start_run("study", "study") as study:
            pass
    assert run_id == given
    assert client().get_run(given).info.run_name == "main"
    assert client().get_run(study).info.experiment_id == client().get_run(given).info.experiment_id
    # The one given and the one nested: no orphan.
    assert len(client().search_runs([client().get_run(given).info.experiment_id])) == 2
    assert client().get_experiment_by_name("glacier_ml") is None


def test_a_name_that_the_user_gave_is_kept(store, monkeypatch):
    given = opened_by_mlflow_run("my night run")
    monkeypatch.setenv("MLFLOW_RUN_ID", given)
    with tracking.start_run("main", "main"):
        pass
    assert client().get_run(given).info.run_name == "my night run"


def test_a_run_whose_artifacts_would_need_a_server_is_refused(store, monkeypatch):
    # What `mlflow ui` makes of the experiment Default where it makes the database.
    experiment = client().create_experiment("served", artifact_location="mlflow-artifacts:/0")
    run = client().create_run(experiment)
    monkeypatch.setenv("MLFLOW_RUN_ID", run.info.run_id)
    with pytest.raises(GlacierError, match="--experiment-name glacier_ml"), tracking.start_run("a", "b"):
        pass


def test_parameters_that_the_entry_point_has_logged_are_kept(store, monkeypatch):
    monkeypatch.setenv("MLFLOW_RUN_ID", opened_by_mlflow_run())
    with tracking.start_run("main", "main") as run_id:
        tracking.log_params({"data": "made scenes", "seed": 0})
        tracking.log_params({"data": "made scenes", "seed": 0})
        tracking.log_params({"data": "others"})  # logged thrice: neither raises nor changes anything
    assert tracking.run_parameters(run_id) == {"data": "''", "data_used": "made scenes", "seed": "0"}


def test_more_parameters_than_one_batch_takes(store):
    with tracking.start_run("main", "main") as run_id:
        tracking.log_params({f"p{number}": number for number in range(130)})
    assert len(tracking.run_parameters(run_id)) == 130


def test_flat_parameters_are_rounded():
    nested = {"rate": 1 / 3, "unet": {"levels": 5, "dropout": None}}
    assert flatten(nested) == {"rate": "0.3333", "unet.levels": "5", "unet.dropout": "None"}


def test_epochs_become_steps(store):
    with tracking.start_run("trial-000", "trial") as run_id:
        tracking.log_epochs([{"train/loss": 0.7, "val/iou": 0.4}, {"train/loss": 0.5, "val/iou": 0.6}])
        tracking.log_epochs([{"train/loss": 0.4}], first=2)
        tracking.log_metrics({"best/iou": 0.6})
    history = client().get_metric_history(run_id, "train/loss")
    assert [(metric.step, metric.value) for metric in history] == [(0, 0.7), (1, 0.5), (2, 0.4)]
    assert client().get_run(run_id).data.metrics["best/iou"] == 0.6


def test_more_epochs_than_one_batch_takes(store):
    with tracking.start_run("trial-000", "trial") as run_id:
        tracking.log_epochs([{"a": epoch, "b": epoch} for epoch in range(501)])  # 1002 values, 1000 a batch
    assert len(client().get_metric_history(run_id, "b")) == 501


def test_figures_text_and_files_become_artifacts(store):
    from matplotlib.figure import Figure
    from plotly.graph_objects import Figure as Page

    (store / "maps").mkdir()
    (store / "maps/areas.csv").write_text("scene,area_km2\n")
    with tracking.start_run("compare", "comparison") as run_id:
        tracking.log_figure(Figure(), "curve.png")
        tracking.log_figure(Page(), "study/importance.html")
        tracking.log_dict({"rate": 1e-5, "filters": [8, 16]}, "parameters.json")
        tracking.log_files(store / "maps")
        tracking.log_files(store / "maps/areas.csv", "tables")
    page = client().download_artifacts(run_id, "study/importance.html")
    # The library itself, not a link to it.
    assert "plotly.js v" in Path(page).read_text(encoding="utf-8")
    names = {item.path for folder in ("", "tables") for item in client().list_artifacts(run_id, folder)}
    assert {"curve.png", "areas.csv", "tables/areas.csv"} <= names
    assert tracking.logged_dict(run_id, "parameters.json") == {"rate": 1e-5, "filters": [8, 16]}
    with pytest.raises(GlacierError, match="has no absent.json"):
        tracking.logged_dict(run_id, "absent.json")


def test_logging_without_a_run_is_a_bug(store):
    with pytest.raises(RuntimeError, match="no run is active"):
        tracking.log_metrics({"best/iou": 0.6})


def test_a_missing_run_is_told(store):
    assert not tracking.run_exists("0" * 32)
    with pytest.raises(GlacierError, match=r"run 0{32}: not in sqlite.*mlflow ui"):
        tracking.run_parameters("0" * 32)


def test_pictures_of_one_key_are_found_in_every_run(store):
    for number in range(2):
        with tracking.start_run(f"trial-{number:03d}", "trial") as run_id:
            tracking.log_images({"maps/early": np.full((8, 6, 3), 100 * number, np.uint8)})
        # What MLflow's grid of pictures reads: the tag, then the files, whose names hold key and step.
        assert tags_of(run_id)["mlflow.loggedImages"] == "True"
        names = [Path(item.path).name for item in client().list_artifacts(run_id, "images")]
        assert [name for name in names if name.startswith("maps~early+step+0+") and name.endswith(".png")]


def test_a_classifier_travels_with_its_run(store, tiny_classifier):
    with tracking.start_run("trial-000", "trial") as run_id:
        assert tracking.run_classifier(run_id) is None
        tracking.log_classifier(tiny_classifier)
    assert tracking.run_classifier(run_id).parameters == tiny_classifier.parameters


def test_environment_tags_tell_versions():
    tags = tracking.environment_tags()
    assert tags["python"].startswith("3.")
    assert tags["tensorflow"].startswith("2.21")


def test_importing_tracking_does_not_import_mlflow():
    code = "import sys, glacier_ml.studies.tracking; sys.exit('mlflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
