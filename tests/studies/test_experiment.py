"""Experiment files: the shipped ones, and every mistake told in one line with file and key."""

import re
from pathlib import Path

import pytest
import yaml

from glacier_ml.errors import GlacierError
from glacier_ml.learning.parameters import parse_parameters
from glacier_ml.learning.splits import SplitRule
from glacier_ml.studies.experiment import Choices, Experiment, Range, read_experiment
from glacier_ml.studies.stopping import Plateau

SHIPPED = Path(__file__).resolve().parents[2] / "experiments"
UNET = {
    "name": "quick",
    "parameters": {"network": "unet", "learning_rate": 0.001, "tile_size": 96},
    "search": {"levels": {"low": 4, "high": 6}, "activation": {"choices": ["relu", "tanh"]}},
}


@pytest.fixture
def written(tmp_path):
    """Factory of experiment files: UNET with keys replaced, or any text."""

    def write(text=None, **changed):
        path = tmp_path / "my.yaml"
        path.write_text(yaml.safe_dump(UNET | changed) if text is None else text)
        return path

    return write


def refused(path, match, network=None):
    with pytest.raises(GlacierError, match=match) as caught:
        read_experiment(path, network)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message


@pytest.mark.parametrize("network", ["unet", "ffnn"])
def test_the_shipped_experiments_are_valid_and_search_what_they_should(network):
    experiment = read_experiment(SHIPPED / f"{network}.yaml", network)
    assert experiment.network == experiment.name == network
    shared = {"learning_rate", "penalty", "activation", "tile_size"}
    own = {"levels", "base_filters"} if network == "unet" else {"hidden_layers", "nodes"}
    assert set(experiment.search) == shared | own
    assert experiment.baseline.features == "spectral"
    assert experiment.split_rule == SplitRule("block", 0, 0.2, 128, 16)


@pytest.mark.parametrize("network", ["unet", "ffnn"])
def test_the_shipped_baseline_lies_within_its_search(network):
    experiment = read_experiment(SHIPPED / f"{network}.yaml")
    for name, space in experiment.search.items():
        value = getattr(experiment.baseline, name)
        inside = value in space.choices if isinstance(space, Choices) else space.low <= value <= space.high
        assert inside, name


def test_every_tile_size_of_the_shipped_search_fits_every_number_of_levels():
    experiment = read_experiment(SHIPPED / "unet.yaml")
    levels = experiment.search["levels"]
    for size in experiment.search["tile_size"].choices:
        for count in range(levels.low, levels.high + 1):
            assert experiment.with_values({"tile_size": size, "levels": count}).tile_size == size


def test_powers_of_ten_read_as_numbers(written):
    text = (
        "name: quick\n"
        "parameters: {network: ffnn, learning_rate: 1e-3, penalty: 2.5E+0, tile_size: 1}\n"
        "search: {learning_rate: {low: 1e-4, high: 1e1, log: true}}\n"
    )
    experiment = read_experiment(written(text))
    assert (experiment.baseline.learning_rate, experiment.baseline.penalty) == (0.001, 2.5)
    space = experiment.search["learning_rate"]
    assert (space.low, space.high, space.whole) == (1e-4, 10.0, False)
    # and other readers of YAML in the same program read as before
    assert yaml.safe_load("1e-3") == "1e-3"


def test_a_range_of_whole_numbers_is_whole(written):
    search = read_experiment(written()).search
    assert isinstance(search["levels"], Range) and search["levels"].whole
    assert search["activation"].choices == ["relu", "tanh"]


def test_values_replace_those_of_the_baseline(written):
    experiment = read_experiment(written())
    assert experiment.with_values({"levels": 6}) == parse_parameters({**UNET["parameters"], "levels": 6}, "")
    assert experiment.baseline.levels == 5
    with pytest.raises(GlacierError, match="^experiment quick: levels: "):
        experiment.with_values({"levels": 60})


PARAMETERS = UNET["parameters"]


