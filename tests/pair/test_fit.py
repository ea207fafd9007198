"""What transformers would leave random, drop or share is known before a weight is read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM

from slr_probe import ModelPair, Recipe, restore, restored
from slr_probe.errors import CheckpointError, RecipeError, SlrProbeError
from slr_probe.pair.fit import looks_unusual
from tests.tiny import Pair, edit_json, randomise, write_checkpoint

Tensors = dict[str, torch.Tensor]


def rename(folder: Path, change: Callable[[Tensors], Tensors]) -> None:
    """Rewrite all tensors of a folder with one file."""
    file = folder / "model.safetensors"
    save_file(change(load_file(file)), file, metadata={"format": "pt"})


def prefixed(prefix: str) -> Callable[[Tensors], Tensors]:
    return lambda tensors: {prefix + name: tensor for name, tensor in tensors.items()}


def without(word: str) -> Callable[[Tensors], Tensors]:
    return lambda tensors: {name: tensor for name, tensor in tensors.items() if word not in name}


BROKEN = {
    "torch.compile": prefixed("_orig_mod."),
    "DDP": prefixed("module."),
    "a nested decoder's names": lambda tensors: {
        name.replace("model.", "model.language_model."): tensor for name, tensor in tensors.items()
    },
    "no head": without("lm_head"),
    "no embedding": without("embed_tokens"),
    "no final norm": without("model.norm"),
}


@pytest.mark.parametrize("how", BROKEN)
@pytest.mark.parametrize("sides", [("tuned",), ("base", "tuned")])
def test_tensors_that_transformers_would_leave_random(
    how: str, sides: tuple[str, ...], own_pair: Callable[..., Pair], tmp_path: Path
) -> None:
    pair = own_pair("qwen3")
    for side in sides:
        rename(getattr(pair, side), BROKEN[how])
    for call in (lambda: ModelPair.load(*pair.folders), lambda: restore(*pair.folders, "1:3", tmp_path / "out")):
        with pytest.raises(CheckpointError, match=r"lacks .* tensor"):
            call()
    assert not (tmp_path / "out").exists()


def test_a_tensor_inside_the_blocks_that_both_sides_lack(own_pair: Callable[..., Pair]) -> None:
    pair = own_pair("qwen3")
    for folder in pair.folders:
        rename(folder, without("layers.2.self_attn.k_norm"))
    with pytest.raises(CheckpointError, match=r"lacks 1 tensor.*layers\.2\.self_attn\.k_norm"):
        ModelPair.load(*pair.folders)


def test_a_shape_that_the_config_does_not_give(own_pair: Callable[..., Pair]) -> None:
    pair = own_pair("qwen3")
    for folder in pair.folders:
        rename(folder, lambda tensors: {n: t[:40] if "up_proj" in n else t for n, t in tensors.items()})
    with pytest.raises(CheckpointError, match="has another shape for 4 tensor"):
        ModelPair.load(*pair.folders)


def test_tensors_that_the_model_does_not_use_are_noted(own_pair: Callable[..., Pair]) -> None:
    pair = own_pair("qwen3")
    for folder in pair.folders:
        rename(folder, lambda tensors: {**tensors, "model.layers.1.self_attn.q_proj.bias": torch.ones(32)})
    notes = ModelPair.load(*pair.folders).notes
    assert sum("q_proj.bias" in note for note in notes) == 2


@pytest.mark.parametrize("name", ["llama", "qwen3", "gpt_neox", "olmo2", "opt"])
def test_usual_names_are_not_asked_about(name: str, pair_of: Callable[[str], Pair]) -> None:
    pair = ModelPair.load(*pair_of(name).folders)
    assert not looks_unusual(pair.tuned_side)
    assert not [note for note in pair.notes if "tensor(s)" in note]


@pytest.fixture(scope="module")
def zamba(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """A pair whose blocks 1, 3 and 5 use one transformer block, which the file stores once."""
    shape: dict[str, Any] = {"vocab_size": 128, "hidden_size": 32, "num_hidden_layers": 6, "intermediate_size": 48}
    shape |= {"num_attention_heads": 4, "num_key_value_heads": 4, "n_mamba_heads": 4, "mamba_headdim": 16}
    shape |= {"mamba_d_state": 8, "mamba_d_conv": 2, "mamba_ngroups": 1, "num_mem_blocks": 1, "adapter_rank": 4}
    config = AutoConfig.for_model("zamba2", **shape, layers_block_type=["mamba", "hybrid"] * 3, chunk_size=4)
    root = tmp_path_factory.mktemp("zamba")
    for seed, side in enumerate(("base", "tuned")):
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
        randomise(model, seed).save_pretrained(root / side)
    return Pair("zamba2", root / "base", root / "tuned", depth=6)


def test_blocks_that_share_parameters_are_treated_alike_or_refused(zamba: Pair, tmp_path: Path) -> None:
    pair = ModelPair.load(*zamba.folders, device="cpu")
    assert any("in blocks [1, 3, 5]" in note for note in pair.notes)
    for layers in ("1:3", "3:5", "5:6"):
        with pytest.raises(RecipeError, match=r"blocks \[1, 3, 5\] of this model use one"):
            restore(*zamba.folders, layers, tmp_path / "out")
        with pytest.raises(RecipeError, match="treat these blocks alike"), restored(pair, layers):
            pass
    recipe = Recipe.restore({1, 3, 5}, 6)
    out = AutoModelForCausalLM.from_pretrained(restore(*zamba.folders, recipe, tmp_path / "out"), dtype=torch.float32)
    with restored(pair, recipe) as hybrid:
        for name, tensor in out.state_dict().items():
            assert torch.equal(tensor, hybrid.state_dict()[name]), name


def test_the_config_does_not_decide_the_dtype(tmp_path: Path) -> None:
    """What is loaded is what is stored, so that a hybrid in memory is the one on disk."""
    folders = [write_checkpoint(tmp_path / side, "llama", seed) for seed, side in enumerate(("base", "tuned"))]
    for folder in folders:
        edit_json(folder / "config.json", dtype="bfloat16")
    assert {p.dtype for p in ModelPair.load(*folders, device="cpu").tuned.parameters()} == {torch.float32}
    assert ModelPair.load(*folders, device="cpu", dtype="bfloat16").tuned.dtype == torch.bfloat16


def test_weights_of_two_dtypes_are_noted(tmp_path: Path) -> None:
    folders = [write_checkpoint(tmp_path / side, "qwen3", seed) for seed, side in enumerate(("base", "tuned"))]
    rename(folders[1], lambda tensors: {n: t if "norm" in n else t.bfloat16() for n, t in tensors.items()})
    pair = ModelPair.load(*folders, device="cpu")
    assert any("BF16 and F32" in note for note in pair.notes)
    assert pair.tuned.dtype == torch.bfloat16
    assert not any("BF16" in note for note in ModelPair.load(*folders, device="cpu", dtype="float32").notes)


def test_other_weights_that_the_config_names_are_refused(own_pair: Callable[..., Pair], tmp_path: Path) -> None:
    pair = own_pair()
    edit_json(pair.tuned / "config.json", transformers_weights="other.safetensors")
    for call in (lambda: ModelPair.load(*pair.folders), lambda: restore(*pair.folders, "1:3", tmp_path / "out")):
        with pytest.raises(SlrProbeError, match=r"transformers_weights.*other\.safetensors"):
            call()


def test_weights_of_blocks_under_names_outside_them_are_refused(tmp_path: Path) -> None:
    """transformers renames such tensors as it loads; a hybrid made of files would take tuned's of every block."""
    shape: dict[str, Any] = {"vocab_size": 128, "hidden_size": 32, "num_hidden_layers": 4, "intermediate_size": 48}
    shape |= {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8, "moe_intermediate_size": 16}
    config = AutoConfig.for_model("inkling2_text", **shape, n_routed_experts=4, num_experts_per_tok=2)
    for seed, side in enumerate(("base", "tuned")):
        randomise(AutoModelForCausalLM.from_config(config), seed).save_pretrained(tmp_path / side)
    for call in (ModelPair.load, lambda *folders: restore(*folders, "1:3", tmp_path / "out")):
        with pytest.raises(CheckpointError, match=r"blocks \[0, 1, 2, 3\] under names outside"):
            call(tmp_path / "base", tmp_path / "tuned")
