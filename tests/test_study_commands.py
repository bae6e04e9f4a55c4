"""Commands and options that look after studies: what is kept of them."""

import pytest
from test_cli import run

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
