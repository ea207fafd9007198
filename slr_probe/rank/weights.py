"""What the weights of a pair alone say: which blocks differ, and by how much."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from slr_probe.forward.budget import as_dtype, in_dtype
from slr_probe.pair.side import Side, require_checkpoint

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
        for ours, theirs in zip(_pieces(base()), _pieces(tuned()), strict=True):
            wide = ours.double()
            moved[block] += float((theirs.double() - wide).square().sum())
            size[block] += float(wide.square().sum())
    return np.sqrt(np.divide(moved, size, out=np.zeros_like(moved), where=size > 0))


def _reader(side: Side, dtype: torch.dtype | None) -> Callable[[str], torch.Tensor]:
    if side.model is None:
        checkpoint = require_checkpoint(side)
        return lambda name: in_dtype(checkpoint.read(name), dtype)
    return dict(side.model.state_dict()).__getitem__


def _pieces(tensor: torch.Tensor) -> Iterator[torch.Tensor]:
    flat = tensor.reshape(-1)
    for start in range(0, len(flat), _SPAN):
        yield flat[start : start + _SPAN]


def _block_tensors(pair: ModelPair, stream: bool | None) -> Iterator[tuple[int, Read, Read]]:
    """Block number and readers of the base and tuned tensor, small tensors first within a block."""
    from slr_probe.sweep.sources import stored_dtype

    if stream is None:
        on_disk = all(side.checkpoint is not None for side in (pair.base_side, pair.tuned_side))
        stream = on_disk and not {"base", "tuned"} <= vars(pair).keys()
    base, tuned = pair.base_side, pair.tuned_side
    if not stream:
        base, tuned = Side("base", "base", model=pair.base), Side("tuned", "tuned", model=pair.tuned)
    reads = [_reader(side, stored_dtype(pair) if stream else None) for side in (base, tuned)]
    places = [(a.block, tuned.shapes[name], name) for name, a in tuned.addresses.items() if a.block is not None]
    for block, _, name in sorted(places, key=lambda place: (place[0], int(np.prod(place[1])))):
        twin = base.names[tuned.addresses[name].key]
        yield block, (lambda twin=twin: reads[0](twin)), (lambda name=name: reads[1](name))  # type: ignore[misc]
