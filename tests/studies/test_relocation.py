"""A moved tracking folder is mended: every file is found again, and nothing else is touched."""

import os
import re
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from test_cli import run

from glacier_ml.errors import GlacierError
from glacier_ml.studies import tracking
from glacier_ml.studies.tracking.relocation import (
    DATABASE,
    PLACES,
    SCHEMA,
    local_path,
    relocate,
    written_like,
)
from glacier_ml.studies.tracking.runs import client

# Columns whose names sound like places and that hold none of artifacts.
OTHERS = {
    ("registered_models", "source"),
    ("runs", "source_type"),
    ("runs", "source_name"),
    ("runs", "source_version"),
    ("webhooks", "url"),
    ("mcp_access_endpoints", "url"),
    ("mcp_server_versions", "source"),
    ("evaluation_dataset_records", "source"),
    ("datasets", "dataset_source"),  # where data came from, as it was when it was used
    ("datasets", "dataset_source_type"),
    ("issues", "root_causes"),
}


@pytest.fixture
def old(store, monkeypatch, empty_database):
    """A folder in which a run logged a file, another none, and a third registered nothing."""
    folder = store / "old"
    folder.mkdir()
    shutil.copy(empty_database, folder / DATABASE)
    at_work_in(folder, monkeypatch)
    with tracking.start_run("train", "train"):
        tracking.log_dict({"found": True}, "notes.json")
    with tracking.start_run("empty", "train"):
        pass
    return folder


def at_work_in(folder, monkeypatch):
    monkeypatch.chdir(folder)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder / DATABASE}")


def moved(old, name, monkeypatch):
    new = old.parent / name
    old.rename(new)
    at_work_in(new, monkeypatch)
    return new


def run_of(name):
    experiment = client().get_experiment_by_name("glacier_ml").experiment_id
    return client().search_runs([experiment], f"attributes.run_name = '{name}'")[0].info


def dump(folder):
    with sqlite3.connect(folder / DATABASE) as database:
        return list(database.iterdump())


def execute(folder, *statements):
    database = sqlite3.connect(folder / DATABASE)
    with database:
        for statement in statements:
            database.execute(statement)
    database.close()


@pytest.mark.parametrize("name", ["new", "größer, 50% neu"])
def test_files_are_found_and_new_runs_go_to_the_new_place(old, monkeypatch, name):
    new = moved(old, name, monkeypatch)
    with pytest.raises(GlacierError, match="has no notes.json"):
        tracking.logged_dict(run_of("train").run_id, "notes.json")
    before = dump(new)
    expected = {"experiments.artifact_location": 1, "runs.artifact_uri": 2}
    assert relocate(new, dry_run=True).changed == expected and dump(new) == before
    told = relocate(new)
    assert (told.changed, told.roots) == (expected, [old])
    assert tracking.logged_dict(run_of("train").run_id, "notes.json") == {"found": True}
    with tracking.start_run("after", "train") as run_id:  # below its experiment's place
        tracking.log_text("new", "after.txt")
    assert (new / "mlruns/1" / run_id / "artifacts/after.txt").read_text() == "new"
    assert not old.exists()
    assert relocate(new).changed == {}


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1), min_size=1))
@example(["a%20b"])
@example(["100%", "#1?", "ü ;"])
def test_mlflow_reads_the_path_that_was_meant(names):
    from mlflow.utils.file_utils import local_file_uri_to_path

    path = Path("/", *names)
    for old in ("/old/mlruns/1", "file:///old/mlruns/1"):
        text = written_like(old, path)
        assert Path(local_file_uri_to_path(text)) == local_path(text) == path
        assert text.startswith("file:") is old.startswith("file:")


def test_moved_back_and_relocated_it_is_as_it_was(old, monkeypatch):
    before = dump(old)
    new = moved(old, "new", monkeypatch)
    relocate(new)
    assert dump(new) != before
    relocate(moved(new, "old", monkeypatch))
    assert dump(old) == before


