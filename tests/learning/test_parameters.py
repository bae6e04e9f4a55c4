"""Parameters: strict types, derived sizes, and errors that name place and key."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glacier_ml.errors import GlacierError
from glacier_ml.learning.parameters import FfnnParameters, UnetParameters, parse_parameters

UNET = {"network": "unet", "learning_rate": 1e-3, "tile_size": 96}
FFNN = {"network": "ffnn", "learning_rate": 1e-3, "tile_size": 1}


def test_the_network_decides_the_kind():
    assert isinstance(parse_parameters(UNET, "here"), UnetParameters)
    assert isinstance(parse_parameters(FFNN, "here"), FfnnParameters)


def test_defaults_of_the_per_pixel_network_are_the_reports():
    parameters = parse_parameters(FFNN, "here")
    assert (parameters.hidden_layers, parameters.nodes, parameters.activation) == (4, 100, "relu")


@pytest.mark.parametrize(
    ("changed", "filters", "stride"),
    [
        ({}, [16, 32, 64, 128, 256], 16),  # doubled at each of five resolutions; four poolings by 2
        ({"levels": 2, "base_filters": 4}, [4, 8], 2),
        ({"filters": [12, 24, 48, 96, 96]}, [12, 24, 48, 96, 96], 16),
        ({"levels": 8, "filters": [3, 5, 7]}, [3, 5, 7], 4),  # the list overrides levels
        # the report's rule: 256 / 8 = 32, doubled but for the bottom
        ({"filters": "tile"}, [32, 64, 128, 256, 256], 16),
        ({"filters": "tile", "tile_divisor": 64, "levels": 3}, [4, 8, 8], 4),
    ],
)
def test_filters_and_stride(changed, filters, stride):
    parameters = parse_parameters({**UNET, "tile_size": 256, **changed}, "here")
    assert parameters.level_filters == filters
    assert parameters.stride == stride


@pytest.mark.parametrize(
    ("changed", "key", "rule"),
    [
        ({"learning_rat": 0.1}, "learning_rat", "unknown key"),
        ({"hidden_layers": 4}, "hidden_layers", "unknown key"),  # the other network's
        ({"learning_rate": "1e-3"}, "learning_rate", "valid number.*found '1e-3'"),
        ({"learning_rate": 0.0}, "learning_rate", "greater than 0"),
        ({"tile_size": 96.0}, "tile_size", "valid integer"),
        ({"tile_size": 0}, "tile_size", "greater than or equal to 1"),
        ({"augment": 1}, "augment", "valid boolean"),
        ({"activation": "rellu"}, "activation", "'relu', 'leaky_relu'"),
        ({"optimizer": "lion"}, "optimizer", "'sgd', 'adam' or 'adamw'"),
        ({"precision": "float16"}, "precision", "mixed_bfloat16"),
        ({"monitor": "train/iou"}, "monitor", "'val/iou'"),
        ({"levels": 1}, "levels", "greater than or equal to 2"),
        ({"brightness": 1.0}, "brightness", "less than 1"),
        ({"penalty": -1e-3}, "penalty", "greater than or equal to 0"),
        ({"filters": [8, 0]}, r"filters\.1", "greater than or equal to 1"),
        ({"head_nodes": [0]}, r"head_nodes\.0", "greater than or equal to 1"),
        ({"glacier_weight": "even"}, "glacier_weight", "'balanced'|valid number"),
        ({"filters": "tile", "tile_divisor": 7}, "tile_divisor", "96 px is no multiple of 7"),
        ({"epoch_pixels": 0}, "epoch_pixels", "recipe: report alone"),
        ({"recipe": "report", "features": "spectral"}, "features", "report_ratio and report_ndsi"),
        ({"recipe": "report", "noise": 0.01}, "noise", "report has 0.0 .found 0.01"),
        ({"recipe": "report", "schedule": "cosine"}, "schedule", "report has fixed"),
    ],
)
def test_a_fault_names_place_key_and_rule_in_one_line(changed, key, rule):
    with pytest.raises(GlacierError, match=rf"^my\.yaml: {key}[:.].*({rule})") as caught:
        parse_parameters({**UNET, **changed}, "my.yaml")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("network", ["cnn", None, "UNET", 3, ["unet"], {"unet": 1}])
def test_an_unknown_network_is_refused(network):
    with pytest.raises(GlacierError, match="here: network: must be one of unet, ffnn"):
        parse_parameters({**UNET, "network": network}, "here")


def test_a_missing_key_is_named():
    with pytest.raises(GlacierError, match="here: learning_rate: Field required"):
        parse_parameters({"network": "unet", "tile_size": 96}, "here")


def test_a_tile_that_the_levels_cannot_halve_is_refused():
    # five levels pool four times: 100 / 16 is not whole, and skips would not meet their equals
    with pytest.raises(GlacierError, match="here: tile_size: 100 px is no multiple of 16"):
        parse_parameters({**UNET, "tile_size": 100}, "here")


def test_a_dropout_list_of_the_wrong_length_is_refused():
    # five levels have nine pairs of convolutions, down and up
    with pytest.raises(GlacierError, match="dropout: 5 levels need 9 values, down and up .found 3"):
        parse_parameters({**UNET, "dropout": [0.1, 0.2, 0.3]}, "here")
    assert parse_parameters({**UNET, "dropout": [0.1] * 9}, "here").dropout == [0.1] * 9


def test_the_reports_recipe_fills_in_what_the_report_did():
    unet = parse_parameters({"network": "unet", "recipe": "report", "tile_size": 288}, "here")
    assert (unet.optimizer, unet.epochs, unet.schedule, unet.clip_norm) == ("adam", 200, "fixed", 0)
    assert (unet.monitor, unet.patience, unet.keep_best) == ("train/accuracy", 15, False)
    assert unet.level_filters == [36, 72, 144, 288, 288]
    assert unet.dropout == [0.1, 0.1, 0.2, 0.2, 0.3, 0.2, 0.2, 0.1, 0.1] and not unet.batch_norm
    ffnn = parse_parameters({"network": "ffnn", "recipe": "report"}, "here")
    assert (ffnn.optimizer, ffnn.learning_rate, ffnn.momentum, ffnn.epochs) == ("sgd", 0.3, 0, 400)
    assert (ffnn.hidden_layers, ffnn.nodes, ffnn.activation, ffnn.penalty) == (4, 100, "relu", 0)
    assert ffnn.patience == 0  # early stopping was established "in this U-Net model" (section 3.2)


def test_what_is_given_beside_the_recipe_counts():
    given = {"network": "ffnn", "recipe": "report", "patience": 3, "momentum": 0.9, "batch_pixels": 256}
    parameters = parse_parameters(given, "here")
    assert (parameters.patience, parameters.momentum, parameters.batch_pixels) == (3, 0.9, 256)


def test_the_reports_pixels_come_one_by_one():
    with pytest.raises(GlacierError, match="tile_size: recipe: report takes single pixels .found 32"):
        parse_parameters({"network": "ffnn", "recipe": "report", "tile_size": 32}, "here")


def test_parameters_stored_before_there_were_recipes_are_sound():
    old = {**UNET, "features": "spectral", "monitor": "val/iou", "batch_norm": True}
    parameters = parse_parameters(old, "here")
    assert (parameters.recipe, parameters.keep_best) == ("sound", True)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "recipe": st.sampled_from(["sound", "report"]),
            "learning_rate": st.floats(1e-8, 10),
            "penalty": st.floats(0, 1),
            "levels": st.integers(2, 5),
            "dropout": st.floats(0, 0.9) | st.just([0.1] * 9),
            "glacier_weight": st.floats(0.1, 10) | st.just("balanced"),
            "head_nodes": st.lists(st.integers(1, 30), max_size=2),
        },
    ).filter(lambda values: not (isinstance(values.get("dropout"), list) and values.get("levels", 5) != 5))
)
def test_parameters_come_back_from_json_as_they_were(values):
    if values.get("recipe") == "report":
        values = {key: value for key, value in values.items() if key != "glacier_weight"}
        values["features"] = "report_ndsi"
    parameters = parse_parameters({**UNET, **values}, "here")
    assert parse_parameters(json.loads(json.dumps(parameters.model_dump())), "here") == parameters


def test_parameters_are_fixed():
    with pytest.raises(ValueError, match="frozen"):
        parse_parameters(UNET, "here").learning_rate = 1.0
