"""Ensembles: the mean of maps, members in step whatever their strips are."""

from dataclasses import replace

import numpy as np
import pytest
from made_networks import ffnn, unet, untrained
from made_scenes import made_scene

from glacier_ml.errors import GlacierError
from glacier_ml.learning.ensembles import Ensemble, _together, ensemble_of, member_rows
from glacier_ml.learning.rules import NdsiClassifier
from glacier_ml.learning.stitching import Stitching
from glacier_ml.scenes.scene import SURFACE


@pytest.fixture(scope="module")
def members():
    """A U-Net, which is mapped in pieces of 192 rows, and a per-pixel network, in pieces of 256."""
    return untrained(unet()).calibrated(0.3, 1.0), untrained(ffnn()).calibrated(0.5, 2.0)


def test_an_ensemble_is_the_mean_of_its_members(members):
    ensemble, scene = ensemble_of(members), made_scene("any", (450, 60), nodata=3).scene
    maps = np.stack([one.probability(scene) for one in members])
    np.testing.assert_allclose(ensemble.probability(scene), maps.mean(axis=0), rtol=1e-6)
    assert ensemble.threshold == pytest.approx(0.4) and ensemble.name == "unet + ffnn"
    assert set(ensemble.bands) == {"blue", "green", "red", "nir", "swir1"}
    pieces = list(member_rows(ensemble, scene.rows, scene.shape, Stitching()))
    np.testing.assert_allclose(np.concatenate([piece for _, piece in pieces], axis=1), maps, atol=1e-6)
    assert [row for row, _ in pieces] == [0, 192, 256, 384]


def test_pieces_of_other_lengths_are_cut_to_common_rows():
    def stream(*lengths):
        first = 0
        for length in lengths:
            yield first, np.arange(first, first + length, dtype=np.float32)[:, None]
            first += length

    pieces = list(_together([stream(4, 4, 1), stream(3, 6)]))
    assert [(row, piece.shape[1]) for row, piece in pieces] == [(0, 3), (3, 1), (4, 4), (8, 1)]
    for row, piece in pieces:
        np.testing.assert_array_equal(piece[:, :, 0], [np.arange(row, row + piece.shape[1])] * 2)


def test_a_single_member_is_itself(members):
    assert ensemble_of(members[:1]) is members[0]
    assert isinstance(ensemble_of(members), Ensemble)


def test_members_of_other_reflectance_are_refused(members):
    other = replace(members[1], origin={"quantity": SURFACE})
    with pytest.raises(GlacierError, match="learned from surface reflectance and toa reflectance; name"):
        ensemble_of((members[0], other))


def test_a_rule_is_given_the_whole_scene():
    scene = made_scene("any", (300, 40)).scene
    ((row, piece),) = member_rows(NdsiClassifier(), scene.rows, scene.shape, Stitching())
    np.testing.assert_array_equal(piece[0], NdsiClassifier().probability(scene))
    assert row == 0
