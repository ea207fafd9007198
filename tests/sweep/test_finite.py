"""Weights that are finite while what is computed with them is not: an error that names model and block."""

import numpy as np
import pytest

from slr_probe import ModelPair, rank_layers
from slr_probe.errors import SweepError
from slr_probe.forward.token_scores import SCORES
from slr_probe.sweep import sweep
from slr_probe.sweep.walk.finite import without_numbers
from slr_probe.tasks import CRCItem, CRCTask
from tests.sweep.naive import make_queries, make_replies
from tests.tiny import rewrite_tensor


@pytest.fixture
def overflowing(own_pair):
    """`overflowing("tuned", name)`: folders of a pair in which a side has 3e38 all over one tensor."""
    pair = own_pair("llama")

    def make(side, name):
        rewrite_tensor(getattr(pair, side), name, lambda tensor: tensor.new_full(tensor.shape, 3e38))
        return pair.folders

    return make


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("side", "told"), [("tuned", "^(tuned|restore 0:1)"), ("base", "^(base|restore 2:3)")])
def test_the_block_is_named(side, told, stream, overflowing):
    pair = ModelPair.load(*overflowing(side, "model.layers.2.mlp.up_proj.weight"), device="cpu")
    with pytest.raises(SweepError, match=rf"{told}.*: the output of block 2 is NaN or infinite"):
        sweep(pair, ["2:3", "0:1"], make_queries(), stream=stream)


def test_the_head_is_named_where_all_blocks_are_right(overflowing):
    pair = ModelPair.load(*overflowing("tuned", "lm_head.weight"), device="cpu")
    with pytest.raises(SweepError, match="what the final norm and the head make of it is NaN"):
        sweep(pair, ["2:3"], make_queries())


def test_replies_and_hybrids_that_are_run_one_by_one_are_looked_at_too(overflowing):
    pair = ModelPair.load(*overflowing("tuned", "model.norm.weight"), device="cpu")
    with pytest.raises(SweepError, match="what the final norm"):
        sweep(pair, ["2:3"], replies=make_replies())
    hook = pair.decoder.blocks[1].register_forward_hook(lambda module, args, out: out + out.mean(1, keepdim=True))
    with pytest.warns(UserWarning, match="one by one"), pytest.raises(SweepError, match="what the final norm"):
        sweep(pair, ["2:3"], make_queries())
    hook.remove()


def test_a_side_that_no_recipe_reads_may_be_what_it_is(overflowing):
    pair = ModelPair.load(*overflowing("base", "lm_head.weight"), device="cpu")
    assert np.isfinite(sweep(pair, ["2:3"], make_queries()).diversity).all()


def test_a_ranking_is_refused_as_well(overflowing):
    pair = ModelPair.load(*overflowing("tuned", "model.layers.2.mlp.up_proj.weight"), device="cpu")
    task = CRCTask.of([CRCItem("Pick a letter.", ("a", "b")), CRCItem("Pick a digit.", ("1", "2"))])
    with pytest.raises(SweepError, match="block 2"):
        rank_layers(pair, task, soups=0, guards=None, progress=False)


def test_infinite_logs_are_scores_and_so_is_a_position_without_a_token():
    arrays = {name: np.full((3, 2, 2), -np.inf) for name in ("answer_logprobs", "grid_logprobs", "path_logprobs")}
    arrays["reply_scores"] = np.zeros((3, 2, 1, len(SCORES)))
    arrays["reply_scores"][..., SCORES.index("given")] = np.nan
    assert without_numbers(arrays) is None
    for name in arrays:
        one = {**arrays, name: arrays[name].copy()}
        one[name][1, 0, ..., -1] = np.nan
        assert without_numbers(one) == 1
