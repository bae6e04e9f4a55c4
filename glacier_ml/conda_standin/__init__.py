"""What makes a bare `mlflow run .` work on this project where the machine has no conda.

MLproject names conda.yaml, and mlflow then wants conda; without one it stops, and only the flag
`--env-manager local` would help. But mlflow creates every `mlflow.run_context_provider` entry point when it
starts, and `ProjectStart`, the one of this package, looks whether the process is `mlflow run` on a project
called glacier_ml. If so, it sets

- MLFLOW_EXPERIMENT_NAME to glacier_ml, where no experiment is chosen: mlflow's own, Default, cannot take
  artifacts once `mlflow ui` has made the database;
- MLFLOW_CONDA_HOME to this folder, where neither it nor a conda is to be found. `bin/conda` creates nothing
  and says so in one line; `etc/profile.d/conda.sh` puts the Python that runs mlflow first, as
  `--env-manager local` would.

Other projects, other mlflow commands and machines with conda are left alone. A project given as a Git
address is not recognised: there the flag is needed.
"""

import os
import shutil
import sys
import tempfile
from pathlib import Path

HOME = Path(__file__).resolve().parent
PROJECT = "glacier_ml"


class ProjectStart:
    """A run context provider that adds no tags: its start is what matters."""

    def __init__(self) -> None:
        arguments = sys.orig_argv
        if os.name == "posix" and project_name(project_argument(arguments)) == PROJECT:
            choose_experiment(arguments)
            choose_conda()

    def in_context(self) -> bool:
        """Say that no tags come from here."""
        return False

    def tags(self) -> dict[str, str]:
        """Return no tags."""
        return {}


def project_argument(arguments: list[str]) -> str | None:
    """Find the project in a process's arguments: `mlflow run [options] PROJECT`, None for any other command.

    Examples
    --------
    >>> project_argument(["python", "/env/bin/mlflow", "run", "-e", "train", ".", "-P", "seed=1"])
    '.'
    >>> project_argument(["python", "-m", "mlflow", "run", "--env-manager=local", "."])
    '.'
    >>> project_argument(["python", "/env/bin/mlflow", "ui"])
    """
    names = [Path(argument).name for argument in arguments[:4]]
    after = arguments[names.index("mlflow") + 1 :] if "mlflow" in names else []
    if after[:1] == ["--env-file"]:
        after = after[2:]
    if after[:1] != ["run"]:
        return None
    rest = iter(after[1:])
    for argument in rest:
        if not argument.startswith("-"):
            return argument
        # Every option of `mlflow run` but this flag takes a value, joined to it or in the next place.
        joined = "=" in argument if argument.startswith("--") else len(argument) > 2
        if not joined and argument != "--build-image":
            next(rest, None)
    return None


def project_name(folder: str | None) -> str | None:
    """Read the name in a folder's MLproject; None where there is none to read."""
    if folder is None or not Path(folder).is_dir():
        return None
    import yaml

    try:
        for path in Path(folder).iterdir():
            if path.name.lower() == "mlproject":
                return yaml.safe_load(path.read_text(encoding="utf-8")).get("name")
    except (OSError, UnicodeDecodeError, AttributeError, yaml.YAMLError):
        pass  # mlflow itself will say what is wrong with it
    return None


def choose_experiment(arguments: list[str]) -> None:
    """Name the project's experiment unless the user or the environment has named one."""
    chosen = any(argument.startswith(("--experiment-name", "--experiment-id")) for argument in arguments)
    if not chosen and not {"MLFLOW_EXPERIMENT_NAME", "MLFLOW_EXPERIMENT_ID"} & os.environ.keys():
        os.environ["MLFLOW_EXPERIMENT_NAME"] = PROJECT


def choose_conda() -> None:
    """Put the stand-in where mlflow looks for conda, unless there is a conda to be found."""
    if {"MLFLOW_CONDA_HOME", "CONDA_EXE"} & os.environ.keys() or shutil.which("conda"):
        return
    conda = HOME / "bin/conda"
    if not os.access(conda, os.X_OK):
        conda.chmod(0o755)  # some installers drop the executable bit
    home = HOME
    if " " in str(HOME):  # mlflow does not quote it
        home = Path(tempfile.mkdtemp(prefix="glacier_ml-")) / "conda"
        home.symlink_to(HOME)
    os.environ["MLFLOW_CONDA_HOME"] = str(home)
    os.environ["GLACIER_ML_PYTHON"] = sys.executable
