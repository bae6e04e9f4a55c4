"""Twins of a champion: from which data they may be trained, and that none is trained twice."""

from dataclasses import replace

import numpy as np
import pytest
from made_classifiers import MadeClassifier
from tiny_studies import RULE, tiny_training

from glacier_ml.errors import GlacierError
from glacier_ml.learning.splits import make_split
from glacier_ml.scenes.catalog import open_catalog
from glacier_ml.studies import tracking, trial
from glacier_ml.studies.data import load_scenes
from glacier_ml.studies.seeds import champion_seed, champion_split, obstacle, teams, twins
from glacier_ml.studies.tracking.runs import client


@pytest.fixture(scope="module")
def data():
    return tiny_training()


@pytest.fixture(scope="module")
def champion(data):
    """A network that says of itself that it was trained on the data, from seed 4."""
    return MadeClassifier({}, origin={**data.origin, "splits": [data.split.describe()], "seed": 4})


def told(champion, **changes):
    return replace(champion, origin={**champion.origin, **changes})


def test_a_split_is_drawn_again_from_the_champions_own_rule(data, champion):
    assert champion_split(champion, data.scenes).digest == data.split.digest
    held = make_split(data.scenes, replace(RULE, protocol="scene", held=("fjord",)))
    again = champion_split(told(champion, splits=[held.describe()]), data.scenes)
    assert again.digest == held.digest


def test_nothing_hinders_a_champion_on_its_own_data(data, champion):
    assert obstacle(champion, data.scenes) == ""


def test_what_hinders_a_champion_is_told(store, data, champion):
    splits = champion.origin["splits"]
    assert "was trained further" in obstacle(told(champion, splits=splits * 2), data.scenes)
    assert "not those that it learned from" in obstacle(champion, data.scenes[:1])
    other = {**splits[0], "digest": "another"}
    assert "its split cannot be drawn again" in obstacle(told(champion, splits=[other]), data.scenes)
    nameless = {name: value for name, value in champion.origin.items() if name != "seed"}
    assert "tells the seed" in obstacle(replace(champion, origin=nameless), data.scenes)


def test_a_hindered_champion_stands_alone_and_the_reader_is_told_why(data, champion):
    ((alone,),), (note,) = teams([champion], data.catalog, data.scenes[:1], 3)
    assert alone is champion or alone.origin == champion.origin
    assert note == (
        "ffnn was trained from one seed alone: the catalog's training scenes are not those that it learned "
        "from."
    )


def test_one_seed_makes_no_twin_and_says_how_to_get_more(data, champion):
    assert twins(champion, data.catalog, 1) == []
    ((only,),), (note,) = teams([champion], data.catalog, data.scenes, 1)
    assert only.origin["seed"] == 4 and "`compare` with seeds=3 trains two more of each" in note


def test_the_seed_of_an_older_champion_is_read_from_its_run(store, champion):
    with tracking.start_run("trial", "trial") as run_id:
        tracking.log_params({"seed": 7})
    older = {name: value for name, value in champion.origin.items() if name != "seed"}
    assert champion_seed(replace(champion, origin={**older, "run_id": run_id})) == 7
    assert champion_seed(replace(champion, origin={**older, "run_id": "gone"})) is None


def test_a_twin_is_trained_as_its_champion_was_and_never_twice(
    beside_project, tiny_project, capsys, monkeypatch
):
    monkeypatch.setattr(trial, "log_pictures", lambda *told: None)  # slow, and of no matter here
    catalog = open_catalog(str(tiny_project.catalog))
    network = tracking.load_classifier("models:/glacier-ffnn@champion")
    with tracking.start_run("compare", "compare") as parent:
        (twin,) = twins(network, catalog, 2)
        (again,) = twins(network, catalog, 2)
    assert "trained before" in capsys.readouterr().err
    assert (twin.name, twin.parameters) == (network.name, network.parameters)
    assert twin.origin["seed"] == 1 and network.origin["seed"] == 0
    assert twin.origin["splits"] == network.origin["splits"]
    scene = load_scenes(catalog, "test")[0].scene
    maps = [one.probability(scene) for one in (network, twin, again)]
    assert (maps[0] != maps[1]).any()
    np.testing.assert_array_equal(maps[1], maps[2])
    (run,) = client().search_runs([client().get_run(parent).info.experiment_id], "tags.kind = 'seed'")
    assert run.data.tags["mlflow.parentRunId"] == parent and run.data.params["seed"] == "1"
    assert run.data.metrics["score/iou"] > 0.9


def test_no_twin_is_made_of_a_hindered_champion(data, champion):
    class Elsewhere:
        def of_role(self, role):
            return ()

    with pytest.raises(GlacierError, match="ffnn: no twins from other seeds, because the catalog's training"):
        twins(champion, Elsewhere(), 2)
