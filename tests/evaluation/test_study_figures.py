"""Pictures of a study: trials told apart by how they ended, panels by parameter, nothing without trials."""

import pandas as pd
import pytest

from glacier_ml.evaluation.study_figures import draw_curves, draw_history, draw_importances, draw_slices


@pytest.fixture
def trials():
    """Two complete, one pruned, one failed, one waiting trial."""
    return pd.DataFrame(
        {
            "number": [0, 1, 2, 3, 4],
            "state": ["complete", "complete", "pruned", "failed", "waiting"],
            "value": [0.5, 0.8, None, None, None],
            "highest": [0.5, 0.8, 0.6, None, None],
            "params_learning_rate": [0.001, 0.01, 0.1, 0.1, 0.01],
            "params_head": pd.array(["[]", "[32]", "[]", "[]", None], dtype="string"),
            "params_unknown": [None] * 5,
        }
    )


@pytest.fixture
def epochs():
    rows = [(0, 1, 0.4), (0, 2, 0.5), (1, 1, 0.7), (1, 2, 0.8), (2, 1, 0.6), (3, 1, 0.1)]
    return pd.DataFrame(rows, columns=["number", "epoch", "value"])


def told(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


def points(axes, colour=None):
    """Drawn points, of one colour if given: (x, y), rounded."""
    lines = [line for line in axes.lines if line.get_marker() == "o" and colour in (None, line.get_color())]
    return [(round(float(x), 3), round(float(y), 3)) for line in lines for x, y in line.get_xydata()]


def test_the_history_shows_every_end_and_the_best_so_far(trials):
    (axes,) = draw_history(trials).axes
    assert told(axes) == [
        "best so far, 0.800",
        "complete, 2",
        "pruned, 1: highest until then",
        "failed, 1",
    ]
    assert points(axes) == [(0, 0.5), (1, 0.8), (2, 0.6)]
    best = next(line for line in axes.lines if line.get_drawstyle() == "steps-post")
    assert list(best.get_ydata()) == [0.5, 0.8]


def test_curves_tell_pruned_trials_and_the_best_apart(trials, epochs):
    (axes,) = draw_curves(trials, epochs).axes
    assert told(axes) == ["trial 1, the best", "others, complete, 1", "pruned, 1", "failed, 1"]
    curves = {tuple(line.get_ydata()): line for line in axes.lines if len(line.get_ydata())}
    assert set(curves) == {(0.4, 0.5), (0.7, 0.8), (0.6,), (0.1,)}
    assert curves[0.7, 0.8].get_linewidth() > curves[0.4, 0.5].get_linewidth()
    assert (curves[(0.6,)].get_linestyle(), curves[(0.6,)].get_marker()) == ("--", "x")


def test_slices_have_a_panel_for_each_parameter_that_was_searched(trials):
    shown = [axes for axes in draw_slices(trials, {"learning_rate"}).axes if axes.get_visible()]
    assert [axes.get_xlabel() for axes in shown] == ["learning_rate", "head"]
    assert [axes.get_xscale() for axes in shown] == ["log", "linear"]
    rate, head = shown
    assert sorted(points(rate)) == [(0.001, 0.5), (0.01, 0.8), (0.01, 0.8), (0.1, 0.6)]  # the best one twice
    assert [tick.get_text() for tick in head.get_xticklabels()] == ["[32]", "[]"]
    places = [round(x) for x, _ in sorted(points(head), key=lambda point: point[1])]
    assert places == [1, 1, 0, 0]  # .5 and .6 are of [], .8 of [32]


def test_importances_are_bars_the_largest_on_top():
    (axes,) = draw_importances({"learning_rate": 0.7, "head": 0.3}, 12).axes
    assert [bar.get_width() for bar in axes.patches] == [0.3, 0.7]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["head", "learning_rate"]
    assert axes.get_title().endswith("12 complete trials are the best; 50 are wanted")
    assert draw_importances({"head": 1.0}, 50).axes[0].get_title().endswith("are the best")


def test_nothing_is_drawn_of_nothing(trials, epochs):
    assert draw_history(trials[:0]) is None
    assert draw_curves(trials, epochs[:0]) is None
    assert draw_slices(trials[trials.state == "failed"]) is None
    assert draw_importances({}, 0) is None


def test_a_study_without_a_complete_trial_is_drawn(trials, epochs):
    trials, epochs = trials[2:], epochs[epochs.number >= 2]
    assert told(draw_history(trials).axes[0]) == ["pruned, 1: highest until then", "failed, 1"]
    assert told(draw_curves(trials, epochs).axes[0]) == ["pruned, 1", "failed, 1"]
    assert len(points(draw_slices(trials).axes[0])) == 1
