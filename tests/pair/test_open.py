from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from slr_probe import ModelPair, restore
from slr_probe.errors import CheckpointError, IncompatiblePairError, SlrProbeError
from tests.checkpoint.test_adapter import peft_model
from tests.tiny import Pair, edit_json, load


@pytest.mark.parametrize(
    "change",
    [
        {"num_hidden_layers": 10**9},
        {"vision_config": {"depth": 10**9}},
        {"text_config": {"num_experts": 10**9}},
        {"vocab_size": 10**15},
        {"max_position_embeddings": -(10**18)},
    ],
    ids=str,
)
def test_numbers_that_no_model_has_are_refused_before_transformers_sees_them(
    change: dict[str, Any], own_pair: Callable[..., Pair], monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = own_pair()
    edit_json(pair.tuned / "config.json", **change)
    monkeypatch.setattr("slr_probe.pair.side._config", lambda *_: pytest.fail("transformers was asked"))
    with pytest.raises(CheckpointError, match="which no model has"):
        ModelPair.load(*pair.folders)


@pytest.mark.parametrize(
    "entry",
    [
        {"rope_theta": 0},
        {"rope_theta": -1.0},
        {"rope_theta": math.nan},
        {"rope_parameters": {"rope_type": "default", "rope_theta": 0}},
        {"rope_parameters": {"full_attention": {"rope_type": "default", "rope_theta": -1e4}}},
        {"partial_rotary_factor": 0.0},
        {"partial_rotary_factor": 1.5},
        {"partial_rotary_factor": "half"},
        {"rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "partial_rotary_factor": 2}},
        {"rope_theta": "10000"},
        {"rope_theta": math.inf},
    ],
    ids=str,
)
def test_a_rotation_that_gives_no_numbers_is_refused(own_pair: Callable[..., Pair], entry: dict[str, Any]) -> None:
    pair = own_pair()
    edit_json(pair.tuned / "config.json", **entry)
    with pytest.raises(CheckpointError, match="must be a number above 0"):
        ModelPair.load(*pair.folders)


@pytest.mark.parametrize("depth", [0, -4, "4", 4.5, None, True, [4]])
def test_a_depth_of_another_kind_is_one_error(depth: Any, own_pair: Callable[..., Pair]) -> None:
    pair = own_pair()
    for folder in pair.folders:
        edit_json(folder / "config.json", num_hidden_layers=depth)
    with pytest.raises(SlrProbeError):
        ModelPair.load(*pair.folders)


@pytest.mark.parametrize("beside", ["folder", "model"])
def test_a_model_with_an_adapter_in_memory_is_one_error_that_says_what_to_do(
    beside: str, pair_of: Callable[[str], Pair]
) -> None:
    folder = pair_of("llama").base
    base: Any = folder if beside == "folder" else load(folder)
    wrapped = peft_model(folder)
    for model in (wrapped, wrapped.get_base_model()):
        with pytest.raises(IncompatiblePairError, match="merge_and_unload"):
            ModelPair.load(base, model)
    assert ModelPair.load(base, wrapped.merge_and_unload()).depth == 4


def test_a_compiled_and_a_quantised_model_in_memory_are_refused(pair_of: Callable[[str], Pair]) -> None:
    folder = pair_of("llama").base
    model: Any = torch.compile(load(folder))
    with pytest.raises(IncompatiblePairError, match="_orig_mod"):
        ModelPair.load(folder, model)
    model = load(folder)
    model.lm_head.weight.data = model.lm_head.weight.data.to(torch.float8_e4m3fn)
    with pytest.raises(IncompatiblePairError, match="dequantize"):
        ModelPair.load(folder, model)


def test_index_and_files_that_disagree_are_a_note_and_no_more(own_pair: Callable[..., Pair]) -> None:
    pair = own_pair()
    index = pair.tuned / "model.safetensors.index.json"
    data = json.loads(index.read_text())
    weight_map = data["weight_map"]
    shard = weight_map.pop("model.layers.2.self_attn.q_proj.weight")
    weight_map["ghost.weight"] = shard
    index.write_text(json.dumps(data))
    notes = [note for note in ModelPair.load(*pair.folders).notes if note.startswith("tuned: model.safetensors.index")]
    assert len(notes) == 2


def test_a_needed_tensor_that_only_the_index_lists_is_missing(own_pair: Callable[..., Pair], tmp_path: Path) -> None:
    pair = own_pair()
    name = "model.layers.3.input_layernorm.weight"
    shard = pair.tuned / json.loads((pair.tuned / "model.safetensors.index.json").read_text())["weight_map"][name]
    kept = {key: tensor for key, tensor in load_file(shard).items() if key != name}
    save_file(kept, shard, {"format": "pt"})
    for call in (ModelPair.load, lambda *folders: restore(*folders, "1:2", tmp_path / "out")):
        with pytest.raises(SlrProbeError, match=name):
            call(*pair.folders)


@pytest.mark.parametrize("dtype", [torch.int8, torch.int32, torch.float8_e4m3fn])
def test_codes_that_the_config_says_nothing_of_are_refused(
    dtype: torch.dtype, own_pair: Callable[..., Pair], tmp_path: Path
) -> None:
    """transformers would load them as weights, cast to the dtype of the model."""
    pair = own_pair("qwen3")
    file = pair.tuned / "model.safetensors"
    tensors = {name: (t * 30).to(dtype) if "up_proj" in name else t for name, t in load_file(file).items()}
    save_file(tensors, file, {"format": "pt"})
    for call in (ModelPair.load, lambda *folders: restore(*folders, "1:2", tmp_path / "out")):
        with pytest.raises(CheckpointError, match=r"up_proj\.weight' is a code"):
            call(*pair.folders)


def test_a_scale_beside_floating_weights_is_a_sign_of_codes(own_pair: Callable[..., Pair]) -> None:
    pair = own_pair("qwen3")
    file = pair.base / "model.safetensors"
    save_file({**load_file(file), "model.layers.0.mlp.up_proj.SCB": torch.ones(48)}, file, {"format": "pt"})
    with pytest.raises(CheckpointError, match="SCB"):
        ModelPair.load(*pair.folders)
