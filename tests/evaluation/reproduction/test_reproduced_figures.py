"""The report's curves and heat maps on made trials: what is drawn and said; how it looks is for eyes."""

import numpy as np
import pandas as pd
import pytest
from made_trials import Trials

from glacier_ml.errors import GlacierError
from glacier_ml.evaluation.figures import new_figure
from glacier_ml.evaluation.reproduction.figures import draw_curves, draw_heat_maps, last_epochs, save_small

RATES = (0.0681, 0.1995, 0.5843)


@pytest.fixture(scope="module")
def trials():
    made = Trials()
    for protocol in ("report", "sound"):
        for activation, accuracy in (("relu", 0.85), ("tanh", 0.8), ("leaky_relu", 0.9)):
            made.add("figure_06", protocol, accuracy, activation=activation)
        for rate, accuracy in zip(RATES, (0.7, 0.8, 0.75), strict=True):
            made.add("figure_07_learning_rate", protocol, accuracy, learning_rate=rate)
        for layers in (1, 4):
            for nodes in (10, 100):
                values = {"hidden_layers": layers, "nodes": nodes}
                made.add("figure_09", protocol, 0.7 + 0.01 * layers + 0.001 * nodes, **values)
    return made.table


def lines(axes):
    return {line.get_label(): line for line in axes.lines if not line.get_label().startswith("_")}


def test_curves_are_drawn_in_the_reports_two_panels_and_colours(trials):
    figure = draw_curves(trials, "figure_06", "report", "small")
    train, test, _ = figure.axes
    assert (train.get_title(), test.get_title()) == ("train: accuracy", "test (leaky): accuracy")
    assert list(lines(test)) == ["leaky ReLU", "ReLU", "tanh"]
    colours = {name: line.get_color() for name, line in lines(test).items()}
    assert colours == {"leaky ReLU": "#D55E00", "ReLU": "#009E73", "tanh": "#E69F00"}
    np.testing.assert_allclose(lines(test)["ReLU"].get_xdata(), [1, 2, 3])
    np.testing.assert_allclose(lines(test)["ReLU"].get_ydata()[-1], 0.85)
    assert "Figure 6" in figure.get_suptitle() and "report protocol, small budget" in figure.get_suptitle()


def test_curves_stand_beside_the_reports_values(trials):
    figure = draw_curves(trials, "figure_06", "report")
    _, test, beside = figure.axes
    told = {cell: text.get_text().get_text() for cell, text in beside.tables[0].get_celld().items()}
    assert [told[1, column] for column in range(6)] == [
        "leaky ReLU",
        "1.000",
        "0.885",
        "0.950",
        "0.900",
        "0.800",
    ]
    levels = sorted(float(line.get_ydata()[0]) for line in test.lines if line.get_marker() == "<")
    assert levels == [0.84, 0.85, 0.885]


def test_other_protocols_show_glacier_iou_too(trials):
    figure = draw_curves(trials, "figure_06", "sound")
    titles = [axes.get_title() for axes in figure.axes[:4]]
    assert titles[1:] == ["validation: accuracy", "train: glacier IoU", "validation: glacier IoU"]


def test_trainings_of_one_value_are_averaged():
    made = Trials().add("figure_08", "report", 0.7, activation="relu")
    made.add("figure_08", "report", 0.9, seed=1, activation="relu")
    figure = draw_curves(made.table, "figure_08", "report")
    assert figure.get_suptitle().endswith("report protocol, mean over 2 seeds")
    made.add("figure_08", "report", 0.9, seed=1, activation="tanh")  # seed 0 has none
    assert draw_curves(made.table, "figure_08", "report").get_suptitle().endswith("mean over up to 2 seeds")
    np.testing.assert_allclose(lines(figure.axes[1])["ReLU"].get_ydata()[-1], 0.8)


def test_rates_are_drawn_by_epoch_with_the_reports_between_its_grid(trials):
    figure = draw_heat_maps(trials, "figure_07", "report", "small")
    train, test = figure.axes[:2]
    assert train.images[0].get_array().shape == (3, 3)  # rates x epochs
    np.testing.assert_allclose(test.images[0].get_array()[:, -1], [0.7, 0.8, 0.75])
    assert test.get_title() == "test (leaky): accuracy, best at the end 0.800 at 0.1995"
    assert 1 < test.lines[0].get_ydata()[0] < 2  # .3 lies between the second and the third
    assert "no number: the plot is a heat map of colours" in figure.get_supxlabel()


def test_layers_and_nodes_are_drawn_at_the_last_epoch_with_their_numbers(trials):
    figure = draw_heat_maps(trials, "figure_09", "sound")
    test = figure.axes[1]
    assert [text.get_text() for text in test.texts] == [".720", ".810", ".750", ".840"]
    assert test.get_title() == "validation: accuracy, best 0.840 at 4 x 100"
    assert "train 0.858, test 0.858" in figure.get_supxlabel()


def test_a_trial_that_failed_early_is_drawn_as_far_as_it_went(trials):
    early = trials[(trials["figure"] != "figure_07_learning_rate") | (trials["learning_rate"] < 0.5)]
    failed = trials[(trials["learning_rate"] > 0.5) & (trials["epoch"] == 1)]
    figure = draw_heat_maps(pd.concat([early, failed]), "figure_07", "report")
    assert np.isnan(figure.axes[1].images[0].get_array().filled(np.nan)[2, 1:]).all()


def test_equal_values_have_one_colour_and_no_single_best():
    made = Trials()
    for layers in (1, 2):
        made.add("figure_09", "report", 0.9, hidden_layers=layers, nodes=10)
    train, test = draw_heat_maps(made.table, "figure_09", "report").axes[:2]
    assert test.get_title() == "test (leaky): accuracy, best 0.900 at 1 x 10 and 1 more"
    assert train.images[0].get_clim() == test.images[0].get_clim() == pytest.approx((0.9, 0.95))


def test_a_grid_whose_trials_all_failed_is_drawn_empty():
    made = Trials().add("figure_09", "report", float("nan"), hidden_layers=1, nodes=10, scored=False)
    assert draw_heat_maps(made.table, "figure_09", "report").axes[1].get_title().endswith("no value")


def test_a_figure_without_trials_is_told(trials):
    for draw, figure in ((draw_curves, "figure_05"), (draw_heat_maps, "figure_07")):
        with pytest.raises(GlacierError, match=f"{figure}.*has no trial under the protocol wild"):
            draw(trials, figure, "wild")


def test_the_last_epoch_of_each_trial_counts(trials):
    seeds = pd.DataFrame({"seed": [0, 0, 1, 1], "trial": [0, 0, 0, 0], "epoch": [1, 2, 1, 3]})
    assert last_epochs(seeds)["epoch"].tolist() == [2, 3]
    last = last_epochs(trials[(trials["figure"] == "figure_06") & (trials["protocol"] == "report")])
    assert last["epoch"].tolist() == [3, 3, 3]


def test_pictures_are_written_small_enough_to_keep(tmp_path):
    from PIL import Image

    figure = new_figure(2, 2)
    figure.add_subplot().imshow(np.random.default_rng(0).random((100, 100)))
    for kilobytes, width in (
        (150, 220),
        (1, 140),
    ):  # at 110 dots an inch, and at 70: noise does not get small
        save_small(figure, tmp_path / "noise.png", kilobytes)
        with Image.open(tmp_path / "noise.png") as image:
            assert (image.mode, image.width) == ("P", width)
