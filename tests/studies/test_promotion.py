"""Promotion: on which pixels, by which rule, and what is said."""

from dataclasses import replace

import numpy as np
import pytest
from made_classifiers import MadeClassifier, shifted, sure_map
from tiny_studies import RULE, tiny_training

from glacier_ml.errors import GlacierError
from glacier_ml.learning.splits import make_split
from glacier_ml.studies import promotion, tracking
from glacier_ml.studies.commands import run_promotion, run_training
from glacier_ml.studies.promotion import compare_networks, promote
from glacier_ml.studies.tracking.runs import client

WIDE = replace(RULE, fraction=0.5, block=10)  # two draws share a quarter of 88,000 pixels


@pytest.fixture(scope="module")
def data():
    return tiny_training()


def made(data, *splits, shift=0):
    """A classifier whose glaciers lie `shift` columns beside the true ones, trained on these splits."""
    maps = {one.scene.name: sure_map(shifted(one.mask, shift)) for one in data.scenes}
    return MadeClassifier(maps, origin={"splits": [split.describe() for split in splits], "data": "made"})


def test_a_better_map_lies_above_zero_and_a_worse_below(data):
    true, wrong = made(data, data.split), made(data, data.split, shift=6)
    better, pixels = compare_networks(wrong, true, data.scenes)
    worse, _ = compare_networks(true, wrong, data.scenes)
    assert better.low > 0 and worse.high < 0
    assert better.difference == -worse.difference
    assert pixels == sum(data.split.validation(name).sum() for name in ("early", "fjord"))


def test_equal_maps_differ_by_nothing(data):
    interval, _ = compare_networks(made(data, data.split), made(data, data.split), data.scenes)
    assert (interval.difference, interval.low, interval.high) == (0, 0, 0)


def test_each_model_maps_at_its_own_threshold(data):
    timid = {name: 0.3 * values for name, values in made(data).maps.items()}  # glacier .27, else .03
    one = replace(made(data, data.split), maps=timid, threshold=0.2)
    interval, _ = compare_networks(one, made(data, data.split), data.scenes)
    assert interval.difference == 0


@pytest.mark.parametrize("ancestor_of", ["champion", "challenger"])
def test_no_pixel_counts_that_either_or_an_ancestor_was_trained_on(data, ancestor_of):
    splits = [make_split(data.scenes, replace(WIDE, seed=seed)) for seed in range(2)]
    pair = {"champion": made(data, splits[0]), "challenger": made(data, splits[0])}
    pair[ancestor_of] = made(data, *splits)  # fine-tuned from a model of another split
    _, pixels = compare_networks(pair["champion"], pair["challenger"], data.scenes)
    shared = {
        one.scene.name: np.logical_and(*(split.validation(one.scene.name) for split in splits))
        for one in data.scenes
    }
    assert pixels == sum(mask.sum() for mask in shared.values())
    for model in pair.values():
        assert len(model.asked) == 2
        for name, asked in model.asked:
            np.testing.assert_array_equal(asked, shared[name])
            assert not any((asked & split.training(name)).any() for split in splits)


def test_too_few_pixels_are_refused_in_a_line(data):
    # Two draws of .3 share about .09 of 88,000 pixels.
    other = make_split(data.scenes, replace(RULE, seed=1))
    told = r"promote: [\d,]+ pixels are left that neither model was trained on, 20,000 are needed; tune both"
    with pytest.raises(GlacierError, match=told) as caught:
        compare_networks(made(data, data.split), made(data, other), data.scenes)
    assert "\n" not in str(caught.value)


def test_a_random_split_leaves_nothing_to_compare_on(data):
    leaky = make_split(data.scenes, replace(RULE, protocol="random"))
    with pytest.raises(GlacierError, match="promote: 0 pixels are left"):
        compare_networks(made(data, data.split), made(data, leaky), data.scenes)


class Registry:
    """Stands in for tracking: versions by model and alias, and the classifiers behind them."""

    def __init__(self, aliases, classifiers):
        self.aliases, self.classifiers, self.tags, self.metrics = aliases, classifiers, {}, {}

    def model_version(self, name, alias):
        return self.aliases.get(name, {}).get(alias)

    def move_alias(self, name, alias, version):
        self.aliases[name][alias] = version

    def load_classifier(self, address):
        return self.classifiers[address.rpartition("/")[2]]

    def set_tags(self, tags):
        self.tags.update(tags)

    def log_metrics(self, metrics):
        self.metrics.update(metrics)


