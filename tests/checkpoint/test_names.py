from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, AutoModelForSeq2SeqLM

from slr_probe.checkpoint.names import address_tensors, block_prefix, find_decoder
from slr_probe.errors import LayoutError
from slr_probe.recipe import GROUPS
from tests.architectures import COMPONENTS, blocks_of, place
from tests.tiny import DEPTH, Pair, load, read_all


def parts_of(model: nn.Module, family: str) -> dict[str, Any]:
    """Role and block of every parameter, found through transformers' own modules."""
    stem, _, norm = place(family)
    decoder = model.get_submodule(stem)
    roles = {id(p): ("other", None) for p in model.parameters()}
    for child in decoder.children():
        roles |= {id(p): ("embedding", None) for p in child.parameters()}  # token and position embeddings
    for i, block in enumerate(blocks_of(model, family)):
        roles |= {id(p): ("block", i) for p in block.parameters()}
    roles |= {id(p): ("final_norm", None) for p in getattr(decoder, norm).parameters()}
    roles |= {id(p): ("head", None) for p in model.get_output_embeddings().parameters()}
    roles |= {id(p): ("embedding", None) for p in model.get_input_embeddings().parameters()}
    return roles


def test_every_parameter_has_the_role_and_block_of_its_module(family: str, pair_of: Callable[[str], Pair]) -> None:
    model = load(pair_of(family).base)
    expected = parts_of(model, family)
    addresses = address_tensors(model.state_dict(), DEPTH)
    named = dict(model.named_parameters())
    assert len(named) == len(expected)
    for name, parameter in named.items():
        assert (addresses[name].role, addresses[name].block) == expected[id(parameter)], name
    assert {role for role, _ in expected.values()} >= {"block", "embedding", "final_norm"}


def test_every_tensor_in_a_file_has_the_right_component(family: str, pair_of: Callable[[str], Pair]) -> None:
    addresses = address_tensors(read_all(pair_of(family).base), DEPTH)
    inside = [a for a in addresses.values() if a.role == "block"]
    assert all(a.component == a.group or a.component not in GROUPS for a in inside)
    for block in range(DEPTH):
        if family == "qwen3_5" and block % 2 == 0:
            continue  # linear attention: next test
        found = {a.suffix: f"{a.group} {a.component}" for a in addresses.values() if a.block == block}
        modules = {suffix.rpartition(".")[0]: text for suffix, text in found.items()}
        assert modules == COMPONENTS[family]
        assert {suffix.rpartition(".")[2] for suffix in found} <= {"weight", "bias"}
    assert {a.group for a in addresses.values() if a.role == "block"} <= set(GROUPS)


def test_linear_attention_is_attention(pair_of: Callable[[str], Pair]) -> None:
    addresses = address_tensors(read_all(pair_of("qwen3_5").base), DEPTH)
    for address in addresses.values():
        if "linear_attn" in address.suffix:
            assert address.group == "attention"
            assert address.block in (0, 2)
            assert address.component not in GROUPS


def test_file_and_module_names_give_the_same_addresses(family: str, pair_of: Callable[[str], Pair]) -> None:
    """Experts are separate tensors in a file and one in a module, so there only everything else can agree."""
    folder = pair_of(family).base
    model = load(folder)

    def addresses(names: Any) -> set[tuple]:
        found = address_tensors(names, DEPTH).values()
        routed = ("block_sparse_moe", "mlp.experts", "mlp.gate.")
        return {(a.key, a.group, a.block is None or a.component) for a in found if not a.suffix.startswith(routed)}

    if family == "qwen3_5":  # loads without its vision tower
        in_file = addresses(name for name in read_all(folder) if "visual" not in name)
    else:
        in_file = addresses(read_all(folder))
    in_module = addresses(model.state_dict())
    if model.config.tie_word_embeddings:  # a tied head has a module but no tensor in the file
        in_module = {entry for entry in in_module if entry[0][0] != "head"}
    assert in_file == in_module
    assert len(in_file) > 20


