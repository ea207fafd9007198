from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoConfig

from slr_probe import ModelPair, restore, verify_hybrid
from slr_probe.pair.compat import compare_configs
from slr_probe.pair.computed import compute_alike
from tests.tiny import Pair, edit_json

SIZES = {
    "vocab_size": 128,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 6,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
GEMMA = {"head_dim": 8, "sliding_window": 4}
CASES = [
    ("gemma3_text", GEMMA, {"sliding_window_pattern": 6}, True),
    ("gemma2", GEMMA, {"hidden_act": "gelu_pytorch_tanh"}, True),
    ("qwen2", {}, {"head_dim": 8}, True),
    ("mixtral", {"num_local_experts": 2}, {"head_dim": 8}, True),
    ("llama", {}, {"hidden_act": "swish"}, True),
    ("gemma2", GEMMA, {"hidden_activation": "gelu_new"}, True),
    ("qwen2", {}, {"head_dim": 16}, False),
    ("llama", {}, {"hidden_act": "gelu"}, False),
    ("llama", {}, {"rms_norm_eps": 0.5}, False),
    ("llama", {}, {"attention_bias": True}, False),
    ("llama", {}, {"tie_word_embeddings": True}, False),
    ("gemma2", GEMMA, {"final_logit_softcapping": 3.0}, False),
    ("mistral", {}, {"sliding_window": 8}, False),
    ("granite", {}, {"logits_scaling": 3.0}, False),
    ("granite", {}, {"residual_multiplier": 3.0}, False),
    ("mixtral", {"num_local_experts": 2}, {"num_experts_per_tok": 1}, False),
]


def spelled(kind: str, shape: dict[str, Any], change: dict[str, Any]) -> tuple[Any, Any]:
    config = AutoConfig.for_model(kind, **{**SIZES, **shape})
    return config, type(config).from_dict({**config.to_dict(), **change})


@pytest.mark.parametrize(("kind", "shape", "change", "alike"), CASES, ids=str)
def test_what_is_computed_decides_and_not_the_spelling(
    kind: str, shape: dict[str, Any], change: dict[str, Any], alike: bool
) -> None:
    assert compute_alike(*spelled(kind, shape, change), change) == alike


def test_another_spelling_is_a_note() -> None:
    (note,) = compare_configs(*spelled("llama", {}, {"hidden_act": "swish"}))
    assert note.startswith("hidden_act: base 'silu', tuned 'swish'")


def test_folders_of_one_model_in_two_spellings_are_a_pair(own_pair: Callable[..., Pair], tmp_path: Path) -> None:
    pair = own_pair()
    edit_json(pair.base / "config.json", hidden_act="swish")
    assert ModelPair.load(*pair.folders).depth == 4
    assert verify_hybrid(restore(*pair.folders, "1:3", tmp_path / "out")).ok
