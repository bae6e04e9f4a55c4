"""The race of a study against grids: what is read off the trials of both."""

import math

from benchmarks.study import GRIDS, SHORT, Ended, best_so_far, grids, in_turn, product, shortened, time_until

COURSE = [
    Ended(2.0, 0.5, "complete"),
    Ended(3.0, 0.0, "pruned"),
    Ended(7.0, 0.4, "complete"),
    Ended(9.0, 0.7, "complete"),
]


def test_the_best_so_far_never_falls():
    assert best_so_far(COURSE) == [(2.0, 0.5), (3.0, 0.5), (7.0, 0.5), (9.0, 0.7)]
    assert best_so_far([]) == []


def test_time_until_is_that_of_the_first_trial_as_good():
    assert [time_until(COURSE, iou) for iou in (0.4, 0.5, 0.51, 0.7)] == [2.0, 2.0, 9.0, 9.0]
    assert time_until(COURSE, 0.71) == math.inf == time_until([], 0.0)


def test_searches_in_turn_go_on_where_the_one_before_ended():
    joined = in_turn([COURSE, [], COURSE[:2]])
    assert [one.seconds for one in joined] == [2, 3, 7, 9, 11, 12]
    assert [one.iou for one in joined[4:]] == [0.5, 0.0]


def test_the_reports_grids_are_whole_and_trained_as_shortly_as_our_study():
    found = dict(zip(GRIDS["ffnn"], grids("ffnn"), strict=True))
    assert {name: one.trials for name, one in found.items()} == {
        "figure_09": 64,
        "figure_07_learning_rate": 10,
        "figure_07_penalty": 10,
        "figure_08": 4,
    }
    ours = shortened(product("ffnn"), SHORT["ffnn"], "ours").baseline
    for one in found.values():
        theirs = one.baseline
        assert (theirs.optimizer, theirs.momentum, theirs.schedule) == ("sgd", 0.0, "fixed")
        for key in ("recipe", "features", "epochs", "epoch_pixels", "batch_pixels"):
            assert getattr(theirs, key) == getattr(ours, key)
        assert one.split_rule == product("ffnn").split_rule
