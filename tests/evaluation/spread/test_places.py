"""Spread between places: means, intervals, gaps and the worst finding, by hand."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glacier_ml.evaluation.spread.figure import draw_points
from glacier_ml.evaluation.spread.places import group_scores, leaky_gaps, mean_interval, spread, worst_finding
from glacier_ml.evaluation.spread.text import SHOWN, summary


def row(protocol, place, classifier, iou, scene=None, seed=0, subset="all", **changes):
    """A row of fold scores; every score is the IoU."""
    fold = place if protocol == "place" else protocol
    told = {"protocol": protocol, "fold": fold, "trained": f"not {place}", "seed": seed, "subset": subset}
    kind = "network" if classifier in ("unet", "ffnn") else "baseline"
    told |= {"scene": scene or place, "place": place, "kind": kind, "classifier": classifier}
    return told | dict.fromkeys(SHOWN, iou) | changes


@pytest.fixture
def table():
    """Two places, one of two scenes; the network fails at the second place."""
    return pd.DataFrame([
        row("place", "columbia", "unet", 0.5, "early", seed=0),
        row("place", "columbia", "unet", 0.7, "early", seed=1),
        row("place", "columbia", "unet", 0.9, "late"),
        row("place", "patagonia", "unet", 0.004),
        row("place", "columbia", "NDSI", 0.6, "early"),
        row("place", "columbia", "NDSI", 0.6, "late"),
        row("place", "patagonia", "NDSI", 0.655),
        row("place", "patagonia", "random forest", 0.7),
        row("random", "columbia", "unet", 0.95, "early"),
        row("random", "columbia", "unet", 0.95, "late"),
        row("random", "patagonia", "unet", 0.904),
    ])  # fmt: skip


def test_a_place_s_score_is_the_mean_of_its_scenes_means_over_seeds(table):
    points = group_scores(table).set_index(["protocol", "classifier", "group"]).value
    # early: (.5 + .7) / 2 = .6, with late's .9: .75, whatever the number of seeds of each.
    assert points["place", "unet", "columbia"] == pytest.approx(0.75)
    assert points["place", "unet", "patagonia"] == 0.004


def test_two_places_are_points_without_an_interval(table):
    described = spread(group_scores(table)).set_index(["protocol", "classifier"]).loc[("place", "unet")]
    assert described[["lowest", "highest"]].tolist() == pytest.approx([0.004, 0.75])
    assert described["mean"] == pytest.approx(0.377) and described.groups == 2
    assert np.isnan(described.low) and np.isnan(described.high)


def test_the_leaky_gap_is_paired_by_place(table):
    (gap,) = leaky_gaps(group_scores(table)).itertuples()
    # (.95 - .75 + .904 - .004) / 2 = .55
    assert (gap.classifier, gap.gap) == ("unet", pytest.approx(0.55))
    assert leaky_gaps(group_scores(table[table.protocol == "place"])).empty


def test_the_worst_finding_names_place_network_and_the_usual_rule(table):
    assert worst_finding(table) == (
        "U-Net trained on not patagonia maps patagonia with IoU 0.004, where NDSI by the usual rule gets "
        "0.655 and the best baseline, random forest, 0.700"
    )


def test_without_a_place_left_out_nothing_is_found(table):
    assert worst_finding(table[table.protocol == "random"]).startswith("no place was left out")


def test_undefined_scores_count_nowhere():
    table = pd.DataFrame([row("place", "a", "unet", np.nan), row("place", "b", "unet", 0.5)])
    (described,) = spread(group_scores(table)).itertuples()
    assert (described.groups, described.mean) == (1, 0.5)


def test_ten_places_have_the_interval_that_scipy_gives():
    from scipy.stats import bootstrap

    values = np.linspace(0.1, 0.9, 10)
    theirs = bootstrap((values,), np.mean, method="percentile", rng=1).confidence_interval
    assert mean_interval(values) == pytest.approx((theirs.low, theirs.high), abs=0.01)
    assert np.isnan(mean_interval(values[:9])).all()


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=10, max_size=20))
def test_an_interval_lies_within_the_points(values):
    low, high = mean_interval(values, draws=200)
    assert min(values) - 1e-12 <= low <= high <= max(values) + 1e-12


def test_the_summary_begins_with_the_worst_and_says_that_two_places_are_too_few(table):
    text = summary(table)
    assert text.startswith("worst finding: U-Net trained on not patagonia maps patagonia with IoU 0.004")
    assert text.index("the headline") < text.index("leaky")
    assert "single points: 2 places are too few for an interval (10 are wanted)" in text
    assert "a random split flatters, against one place left out, by IoU: U-Net +0.550" in text


def many_places():
    rows = [
        row("place", f"p{number:02}", name, value)
        for number in range(10)
        for name, value in (("unet", 0.5 + number / 50), ("NDSI", 0.4))
    ]
    part = row("place", "p00", "unet", 0.1, subset="debris", accuracy=0.25)
    return pd.DataFrame([*rows, part])


def test_the_summary_of_ten_places_has_intervals_and_ground_classes():
    text = summary(many_places())
    assert "intervals: bootstrap over 10 places" in text and "95 % interval" in text
    assert "lowest" in text and "0.400 to 0.400" in text
    assert "share of the pixels mapped right by ground class" in text and "0.250" in text


def test_the_picture_has_a_mark_for_every_place_and_an_interval_from_ten_on(table):
    few = draw_points(table).axes[0]
    labels = [text.get_text() for text in few.get_legend().get_texts()]
    assert labels == ["at random (leaky)", "columbia", "patagonia"]
    many = draw_points(many_places()).axes[0]
    assert [text.get_text() for text in many.get_legend().get_texts()] == [
        "each of 10, left out",
        "mean, 95 % interval",
    ]
    # 10 places of two classifiers
    assert (
        sum(
            len(marks.get_offsets())
            for marks in many.collections
            if marks.get_label() == "each of 10, left out"
        )
        == 20
    )
