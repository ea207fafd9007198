"""What depends on the device that a model runs on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from jaxtyping import Int


@contextmanager
def many_shapes() -> Iterator[None]:
    """Run attention without cuDNN, which plans anew for every shape that it has not seen.

    A plan takes some 25 ms (H100). A sweep and the writing of text run hundreds of shapes, most of them once or twice:
    planning took twice the time of the work itself, and the other kernels are as fast.
    """
    before: bool = torch.backends.cuda.cudnn_sdp_enabled()  # type: ignore[no-untyped-call]
    torch.backends.cuda.enable_cudnn_sdp(False)
    try:
        yield
    finally:
        torch.backends.cuda.enable_cudnn_sdp(before)


def as_index(items: Sequence[int], device: torch.device) -> Int[torch.Tensor, " item"]:
    """Indices on the device, without waiting for it: indexing with a list waits until all work before it is done."""
    index = torch.tensor(items, dtype=torch.int64)
    return index.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else index.to(device)


def wait(device: torch.device) -> None:
    """Wait until the device has done all that it was given: only then is time worth reading."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
