"""Planted pairs: post-training touched the blocks of a known range alone."""

import numpy as np
import pytest

from analyses.methods.regret import roc_auc
from slr_probe import ModelPair, organism
from slr_probe.tasks import CRCTask
from tests.rank.paper import rank_layers


@pytest.fixture(scope="module", params=organism.PLANTED, ids=str)
def planted(request, tmp_path_factory):
    try:
        tuned = organism.planted(request.param, tmp_path_factory.mktemp("planted") / "tuned")
    except FileNotFoundError as error:
        pytest.skip(str(error))
    return request.param, ModelPair.load(organism.path("base"), tuned, device="cpu")


def test_the_best_range_lies_inside_and_beats_the_controls(planted):
    span, pair = planted
    found = rank_layers(pair, soups=0)
    best, tuned = found.order[0], found.rows("tuned")[0]
    assert found.meets_floor
    assert set(found.best) <= set(range(*span))
    assert found.mean_diversity[best] > found.mean_diversity[tuned]
    for kind in ("early", "late", "random"):
        for row in found.rows(kind):
            if found.feasible[row]:  # a random set may hold a planted block
                assert found.mean_diversity[best] >= found.mean_diversity[row]
    for row, layers in enumerate(found.ranges):
        if not set(layers) & set(range(*span)):
            np.testing.assert_array_equal(found.validity[row], found.validity[tuned])
            np.testing.assert_array_equal(found.diversity[row], found.diversity[tuned])


def check_method(planted, method):
    span, pair = planted
    found = rank_layers(pair, CRCTask.default().thinned(10), method=method, soups=0)
    assert roc_auc(found.block_gain, range(*span)) == 1.0
    assert set(found.best) <= set(range(*span))


@pytest.mark.parametrize("method", ["delta", "patching", "attribution", "entropy"])
def test_cheap_methods_tell_planted_blocks_from_others(planted, method):
    check_method(planted, method)


@pytest.mark.parametrize("planted", organism.PLANTED[1:2], ids=str, indirect=True)
def test_a_learned_mask_tells_them_as_well(planted):
    """In the middle; that it is learned on all three pairs is tested with the mask itself."""
    check_method(planted, "mask")
