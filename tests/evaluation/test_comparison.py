"""The comparison as a whole: what it holds for the page, and the real scenes' known answers."""

import numpy as np
import pytest
from made_scenes import made_scene

from glacier_ml.evaluation.comparison import EARLIER, classify_scenes, compare_maps, earlier_outlines


class Everywhere:
    """A classifier that gives one probability everywhere."""

    bands = ("blue",)
    threshold = 0.5
    temperature = 1.0

    def __init__(self, name, probability, seed=None):
        self.name, self.value = name, probability
        self.origin = {} if seed is None else {"seed": seed}

    def probability(self, scene, wanted=None):
        return np.where(scene.valid, np.float32(self.value), np.float32(np.nan))


def test_a_comparison_holds_what_the_page_tells():
    scenes = [made_scene("disc", (130, 140), seed=1), made_scene("other", (150, 130), seed=2)]
    network = [Everywhere("unet", 0.8, seed) for seed in (3, 4)]
    heard = []
    maps = classify_scenes([network, [Everywhere("none", 0.2)]], scenes)
    comparison = compare_maps(maps, repeats=20, tell=heard.append)
    assert comparison.seeds == {"unet": [3, 4]} and comparison.side == 64 and comparison.repeats == 20
    assert heard == ["disc: all", "other: all"]
    assert set(comparison.scores.scene) == {"disc", "other", "all scenes"}
    assert set(comparison.scene_pairs.scene) == {"disc", "other"}
    # All glacier against none: their accuracies are the glacier share and the rest.
    shares = [one.mask.mean() for one in scenes]
    accuracy = comparison.pairs[comparison.pairs.score == "accuracy"].iloc[0]
    assert accuracy.difference == pytest.approx(np.mean([1 - 2 * share for share in shares]))
    assert set(comparison.thresholds.scene) == set(comparison.reliability.scene) == {"disc", "other"}


@pytest.mark.real_data
def test_columbia_2007_outline_handed_in_for_2009(real_scenes):
    from glacier_ml.scenes.catalog import open_catalog

    catalog = open_catalog(real_scenes)
    held = [entry.load() for entry in catalog.of_role("test")]
    earlier = earlier_outlines(catalog.of_role("train"), held)
    assert list(earlier) == ["columbia-2009"]
    here = [one for one in held if one.scene.name == "columbia-2009"]
    comparison = compare_maps(classify_scenes([[Everywhere("nothing", 0.2)]], here, earlier), repeats=20)
    rows = comparison.scores.set_index(["subset", "classifier", "score"]).value
    assert rows["all", EARLIER, "accuracy"] == pytest.approx(0.954, abs=0.002)
    assert rows["all", EARLIER, "iou"] == pytest.approx(0.768, abs=0.002)
    assert rows["all", "nothing", "accuracy"] == pytest.approx(0.847, abs=0.002)  # all background
    # What changed is what the old outline has wrong, and nothing else.
    assert rows["changed", EARLIER, "accuracy"] == 0 and rows["unchanged", EARLIER, "accuracy"] == 1
