"""`AdapterCheckpoint`: a base checkpoint with a LoRA adapter, merged one tensor at a time and never as a whole."""

from __future__ import annotations

import hashlib
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slr_probe.checkpoint.folder import Checkpoint, read_object
from slr_probe.checkpoint.names import foreign_part, is_head
from slr_probe.checkpoint.shard import Shard, TensorInfo, read_tensor
from slr_probe.errors import CheckpointError, IncompatiblePairError

if TYPE_CHECKING:
    import torch

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
_MERGE_HINT = "merge it first with PEFT: PeftModel.from_pretrained(...).merge_and_unload().save_pretrained(folder)"
_SAFE_INITS = (True, False, None, "gaussian", "eva", "orthogonal")  # the others change the base weights at start
_HARMLESS_USES = ("use_rslora",)
_REFUSED = ("layer_replication", "target_parameters", "trainable_token_indices", "lora_bias", "alora_invocation_tokens")


@dataclass(frozen=True)
class LowRank:
    """A weight delta `scaling * B @ A` that is kept in its factors.

    Attributes:
        a: Factor A, `[rank, in]`.
        b: Factor B, `[out, rank]`.
        scaling: `lora_alpha / r`, or `lora_alpha / sqrt(r)` for rank-stabilised LoRA (arXiv 2312.03732).
        transposed: Whether the weight is stored as `[in, out]` (GPT-2's `Conv1D`).
    """

    a: TensorInfo
    b: TensorInfo
    scaling: float
    transposed: bool

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of the delta, as the weight is stored."""
        shape = (self.b.shape[0], self.a.shape[1])
        return (shape[1], shape[0]) if self.transposed else shape

    def factors(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Both factors in float32, `(A, B)`."""
        return read_tensor(self.a).float(), read_tensor(self.b).float()

    def delta(self) -> torch.Tensor:
        """The delta in float32."""
        a, b = self.factors()
        product = b @ a
        return (product.T if self.transposed else product) * self.scaling


@dataclass(frozen=True)
class AdapterCheckpoint:
    """The tensors that merging a LoRA adapter into its base would give; the same reading interface as `Checkpoint`.

    Attributes:
        path: The adapter folder.
        base: The checkpoint that the adapter was trained on.
        low_rank: LoRA deltas, by the name of the base tensor that they add to.
        replaced: Whole tensors that the adapter carries (biases, `modules_to_save`), by base tensor name.
    """

    path: Path
    base: Checkpoint
    low_rank: Mapping[str, LowRank]
    replaced: Mapping[str, TensorInfo]

    @classmethod
    def open(cls, path: str | os.PathLike[str], base: Checkpoint) -> AdapterCheckpoint:
        """Open an adapter folder over `base`; reads headers only.

        Raises:
            CheckpointError: The adapter is incomplete or of a kind that cannot be merged tensor by tensor.
            IncompatiblePairError: The adapter was made for another base: names or shapes do not fit.
        """
        folder = Path(path)
        config = read_object(folder / CONFIG)
        _check_kind(folder, config)
        if not (folder / WEIGHTS).is_file():
            raise CheckpointError(f"{folder} has {CONFIG} but no {WEIGHTS}; pickled adapters (.bin) are refused")
        entries = {_strip(info.name): info for info in Shard.open(folder / WEIGHTS).tensors}
        tails = _tails(base)
        low_rank: dict[str, LowRank] = {}
        replaced: dict[str, TensorInfo] = {}
        for name, info in entries.items():
            if name.endswith((".lora_A.weight", ".lora_B.weight")):
                module = name.rpartition(".lora_")[0]
                a, b = _halves(module, entries, folder)
                target = _find(module + ".weight", tails, folder, base)
                low_rank[target] = LowRank(
                    a, b, _scaling(config, module, a.shape[0]), bool(config.get("fan_in_fan_out"))
                )
                _check_shape(target, low_rank[target].shape, base, folder)
            elif "lora_" in name:
                raise CheckpointError(f"{folder / WEIGHTS}: '{info.name}' is not a linear LoRA tensor; {_MERGE_HINT}")
            else:
                target = _find(name, tails, folder, base)
                _check_shape(target, info.shape, base, folder)
                replaced[target] = info
        _check_tied({*low_rank, *replaced}, base, folder)
        return cls(folder, base, low_rank, replaced)

    @property
    def shards(self) -> tuple[Shard, ...]:
        """The base's shards, whose layout the merged checkpoint keeps."""
        return self.base.shards

    @property
    def tensors(self) -> Mapping[str, TensorInfo]:
        """The base's tensors: merging changes values, never names, shapes or dtypes."""
        return self.base.tensors

    @property
    def nbytes(self) -> int:
        """Bytes of tensor data after merging."""
        return self.base.nbytes

    @property
    def quantised(self) -> bool:
        """Whether the base's tensors are codes and scales and no weights."""
        return self.base.quantised

    def require_numbers(self) -> None:
        """As for `Checkpoint`, of the base."""
        self.base.require_numbers()

    def is_stored(self, name: str) -> bool:
        """Whether the tensor's bytes lie in the base's file as they are (the adapter does not touch it)."""
        return name in self.tensors and name not in self.low_rank and name not in self.replaced

    def read(self, name: str) -> torch.Tensor:
        """Read one merged tensor in the base's dtype: the sum is taken in float32 and rounded once, as PEFT does.

        Raises:
            CheckpointError: There is no tensor of that name.
        """
        weight = self.base.read(name)
        if name in self.replaced:
            weight = read_tensor(self.replaced[name]).to(weight.dtype)
        if name not in self.low_rank:
            return weight
        return (weight.float() + self.low_rank[name].delta()).to(weight.dtype)

    def config(self) -> dict[str, Any]:
        """The base's `config.json`."""
        return self.base.config()

    @property
    def config_path(self) -> Path:
        """Where that lies."""
        return self.base.config_path

    def fingerprint(self) -> str:
        """Hash of the base's fingerprint, the adapter's settings and all of its bytes."""
        digest = hashlib.sha256(self.base.fingerprint().encode())
        for file in (CONFIG, WEIGHTS):
            digest.update((self.path / file).read_bytes())
        return digest.hexdigest()


