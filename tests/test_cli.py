"""The command line: help for every command, '' for what is not given, and one line for every bad input."""

import re
import runpy
import shutil
import sys
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import rasterio
import yaml
from rasterio.errors import NotGeoreferencedWarning
from tiny_studies import experiment_content, write_catalog, write_experiment

from glacier_ml.cli import cli, main
from glacier_ml.studies import commands, prediction, reproduction

COMMANDS = sorted(cli.commands)
COMMAND_LINE_ONLY = {"download", "export-onnx", "inspect", "relocate", "study"}


def run(*arguments):
    """Exit status of a command, run in this process."""
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return ended.value.code


def test_the_commands_are_the_entry_points(request):
    project = yaml.safe_load((request.config.rootpath / "MLproject").read_text())
    assert {name.replace("_", "-") for name in project["entry_points"]} == set(COMMANDS) - COMMAND_LINE_ONLY
    for name, entry in project["entry_points"].items():
        options = {option.name: option for option in cli.commands[name.replace("_", "-")].params}
        for parameter, values in entry["parameters"].items():
            assert str(options[parameter].default).lower() == values["default"], (name, parameter)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command, capsys):
    assert run(command, "--help") == 0
    told = capsys.readouterr().out
    first = told.split("\n\n")[1].strip()
    assert first.endswith(".") and first[0].isupper()  # what it does, in a sentence
    for option in cli.commands[command].params:
        assert option.opts[0] in told and option.help, option.name
    assert max(map(len, told.splitlines())) <= 100


def test_help_lists_the_commands(capsys):
    assert run("--help") == 0
    told = capsys.readouterr().out
    assert all(command in told for command in COMMANDS)


def test_an_output_may_lie_below_the_home_folder(monkeypatch, tmp_path):
    # mlflow hands '-P output=~/maps' over as it stands, because no shell has seen the '~'.
    seen = []
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(prediction, "predict", lambda data, model, output, **options: seen.append(output))
    assert run("predict", "--output", "~/maps") == 0
    assert seen == [f"{tmp_path}/maps"]


def test_empty_means_not_given(monkeypatch):
    # MLproject passes every parameter, '' where the user gave none.
    seen = []
    monkeypatch.setattr(commands, "run_study", lambda *given, **options: seen.append((given, options)))
    monkeypatch.setattr(commands, "run_training", lambda *given: seen.append(given))
    monkeypatch.setattr(commands, "run_everything", lambda *given: seen.append(given))
    assert run("tune-unet", "--data", "", "--trials", "", "--timeout", "", "--storage", "") == 0
    assert run("train", "--data", "", "--run", "", "--init", "", "--register", "false") == 0
    assert run("main", "--data", "", "--trials", "", "--seeds", "2") == 0
    nothing = {"trials": None, "timeout": None, "seed": 0, "storage": None}
    nothing |= {"workers": 1, "keep": 3}
    assert seen == [
        (("unet", "experiments/unet.yaml", None), nothing),
        ("experiments/unet.yaml", None, None, None, False, 0),
        (None, None, 0, 2),
    ]


def test_given_values_arrive(monkeypatch):
    seen = []
    monkeypatch.setattr(commands, "run_study", lambda *given, **options: seen.append((given, options)))
    assert run("tune-ffnn", "--data", "a b", "--trials", "3", "--timeout", "1.5", "--workers", "2") == 0
    options = {"trials": 3, "timeout": 1.5, "seed": 0, "storage": None, "workers": 2, "keep": 3}
    assert seen == [(("ffnn", "experiments/ffnn.yaml", "a b"), options)]


def test_reproduce_hands_over_what_is_asked_for(monkeypatch):
    seen = []
    monkeypatch.setattr(reproduction, "reproduce", lambda *given, **options: seen.append((given, options)))
    assert run("reproduce", "--data", "", "--figure", "5,table_1", "--timeout", "60", "--budget", "tiny") == 0
    asked = {"figure": "5,table_1", "protocol": "both", "budget": "tiny", "output": "reproduction"}
    others = {"timeout": 60.0, "seed": 0, "seeds": 1, "storage": None, "experiments": "experiments/report"}
    assert seen == [((None,), asked | others)]