def test_addresses_are_unique(family: str, pair_of: Callable[[str], Pair]) -> None:
    addresses = address_tensors(read_all(pair_of(family).base), DEPTH)
    assert len({a.key for a in addresses.values()}) == len(addresses)


def test_the_decoder_of_a_loaded_model(family: str, pair_of: Callable[[str], Pair]) -> None:
    model = load(pair_of(family).base)
    stem, _, norm = place(family)
    decoder = find_decoder(model)
    assert decoder.blocks is blocks_of(model, family)
    assert decoder.final_norm is model.get_submodule(f"{stem}.{norm}")
    assert decoder.embedding is model.get_input_embeddings()
    assert decoder.head is model.get_output_embeddings()
    assert len(decoder.blocks) == DEPTH


@pytest.mark.parametrize("family", ["gemma3", "qwen3_5"], indirect=True)
def test_a_vision_tower_as_deep_as_the_decoder_is_not_a_decoder(family: str, pair_of: Callable[[str], Pair]) -> None:
    addresses = address_tensors(read_all(pair_of(family).base), DEPTH)
    vision = [name for name in addresses if "vision" in name or "visual" in name or "projector" in name]
    assert len(vision) > 20
    assert {addresses[name].role for name in vision} == {"other"}


def test_gpt2_masks_and_the_hub_naming_without_a_prefix() -> None:
    names = [f"h.{i}.{part}" for i in range(2) for part in ("attn.c_attn.weight", "ln_1.bias", "mlp.c_proj.bias")]
    masks = [f"h.{i}.attn.{part}" for i in range(2) for part in ("bias", "masked_bias")]
    rest = ["wte.weight", "wpe.weight", "ln_f.weight", "ln_f.bias"]
    addresses = address_tensors([*names, *masks, *rest], 2)
    prefixed = address_tensors([f"transformer.{name}" for name in [*names, *masks, *rest]], 2)
    assert [addresses[name].role for name in rest] == ["embedding", "embedding", "final_norm", "final_norm"]
    assert {addresses[name].role for name in masks} == {"other"}
    for name in [*names, *rest]:
        assert addresses[name] == prefixed[f"transformer.{name}"]


@pytest.mark.parametrize(
    "constant",
    ["model.layers.0.self_attn.rotary_emb.inv_freq", "gpt_neox.layers.1.attention.bias", "model.rotary_emb.inv_freq"],
)
def test_stored_constants_are_not_weights(constant: str) -> None:
    stem = constant.split(".")[0]
    names = [f"{stem}.layers.{i}.mlp.up_proj.weight" for i in range(4)]
    assert address_tensors([*names, constant], 2)[constant].role == "other"


def test_all_values_of_a_quantised_or_fused_module_are_one_component() -> None:
    """So that a component is never restored without its scales and biases."""
    names = {
        "self_attn.q_proj.weight": "q",
        "self_attn.q_proj.weight_scale_inv": "q",
        "self_attn.o_proj.qweight": "o",
        "self_attn.o_proj.qzeros": "o",
        "self_attn.o_proj.scales": "o",
        "mlp.experts.gate_up_proj": "gate_up",
        "mlp.experts.gate_up_proj_bias": "gate_up",
        "mlp.experts.down_proj_blocks": "down",
        "mlp.experts.down_proj_scales": "down",
        "mlp.router.bias": "router",
    }
    addresses = address_tensors([f"model.layers.0.{name}" for name in names], 1)
    assert [address.component for address in addresses.values()] == list(names.values())


def test_blocks_beyond_the_depth_are_multi_token_prediction() -> None:
    names = [f"model.layers.{i}.mlp.up_proj.weight" for i in range(4)]
    extra = ["model.layers.3.eh_proj.weight", "mtp.layers.0.mlp.up_proj.weight", "model.mtp.0.norm.weight"]
    addresses = address_tensors([*names, *extra], 3)
    assert [addresses[name].block for name in names] == [0, 1, 2, None]
    assert {addresses[name].role for name in [names[3], *extra]} == {"other"}


