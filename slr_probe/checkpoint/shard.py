"""One safetensors file: its header, checked, and its tensors, read one at a time."""

from __future__ import annotations

import json
import math
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from jaxtyping import UInt8

from slr_probe.errors import CheckpointError

if TYPE_CHECKING:
    import torch

Bytes: TypeAlias = UInt8[np.ndarray, " byte"]

# name in the file -> (name in torch, bytes an element)
DTYPES = {
    "F64": ("float64", 8),
    "F32": ("float32", 4),
    "F16": ("float16", 2),
    "BF16": ("bfloat16", 2),
    "F8_E4M3": ("float8_e4m3fn", 1),
    "F8_E4M3FNUZ": ("float8_e4m3fnuz", 1),
    "F8_E5M2": ("float8_e5m2", 1),
    "F8_E5M2FNUZ": ("float8_e5m2fnuz", 1),
    "C64": ("complex64", 8),
    "I64": ("int64", 8),
    "I32": ("int32", 4),
    "I16": ("int16", 2),
    "I8": ("int8", 1),
    "U64": ("uint64", 8),
    "U32": ("uint32", 4),
    "U16": ("uint16", 2),
    "U8": ("uint8", 1),
    "BOOL": ("bool", 1),
}
FLOATING = ("F64", "F32", "F16", "BF16")
_MAX_HEADER = 100 << 20


