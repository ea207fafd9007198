"""Sizes, dtypes and batches: how work is cut to fit."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from slr_probe.errors import SweepError

if TYPE_CHECKING:
    import torch

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40}


def parse_bytes(memory: str | int) -> int:
    """Bytes of a size such as `"4GB"`, `"512MiB"` or `4_000_000_000`.

    Raises:
        SweepError: It is not a size.

    Examples:
        >>> parse_bytes("4GB"), parse_bytes("1.5 GiB"), parse_bytes(1000)
        (4000000000, 1610612736, 1000)
    """
    if isinstance(memory, int) and not isinstance(memory, bool) and memory > 0:
        return memory
    match = re.fullmatch(r"\s*(\d{1,20}(?:\.\d{1,20})?)\s*([kmgt]?i?)b?\s*", str(memory).lower())
    if match is None or match[2] not in _UNITS or float(match[1]) == 0:
        raise SweepError(f"memory must be a size such as '4GB' or '512MiB'; got {memory!r}")
    return int(float(match[1]) * _UNITS[match[2]])


def as_dtype(dtype: torch.dtype | str | None) -> torch.dtype | None:
    """A floating dtype from its name; None stays None.

    Raises:
        SweepError: There is no such dtype.
    """
    import torch

    if dtype is None:
        return None
    named = getattr(torch, dtype, None) if isinstance(dtype, str) else dtype
    if named not in (torch.float32, torch.bfloat16, torch.float16, torch.float64):
        raise SweepError(f"unknown dtype {dtype!r}; expected float32, bfloat16 or float16")
    return named


def in_dtype(tensor: torch.Tensor, dtype: torch.dtype | None) -> torch.Tensor:
    """A floating tensor in the dtype, if one is given; any other as it is."""
    return tensor.to(dtype) if dtype is not None and tensor.is_floating_point() else tensor


def spans(total: int, size: int) -> Iterator[slice]:
    """Slices of at most `size` that cover `range(total)`.

    Examples:
        >>> list(spans(5, 2))
        [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    for start in range(0, total, size):
        yield slice(start, min(total, start + size))


def runs(items: list[int], size: int, *, binary: bool = False) -> Iterator[list[int]]:
    """Runs of at most `size` items.

    Args:
        items: The items.
        size: Most items of a run.
        binary: Use powers of two only. A processor's matrix library keeps compiled code for every batch size that it
            has seen, hundreds of megabytes for a sweep with all sizes.

    Examples:
        >>> [len(run) for run in runs(list(range(13)), 6)]
        [6, 6, 1]
        >>> [len(run) for run in runs(list(range(13)), 6, binary=True)]
        [4, 4, 4, 1]
    """
    start, size = 0, max(size, 1)
    while start < len(items):
        step = min(size, len(items) - start)
        step = 1 << (step.bit_length() - 1) if binary else step
        yield items[start : start + step]
        start += step


def by_length(
    lengths: Sequence[int], *, rows: int | None = None, tokens: int | None = None, equal: bool = False
) -> Iterator[list[int]]:
    """Indices of sequences in batches of similar length, shortest first; at least one each.

    Args:
        lengths: Tokens of each sequence.
        rows: Most sequences of a batch; None is no bound.
        tokens: Bound on sequences x longest of a batch; None is no bound.
        equal: Put only equal lengths together, so that nothing is padded.

    Examples:
        >>> list(by_length([3, 9, 3, 4], rows=2))
        [[0, 2], [3, 1]]
        >>> list(by_length([3, 9, 3, 4], equal=True))
        [[0, 2], [3], [1]]
    """
    batch: list[int] = []
    for i in sorted(range(len(lengths)), key=lambda i: lengths[i]):
        full = rows is not None and len(batch) == rows
        over = tokens is not None and (len(batch) + 1) * lengths[i] > tokens
        unequal = equal and bool(batch) and lengths[i] != lengths[batch[0]]
        if batch and (full or over or unequal):
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch
