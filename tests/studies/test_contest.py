"""The contest on held-out scenes: who is in the table, what is written, what is said."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from made_classifiers import MadeClassifier, sure_map
from made_scenes import disc, made_scene
from tiny_studies import SHAPE, wide_disc, write_catalog

from glacier_ml.errors import GlacierError
from glacier_ml.evaluation.comparison import EARLIER, classify_scenes, compare_maps
from glacier_ml.evaluation.figures import new_figure
from glacier_ml.evaluation.report import figures as report_figures
from glacier_ml.evaluation.report.page import Insight
from glacier_ml.learning import trees
from glacier_ml.learning.splits import SplitRule, make_split
from glacier_ml.studies import contest as contests
from glacier_ml.studies import tracking, trial
from glacier_ml.studies.commands import run_comparison
from glacier_ml.studies.contest import champions, check_unseen, open_contest, other_pixels, places_again
from glacier_ml.studies.tracking.runs import client

RULES = {"NDSI", "NDSI tuned", "band ratio"}
ALL = {"ffnn", "unet", *RULES, "gradient boosting", "random forest", EARLIER}
WRITTEN = {
    *("scores.csv", "differences.csv", "thresholds.csv", "reliability.csv"),
    *("table.txt", "late.png", "report.html"),
    *("importance.csv", "importance.png", "activations_U-Net_on_a_tile_of_late.png"),
}


@pytest.fixture
def contest(beside_project, tiny_project, capsys, monkeypatch):
    """A comparison of the tiny project's champions, written beside a file that was there before."""
    monkeypatch.setattr(contests, "SHUFFLES", 1)
    few_trees(monkeypatch)
    for name in ("iou_intervals", "iou_differences", "reliability_diagrams", "threshold_curves"):
        monkeypatch.setattr(report_figures, name, lambda *told: new_figure(1, 1))  # the page's own tests draw
    monkeypatch.setattr(contests.figures, "comparison_maps", lambda maps: new_figure(1, 1))
    (beside_project / "told").mkdir()
    (beside_project / "told/notes.txt").write_text("mine")
    found = run_comparison(str(tiny_project.catalog), "told", 1)
    return found, capsys.readouterr().out


def few_trees(monkeypatch):
    """Few trees, fitted and asked in no time: enough for ice and ground that lie far apart."""
    monkeypatch.setattr(trees, "BOOSTING_ROUNDS", 10)
    monkeypatch.setattr(trees, "FOREST_TREES", 5)


def ious_of(comparison):
    rows = comparison.scores
    rows = rows[(rows.subset == "all") & (rows.score == "iou") & (rows.scene == comparison.overall)]
    return rows.set_index("classifier").value


def test_a_contest_scores_writes_and_logs_everybody(contest, beside_project):
    found, printed = contest
    comparison = found.comparison
    ious = ious_of(comparison)
    assert set(ious.index) == ALL and comparison.overall == "late"
    # Early's disc lies inside late's wider one: nothing is mapped in excess, and IoU = recall = their ratio.
    assert ious[EARLIER] == pytest.approx(disc(SHAPE).sum() / wide_disc(SHAPE).sum())
    assert ious["gradient boosting"] > 0.98 < ious["random forest"]  # ice and ground lie far apart
    assert len(comparison.pairs[comparison.pairs.score == "iou"]) == 8 * 7 / 2
    assert comparison.maps[0].rules == RULES and comparison.seeds == {"ffnn": [0], "unet": [0]}
    folder = beside_project / "told"
    assert {file.name for file in folder.iterdir()} == WRITTEN | {"notes.txt"}
    pd.testing.assert_frame_equal(pd.read_csv(folder / "scores.csv"), comparison.scores, check_dtype=False)
    check_printed(printed, folder)
    check_run(ious)
    check_inside(found.insight)


def check_inside(insight):
    assert set(insight.importance.classifier) == {"ffnn", "unet"}
    assert list(insight.activations) == ["U-Net on a tile of late"]


def check_printed(printed, folder):
    table, rest = printed.split("\n\n", 1)
    title, head, *rows = table.splitlines()
    assert title.startswith(
        "late: scores with 95 % intervals for these scenes (1,000 draws of blocks of 64 px"
    )
    assert head.split()[:2] == ["classifier", "seeds"]
    assert len(rows) == len(ALL) and max(map(len, rows)) <= 100
    assert "Each network was trained from one seed" in rest
    assert rest.splitlines()[-2] == f"page: {folder / 'report.html'}"
    whole = (folder / "table.txt").read_text()
    assert "boundary F1, 1 px" in whole and "expected calibration error" in whole


def check_run(ious):
    experiment = client().get_experiment_by_name("glacier_ml").experiment_id
    (run,) = client().search_runs([experiment], "tags.kind = 'compare'")
    logged = {Path(item.path).name for item in client().list_artifacts(run.info.run_id, "comparison")}
    assert logged == WRITTEN  # and not what lay there before
    assert run.data.metrics["iou/late/NDSI"] == ious["NDSI"]
    assert "IoU" in run.data.tags["verdict"]


