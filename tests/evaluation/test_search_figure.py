"""The picture of a search: its steps, marks and plateau, against trials worked by hand."""

import numpy as np
import pytest

from glacier_ml.evaluation.search_figure import search_progress

VALUES = [0.5, None, 0.9, 0.7, 0.6]
STATES = ["complete", "failed", "pruned", "complete", "complete"]


@pytest.fixture
def axes():
    return search_progress(VALUES, STATES, (4, 5), "ffnn-1$2").axes[0]


def labels(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


def test_the_best_so_far_is_that_of_complete_trials(axes):
    (best, _) = axes.lines  # the other is where the rule stops
    np.testing.assert_array_equal(best.get_xdata(), [1, 2, 3, 4, 5])
    np.testing.assert_allclose(best.get_ydata(), [0.5, 0.5, 0.5, 0.7, 0.7])  # the pruned .9 is none


def test_every_trial_is_marked_by_its_end(axes):
    marks = {marks.get_label(): marks.get_offsets().tolist() for marks in axes.collections}
    assert marks == {
        "complete, 3": [[1, 0.5], [4, 0.7], [5, 0.6]],
        "pruned, 1": [[3, 0.9]],
        "failed, 1": [[2, 0.5]],  # without a value: at the bottom
    }


def test_the_plateau_is_shaded_up_to_where_the_rule_stops(axes):
    (shade,) = axes.patches
    assert (shade.get_x(), shade.get_x() + shade.get_width()) == (4, 5)
    assert axes.lines[1].get_xdata() == [5, 5]
    assert labels(axes)[-2:] == ["no gain: trials 4 to 5", "the rule stops after 5"]
    assert axes.get_title() == r"ffnn-1\$2"


@pytest.mark.parametrize(("values", "states"), [([], []), ([None], ["failed"]), ([0.3], ["complete"])])
def test_short_searches_are_drawn_without_a_plateau(tmp_path, values, states):
    figure = search_progress(values, states)
    figure.savefig(tmp_path / "progress.png")
    assert not figure.axes[0].patches and (tmp_path / "progress.png").stat().st_size > 5000