def rewrite(path, **changes):
    """Write a raster anew with another profile."""
    with rasterio.open(path) as raster:
        values, profile = raster.read(1), raster.profile
    profile.update(changes)
    with rasterio.open(path, "w", **profile) as raster:
        raster.write(values[: profile["height"], : profile["width"]], 1)


def all_nodata(case):
    for file in (case.scenes / "early").glob("*.tif"):
        if file.name != "outlines.tif":
            with rasterio.open(file, "r+") as raster:
                raster.write(np.full(raster.shape, np.nan, dtype=np.float32), 1)


def ungeoreferenced(case):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        for file in (case.scenes / "early").glob("*.tif"):
            rewrite(file, crs=None, transform=rasterio.Affine.identity())


def outlines_elsewhere(case):
    rewrite(case.scenes / "early/outlines.tif", transform=rasterio.Affine(30, 0, 900_000, 0, -30, 5_000_000))


def one_class(case):
    with rasterio.open(case.scenes / "early/outlines.tif", "r+") as raster:
        raster.write(np.ones(raster.shape, dtype=np.uint8), 1)


def rewritten_experiment(case, **changes):
    case.experiment.write_text(yaml.safe_dump(experiment_content("ffnn", **changes)))


TUNE = ("tune-ffnn", "--data", "{catalog}", "--experiment", "{experiment}", "--trials", "1")
TRAIN = ("train", "--data", "{catalog}", "--experiment", "{experiment}")
FOLDS = ("cross-validate", "--data", "{catalog}", "--experiment", "{experiment}")
COMPARE = ("compare", "--data", "{catalog}", "--output", "{output}")
PREDICT = ("predict", "--data", "{scenes}/blank", "--output", "{output}", "--model")
FFNN = "models:/glacier-ffnn@champion"

