"""Commands and options that look after studies: what is kept of them."""

import pytest
from test_cli import run

from glacier_ml.cli import cli
from glacier_ml.studies import commands


@pytest.mark.parametrize(("given", "kept"), [("1", 1), ("12", 12), ("all", None)])
def test_how_many_networks_are_kept_arrives(monkeypatch, given, kept):
    seen = []
    monkeypatch.setattr(commands, "run_study", lambda *given, **options: seen.append(options["keep"]))
    assert run("tune-unet", "--keep", given) == 0
    assert seen == [kept]


@pytest.mark.parametrize("given", ["0", "-1", "2.5", "best", ""])
def test_a_number_of_networks_that_is_none_gets_one_line(capsys, given):
    assert run("tune-ffnn", f"--keep={given}") == 2
    told = capsys.readouterr().err
    assert f"'--keep': '{given}' is neither a number from 1 on nor 'all'" in told and told.count("\n") == 1


@pytest.mark.parametrize("name", sorted(cli.commands["study"].commands))
def test_every_study_command_explains_itself(capsys, name):
    assert run("study", name, "--help") == 0
    told = capsys.readouterr().out
    assert told.split("\n\n")[1].strip()[0].isupper()
    assert all(
        option.opts[0] in told and option.help for option in cli.commands["study"].commands[name].params
    )


def test_studies_are_listed_and_exported_by_the_command(beside_project, tiny_project, capsys):
    assert run("study", "list") == 0
    listed = capsys.readouterr().out
    for network, result in tiny_project.results.items():
        assert any(line.split()[:2] == [result.name, network] for line in listed.splitlines())
    last = listed.splitlines()[-1].split()[0]
    assert run("study", "export", "--format", "csv") == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0] == f"{last}: the study worked on last; --study names another"
    assert f"{last}/trials.csv" in told and (beside_project / last / "README.md").is_file()


def test_a_study_that_is_not_there_gets_one_line(beside_project, tiny_project, capsys):
    assert run("study", "export", "--study", "unett") == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and f"there are {tiny_project.results['unet'].name}" in error
    assert run("study", "list", "--storage", "sqlite:///absent.db") == 2
    assert "sqlite:///absent.db holds no studies that can be read (no such file)" in capsys.readouterr().err
