"""Named parts of a scene: which pixels each holds, and that they never overlap."""

from dataclasses import replace

import numpy as np
import pytest
from made_scenes import disc, made_scene

from glacier_ml.evaluation.subsets import GLACIER_SUBSETS, GROUND_SUBSETS, ground_subsets
from glacier_ml.scenes.made.ground import DEBRIS, GROUND_CLASSES, ICE, MELANGE
from glacier_ml.scenes.made.synthetic import make_scene


@pytest.fixture
def labelled():
    """A scene of 4 x 6 px whose last column has no data."""
    return made_scene("small", (4, 6), disc, nodata=1)


def test_a_ground_class_is_its_valid_pixels_alone(labelled):
    ground = np.full((4, 6), ICE, np.uint8)
    ground[1, :] = DEBRIS
    ground[2:, 5] = MELANGE  # where there are no data
    parts = ground_subsets(replace(labelled, ground=ground))
    # 4 rows of 5 valid pixels: one row of debris, three of ice, and no melange.
    assert {name: int(part.sum()) for name, part in parts.items()} == {"clean ice": 15, "debris": 5}


def test_outlines_with_debris_part_the_glacier_alone(labelled):
    mask = np.zeros((4, 6), bool)
    mask[:2] = True
    debris = np.zeros((4, 6), bool)
    debris[1:3] = True  # a row of it beyond the glacier
    parts = ground_subsets(replace(labelled, mask=mask, debris=debris))
    assert {name: int(part.sum()) for name, part in parts.items()} == {"clean ice": 5, "debris": 5}
    assert not (parts["clean ice"] & parts["debris"]).any()


def test_a_scene_that_does_not_tell_has_no_parts(labelled):
    assert ground_subsets(labelled) == {}


def test_a_made_scene_is_parted_without_rest_and_without_overlap(labelled):
    made = make_scene(2, "alaska", (128, 96))
    parts = ground_subsets(replace(labelled, scene=made.scene, mask=made.mask, ground=made.ground))
    np.testing.assert_array_equal(sum(part.astype(int) for part in parts.values()), made.scene.valid)
    assert list(parts) == [name for name in GROUND_SUBSETS if name in parts]
    glacier = sum(part.astype(int) for name, part in parts.items() if name in GLACIER_SUBSETS)
    np.testing.assert_array_equal(glacier, made.mask & made.scene.valid)


def test_every_ground_class_has_a_name(labelled):
    # One pixel of each class.
    ground = np.resize(np.arange(len(GROUND_CLASSES), dtype=np.uint8), (4, 5))
    ground = np.pad(ground, ((0, 0), (0, 1)))
    assert tuple(ground_subsets(replace(labelled, ground=ground))) == GROUND_SUBSETS
