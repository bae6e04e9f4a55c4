import configparser
import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
PROJECT = yaml.safe_load((ROOT / "MLproject").read_text(encoding="utf-8"))
ENTRY_POINTS = PROJECT["entry_points"]


def setup_cfg():
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser


def lines(text):
    return [line for line in text.splitlines() if line]


def test_conda_and_setup_want_the_same():
    conda = yaml.safe_load((ROOT / "conda.yaml").read_text(encoding="utf-8"))
    *plain, pip = conda["dependencies"]
    assert sorted(pip["pip"]) == sorted(lines(setup_cfg()["options"]["install_requires"]))
    assert plain == ["python=3.11", "pip"]


def test_every_dependency_has_both_ends_pinned():
    for line in lines(setup_cfg()["options"]["install_requires"]):
        assert re.fullmatch(r"[a-z0-9-]+>=[\d.]+,<[\d.]+", line), line


def test_one_python_range_everywhere():
    config = setup_cfg()
    assert config["options"]["python_requires"] == ">=3.11,<3.14"
    named = re.findall(r"Python :: (3\.\d+)", config["metadata"]["classifiers"])
    assert named == ["3.11", "3.12", "3.13"]
    ruff = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["ruff"]
    assert ruff["target-version"] == "py311"


def test_package_data_exists():
    for line in lines(setup_cfg()["options.package_data"]["glacier_ml"]):
        assert list((ROOT / "glacier_ml").glob(line)), line


def test_the_readme_has_the_two_commands():
    blocks = re.findall(
        r"^python3\.11 -m venv \.venv && \. \.venv/bin/activate && (.+)$", readme(), re.MULTILINE
    )
    assert blocks == ["pip install . && mlflow run .", "pip install '.[test]' && pytest"]


def readme():
    return (ROOT / "README.md").read_text(encoding="utf-8")


def test_mlproject_is_the_one_that_the_stand_in_knows():
    from glacier_ml.conda_standin import PROJECT as KNOWN
    from glacier_ml.conda_standin import project_name

    assert project_name(str(ROOT)) == KNOWN == PROJECT["name"]
    assert PROJECT["conda_env"] == "conda.yaml"


@pytest.mark.parametrize("name", ENTRY_POINTS)
def test_an_entry_point_hands_every_parameter_to_the_option_of_its_name(name):
    entry = ENTRY_POINTS[name]
    command = " ".join(entry["command"].split())
    options = " ".join(f"--{key} {{{key}}}" for key in entry["parameters"])
    assert command == f"python -m glacier_ml {name.replace('_', '-')} {options}"
    # Types path and uri would be checked, and refuse the empty value that means 'not given'.
    assert all(value["type"] == "string" and "default" in value for value in entry["parameters"].values())


@pytest.mark.parametrize("name", ENTRY_POINTS)
def test_mlflow_quotes_what_the_user_gives(name):
    from mlflow.projects._project_spec import load_project

    entry = load_project(str(ROOT)).get_entry_point(name)
    key = next(iter(ENTRY_POINTS[name]["parameters"]))
    assert f"--{key} 'two words; rm'" in entry.compute_command({key: "two words; rm"}, None)


@pytest.mark.parametrize("name", ENTRY_POINTS)
def test_the_command_line_has_the_command_and_its_options(name):
    import click

    from glacier_ml import cli

    group = next(value for value in vars(cli).values() if isinstance(value, click.Group))
    options = {flag for option in group.commands[name.replace("_", "-")].params for flag in option.opts}
    assert {f"--{key}" for key in ENTRY_POINTS[name]["parameters"]} <= options
