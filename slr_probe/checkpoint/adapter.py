"""`AdapterCheckpoint`: a base checkpoint with a LoRA adapter, merged one tensor at a time and never as a whole."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slr_probe.checkpoint.adapter_checks import check_changes, check_tied, check_whole
from slr_probe.checkpoint.adapter_settings import CONFIG, MERGE, AdapterSettings
from slr_probe.checkpoint.entries import check_files
from slr_probe.checkpoint.folder import INDEX, SINGLE, Checkpoint, read_object
from slr_probe.checkpoint.names import foreign_part, is_head
from slr_probe.checkpoint.shard import FLOATING, Shard, TensorInfo, read_tensor
from slr_probe.errors import CheckpointError, IncompatiblePairError

if TYPE_CHECKING:
    import torch

WEIGHTS = "adapter_model.safetensors"


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
        made_over: The base that the adapter names; empty where it names none.
    """

    path: Path
    base: Checkpoint
    low_rank: Mapping[str, LowRank]
    replaced: Mapping[str, TensorInfo]
    made_over: str = ""

    @classmethod
    def open(cls, path: str | os.PathLike[str], base: Checkpoint) -> AdapterCheckpoint:
        """Open an adapter folder over `base`; reads headers only.

        Raises:
            CheckpointError: The adapter is incomplete or of a kind that cannot be merged tensor by tensor.
            IncompatiblePairError: The adapter was made for another base: names or shapes do not fit.
        """
        folder = Path(path)
        check_files(folder)
        settings = AdapterSettings(folder, read_object(folder / CONFIG))
        settings.check_kind()
        if not (folder / WEIGHTS).is_file():
            raise CheckpointError(f"{folder} has {CONFIG} but no {WEIGHTS}; pickled adapters (.bin) are refused")
        entries = _entries(folder / WEIGHTS)
        find = _Finder(folder, base)
        low_rank: dict[str, LowRank] = {}
        replaced: dict[str, TensorInfo] = {}
        for name, info in entries.items():
            if name.endswith((".lora_A.weight", ".lora_B.weight")):
                module = name.rpartition(".lora_")[0]
                a, b = _halves(module, entries, folder)
                change = LowRank(a, b, settings.scaling(module, a.shape[0]), settings.transposed)
                low_rank[find(module + ".weight", change.shape)] = change
            elif "lora_" in name:
                raise CheckpointError(f"{folder / WEIGHTS}: '{info.name}' is not a linear LoRA tensor; {MERGE}")
            elif not _is_copy(name, entries, base):
                replaced[find(name, info.shape)] = info
        if not any(_is_copy(name, entries, base) for name in entries):
            check_tied({*low_rank, *replaced}, base, folder)
        check_whole(settings, {*low_rank, *replaced}, base)
        if not replaced:
            check_changes(folder / WEIGHTS, [(change.b, change.scaling) for change in low_rank.values()])
        return cls(folder, base, low_rank, replaced, settings.base)

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

    @property
    def index_notes(self) -> tuple[str, ...]:
        """None of its own: the base's are said with the base."""
        return ()

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
    """Whether a folder holds a PEFT adapter and not a model, whose config may lie beside it."""
    weights = any((folder / name).is_file() for name in (SINGLE, INDEX))
    return (folder / CONFIG).is_file() and not weights


def _entries(file: Path) -> dict[str, TensorInfo]:
    """The adapter's tensors by the name of what they change; PEFT may write one twice, as it is and as it was.

    Raises:
        CheckpointError: Two that differ have one name.
    """
    entries: dict[str, TensorInfo] = {}
    for info in Shard.open(file).tensors:
        if ".original_module." in info.name:  # what `modules_to_save` replaced
            continue
        name = _strip(info.name)
        if name in entries and not _same(info, entries[name]):
            raise CheckpointError(f"{file} has two values for '{name}': '{entries[name].name}' and '{info.name}'")
        if info.dtype not in FLOATING:
            raise CheckpointError(
                f"{file}: '{info.name}' is stored as {info.dtype}, which are codes and no weights; {MERGE}"
            )
        entries[name] = info
    if not entries:
        raise CheckpointError(f"{file} holds no tensors; the adapter is empty")
    return entries


def _strip(name: str) -> str:
    name = name.removeprefix("base_model.model.").replace(".base_layer.", ".")
    return re.sub(r"\.modules_to_save\.(default\.)?", ".", name)


def _same(one: TensorInfo, other: TensorInfo) -> bool:
    import torch

    return (one.dtype, one.shape) == (other.dtype, other.shape) and torch.equal(read_tensor(one), read_tensor(other))


def _is_copy(name: str, entries: Mapping[str, TensorInfo], base: Checkpoint) -> bool:
    """Whether this is the head of a base that shares it with the embedding, and the adapter says the same of both."""
    if not is_head(name) or any(is_head(stored) for stored in base.tensors):
        return False
    alike = [info for other, info in entries.items() if not is_head(other) and info.shape == entries[name].shape]
    return any(_same(info, entries[name]) for info in alike)


def _halves(module: str, entries: Mapping[str, TensorInfo], folder: Path) -> tuple[TensorInfo, TensorInfo]:
    a, b = entries.get(f"{module}.lora_A.weight"), entries.get(f"{module}.lora_B.weight")
    if a is None or b is None:
        raise CheckpointError(f"{folder / WEIGHTS} has only one of lora_A and lora_B for '{module}'; it is incomplete")
    if len(a.shape) != 2 or len(b.shape) != 2 or a.shape[0] != b.shape[1]:
        raise CheckpointError(
            f"{folder / WEIGHTS}: lora_A {list(a.shape)} and lora_B {list(b.shape)} of '{module}' are not the two "
            f"factors of a matrix; {MERGE}"
        )
    return a, b


def _tail(name: str) -> str:
    """The part of a tensor name that does not depend on how deep the decoder is nested."""
    foreign = foreign_part(name)  # a vision tower has blocks of the same names
    if foreign is not None:
        return foreign
    match = re.search(r"[^.]+\.\d+\..*", name)
    return match[0] if match else ".".join(name.split(".")[-2:])


class _Finder:
    """Finds the base's tensor that an adapter changes, however deep either nests the decoder."""

    def __init__(self, folder: Path, base: Checkpoint) -> None:
        self._folder, self._base = folder, base
        self._tails = {**{_tail(name): name for name in base.tensors}, **{name: name for name in base.tensors}}

    def __call__(self, name: str, shape: tuple[int, ...]) -> str:
        """The tensor of that name, which must have that shape.

        Raises:
            CheckpointError: It is one that the base shares, or has resized.
            IncompatiblePairError: There is none, or it has another shape.
        """
        base = self._base
        target = self._tails.get(name) or self._tails.get(_tail(name))
        if target is None and is_head(name):
            raise CheckpointError(
                f"{self._folder} changes '{name}', which {base.path} shares between embedding and head; {MERGE}"
            )
        other = f"adapter {self._folder} is for another base: "
        if target is None:
            raise IncompatiblePairError(f"{other}it changes '{name}', which {base.path} does not have")
        expected = base.tensors[target].shape
        if shape != expected and not re.search(r"\.\d+\.", target) and shape[1:] == expected[1:]:
            raise CheckpointError(
                f"{self._folder} has {shape[0]} rows for '{name}' and {base.path} {expected[0]}: the vocabulary was "
                f"resized before the adapter was made; {MERGE}"
            )
        if shape != expected:
            raise IncompatiblePairError(
                f"{other}its change to '{target}' has shape {list(shape)}, the tensor in {base.path} has "
                f"{list(expected)}"
            )
        return target
