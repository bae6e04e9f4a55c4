"""Verdicts on made trials: what holds, what does not, what cannot be told; table 1 and the wishes."""

import numpy as np
import pandas as pd
import pytest
from made_trials import Trials

from glacier_ml.evaluation.reproduction.claims import CLAIMS, around
from glacier_ml.evaluation.reproduction.conclusions import COLUMNS, conclude
from glacier_ml.evaluation.reproduction.reported import REPORT_VALUES, STUDIES, values_of
from glacier_ml.evaluation.reproduction.wishes import WISH_COLUMNS, WISHES, answer_wishes, chosen_parameters


def verdict(trials, name, score="accuracy", protocol="report"):
    table = conclude(trials.table, trials.blocks, "small", repeats=300)
    chosen = (table["conclusion"] == name) & (table["score"] == score) & (table["protocol"] == protocol)
    return table[chosen].iloc[0]


def activations(relu, leaky, tanh, wobble):
    trials = Trials()
    for name, accuracy in (("relu", relu), ("leaky_relu", leaky), ("tanh", tanh), ("sigmoid", 0.5)):
        trials.add("figure_06", "report", accuracy, wobble, activation=name)
    return trials


def test_a_choice_holds_that_is_best_beyond_chance():
    found = verdict(activations(0.85, 0.8, 0.75, wobble=0.005), "ReLU for the U-Net")
    assert (found.holds, found.comparisons, found.blocks, found.paired) == ("holds", 3, 9, True)
    assert (found.best, found.chosen, found.rival) == ("ReLU", "ReLU", "leaky ReLU")
    assert found.difference == pytest.approx(0.05, abs=1e-3)
    assert found.low > 0
    assert found.decides and found.budget == "small" and found.trainings == 1


def test_a_choice_does_not_hold_where_another_is_better_beyond_chance():
    found = verdict(activations(0.8, 0.85, 0.75, wobble=0.005), "ReLU for the U-Net")
    assert found.holds == "does not hold"
    assert found.high < 0
    assert found.why.startswith("better beyond chance: leaky ReLU; worse beyond chance: tanh, sigmoid")


def test_nothing_can_be_told_where_a_rival_may_well_be_better():
    found = verdict(activations(0.8, 0.8, 0.8, wobble=0.06), "ReLU for the U-Net")
    assert found.holds == "cannot be told"
    assert found.low < -0.02 < found.high
    assert "could be better by more than 0.02" in found.why


def test_equal_rivals_within_the_margin_do_not_keep_a_choice_open():
    found = verdict(activations(0.8, 0.8, 0.75, wobble=0.0), "ReLU for the U-Net")
    assert found.holds == "holds"
    assert found.low == pytest.approx(found.high, abs=0.01) and abs(found.difference) < 1e-9


def test_nothing_can_be_told_where_all_are_equal():
    trials = Trials()
    for name in ("relu", "tanh"):
        trials.add("figure_08", "sound", 0.8, activation=name)
    found = verdict(trials, "ReLU for the FFNN", "iou", "sound")
    assert found.holds == "cannot be told"
    assert found.why == "no difference beyond chance, none above 0.02 in a rival's favour"


def test_the_correction_can_undo_what_one_comparison_would_tell():
    # Of ten blocks' differences .02 +- .024 the t test alone tells (t = 2.5), 63 of them together do not.
    trials = Trials()
    for layers in range(1, 9):
        for nodes in (10, 20, 40, 60, 80, 100, 120, 140):
            best = (layers, nodes) == (4, 100)
            values = {"hidden_layers": layers, "nodes": nodes}
            trials.add("figure_09", "report", 0.82 if best else 0.8, 0.024 if best else 0.0, **values)
    found = verdict(trials, "4 layers of 100 nodes")
    assert (found.comparisons, found.holds) == (63, "cannot be told")
    assert found.low < 0 < found.high


def test_larger_tiles_are_compared_unpaired_with_smaller_ones():
    trials = Trials()
    for size, accuracy in ((96, 0.8), (128, 0.81), (288, 0.95), (384, 0.93)):
        trials.add("figure_05", "report", accuracy, side=size, tile_size=size)
    found = verdict(trials, "larger tiles are better")
    assert (found.comparisons, found.paired, found.best) == (4, False, "288")
    assert found.holds == "holds"


def test_the_rate_of_the_report_stands_between_two_of_its_grid():
    trials = Trials()
    for rate, accuracy in ((0.0681, 0.7), (0.1995, 0.8), (0.5843, 0.9), (1.7113, 0.6)):
        trials.add("figure_07_learning_rate", "sound", accuracy, learning_rate=rate)
    found = verdict(trials, "learning rate about 0.3", "iou", "sound")
    assert (found.holds, found.chosen, found.rival) == ("holds", "0.5843", "0.0681")
    assert around(0.3)([0.1, 0.3, 1.0]) == [0.3]
    assert around(0.3)([1.0, 2.0]) == [1.0]


def test_the_networks_are_compared_across_studies():
    trials = Trials().add("figure_11", "sound", 0.9).add("figure_13", "sound", 0.8)
    found = verdict(trials, "U-Net over FFNN", "iou", "sound")
    # IoU of an accuracy a is a / (2 - a): 9/11 and 8/12, but for the blocks that differ
    assert found.difference == pytest.approx(9 / 11 - 8 / 12, abs=0.01)
    assert (found.holds, found.rival, found.comparisons) == ("holds", "final FFNN", 1)