@dataclass(frozen=True)
class TensorInfo:
    """One tensor of a shard, as its header states it.

    Attributes:
        name: Name in the file.
        dtype: safetensors dtype such as `"BF16"`.
        shape: Shape.
        start: First byte of the data, counted from the start of the file.
        stop: One past the last byte.
        path: The file.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    stop: int
    path: Path

    @property
    def nbytes(self) -> int:
        """Bytes of data."""
        return self.stop - self.start

    @property
    def itemsize(self) -> int:
        """Bytes an element."""
        return DTYPES[self.dtype][1]

    @property
    def torch_dtype(self) -> torch.dtype:
        """The dtype as torch has it."""
        import torch

        dtype: torch.dtype = getattr(torch, DTYPES[self.dtype][0])
        return dtype


@dataclass(frozen=True)
class Shard:
    """A safetensors file whose header has been checked against its size.

    Attributes:
        path: The file.
        header_size: Bytes before the tensor data.
        tensors: Its tensors in the order in which their bytes lie.
        metadata: Free text entries of the header.
    """

    path: Path
    header_size: int
    tensors: tuple[TensorInfo, ...]
    metadata: dict[str, str]

    @classmethod
    def open(cls, path: Path) -> Shard:
        """Read and check the header; no tensor data is read.

        Raises:
            CheckpointError: The file is absent, truncated or not a safetensors file.
        """
        size, raw = _read_header(path)
        try:
            entries = json.loads(raw)
            metadata = entries.pop("__metadata__", None) or {}
            begin = 8 + len(raw)
            infos = [_read_entry(name, entry, begin, path) for name, entry in entries.items()]
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise CheckpointError(f"{path} is corrupt: its safetensors header cannot be read ({error})") from error
        infos.sort(key=lambda info: (info.start, info.stop))
        _check_layout(path, infos, begin, size)
        _check_by_others(path)
        return cls(path, begin, tuple(infos), metadata)


def read_tensor(info: TensorInfo) -> torch.Tensor:
    """Read one tensor into fresh memory (its own dtype and shape).

    Raises:
        CheckpointError: The file has become shorter since its header was read.
    """
    import torch

    buffer = torch.empty(info.nbytes, dtype=torch.uint8)
    if info.nbytes:
        with open(info.path, "rb", buffering=0) as file:
            file.seek(info.start)
            read_into(file.fileno(), buffer.numpy().data, info)
    return buffer.view(info.torch_dtype).reshape(info.shape)


def read_chunks(info: TensorInfo, chunk_bytes: int = 8 << 20) -> Iterator[torch.Tensor]:
    """Read one tensor as flat pieces of at most `chunk_bytes`, each valid until the next is asked for.

    Raises:
        CheckpointError: As for `read_tensor`.
    """
    import torch

    for piece in read_bytes(info, chunk_bytes):
        yield torch.from_numpy(piece).view(info.torch_dtype)


def read_bytes(info: TensorInfo, chunk_bytes: int = 8 << 20) -> Iterator[Bytes]:
    """Read one tensor's bytes in pieces of at most `chunk_bytes`, each valid until the next is asked for.

    Raises:
        CheckpointError: As for `read_tensor`.
    """
    buffer = np.empty(min(chunk_bytes, max(info.nbytes, 1)), dtype=np.uint8)
    with open(info.path, "rb", buffering=0) as file:
        file.seek(info.start)
        for offset in range(0, info.nbytes, chunk_bytes):
            piece = buffer[: min(chunk_bytes, info.nbytes - offset)]
            read_into(file.fileno(), piece.data, info)
            yield piece


def read_into(fd: int, view: memoryview, info: TensorInfo) -> None:
    """Fill `view` from the file's current position.

    Raises:
        CheckpointError: The file ends first.
    """
    filled = 0
    while filled < len(view):
        count = os.readv(fd, [view[filled:]])
        if count == 0:
            raise CheckpointError(f"{info.path} ended inside tensor '{info.name}'; it was changed while being read")
        filled += count


def header(entries: Mapping[str, Any]) -> bytes:
    """The head of a safetensors file: its length, and JSON that says where each tensor lies, padded to 8 bytes.

    Args:
        entries: Dtype, shape and place of each tensor by its name; free text under `__metadata__`.
    """
    text = json.dumps(entries).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _read_header(path: Path) -> tuple[int, bytes]:
    try:
        with open(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb") as file:
            status = os.fstat(file.fileno())
            size = status.st_size
            if not stat.S_ISREG(status.st_mode):
                raise CheckpointError(f"{path} is no regular file; weights are read from files")
            if size == 0:
                raise CheckpointError(f"{path} is empty; a safetensors file begins with a header")
            length = int.from_bytes(file.read(8), "little")
            if size < 8 or length > min(size - 8, _MAX_HEADER):
                raise CheckpointError(
                    f"{path} is not a whole safetensors file: it has {size} bytes but its header alone claims {length}"
                )
            return size, file.read(length)
    except (OSError, ValueError) as error:  # ValueError: a name with a null character
        raise CheckpointError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error


def _read_entry(name: str, entry: Mapping[str, Any], begin: int, path: Path) -> TensorInfo:
    dtype, shape, (start, stop) = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or any(type(number) is not int or number < 0 for number in (*shape, start, stop)):
        raise ValueError(f"entry of '{name}': {entry}")
    return TensorInfo(name, dtype, tuple(shape), begin + start, begin + stop, path)


def _check_layout(path: Path, infos: list[TensorInfo], begin: int, size: int) -> None:
    position = begin
    for info in infos:
        if info.dtype not in DTYPES:
            raise CheckpointError(f"{path}: tensor '{info.name}' has dtype {info.dtype}; known: {', '.join(DTYPES)}")
        expected = math.prod(info.shape) * info.itemsize
        if info.start != position or info.nbytes != expected:
            raise CheckpointError(
                f"{path} is corrupt: tensor '{info.name}' {list(info.shape)} {info.dtype} needs {expected} bytes at "
                f"{position}, the header gives {info.nbytes} at {info.start}"
            )
        position = info.stop
    if position != size:
        word = "truncated" if size < position else "corrupt"
        raise CheckpointError(f"{path} is {word}: its header describes {position} bytes, the file has {size}")


def _check_by_others(path: Path) -> None:
    """What safetensors' own reader refuses, such as metadata that is no text, no other program could load."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "numpy"):
            pass
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise CheckpointError(f"{path} is refused by safetensors itself: {error}") from error