@pytest.fixture
def registry(data, monkeypatch):
    """Factory: glacier-ffnn with version 1 champion (if told its shift) and 2 challenger."""

    def make(champion=None, challenger=0):
        aliases = {"challenger": "2"} if champion is None else {"challenger": "2", "champion": "1"}
        shifts = {"1": champion or 0, "2": challenger}
        models = {version: made(data, data.split, shift=shift) for version, shift in shifts.items()}
        fake = Registry({"glacier-ffnn": aliases}, models)
        monkeypatch.setattr(promotion, "tracking", fake)
        monkeypatch.setattr(promotion, "open_catalog", lambda source: source)
        monkeypatch.setattr(promotion, "load_scenes", lambda catalog, role: data.scenes)
        return fake

    return make


@pytest.mark.parametrize(
    ("shifts", "force", "promoted", "reason"),
    [
        ((None, 6), False, True, "there was no champion"),
        ((6, 0), False, True, r"^IoU \+0\.\d{3} against version 1, 95 % interval \+0"),
        ((0, 6), False, False, r"^worse: IoU -0\.\d{3} against version 1"),
        ((0, 0), False, False, r"^not distinguishable: IoU \+0\.000 against version 1, .*for these scenes"),
        ((0, 6), True, True, "forced, over version 1"),
    ],
)
def test_the_alias_moves_only_where_the_interval_lies_above_zero(registry, shifts, force, promoted, reason):
    import re

    fake = registry(*shifts)
    (verdict,) = promote("ffnn", force)
    assert verdict.promoted == promoted and re.search(reason, verdict.reason)
    before = None if shifts[0] is None else "1"
    assert fake.aliases["glacier-ffnn"].get("champion") == ("2" if promoted else before)
    assert fake.tags["glacier-ffnn.reason"] == verdict.reason
    assert fake.tags["glacier-ffnn.promoted"] == str(promoted).lower()
    assert ("is the champion" if promoted else "stays a challenger") in str(verdict)


def test_the_champion_itself_needs_no_comparison(registry):
    fake = registry(0)
    fake.aliases["glacier-ffnn"]["champion"] = "2"
    (verdict,) = promote("both")
    assert verdict.promoted and verdict.reason == "it already was"
    assert fake.metrics == {}


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ("unet", "glacier-unet: no challenger yet; tune one"),
        ("resnet", "model: 'resnet' cannot be promoted; choose one of ffnn, unet, both"),
    ],
)
def test_nothing_to_promote_is_told(registry, model, told):
    registry()
    with pytest.raises(GlacierError, match=told):
        promote(model)


def test_a_model_trained_further_is_compared_with_its_ancestor(beside_project, tiny_project, capsys):
    # Both map these scenes all but perfectly.
    for network in ("ffnn", "unet"):
        assert f"glacier-{network} version 1 is the champion: there was no champion" in tiny_project.printed
    experiment, catalog = str(tiny_project.experiment("ffnn")), str(tiny_project.catalog)
    run_training(experiment, catalog, None, "models:/glacier-ffnn@champion", True, 1)
    assert "registered as glacier-ffnn version 2; promote it with 'promote'" in capsys.readouterr().out
    first, second = (tracking.load_classifier(f"models:/glacier-ffnn/{version}").origin for version in (1, 2))
    assert len(second["splits"]) == 2 and second["splits"][1] == first["splits"][0]
    assert second["source"] == "fine-tuned from models:/glacier-ffnn@champion"
    run_promotion("ffnn", False)
    told = capsys.readouterr().out
    assert "glacier-ffnn version 2 stays a challenger: not distinguishable: IoU" in told
    assert tracking.model_version("glacier-ffnn", "champion") == "1"
    run_promotion("ffnn", True)
    assert "version 2 is the champion: forced, over version 1" in capsys.readouterr().out
    assert tracking.model_version("glacier-ffnn", "champion") == "2"
    experiment_id = client().get_experiment_by_name("glacier_ml").experiment_id
    runs = client().search_runs([experiment_id], "tags.kind = 'promote'")
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert any("glacier-ffnn/difference" in run.data.metrics for run in runs)
