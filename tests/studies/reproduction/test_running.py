"""A figure from beginning to end on tiny scenes: interrupted, resumed, done once, drawn, judged."""

import json
import re
from types import SimpleNamespace

import pandas as pd
import pytest
import yaml
from tiny_studies import write_catalog

from glacier_ml.errors import GlacierError
from glacier_ml.studies import searching, tracking
from glacier_ml.studies.reproduction import drawing, reproduce, running
from glacier_ml.studies.reproduction.results import read_results
from glacier_ml.studies.reproduction.telling import mixed_data
from glacier_ml.studies.trial import run_trial

# Figure 8 with two activations and two nodes.
FIGURE = {
    "name": "report-figure-08",
    "title": "Which activation?",
    "parameters": {
        "network": "ffnn",
        "optimizer": "sgd",
        "momentum": 0.0,
        "schedule": "fixed",
        "clip_norm": 0.0,
        "learning_rate": 0.3,
        "hidden_layers": 1,
        "nodes": 2,
        "tile_size": 1,
        "epochs": 2,
        "epoch_pixels": 2048,
        "batch_pixels": 256,
    },
    "search": {"activation": {"choices": ["relu", "linear"]}},
    "split": {"fraction": 0.3, "block": 32, "gap": 2},
    "sampler": "grid",
    "pruner": "none",
    "protocols": {"report": {"parameters": {"recipe": "report"}}},
    "budgets": {"tiny": {}},
}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """Folder with scenes and the experiment file of figure 8."""
    folder = tmp_path_factory.mktemp("inputs")
    write_catalog(folder / "scenes")
    (folder / "figure_08.yaml").write_text(yaml.safe_dump(FIGURE))
    return folder


def run(inputs, **options):
    chosen = {"figure": "8", "budget": "tiny", "output": "out", "experiments": str(inputs), **options}
    return reproduce(str(inputs / "scenes/catalog.yaml"), **chosen)


def stop_at(monkeypatch, number, error):
    """Let the trial of this number, counted from 1, end in the error; gives the list of those begun."""
    begun = []

    def train(*given, **options):
        begun.append(given[0])
        if len(begun) == number:
            raise error
        return run_trial(*given, **options)

    monkeypatch.setattr(searching, "run_trial", train)
    return begun


def test_a_figure_in_both_protocols_stopped_resumed_and_done_once(inputs, store, monkeypatch, capsys):
    for stop in (KeyboardInterrupt, SystemExit):  # Ctrl-C in the sound study, a kill in the report's
        begun = stop_at(monkeypatch, 2, stop())
        with pytest.raises(stop):
            run(inputs)
        assert len(begun) == 2
    begun = stop_at(monkeypatch, 0, None)
    folder = run(inputs)
    assert [one.recipe for one in begun] == ["report"] * 2

    found = read_results(folder)
    assert set(found.trials.columns) >= {"figure", "protocol", "trial", "activation", "epoch", "val/iou"}
    ended = found.trials.groupby(["protocol", "activation"]).size()
    assert ended.to_dict() == {
        (protocol, activation): 2  # epochs
        for protocol in ("report", "sound")
        for activation in ("linear", "relu")
    }
    assert set(found.trials["state"]) == {"complete"} and len(found.blocks) == 4
    assert {path.name for path in folder.iterdir()} >= {
        *("figure_08_sound.png", "figure_08_report.png", "trials.csv", "blocks.json", "studies.json"),
        *("conclusions.csv", "wishes.csv", "table_1.csv"),
    }
    assert "ReLU for the FFNN (sound protocol, one seed): " in capsys.readouterr().out

    drawn = (folder / "figure_08_sound.png").stat().st_mtime_ns
    begun.clear()
    run(inputs)
    assert begun == [] and (folder / "figure_08_sound.png").stat().st_mtime_ns == drawn
    check_runs(found.trials)


def test_seeds_are_trainings_of_one_value_and_add_to_what_is_there(inputs, store, monkeypatch, capsys):
    run(inputs, protocol="sound")
    begun = stop_at(monkeypatch, 0, None)
    folder = run(inputs, protocol="sound", seeds=2)
    assert len(begun) == 2  # the second seed's alone
    keys = [("figure_08", "sound", seed, trial) for seed in (0, 1) for trial in (0, 1)]
    assert sorted(read_results(folder).blocks) == keys
    conclusions = pd.read_csv(folder / "conclusions.csv").set_index("conclusion")
    assert (conclusions.loc["ReLU for the FFNN", "trainings"] == 2).all()
    assert "ReLU for the FFNN (sound protocol, 2 seeds): " in capsys.readouterr().out

    changed = {**FIGURE, "parameters": {**FIGURE["parameters"], "nodes": 3}}
    (store / "figure_08.yaml").write_text(yaml.safe_dump(changed))
    run(inputs, protocol="sound", experiments=".")  # seed 1 of the other experiment goes
    assert sorted(read_results(folder).blocks) == keys[:2]


def test_a_table_needs_no_network_and_further_seeds_draw_no_map():
    work = SimpleNamespace(study="figure_13")
    pictures = ("figure_09", "figure_13", "figure_14", "table_1")
    call = running.Reproduction(None, pictures, "tiny", None, seed=3)
    assert call.drawn_from(work, 3) == ["figure_13", "figure_14"] and call.drawn_from(work, 4) == []
    assert call.drawn_from(SimpleNamespace(study="figure_09"), 4) == ["figure_09"]


