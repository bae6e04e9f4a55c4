"""The frame around the benchmarks: tables, ratios held against recorded ones, and how all are run."""

import doctest
import json
import platform
import re
import runpy
import sys
from importlib import import_module
from pathlib import Path

import pytest

from benchmarks import __main__ as command
from benchmarks import tables
from benchmarks.tables import Table, slower

ROOT = Path(__file__).resolve().parent.parent
MODULES = sorted(
    path.stem
    for path in (ROOT / "benchmarks").glob("*.py")
    if path.stem != "__main__" and '__name__ == "__main__"' in path.read_text(encoding="utf-8")
)
MADE = """
from benchmarks.tables import Table, run

def measure(options):
    table = Table([{{"what": options.data or "made"}}])
    table.ratio("speed", {ratio})
    return table

run(measure, "A benchmark that is made.")
"""
BROKEN = "raise SystemExit('it is broken')"


@pytest.fixture
def made(tmp_path, monkeypatch):
    """Replace the benchmarks by files of so much `speed`, or broken ones (None)."""

    def make(**ratios):
        for name, ratio in ratios.items():
            code = BROKEN if ratio is None else MADE.format(ratio=ratio)
            (tmp_path / f"{name}.py").write_text(f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n{code}")
        monkeypatch.setattr(command, "NAMES", tuple(ratios))
        monkeypatch.setattr(
            command, "command_of", lambda name: [sys.executable, str(tmp_path / f"{name}.py")]
        )

    return make


def ran(tmp_path, *words):
    """Status of a run whose results and recorded ratios lie in the folder."""
    folders = ("--output", tmp_path / "results", "--recorded", tmp_path / "recorded")
    return command.main([str(word) for word in (*words, *folders)])


def record(folder, name, **ratios):
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps({"ratios": ratios}))


def test_a_table_shows_every_column_and_leaves_a_missing_cell_empty():
    table = Table([{"what": "ours", "s": 1234.5}, {"what": "peer", "GB": 0.12345}], notes=["two cores"])
    table.ratio("speed", 0.5, aim=1.0)
    table.ratio("memory", 2.0)
    table.series["curve"] = [1, 2]
    assert table.markdown().splitlines() == [
        "| what | s | GB |",
        "|---|---|---|",
        "| ours | 1234 |  |",
        "| peer |  | 0.123 |",
        "",
        "- speed: 0.5 (aim 1: missed)",
        "- memory: 2",
        "- two cores",
    ]


def test_slower_is_what_lost_more_than_a_quarter_or_is_not_there():
    recorded = {"a": 4.0, "b": 4.0, "c": 4.0, "d": 4.0}
    found = {"a": 3.0, "b": 2.99, "c": float("nan"), "new": 0.1}
    assert slower(found, recorded) == [
        "b: 2.99, recorded 4",
        "c: not measured, recorded 4",
        "d: not measured, recorded 4",
    ]


def test_a_check_says_what_got_slower(made, tmp_path, capfd):
    made(first=1.0, second=3.0)
    record(tmp_path / "recorded", "first", speed=2.0)
    record(tmp_path / "recorded", "second", speed=3.5)
    assert ran(tmp_path, "--check") == 1
    assert capfd.readouterr().err.splitlines() == ["slower: first: speed: 1, recorded 2"]
    assert ran(tmp_path, "--check", "second") == 0
    assert capfd.readouterr().err == ""


def test_other_options_than_recorded_are_not_compared(made, tmp_path, capfd):
    made(first=1.0)
    assert ran(tmp_path, "--record") == 0 == ran(tmp_path, "--check")
    capfd.readouterr()
    assert ran(tmp_path, "--check", "--data", "/shelf/scenes") == 1
    told = "first: measured with other options ({'data': 'scenes'}) than recorded ({'data': None})\n"
    assert capfd.readouterr().err == told


def test_without_a_check_nothing_is_slower(made, tmp_path, capfd):
    made(first=1.0)
    record(tmp_path / "recorded", "first", speed=2.0)
    assert ran(tmp_path, "first", "--data", "catalog") == 0
    told = capfd.readouterr()
    assert told.err == "" and "## first" in told.out and "| catalog |" in told.out
    written = json.loads((tmp_path / "results/first.json").read_text())
    assert written["ratios"] == {"speed": 1.0} and written["machine"]["cores"] > 0


def test_what_was_never_recorded_is_told(made, tmp_path, capfd):
    made(first=1.0)
    assert ran(tmp_path, "--check") == 1
    assert capfd.readouterr().err == "first: nothing is recorded in recorded; run with --record\n"
    assert ran(tmp_path, "--record") == 0 == ran(tmp_path, "--check")


def test_one_that_fails_is_told_and_the_others_go_on(made, tmp_path, capfd):
    made(first=None, second=1.0)
    record(tmp_path / "recorded", "first", speed=2.0)
    assert ran(tmp_path, "--record") == 1
    assert capfd.readouterr().err.splitlines() == ["it is broken", "first: failed"]
    # a failure leaves what was recorded
    assert json.loads((tmp_path / "recorded/first.json").read_text())["ratios"] == {"speed": 2.0}
    assert (tmp_path / "recorded/second.json").is_file()


def test_an_unknown_name_is_refused(made, capfd):
    made(first=1.0)
    with pytest.raises(SystemExit) as ended:
        command.main(["frist"])
    assert ended.value.code == 2
    assert "there is no benchmark frist; choose of first" in capfd.readouterr().err


def test_every_benchmark_that_is_run_is_there():
    assert set(command.NAMES) < set(MODULES)


@pytest.mark.parametrize(
    ("told", "kind"),
    [
        ("flags\t\t: fma avx2 avx512f\nflags\t\t: fma", "avx512"),
        ("processor\t: 0\nflags\t\t: fma avx2", "avx2"),
        ("Features\t: fp asimd", platform.machine()),
    ],
)
def test_ratios_are_recorded_by_the_kind_of_processor(told, kind, tmp_path, monkeypatch):
    (tmp_path / "cpuinfo").write_text(told)
    monkeypatch.setattr(tables, "CPUINFO", tmp_path / "cpuinfo")
    assert tables.machine()["instructions"] == kind
    assert command.options().parse_args([]).recorded == tables.RECORDED / kind


def test_the_documents_name_benchmarks_that_there_are():
    documents = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
    text = "\n".join(path.read_text(encoding="utf-8") for path in documents)
    named = {one or other for one, other in re.findall(r"-m benchmarks\.(\w+)|benchmarks/(\w+)\.py", text)}
    there = {path.stem for path in (ROOT / "benchmarks").glob("*.py")}
    assert {"storages", "stop_rules"} <= named <= there


@pytest.mark.parametrize("name", ["tables", "growth_inputs"])
def test_the_examples_hold(name):
    assert doctest.testmod(import_module(f"benchmarks.{name}")).failed == 0


@pytest.mark.parametrize("name", MODULES)
def test_every_benchmark_explains_itself(name, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [f"{name}.py", "--help"])
    monkeypatch.delitem(sys.modules, f"benchmarks.{name}", raising=False)  # else runpy warns
    with pytest.raises(SystemExit) as ended:
        runpy.run_module(f"benchmarks.{name}", run_name="__main__")
    told = capsys.readouterr().out
    assert ended.value.code == 0 and told.startswith("usage:") and len(told.splitlines()) > 5