# What is spoilt, the command, and the line it must tell: place, rule, what came, mend.
BAD_INPUT = {
    "missing band": (
        lambda case: (case.scenes / "early/swir1.tif").unlink(),
        TUNE,
        r"early: swir1 missing; needed are blue, .* \(found blue, green, red, nir\); add",
    ),
    "band of another shape": (
        lambda case: rewrite(case.scenes / "early/nir.tif", height=150),
        TUNE,
        r"early: blue.tif and nir.tif are on different grids \(shape .*\); export all bands on one grid",
    ),
    "band of another CRS": (
        lambda case: rewrite(case.scenes / "early/nir.tif", crs="EPSG:32607"),
        TRAIN,
        r"early: blue.tif and nir.tif are on different grids \(CRS .*\); export",
    ),
    "no georeference": (ungeoreferenced, TUNE, "early: .*has no coordinate reference system.*; export it"),
    "all nodata": (all_nodata, TUNE, "early: no pixel has data in every band .*; check"),
    "outlines that miss the scene": (
        outlines_elsewhere,
        TUNE,
        "early: outlines.tif: does not overlap the scene; give",
    ),
    "tile larger than every scene": (
        lambda case: rewritten_experiment(case, search={"tile_size": {"choices": [1, 256]}}),
        TUNE,
        "tile_size: 256 px is larger than every scene .*; choose a smaller tile",
    ),
    "tile larger than every scene, trained": (
        lambda case: rewritten_experiment(case, parameters={"tile_size": 256}),
        TRAIN,
        "tile_size: 256 px is larger than every scene",
    ),
    "unknown feature set": (
        lambda case: rewritten_experiment(case, parameters={"features": "spectrum"}),
        TUNE,
        "ffnn.yaml: parameters: features: 'spectrum' is not a feature set; choose one of spectral",
    ),
    "experiment typo": (
        lambda case: rewritten_experiment(case, parameters={"nodse": 8}),
        TUNE,
        "ffnn.yaml: parameters: nodse: unknown key; check its spelling",
    ),
    "experiment that is not there": (
        lambda case: case.experiment.unlink(),
        TRAIN,
        "ffnn.yaml: no such experiment file; see experiments/",
    ),
    "experiment of the other network": (
        lambda case: None,
        ("tune-unet", *TUNE[1:]),
        "network: is ffnn, this command tunes a unet; use tune_ffnn",
    ),
    "one class only": (
        one_class,
        TUNE,
        "early: every valid pixel is glacier; training needs both classes: check",
    ),
    "no data there": (
        lambda case: shutil.rmtree(case.scenes),
        TUNE,
        "data: .*catalog.yaml does not exist; give a catalog",
    ),
    "catalog typo": (
        lambda case: case.catalog.write_text(case.catalog.read_text().replace("role:", "rolle:")),
        COMPARE,
        "catalog.yaml: scene 'early': unknown key 'rolle'; did you mean 'role'",
    ),
    "unknown protocol": (
        lambda case: None,
        (*FOLDS, "--protocol", "glacier"),
        "protocol: 'glacier' is not .*; choose",
    ),
    "no second place": (
        lambda case: case.catalog.write_text(case.catalog.read_text().replace("place: fjord", "place: cape")),
        (*FOLDS, "--protocol", "place"),
        "protocol: leaving out a place needs two of them; .* have cape",
    ),
    "no test scene": (
        lambda case: case.catalog.write_text(case.catalog.read_text().replace("role: test", "role: train")),
        COMPARE,
        "no scene has the role test; .*name it in a catalog.yaml",
    ),
    "missing alias": (
        lambda case: None,
        (*PREDICT, "models:/glacier-ffnn@best"),
        "has no alias best .*; name one",
    ),
    "missing model": (
        lambda case: None,
        (*PREDICT, "models:/glacier@champion"),
        "no model glacier is registered",
    ),
    "scene without the model's bands": (
        lambda case: (case.scenes / "blank/swir1.tif").unlink(),
        (*PREDICT, FFNN),
        "blank: swir1 missing; needed are .*; add the missing band",
    ),
    "file in the place of the maps": (
        lambda case: case.output.write_text("mine"),
        (*PREDICT, FFNN),
        "the output folder cannot be written .*is a file.; choose another",
    ),
    "file in the place of the comparison": (
        lambda case: case.output.write_text("mine"),
        COMPARE,
        "the output folder cannot be written .*is a file.; choose another",
    ),
    "file in the place of the made scenes": (
        lambda case: case.output.write_text("mine"),
        ("synthesize", "--output", "{output}"),
        "out: is a file; synthesize needs the name of a folder",
    ),
    "scheduler": (
        lambda case: None,
        (*PREDICT, FFNN, "--scheduler", "dask"),
        "scheduler: dask is neither 'local' nor an address such as tcp://host:8786; correct it",
    ),
    "unknown model to promote": (
        lambda case: None,
        ("promote", "--model", "vit"),
        "model: 'vit' cannot be promoted",
    ),
    "figure that the report lacks": (
        lambda case: None,
        ("reproduce", "--data", "{catalog}", "--figure", "15", "--output", "{output}"),
        "figure: '15' is not one of the report's; choose all",
    ),
    "unknown run": (lambda case: None, (*TRAIN, "--run", "abc"), "run abc: not in sqlite.*; take an id"),
    "no trials": (lambda case: None, (*TUNE[:-1], "0"), "'--trials': 0 is not in the range"),
    "unknown option": (lambda case: None, ("compare", "--outptu", "x"), "No such option.*--outptu"),
    "unknown command": (lambda case: None, ("tune",), "No such command 'tune'"),
}


@pytest.fixture
def case(beside_project, tmp_path_factory):
    """A working folder with the tiny project's registry, and beside it fresh scenes to spoil."""
    inputs = tmp_path_factory.mktemp("inputs")
    return SimpleNamespace(
        folder=beside_project,
        scenes=inputs / "scenes",
        catalog=write_catalog(inputs / "scenes"),
        experiment=write_experiment(inputs),
        output=inputs / "out",
    )


def run_ids():
    from glacier_ml.studies.tracking.runs import client

    experiments = [experiment.experiment_id for experiment in client().search_experiments()]
    return {run.info.run_id for run in client().search_runs(experiments)}


