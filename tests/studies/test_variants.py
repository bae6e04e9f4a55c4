"""Variants of an experiment: one file, two protocols, several budgets; the report's files in all of them."""

from pathlib import Path

import pytest
import yaml

from glacier_ml.errors import GlacierError
from glacier_ml.studies.experiment import read_experiment

REPORT = sorted((Path(__file__).resolve().parents[2] / "experiments/report").glob("*.yaml"))
FILE = {
    "name": "quick",
    "parameters": {"network": "ffnn", "learning_rate": 0.3, "tile_size": 1, "batch_pixels": 64, "epochs": 9},
    "search": {"nodes": {"choices": [10, 20, 100]}, "hidden_layers": {"choices": [1, 4]}},
    "sampler": "grid",
    "protocols": {"report": {"parameters": {"recipe": "report", "batch_pixels": None}}},
    "budgets": {
        "small": {
            "parameters": {"epochs": 3, "batch_pixels": 32},
            "search": {"nodes": {"choices": [10, 100]}},
            "protocols": {"report": {"parameters": {"batch_pixels": 16}}},
        },
        "tiny": {"split": {"block": 32, "gap": 2}},
    },
}


@pytest.fixture
def written(tmp_path):
    """Factory of experiment files: FILE with keys replaced."""

    def write(**changed):
        path = tmp_path / "quick.yaml"
        path.write_text(yaml.safe_dump(FILE | changed))
        return path

    return write


def test_changes_replace_key_by_key_the_protocol_first_then_the_budget(written):
    experiment = read_experiment(written())
    sound, report = experiment.variant("sound", "small"), experiment.variant("report", "small")
    assert (sound.baseline.epochs, sound.baseline.batch_pixels, sound.baseline.recipe) == (3, 32, "sound")
    assert (report.baseline.epochs, report.baseline.batch_pixels, report.baseline.recipe) == (3, 16, "report")
    assert sound.search["nodes"].choices == [10, 100] and sound.search["hidden_layers"].choices == [1, 4]
    assert experiment.variant("sound", "tiny").split_rule.block == 32


def test_null_gives_a_parameter_back_its_default(written):
    # 0 is the report recipe's default: a batch of 32 samples.
    assert read_experiment(written()).variant("report").baseline.batch_pixels == 0


def test_a_grid_s_trials_are_its_points(written):
    experiment = read_experiment(written())
    assert [experiment.variant("sound", budget).trials for budget in ("full", "small")] == [3 * 2, 2 * 2]
    assert read_experiment(written(sampler="tpe")).variant("sound", "small").trials == 12  # the default


def test_a_variant_has_its_own_name_and_no_variants(written):
    variant = read_experiment(written()).variant("report", "tiny")
    assert (variant.name, variant.protocols, variant.budgets) == ("quick-report-tiny", {}, {})


def test_what_a_file_does_not_have_is_told(written):
    experiment = read_experiment(written(protocols={}))
    with pytest.raises(
        GlacierError, match="^experiment quick: protocol: has no 'report'; choose among sound"
    ):
        experiment.variant("report")
    with pytest.raises(GlacierError, match="^experiment quick: budget: has no 'big'; choose among full, sm"):
        experiment.variant("sound", "big")


def test_a_mistake_in_a_variant_is_told_when_the_file_is_read(written):
    changed = {"report": {"parameters": {"recipe": "report", "epoch_pixels": -1}}}
    with pytest.raises(GlacierError, match="^experiment quick-report-small: parameters: epoch_pixels: "):
        read_experiment(written(protocols=changed))


def test_lists_are_searched_as_their_text(written):
    content = {
        "parameters": {"network": "unet", "learning_rate": 0.1, "tile_size": 32, "head_nodes": []},
        "search": {"head_nodes": {"choices": [[], [8, 8]]}},
    }
    experiment = read_experiment(written(**content, protocols={}, budgets={}))
    assert experiment.search["head_nodes"].words == ["[]", "[8, 8]"]
    assert experiment.with_values({"head_nodes": "[8, 8]"}).head_nodes == [8, 8]


