from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoConfig

from slr_probe import ModelPair, restore
from slr_probe.errors import CheckpointError, IncompatiblePairError
from slr_probe.pair.compat import compare_configs, compare_files
from tests.tiny import FAMILIES, Pair, config_of, edit_json

DECISIVE = [
    ("llama", {"hidden_size": 64}),
    ("llama", {"intermediate_size": 64}),
    ("llama", {"num_hidden_layers": 3}),
    ("llama", {"num_attention_heads": 8}),
    ("llama", {"num_key_value_heads": 4}),
    ("llama", {"head_dim": 16}),
    ("llama", {"rms_norm_eps": 1e-3}),
    ("llama", {"hidden_act": "gelu"}),
    ("llama", {"tie_word_embeddings": True}),
    ("llama", {"attention_bias": False}),
    ("llama", {"mlp_bias": True}),
    ("gemma2", {"attn_logit_softcapping": 30.0}),
    ("gemma2", {"final_logit_softcapping": None}),
    ("gemma2", {"query_pre_attn_scalar": 64}),
    ("gemma2", {"sliding_window": 8}),
    ("gemma3_text", {"layer_types": ["full_attention"] * 4}),
    ("gemma3_text", {"hidden_activation": "relu"}),
    ("gemma3", {"rms_norm_eps": 1e-3}),
    ("gemma3", {"layer_types": ["full_attention"] * 4}),
    ("gpt2", {"n_embd": 64}),
    ("gpt2", {"n_head": 2}),
    ("gpt2", {"layer_norm_epsilon": 1e-3}),
    ("gpt2", {"activation_function": "relu"}),
    ("gpt_neox", {"use_parallel_residual": False}),
    ("gpt_neox", {"layer_norm_eps": 1e-3}),
    ("mixtral", {"num_local_experts": 2}),
    ("mixtral", {"num_experts_per_tok": 1}),
    ("qwen3_moe", {"moe_intermediate_size": 32}),
    ("opt", {"ffn_dim": 64}),
    ("opt", {"do_layer_norm_before": False}),
]
HARMLESS = [
    {"bos_token_id": 5},
    {"eos_token_id": [2, 3]},
    {"pad_token_id": 4},
    {"max_position_embeddings": 4096},
    {"use_cache": False},
    {"dtype": "bfloat16"},
    {"vocab_size": 160},
    {"attention_dropout": 0.1},
    {"initializer_range": 0.5},
]
ROPE = {"rope_type": "linear", "factor": 2.0, "rope_theta": 10000.0}


@pytest.mark.parametrize(("family", "change"), DECISIVE, ids=str)
def test_a_decisive_field_is_named_with_both_values(family: str, change: dict[str, Any]) -> None:
    base, tuned = config_of(family), config_of(family, **change)
    ((field, value),) = change.items()
    given = getattr(base.get_text_config(decoder=True), field)
    assert given != value
    for one, other, first, second in [(base, tuned, given, value), (tuned, base, value, given)]:
        with pytest.raises(IncompatiblePairError) as caught:
            compare_configs(one, other)
        assert f"{field}: base {first!r}, tuned {second!r}" in str(caught.value)


@pytest.mark.parametrize("change", HARMLESS, ids=str)
def test_any_other_field_is_a_note(change: dict[str, Any]) -> None:
    base, tuned = config_of("llama"), config_of("llama", **change)
    ((field, value),) = change.items()
    notes = compare_configs(base, tuned)
    assert len(notes) == 1
    assert notes[0].startswith(f"{field}: base ")
    assert f"tuned {value!r}; the hybrid takes tuned's" in notes[0]


def test_another_rope_is_a_note() -> None:
    """As after training for a longer context: hybrids have tuned's in every block."""
    plain, linear = config_of("llama"), config_of("llama", rope_parameters=ROPE)
    assert "rope_parameters.rope_type: base 'default', tuned 'linear'; the hybrid takes tuned's" in compare_configs(
        plain, linear
    )
    notes = compare_configs(linear, config_of("llama", rope_parameters={**ROPE, "factor": 4.0, "rope_theta": 5e5}))
    assert notes == (
        "rope_parameters.factor: base 2.0, tuned 4.0; the hybrid takes tuned's",
        "rope_parameters.rope_theta: base 10000.0, tuned 500000.0; the hybrid takes tuned's",
    )


def test_another_architecture_is_refused() -> None:
    with pytest.raises(IncompatiblePairError, match="model_type: base 'llama', tuned 'mistral'"):
        compare_configs(config_of("llama"), config_of("mistral"))


def test_every_decisive_difference_is_listed() -> None:
    with pytest.raises(IncompatiblePairError, match=r"hidden_act.*intermediate_size.*num_attention_heads"):
        compare_configs(
            config_of("llama"), config_of("llama", hidden_act="relu", intermediate_size=64, num_attention_heads=2)
        )


