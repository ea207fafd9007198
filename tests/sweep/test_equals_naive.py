"""The sweep against swap-and-forward, for every family."""

import re

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from slr_probe import LayerRange, ModelPair, Recipe, restore
from slr_probe.errors import SweepError
from slr_probe.sweep import sweep
from slr_probe.sweep.prefixes.trie import contiguous_evaluations
from tests.sweep.naive import all_kinds, assert_same, make_queries, naive_logprobs

NO_CACHE = ("qwen3_5",)  # linear attention keeps a state of its own


def test_every_recipe_equals_the_hybrid_run_by_itself(pair_of, family):
    folders = pair_of(family)
    pair = ModelPair.load(*folders.folders, dtype="float32")
    queries, recipes = make_queries(), all_kinds(pair.depth)
    result = sweep(pair, recipes, queries)
    assert result.settings["method"] == "wavefront"
    assert bool(result.settings["notes"]) == (family in NO_CACHE)
    expected = naive_logprobs(pair, recipes, queries)
    assert_same(result.answer_logprobs, expected, atol=5e-5 if family in NO_CACHE else 1e-5)

    fresh = ModelPair.load(*folders.folders, dtype="float32")
    streamed = sweep(fresh, recipes, queries, stream=True)
    assert streamed.settings["streamed"]
    assert not {"base", "tuned"} & vars(fresh).keys(), "streaming loaded a model"
    assert_same(streamed.answer_logprobs, expected)


def test_all_contiguous_ranges_by_default_in_closed_form(pair_of):
    pair = ModelPair.load(*pair_of("gemma3_text").folders)
    result = sweep(pair, None, make_queries())
    assert result.settings["block_evaluations"] == contiguous_evaluations(pair.depth)
    assert result.recipes[0].is_tuned
    assert [str(r.layers) for r in result.recipes[1:]] == [str(r) for r in LayerRange.all(pair.depth)]
    assert_same(result.answer_logprobs, naive_logprobs(pair, result.recipes, make_queries()))


@pytest.mark.parametrize("stream", [False, True])
def test_chunks_change_nothing(pair_of, stream):
    pair = ModelPair.load(*pair_of("gemma2").folders)
    queries, recipes = make_queries(), all_kinds(pair.depth)
    whole = sweep(pair, recipes, queries)
    with pytest.raises(SweepError, match="too little") as caught:
        sweep(pair, recipes, queries, stream=stream, memory=1)
    needed = int(re.search(r"needs ([\d,]+) bytes", str(caught.value))[1].replace(",", ""))
    with pytest.raises(SweepError, match="too little"):
        sweep(pair, recipes, queries, stream=stream, memory=needed - 1)
    chunks = []
    for more in (0, 8_000, 40_000, 10_000_000):
        parts = sweep(pair, recipes, queries, stream=stream, memory=needed + more)
        chunks.append(parts.settings["chunks"])
        assert_same(parts.answer_logprobs, whole.answer_logprobs)
        assert np.array_equal(parts.invalid_tokens, whole.invalid_tokens)
    assert chunks == sorted(chunks, reverse=True)
    assert chunks[0] > len(queries) > chunks[2] > chunks[3] == 1


def test_temperature_and_min_p_are_exact(pair_of):
    pair = ModelPair.load(*pair_of("qwen3").folders)
    queries, recipes = make_queries(), ["1:3", Recipe.soup(0.5, pair.depth)]
    result = sweep(pair, recipes, queries, temperature=0.7, min_p=0.05)
    expected = naive_logprobs(pair, result.recipes, queries, temperature=0.7, min_p=0.05)
    assert_same(result.answer_logprobs, expected)
    assert result.validity.max() <= 1 + 1e-6


def test_bf16_is_within_a_hundredth(pair_of):
    pair = ModelPair.load(*pair_of("llama").folders, dtype="bfloat16")
    queries, recipes = make_queries(), all_kinds(pair.depth)
    assert_same(sweep(pair, recipes, queries).answer_logprobs, naive_logprobs(pair, recipes, queries), atol=1e-1)


@pytest.mark.parametrize("stream", [False, True])
def test_another_dtype_than_the_models_is_that_of_models_loaded_in_it(pair_of, stream):
    queries, recipes = make_queries(), all_kinds(4)[:11]
    low = ModelPair.load(*pair_of("gemma3_text").folders, dtype="bfloat16")
    wide = sweep(low, recipes, queries, dtype="float32", stream=stream)
    low.base.float(), low.tuned.float()
    assert_same(wide.answer_logprobs, naive_logprobs(low, recipes, queries))


def test_a_saved_and_reloaded_hybrid_scores_the_same(pair_of, tmp_path):
    pair = ModelPair.load(*pair_of("qwen2").folders)
    recipes = [Recipe.restore("1:3", pair.depth), Recipe.ramp(0.2, 0.7, pair.depth)]
    result = sweep(pair, recipes, make_queries())
    for i, recipe in enumerate(recipes):
        restore(*pair_of("qwen2").folders, recipe, tmp_path / str(i))
        saved = ModelPair.load(tmp_path / str(i), tmp_path / str(i))
        expected = naive_logprobs(saved, [Recipe.tuned(pair.depth)], make_queries())
        assert_same(result.answer_logprobs[i : i + 1], expected)


def test_blocks_that_base_and_tuned_share_are_run_once_and_score_exactly_alike(pair_of):
    pair = ModelPair.load(*pair_of("olmo2").folders)
    base, tuned = pair.base.state_dict(), pair.tuned.state_dict()
    with torch.no_grad():
        for name, tensor in tuned.items():
            if "layers.1." not in name and "layers.2." not in name:
                tensor.copy_(base[name])
    result = sweep(pair, None, make_queries())
    assert result.settings["block_evaluations"] == 1 + 2 + 4 + 4
    untouched = [result.index(r) for r in (Recipe.tuned(4), "0:1", "3:4")]
    for i in untouched:
        assert np.array_equal(result.answer_logprobs[i], result.answer_logprobs[untouched[0]])
    assert np.array_equal(result.answer_logprobs[result.index("1:2")], result.answer_logprobs[result.index("0:2")])


def test_the_models_are_as_they_were(pair_of):
    pair = ModelPair.load(*pair_of("llama_tied").folders)
    before = {k: v.clone() for k, v in (*pair.base.state_dict().items(), *pair.tuned.state_dict().items())}
    kept = dict(pair.tuned.named_parameters())
    sweep(pair, all_kinds(pair.depth), make_queries())
    assert all(parameter is kept[name] for name, parameter in pair.tuned.named_parameters())
    after = {**pair.base.state_dict(), **pair.tuned.state_dict()}
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
    assert all("forward" not in vars(block) for block in pair.decoder.blocks)


@pytest.mark.parametrize("side", ["base", "tuned"])
def test_a_tied_head_that_one_side_stores_changes_nothing(side, own_pair):
    folders = own_pair("llama_tied")
    queries = make_queries()
    recipes = [Recipe.tuned(4), Recipe.base(4, blocks_only=False), Recipe.soup(0.5, 4)]
    expected = sweep(ModelPair.load(*folders.folders, device="cpu"), recipes, queries).answer_logprobs
    file = getattr(folders, side) / "model.safetensors"
    tensors = load_file(file)
    save_file({**tensors, "lm_head.weight": tensors["model.embed_tokens.weight"].clone()}, file, {"format": "pt"})
    for stream in (False, True):
        found = sweep(ModelPair.load(*folders.folders, device="cpu"), recipes, queries, stream=stream)
        assert_same(found.answer_logprobs, expected)