@pytest.mark.parametrize(
    ("changed", "match"),
    [
        ({"trails": 3}, "trails: unknown key"),
        ({"trials": "12"}, "trials: .*valid integer.*'12'"),
        ({"trials": 0}, "trials: .*greater than or equal to 1"),
        ({"name": "My study"}, "name: .*pattern"),
        ({"memory_limit": 1.5}, "memory_limit: .*less than or equal to 1"),
        ({"sampler": "bayes"}, "sampler: .*'tpe', 'random' or 'grid'"),
        ({"split": {"protocol": "blocks"}}, r"split\.protocol: .*'block'"),
        ({"split": {"gaps": 3}}, r"split\.gaps: unknown key"),
        ({"split_seed": -1}, "split_seed: "),
        ({"parameters": [1]}, "parameters: .*dictionary"),
        ({"parameters": {}}, "parameters: network: must be one of unet, ffnn"),
        ({"parameters": {**PARAMETERS, "leavels": 4}}, "parameters: leavels: unknown key"),
        ({"parameters": {**PARAMETERS, "augment": "yes"}}, "parameters: augment: .*boolean"),
        (
            {"parameters": {**PARAMETERS, "features": "spectrall"}},
            "parameters: .*'spectrall' is not a feature",
        ),
        ({"parameters": {**PARAMETERS, "tile_size": 100}}, "parameters: tile_size: 100 px is no multiple"),
        ({"stop": {"patience": 5}}, r"stop\.rule: Field required"),
        ({"stop": {"rule": "median"}}, r"stop\.rule: Input should be 'plateau' \(found 'median'\)"),
        ({"stop": {"rule": "plateau", "patiance": 5}}, r"stop\.patiance: unknown key"),
        ({"stop": {"rule": "plateau", "patience": 0}}, r"stop\.patience: .*greater than or equal to 1"),
        ({"stop": {"rule": "plateau", "patience": 2.5}}, r"stop\.patience: .*valid integer"),
        ({"stop": {"rule": "plateau", "gain": -0.1}}, r"stop\.gain: .*greater than or equal to 0"),
        ({"stop": {"rule": "plateau", "gain": 1}}, r"stop\.gain: .*less than 1"),
        ({"stop": {"rule": "plateau", "at_least": 0}}, r"stop\.at_least: .*greater than or equal to 1"),
        ({"stop": "never"}, r"stop: Input should be 'none' \(found 'never'\)"),
        ({"stop": False}, r"stop: .*dictionary.*\(found False\)"),
    ],
)
def test_a_mistake_is_told_with_file_and_key(written, changed, match):
    refused(written(**changed), match)


@pytest.mark.parametrize(
    ("name", "space", "match"),
    [
        ("nodes", {"low": 4, "high": 8}, "search.nodes: no parameter of a unet; choose among activation"),
        ("network", {"choices": ["unet", "ffnn"]}, "search.network: no parameter"),
        ("levels", {"low": 6, "high": 4}, "search.levels: low must be below high"),
        ("levels", {"low": 4, "high": 4}, "search.levels: low must be below high"),
        ("levels", {"low": 4, "high": 9}, "search.levels: levels: .*less than or equal to 8.*9"),
        ("levels", {"low": 4.0, "high": 6.5}, "search.levels: levels: .*integer"),
        ("penalty", {"low": 0, "high": 1.0, "log": True}, "search.penalty: low must be .*above 0"),
        ("learning_rate", {"low": 0.0, "high": 1.0}, "search.learning_rate: learning_rate: .*greater than 0"),
        ("activation", {"choices": ["relu", "rellu"]}, "search.activation: activation: .*'rellu'"),
        ("activation", {"choices": []}, "search.activation.choices: .*at least 1"),
        ("tile_size", {"choices": [96, 100]}, "search.tile_size: tile_size: 100 px is no multiple of 16"),
        ("features", {"choices": ["spectral", "all"]}, "search.features: .*'all' is not a feature set"),
        ("levels", {"low": 4, "hihg": 6}, r"search\.levels"),
        ("levels", 5, r"search\.levels"),
    ],
)
def test_a_mistake_in_the_search_is_told_with_file_and_key(written, name, space, match):
    refused(written(search={name: space}), match)


def test_a_grid_needs_choices(written):
    refused(written(sampler="grid"), "sampler: a grid needs choices for every searched parameter")
    choices = {"levels": {"choices": [4, 5]}}
    assert read_experiment(written(sampler="grid", search=choices)).sampler == "grid"


def test_a_rule_for_stopping_is_read_with_its_defaults(written):
    stop = {"rule": "plateau", "patience": 5, "gain": 0.01, "at_least": 6}
    assert read_experiment(written(stop=stop)).stop_rule == Plateau(patience=5, gain=0.01, at_least=6)
    assert read_experiment(written(stop={"rule": "plateau"})).stop_rule == Plateau()
    assert read_experiment(written()).stop_rule == Plateau()  # to advise by
    text = yaml.safe_dump(UNET) + "stop: none\n"
    assert read_experiment(written(text)).stop_rule is None