def check_runs(trials):
    """Every trial is a run below its study's, below the reproduction's; nothing is registered."""
    for run_id in trials["run_id"].unique():
        study = tracking.run_tags(tracking.run_tags(run_id)["mlflow.parentRunId"])
        assert study["figure"] == "figure_08" and study["budget"] == "tiny"
        assert tracking.run_tags(study["mlflow.parentRunId"])["kind"] == "reproduce"
    assert tracking.model_version("glacier-ffnn", "challenger") is None


def test_a_timeout_ends_between_trials_and_says_so(inputs, store, monkeypatch, capsys):
    begun = stop_at(monkeypatch, 0, None)
    folder = run(inputs, timeout=0.001, protocol="sound")
    assert begun == [] and "0 of 1 studies are complete; the same command goes on" in capsys.readouterr().out
    assert not (folder / "trials.csv").exists()


def test_a_grid_whose_trials_all_fail_does_not_stop_the_others(inputs, store, monkeypatch, capfd):
    def fail(*given, **options):
        raise ArithmeticError("loss: not finite")

    monkeypatch.setattr(searching, "run_trial", fail)
    folder = run(inputs, protocol="sound")
    assert "figure_08, sound protocol: " in capfd.readouterr().err
    studies = json.loads((folder / "studies.json").read_text())
    assert studies["figure_08 sound 0"]["complete"] and studies["figure_08 sound 0"]["ended"] == 2
    assert pd.read_csv(folder / "trials.csv").empty


def test_bad_input_is_told_before_a_run_is_opened(inputs, store):
    for options, told in (
        ({"figure": "2"}, "^figure: '2'"),
        ({"budget": "big"}, "^budget: 'big'"),
        ({"protocol": "loud"}, "^protocol: 'loud'"),
        ({"experiments": "nowhere"}, "nowhere/figure_08.yaml: no such experiment file"),
    ):
        with pytest.raises(GlacierError, match=told):
            run(inputs, **options)
    assert not (store / "out").exists()


def test_another_s_tables_are_told(inputs, store):
    (store / "out/tiny").mkdir(parents=True)
    (store / "out/tiny/studies.json").write_text("[")
    with pytest.raises(GlacierError, match="out/tiny: holds tables of a reproduction that cannot be read"):
        run(inputs)


MAPS = {**FIGURE, "name": "report-figure-13", "search": {}}


def test_maps_are_drawn_and_scored_from_beginning_to_end(inputs, store, monkeypatch, capfd):
    (store / "figure_13.yaml").write_text(yaml.safe_dump(MAPS))
    monkeypatch.setattr(drawing, "save_small", lambda figure, path: figure.savefig(path, dpi=20))
    folder = run(inputs, figure="13", experiments=".")
    run(inputs, figure="14", experiments=".", protocol="report")  # the same network, other scenes
    drawn = {path.name for path in folder.glob("*.png")}
    assert drawn == {"figure_13_sound.png", "figure_13_report.png", "figure_14_report.png"}
    maps = pd.read_csv(folder / "maps.csv")
    # early and fjord trained, late is held out; blank, held out too, has no outlines.
    seen = maps[["figure", "scene", "trained"]].drop_duplicates().to_numpy().tolist()
    trained = [["figure_13", "early", True], ["figure_13", "fjord", True]]
    assert sorted(seen) == [*trained, ["figure_13", "late", False], ["figure_14", "blank", False]]
    assert maps.loc[maps["figure"] == "figure_13", "accuracy"].between(0, 1).all()
    assert maps.loc[maps["figure"] == "figure_14", "accuracy"].isna().all()
    cuts = maps.groupby("protocol")["cut"].unique().map(list).to_dict()
    assert cuts == {"sound": ["the report's", "own"], "report": ["the report's", "even odds"]}
    assert set(maps.loc[maps["cut"] == "even odds", "threshold"]) == {0.5}
    check_elsewhere(inputs, folder, monkeypatch, capfd)


def check_elsewhere(inputs, folder, monkeypatch, capfd):
    """What is complete and drawn is left alone beside another storage; what is not drawn needs its trials."""
    tuned = []
    monkeypatch.setattr(running, "_tune", lambda call, work, seed, name: tuned.append(work.study))
    studies = json.loads((folder / "studies.json").read_text())
    assert studies["figure_13 report 0"]["drawn"] == ["figure_14", "figure_13"]
    options = {"experiments": ".", "protocol": "report", "storage": "sqlite:///other.db"}
    run(inputs, figure="13,14", **options)
    assert tuned == []
    studies["figure_13 report 0"]["drawn"] = ["figure_13"]
    (folder / "studies.json").write_text(json.dumps(studies))
    run(inputs, figure="14", **options)
    told = (
        "report-figure-13-report-tiny-.* is complete in out/tiny, but not in this storage .*: trained again"
    )
    assert tuned == ["figure_13"] and re.search(told, capfd.readouterr().err)


def test_a_folder_of_studies_on_different_data_says_so():
    studies = {
        "figure_08 sound 0": {"dataset": "aa"},
        "figure_08 sound 1": {"dataset": "aa"},
        "figure_09 sound 0": {"dataset": "bb"},
        "figure_08 report 0": {"dataset": "cc"},
    }
    assert mixed_data(studies).endswith("sound protocol: figure_08 of aa; figure_09 of bb")
    assert mixed_data({key: studies[key] for key in ("figure_08 sound 1", "figure_08 report 0")}) == ""
