"""One shard of a hybrid: cloned or linked where all of it is tuned's, else written tensor by tensor."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from slr_probe.checkpoint import AdapterCheckpoint, Checkpoint
from slr_probe.checkpoint.shard import FLOATING, Bytes, Shard, TensorInfo, read_bytes, read_chunks, read_into
from slr_probe.errors import CheckpointError, OutputError, RecipeError
from slr_probe.pair.side import Side, require_checkpoint
from slr_probe.restoration.plan import Step, mix

if TYPE_CHECKING:
    import torch


CHUNK = 2 << 20
"""Bytes that are held at a time while copying."""

_EXPONENTS: dict[str, tuple[Any, Any]] = {
    "BF16": (np.uint16, np.uint16(0x7F80)),
    "F16": (np.uint16, np.uint16(0x7C00)),
    "F32": (np.uint32, np.uint32(0x7F800000)),
    "F64": (np.uint64, np.uint64(0x7FF0000000000000)),
}
_FICLONE = 0x40049409  # Linux ioctl: share the extents of one file with another, copied on write


def clone(source: Path, out: Path) -> bool:
    """Make `out` share the disk blocks of `source` (copy on write); False where the file system cannot."""
    try:
        import fcntl

        with open(source, "rb") as original, open(out, "xb") as copy:
            fcntl.ioctl(copy.fileno(), _FICLONE, original.fileno())
        return True
    except (ImportError, OSError):
        out.unlink(missing_ok=True)
        return False


def link(source: Path, out: Path) -> bool:
    """Hard-link `out` to the file behind `source`.

    Raises:
        OutputError: The two are on different file systems, or the file system has no hard links.
    """
    try:
        os.link(os.path.realpath(source), out)
        return True
    except OSError as error:
        raise OutputError(
            f"cannot hard-link {source} into {out.parent}: {error.strerror}; use untouched='copy', or a folder on the "
            "same file system"
        ) from error


def finite(piece: Bytes, dtype: str) -> bool:
    """Whether raw bytes of numbers of a safetensors `dtype` hold no NaN and no infinity.

    NaN and infinity are the numbers whose exponent bits are all ones; testing integers is exact and, unlike a
    sum, needs no second look.
    """
    if dtype not in _EXPONENTS:
        return True
    words, exponent = _EXPONENTS[dtype]
    bits = piece.view(words)
    return not bool(((bits & exponent) == exponent).any())


def check_shard(shard: Shard) -> None:
    """Read a whole shard and check its numbers.

    Raises:
        CheckpointError: A tensor has NaN or infinite weights.
    """
    for info in shard.tensors:
        for piece in read_bytes(info, CHUNK):
            if not finite(piece, info.dtype):
                raise CheckpointError(f"tuned: tensor '{info.name}' has NaN or infinite weights")


def write_shard(
    shard: Shard,
    out: Path,
    plan: dict[str, Step],
    base: Side,
    tuned: Side,
    *,
    check_finite: bool = True,
    steps: Any = None,
) -> None:
    """Write the hybrid's version of one tuned shard to a new file.

    The header is tuned's, byte for byte: a hybrid has tuned's names, dtypes and shapes, so only data differs.

    Raises:
        CheckpointError: NaN or infinite weights (if asked to check), or a source that changed meanwhile.
        RecipeError: A tensor that cannot be interpolated.
    """
    with ExitStack() as stack:
        reader = _Reader(stack)
        file = stack.enter_context(open(out, "xb", buffering=0))
        with open(shard.path, "rb") as original:
            _write(file.fileno(), memoryview(original.read(shard.header_size)))
        for info in shard.tensors:
            for piece in hybrid_pieces(plan[info.name], info, base, tuned, reader.pieces):
                if check_finite and not finite(piece, info.dtype):
                    role = {0.0: "base", 1.0: "tuned"}.get(plan[info.name].share, "base or tuned")
                    raise CheckpointError(f"{role}: tensor '{info.name}' has NaN or infinite weights")
                _write(file.fileno(), piece.data)
                if steps is not None:
                    steps.update(len(piece))


def hybrid_pieces(
    step: Step, info: TensorInfo, base: Side, tuned: Side, stored: Callable[[TensorInfo], Iterator[Bytes]] = read_bytes
) -> Iterator[Bytes]:
    """Bytes of one tensor of the hybrid, piece by piece, wherever they come from.

    Args:
        step: Its place in the plan.
        info: The tensor in tuned, which gives dtype and shape.
        base: Base side.
        tuned: Tuned side.
        stored: How to read the bytes of a stored tensor; default: freshly opened files.
    """
    ours, theirs = require_checkpoint(tuned), require_checkpoint(base)
    if step.base_name is None:
        yield from stored(info) if ours.is_stored(step.name) else _cut(ours.read(step.name))
        return
    twin = theirs.tensors[step.base_name]
    if step.share == 0.0 and twin.dtype == info.dtype:
        yield from stored(twin)
        return
    if not {info.dtype, twin.dtype} <= set(FLOATING):
        raise RecipeError(
            f"'{step.name}' is {twin.dtype} in base and {info.dtype} in tuned; only {', '.join(FLOATING)} tensors can "
            "be interpolated or converted"
        )
    for one, other in _aligned(theirs, twin, ours, info):
        yield _raw(mix(one, other, step.share))


def _aligned(
    theirs: Checkpoint | AdapterCheckpoint, twin: TensorInfo, ours: Checkpoint | AdapterCheckpoint, info: TensorInfo
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Pieces of equal length from both sides, flat, as numbers."""
    elements = CHUNK // 8
    if not ours.is_stored(info.name):
        merged = ours.read(info.name).reshape(-1)
        starts = range(0, len(merged), elements)
        pieces: Iterator[torch.Tensor] = (merged[start : start + elements] for start in starts)
    else:
        pieces = read_chunks(info, elements * info.itemsize)
    yield from zip(read_chunks(twin, elements * twin.itemsize), pieces, strict=True)


def _cut(tensor: torch.Tensor) -> Iterator[Bytes]:
    raw = _raw(tensor)
    for start in range(0, len(raw), CHUNK):
        yield raw[start : start + CHUNK]


def _raw(tensor: torch.Tensor) -> Bytes:
    import torch

    return tensor.contiguous().reshape(-1).view(torch.uint8).numpy()


def _write(fd: int, view: memoryview) -> None:
    while view:
        view = view[os.write(fd, view) :]


class _Reader:
    """Reads tensors through one reused buffer and keeps each source file open once."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._buffer = np.empty(CHUNK, dtype=np.uint8)
        self._files: dict[Path, int] = {}

    def pieces(self, info: TensorInfo) -> Iterator[Bytes]:
        """The tensor's bytes, in order; each piece is valid until the next is asked for."""
        if info.path not in self._files:
            self._files[info.path] = self._stack.enter_context(open(info.path, "rb", buffering=0)).fileno()
        fd = self._files[info.path]
        os.lseek(fd, info.start, os.SEEK_SET)
        for offset in range(0, info.nbytes, CHUNK):
            piece = self._buffer[: min(CHUNK, info.nbytes - offset)]
            read_into(fd, piece.data, info)
            yield piece