def is_adapter(folder: Path) -> bool:
    """Whether a folder holds a PEFT adapter and not a model."""
    return (folder / CONFIG).is_file() and not (folder / "config.json").is_file()


def _check_kind(folder: Path, config: Mapping[str, Any]) -> None:
    kind = config.get("peft_type")
    if kind != "LORA":
        raise CheckpointError(f"{folder} is a PEFT adapter of type {kind!r}; only LORA is merged here; {_MERGE_HINT}")
    uses = [k for k, v in config.items() if k.startswith("use_") and v and k not in _HARMLESS_USES]
    unsupported = uses + [k for k in _REFUSED if config.get(k)]
    if config.get("init_lora_weights", True) not in _SAFE_INITS:
        unsupported.append(f"init_lora_weights={config['init_lora_weights']!r}")
    if unsupported:
        raise CheckpointError(f"{folder} is a LoRA adapter with {', '.join(unsupported)}; {_MERGE_HINT}")


def _scaling(config: Mapping[str, Any], module: str, rank: int) -> float:
    expected = _pattern(config.get("rank_pattern"), module, config.get("r", rank))
    if expected != rank:
        raise CheckpointError(f"adapter rank of {module} is {rank} in the weights but {expected} in {CONFIG}")
    alpha = float(_pattern(config.get("alpha_pattern"), module, config.get("lora_alpha", rank)))
    return alpha / math.sqrt(rank) if config.get("use_rslora") else alpha / rank


def _pattern(patterns: Mapping[str, Any] | None, module: str, default: Any) -> Any:
    for pattern, value in (patterns or {}).items():
        if re.match(rf"(.*\.)?({pattern})$", module):
            return value
    return default


def _strip(name: str) -> str:
    return name.removeprefix("base_model.model.").replace(".base_layer.", ".")


def _halves(module: str, entries: Mapping[str, TensorInfo], folder: Path) -> tuple[TensorInfo, TensorInfo]:
    a, b = entries.get(f"{module}.lora_A.weight"), entries.get(f"{module}.lora_B.weight")
    if a is None or b is None:
        raise CheckpointError(f"{folder / WEIGHTS} has only one of lora_A and lora_B for '{module}'; it is incomplete")
    if len(a.shape) != 2 or len(b.shape) != 2 or a.shape[0] != b.shape[1]:
        raise CheckpointError(
            f"{folder / WEIGHTS}: lora_A {list(a.shape)} and lora_B {list(b.shape)} of '{module}' are not the two "
            f"factors of a matrix; {_MERGE_HINT}"
        )
    return a, b


def _check_tied(targets: set[str], base: Checkpoint, folder: Path) -> None:
    """PEFT changes the embedding or the head alone; a base that stores one tensor for both cannot hold that."""
    outside = [name for name in targets if len(base.tensors[name].shape) == 2 and not re.search(r"\.\d+\.", name)]
    if outside and not any(is_head(name) for name in base.tensors):
        raise CheckpointError(
            f"{folder} changes '{outside[0]}', which {base.path} shares between embedding and head; {_MERGE_HINT}"
        )


def _tail(name: str) -> str:
    """The part of a tensor name that does not depend on how deep the decoder is nested."""
    foreign = foreign_part(name)  # a vision tower has blocks of the same names
    if foreign is not None:
        return foreign
    match = re.search(r"[^.]+\.\d+\..*", name)
    return match[0] if match else ".".join(name.split(".")[-2:])


def _tails(base: Checkpoint) -> dict[str, str]:
    return {**{_tail(name): name for name in base.tensors}, **{name: name for name in base.tensors}}


def _find(name: str, tails: Mapping[str, str], folder: Path, base: Checkpoint) -> str:
    target = tails.get(name) or tails.get(_tail(name))
    if target is None:
        raise IncompatiblePairError(
            f"adapter {folder} is for another base: it changes '{name}', which {base.path} does not have"
        )
    return target


def _check_shape(name: str, shape: tuple[int, ...], base: Checkpoint, folder: Path) -> None:
    expected = base.tensors[name].shape
    if shape != expected:
        raise IncompatiblePairError(
            f"adapter {folder} is for another base: its change to '{name}' has shape {list(shape)}, the tensor in "
            f"{base.path} has {list(expected)}"
        )
