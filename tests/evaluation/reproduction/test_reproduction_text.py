"""The README of a reproduction: every verdict, every wish, the report's values beside those found."""

import pandas as pd
import pytest
from made_trials import Trials

from glacier_ml.evaluation.reproduction.conclusions import conclude
from glacier_ml.evaluation.reproduction.tables import batch_table, curve_table, heat_table, map_table
from glacier_ml.evaluation.reproduction.text import summary
from glacier_ml.evaluation.reproduction.wishes import answer_wishes, chosen_parameters


@pytest.fixture(scope="module")
def trials():
    made = Trials()
    for size, accuracy in ((96, 0.8), (288, 0.85)):
        made.add("figure_05", "report", accuracy, side=size, tile_size=size)
        made.add("figure_05", "sound", accuracy - 0.1, tile_size=size)
    for rate, accuracy in ((0.1995, 0.8), (0.5843, 0.7)):
        made.add("figure_07_learning_rate", "report", accuracy, learning_rate=rate)
    for layers, accuracy in ((1, 0.7), (4, 0.75)):
        made.add("figure_09", "sound", accuracy, hidden_layers=layers, nodes=100)
    for noise, accuracy in ((0.0, 0.8), (0.01, 0.9)):
        made.add("wished_noise", "sound", accuracy, 0.004, noise=noise)
    return made


def written(made, maps=None, pictures=()):
    table, blocks = made.table, made.blocks
    found = [
        conclude(table, blocks, "small", repeats=100),
        answer_wishes(table, blocks, "small", repeats=100),
    ]
    scores = pd.DataFrame() if maps is None else maps
    return summary(table, *found, chosen_parameters(table, blocks), scores, "small", pictures)


def test_the_readme_names_budget_verdicts_and_how_they_were_judged(trials):
    text = written(trials)
    assert "Budget **small**: scaled down" in text
    assert "| larger tiles are better | test accuracy .84, .86 at 96, 128 px" in text
    assert "Bonferroni" in text
    assert "Each value was trained once" in text
    assert "not for the 4 conclusions together" in text
    assert "**cannot be told** | - | - | the sound trials of this budget lack the value itself" not in text
    assert "Not run: ReLU for the U-Net (report); " in text


def test_the_readme_answers_a_wish_with_a_number_and_an_interval(trials):
    text = written(trials)
    (line,) = [line for line in text.splitlines() if line.startswith("**Does noise")]
    # IoU of an accuracy a is a / (2 - a): .9/1.1 - .8/1.2 = .1515, but for the blocks that differ
    assert "Another choice is better beyond chance" in line and "differs from 0 by +0.15" in line
    assert "intervals corrected for 1 comparison, one seed." in line


def test_the_readme_says_which_verdicts_hold_what_other_seeds_do():
    made = Trials()
    for seed in (0, 1, 2):
        for noise, accuracy in ((0.0, 0.8), (0.01, 0.9)):
            made.add("wished_noise", "sound", accuracy + 0.001 * seed, 0.004, seed=seed, noise=noise)
        made.add("figure_08", "sound", 0.8 + 0.001 * seed, seed=seed, activation="relu")
        made.add("figure_08", "sound", 0.7 + 0.001 * seed, seed=seed, activation="tanh")
    text = written(made)
    assert "intervals corrected for 1 comparison, 3 seeds.)" in text
    assert "paired, 3 seeds |" in text and "trained once" not in text
    assert "Intervals of several seeds hold what other seeds would have done, too." in text
    for size in (96, 288):
        made.add("figure_05", "sound", 0.8, tile_size=size)
    assert "Where a value was trained from one seed: the intervals hold what other blocks" in written(made)


def test_pictures_stand_in_their_figures_section(trials):
    text = written(trials, pictures=["figure_05_sound.png", "figure_05_report.png", "figure_03.png"])
    assert (
        text.index("(figure_03.png)") < text.index("(figure_05_report.png)") < text.index("(figure_05_sound")
    )
    assert "## Figure 12" not in text  # neither drawn nor run


def test_curves_have_the_reports_values_beside_them(trials):
    table = curve_table(trials.table, "figure_05").splitlines()
    assert table[0].startswith("| tile size | the report: train | test | report protocol: train |")
    assert table[2] == "| 96 | 0.990 | 0.840 | 0.850 | 0.800 | 0.700 | 0.750 | 0.700 | 0.600 |"
    assert curve_table(trials.table, "figure_06") == ""


def test_heat_maps_say_where_the_report_gives_no_number(trials):
    assert "| 0.1995 | - | 0.850 | 0.800 | 0.700 |" in heat_table(trials.table, "figure_07")
    layers = heat_table(trials.table, "figure_09")
    assert "| the report, best of all | - | 0.858 | 0.858 | - |" in layers
    assert "| sound protocol, best test | 4 x 100 | 0.800 | 0.750 | 0.650 |" in layers


def test_maps_stand_beside_the_reports_or_have_no_score():
    columns = (
        "figure protocol scene trained cut threshold accuracy iou reported_accuracy reported_iou".split()
    )
    rows = [
        ("figure_11", "sound", "columbia-2007", True, "own", 0.5, 0.9, 0.8, 0.97, 0.84),
        ("figure_12", "sound", "valdez-3", False, "own", 0.5, *[float("nan")] * 4),
    ]
    maps = pd.DataFrame(rows, columns=columns)
    expected = "| columbia-2007 | yes | 0.970 / 0.840 | sound | 0.50 (own) | 0.900 / 0.800 |"
    assert map_table(maps, "figure_11").splitlines()[-1] == expected
    assert map_table(maps, "figure_12").startswith("No score: these scenes have no outlines")
    assert map_table(pd.DataFrame(), "figure_11") == ""


def test_the_batch_that_memory_allowed_is_named(trials):
    assert "| figure_05 | report | 16 |" in batch_table(trials.table)
    assert "left no count" in batch_table(trials.table.drop(columns="batch"))


def test_a_reproduction_without_a_trial_says_so():
    empty = Trials()
    empty.rows = [{"figure": "figure_05", "protocol": "sound", "seed": 0, "trial": 0, "tile_size": 96}]
    table = empty.table.iloc[:0]
    results = [conclude(table, {}, "tiny"), answer_wishes(table, {}, "tiny"), chosen_parameters(table, {})]
    text = summary(table, *results, pd.DataFrame(), "tiny", ["figure_03.png"])
    assert text.count("No trial") == 3 and "(figure_03.png)" in text
