"""`Checkpoint`: a transformers folder of safetensors shards, read by header and one tensor at a time."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slr_probe.checkpoint.entries import check_files
from slr_probe.checkpoint.shard import FLOATING, Shard, TensorInfo, read_tensor
from slr_probe.errors import CheckpointError
from slr_probe.files import read_json

if TYPE_CHECKING:
    import torch

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
_CODES = re.compile(r"\.(weight_scale(_inv)?|qweight|qzeros|absmax|weight_packed|quant_map|SCB|weight_zero_point)$")
_WEIGHTS = re.compile(r"(weight|_blocks|\.W_q|\.codes|_q?data)$")  # what holds numbers, if its dtype is one of numbers
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")
_SAMPLE = 4096


@dataclass(frozen=True)
class Checkpoint:
    """The tensors of one checkpoint folder; opening it reads headers only.

    Attributes:
        path: The folder.
        shards: Its safetensors files, headers checked.
        tensors: Every tensor by its name in the files.
        index_notes: Where the index and the files do not list the same tensors; files count, as for transformers.

    Raises:
        CheckpointError: (from `open`) The folder is absent, incomplete, corrupt, or holds pickled weights.
    """

    path: Path
    shards: tuple[Shard, ...]
    tensors: Mapping[str, TensorInfo]
    index_notes: tuple[str, ...] = ()

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Checkpoint:
        """Open a folder with `model.safetensors`, or shards and `model.safetensors.index.json`."""
        folder = Path(path)
        if not folder.is_dir():
            raise CheckpointError(f"{folder} is not a folder; expected a checkpoint folder with safetensors weights")
        check_files(folder)
        index = _read_index(folder)
        files = sorted(set(index.values())) if index is not None else [SINGLE]
        shards = tuple(Shard.open(folder / file) for file in files)
        tensors: dict[str, TensorInfo] = {}
        for shard in shards:
            for info in shard.tensors:
                if info.name in tensors:
                    raise CheckpointError(
                        f"tensor '{info.name}' is in two files of {folder}: {tensors[info.name].path.name} and "
                        f"{shard.path.name}"
                    )
                tensors[info.name] = info
        return cls(folder, shards, tensors, () if index is None else _index_notes(index, tensors))

    @cached_property
    def quantised(self) -> bool:
        """Whether the tensors are codes and scales and no weights: their numbers mean nothing one by one."""
        return self.says_quantised or bool(self.codes)

    @property
    def says_quantised(self) -> bool:
        """Whether the config says how to make weights of the tensors."""
        config = self.config() if self.config_path.is_file() else {}
        text = config.get("text_config")
        return any(level.get("quantization_config") for level in (config, text) if isinstance(level, dict))

    @cached_property
    def codes(self) -> str:
        """A tensor that is a code or a scale, by its name or dtype; empty where all are numbers."""
        tensors = self.tensors.items()
        coded = (n for n, info in tensors if _CODES.search(n) or (_WEIGHTS.search(n) and info.dtype not in FLOATING))
        return next(coded, "")

    @property
    def nbytes(self) -> int:
        """Bytes of tensor data."""
        return sum(info.nbytes for info in self.tensors.values())

    def read(self, name: str) -> torch.Tensor:
        """Read one tensor.

        Raises:
            CheckpointError: There is no tensor of that name, the file changed underneath, or the weights are quantised.
        """
        self.require_numbers()
        try:
            return read_tensor(self.tensors[name])
        except KeyError:
            raise CheckpointError(f"{self.path} has no tensor '{name}'") from None

    def require_numbers(self) -> None:
        """Check that the tensors are weights, whose numbers can be compared and mixed.

        Raises:
            CheckpointError: They are quantised.
        """
        if self.quantised:
            raise CheckpointError(
                f"{self.path} is quantised: its tensors are codes and scales, no weights, and are not read as numbers; "
                "give a checkpoint that is not, or save a dequantised copy: model.dequantize().save_pretrained(folder)"
            )

    def is_stored(self, name: str) -> bool:
        """Whether the tensor's bytes lie in the file as they are (always, for a plain checkpoint)."""
        return name in self.tensors

    def config(self) -> dict[str, Any]:
        """The folder's `config.json`.

        Raises:
            CheckpointError: There is none, or it is not JSON.
        """
        return read_object(self.config_path)

    @property
    def config_path(self) -> Path:
        """The folder's `config.json`."""
        return self.path / "config.json"

    def fingerprint(self) -> str:
        """Hash of all headers and of both ends (4 KiB each) of every tensor's data.

        It changes with any training step or re-save, costs a few reads a tensor, and does not depend on
        where the folder lies. It is not a checksum of every byte; `verify_hybrid` compares those.
        """
        digest = hashlib.sha256()
        for shard in self.shards:
            with open(shard.path, "rb", buffering=0) as file:
                digest.update(file.read(shard.header_size))
                for info in shard.tensors:
                    for start in {info.start, max(info.start, info.stop - _SAMPLE)}:
                        file.seek(start)
                        digest.update(file.read(min(_SAMPLE, info.stop - start)))
        return digest.hexdigest()


