"""Addresses: which block and component every tensor of a decoder-only model belongs to.

One rule set serves tensor names in checkpoint files and parameter names of loaded modules, so both ways of
building a hybrid agree. Names are read structurally (where is the list of decoder blocks?), not by architecture.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Literal

from slr_probe.block_weight import GROUPS
from slr_probe.errors import LayoutError

if TYPE_CHECKING:
    from torch import nn

Role = Literal["block", "embedding", "final_norm", "head", "other"]

_NOT_TEXT = ("vision", "visual", "image", "audio", "speech", "vit", "encoder", "projector", "mtp", "cross_attn_adapter")
_FINAL_NORMS = (
    "norm",
    "ln_f",
    "final_layer_norm",
    "final_layernorm",
    "final_norm",
    "norm_f",
    "ln_out",
    "embedding_norm",
)
# Constants that older transformers wrote beside the weights (GPT-2, GPT-NeoX, Llama) and newer ones compute.
_CONSTANTS = re.compile(r"(attn|attention)\.(bias|masked_bias)|rotary_emb\.inv_freq")
# Last part of a name that is a value of the module before it; quantised checkpoints have several.
_VALUES = re.compile(r"q?weight(_\w+)?|bias|qzeros|scales|g_idx|(in|out)put_scale")
_HEADS = ("lm_head", "embed_out", "output_projection")
_TOP_HEADS = ("head", "output", "decoder")  # only where nothing stands in front of them (RWKV, InternLM, ModernBERT)

_ATTENTION = ("attn", "attention", "mixer", "mamba", "conv", "ssm", "rglru", "temporal_block")
_MLP = ("mlp", "ffn", "feed_forward", "moe", "expert", "fc1", "fc2")
_COMPONENTS: Mapping[str, tuple[str, ...]] = {
    "q": ("q_proj", "query", "q_lin", "wq"),
    "k": ("k_proj", "key", "k_lin", "wk"),
    "v": ("v_proj", "value", "v_lin", "wv"),
    "qkv": ("qkv_proj", "query_key_value", "c_attn", "wqkv", "qkv", "in_proj_qkv"),
    "o": ("o_proj", "out_proj", "dense", "c_proj", "wo", "out_lin"),
    "gate": ("gate_proj", "w1", "gate_up_gate"),
    "up": ("up_proj", "w3", "c_fc", "fc1", "fc_in", "dense_h_to_4h", "lin1"),
    "gate_up": ("gate_up_proj",),
    "down": ("down_proj", "w2", "c_proj", "fc2", "fc_out", "dense_4h_to_h", "lin2"),
    "router": ("gate", "router", "shared_expert_gate"),
    "q_norm": ("q_norm", "q_layernorm", "query_layernorm"),
    "k_norm": ("k_norm", "k_layernorm", "key_layernorm"),
}
_GROUP_COMPONENTS = {
    "attention": ("q", "k", "v", "qkv", "o", "q_norm", "k_norm"),
    "mlp": ("gate", "up", "gate_up", "down", "router"),
}


@dataclass(frozen=True)
class Address:
    """Where one tensor sits in the model.

    Attributes:
        role: `"block"`, or the part outside the blocks; `"other"` is everything that is not a weight of the text
            decoder (vision tower, multi-token-prediction blocks, stored masks and rotary frequencies), which a
            hybrid always takes from tuned.
        suffix: Name inside the block (`"self_attn.q_proj.weight"`), or outside, from the module that holds the blocks.
        block: Number of the decoder block, or None outside the blocks.
        group: `"attention"`, `"mlp"`, `"norm"` or `"other"` inside a block, else the role.
        component: `"q"`, `"k"`, `"v"`, `"o"`, `"gate"`, `"up"`, `"down"` (fused: `"qkv"`, `"gate_up"`), `"router"`,
            a norm by its own name, or the module name where it is none of these.
    """

    role: Role
    suffix: str
    block: int | None = None
    group: str = ""
    component: str = ""

    @property
    def key(self) -> tuple[str, int | None, str]:
        """Identity across checkpoints whose names differ only in front of the blocks."""
        return (self.role, self.block, self.suffix)


@dataclass(frozen=True)
class Decoder:
    """The parts of a loaded decoder-only model, as its own modules.

    Attributes:
        blocks: The decoder blocks, in order.
        embedding: Token embedding.
        final_norm: Norm after the last block.
        head: Output head (shares its weight with `embedding` where tied).
    """

    blocks: nn.ModuleList
    embedding: nn.Module
    final_norm: nn.Module
    head: nn.Module


def address_tensors(names: Iterable[str], depth: int) -> dict[str, Address]:
    """Address every tensor name of a checkpoint or state dict.

    Args:
        names: Tensor names, as in a safetensors file or `model.state_dict()`.
        depth: Number of decoder blocks (`num_hidden_layers` of the text config).

    Raises:
        LayoutError: No list of `depth` decoder blocks can be told from the names, or more than one; or two tensors
            have one address.

    Examples:
        >>> names = ["model.embed_tokens.weight", "model.layers.0.mlp.up_proj.weight", "model.norm.weight"]
        >>> for address in address_tensors(names, depth=1).values():
        ...     print(address.role, address.block, address.component)
        embedding None embed_tokens
        block 0 up
        final_norm None norm
    """
    names = list(names)
    prefix = block_prefix(names, depth)
    stem = prefix.rsplit(".", 2)[0] + "." if prefix.count(".") > 1 else ""
    addresses = {name: _address(name, prefix, stem, depth) for name in names}
    known: dict[tuple[str, int | None, str], str] = {}
    for name, address in addresses.items():
        if known.setdefault(address.key, name) != name and address.role != "other":
            raise LayoutError(f"'{known[address.key]}' and '{name}' cannot be told apart; their model is not supported")
    return addresses


def block_prefix(names: Iterable[str], depth: int) -> str:
    """The text in front of the block number, such as `"model.layers."`.

    Raises:
        LayoutError: As for `address_tensors`.
    """
    if depth < 1:
        raise LayoutError(f"a model has at least one decoder block; its config says {depth}")
    lists: dict[str, set[int]] = defaultdict(set)
    for name in names:
        match = re.match(r"(.*?)(?<![^.])(\d+)\.", name)
        if match:
            lists[match[1]].add(int(match[2]))
    text = {p: blocks for p, blocks in lists.items() if foreign_part(p) is None}
    # Counted first: a config that claims a thousand million blocks must cost nothing.
    whole = [p for p, blocks in text.items() if len(blocks) >= depth and set(range(depth)) <= blocks]
    if len(whole) > 1:
        whole = [p for p in whole if "language_model" in p or "text" in p] or whole
    if len(whole) == 1:
        return whole[0]
    counts = {p: len(blocks) for p, blocks in text.items()}
    if not whole:
        missing = {p: list(islice((i for i in range(depth) if i not in blocks), 4)) for p, blocks in text.items()}
        raise LayoutError(
            f"no list of {depth} decoder blocks in the tensor names; numbered lists found: {counts or 'none'}"
            + (f"; first missing blocks: {missing}" if missing else "")
        )
    raise LayoutError(f"{len(whole)} lists could be the {depth} decoder blocks: {whole}; cannot tell which")


def find_decoder(model: nn.Module) -> Decoder:
    """Find blocks, embedding, final norm and head of a loaded transformers causal language model.

    Raises:
        LayoutError: The model is not a decoder-only language model whose parts can be told apart.
    """
    from torch import nn

    config = getattr(model, "config", None)
    if config is None or not hasattr(model, "get_input_embeddings"):
        raise LayoutError(f"expected a transformers causal language model, got {type(model).__name__}")
    text = config.get_text_config(decoder=True)
    if getattr(config, "is_encoder_decoder", False):
        raise LayoutError(f"{type(model).__name__} is an encoder-decoder; slr_probe works on decoder-only models")
    depth = int(text.num_hidden_layers)
    prefix = block_prefix(model.state_dict().keys(), depth)
    blocks = model.get_submodule(prefix.rstrip("."))
    parent = model.get_submodule(prefix.rstrip(".").rpartition(".")[0])
    norms = [child for name, child in parent.named_children() if name in _FINAL_NORMS]
    head = model.get_output_embeddings()  # type: ignore[operator]
    if not isinstance(blocks, nn.ModuleList) or len(norms) != 1 or head is None:
        children = [f"{name}: {type(child).__name__}" for name, child in parent.named_children()]
        raise LayoutError(
            f"{type(model).__name__}: expected a ModuleList of blocks, one final norm (one of {_FINAL_NORMS}) and an "
            f"output head; the decoder has {children}, head {type(head).__name__}"
        )
    return Decoder(blocks, model.get_input_embeddings(), norms[0], head)  # type: ignore[operator]


def foreign_part(name: str) -> str | None:
    """The name from the first module on that is not of the text decoder; None for a name of the decoder."""
    parts = name.split(".")
    foreign = (i for i, part in enumerate(parts) if any(word in part.lower() for word in _NOT_TEXT))
    return next((".".join(parts[i:]) for i in foreign), None)


def is_head(name: str) -> bool:
    """Whether a tensor belongs to an output head."""
    *path, _ = name.split(".")
    whole = bool(path) and (path[-1] in _HEADS or path[0] in _HEADS)  # a head may be of several layers
    return whole or (len(path) == 1 and path[0] in _TOP_HEADS)


def _other(name: str) -> Address:
    return Address("other", foreign_part(name) or name, None, "other", "other")


def _address(name: str, prefix: str, stem: str, depth: int) -> Address:
    parts = name.split(".")
    if _CONSTANTS.fullmatch(".".join(parts[-2:])):
        return _other(name)
    if name.startswith(prefix):
        number, _, suffix = name[len(prefix) :].partition(".")
        if int(number) < depth:
            group, component = _component(suffix)
            return Address("block", suffix, int(number), group, component)
        return _other(name)  # extra blocks: multi-token prediction
    module = parts[-2] if len(parts) > 1 else parts[-1]
    role: Role = "other"
    if foreign_part(name) is None:
        if is_head(name):
            role = "head"
        elif name.startswith(stem):
            role = "final_norm" if module in _FINAL_NORMS else "embedding"
    if role == "other":
        return _other(name)
    after = next((i + 1 for i, part in enumerate(parts) if part in (*_HEADS, *_TOP_HEADS)), len(parts) - 1)
    suffix = ".".join(parts[after:]) if role == "head" else name[len(stem) :]  # a head's module has several names
    return Address(role, suffix, None, role, module)


def _component(suffix: str) -> tuple[str, str]:
    parts = suffix.lower().split(".")
    leaf = parts[-2] if _VALUES.fullmatch(parts[-1]) and len(parts) > 1 else parts[-1]
    leaf = re.sub(r"_(bias|blocks|scales)$", "", leaf)
    group = _group(parts, leaf)
    for component in _GROUP_COMPONENTS.get(group, ()):
        if leaf in _COMPONENTS[component]:
            return group, component
    # A norm inside a mixer is called just "norm": an override of the group of that name must not catch it.
    return group, f"{group}_{leaf}" if leaf in GROUPS and leaf != group else leaf


def _group(parts: list[str], leaf: str) -> str:
    modules = parts[:-1] if len(parts) > 1 else parts
    if "norm" in modules[0] or re.fullmatch(r"ln_?\w*", modules[0]):
        return "norm"
    for group, words in (("mlp", _MLP), ("attention", _ATTENTION)):
        if any(word in module for module in modules for word in words):
            return group
    return "norm" if "norm" in leaf else "other"
