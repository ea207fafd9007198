"""What transformers calls the parts of each family, written by hand: what the layout rules are checked against."""

from __future__ import annotations

import re

from torch import nn

from tests.tiny import FAMILIES

# Where transformers keeps these parts, written by hand: (decoder, its blocks, its final norm).
PLACES = {
    "gpt2": ("transformer", "h", "ln_f"),
    "gpt_neox": ("gpt_neox", "layers", "final_layer_norm"),
    "opt": ("model.decoder", "layers", "final_layer_norm"),
    "gemma3": ("model.language_model", "layers", "norm"),
}
FILE_PREFIXES = {
    "gpt2": "transformer.h.",
    "gpt_neox": "gpt_neox.layers.",
    "opt": "model.decoder.layers.",
    "gemma3": "language_model.model.layers.",
    "qwen3_5": "model.language_model.layers.",
}
LLAMA = {
    "self_attn.q_proj": "attention q",
    "self_attn.k_proj": "attention k",
    "self_attn.v_proj": "attention v",
    "self_attn.o_proj": "attention o",
    "mlp.gate_proj": "mlp gate",
    "mlp.up_proj": "mlp up",
    "mlp.down_proj": "mlp down",
    "input_layernorm": "norm input_layernorm",
    "post_attention_layernorm": "norm post_attention_layernorm",
}
QK_NORM = {"self_attn.q_norm": "attention q_norm", "self_attn.k_norm": "attention k_norm"}
SANDWICH = {f"{place}_feedforward_layernorm": f"norm {place}_feedforward_layernorm" for place in ("pre", "post")}
PARALLEL = {k: v for k, v in LLAMA.items() if k != "input_layernorm"}
NO_MLP = {k: v for k, v in LLAMA.items() if not k.startswith("mlp")}


def experts(prefix: str, gate: str, up: str, down: str, router: str) -> dict[str, str]:
    parts = {gate: "gate", up: "up", down: "down"}
    return {
        router: "mlp router",
        **{f"{prefix}.{i}.{name}": f"mlp {part}" for i in range(4) for name, part in parts.items()},
    }


COMPONENTS = {
    "llama": LLAMA,
    "llama_tied": LLAMA,
    "qwen2": LLAMA,
    "mistral": LLAMA,
    "qwen3": LLAMA | QK_NORM,
    "gemma2": LLAMA | SANDWICH,
    "gemma3_text": LLAMA | QK_NORM | SANDWICH,
    "gemma3": LLAMA | QK_NORM | SANDWICH,
    "qwen3_5": LLAMA | QK_NORM,  # block 1, a full-attention one
    "olmo2": PARALLEL | QK_NORM | {"post_feedforward_layernorm": "norm post_feedforward_layernorm"},
    "olmo3": PARALLEL | QK_NORM | {"post_feedforward_layernorm": "norm post_feedforward_layernorm"},
    "mixtral": NO_MLP | experts("block_sparse_moe.experts", "w1", "w3", "w2", "block_sparse_moe.gate"),
    "qwen3_moe": NO_MLP | QK_NORM | experts("mlp.experts", "gate_proj", "up_proj", "down_proj", "mlp.gate"),
    "phi3": {
        "self_attn.qkv_proj": "attention qkv",
        "self_attn.o_proj": "attention o",
        "mlp.gate_up_proj": "mlp gate_up",
        "mlp.down_proj": "mlp down",
        "input_layernorm": "norm input_layernorm",
        "post_attention_layernorm": "norm post_attention_layernorm",
    },
    "gpt2": {
        "attn.c_attn": "attention qkv",
        "attn.c_proj": "attention o",
        "mlp.c_fc": "mlp up",
        "mlp.c_proj": "mlp down",
        "ln_1": "norm ln_1",
        "ln_2": "norm ln_2",
    },
    "gpt_neox": {
        "attention.query_key_value": "attention qkv",
        "attention.dense": "attention o",
        "mlp.dense_h_to_4h": "mlp up",
        "mlp.dense_4h_to_h": "mlp down",
        "input_layernorm": "norm input_layernorm",
        "post_attention_layernorm": "norm post_attention_layernorm",
    },
    "opt": {
        "self_attn.q_proj": "attention q",
        "self_attn.k_proj": "attention k",
        "self_attn.v_proj": "attention v",
        "self_attn.out_proj": "attention o",
        "self_attn_layer_norm": "norm self_attn_layer_norm",
        "fc1": "mlp up",
        "fc2": "mlp down",
        "final_layer_norm": "norm final_layer_norm",
    },
}
assert COMPONENTS.keys() == FAMILIES.keys()


def place(family: str) -> tuple[str, str, str]:
    """Names of the decoder, of its list of blocks and of its final norm, in a loaded model."""
    return PLACES.get(family, ("model", "layers", "norm"))


def blocks_of(model: nn.Module, family: str) -> nn.ModuleList:
    """The decoder blocks of a loaded model."""
    stem, blocks, _ = place(family)
    return model.get_submodule(f"{stem}.{blocks}")


def block_in_file(name: str, family: str) -> int | None:
    """Number of the decoder block of a tensor in a checkpoint file."""
    match = re.match(rf"{re.escape(FILE_PREFIXES.get(family, 'model.layers.'))}(\d+)\.", name)
    return int(match[1]) if match else None


def kind_in_file(name: str, family: str) -> str:
    """Group and component of a block's tensor in a checkpoint file, such as `"attention q"`."""
    suffix = name[len(FILE_PREFIXES.get(family, "model.layers.")) :].partition(".")[2]
    if "linear_attn" in suffix:
        return "attention linear"
    return COMPONENTS[family][suffix.rpartition(".")[0]]