def test_every_kind_of_place_is_rewritten_and_addresses_never(old, monkeypatch):
    # Row ids and texts as MLflow writes them; old style model versions name a path as their source.
    below = f"{old}/mlruns/1"
    (old / "mlruns/1/models/m-1/artifacts").mkdir(parents=True)
    (old / "mlruns/1/traces/tr-1/artifacts").mkdir(parents=True)
    served = "mlflow-artifacts:/1/models/m-2/artifacts"
    execute(
        old,
        "UPDATE runs SET artifact_uri = 'file://' || artifact_uri WHERE name = 'train'",
        "INSERT INTO logged_models (model_id, experiment_id, name, creation_timestamp_ms, "
        "last_updated_timestamp_ms, status, artifact_location) VALUES "
        f"('m-1', 1, 'm', 0, 0, 2, '{below}/models/m-1/artifacts'), ('m-2', 1, 'm', 0, 0, 2, '{served}')",
        "INSERT INTO registered_models (name, workspace) VALUES ('glacier-ffnn', 'default')",
        f"INSERT INTO model_versions (name, version, source, storage_location, workspace) VALUES "
        f"('glacier-ffnn', 1, 'models:/m-1', '{below}/models/m-1/artifacts', 'default'), "
        f"('glacier-ffnn', 2, '{below}/models/m-1/artifacts', 's3://bucket/m-1', 'default')",
        "INSERT INTO trace_info (request_id, experiment_id, timestamp_ms, status) VALUES ('tr-1', 1, 0, '')",
        "INSERT INTO trace_tags (key, value, request_id) VALUES "
        f"('mlflow.artifactLocation', '{below}/traces/tr-1/artifacts', 'tr-1'), "
        f"('note', '{below}/traces/tr-1/artifacts', 'tr-1')",
        f"UPDATE workspaces SET default_artifact_root = '{old}/mlruns', trace_archival_location = 's3://b/c'",
    )
    new = moved(old, "a new place", monkeypatch)
    told = relocate(new)
    assert told.changed == {
        "experiments.artifact_location": 1,
        "runs.artifact_uri": 2,
        "logged_models.artifact_location": 1,
        "model_versions.storage_location": 1,
        "model_versions.source": 1,
        "trace_tags.value": 1,
        "workspaces.default_artifact_root": 1,
    }
    assert told.left["on a server"] == [served, "s3://bucket/m-1", "s3://b/c"]
    # Left are a tag of the user's own, and the experiment Default of the database that was copied here.
    assert [line for line in dump(new) if str(old) in line and "'note'" not in line] == []
    assert tracking.logged_dict(run_of("train").run_id, "notes.json") == {"found": True}
    assert run_of("train").artifact_uri.startswith(f"file://{old.parent}/a%20new%20place/mlruns/1/")


def test_a_copy_keeps_to_the_old_place_while_that_is_there(old, monkeypatch):
    copy = old.parent / "copy"
    shutil.copytree(old, copy)
    before = dump(copy)
    told = relocate(copy)
    assert told.changed == {} and dump(copy) == before
    assert told.left["still at the old place"][0] == f"{old}/mlruns/1"
    assert any(
        re.match(r"left, still at the old place: 2 \(such as .*/old/mlruns/1\)", one) for one in told.lines
    )


def test_what_is_in_neither_place_is_left_and_told(old, monkeypatch):
    shutil.rmtree(old / "mlruns")
    new = moved(old, "new", monkeypatch)
    told = relocate(new)
    assert told.changed == {}
    assert len(told.left["neither at the old place nor below the folder"]) == 4  # with Default's


def test_a_folder_that_never_moved_has_nothing_to_mend(old):
    execute(old, "DELETE FROM experiments WHERE experiment_id = 0")  # the copied database's
    assert relocate(old).lines == ["every place is where the database says"]


def test_either_all_is_rewritten_or_nothing(old, monkeypatch):
    new = moved(old, "new", monkeypatch)
    execute(new, "CREATE TRIGGER full BEFORE UPDATE ON runs BEGIN SELECT RAISE(ABORT, 'disk is full'); END")
    before = dump(new)
    with pytest.raises(GlacierError, match="disk is full.; nothing was changed"):
        relocate(new)
    assert dump(new) == before


def empty(folder):
    (folder / DATABASE).write_bytes(b"")


def no_database(folder):
    (folder / DATABASE).write_text("something else " * 100)


def another_s(folder):
    (folder / DATABASE).unlink()
    execute(folder, "CREATE TABLE studies (study_id INTEGER)")