def test_champions_are_those_that_there_are(beside_project):
    assert [one.name for one in champions()] == ["ffnn", "unet"]
    client().delete_registered_model_alias("glacier-unet", "champion")
    assert [one.name for one in champions()] == ["ffnn"]
    client().delete_registered_model_alias("glacier-ffnn", "champion")
    with pytest.raises(GlacierError, match="compare: no network has a champion yet; tune one and promote it"):
        champions()


@pytest.mark.parametrize(
    ("roles", "told"),
    [
        (("train", "train"), "no scene has the role test; .* name it in a catalog.yaml .* role: test"),
        (("test", "test"), "no scene has the role train; compare fits its baselines"),
    ],
)
def test_a_missing_role_is_told_with_how_to_name_it(tmp_path, roles, told):
    catalog = write_catalog(tmp_path, roles)
    with pytest.raises(GlacierError, match=told) as caught:
        open_contest(str(catalog), tmp_path / "out")
    assert "\n" not in str(caught.value) and not (tmp_path / "out").exists()


def test_a_bare_folder_of_scenes_has_no_test_scene(tmp_path):
    write_catalog(tmp_path).unlink()
    with pytest.raises(GlacierError, match="no scene has the role test"):
        open_contest(str(tmp_path), tmp_path / "out")


def test_a_lone_champion_is_compared_with_its_twin(beside_project, tiny_project, capsys, monkeypatch):
    # slow, and the fixture does all of them
    monkeypatch.setattr(contests, "look_inside", lambda networks, scenes: Insight())
    monkeypatch.setattr(contests, "write_report", lambda path, *told: path.touch())
    monkeypatch.setattr(contests, "inspect_catalog", lambda entries: [])
    monkeypatch.setattr(contests.figures, "comparison_maps", lambda maps: new_figure(1, 1))
    monkeypatch.setattr(trial, "log_pictures", lambda *told: None)
    few_trees(monkeypatch)
    client().delete_registered_model_alias("glacier-unet", "champion")
    assert tracking.model_version("glacier-unet", "champion") is None
    found = run_comparison(str(tiny_project.catalog), "alone", 2)
    comparison = found.comparison
    assert set(ious_of(comparison).index) == ALL - {"unet"}
    assert comparison.seeds == {"ffnn": [0, 1]} and found.notes == []
    rows = comparison.scores[(comparison.scores.score == "iou") & (comparison.scores.subset == "all")]
    assert rows.set_index("classifier").seeds["ffnn"] == 2
    one, other = comparison.maps[0].probabilities["ffnn"]
    assert (one != other).any()
    assert "ffnn, seed 1: training ..." in capsys.readouterr().err


def test_a_place_that_was_trained_on_is_told_of_without_an_earlier_outline():
    held, again, other = (made_scene(name, (12, 12)) for name in ("held", "again", "other"))
    again, other = (replace(one, entry=replace(one.entry, place=place)) for one, place in
                    ((again, held.entry.place), (other, "elsewhere")))  # fmt: skip
    maps = classify_scenes([[MadeClassifier({"held": sure_map(held.mask)})]], [held])
    (note,) = places_again(compare_maps(maps, repeats=2), [again, other])
    assert note.startswith("held: its place was trained on, in again. It tests the date and never the place.")
    assert places_again(compare_maps(maps, repeats=2), [other]) == []
    maps = classify_scenes([[MadeClassifier({"held": sure_map(held.mask)})]], [held], {"held": held.mask})
    assert places_again(compare_maps(maps, repeats=2), [again]) == []  # the page says so itself


def test_a_network_of_another_split_than_the_baselines_is_told_of():
    scene = made_scene("seen", (60, 60))
    split, other = (make_split([scene], SplitRule(block=5, gap=gap)) for gap in (1, 2))
    networks = [MadeClassifier({}, name, origin={"splits": [split.describe()]}) for name in ("ffnn", "unet")]
    assert other_pixels(networks, split) == []
    told = other_pixels(networks[:1], other)
    assert len(told) == 1 and told[0].startswith("The FFNN was trained on other scenes or by another split")


def test_less_than_one_seed_is_refused(tmp_path):
    with pytest.raises(GlacierError, match="seeds: each network is there at least once, came 0; give 1"):
        run_comparison(None, str(tmp_path / "out"), 0)


def test_a_scene_that_a_champion_was_trained_on_is_not_scored():
    seen, held_out = (made_scene(name, (60, 60), seed=seed) for seed, name in enumerate(("seen", "held-out")))
    trained = make_split([seen], SplitRule(block=5, gap=4)).describe()
    network = MadeClassifier({}, origin={"splits": [trained]})
    check_unseen([network], [held_out])
    # known by its pixels, whatever a catalog calls it
    again = made_scene("renamed", (60, 60), seed=0)
    with pytest.raises(GlacierError, match="renamed: the champion ffnn was trained on this very scene"):
        check_unseen([network], [held_out, again])
