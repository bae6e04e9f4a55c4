"""The verdict's words: which number they name, and what they never say of an interval that holds 0."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_comparisons import small_comparison, told_comparison

from glacier_ml.evaluation.report.verdict import overall, relation, verdict, verdict_sentences
from glacier_ml.evaluation.scene_maps import EARLIER

IOUS = {"unet": 0.70, "ffnn": 0.60, "NDSI": 0.65, "band ratio": 0.75, EARLIER: 0.80}
SURE = {
    ("unet", "ffnn"): (0.10, 0.05, 0.15),
    ("unet", "NDSI"): (0.05, -0.02, 0.12),
    ("unet", "band ratio"): (-0.05, -0.08, -0.01),
    ("ffnn", "NDSI"): (-0.05, -0.09, -0.01),
    ("ffnn", "band ratio"): (-0.15, -0.2, -0.1),
    ("unet", EARLIER): (-0.10, -0.20, -0.05),
    ("ffnn", EARLIER): (-0.20, -0.30, -0.10),
    ("NDSI", EARLIER): (-0.15, -0.25, -0.05),
    ("band ratio", EARLIER): (-0.05, -0.12, 0.02),
    ("NDSI", "band ratio"): (-0.10, -0.12, -0.05),
}


def test_the_verdict_names_every_difference_with_its_interval():
    leader, duel, unet, ffnn, earlier, reach = verdict_sentences(told_comparison(IOUS, SURE))
    assert leader == (
        "Best map of late: the earlier outline unchanged, glacier IoU 0.800 (95 % interval 0.750 to 0.850); "
        "it cannot be told apart from the band ratio."
    )
    assert duel == "The U-Net is better than the FFNN by 0.100 (0.050 to 0.150): IoU 0.700 against 0.600."
    assert unet == (
        "The U-Net is worse than the band ratio by 0.050 (0.010 to 0.080); it cannot be told apart from NDSI "
        "(difference +0.050, -0.020 to +0.120)."
    )
    assert ffnn == (
        "The FFNN is worse than the band ratio by 0.150 (0.100 to 0.200) and NDSI by 0.050 (0.010 to 0.090)."
    )
    assert earlier == (
        "The earlier outline left unchanged, at 0.800, beats both networks: the U-Net by 0.100 (0.050 to "
        "0.200) and the FFNN by 0.200 (0.100 to 0.300)."
    )
    assert reach.endswith("(bootstrap over blocks of 64 px), which holds for this scene and says nothing of "
                          "other places.")  # fmt: skip


def test_two_networks_that_chance_may_have_parted_are_not_ranked():
    sentences = verdict_sentences(
        told_comparison({"unet": 0.7, "ffnn": 0.69}, {("unet", "ffnn"): (0.01, -0.02, 0.03)}, earlier=())
    )
    assert sentences[1] == (
        "The U-Net and the FFNN cannot be told apart: IoU 0.700 against 0.690, difference +0.010, -0.020 to "
        "+0.030."
    )
    assert "earlier" not in " ".join(sentences)


@pytest.mark.parametrize(
    ("unet", "ffnn", "words"),
    [
        (
            (0.1, 0.05, 0.2),
            (0.2, 0.1, 0.3),
            "Both networks beat the earlier outline left unchanged, at 0.800",
        ),
        (
            (0.1, 0.05, 0.2),
            (-0.2, -0.3, -0.1),
            "The earlier outline left unchanged, at 0.800, is better than the FFNN by 0.200 (0.100 to "
            "0.300); it is worse than the U-Net by 0.100 (0.050 to 0.200).",
        ),
        (
            (0.1, -0.05, 0.2),
            (0.1, -0.1, 0.3),
            "at 0.800, cannot be told apart from the U-Net (difference -0.100",
        ),
    ],
)
def test_the_earlier_outline_is_judged_by_both_networks(unet, ffnn, words):
    differences = {**SURE, ("unet", EARLIER): unet, ("ffnn", EARLIER): ffnn}
    assert words in verdict(told_comparison(IOUS, differences))


def test_an_earlier_outline_of_one_scene_is_judged_there():
    words = verdict(told_comparison(IOUS, SURE, scenes=("late", "other"), earlier=("late",)))
    assert words.startswith("Best map of 2 held-out scenes, on average: the band ratio, glacier IoU 0.750")
    assert "left unchanged, at 0.800 in late, beats both networks" in words
    assert "holds for these scenes" in words


def test_without_a_network_the_best_is_named():
    words = verdict_sentences(told_comparison({"NDSI": 0.5, "band ratio": 0.4}, {}, earlier=()))
    assert words[0] == "Best map of late: NDSI, glacier IoU 0.500 (95 % interval 0.450 to 0.550)."
    assert len(words) == 2


def test_too_few_blocks_leave_no_interval_and_undefined_scores_no_verdict():
    nothing = float("nan")
    pairs = {("unet", "ffnn"): (0.1, nothing, nothing)}
    words = verdict(told_comparison({"unet": 0.7, "ffnn": 0.6}, pairs, earlier=()))
    assert "cannot be told apart: IoU 0.700 against 0.600, difference +0.100, no interval: too few" in words
    undefined = verdict(told_comparison({"unet": nothing, "ffnn": nothing}, pairs, earlier=()))
    assert undefined.startswith("No map can be judged: glacier IoU is undefined")


def test_the_words_stand_for_the_comparison_that_was_computed():
    comparison = small_comparison(seeds=2)
    found = relation(comparison, "unet", "ffnn")
    iou = overall(comparison).query("score == 'iou'").set_index("classifier").value
    assert (
        found.difference == pytest.approx(iou.unet - iou.ffnn) and found.low <= found.difference <= found.high
    )
    assert relation(comparison, "ffnn", "unet") == found.turned
    assert relation(comparison, "unet", "nobody") is None
    assert "and training seeds" in verdict(comparison)


@settings(max_examples=30, deadline=None)
@given(st.floats(-1, 1), st.floats(0, 1), st.floats(0, 1), st.sampled_from(["ffnn", "NDSI", EARLIER]))
def test_no_interval_that_holds_zero_is_called_better_or_worse(difference, below, above, other):
    bounds = (difference, difference - below, difference + above)
    comparison = told_comparison({"unet": 0.5, other: 0.5}, {("unet", other): bounds})
    words = " ".join(verdict_sentences(comparison)[1:-1])
    holds_zero = bounds[1] <= 0 <= bounds[2]
    assert ("cannot be told apart" in words) == holds_zero
    assert any(word in words for word in ("better", "worse", "beat")) == (not holds_zero)
    assert math.isclose(relation(comparison, other, "unet").difference, -difference)


def test_equal_maps_have_no_minus_before_their_0():
    words = verdict(
        told_comparison({"unet": 0.5, "ffnn": 0.5, "NDSI": 0.5}, {
            ("unet", "ffnn"): (-0.0, -0.0, -0.0),
            ("unet", "NDSI"): (-0.0001, -0.0003, 0.0002),
            ("ffnn", "NDSI"): (-0.0002, -0.0003, -0.0001),
        }, earlier=())
    )  # fmt: skip
    assert "IoU 0.500 against 0.500, the same whatever is drawn." in words
    assert "cannot be told apart from NDSI (difference 0.000, 0.000 to 0.000)" in words
    assert "The FFNN is worse than NDSI by less than 0.001." in words
    assert "-0.000" not in words and "+0.000" not in words
