"""Points of the residual stream: complete, in the right places, and without traces in the model."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from slr_probe.errors import LayoutError
from slr_probe.forward.hooks import (
    check_additive,
    first_nonfinite,
    reading_gradients,
    recording,
    replacing,
    watching,
)
from slr_probe.forward.points import COMPONENTS, block_points, select_points
from tests.tiny import Pair, make_model, randomise, token_ids

BRIDGED = ["llama", "qwen2", "qwen3", "gemma2", "gemma3_text", "olmo2", "olmo3", "gpt2", "gpt_neox"]
ADDITIVE = [*BRIDGED, "phi3", "mixtral", "qwen3_moe"]
SMALL = {"vocab_size": 128, "hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 4}


def record_all(model: Any, ids: torch.Tensor) -> dict[tuple[int, str], torch.Tensor]:
    points = [point for block in block_points(model) for point in block.points.values()]
    with torch.no_grad(), recording(points) as found:
        model(input_ids=ids, use_cache=False)
    return found


@pytest.mark.parametrize("family", ADDITIVE)
def test_outputs_add_up_to_the_residual_stream(family: str) -> None:
    model = make_model(family, seed=1)
    found = record_all(model, token_ids())
    for block in range(4):
        pre, post = found[block, "resid_pre"], found[block, "resid_post"]
        attn, mlp = found[block, "attn_out"], found[block, "mlp_out"]
        assert min(attn.norm(), mlp.norm()) > 1e-3 * pre.norm()
        torch.testing.assert_close(pre + attn + mlp, post, rtol=1e-5, atol=1e-5)
        if family == "gpt_neox":
            assert (block, "resid_mid") not in found
        else:
            torch.testing.assert_close(pre + attn, found[block, "resid_mid"], rtol=1e-5, atol=1e-5)
        if block:
            assert torch.equal(pre, found[block - 1, "resid_post"])


@pytest.mark.parametrize(
    ("model_type", "changes"),
    [
        ("gpt_neox", {"use_parallel_residual": False}),
        ("granite", {"residual_multiplier": 0.3}),
        ("bloom", {"n_layer": 4, "n_head": 4}),
        ("falcon", {}),
        ("cohere2", {}),
        ("lfm2", {"layer_types": ["conv", "full_attention"] * 2, "num_key_value_heads": 2}),
    ],
)
def test_other_block_shapes_add_up(model_type: str, changes: dict[str, Any]) -> None:
    fields = {"num_hidden_layers": 4, "pad_token_id": 0, "max_position_embeddings": 64}
    config = AutoConfig.for_model(model_type, **{**SMALL, **fields, **changes})
    model = randomise(AutoModelForCausalLM.from_config(config).eval(), seed=1)
    check_additive(model, token_ids())
    first = block_points(model)[0]
    assert ("resid_mid" in first.points) == (model_type not in ("falcon", "cohere2"))


@pytest.mark.parametrize("family", BRIDGED)
def test_equals_transformer_lens_hooks(family: str, pair_of: Callable[[str], Pair]) -> None:
    from transformer_lens.model_bridge import TransformerBridge

    heads = {"num_key_value_heads": 4} if family == "gpt_neox" else {}  # a field that NeoX ignores, the bridge does not
    model, ids = make_model(family, seed=1, **heads), token_ids()
    ours = record_all(model, ids)
    model.config.architectures = [type(model).__name__]
    tokenizer = AutoTokenizer.from_pretrained(pair_of("llama").tuned)
    bridge = TransformerBridge.boot_transformers("tiny", hf_model=copy.deepcopy(model), tokenizer=tokenizer)
    with torch.no_grad():
        _, cache = bridge.run_with_cache(ids)
    for (block, component), value in ours.items():
        theirs = cache[f"blocks.{block}.hook_{component}"]
        torch.testing.assert_close(value, theirs, rtol=1e-5, atol=1e-5, msg=f"{block} {component}")


@pytest.mark.parametrize("family", ["llama", "gemma3_text", "gpt2"])
def test_equals_hidden_states(family: str) -> None:
    model = make_model(family, seed=1)
    found = record_all(model, token_ids())
    with torch.no_grad():
        states = model(input_ids=token_ids(), output_hidden_states=True).hidden_states
    for block in range(4):
        torch.testing.assert_close(found[block, "resid_pre"], states[block], rtol=1e-5, atol=1e-5)


def test_leaves_no_trace() -> None:
    model = make_model("gemma3_text", seed=1)
    before = model(input_ids=token_ids()).logits
    modules = {name: id(module) for name, module in model.named_modules()}
    attention = model.config._attn_implementation
    with pytest.raises(KeyError), recording(select_points(model, COMPONENTS)):
        raise KeyError
    record_all(model, token_ids())
    assert attention == model.config._attn_implementation != "eager"
    assert modules == {name: id(module) for name, module in model.named_modules()}
    assert all(not m._forward_hooks and not m._forward_pre_hooks for m in model.modules())
    assert torch.equal(before, model(input_ids=token_ids()).logits)


def test_a_bad_point_leaves_no_hook() -> None:
    model = make_model("llama", seed=1)
    points = [*select_points(model, ["attn_out"]), None]
    with pytest.raises(AttributeError), recording(points):  # type: ignore[list-item]
        pass
    assert all(not m._forward_hooks for m in model.modules())


def test_recording_keeps_chosen_positions_as_copies() -> None:
    model, ids = make_model("llama", seed=1), token_ids()
    whole = record_all(model, ids)
    at = torch.tensor([[6, 0], [2, 2]])
    with torch.no_grad(), recording(select_points(model, ["mlp_out"], [1, 3]), at=at) as found:
        model(input_ids=ids)
    assert list(found) == [(1, "mlp_out"), (3, "mlp_out")]
    expected = torch.stack([whole[3, "mlp_out"][0, [6, 0]], whole[3, "mlp_out"][1, [2, 2]]])
    assert torch.equal(found[3, "mlp_out"], expected)
    found[3, "mlp_out"].zero_()
    assert torch.equal(record_all(model, ids)[3, "mlp_out"], whole[3, "mlp_out"])


@pytest.mark.parametrize("family", ["llama", "gemma2", "olmo2", "gpt2", "gpt_neox"])
@pytest.mark.parametrize("component", ["resid_pre", "attn_out", "mlp_out", "resid_post"])
def test_replacing_moves_the_stream_by_exactly_the_edit(family: str, component: str) -> None:
    model, ids = make_model(family, seed=1), token_ids()
    (point,) = select_points(model, [component], [1])
    clean = record_all(model, ids)
    shift = torch.randn(2, 7, 32, generator=torch.Generator().manual_seed(3))
    with replacing({point: lambda tensor: tensor + shift}):
        moved = record_all(model, ids)
    assert torch.equal(moved[0, "resid_post"], clean[0, "resid_post"])
    if component == "attn_out" and family != "gpt_neox":
        torch.testing.assert_close(moved[1, "resid_mid"], clean[1, "resid_mid"] + shift, rtol=1e-5, atol=1e-5)
    elif component in ("mlp_out", "resid_post"):
        torch.testing.assert_close(moved[1, "resid_post"], clean[1, "resid_post"] + shift, rtol=1e-5, atol=1e-5)
    else:
        assert not torch.allclose(moved[1, "resid_post"], clean[1, "resid_post"])
    assert not torch.allclose(moved[3, "resid_post"], clean[3, "resid_post"])
    after = record_all(model, ids)
    assert all(torch.equal(after[key], clean[key]) for key in clean)


def test_replacing_by_itself_changes_nothing() -> None:
    model, ids = make_model("gemma2", seed=1), token_ids()
    clean = model(input_ids=ids).logits
    edits = {p: (lambda t: t) for p in select_points(model, ["resid_pre", "attn_out", "mlp_out", "resid_post"])}
    with replacing(edits):
        assert torch.equal(model(input_ids=ids).logits, clean)


def test_scaled_contributions_are_replaced_as_the_stream_receives_them() -> None:
    config = AutoConfig.for_model(
        "granite", num_hidden_layers=2, num_key_value_heads=2, residual_multiplier=0.25, **SMALL
    )
    model, ids = randomise(AutoModelForCausalLM.from_config(config).eval(), seed=1), token_ids()
    (point,) = select_points(model, ["attn_out"], [1])
    assert point.scale == 0.25
    with replacing({point: lambda tensor: torch.full_like(tensor, 2.0)}):
        found = record_all(model, ids)
    torch.testing.assert_close(found[1, "resid_mid"], found[1, "resid_pre"] + 2.0, rtol=1e-5, atol=1e-5)


def test_an_unknown_architecture_still_has_block_inputs_and_outputs(monkeypatch: pytest.MonkeyPatch) -> None:
    from transformer_lens.factories.architecture_adapter_factory import ArchitectureAdapterFactory

    model = make_model("llama", seed=1)
    monkeypatch.delitem(ArchitectureAdapterFactory._adapters, "LlamaForCausalLM")
    assert list(block_points(model)[0].points) == ["resid_pre", "resid_post"]
    with pytest.raises(LayoutError, match=r"block 0 \(LlamaDecoderLayer\) has no 'attn_out'; it has resid_pre"):
        select_points(model, ["attn_out"])


@pytest.mark.parametrize(
    ("components", "blocks", "message"),
    [
        (["mlp"], None, "unknown component 'mlp'; expected one of resid_pre, attn_out"),
        (["mlp_out"], [2, 9], r"blocks \[9\] are out of bounds: the model has 4"),
        (["mlp_out"], [-1], "out of bounds"),
    ],
)
def test_bad_names(components: list[str], blocks: list[int] | None, message: str) -> None:
    with pytest.raises(LayoutError, match=message):
        select_points(make_model("llama", seed=1), components, blocks)


def test_parallel_blocks_say_why_there_is_no_middle() -> None:
    with pytest.raises(LayoutError, match="run in parallel"):
        select_points(make_model("gpt_neox", seed=1), ["resid_mid"])


def test_the_middle_cannot_be_replaced() -> None:
    (point,) = select_points(make_model("llama", seed=1), ["resid_mid"], [1])
    with pytest.raises(LayoutError, match="replace attn_out instead"), replacing({point: lambda t: t}):
        pass


def test_an_edit_of_another_shape_is_refused() -> None:
    model = make_model("llama", seed=1)
    (point,) = select_points(model, ["mlp_out"], [1])
    refused = pytest.raises(ValueError, match=r"returned shape \[2, 1, 32\], expected \[2, 7, 32\]")
    with refused, replacing({point: lambda t: t[:, :1]}):
        model(input_ids=token_ids())


def test_blocks_that_rescale_the_stream_are_found_out() -> None:
    own = {"vocab_size_per_layer_input": 128, "head_dim": 8, "num_hidden_layers": 4, "num_key_value_heads": 2}
    config = AutoConfig.for_model("gemma4_text", **SMALL, **own)
    model = randomise(AutoModelForCausalLM.from_config(config).eval(), seed=1)
    with pytest.raises(LayoutError, match="does not simply add them"):
        check_additive(model, token_ids())


@pytest.mark.parametrize("name", ["self_attn.o_proj", "mlp.down_proj"])
def test_names_where_nan_first_appears(name: str) -> None:
    model = make_model("llama", seed=1)
    assert first_nonfinite(model, token_ids()) is None
    with torch.no_grad():
        model.model.layers[2].get_submodule(name).weight[3, 3] = float("nan")
    assert first_nonfinite(model, token_ids()) == (2, "attn_out" if "attn" in name else "mlp_out")
    with torch.no_grad():
        model.model.embed_tokens.weight.fill_(float("inf"))
    assert first_nonfinite(model, token_ids()) == "embedding"


def test_watching_sees_every_call_and_leaves_nothing() -> None:
    model = make_model("llama", seed=1)
    blocks, seen = list(model.model.layers), []
    with watching(blocks, lambda number, args, kwargs, output: seen.append((number, args[0].shape, output.shape))):
        model(input_ids=token_ids())
    assert seen == [(number, (2, 7, 32), (2, 7, 32)) for number in range(4)]
    assert all(not block._forward_hooks for block in blocks)


def test_gradients_are_handed_over_one_at_a_time_and_nothing_is_left() -> None:
    model = make_model("llama", seed=1)
    model.lm_head.weight.requires_grad_(False)
    asked = {name: parameter.requires_grad for name, parameter in model.named_parameters()}
    chosen = {name: parameter for name, parameter in model.named_parameters() if "mlp" in name}
    model(input_ids=token_ids()).logits.sum().backward()
    expected = {name: parameter.grad.clone() for name, parameter in chosen.items()}
    model.zero_grad()

    found: dict[str, torch.Tensor] = {}

    def keep(name: str) -> Callable[[torch.Tensor], None]:
        def read(gradient: torch.Tensor) -> None:
            assert all(parameter.grad is None for parameter in model.parameters())
            found[name] = gradient

        return read

    with reading_gradients(model, {parameter: keep(name) for name, parameter in chosen.items()}):
        assert {name for name, p in model.named_parameters() if p.requires_grad} == chosen.keys()
        model(input_ids=token_ids()).logits.sum().backward()
    assert found.keys() == expected.keys()
    for name, gradient in found.items():
        torch.testing.assert_close(gradient, expected[name])
    assert asked == {name: parameter.requires_grad for name, parameter in model.named_parameters()}
    assert all(parameter.grad is None for parameter in model.parameters())
