"""The embedded pair, and the real one where `SLR_PROBE_PAIR` names a folder with `base/` and `tuned/`."""

import os

import numpy as np
import pytest
from scipy.stats import spearmanr

from slr_probe import LayerRange, ModelPair, Recipe
from slr_probe.sweep import sweep
from slr_probe.sweep.prefixes.trie import contiguous_evaluations
from slr_probe.tasks import CRCTask
from tests.sweep.naive import assert_same, naive_logprobs

REAL = os.environ.get("SLR_PROBE_PAIR")


def organism(dtype):
    try:
        return ModelPair.load("organism:base", "organism:dpo", dtype=dtype)
    except FileNotFoundError as error:
        pytest.skip(str(error))


def test_all_ranges_of_the_embedded_pair_equal_naive_in_fp32():
    pair = organism("float32")
    queries = CRCTask.default().selection.queries(pair)[::20]
    result = sweep(pair, None, queries)
    assert result.settings["block_evaluations"] == contiguous_evaluations(pair.depth)
    assert_same(result.answer_logprobs, naive_logprobs(pair, result.recipes, queries))


def test_bf16_moves_the_embedded_pair_by_a_hundredth_at_most_in_every_score():
    queries = CRCTask.default().selection.queries(organism(None))[::4]
    wide, low = (sweep(organism(dtype), None, queries) for dtype in ("float32", "bfloat16"))
    assert (low.settings["dtype"], wide.settings["dtype"]) == ("bfloat16", "float32")
    assert np.abs(low.validity.mean(1) - wide.validity.mean(1)).max() < 1e-2
    assert np.abs(low.diversity.mean(1) - wide.diversity.mean(1)).max() < 1e-2
    assert spearmanr(low.diversity.mean(1), wide.diversity.mean(1)).statistic > 0.99


@pytest.mark.parametrize("stream", [False, True])
def test_a_pair_that_is_planted_scores_tuned_wherever_nothing_was_planted(stream):
    from slr_probe import organism as embedded

    try:
        tuned = embedded.planted((4, 6))
    except (FileNotFoundError, ValueError) as error:
        pytest.skip(str(error))
    pair = ModelPair.load("organism:base", tuned, dtype="float32")
    result = sweep(pair, None, CRCTask.default().selection.queries(pair)[::8], stream=stream)
    untouched = [r for r in LayerRange.all(pair.depth) if r.stop <= 4 or r.start >= 6]
    reference = result.answer_logprobs[result.index(Recipe.tuned(pair.depth))]
    for layers in untouched:
        found = result.answer_logprobs[result.index(layers)]
        assert_same(found, reference, atol=1e-5 if stream else 0)


@pytest.mark.skipif(not REAL, reason="SLR_PROBE_PAIR is not set")
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_sample_of_hybrids_of_the_real_pair_equals_naive(dtype):
    pair = ModelPair.load(f"{REAL}/base", f"{REAL}/tuned", dtype=dtype)
    queries = CRCTask.default().selection.queries(pair)[::8]
    ranges = LayerRange.all(pair.depth)[7::40]
    recipes = [Recipe.tuned(pair.depth), *(Recipe.restore(r, pair.depth) for r in ranges), Recipe.soup(0.5, pair.depth)]
    found, expected = sweep(pair, recipes, queries).answer_logprobs, naive_logprobs(pair, recipes, queries)
    if dtype == "float32":
        assert_same(found, expected, atol=3e-5)  # what one batch shape and another differ by in float32
    else:  # logits of size 16 to 32 are multiples of 1/8 in bf16, for either way of running it
        assert np.abs(np.exp(found) - np.exp(expected)).mean() < 1e-2