def test_the_points_of_a_grid_are_all_tried(written):
    grid = {"sampler": "grid", "search": {"levels": {"choices": [4, 5]}}}
    assert read_experiment(written(**grid)).stop_rule is None
    assert read_experiment(written(**grid, stop="none")).stop_rule is None
    refused(written(**grid, stop={"rule": "plateau"}), "stop: a grid tries all of its points; leave stop out")


def test_a_variant_keeps_the_rule_for_stopping(written):
    budgets = {"tiny": {"parameters": {"epochs": 1}}}
    for stop in ({"rule": "plateau", "patience": 5}, "none"):
        experiment = read_experiment(written(stop=stop, budgets=budgets))
        assert experiment.variant("sound", "tiny").stop_rule == experiment.stop_rule


@pytest.mark.parametrize("missing", ["name", "parameters"])
def test_a_missing_key_is_named(written, missing):
    text = yaml.safe_dump({key: value for key, value in UNET.items() if key != missing})
    refused(written(text), f"{missing}: Field required")


@pytest.mark.parametrize("text", ["name: [unclosed", "a: b: c", "\tname: x"])
def test_what_is_not_yaml_is_told_in_one_line(written, text):
    refused(written(text), "not valid YAML")


def test_bytes_that_are_no_text_are_told_in_one_line(tmp_path):
    path = tmp_path / "my.yaml"
    path.write_bytes(b"II*\x00\xff\xfe\x89")
    refused(path, "not valid YAML")


@pytest.mark.parametrize("text", ["", "- 1", "just words", "3"])
def test_what_is_no_mapping_is_told_in_one_line(written, text):
    refused(written(text), "the file: .*dictionary")


def test_a_missing_file_is_told_with_where_to_look(tmp_path):
    refused(tmp_path / "none.yaml", "no such experiment file; see experiments/")
    refused(tmp_path, "no such experiment file")


def test_the_wrong_network_is_told_with_the_right_command(written):
    refused(written(), "network: is unet, this command tunes a ffnn; use tune_unet", "ffnn")
    assert read_experiment(written(), "unet").network == "unet"


CHANGES = {
    "name": "other",
    "title": "What?",
    "thresholds": [0.5],
    "protocols": {"report": {"parameters": {"penalty": 0.1}}},
    "budgets": {"tiny": {"parameters": {"epochs": 1}}},
    "parameters": {**PARAMETERS, "penalty": 0.1},
    "search": {"levels": {"low": 4, "high": 5}},
    "split_seed": 1,
    "split": {"gap": 8},
    "trials": 99,
    "stop": {"rule": "plateau"},
    "final_epochs": 3,
    "sampler": "random",
    "pruner": "none",
    "startup_trials": 1,
    "warmup_epochs": 1,
    "memory_limit": 0.5,
}


def test_the_digest_ignores_what_shapes_no_trial_and_nothing_else(written):
    assert set(CHANGES) == set(Experiment.model_fields)  # a new key must be decided on here
    digest = read_experiment(written()).digest
    same = {
        name for name, value in CHANGES.items() if read_experiment(written(**{name: value})).digest == digest
    }
    assert same == {"title", "trials", "stop", "thresholds", "protocols", "budgets"}
    assert re.fullmatch("[0-9a-f]{64}", digest)


def test_the_digest_ignores_the_order_of_keys_and_defaults_written_out(written):
    digest = read_experiment(written()).digest
    assert read_experiment(written(yaml.safe_dump(UNET, sort_keys=False))).digest == digest
    assert read_experiment(written(sampler="tpe", split={"protocol": "block"})).digest == digest


def test_an_experiment_is_fixed(written):
    with pytest.raises(ValueError, match="frozen"):
        read_experiment(written()).trials = 3


def test_a_key_given_twice_is_refused(tmp_path):
    path = tmp_path / "twice.yaml"
    path.write_text("name: a\nname: b\n")
    with pytest.raises(GlacierError, match="twice.yaml: not valid YAML: key 'name' is given twice"):
        read_experiment(path)


def test_tile_sizes_must_fit_every_searched_number_of_levels(written):
    # 48 px suits 5 levels (stride 16), 96 px even 6, but 48 px at 6 levels would be pooled by 32.
    search = {"levels": {"low": 4, "high": 6}, "tile_size": {"choices": [48, 96]}}
    match = "search.tile_size, search.levels: tile_size: 48 px is no multiple of 32"
    refused(written(search=search), match)
    refused(written(search={"tile_size": {"low": 96, "high": 288}}), "few sizes from 96 to 288 px fit")
