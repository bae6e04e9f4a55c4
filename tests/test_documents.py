"""What README and docs tell people to type: commands and options that there are."""

import re
import shlex
from pathlib import Path

import click
import pytest
import yaml

from glacier_ml.cli import cli

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "experiments/report/README.md"]


def typed(program):
    """Every command of a program in the documents: file and words."""
    found = []
    for path in DOCUMENTS:
        text = path.read_text(encoding="utf-8")
        blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
        lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
        lines += re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
        for line in lines:
            for part in re.split(r"&&|\|", line):
                if part.split()[: len(program)] != list(program):
                    continue
                words = shlex.split(part, comments=True)
                if len(words) > len(program):
                    found.append(pytest.param(words[len(program) :], id=f"{path.name}: {part.strip()[:60]}"))
    return found


@pytest.mark.parametrize("words", typed(("glacier-ml",)))
def test_commands_have_their_options(words):
    name, *arguments = words
    if name == "--help":
        return
    command = cli.commands[name]
    while isinstance(command, click.Group):
        name, *arguments = arguments
        command = command.commands[name]
    command.make_context(name, arguments)  # unknown options and wrong values raise


@pytest.mark.parametrize("words", typed(("mlflow", "run", ".")))
def test_entry_points_have_their_parameters(words):
    entry_points = yaml.safe_load((ROOT / "MLproject").read_text())["entry_points"]
    name = words[words.index("-e") + 1] if "-e" in words else "main"
    known = entry_points[name].get("parameters", {})
    given = [word.partition("=")[0] for flag, word in zip(words, words[1:], strict=False) if flag == "-P"]
    assert set(given) <= set(known)


def test_the_walk_to_an_inventory_has_five_commands():
    (walk,) = re.findall(r"## From a Landsat bundle.*?```sh\n(.*?)```", DOCUMENTS[0].read_text(), re.DOTALL)
    names = [line.split()[1] for line in walk.splitlines()]
    assert names == ["main", "import-scene", "inspect", "predict", "inventory"]
