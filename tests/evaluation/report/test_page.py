"""The page: what it holds, that it fetches nothing, and that a browser reads it."""

import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from io import BytesIO

import numpy as np
import pandas as pd
import pytest
from made_comparisons import small_comparison
from made_scenes import made_scene
from matplotlib.image import imread

from glacier_ml.evaluation.figures import NO_DATA, OUTLINE_COLOUR, new_figure, plain
from glacier_ml.evaluation.report import figures as report_figures
from glacier_ml.evaluation.report import page as page_module
from glacier_ml.evaluation.report.page import Insight, Repeat, render, write_report
from glacier_ml.evaluation.report.tables import (
    DASH,
    best_of,
    ground_tables,
    left_out,
    pair_table,
    score_tables,
    threshold_table,
)
from glacier_ml.evaluation.scene_maps import EARLIER
from glacier_ml.scenes.inspection.findings import Finding
from glacier_ml.scenes.inspection.report import Report

REPEAT = Repeat(
    ["glacier-ml compare --data shelf/catalog.yaml --seeds 2"],
    "0123456789abcdef-changed",
    "fedcba9876543210",
    {"unet": [0, 1], "ffnn": [0]},
    {"unet": "glacier-unet version 3"},
    {"keras": "3.15.0"},
)
CAVEATS = [
    Report("late", {"role": "test"}, (Finding("x", "fault", "swir1 <i>lies</i> & shifts", {}),)),
    Report("early", {"role": "train"}, ()),
]
GROUND = "<$ground_{$>"  # a name that is neither a tag nor a formula
VOID = {"img", "meta", "link", "br", "hr"}


class Reader(HTMLParser):
    """Tags that are open, addresses that a browser would fetch, text."""

    def __init__(self, page):
        super().__init__()
        self.open, self.fetched, self.text, self.images = [], [], "", 0
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        told = dict(attributes)
        self.open += [] if tag in VOID else [tag]
        self.fetched += [told[key] for key in ("src", "srcset", "data", "poster") if key in told]
        self.fetched += [told["href"]] if tag != "a" and "href" in told else []
        self.images += tag == "img"

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"{tag} is closed out of order"

    def handle_data(self, data):
        self.text += data


@pytest.fixture(scope="module")
def comparison():
    """Two scenes: one with nodata and an earlier outline, one of known ground."""
    late, ground = made_scene("late", (140, 150), nodata=4), made_scene(GROUND, (130, 90), seed=3)
    classes = np.where(ground.mask, 5, 0).astype(np.uint8)  # bare glacier ice, rock
    classes[ground.mask & (np.indices(ground.mask.shape)[0] < 60)] = 7  # debris on glacier
    return small_comparison([late, replace(ground, ground=classes)])


@pytest.fixture(scope="module")
def page(comparison):
    shuffled = {"feature": ["ndsi", "red"] * 2, "repeat": [0, 0, 1, 1], "drop": [0.3, 0.1, 0.2, 0.1]}
    importance = pd.DataFrame({"classifier": "unet", "scene": GROUND, **shuffled, "iou": 0.7, "members": ""})
    inside = new_figure(3, 2)
    inside.supxlabel("Answers of\nthe filters.")
    insight = Insight(importance, {"U-Net, last convolution": inside})
    return render(comparison, CAVEATS, insight, REPEAT, ["No twin of the FFNN: it was fine-tuned."])


def test_the_page_is_whole_and_fetches_nothing(page):
    read = Reader(page)
    assert read.open == [] and read.images > 20
    assert all(one.startswith("data:image/") for one in read.fetched)
    assert "<script" not in page and "@import" not in page and "url(" not in page
    assert "http" not in re.sub(r'"data:[^"]*"', "", page).replace("http://www.w3.org", "")
    assert len(page) < 15e6


def test_the_page_says_what_was_asked_for(page):
    text = " ".join(Reader(page).text.split())
    for told in (
        "The U-Net is better than the FFNN by",
        "Such a scene tests the date and never the place",
        "that holds for conditions like those of training",
        "The calibration errors below are measured on held-out data",
        "No twin of the FFNN: it was fine-tuned.",
        "swir1 <i>lies</i> & shifts",  # escaped in the page, so that it is text here
        "Nothing found.",
        "glacier-ml compare --data shelf/catalog.yaml --seeds 2",
        "code 0123456789ab with changes of its own, data",
        "0123456789abcdef-changed",
        "fedcba9876543210",
        "U-Net, seeds0, 1",
        "glacier-unet version 3",
        "keras 3.15.0",
        "late: share mapped right",
        f"{GROUND}: share found of what lies on glaciers",
        "NDSI: thresholds on an index",
        "U-Net, last convolution. Answers of the filters.",
        "the map of the first of 2 seeds",
        "Cohen (1960)",
    ):
        assert told in text, told


