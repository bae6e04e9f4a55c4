"""Pictures of what a network looks at: what they say; how they look is for eyes."""

import numpy as np
import pandas as pd
import pytest
from made_networks import ffnn, unet, untrained
from made_scenes import made_scene, valley

from glacier_ml.errors import GlacierError
from glacier_ml.evaluation.inside_figures import (
    agreement,
    draw_activations,
    draw_importance,
    draw_inside,
    strongest,
)


def said(figure, tmp_path):
    """All that a figure says, once it was rendered."""
    figure.savefig(tmp_path / "figure.png", dpi=60)
    assert (tmp_path / "figure.png").stat().st_size > 5000
    found = [figure.get_suptitle(), figure.get_supxlabel()]
    for axes in figure.axes:
        found += [axes.get_title(), axes.get_xlabel(), *(text.get_text() for text in axes.texts)]
        found += [label.get_text() for label in axes.get_yticklabels()]
    found += [text.get_text() for legend in figure.legends for text in legend.get_texts()]
    return " | ".join(found)


def losses(names, scenes, **by_feature):
    rows = [
        (name, scene, feature, repeat, drop + 0.01 * repeat, 0.8, feature)
        for name in names
        for scene in scenes
        for feature, drop in by_feature.items()
        for repeat in range(2)
    ]
    columns = ["classifier", "scene", "feature", "repeat", "drop", "iou", "members"]
    return pd.DataFrame(rows, columns=columns)


def test_importance_has_a_panel_a_classifier_and_the_largest_loss_on_top(tmp_path):
    table = losses(
        ["unet", "ffnn"],
        ["columbia", "valdez"],
        **{"blue": 0.02, "all of swir1": 0.5, "ndsi": 0.3, "all of red": 0.01},
    )
    figure = draw_importance(table)
    text = said(figure, tmp_path)
    assert len(figure.axes) == 2
    for part in ("U-Net, IoU unshuffled:\ncolumbia 0.800\nvaldez 0.800", "glacier IoU lost", "stand in for"):
        assert part in text
    assert "on one window of 320 x 320 px" in text and "not the scene's IoU of the tables" in text
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == ["ndsi", "blue", "all of swir1", "all of red"]  # groups after single features
    low, high = figure.axes[0].get_ylim()
    assert low > high  # the first is at the top
    # bars are means over scenes and repeats: .3 and .31 of each scene
    bars = {round(bar.get_y() + bar.get_height() / 2): bar.get_width() for bar in figure.axes[0].patches}
    assert bars[labels.index("ndsi")] == pytest.approx(0.305)


def test_importance_of_a_scene_without_glacier_is_drawn(tmp_path):
    said(draw_importance(losses(["unet"], ["bare"], ndsi=float("nan"), blue=float("nan"))), tmp_path)


def test_a_tile_is_shown_with_its_layers(tmp_path):
    classifier = untrained(unet(levels=2, base_filters=4, convolutions=2))
    scene = made_scene("valley", (90, 100), valley, nodata=10)
    figure = draw_inside(classifier, scene, filters=2)
    text = said(figure, tmp_path)
    for part in (
        "U-Net on valley, rows",
        "down1.2\n32 x 32 px\n4 filters",
        "bottom2.2\n16 x 16 px\n8 filters",
        "up1.2\n32 x 32 px",
        "true outline: 47 % glacier",  # the tile nearest to one half
        "probability",
    ):
        assert part in text
    # two of the tile and a colour bar, then two filters of each of three layers
    assert len(figure.axes) == 3 + 2 * 3
    chosen = draw_inside(classifier, scene, ["down1.1", "up1.1", "up1.2"], filters=2)
    assert len(chosen.axes) == 3 + 2 * 3


def test_a_scene_smaller_than_a_tile_is_shown_whole(tmp_path):
    classifier = untrained(unet(levels=3, base_filters=2, tile_size=64, head_nodes=[3]))
    figure = draw_inside(classifier, made_scene("disc", (30, 27)), ["down1.1", "head.1"])
    assert "rows 0 to 30, columns 0 to 27" in said(figure, tmp_path)


def test_a_network_without_convolutions_is_one_line():
    with pytest.raises(GlacierError, match="ffnn: has no convolution"):
        draw_inside(untrained(ffnn()), made_scene("disc", (30, 30)))


def test_filters_that_say_nothing_are_drawn(tmp_path):
    maps = {"down1.1": np.zeros((8, 8, 2), dtype=np.float32)}
    truth = np.zeros((8, 8), dtype=bool)
    nothing = np.full((8, 8), np.nan, dtype=np.float32)
    text = said(draw_activations(maps, np.zeros((8, 8, 3), np.float32), truth, nothing), tmp_path)
    assert "0: r -" in text and "1: r -" in text


def test_the_strongest_filters_vary_most():
    values = np.zeros((2, 2, 4), dtype=np.float32)
    values[0, 0] = [1, 9, 5, 5]  # standard deviations rise with it; of equals the first
    assert strongest(values, 3) == [1, 2, 3]
    assert strongest(values, 9) == [1, 2, 3, 0]


def test_agreement_is_the_correlation_with_the_share_of_glacier():
    truth = np.zeros((4, 6), dtype=bool)
    truth[:2, :3] = True
    # shares of the 2 x 2 blocks: 1, .5, 0 above and 0, 0, 0 below
    values = np.array([[2.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    assert agreement(values, truth) == pytest.approx(1)
    assert agreement(-values, truth) == pytest.approx(-1)
    values = np.array([[1.0, 3.0, 0.0], [0.0, 2.0, 0.0]])
    expected = np.corrcoef([1, 3, 0, 0, 2, 0], [1, 0.5, 0, 0, 0, 0])[0, 1]
    assert agreement(values, truth) == pytest.approx(expected, abs=1e-6)
    assert np.isnan(agreement(values, np.zeros((4, 6), dtype=bool)))
    # five columns at half the resolution are three: the last stands for the one that is there
    assert agreement(np.array([[2.0, 1.0, 0.0]]), truth[:2, :5]) == pytest.approx(1)
