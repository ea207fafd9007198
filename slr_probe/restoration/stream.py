"""One shard of a hybrid: cloned or linked where all of it is tuned's, else written tensor by tensor."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from slr_probe.checkpoint import AnyCheckpoint
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
                if check_finite:
                    _require_finite(piece, info, plan[info.name])
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
    checkpoint = require_checkpoint(tuned)
    if step.base_name is None:
        yield from stored(info) if checkpoint.is_stored(step.name) else _cut(checkpoint.read(step.name))
        return
    base_info = require_checkpoint(base).tensors[step.base_name]
    if step.share == 0.0 and base_info.dtype == info.dtype:
        yield from stored(base_info)
        return
    if not {info.dtype, base_info.dtype} <= set(FLOATING):
        raise RecipeError(
            f"'{step.name}' is {base_info.dtype} in base and {info.dtype} in tuned; only {', '.join(FLOATING)} "
            "tensors can be interpolated or converted"
        )
    elements = CHUNK // 8
    base_pieces = read_chunks(base_info, elements * base_info.itemsize)
    for base_piece, tuned_piece in zip(base_pieces, _numbers(checkpoint, info, elements), strict=True):
        yield _raw(mix(base_piece, tuned_piece, step.share))


def hybrid_tensor(step: Step, info: TensorInfo, base: Side, tuned: Side) -> torch.Tensor:
    """One tensor of the hybrid in fresh memory, with the bytes that its file would have; see `hybrid_pieces`.

    Raises:
        CheckpointError: NaN or infinite weights, or a source that changed meanwhile.
        RecipeError: It cannot be interpolated.
    """
    import torch

    raw, filled = np.empty(info.nbytes, dtype=np.uint8), 0
    for piece in hybrid_pieces(step, info, base, tuned):
        _require_finite(piece, info, step)
        raw[filled : filled + len(piece)] = piece
        filled += len(piece)
    return torch.from_numpy(raw).view(info.torch_dtype).reshape(info.shape)


def _require_finite(piece: Bytes, info: TensorInfo, step: Step) -> None:
    if not finite(piece, info.dtype):
        role = {0.0: "base", 1.0: "tuned"}.get(step.share, "base or tuned")
        raise CheckpointError(f"{role}: tensor '{info.name}' has NaN or infinite weights")


def _numbers(checkpoint: AnyCheckpoint, info: TensorInfo, elements: int) -> Iterator[torch.Tensor]:
    """A tensor as flat pieces of so many elements."""
    if checkpoint.is_stored(info.name):
        yield from read_chunks(info, elements * info.itemsize)
    else:  # an adapter changes it, so it is merged whole
        merged = checkpoint.read(info.name).reshape(-1)
        yield from (merged[start : start + elements] for start in range(0, len(merged), elements))


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