def test_a_page_of_little_is_a_page(tmp_path, page, monkeypatch):
    monkeypatch.setattr(page_module, "MAPS_BYTES", 1)
    lonely = small_comparison([made_scene("late", (40, 50))], seeds=1, earlier=False)
    path = tmp_path / "report.html"
    write_report(path, lonely, [], Insight(), Repeat([], "", "", {}, {}, {}))
    read = Reader(path.read_text(encoding="utf-8"))
    assert read.open == []
    assert "The scenes were not inspected." in read.text and "Inside the networks" not in read.text
    coarser = "its maps are stored with loss and with sides of at most"
    assert f"{coarser} 400 px" in read.text and coarser not in page
    assert "seeds" not in read.text.partition("Maps")[0] and "nan" not in read.text.lower().split()


def test_the_same_chart_is_the_same_bytes(comparison):
    first, again = (
        report_figures.as_drawing(report_figures.iou_differences(comparison, "unet")) for _ in range(2)
    )
    assert first == again and first[0].startswith(b"<?xml") and first[1] == "image/svg+xml"


def test_undefined_scores_are_dashes_and_the_best_is_marked(comparison):
    overlap, _, probability = score_tables(comparison)
    rows = dict(probability.rows)
    assert [cell.value for cell in rows["NDSI"]] == [DASH, DASH]  # a rule has no probability
    best = {name: cells[0].mark for name, cells in overlap.rows}
    assert best["NDSI"] == "best" and best["FFNN"] == ""  # NDSI is nearly perfect here, FFNN 9 px beside
    assert EARLIER not in best  # it is there for one scene alone
    late = dict(score_tables(comparison, "late")[0].rows)
    assert late[EARLIER][0].value != DASH
    assert dict(overlap.rows)["U-Net"][0].spread and not dict(overlap.rows)["FFNN"][0].spread


def test_means_over_scenes_say_what_they_are_of(comparison):
    heads = [head for table in score_tables(comparison) for head, _ in table.heads]
    assert "area error, magnitude [km²]" in heads and left_out(comparison) == []
    alone = [head for table in score_tables(comparison, "late") for head, _ in table.heads]
    assert "area error [km²]" in alone
    bare = made_scene("bare", (20, 20), lambda shape: np.zeros(shape, bool))
    part = small_comparison([made_scene("late", (40, 50)), bare], seeds=1, earlier=False, repeats=2)
    (sentence,) = left_out(part)  # whoever maps nothing where nothing is has an accuracy and no IoU
    assert sentence.startswith("precision, recall, F1, glacier IoU") and "accuracy" not in sentence
    assert sentence.endswith("mean over 1 of 2 scenes, as in the others some map has none.")


def test_pairs_are_signed_row_minus_column(comparison):
    table = pair_table(comparison)
    names = [head for head, _ in table.heads]
    cells = {(row, names[place]): cell for row, line in table.rows for place, cell in enumerate(line)}
    there, back = cells["NDSI", "FFNN"].value, cells["FFNN", "NDSI"].value
    assert there.startswith("+") and back == there.replace("+", "\N{MINUS SIGN}")
    assert cells["NDSI", "NDSI"].value == "" and EARLIER not in names


def test_ground_classes_are_shares_found_and_left_out(comparison):
    assert ground_tables(comparison, "late") == []
    glacier, other = ground_tables(comparison, GROUND)
    assert [head for head, _ in glacier.heads] == ["clean ice", "debris"]
    assert [head for head, _ in other.heads] == ["rock"]
    scene = comparison.maps[1]
    debris = scene.labelled.ground == 7
    share = scene.masks["ffnn"][0][debris].mean()
    assert dict(glacier.rows)["FFNN"][1].value == f"{share:.3f}"


def test_thresholds_name_own_half_and_the_reports(comparison):
    rows = dict(threshold_table(comparison, comparison.maps[0]).rows)
    own, at_own, at_half, at_report, _ = rows["FFNN"]
    assert own.value == "0.500" and at_own.value == at_half.value == at_report.value  # its map is .1 or .9
    assert rows["U-Net"][0].spread == "0.400 to 0.500"


