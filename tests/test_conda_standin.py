import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from glacier_ml import conda_standin
from glacier_ml.conda_standin import ProjectStart, project_argument, project_name

MLPROJECT = """
name: {name}
conda_env: conda.yaml
entry_points:
  main:
    parameters:
      data: {{type: string, default: ""}}
    command: python show.py {{data}}
"""
SHOW = """
import json, os, sys
experiment = os.environ.get("MLFLOW_EXPERIMENT_NAME")
with open("shown.json", "w") as file:
    json.dump({"python": sys.executable, "arguments": sys.argv[1:], "experiment": experiment}, file)
"""
TOUCHED = ("MLFLOW_CONDA_HOME", "MLFLOW_EXPERIMENT_NAME", "GLACIER_ML_PYTHON")


@pytest.fixture
def project(tmp_path):
    """Factory of projects whose only entry point writes down which Python ran it, and with what."""

    def make(name):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "MLproject").write_text(MLPROJECT.format(name=name))
        (folder / "conda.yaml").write_text("name: anything\n")
        (folder / "show.py").write_text(SHOW)
        return folder

    return make


@pytest.fixture
def bare(monkeypatch, tmp_path):
    """Make the environment one without conda, where nothing about MLflow is chosen."""
    for name in list(os.environ):
        if name.startswith(("MLFLOW_", "CONDA_", "GLACIER_ML_PYTHON")):
            monkeypatch.delenv(name)
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    if shutil.which("conda"):
        pytest.skip("a conda in /usr/bin would be found")
    return folder


def start(monkeypatch, *arguments):
    """What a start of `mlflow` with these arguments changes in the environment."""
    monkeypatch.setattr(sys, "orig_argv", ["/env/bin/python", "/env/bin/mlflow", *map(str, arguments)])
    for name in TOUCHED:
        monkeypatch.delenv(name, raising=False)
    before = dict(os.environ)
    provider = ProjectStart()
    assert not provider.in_context() and provider.tags() == {}
    changed = {name: value for name, value in os.environ.items() if before.get(name) != value}
    for name in changed:  # monkeypatch did not set them and would not take them back
        del os.environ[name]
    return changed


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ("python /env/bin/mlflow run .", "."),
        ("python /env/bin/mlflow run -e tune_unet -P data=scenes ../here", "../here"),
        ("python /env/bin/mlflow run -etune_unet --experiment-name=other here -P trials=3", "here"),
        ("python /env/bin/mlflow run --build-image here", "here"),
        ("python /env/bin/mlflow --env-file .env run here", "here"),
        ("python -m mlflow run here", "here"),
        ("python /env/bin/mlflow run", None),
        ("python /env/bin/mlflow ui", None),
        ("python /env/bin/mlflow runs list --experiment-id 1", None),
        ("python train.py run here", None),
        ("python", None),
    ],
)
def test_the_project_is_found_among_the_arguments(arguments, found):
    assert project_argument(arguments.split()) == found


def test_a_project_without_a_readable_name_is_not_ours(tmp_path):
    assert project_name(None) is None
    assert project_name(str(tmp_path / "absent")) is None
    assert project_name(str(tmp_path)) is None
    for text in ("a: [", "- just\n- a list", ""):
        (tmp_path / "MLproject").write_text(text)
        assert project_name(str(tmp_path)) is None


def test_without_conda_the_stand_in_serves(bare, monkeypatch, project):
    assert start(monkeypatch, "run", project("glacier_ml")) == {
        "MLFLOW_CONDA_HOME": str(conda_standin.HOME),
        "MLFLOW_EXPERIMENT_NAME": "glacier_ml",
        "GLACIER_ML_PYTHON": sys.executable,
    }


def test_other_projects_and_commands_are_left_alone(bare, monkeypatch, project):
    assert start(monkeypatch, "run", project("other")) == {}
    monkeypatch.chdir(project("glacier_ml"))
    assert start(monkeypatch, "ui") == {}
    assert start(monkeypatch, "run", "https://example.org/glacier_ml.git") == {}


@pytest.mark.parametrize("where", ["PATH", "CONDA_EXE", "MLFLOW_CONDA_HOME"])
def test_a_conda_is_left_alone(bare, monkeypatch, project, where):
    conda = bare / "conda"
    conda.write_text("#!/bin/sh\n")
    if where == "PATH":
        conda.chmod(0o755)
    monkeypatch.setattr(sys, "orig_argv", ["python", "mlflow", "run", str(project("glacier_ml"))])
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "chosen")
    if where != "PATH":
        monkeypatch.setenv(where, str(conda))
    before = dict(os.environ)
    ProjectStart()
    assert dict(os.environ) == before


@pytest.mark.parametrize("chosen", ["--experiment-name=mine", "--experiment-id"])
def test_a_chosen_experiment_is_left_alone(bare, monkeypatch, project, chosen):
    changed = start(monkeypatch, "run", project("glacier_ml"), chosen, "5")
    assert "MLFLOW_EXPERIMENT_NAME" not in changed and "MLFLOW_CONDA_HOME" in changed


def test_a_lost_executable_bit_and_a_space_in_the_path_are_mended(bare, monkeypatch, project, tmp_path):
    home = tmp_path / "my site" / "conda_standin"
    shutil.copytree(conda_standin.HOME, home)
    (home / "bin/conda").chmod(0o644)
    monkeypatch.setattr(conda_standin, "HOME", home)
    seen = Path(start(monkeypatch, "run", project("glacier_ml"))["MLFLOW_CONDA_HOME"])
    assert " " not in str(seen) and seen.resolve() == home
    assert os.access(seen / "bin/conda", os.X_OK)


def mlflow_run(folder, site):
    """Type `mlflow run .` there, with the stand-in registered as installing the package does."""
    (site / "probe-0.dist-info").mkdir(parents=True)
    (site / "probe-0.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: probe\nVersion: 0\n")
    (site / "probe-0.dist-info/entry_points.txt").write_text(
        "[mlflow.run_context_provider]\nglacier_ml = glacier_ml.conda_standin:ProjectStart\n"
    )
    environment = {**os.environ, "PYTHONPATH": f"{site}:{conda_standin.HOME.parent.parent}"}
    del environment["PYTEST_CURRENT_TEST"]  # mlflow knows it, and then hides what conda says
    command = [sys.executable, Path(sys.executable).parent / "mlflow", "run", ".", "-P", "data=two words"]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def test_mlflow_run_uses_the_python_that_runs_mlflow(bare, project, tmp_path):
    folder = project("glacier_ml")
    done = mlflow_run(folder, tmp_path / "site")
    assert done.returncode == 0, done.stderr
    assert json.loads((folder / "shown.json").read_text()) == {
        "python": sys.executable,
        "arguments": ["two words"],
        "experiment": "glacier_ml",
    }
    notices = [line for line in done.stderr.splitlines() if line.startswith("glacier_ml:")]
    assert len(notices) == 1 and "no conda" in notices[0] and sys.executable in notices[0]


def test_mlflow_run_of_another_project_still_wants_conda(bare, project, tmp_path):
    folder = project("other")
    done = mlflow_run(folder, tmp_path / "site")
    assert done.returncode != 0 and "Could not find Conda executable" in done.stderr
    assert not (folder / "shown.json").exists()
