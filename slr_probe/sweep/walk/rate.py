"""How much of the device's rate of matrix products a sweep reaches: the figure to compare machines and changes by."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from functools import cache
from typing import TYPE_CHECKING

import torch

from slr_probe.forward.device import wait

if TYPE_CHECKING:
    from slr_probe.sweep.plan import Chunk
    from slr_probe.sweep.reads.rows import Row
    from slr_probe.sweep.weights import TensorPair, Weights

_SIDE_CPU, _SIDE_GPU = 1024, 8192
"""Rows and columns of the matrices that the rate is measured with."""
_KEYS = frozenset({"k_proj", "v_proj"})
_TRIES, _BURSTS = 10, 4
_SECONDS = 0.1
"""Most time that a burst of products takes, and the pause after it: others that use the machine slow a single one."""


def count_flops(weights: Weights, chunks: Iterable[Chunk], rows: Sequence[Row], *, split: bool) -> float:
    """Operations of the products with weight matrices that some chunks need: two for each weight and token.

    Attention itself is left out, and so is padding of positions that are not read; in the last block, tokens that are
    not read count for keys and values where these are matrices of their own.

    Args:
        weights: Weights of the pair.
        chunks: What is run.
        rows: All rows.
        split: Whether the last block is run for the positions that are read only.
    """
    whole = [sum(_used(weights, part) for part in block) for block in weights.blocks]
    keys = sum(_used(weights, part) for part in weights.blocks[-1] if not _KEYS.isdisjoint(part.suffix.split(".")))
    head = sum(_used(weights, part) for part in weights.outside["head"])
    total = 0.0
    for chunk in chunks:
        shared = sum(map(len, {group.prefix(rows) for group in chunk.groups}))
        own = sum(group.tokens - group.shared for group in chunk.groups)
        states = [level.width for level in chunk.trie.levels]
        total += sum(width * (shared + own) * used for width, used in zip(states[:-1], whole[:-1], strict=True))
        every = sum(group.tokens - group.shared for group in chunk.groups if group.reads_most or not split)
        read = sum(group.count for group in chunk.groups if split and not group.reads_most)
        total += states[-1] * ((every + read) * whole[-1] + (shared + own - every - read) * keys)
        total += len(chunk.trie.reads) * sum(group.count for group in chunk.groups) * head
    return 2.0 * total


def _used(weights: Weights, part: TensorPair) -> int:
    """Weights of a tensor that one token is multiplied with: of experts in one tensor, those that a token goes to."""
    shape = weights.tuned.shapes[part.tuned]
    if len(shape) < 2:
        return 0
    if len(shape) == 2:
        return math.prod(shape)
    text = weights.model.config.get_text_config(decoder=True)
    return math.prod(shape[1:]) * (getattr(text, "num_experts_per_tok", 1) or 1)


def matmul_rate(device: torch.device, dtype: torch.dtype) -> float:
    """Operations a second of the best of some products of two square matrices; measured once a process."""
    return _measured_rate(device, dtype, torch.get_num_threads())


@cache
def _measured_rate(device: torch.device, dtype: torch.dtype, threads: int) -> float:
    side = _SIDE_CPU if device.type == "cpu" else _SIDE_GPU
    one, other = torch.ones(side, side, dtype=dtype, device=device), torch.ones(side, side, dtype=dtype, device=device)
    torch.matmul(one, other.T)
    best = math.inf
    for burst in range(_BURSTS):
        if burst:
            time.sleep(_SECONDS)
        best = min(best, *_burst(one, other, device))
    return 2.0 * side**3 / best


def _burst(one: torch.Tensor, other: torch.Tensor, device: torch.device) -> list[float]:
    """Seconds of some products."""
    found: list[float] = []
    while len(found) < _TRIES and sum(found) < _SECONDS:
        wait(device)
        start = time.perf_counter()
        torch.matmul(one, other.T)
        wait(device)
        found.append(time.perf_counter() - start)
    return found