EXPERIMENTS = {path.stem: read_experiment(path) for path in REPORT}
VARIANTS = [
    (name, side, budget)
    for name, experiment in EXPERIMENTS.items()
    for side in experiment.sides
    for budget in ("full", "small", "tiny")
]


@pytest.mark.parametrize(("name", "side", "budget"), VARIANTS)
def test_the_report_s_files_are_valid_in_every_protocol_and_budget(name, side, budget):
    experiment = EXPERIMENTS[name]
    variant = experiment.variant(side, budget)
    assert variant.sampler == "grid" and experiment.title.endswith("?")
    assert variant.baseline.recipe == side
    # the baseline is a point of the grid: else it would be one more trial
    baseline = variant.baseline.model_dump()
    assert all(baseline[name] in space.choices for name, space in variant.search.items())


def test_figures_have_both_protocols_and_wishes_the_sound_one():
    assert len(EXPERIMENTS) == 14
    for name, experiment in EXPERIMENTS.items():
        assert experiment.sides == (("sound",) if name.startswith("wished") else ("sound", "report"))


def test_the_grids_are_the_report_s():
    def choices(name, key):
        return EXPERIMENTS[name].search[key].choices

    rates = [0.0003, 0.0009, 0.0027, 0.0079, 0.0233, 0.0681, 0.1995, 0.5843, 1.7113, 5.0119]
    assert choices("figure_05", "tile_size") == [96, 128, 288, 384]
    assert set(choices("figure_06", "activation")) == {"relu", "leaky_relu", "tanh", "sigmoid"}
    assert choices("figure_07_learning_rate", "learning_rate") == rates
    assert choices("figure_07_penalty", "penalty") == [10.0**power for power in range(-10, 0)]
    assert set(choices("figure_08", "activation")) == {"relu", "tanh", "sigmoid", "linear"}
    assert choices("figure_09", "hidden_layers") == [1, 2, 3, 4, 5, 6, 7, 8]
    assert choices("figure_09", "nodes") == [10, 20, 40, 60, 80, 100, 120, 140]


@pytest.mark.parametrize("name", [name for name in EXPERIMENTS if not name.startswith("wished")])
def test_the_full_budget_of_the_report_s_protocol_is_what_it_fixed(name):
    one = EXPERIMENTS[name].variant("report").baseline
    assert (one.epoch_pixels, one.batch_pixels) == (0, 0)  # every sample once, 32 a batch
    assert (one.monitor, one.keep_best, one.schedule, one.clip_norm) == ("train/accuracy", False, "fixed", 0)
    if one.network == "unet":
        assert (one.optimizer, one.learning_rate, one.penalty, one.levels) == ("adam", 0.001, 0, 5)
        assert one.patience == 15 and one.dropout == [0.1, 0.1, 0.2, 0.2, 0.3, 0.2, 0.2, 0.1, 0.1]
        assert (one.tile_size, one.filters, one.tile_divisor) == (288, "tile", 8)
        assert one.epochs == (200 if name in ("figure_05", "figure_06") else 120)
        assert one.activation == ("leaky_relu" if name == "figure_10" else "relu")
    else:
        # its tuning on one layer of 120 nodes, table 1's network in figures 9 and 13
        shape = (4, 100) if name in ("figure_09", "figure_13") else (1, 120)
        rate = 0.1995 if name == "figure_07_learning_rate" else 0.3  # searched there
        assert (one.optimizer, one.learning_rate, one.momentum, one.epochs) == ("sgd", rate, 0, 400)
        assert (one.hidden_layers, one.nodes, one.activation, one.patience) == (*shape, "relu", 0)
        assert one.penalty == (1e-10 if name == "figure_07_penalty" else 0)


@pytest.mark.parametrize("name", ["figure_05", "figure_06", "figure_10", "figure_11"])
def test_no_small_budget_normalises_by_batches_of_fewer_than_four_tiles(name):
    one = EXPERIMENTS[name].variant("sound", "small").baseline
    assert one.batch_norm and one.batch_pixels >= 4 * 288**2
    assert one.epochs * one.epoch_pixels // one.batch_pixels >= 100  # steps
