"""Are two configs those of one architecture? Compared field by field, before any weight is read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from slr_probe.errors import IncompatiblePairError
from slr_probe.pair.computed import compute_alike

if TYPE_CHECKING:
    from transformers import PretrainedConfig

# A difference in any of these changes what a block computes, or whether its tensors fit.
# Names are those of transformers configs, with the older ones of GPT-2, GPT-J, BLOOM and others beside them.
DECISIVE = frozenset(
    """
    model_type hidden_size n_embd d_model intermediate_size n_inner ffn_dim moe_intermediate_size
    num_hidden_layers n_layer num_layers layer_types sliding_window sliding_window_pattern _sliding_window_pattern
    num_attention_heads n_head num_key_value_heads head_dim multi_query new_decoder_architecture parallel_attn
    use_parallel_residual rotary_dim partial_rotary_factor query_pre_attn_scalar attention_multiplier
    residual_multiplier embedding_multiplier logits_scaling scale_attn_weights scale_attn_by_inverse_layer_idx
    rms_norm_eps layer_norm_eps layer_norm_epsilon layernorm_epsilon norm_eps norm_epsilon qk_norm use_qk_norm
    attn_logit_softcapping final_logit_softcapping logit_scale
    hidden_act hidden_activation activation_function tie_word_embeddings
    attention_bias mlp_bias qkv_bias use_bias do_layer_norm_before
    num_local_experts num_experts n_routed_experts num_experts_per_tok
    num_kv_shared_layers hidden_size_per_layer_input quantization_config
    """.split()
)
_IGNORED = frozenset({"_name_or_path", "_model_name_or_path", "transformers_version", "_commit_hash", "architectures"})


_NOT_COMPUTED = frozenset(
    "bos_token_id eos_token_id pad_token_id dtype torch_dtype use_cache initializer_range transformers_version".split()
)


def compare_configs(base: PretrainedConfig, tuned: PretrainedConfig) -> tuple[str, ...]:
    """Compare the text configs of base and tuned.

    Returns:
        One note for every difference that does not decide whether blocks can be exchanged
        (token ids, maximum positions, dtype, rope scaling, spelling, ...). The hybrid follows the tuned config in all.

    Raises:
        IncompatiblePairError: A decisive field differs and with it the models; the message names all of them with
            both values.
    """
    differing = _differing(_fields(base), _fields(tuned))
    fatal = [key for key in differing if _is_decisive(key)]
    if "model_type" in fatal:
        fatal = ["model_type"]  # of two architectures, everything else differs as well
    if fatal and not compute_alike(base.get_text_config(decoder=True), tuned.get_text_config(decoder=True), fatal):
        lines = "; ".join(f"{key}: base {differing[key][0]!r}, tuned {differing[key][1]!r}" for key in fatal)
        raise IncompatiblePairError(f"base and tuned are not of one architecture: {lines}")
    return _notes(differing)


def compare_files(base: Mapping[str, Any], tuned: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Compare two `config.json` files without transformers, whose import takes longer than many restorations.

    Returns:
        The notes of `compare_configs`; None where the files alone do not tell (a field that one of them leaves to its
        default, or a decisive difference, which may lie outside the text config).
    """
    one, other = _flatten(base), _flatten(tuned)
    differing = _differing(one, other)
    if one.keys() != other.keys() or any(_is_decisive(key) for key in differing):
        return None
    return _notes(differing)


def changes_base(base: PretrainedConfig, tuned: PretrainedConfig) -> tuple[str, ...]:
    """Fields for which base's weights under the tuned config are another model than base, such as another rope."""
    return tuple(key for key in _differing(_fields(base), _fields(tuned)) if key not in _NOT_COMPUTED)


def is_tied(config: PretrainedConfig) -> bool:
    """Whether the head shares the embedding's weight; a nested config may say so at either level."""
    text = config.get_text_config(decoder=True)
    return any(bool(getattr(level, "tie_word_embeddings", False)) for level in (config, text))


def _differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    keys = sorted(one.keys() | other.keys())
    return {key: (one.get(key), other.get(key)) for key in keys if one.get(key) != other.get(key)}


def _notes(differing: Mapping[str, tuple[Any, Any]]) -> tuple[str, ...]:
    return tuple(f"{key}: base {b!r}, tuned {t!r}; the hybrid takes tuned's" for key, (b, t) in differing.items())


def _fields(config: PretrainedConfig) -> dict[str, Any]:
    return {**_flatten(config.get_text_config(decoder=True).to_dict()), "tie_word_embeddings": is_tied(config)}


def _flatten(data: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in data.items():
        if key in _IGNORED:
            continue
        if isinstance(value, Mapping) and value:
            flat.update(_flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _is_decisive(key: str) -> bool:
    return any(part in DECISIVE for part in key.split("."))
