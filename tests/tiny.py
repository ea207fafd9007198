"""Tiny random checkpoint pairs of many architectures, written to disk without a network."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText

from slr_probe import ModelPair
from slr_probe.checkpoint import Checkpoint
from tests.tiny_tokenizer import make_tokenizer

VOCAB = 128
DEPTH = 4
_TEXT = {
    "vocab_size": VOCAB,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": DEPTH,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
}
_HEAD = {**_TEXT, "head_dim": 8}
_VISION = {
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": DEPTH,  # as deep as the decoder, so that the two could be taken for each other
    "num_attention_heads": 2,
    "image_size": 8,
    "patch_size": 4,
}
_LINEAR = {
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 2,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
    "layer_types": ["linear_attention", "full_attention"] * 2,
}


@dataclass(frozen=True)
class Family:
    """One architecture: model type, config fields, and how its checkpoint is split."""

    model_type: str
    config: dict[str, Any]
    shard: str = "40KB"
    nested: bool = False


FAMILIES = {
    "llama": Family("llama", {**_TEXT, "attention_bias": True}),
    "llama_tied": Family("llama", {**_TEXT, "tie_word_embeddings": True}, shard="1GB"),
    "qwen2": Family("qwen2", _TEXT),
    "qwen3": Family("qwen3", _HEAD, shard="1GB"),
    "gemma2": Family("gemma2", {**_HEAD, "sliding_window": 4}),
    "gemma3_text": Family("gemma3_text", {**_HEAD, "sliding_window": 4}),
    "mistral": Family("mistral", _TEXT, shard="1GB"),
    "olmo2": Family("olmo2", _TEXT),
    "olmo3": Family("olmo3", _TEXT),
    "gpt2": Family("gpt2", {"vocab_size": VOCAB, "n_embd": 32, "n_layer": DEPTH, "n_head": 4, "n_positions": 64}),
    "gpt_neox": Family("gpt_neox", _TEXT),
    "phi3": Family("phi3", _TEXT),
    "mixtral": Family("mixtral", {**_TEXT, "num_local_experts": 4, "num_experts_per_tok": 2}),
    "qwen3_moe": Family(
        "qwen3_moe", {**_HEAD, "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16}
    ),
    "opt": Family("opt", {**_TEXT, "ffn_dim": 48, "word_embed_proj_dim": 32}),
    "gemma3": Family(
        "gemma3",
        {
            "text_config": {**_HEAD, "sliding_window": 4},
            "vision_config": _VISION,
            "mm_tokens_per_image": 4,
            "image_token_index": 127,
            "boi_token_index": 126,
            "eoi_token_index": 125,
        },
        nested=True,
    ),
    "qwen3_5": Family(
        "qwen3_5",
        {
            "text_config": {**_HEAD, **_LINEAR},
            "vision_config": {
                "depth": DEPTH,
                "hidden_size": 16,
                "intermediate_size": 16,
                "num_heads": 2,
                "out_hidden_size": 32,
                "patch_size": 4,
            },
        },
        nested=True,
    ),
}
"""Nested: `gemma3` loads with its vision tower; `qwen3_5` loads as its text decoder alone, under other names."""


@dataclass(frozen=True)
class Pair:
    """Folders of a base and a tuned checkpoint."""

    family: str
    base: Path
    tuned: Path
    depth: int = DEPTH

    @property
    def folders(self) -> tuple[Path, Path]:
        """Base and tuned."""
        return self.base, self.tuned


def config_of(family: str, **changes: Any) -> Any:
    """A transformers config of a family, with fields changed (in the text part of a nested config)."""
    spec = FAMILIES[family]
    fields = copy.deepcopy(spec.config)
    (fields["text_config"] if spec.nested else fields).update(changes)
    return AutoConfig.for_model(spec.model_type, **fields)


def make_model(family: str, seed: int, **changes: Any) -> Any:
    """A random model of a family, as it would be saved."""
    auto = AutoModelForImageTextToText if FAMILIES[family].nested else AutoModelForCausalLM
    model = auto.from_config(config_of(family, **changes), dtype=torch.float32).eval()
    return randomise(model, seed)


def make_pair() -> ModelPair:
    """Two random Llamas in memory with a tokenizer, with room for text that they write."""
    base, tuned = (make_model("llama", seed, max_position_embeddings=256) for seed in (1, 2))
    return ModelPair.load(base, tuned, tokenizer=make_tokenizer(), device="cpu")


def randomise(model: Any, seed: int) -> Any:
    """Draw every parameter, norms and biases included, so that no two sides of a pair share a value by default."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.copy_(noise * 0.25 if parameter.ndim > 1 else 0.5 + 0.25 * noise)
    return model


def write_checkpoint(
    folder: Path, family: str, seed: int, *, dtype: torch.dtype = torch.float32, **changes: Any
) -> Path:
    """Write a random checkpoint of a family."""
    model = make_model(family, seed, **changes).to(dtype)
    model.save_pretrained(folder, max_shard_size=FAMILIES[family].shard)
    return folder


def read_all(folder: Path) -> dict[str, torch.Tensor]:
    """Every tensor of a folder, read with safetensors' own reader."""
    tensors = {}
    for file in sorted(Path(folder).glob("model*.safetensors")):
        with safe_open(file, "pt") as shard:
            for name in shard.keys():
                tensors[name] = shard.get_tensor(name)
    return tensors


def rewrite_tensor(folder: Path, name: str, change: Any) -> Path:
    """Replace one tensor in its file by `change(tensor)`; returns the file."""
    for file in sorted(folder.glob("model*.safetensors")):
        with safe_open(file, "pt") as shard:
            tensors = {key: shard.get_tensor(key) for key in shard.keys()}
        if name in tensors:
            tensors[name] = change(tensors[name]).contiguous()
            save_file(tensors, file, metadata={"format": "pt"})
            return file
    raise KeyError(name)


def edit_json(path: Path, **changes: Any) -> None:
    """Set fields of a JSON file."""
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def load(folder: Path, dtype: torch.dtype = torch.float32) -> Any:
    """The model of a folder, as any user would load it."""
    return AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, local_files_only=True).eval()


def token_ids(rows: int = 2, length: int = 7) -> torch.Tensor:
    """Some token ids that no family treats specially."""
    return torch.randint(10, 120, (rows, length), generator=torch.Generator().manual_seed(7))


@torch.no_grad()
def logits(model: Any) -> torch.Tensor:
    """Logits of the model on `token_ids()`, in float32."""
    return model(input_ids=token_ids(), use_cache=False).logits.float()


def edit_middle(folder: Path) -> None:
    """Change one byte in the middle of the largest tensor, where no fingerprint looks."""
    large = max(Checkpoint.open(folder).tensors.values(), key=lambda info: info.nbytes)
    assert large.nbytes > 2 * 4096
    with open(large.path, "r+b") as file:
        file.seek((large.start + large.stop) // 2)
        file.write(b"\1")


def snapshot(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Content and modification time of every file under a folder."""
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
