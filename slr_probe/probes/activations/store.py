"""Where recorded activations lie: in memory, or in one safetensors file that is written in place and read lazily."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import torch

from slr_probe.checkpoint.shard import DTYPES, header
from slr_probe.errors import ResultError

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

FILE = "activations.safetensors"
_NAMES = {f"torch.{torch_name}": name for name, (torch_name, _) in DTYPES.items()}


class Store(Protocol):
    """Tensors `[row, hidden]` by name."""

    def read(self, name: str) -> Float[Tensor, "row hidden"]:
        """One tensor, on the CPU."""
        ...

    def write(self, name: str, start: int, rows: Float[Tensor, "row hidden"]) -> None:
        """Fill some rows of one tensor."""
        ...


class Memory:
    """Tensors in memory.

    Args:
        shapes: Rows and width of each tensor, by name.
        dtype: Dtype of all of them.
    """

    def __init__(self, shapes: Mapping[str, tuple[int, int]], dtype: torch.dtype) -> None:
        self._tensors = {name: torch.empty(shape, dtype=dtype) for name, shape in shapes.items()}

    def read(self, name: str) -> Float[Tensor, "row hidden"]:
        """One tensor; not a copy."""
        return self._tensors[name]

    def write(self, name: str, start: int, rows: Float[Tensor, "row hidden"]) -> None:
        """Fill some rows of one tensor."""
        self._tensors[name][start : start + len(rows)] = rows


class Writing:
    """A safetensors file of known layout whose rows are filled in any order; see `writing`."""

    def __init__(self, descriptor: int, path: Path, begins: Mapping[str, tuple[int, int]]) -> None:
        self._descriptor, self._path, self._begins = descriptor, path, begins

    def read(self, name: str) -> Float[Tensor, "row hidden"]:
        """One tensor as it is so far."""
        return Stored(self._path).read(name)

    def write(self, name: str, start: int, rows: Float[Tensor, "row hidden"]) -> None:
        """Fill some rows of one tensor.

        Raises:
            OSError: The disk is full.
        """
        begin, row_bytes = self._begins[name]
        view = memoryview(rows.contiguous().view(torch.uint8).numpy().data).cast("B")
        _write(self._descriptor, view, begin + start * row_bytes)


class Stored:
    """A finished file; a tensor is read when it is asked for.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self, name: str) -> Float[Tensor, "row hidden"]:
        """One tensor.

        Raises:
            ResultError: The file is absent, damaged, or has no such tensor.
        """
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(self._path, "pt") as file:
                tensor: Tensor = file.get_tensor(name)
                return tensor
        except (OSError, SafetensorError) as error:
            raise ResultError(f"cannot read '{name}' from {self._path}: {error}") from error

    def write(self, name: str, start: int, rows: Float[Tensor, "row hidden"]) -> None:
        """A finished recording cannot be changed."""
        raise ResultError(f"{self._path} is finished and cannot be changed")


@contextmanager
def writing(folder: Path, shapes: Mapping[str, tuple[int, int]], dtype: torch.dtype) -> Iterator[Writing]:
    """Lay out a safetensors file, reserve its space at once, and fill it inside a `with` block.

    Raises:
        OSError: There is not enough space (found before anything is computed, where the system can reserve space).
    """
    head, begins = _header(shapes, dtype)
    path = folder / FILE
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o666)
    try:
        size = len(head) + file_bytes(shapes, dtype)
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(descriptor, 0, size)
        else:
            os.truncate(descriptor, size)
        _write(descriptor, memoryview(head), 0)
        yield Writing(descriptor, path, begins)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def file_bytes(shapes: Mapping[str, tuple[int, int]], dtype: torch.dtype) -> int:
    """Bytes of tensor data."""
    return sum(rows * width for rows, width in shapes.values()) * dtype.itemsize


def _write(descriptor: int, view: memoryview, begin: int) -> None:
    """Write all of `view`; the system may take it in several parts."""
    done = 0
    while done < len(view):
        done += os.pwrite(descriptor, view[done:], begin + done)


def _header(shapes: Mapping[str, tuple[int, int]], dtype: torch.dtype) -> tuple[bytes, dict[str, tuple[int, int]]]:
    entries, spans, offset = {}, {}, 0
    for name, (rows, width) in shapes.items():
        stop = offset + rows * width * dtype.itemsize
        entries[name] = {"dtype": _NAMES[str(dtype)], "shape": [rows, width], "data_offsets": [offset, stop]}
        spans[name] = (offset, width * dtype.itemsize)
        offset = stop
    head = header(entries)
    return head, {name: (len(head) + begin, row) for name, (begin, row) in spans.items()}
