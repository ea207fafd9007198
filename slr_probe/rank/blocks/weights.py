"""What the weights of a pair alone say: which blocks differ, and by how much."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from slr_probe.forward.budget import as_dtype, in_dtype
from slr_probe.sweep.sources import loaded_source, stored_source

if TYPE_CHECKING:
    import torch

    from slr_probe.pair import ModelPair

    Read = Callable[[], torch.Tensor]

_SPAN = 1 << 24  # weights widened to float64 at a time: 128 MB


def changed_blocks(
    pair: ModelPair, *, stream: bool | None = None, dtype: torch.dtype | str | None = None
) -> frozenset[int]:
    """Blocks with at least one tensor that is not bit-identical in base and tuned, in the dtype that is computed in.

    Restoring any other block changes nothing, so ranges that differ only there are one and the same hybrid. A block is
    left at its first difference: for most pairs this reads one tensor a block.

    Args:
        pair: The pair.
        stream: Read from the checkpoint folders (True) or from the loaded models (False); None reads from the folders
            unless the models are loaded anyway.
        dtype: Dtype to compute in; default: that of the pair.
    """
    import torch

    compute = as_dtype(dtype)
    changed: set[int] = set()
    for block, base, tuned in _block_tensors(pair, stream):
        if block not in changed and not torch.equal(in_dtype(base(), compute), in_dtype(tuned(), compute)):
            changed.add(block)
    return frozenset(changed)


def relative_deltas(pair: ModelPair, *, stream: bool | None = None) -> Float[ndarray, " block"]:
    """Frobenius norm of tuned - base over that of base, all tensors of a block together, in float64.

    Of the weights as the pair holds them, whether they are loaded or read from the folders.
    """
    moved, size = np.zeros(pair.depth), np.zeros(pair.depth)
    for block, base, tuned in _block_tensors(pair, stream):
        for base_piece, tuned_piece in zip(_pieces(base()), _pieces(tuned()), strict=True):
            wide = base_piece.double()
            moved[block] += float((tuned_piece.double() - wide).square().sum())
            size[block] += float(wide.square().sum())
    return np.sqrt(np.divide(moved, size, out=np.zeros_like(moved), where=size > 0))


def _pieces(tensor: torch.Tensor) -> Iterator[torch.Tensor]:
    flat = tensor.reshape(-1)
    for start in range(0, len(flat), _SPAN):
        yield flat[start : start + _SPAN]


def _block_tensors(pair: ModelPair, stream: bool | None) -> Iterator[tuple[int, Read, Read]]:
    """Block number and readers of the base and tuned tensor, small tensors first within a block."""
    if stream is None:
        on_disk = all(side.checkpoint is not None for side in (pair.base_side, pair.tuned_side))
        stream = on_disk and not pair.loaded
    source = stored_source(pair) if stream else loaded_source(pair)
    base, tuned = source.base, source.tuned
    inside = [(address.block, name) for name, address in tuned.addresses.items() if address.block is not None]
    for block, name in sorted(inside, key=lambda place: (place[0], math.prod(tuned.shapes[place[1]]))):
        twin = base.names[tuned.addresses[name].key]
        yield block, partial(source.read, base, twin), partial(source.read, tuned, name)
