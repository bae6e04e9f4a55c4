"""The contest on held-out scenes: who is in the table, what is written, what is said."""

from pathlib import Path

import pandas as pd
import pytest
from made_classifiers import MadeClassifier
from made_scenes import disc, made_scene
from tiny_studies import SHAPE, wide_disc, write_catalog

from glacier_ml.errors import GlacierError
from glacier_ml.evaluation.comparison import EARLIER
from glacier_ml.learning.splits import SplitRule, make_split
from glacier_ml.studies import tracking
from glacier_ml.studies.commands import run_comparison
from glacier_ml.studies.contest import Contest, champions, check_unseen, open_contest, verdict
from glacier_ml.studies.tracking.runs import client

ALL = {"ffnn", "unet", "NDSI", "NDSI tuned", "band ratio", "gradient boosting", EARLIER}


@pytest.fixture
def contest(beside_project, tiny_project, capsys):
    """A comparison of the tiny project's champions, written beside a file that was there before."""
    (beside_project / "told").mkdir()
    (beside_project / "told/notes.txt").write_text("mine")
    found = run_comparison(str(tiny_project.catalog), "told")
    return found, capsys.readouterr().out


def test_a_contest_scores_writes_and_logs_everybody(contest, beside_project):
    found, printed = contest
    assert set(found.table.classifier) == ALL and set(found.table.scene) == {"late"}
    scores = found.table[["accuracy", "precision", "recall", "f1", "iou"]]
    assert ((scores >= 0) & (scores <= 1)).all(axis=None)
    rows = found.table.set_index("classifier")
    # Early's disc lies inside late's wider one: nothing is mapped in excess, and IoU = recall = their ratio.
    ratio = disc(SHAPE).sum() / wide_disc(SHAPE).sum()
    assert rows.iou[EARLIER] == rows.recall[EARLIER] == pytest.approx(ratio)
    assert rows.precision[EARLIER] == 1
    assert rows.iou["gradient boosting"] > 0.98  # ice and ground lie far apart
    assert len(found.pairs) == 7 * 6 / 2
    folder = beside_project / "told"
    assert {file.name for file in folder.iterdir()} == {
        "differences.csv",
        "late.png",
        "notes.txt",
        "table.csv",
        "table.txt",
    }
    pd.testing.assert_frame_equal(pd.read_csv(folder / "table.csv"), found.table)
    assert (folder / "table.txt").read_text().rstrip("\n") in printed
    assert "mean IoU on held-out scenes: U-Net" in printed and str(folder) in printed
    check_run(found)


def check_run(found):
    experiment = client().get_experiment_by_name("glacier_ml").experiment_id
    (run,) = client().search_runs([experiment], "tags.kind = 'compare'")
    logged = {Path(item.path).name for item in client().list_artifacts(run.info.run_id, "comparison")}
    assert logged == {
        "differences.csv",
        "late.png",
        "table.csv",
        "table.txt",
    }  # and not what lay there before
    assert run.data.metrics["iou/late/NDSI"] == found.table.set_index("classifier").iou["NDSI"]
    assert run.data.tags["verdict"].startswith("mean IoU on held-out scenes")


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


def made_contest(ious, pairs):
    """A contest of one scene: IoU by classifier, and (first, second, distinguishable)."""
    table = pd.DataFrame(
        [("late", name, iou) for name, iou in ious.items()], columns=["scene", "classifier", "iou"]
    )
    told = pd.DataFrame(pairs, columns=["first", "second", "distinguishable"])
    return Contest(table, told, Path())


def test_the_verdict_names_who_is_above_and_whether_it_can_be_told():
    ious = {"ffnn": 0.7, "unet": 0.8, "NDSI": 0.85}
    pairs = [("ffnn", "unet", True), ("unet", "NDSI", False), ("ffnn", "NDSI", True)]
    assert verdict(made_contest(ious, pairs)) == (
        "mean IoU on held-out scenes: U-Net 0.800, below (not distinguishable) NDSI 0.850, above ffnn 0.700"
    )


def test_without_a_unet_the_best_is_named():
    assert (
        verdict(made_contest({"ffnn": 0.7, "NDSI": 0.6}, []))
        == "best mean IoU on held-out scenes: ffnn 0.700"
    )


def test_a_lone_champion_is_compared_too(beside_project, tiny_project):
    client().delete_registered_model_alias("glacier-unet", "champion")
    assert tracking.model_version("glacier-unet", "champion") is None
    assert set(run_comparison(str(tiny_project.catalog), "alone").table.classifier) == ALL - {"unet"}


def test_a_scene_that_a_champion_was_trained_on_is_not_scored():
    seen, held_out = (made_scene(name, (60, 60), seed=seed) for seed, name in enumerate(("seen", "held-out")))
    trained = make_split([seen], SplitRule(block=5, gap=4)).describe()
    network = MadeClassifier({}, origin={"splits": [trained]})
    check_unseen([network], [held_out])
    # known by its pixels, whatever a catalog calls it
    again = made_scene("renamed", (60, 60), seed=0)
    with pytest.raises(GlacierError, match="renamed: the champion ffnn was trained on this very scene"):
        check_unseen([network], [held_out, again])
