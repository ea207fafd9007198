"""Running a model with other weights, or with other blocks; always taken back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import nn


@contextmanager
def installed(module: nn.Module, tensors: Mapping[str, torch.Tensor]) -> Iterator[None]:
    """Let `module` compute with other tensors for the length of a `with` block; nothing is copied.

    Args:
        module: A model or one of its blocks; its parameters may be on the meta device.
        tensors: Parameters and buffers by their name in `module`.
    """
    kept: list[tuple[dict[str, Any], str, Any]] = []
    try:
        for name, tensor in tensors.items():
            owner, _, leaf = name.rpartition(".")
            part = module.get_submodule(owner)
            store: dict[str, Any] = part._parameters if leaf in part._parameters else part._buffers
            kept.append((store, leaf, store[leaf]))
            store[leaf] = tensor
        yield
    finally:
        for store, leaf, tensor in reversed(kept):
            store[leaf] = tensor


@contextmanager
def replaced(blocks: Sequence[nn.Module], forwards: Sequence[Callable[..., Any]]) -> Iterator[None]:
    """Let other functions stand for the forward methods of `blocks` for the length of a `with` block."""
    before: list[Any] = [block.__dict__.get("forward") for block in blocks]
    try:
        for block, forward in zip(blocks, forwards, strict=True):
            block.__dict__["forward"] = forward
        yield
    finally:
        for block, forward in zip(blocks, before, strict=True):
            if forward is None:
                block.__dict__.pop("forward", None)
            else:
                block.__dict__["forward"] = forward