def test_what_was_not_run_or_failed_is_told():
    trials = Trials().add("figure_08", "sound", 0.8, activation="relu")
    trials.add("figure_08", "sound", 0.3, activation="linear", scored=False)
    found = verdict(trials, "ReLU for the FFNN", "iou", "sound")
    assert found.holds == "cannot be told"
    assert found.why.endswith("lack anything to compare it with; failed or without scores: linear")
    assert verdict(trials, "tiles of 288 px", "iou", "sound").why == "not run"
    trials.add("figure_05", "sound", 0.8, tile_size=96)
    assert verdict(trials, "tiles of 288 px", "iou", "sound").why.endswith("lack the value itself")


def test_trainings_of_one_value_count_as_one():
    trials = Trials()
    for seed, accuracy in enumerate((0.7, 0.9)):
        trials.add("figure_08", "sound", accuracy, seed=seed, activation="relu")
        trials.add("figure_08", "sound", accuracy - 0.1, seed=seed, activation="tanh")
    found = verdict(trials, "ReLU for the FFNN", "iou", "sound")
    assert (found.trainings, found.comparisons, found.holds) == (2, 1, "cannot be told")


def test_without_a_trial_there_is_no_row():
    empty = pd.DataFrame(columns=["figure", "protocol", "seed", "trial"])
    assert conclude(empty, {}, "small").columns.tolist() == list(COLUMNS)
    assert answer_wishes(empty, {}, "small").columns.tolist() == list(WISH_COLUMNS)
    assert len(conclude(empty, {}, "small")) == len(chosen_parameters(empty, {})) == 0


def test_wishes_are_answered_against_what_the_report_used():
    trials = Trials()
    for noise, accuracy in ((0.0, 0.8), (0.01, 0.85), (0.03, 0.7)):
        trials.add("wished_noise", "sound", accuracy, 0.004, noise=noise)
    for head, accuracy in (("[]", 0.8), ("[32]", 0.8), ("[32, 32]", 0.7)):
        trials.add("wished_head", "sound", accuracy, head_nodes=head)
    for optimizer, rate, accuracy in (("adam", 0.0009, 0.8), ("adam", 0.0079, 0.7), ("sgd", 0.0009, 0.6)):
        trials.add("wished_optimiser", "sound", accuracy, optimizer=optimizer, learning_rate=rate)
    answers = answer_wishes(trials.table, trials.blocks, "small", repeats=300)
    best = answers[answers["best"] & answers["decides"]].set_index("wish")
    assert best.loc["wished_noise", "answer"].endswith("better beyond chance")
    assert best.loc["wished_noise", ["reference", "alternative", "comparisons"]].tolist() == ["0", "0.01", 2]
    assert best.loc["wished_head", ["reference", "alternative"]].tolist() == ["none", "32"]
    assert best.loc["wished_head", "answer"].endswith("cannot be told apart")
    assert best.loc["wished_optimiser", "reference"] == "Adam, 0.0009"
    assert best.loc["wished_optimiser", "answer"].endswith("worse beyond chance")
    assert (answers["score"].value_counts() == 6).all()


def test_thresholds_of_the_same_networks_are_compared_network_by_network():
    def answered(named):
        trials = Trials()
        for seed, level in enumerate((0.7, 0.8, 0.9)):
            for threshold, gain in ((0.5, 0.05 + 0.002 * seed), (0.7, 0.0)):
                values = {"threshold": threshold, "run_id": f"run{seed}" if named else np.nan}
                trials.add("wished_threshold", "sound", level + gain, seed=seed, **values)
        answers = answer_wishes(trials.table, trials.blocks, "small", repeats=300)
        return answers[(answers["wish"] == "wished_threshold") & answers["decides"]].iloc[0]

    assert answered(named=True)["answer"].endswith("better beyond chance")
    assert answered(named=False)["answer"].endswith("cannot be told apart")
    assert answered(named=True)["trainings"] == 3


def test_table_1_names_the_highest_value_of_each_protocol():
    trials = Trials()
    for size, accuracy in ((96, 0.8), (288, 0.85)):
        trials.add("figure_05", "report", accuracy, side=size, tile_size=size)
        trials.add("figure_05", "sound", 1.6 - accuracy, tile_size=size)
    table = chosen_parameters(trials.table, trials.blocks).set_index(["parameter", "protocol"])
    assert table.loc[("tile_size", "report"), "here"] == "288"
    assert table.loc[("tile_size", "sound"), ["report", "here", "score"]].tolist() == ["288", "96", "iou"]
    assert table.loc[("epochs", "sound"), "here"].tolist() == ["", ""]


def test_claims_and_wishes_name_studies_that_there_are():
    named = {study for claim in CLAIMS for study in claim.studies} | {wish.study for wish in WISHES}
    assert named == set(STUDIES)


def test_the_reports_values_are_shares_or_unknown():
    numbers = [x for one in REPORT_VALUES for x in (one.train, one.test, one.iou) if x is not None]
    assert len(numbers) == 8 + 8 + 8 + 2 + 12 and np.all((np.array(numbers) >= 0) & (np.array(numbers) <= 1))
    assert all(one.note for one in REPORT_VALUES if one.test is None)
    assert values_of("figure_06")["leaky_relu"].test == 0.885