def test_equal_configs_give_no_notes(family: str) -> None:
    assert compare_configs(config_of(family), config_of(family)) == ()


def test_a_text_decoder_matches_the_text_part_of_a_nested_model() -> None:
    fields = FAMILIES["gemma3_text"].config
    assert compare_configs(AutoConfig.for_model("gemma3_text", **fields), config_of("gemma3")) == ()


def test_a_vision_tower_may_differ() -> None:
    other = config_of("gemma3")
    other.vision_config.hidden_size = 64
    assert compare_configs(config_of("gemma3"), other) == ()


def test_files_alone_give_the_same_notes() -> None:
    base, tuned = config_of("llama").to_dict(), config_of("llama", bos_token_id=5).to_dict()
    assert compare_files(base, base) == ()
    assert compare_files(base, tuned) == compare_configs(config_of("llama"), config_of("llama", bos_token_id=5))


def test_files_leave_what_they_cannot_tell_to_transformers() -> None:
    base = config_of("llama").to_dict()
    shorter = {key: value for key, value in base.items() if key != "rms_norm_eps"}
    assert compare_files(base, shorter) is None
    assert compare_files(base, {key: value for key, value in base.items() if key != "use_cache"}) is None
    assert compare_files(base, {**base, "rms_norm_eps": 1.0}) is None


@pytest.mark.parametrize("change", [{"rms_norm_eps": 0.5}, {"tie_word_embeddings": True}, {"hidden_act": "relu"}])
@pytest.mark.parametrize("drop", ["use_cache", None])  # a field left to its default: transformers must fill it in
def test_checkpoints_that_differ_are_refused_and_leave_nothing(
    change: dict[str, Any], drop: str | None, own_pair: Callable[..., Pair], tmp_path: Path
) -> None:
    pair = own_pair("llama")
    edit_json(pair.tuned / "config.json", **change)
    if drop:
        data = json.loads((pair.base / "config.json").read_text())
        (pair.base / "config.json").write_text(json.dumps({k: v for k, v in data.items() if k != drop}))
    ((field, value),) = change.items()
    for act in (lambda: ModelPair.load(pair.base, pair.tuned), lambda: restore(*pair.folders, "0:1", tmp_path / "out")):
        with pytest.raises(IncompatiblePairError, match=rf"{field}: base .*, tuned {value!r}"):
            act()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["base", "tuned"]


def test_a_default_that_one_file_spells_out_is_no_difference(own_pair: Callable[..., Pair]) -> None:
    pair = own_pair("llama")
    data = json.loads((pair.base / "config.json").read_text())
    assert data.pop("rms_norm_eps") == 1e-6
    (pair.base / "config.json").write_text(json.dumps(data))
    assert not any("rms_norm_eps" in note for note in ModelPair.load(pair.base, pair.tuned).notes)


def test_notes_reach_the_pair(own_pair: Callable[..., Pair]) -> None:
    pair = own_pair("llama")
    edit_json(pair.tuned / "config.json", bos_token_id=9, max_position_embeddings=99)
    notes = ModelPair.load(pair.base, pair.tuned).notes
    assert notes[:2] == (
        "bos_token_id: base 1, tuned 9; the hybrid takes tuned's",
        "max_position_embeddings: base 64, tuned 99; the hybrid takes tuned's",
    )


@pytest.mark.parametrize(
    "config",
    [
        "[]",
        "{",
        "{}",
        '{"model_type": "nonesuch"}',
        '{"model_type": "llama", "hidden_size": "wide"}',
        '"llama"',
        "null",
    ],
)
@pytest.mark.parametrize("side", ["base", "tuned"])
def test_a_config_that_cannot_be_read_is_refused(config: str, side: str, own_pair: Callable[..., Pair]) -> None:
    pair = own_pair("llama")
    path = getattr(pair, side) / "config.json"
    path.write_text(config)
    with pytest.raises((IncompatiblePairError, CheckpointError), match=r"config"):
        ModelPair.load(pair.base, pair.tuned)
    path.unlink()
    with pytest.raises((IncompatiblePairError, CheckpointError), match=r"config"):
        ModelPair.load(pair.base, pair.tuned)


def test_encoder_decoders_are_refused(own_pair: Callable[..., Pair]) -> None:
    pair = own_pair("llama")
    t5 = AutoConfig.for_model("t5", vocab_size=32, d_model=8, num_layers=1, num_heads=1)
    for folder in (pair.base, pair.tuned):
        t5.save_pretrained(folder)
    with pytest.raises(IncompatiblePairError, match="encoder-decoder"):
        ModelPair.load(pair.base, pair.tuned)