@pytest.mark.parametrize(
    ("names", "depth", "words"),
    [
        (["model.embed.weight"], 2, "no list of 2 decoder blocks.*none"),
        ([], 2, "none"),
        (["model.layers.0.a.weight", "model.layers.2.a.weight"], 3, r"first missing blocks.*\[1\]"),
        (["vision_tower.layers.0.a.weight", "vision_tower.layers.1.a.weight"], 2, "none"),
        ([f"{x}.layers.{i}.w" for x in ("left", "right") for i in range(2)], 2, r"2 lists.*left.*right.*cannot tell"),
    ],
)
def test_names_without_one_list_of_blocks_are_refused(names: list[str], depth: int, words: str) -> None:
    with pytest.raises(LayoutError, match=words):
        address_tensors(names, depth)


@pytest.mark.parametrize("tower", ["visual.blocks", "vision_model.encoder.layers", "audio_tower.layers"])
def test_other_towers_are_told_by_their_names(tower: str) -> None:
    names = [f"{x}.{i}.attn.qkv.weight" for x in (tower, "model.layers") for i in range(2)]
    addresses = address_tensors(names, 2)
    assert [addresses[name].role for name in names] == ["other", "other", "block", "block"]


def test_the_language_model_wins_over_an_unknown_second_list() -> None:
    names = [f"{x}.layers.{i}.w" for x in ("language_model", "perceiver") for i in range(4)]
    assert block_prefix(names, 2) == "language_model.layers."


def test_models_that_are_no_decoder_are_refused() -> None:
    tiny = {"vocab_size": 32, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    gpt2 = AutoConfig.for_model("gpt2", vocab_size=32, n_embd=8, n_layer=1, n_head=1)
    bert = AutoConfig.for_model("bert", intermediate_size=8, is_decoder=True, **tiny)
    t5 = AutoConfig.for_model("t5", vocab_size=32, d_model=8, d_kv=8, d_ff=8, num_layers=1, num_heads=1)
    for model, words in [
        (AutoModelForSeq2SeqLM.from_config(t5), "encoder-decoder"),
        (AutoModelForCausalLM.from_config(bert), "no list of 1 decoder blocks"),
        (AutoModel.from_config(gpt2), "output head"),
        (nn.Linear(2, 2), "expected a transformers causal language model, got Linear"),
        (torch.zeros(2), "got Tensor"),
    ]:
        with pytest.raises(LayoutError, match=words):
            find_decoder(model)


BLOCK = [f"model.layers.{i}.mlp.up_proj.weight" for i in range(4)]


def test_numbered_tensors_outside_the_blocks_have_addresses_of_their_own() -> None:
    names = [f"model.altup_{kind}.{i}.weight" for kind in ("projections", "unembed_projections") for i in range(3)]
    addresses = address_tensors([*names, *BLOCK], 4)
    assert len({addresses[name].key for name in names}) == 6
    nested = {name.replace("model.", "model.language_model.") for name in [*names, *BLOCK]}
    assert {a.key for a in address_tensors(nested, 4).values()} == {a.key for a in addresses.values()}


def test_tensors_that_cannot_be_told_apart_are_refused() -> None:
    with pytest.raises(LayoutError, match=r"'lm_head\.weight' and 'model\.lm_head\.weight' cannot be told apart"):
        address_tensors(["lm_head.weight", "model.lm_head.weight", *BLOCK], 4)


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("head.weight", "head"),
        ("output.weight", "head"),
        ("x.head.weight", "other"),
        ("lm_head.dense.weight", "head"),
        ("lm_head.norm.bias", "head"),
        ("decoder.weight", "head"),
    ],
)
def test_heads_of_other_names(name: str, role: str) -> None:
    assert address_tensors([name, *BLOCK], 4)[name].role == role


@pytest.mark.parametrize("depth", [10**9, 10**30, 0, -1])
def test_a_depth_that_no_model_has_costs_nothing(depth: int) -> None:
    with pytest.raises(LayoutError):
        address_tensors(["model.layers.0.mlp.up_proj.weight"], depth)
