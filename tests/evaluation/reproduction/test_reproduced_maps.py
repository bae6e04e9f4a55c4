"""Footprints, a tile's eight images, and the networks' maps beside the report's scores."""

import numpy as np
import pytest
from affine import Affine
from rasterio.crs import CRS

from glacier_ml.errors import GlacierError
from glacier_ml.evaluation.figures import OUTCOMES
from glacier_ml.evaluation.reproduction.maps import (
    ROLE_COLOURS,
    MapPanel,
    draw_eight,
    draw_footprints,
    draw_maps,
    map_scores,
)
from glacier_ml.scenes.catalog import CatalogEntry
from glacier_ml.scenes.scene import Grid, Scene

PIXEL_M = 30


def made_scene(name="columbia-2007", shape=(40, 60), west=500_000):
    ramp = np.linspace(0, 1, shape[0] * shape[1], dtype=np.float32).reshape(shape)
    bands = {"red": ramp, "nir": 1 - ramp, "swir1": ramp**2}
    grid = Grid(CRS.from_epsg(32606), Affine(PIXEL_M, 0, west, 0, -PIXEL_M, 6_700_000), shape)
    return Scene(name, bands, np.ones(shape, dtype=bool), grid)


class Entry(CatalogEntry):
    """An entry whose scene is at hand."""

    def open(self):
        return made_scene(self.name, west=500_000 + 3000 * int(self.place))


def panel(name="columbia-2007", truth=True):
    scene = made_scene(name)
    probability = np.zeros(scene.shape, dtype=np.float32)
    probability[:10], probability[10:20] = 0.8, 0.6
    mask = np.zeros(scene.shape, dtype=bool)
    mask[:15] = True
    return MapPanel(scene, mask if truth else None, probability, 0.5, trained=truth)


def test_maps_are_scored_at_the_reports_threshold_and_at_the_own():
    table = map_scores([panel()], "figure_11", "sound").set_index("cut")
    # glacier on rows 0-14 of 40; mapped at .7: rows 0-9, at .5: rows 0-19
    assert table["accuracy"].tolist() == [35 / 40, 35 / 40]
    assert table["iou"].tolist() == [10 / 15, 15 / 20]
    assert table["threshold"].tolist() == [0.7, 0.5]
    assert table.loc["own", ["reported_accuracy", "reported_iou"]].tolist() == [0.97, 0.84]


def test_maps_without_outlines_have_no_score():
    table = map_scores([panel("valdez-3", truth=False)], "figure_12", "sound")
    assert table[["accuracy", "iou", "reported_accuracy", "reported_iou"]].isna().all(axis=None)


def test_maps_are_drawn_in_five_panels_beside_the_reports_scores(tmp_path):
    figure = draw_maps([panel(), panel("valdez-3", truth=False)], "figure_11", "sound", "tiny")
    titles = [axes.get_title() for axes in figure.axes]
    assert len(titles) == 10
    assert titles[0] == "columbia-2007 (trained on)" and titles[1] == "truth: 38 % glacier"
    report = "report's threshold 0.70\naccuracy 0.88, IoU 0.67\nthe report: accuracy 0.97, IoU 0.84"
    assert titles[3] == report
    assert titles[4] == "own threshold 0.50\naccuracy 0.88, IoU 0.75"
    assert titles[6] == "no outlines" and titles[9] == "own threshold 0.50: 50 % glacier"
    cut = figure.axes[3].images[0].get_array()
    np.testing.assert_allclose(cut[12, 5], OUTCOMES["glacier, missed (false negative)"])
    figure.savefig(tmp_path / "maps.png")


def test_no_map_is_told():
    with pytest.raises(GlacierError, match="figure_12: has no scene to draw"):
        draw_maps([], "figure_12", "report")


def test_eight_images_are_those_of_the_square():
    scene = made_scene(shape=(70, 64))
    truth = np.zeros(scene.shape, dtype=bool)
    truth[:10, :32] = True  # of the two tiles of 32 px in the first row one has glacier
    figure = draw_eight(scene, truth, size=32)
    images = [np.asarray(axes.images[0].get_array()) for axes in figure.axes]
    assert len(images) == 8
    np.testing.assert_array_equal(images[1], np.rot90(images[0]))
    np.testing.assert_array_equal(images[4], images[0][:, ::-1])
    assert len({image.tobytes() for image in images}) == 8
    assert "tile 1 of 4, 32 x 32 px, 31 % glacier" in figure.get_suptitle()
    assert [axes.get_title() for axes in figure.axes][5] == "mirrored, turned 90°"


def test_a_small_scene_gives_the_tile_that_it_can():
    figure = draw_eight(made_scene(), np.eye(40, 60, dtype=bool))
    assert "40 x 40 px" in figure.get_suptitle()


def test_footprints_lie_where_the_scenes_are_in_the_colours_of_their_roles():
    entries = [
        Entry("a", "a", "1", "alaska", "train", "2007"),
        Entry("b", "b", "5", "alaska", "unseen"),
        Entry("c", "c", "1", "alaska", "test"),
    ]
    (axes,) = draw_footprints(entries).axes
    assert axes.get_title(loc="left") == "alaska\nA  a (train, 2007), c (test)\nB  b (unseen)"
    colours = [line.get_color() for line in axes.lines]
    assert colours == [ROLE_COLOURS["train"], ROLE_COLOURS["held out"], ROLE_COLOURS["held out"]]
    # UTM zone 6's central meridian is 147 W, its easting 500 km; a's west edge lies 3 km east of it
    longitudes, latitudes = axes.lines[0].get_data()
    assert -147 < longitudes.min() < -146.9
    assert latitudes.max() - latitudes.min() == pytest.approx(40 * PIXEL_M / 111_400, rel=0.02)


def test_no_footprint_is_told():
    with pytest.raises(GlacierError, match="figure_03: has no scene to draw"):
        draw_footprints([])