def another_schema(folder):
    execute(folder, "UPDATE alembic_version SET version_num = '0123456789ab'")


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (
            lambda folder: (folder / DATABASE).unlink(),
            "holds no mlflow.db; name the folder that mlflow ran in",
        ),
        (empty, "is no database of MLflow"),
        (no_database, "cannot be read as MLflow's database .file is not a database."),
        (another_s, "is no database of MLflow"),
        (another_schema, "has MLflow's schema 0123456789ab, known is .* `mlflow db upgrade sqlite:///"),
    ],
    ids=["none", "empty", "no database", "another's", "another schema"],
)
@pytest.mark.parametrize("options", [[], ["--dry-run"]])
def test_what_is_no_tracking_folder_gets_one_line(old, capsys, spoil, told, options):
    spoil(old)
    before = {path: path.read_bytes() for path in old.rglob("*") if path.is_file()}
    assert run("relocate", "--folder", old, *options) == 2
    error = capsys.readouterr().err
    assert re.search(told, error) and error.count("\n") == 1 and str(old) in error
    assert {path: path.read_bytes() for path in old.rglob("*") if path.is_file()} == before


def test_a_database_at_work_is_left_alone(old, monkeypatch, capsys):
    new = moved(old, "new", monkeypatch)
    other = sqlite3.connect(new / DATABASE, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    other.execute("DELETE FROM tags")
    monkeypatch.setattr("glacier_ml.studies.tracking.relocation.PATIENCE", 0.05)
    assert run("relocate", "--folder", new) == 2
    assert "database is locked" in capsys.readouterr().err
    other.execute("ROLLBACK")
    other.close()
    assert run("relocate", "--folder", new) == 0
    assert f"{old} -> {new}\n" in capsys.readouterr().out


def test_mlflow_s_tables_are_those_that_are_known(old):
    from mlflow.store.db.utils import _get_latest_schema_revision

    assert _get_latest_schema_revision() == SCHEMA
    sounding = re.compile(r"location|uri|root|source$|path|url|folder|director")
    with sqlite3.connect(old / DATABASE) as database:
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        columns = {
            (table, column[1])
            for table in tables
            for column in database.execute(f'PRAGMA table_info("{table}")')
            if sounding.search(column[1])
        }
    known = {(table, column) for table, column, rows in PLACES if not rows}
    assert columns - OTHERS == known


def test_a_champion_is_found_again(old, monkeypatch, tiny_classifier):
    tiny_classifier.save(old / "trained")
    with tracking.start_run("refit", "refit"):
        version = tracking.register_model(
            old / "trained", "glacier-ffnn", {}, {}, lambda version: "Not worth keeping."
        )
    tracking.move_alias("glacier-ffnn", "champion", version)
    new = moved(old, "over there", monkeypatch)
    with pytest.raises(GlacierError, match="its files are gone"):
        tracking.load_classifier("models:/glacier-ffnn@champion")
    told = relocate(new)
    assert told.changed["logged_models.artifact_location"] == 1
    assert told.changed["model_versions.storage_location"] == 1
    found = tracking.load_classifier("models:/glacier-ffnn@champion")
    assert found.parameters == tiny_classifier.parameters


# What a user does who knows mlflow alone.
LOAD_AND_PREDICT = """
import mlflow, numpy
model = mlflow.pyfunc.load_model("models:/glacier-unet@champion")
probability = model.predict(numpy.full((1, 40, 40, 5), 0.3, dtype=numpy.float32))
assert probability.shape == (1, 40, 40) and numpy.isfinite(probability).all()
"""


@pytest.mark.thorough
def test_a_moved_project_predicts_and_goes_on_in_fresh_processes(store, monkeypatch, request):
    from tiny_studies import run_tiny_project

    here, there = store / "here", store / "over there"
    here.mkdir()
    shutil.move(store / DATABASE, here)
    monkeypatch.chdir(here)
    result = run_tiny_project(here).results["ffnn"]
    monkeypatch.chdir(store)
    here.rename(there)

    def python(*arguments):
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=there,
            env=os.environ | {"PYTHONPATH": str(request.config.rootpath)},
            capture_output=True,
            text=True,
            timeout=280,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "logged_models.artifact_location: 2 rows" in python("-m", "glacier_ml", "relocate")
    python("-c", LOAD_AND_PREDICT)
    study = ("--data", "scenes/catalog.yaml", "--experiment", "experiments/ffnn.yaml", "--trials", "3")
    told = python("-m", "glacier_ml", "tune-ffnn", *study)
    assert f"{result.name}: 3 complete, 0 pruned, 0 failed" in told
    assert not here.exists()
