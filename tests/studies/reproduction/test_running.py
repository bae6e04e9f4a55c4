"""A figure from beginning to end on tiny scenes: interrupted, resumed, done once, drawn, judged."""

import json

import pandas as pd
import pytest
import yaml
from tiny_studies import write_catalog

from glacier_ml.errors import GlacierError
from glacier_ml.studies import tracking, tuning
from glacier_ml.studies.reproduction import reproduce
from glacier_ml.studies.reproduction.results import read_results
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

    monkeypatch.setattr(tuning, "run_trial", train)
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
    assert "ReLU for the FFNN (sound protocol): " in capsys.readouterr().out

    drawn = (folder / "figure_08_sound.png").stat().st_mtime_ns
    begun.clear()
    run(inputs)
    assert begun == [] and (folder / "figure_08_sound.png").stat().st_mtime_ns == drawn
    check_runs(found.trials)


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

    monkeypatch.setattr(tuning, "run_trial", fail)
    folder = run(inputs, protocol="sound")
    assert "figure_08, sound protocol: " in capfd.readouterr().err
    studies = json.loads((folder / "studies.json").read_text())
    assert studies["figure_08 sound"]["complete"] and studies["figure_08 sound"]["ended"] == 2
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