def test_the_best_depends_on_what_is_better():
    values = {"a": -2.0, "b": 1.0, "c": 3.0, "d": float("nan")}
    assert [best_of(values, way) for way in ("higher", "lower", "nearer 0")] == ["c", "a", "b"]


def test_maps_are_drawn_pixel_by_pixel(comparison):
    maps = comparison.maps[0]
    image = report_figures.probability_image(maps.probabilities["ffnn"][0], maps.valid)
    assert image.shape == (140, 150, 3)
    np.testing.assert_allclose(image[:, -4:], np.broadcast_to(NO_DATA, (140, 4, 3)), atol=1e-6)
    high, low = image[70, 75 + 9], image[0, 0]  # the FFNN's map lies 9 px to the right
    assert high[0] > low[0] and high[1] > low[1]  # viridis: yellow against violet
    truth = report_figures.truth_image(maps)
    yellow = np.all(np.isclose(truth, OUTLINE_COLOUR), axis=-1)
    assert yellow.any() and not (yellow & ~maps.truth).any()


def test_every_classifier_keeps_its_colour(comparison):
    names = report_figures.contestants(comparison)
    assert names == ["unet", "ffnn", "NDSI", EARLIER]
    colours = [report_figures.colour_of(name, names) for name in names]
    assert len(set(colours)) == 4 and colours[-1] == "#000000"


def test_charts_have_a_panel_each(comparison):
    def panels(figure):
        return [axes.get_title().split("\n")[0] for axes in figure.axes]

    assert panels(report_figures.iou_intervals(comparison)) == ["late", plain(GROUND)]
    assert panels(report_figures.reliability_diagrams(comparison)) == ["U-Net", "FFNN"]  # NDSI has none
    curves = report_figures.threshold_curves(comparison, "late")
    assert panels(curves) == ["U-Net", "FFNN", "NDSI"]
    upright = [line for line in curves.axes[0].lines if len(set(line.get_xdata())) == 1]
    assert sorted({float(line.get_xdata()[0]) for line in upright}) == pytest.approx([0.4, 0.5, 0.7])


def test_images_are_no_larger_than_they_must_be():
    content, kind = report_figures.as_image(np.zeros((3000, 40, 3)), photograph=False)
    assert kind == "image/webp"
    assert imread(BytesIO(content), format="webp").shape[:2] == (1000, 14)  # every third pixel


def test_maps_of_a_noisy_page_are_stored_as_fine_as_there_is_room_for(comparison, monkeypatch):
    first, random = comparison.maps[0], np.random.default_rng(0)
    noise = {name: [random.random(first.valid.shape, np.float32)] for name in first.probabilities}
    halves = {name: [0.5] for name in noise}
    noisy = replace(comparison, maps=[replace(first, probabilities=noise, thresholds=halves)])
    monkeypatch.setattr(page_module, "_scene", lambda *told: {})  # the maps alone
    found = [page_module._scenes(noisy)]
    sizes = [page_module._size(found[0]["scenes"])]
    for limit in (sizes[0] - 1, 1):
        monkeypatch.setattr(page_module, "MAPS_BYTES", limit)
        found.append(page_module._scenes(noisy))
        sizes.append(page_module._size(found[-1]["scenes"]))
    finest, *_, coarsest = [one.longest_side for one in report_figures.DETAILS]
    assert found[0]["coarser"] is None and coarsest < found[1]["coarser"] < finest
    assert found[2]["coarser"] == coarsest  # nothing fits: the coarsest
    assert sizes[0] > sizes[1] > sizes[2]


@pytest.mark.thorough
@pytest.mark.timeout(1800)
def test_a_browser_shows_every_image(page, tmp_path):
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium here: the page was not shown")
    count = (
        "<script>addEventListener('load', () => { const all = [...document.images];"
        "document.title = all.filter(one => one.naturalWidth > 0).length + ' of ' + all.length + ', wide '"
        " + (document.documentElement.scrollWidth <= innerWidth); })</script>"
    )
    path = tmp_path / "report.html"
    path.write_text(page.replace("</body>", count + "</body>"), encoding="utf-8")
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--window-size=1300,900", "--dump-dom"]
    shown = subprocess.run([*command, path.as_uri()], capture_output=True, text=True, timeout=120).stdout
    images = Reader(page).images
    assert f"<title>{images} of {images}, wide true</title>" in shown