def tree(*folders):
    return {path for folder in folders for path in folder.rglob("*")}


@pytest.mark.parametrize("name", BAD_INPUT)
def test_bad_input_gets_one_line_and_changes_nothing(case, capfd, name):
    spoil, command, told = BAD_INPUT[name]
    spoil(case)
    runs, before = run_ids(), tree(case.folder, case.scenes.parent)
    capfd.readouterr()
    status = run(*(part.format(**vars(case)) for part in command))
    error = capfd.readouterr().err
    assert status == 2
    assert re.search(told, error), error
    assert error.startswith("glacier-ml: error: ") and error.count("\n") == 1, error
    assert run_ids() == runs and tree(case.folder, case.scenes.parent) == before


def test_nothing_to_promote_or_compare_is_told_in_a_store_without_models(store, case_free_catalog, capfd):
    for command, told in (
        (("promote",), "glacier-ffnn and glacier-unet: no challenger yet; tune one"),
        (("compare", "--data", case_free_catalog), "compare: no network has a champion yet; tune one"),
    ):
        assert run(*command) == 2
        error = capfd.readouterr().err
        assert told in error and error.count("\n") == 1
    assert run_ids() == set()


@pytest.fixture
def case_free_catalog(tmp_path_factory):
    """A catalog beside an empty store."""
    return write_catalog(tmp_path_factory.mktemp("inputs"))


def test_main_tells_bad_input_before_hours_of_tuning(store, case_free_catalog, capfd):
    folder = case_free_catalog.parent
    for network in ("ffnn", "unet"):
        write_experiment(store / "experiments", network)
    (store / "maps").write_text("mine")
    assert run("main", "--data", folder, "--trials", "1") == 2
    assert "maps: the output folder cannot be written" in capfd.readouterr().err
    (store / "maps").unlink()
    case_free_catalog.write_text(case_free_catalog.read_text().replace("role: test", "role: train"))
    assert run("main", "--data", folder, "--trials", "1") == 2
    assert "no scene has the role test" in capfd.readouterr().err
    assert run_ids() == set() and {path.name for path in store.iterdir()} == {"experiments", "mlflow.db"}


def test_what_is_no_bad_input_keeps_its_traceback(monkeypatch):
    def broken(*_):
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(commands, "run_everything", broken)
    with pytest.raises(ZeroDivisionError):
        main(["main"])


def test_an_interrupt_ends_with_its_status(monkeypatch):
    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(commands, "run_everything", stopped)
    assert run("main") == 130


def test_a_scene_s_map_is_printed_as_area(beside_project, tiny_project, capsys):
    scene = tiny_project.catalog.parent / "blank"
    assert run("predict", "--data", scene, "--model", FFNN, "--output", "out") == 0
    told = capsys.readouterr().out
    assert "blank" in told and "area_km2" in told and f"maps: {beside_project / 'out'}" in told
    assert {path.name for path in (beside_project / "out").iterdir()} == {
        "areas.csv",
        "blank_map.json",
        "blank_mask.qml",
        "blank_mask.tif",
        "blank_preview.png",
        "blank_probability.qml",
        "blank_probability.tif",
        "blank_uncertainty.qml",
        "blank_uncertainty.tif",
    }


def test_cross_validation_tells_the_worst_finding_first(beside_project, tiny_project, capsys):
    experiment, catalog = tiny_project.experiment("ffnn"), tiny_project.catalog
    assert run("cross-validate", "--data", catalog, "--experiment", experiment, "--protocol", "place") == 0
    told = capsys.readouterr().out
    assert re.match(r"worst finding: FFNN trained on (cape|fjord) maps (cape|fjord) with IoU ", told)
    assert "2 places are too few for an interval (10 are wanted)" in told
    files = {path.name for path in (beside_project / "cross_validation").iterdir()}
    assert files == {"folds.csv", "points.png", "summary.txt"}


def test_the_module_is_the_command(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["glacier_ml", "predict", "--help"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("glacier_ml", run_name="__main__")
    assert ended.value.code == 0 and "--scheduler" in capsys.readouterr().out
