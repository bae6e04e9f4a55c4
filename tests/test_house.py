"""The house rules that a reader can count: sizes, imports, quick start."""

import ast
import re
import subprocess
import sys
from configparser import ConfigParser
from graphlib import TopologicalSorter
from importlib.metadata import packages_distributions
from pathlib import Path

import grimp

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("glacier_ml", "tests", "benchmarks")
SOURCES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))


def functions_of(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def test_no_file_is_longer_than_400_lines():
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCES
    }
    assert {name: length for name, length in lengths.items() if length > 400} == {}


def test_no_function_is_longer_than_40_lines():
    lengths = {
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}": node.end_lineno - node.lineno + 1
        for path in SOURCES
        for node in functions_of(path)
    }
    assert {name: length for name, length in lengths.items() if length > 40} == {}


def modules_after(statement):
    """Top-level modules loaded in a fresh interpreter after the statement."""
    code = f"import sys\n{statement}\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    return set(
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.split()
    )


def modules_of_requirements():
    """Top-level modules of what the package requires."""
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg")
    lines = setup["options"]["install_requires"].split()
    required = {re.match(r"[\w-]+", line)[0] for line in lines}
    owners = packages_distributions().items()
    return {module for module, names in owners if required & {name.lower() for name in names}}


def test_the_command_line_starts_without_any_library_but_click():
    libraries = modules_of_requirements()
    assert {"click", "numpy", "pandas", "pydantic", "rasterio", "sklearn", "tensorflow", "yaml"} < libraries
    shown = "from glacier_ml.cli import cli; cli(['--help'], standalone_mode=False)"
    for statement in ("import glacier_ml", shown):
        assert modules_after(statement) & libraries <= {"click"}


def test_every_mlflow_start_loads_only_the_small_stand_in():
    # mlflow imports the entry point whenever it starts, also for other projects.
    assert modules_after("import glacier_ml.conda_standin").isdisjoint(modules_of_requirements())


def test_no_import_runs_in_a_circle():
    # Also those inside functions, which Python itself would let pass.
    graph = grimp.build_graph("glacier_ml", cache_dir=None)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    TopologicalSorter(imports).prepare()  # a circle raises CycleError, which names it