def read_object(path: Path) -> dict[str, Any]:
    """Read a JSON file that holds an object.

    Raises:
        CheckpointError: The file is absent, not JSON, or holds something else.
    """
    data = read_json(path, CheckpointError)
    if not isinstance(data, dict):
        raise CheckpointError(f"{path} must hold a JSON object, found {type(data).__name__}")
    return data


def _read_index(folder: Path) -> dict[str, str] | None:
    if (folder / INDEX).is_file():
        weight_map = read_object(folder / INDEX).get("weight_map")
        if not isinstance(weight_map, dict) or not weight_map:
            raise CheckpointError(f"{folder / INDEX} has no weight_map; expected tensor names and their files")
        for file in weight_map.values():
            if not isinstance(file, str) or os.path.basename(file) != file:
                raise CheckpointError(f"{folder / INDEX} points outside its folder: {file!r}")
            if not file.endswith(".safetensors"):
                raise CheckpointError(f"{folder / INDEX} names {file!r}, which is no .safetensors file")
        if (folder / SINGLE).is_file() and SINGLE not in weight_map.values():
            raise CheckpointError(
                f"{folder} has both {SINGLE} and {INDEX} of other files; transformers would read the first and ignore "
                "the rest: remove the one that is not meant"
            )
        return weight_map
    if (folder / SINGLE).is_file():
        return None
    shards = sorted(p.name for p in folder.glob("*.safetensors"))
    if shards:
        raise CheckpointError(f"{folder} has {shards[:4]} but neither {SINGLE} nor {INDEX}; the index is missing")
    pickles = sorted(p.name for pattern in _PICKLES for p in folder.glob(pattern))
    if pickles:
        raise CheckpointError(
            f"{folder} holds pickled weights ({pickles[0]}), which can run code when loaded and are refused; convert "
            "them once with transformers: model.save_pretrained(folder), which writes safetensors"
        )
    raise CheckpointError(f"{folder} has no weights; expected {SINGLE}, or shards with {INDEX}")


def _index_notes(index: dict[str, str], tensors: dict[str, TensorInfo]) -> tuple[str, ...]:
    """What index and files say differently. transformers reads all of every file that the index names."""
    placed = {name: info.path.name for name, info in tensors.items()}
    kinds = {
        "does not list {} tensor(s) that its files hold": [name for name in placed if name not in index],
        "lists {} tensor(s) that no file holds": [name for name in index if name not in placed],
        "lists {} tensor(s) in another file": [name for name, file in index.items() if placed.get(name, file) != file],
    }
    return tuple(f"{INDEX} {kind.format(len(names))}, first '{names[0]}'" for kind, names in kinds.items() if names)
