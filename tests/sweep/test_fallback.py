"""Blocks that cannot be replayed: noticed by measuring, and run the plain way."""

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from slr_probe import ModelPair, Recipe
from slr_probe.errors import SweepError
from slr_probe.sweep import sweep
from tests.sweep.naive import assert_same, make_queries, naive_logprobs
from tests.tiny import randomise

_TEXT = {
    "vocab_size": 128,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "sliding_window": 4,
    "vocab_size_per_layer_input": 128,
    "hidden_size_per_layer_input": 8,
    "num_kv_shared_layers": 2,
}
_UNSHARED = {
    **_TEXT,
    **{"layer_types": ["sliding_attention", "full_attention"] * 2, "global_head_dim": 8, "top_k_experts": 2},
    **{"hidden_size_per_layer_input": 0, "num_kv_shared_layers": 0},
}
MODELS = {
    "mamba": {"vocab_size": 128, "hidden_size": 32, "num_hidden_layers": 4, "state_size": 2, "expand": 1},
    "bloom": {"vocab_size": 128, "hidden_size": 32, "n_layer": 4, "n_head": 4},
    "gemma3n_text": {**_TEXT, "laurel_rank": 4, "activation_sparsity_pattern": [0.0] * 4},
    "gemma4_text": {**_TEXT, "layer_types": ["sliding_attention", "full_attention"] * 2},
    "gemma4_text, nothing shared": _UNSHARED,
    "gemma4_text, experts": {**_UNSHARED, "enable_moe_block": True, "num_experts": 4, "moe_intermediate_size": 16},
}
PLAIN = ("gemma3n_text", "gemma4_text")  # per-layer inputs, keys that blocks share


def make_pair(kind):
    config = AutoConfig.for_model(kind.partition(",")[0], **MODELS[kind])
    models = [randomise(AutoModelForCausalLM.from_config(config).float().eval(), seed) for seed in (1, 2)]
    return ModelPair.load(*models)


def recipes(depth):
    return [Recipe.tuned(depth), "0:2", "1:3", Recipe.restore({0, 3}, depth), Recipe.soup(0.4, depth)]


@pytest.mark.filterwarnings("ignore:hybrids are run one by one")
@pytest.mark.parametrize("kind", MODELS)
def test_unusual_architectures_are_right_either_way(kind):
    pair = make_pair(kind)
    result = sweep(pair, recipes(pair.depth), make_queries())
    assert result.settings["method"] == ("swap" if kind in PLAIN else "wavefront")
    assert_same(result.answer_logprobs, naive_logprobs(pair, result.recipes, make_queries()))


def test_the_plain_way_is_announced_with_its_reason():
    with pytest.warns(UserWarning, match="hybrids are run one by one.*depends on the tokens"):
        result = sweep(make_pair("gemma4_text"), ["1:2"], make_queries())
    assert "one by one" in result.settings["notes"][0]


def test_a_cache_may_have_another_name(pair_of, monkeypatch):
    pair = ModelPair.load(*pair_of("llama").folders)
    forward = type(pair.tuned).forward

    def renamed(self, cache=None, **options):
        return forward(self, past_key_values=cache, **options)

    monkeypatch.setattr(type(pair.tuned), "forward", renamed)
    result = sweep(pair, ["1:2"], make_queries())
    assert (result.settings["method"], result.settings["notes"]) == ("wavefront", [])
    assert_same(result.answer_logprobs, naive_logprobs(pair, result.recipes, make_queries()))


def test_state_left_inside_modules_is_noticed_by_measuring(pair_of):
    pair = ModelPair.load(*pair_of("llama").folders)
    memory = {}

    def leave(module, args, output):
        memory["seen"] = output

    def find(module, args, output):
        return output + 0.1 * memory["seen"] if memory["seen"].shape == output.shape else output

    hooks = [pair.decoder.blocks[0].register_forward_hook(leave), pair.decoder.blocks[2].register_forward_hook(find)]
    with pytest.warns(UserWarning, match="block 2, replayed on its own input, differs"):
        result = sweep(pair, ["1:2"], make_queries())
    assert result.settings["method"] == "swap"
    assert_same(result.answer_logprobs, naive_logprobs(pair, result.recipes, make_queries()))
    for hook in hooks:
        hook.remove()


def test_state_left_in_a_store_that_blocks_are_handed_is_noticed():
    """Gemma 4 hands its blocks a store for keys; where none of them shares any, it stays empty."""
    pair = make_pair("gemma4_text, nothing shared")

    def leave(module, args, kwargs):
        kwargs["shared_kv_states"]["left"] = (kwargs["hidden_states"],)

    hook = pair.decoder.blocks[1].self_attn.register_forward_pre_hook(leave, with_kwargs=True)
    with pytest.warns(UserWarning, match="block 1 leaves something for later blocks"):
        result = sweep(pair, ["1:2"], make_queries())
    assert result.settings["method"] == "swap"
    assert_same(result.answer_logprobs, naive_logprobs(pair, result.recipes, make_queries()))
    hook.remove()


def test_a_block_that_looks_ahead_is_noticed(pair_of):
    pair = ModelPair.load(*pair_of("qwen2").folders)

    def mean(module, args, output):
        return output + output.mean(1, keepdim=True)

    hook = pair.decoder.blocks[1].register_forward_hook(mean)
    with pytest.warns(UserWarning, match="block 1"):
        assert sweep(pair, ["1:2"], make_queries()).settings["method"] == "swap"
    hook.remove()


def test_shared_tokens_that_differ_from_row_to_row_on_the_way_in_are_no_fault_of_a_block(pair_of):
    pair = ModelPair.load(*pair_of("llama").folders)

    def round_by_length(module, args, output):  # as sums over other shapes do in low precision
        return output * (1 + 0.01 * output.shape[1])

    hook = pair.tuned.get_input_embeddings().register_forward_hook(round_by_length)
    settings = sweep(pair, ["1:2"], make_queries()).settings
    hook.remove()
    assert settings["method"] == "wavefront"
    assert not settings["notes"]


def test_what_cannot_be_replayed_cannot_be_streamed(tmp_path):
    for side, seed in (("base", 1), ("tuned", 2)):
        config = AutoConfig.for_model("gemma4_text", **MODELS["gemma4_text"])
        randomise(AutoModelForCausalLM.from_config(config).float(), seed).save_pretrained(tmp_path / side)
    pair = ModelPair.load(tmp_path / "base", tmp_path / "tuned")
    with pytest.raises(SweepError, match=r"cannot be streamed.*stream=False"):
        sweep(pair, ["1:2"], make_queries(), stream=True)


def test_the_plain_way_takes_no_other_dtype():
    with pytest.raises(SweepError, match="load it with dtype='bfloat16'"):
        sweep(make_pair("gemma4_text"), ["1:2"], make_queries(), dtype=torch.bfloat16)
