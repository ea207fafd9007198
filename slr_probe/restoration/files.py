"""Bytes of untouched shards: cloned, linked, checked; never written into."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from slr_probe.checkpoint.shard import Bytes, Shard, read_bytes
from slr_probe.errors import CheckpointError, OutputError

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
