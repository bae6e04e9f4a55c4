"""Views of MLflow's pages: what they ask of the store, what they plot, and that MLflow knows the format."""

import base64
import json
import zlib
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import mlflow
import pytest

from glacier_ml.studies import tracking
from glacier_ml.studies.tracking.runs import COLOURS, client
from glacier_ml.studies.tracking.views import COMPRESSED, FOLDED, VIEW_TAG

SEARCHED = {"learning_rate": "log10_learning_rate", "nodes": "nodes"}


def view_of(link):
    """The state that a link's page reads from the store, and the id of its experiment."""
    page = urlsplit(urlsplit(link).fragment)
    query = {key: values[0] for key, values in parse_qs(page.query).items()}
    assert (query["workflowType"], query["compareRunsMode"]) == ("machine_learning", "CHART")
    experiment = page.path.split("/")[2]
    told = json.loads(client().get_experiment(experiment).tags[VIEW_TAG + query["viewStateShareKey"]])
    # What MLflow's page refuses to read otherwise.
    assert isinstance(told["name"], str) and isinstance(told["createdAt"], int)
    packed = told["state"].removeprefix(COMPRESSED)
    return json.loads(zlib.decompress(base64.b64decode(packed))), experiment


@pytest.fixture
def studied(store):
    """A link to the trials of one of two studies, its trials by name, and the view's state."""
    for study in ("other-1", "made-2"):
        with tracking.start_run(study, "study") as parent:
            for number, iou in enumerate((0.5, 0.7)):
                with tracking.start_run(f"trial-{number:03d}", "trial", tags={"study": study}):
                    tracking.log_metrics({"best/iou": iou})
            with tracking.start_run("trial-002", "trial", tags={"study": study}):
                tracking.set_tags({"state": "pruned"})
            with (
                pytest.raises(ValueError),
                tracking.start_run("trial-003", "trial", tags={"study": study}),
            ):
                raise ValueError("not finite")
            with tracking.start_run("refit", "refit"):
                tracking.log_metrics({"best/iou": 0.9})
        state = tracking.study_view(f"tags.`study` = '{study}'", "best/iou", SEARCHED, ["early", "fjord"])
        link = tracking.save_view(parent, study, state)
    return link


def test_the_page_ranks_the_trials_of_the_study_alone(studied):
    assert studied.startswith("http://127.0.0.1:5000/#/experiments/")
    assert " " not in studied and "'" not in studied
    state, experiment = view_of(studied)
    order = f"{state['orderByKey']} {'ASC' if state['orderByAsc'] else 'DESC'}"
    runs = client().search_runs([experiment], state["searchFilter"], order_by=[order])
    names = [run.info.run_name for run in runs]
    assert names[:2] == ["trial-001", "trial-000"]
    assert set(names[2:]) == {"trial-002 pruned", "trial-003 failed"}
    assert {run.data.tags["study"] for run in runs} == {"made-2"}


def test_states_are_told_apart_by_name_and_colour(studied):
    _, experiment = view_of(studied)
    colours = {
        run.data.tags["state"]: run.data.tags.get("mlflow.runColor")
        for run in client().search_runs([experiment], "tags.kind = 'trial'")
    }
    # MLflow gives every complete trial a colour of its own.
    assert colours == {"complete": None, "pruned": COLOURS["pruned"], "failed": COLOURS["failed"]}
    study = client().search_runs([experiment], "tags.kind = 'study'")[0]
    assert study.info.run_name == "made-2" and "mlflow.runColor" not in study.data.tags


def test_the_view_ranks_overlays_maps_and_lays_parameters_side_by_side(studied):
    state, _ = view_of(studied)
    shown = {section["name"]: [] for section in state["compareRunSections"] if section["display"]}
    for card in state["compareRunCharts"]:
        shown[card["metricSectionId"]].append(card)
    assert list(shown) == ["Ranking", "Curves", "Maps", "Parameters"]
    assert [(one["type"], one["metricKey"]) for one in shown["Ranking"]] == [
        ("BAR", "best/iou"),
        ("BAR", "best/iou_early"),
        ("BAR", "best/iou_fjord"),
    ]
    assert {(one["type"], one["metricKey"]) for one in shown["Curves"]} == {
        ("LINE", "val/iou"),
        ("LINE", "val/loss"),
        ("LINE", "train/loss"),
    }
    assert [one["imageKeys"] for one in shown["Maps"]] == [["maps/early", "maps/fjord"]]
    assert shown["Parameters"][0]["selectedParams"] == ["log10_learning_rate", "nodes"]
    assert len({card["uuid"] for card in state["compareRunCharts"]}) == 8
    # What MLflow adds by itself is folded away below.
    folded = [section["name"] for section in state["compareRunSections"] if not section["display"]]
    assert folded == list(FOLDED)
    assert "params.`learning_rate`" in state["selectedColumns"] and "tags.`state`" in state["selectedColumns"]


def test_one_scene_needs_no_bars_of_its_own():
    state = tracking.study_view("tags.`study` = 'made-2'", "best/iou", {}, ["early"])
    assert [card["metricKey"] for card in state["compareRunCharts"] if card["type"] == "BAR"] == ["best/iou"]


def test_a_view_of_many_scenes_and_parameters_fits_into_a_tag(store):
    searched = {f"parameter_{number}": f"log10_parameter_{number}" for number in range(40)}
    with tracking.start_run("study", "study") as run_id:
        state = tracking.study_view("s" * 60, "best/iou", searched, [f"scene-{n:04d}" for n in range(500)])
        link = tracking.save_view(run_id, "wide", state)
    assert view_of(link)[0] == state


def test_a_view_is_replaced_by_the_next_one_of_its_name(store):
    with tracking.start_run("study", "study") as run_id:
        links = [tracking.save_view(run_id, "made-2", {"searchFilter": text}) for text in ("a", "b")]
    assert links[0] == links[1] and view_of(links[1])[0] == {"searchFilter": "b"}


@pytest.mark.parametrize(
    "word",
    ["viewStateShareKey", VIEW_TAG, COMPRESSED, "compareRunCharts", "compareRunSections", "mlflow.runColor"],
)
def test_mlflow_s_page_knows_the_words_of_a_view(word):
    # None of them is documented: another MLflow may have others, and this tells.
    page = Path(mlflow.__file__).parent / "server/js/build/static/js"
    assert any(word in file.read_text(encoding="utf-8") for file in sorted(page.glob("main.*.js")))
