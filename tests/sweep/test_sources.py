"""Tensors that transformers makes of several in the files: read as it makes them, against models that it loaded."""

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from slr_probe import ModelPair, Recipe
from slr_probe.errors import CheckpointError, RecipeError, SweepError
from slr_probe.sweep import sweep
from slr_probe.sweep.sources import converted_source
from tests.sweep.naive import assert_same, make_queries, naive_logprobs
from tests.tiny import randomise, rewrite_tensor

_SIZES = {
    **{"vocab_size": 128, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "pad_token_id": 0},
    **{"num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 64, "num_experts_per_tok": 2},
}
_LATENT = {
    **{"kv_lora_rank": 8, "q_lora_rank": 8, "qk_nope_head_dim": 8, "qk_rope_head_dim": 8, "v_head_dim": 8},
    **{"num_key_value_heads": 4, "n_group": 1, "topk_group": 1, "first_k_dense_replace": 1},
}
FAMILIES = {
    "mixtral": {"num_local_experts": 4, "tie_word_embeddings": True},
    "qwen2_moe": {"num_experts": 4, "moe_intermediate_size": 16, "shared_expert_intermediate_size": 16},
    "deepseek_v3": {**_LATENT, "n_routed_experts": 4, "n_shared_experts": 1, "moe_intermediate_size": 16},
    "jamba": {
        **{"num_experts": 4, "attn_layer_period": 2, "attn_layer_offset": 1, "mamba_d_state": 4},
        **{"expert_layer_period": 2, "expert_layer_offset": 1, "use_mamba_kernels": False},
    },
}


@pytest.fixture
def make(tmp_path):
    """`make("mixtral")`: folders of a base and a tuned model of that family."""

    def write(family, **changes):
        config = AutoConfig.for_model(family, **{**_SIZES, **FAMILIES[family], **changes})
        for name, seed in (("base", 1), ("tuned", 2)):
            model = AutoModelForCausalLM.from_config(config).float().eval()
            randomise(model, seed).save_pretrained(tmp_path / name)
        return tmp_path / "base", tmp_path / "tuned"

    return write


@pytest.mark.parametrize("family", FAMILIES)
def test_tensors_are_those_of_the_loaded_model(family, make):
    pair = ModelPair.load(*make(family), device="cpu", dtype="float32")
    source = converted_source(pair)
    assert source.made_of
    for side, model in ((source.base, pair.base), (source.tuned, pair.tuned)):
        state = model.state_dict()
        assert side.shapes == {name: tuple(tensor.shape) for name, tensor in state.items()}
        for name, tensor in state.items():
            assert torch.equal(source.read(side, name), tensor), name


def test_a_first_block_without_experts_does_not_stand_for_the_rest(make):
    folders = make("deepseek_v3")
    fresh = ModelPair.load(*folders, device="cpu", dtype="float32")
    found = sweep(fresh, ["0:1", "1:2"], make_queries()[:3], stream=True)
    assert found.settings["method"] == "wavefront"
    assert not {"base", "tuned"} & vars(fresh).keys()
    loaded = ModelPair.load(*folders, device="cpu", dtype="float32")
    assert_same(found.answer_logprobs, naive_logprobs(loaded, found.recipes, make_queries()[:3]))


def test_memory_counts_what_a_tensor_is_made_of(make):
    folders = make("mixtral", intermediate_size=2048)
    whole = 4 * 2 * 2048 * 32 * 4  # bytes of the largest tensor: gate and up of 4 experts
    plan = sweep(ModelPair.load(*folders, device="cpu"), ["0:1"], make_queries()[:1], stream=True, dry_run=True)
    block = whole + whole // 2
    assert plan.memory > 2 * block + 2 * whole


def test_an_expert_of_another_shape_and_one_that_is_not_finite_are_errors(make):
    folders = make("mixtral")
    name = "model.layers.0.block_sparse_moe.experts.1.w1.weight"
    rewrite_tensor(folders[1], name, lambda tensor: tensor * torch.inf)
    with pytest.raises(CheckpointError, match=r"experts\.1\.w1.*NaN or infinite"):
        sweep(ModelPair.load(*folders, device="cpu"), ["0:1"], make_queries()[:1], stream=True)
    for folder in folders:
        rewrite_tensor(folder, name, lambda tensor: torch.zeros(7, 32))
    with pytest.raises(SweepError, match=r"transformers cannot make 'model\.layers\.0\.mlp\.experts\.gate_up_proj'"):
        sweep(ModelPair.load(*folders, device="cpu"), ["0:1"], make_queries()[:1], stream=True)


def test_experts_that_are_one_tensor_are_not_taken_apart_by_a_recipe(make):
    pair = ModelPair.load(*make("mixtral"), device="cpu")
    with pytest.raises(RecipeError, match=r"names \['gate'\], which this model does not have"):
        sweep(pair, [Recipe.restore("0:1", 2, only="gate")], make_queries()[:1], stream=True)
