"""Running a model with other weights, or with other blocks; always taken back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import nn
    from transformers import PreTrainedModel


class StopForward(Exception):
    """Raised inside a forward once everything that is wanted of it is known."""


@contextmanager
def installed(module: nn.Module, tensors: Mapping[str, torch.Tensor]) -> Iterator[None]:
    """Let `module` compute with other tensors for the length of a `with` block; nothing is copied.

    Args:
        module: A model or one of its blocks; its parameters may be on the meta device.
        tensors: Parameters and buffers by their name in `module`.
    """
    before: list[tuple[dict[str, Any], str, Any]] = []
    try:
        for name, tensor in tensors.items():
            owner, _, leaf = name.rpartition(".")
            part = module.get_submodule(owner)
            store: dict[str, Any] = part._parameters if leaf in part._parameters else part._buffers
            before.append((store, leaf, store[leaf]))
            store[leaf] = tensor
        yield
    finally:
        for store, leaf, tensor in reversed(before):
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


def block_input(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """The hidden states among the arguments of a block."""
    return args[0] if args else kwargs["hidden_states"]


def block_output(output: Any) -> Any:
    """The hidden states in what a block returns; some blocks return a tuple that begins with them."""
    return output[0] if isinstance(output, (tuple, list)) else output


def tuple_length(output: Any) -> int:
    """Length of the tuple that a block returns; 0 where it returns hidden states alone."""
    return len(output) if isinstance(output, tuple) else 0


def as_block_output(hidden: torch.Tensor, in_tuple: int) -> Any:
    """Hidden states as a model expects them of its blocks: alone, or first in a tuple of this length."""
    return (hidden, *[None] * (in_tuple - 1)) if in_tuple else hidden


def empty_model(config: Any, dtype: torch.dtype, device: torch.device, *, trust_remote_code: bool) -> PreTrainedModel:
    """A causal language model with every parameter on the meta device, which takes no memory, and real buffers."""
    from transformers import AutoModelForCausalLM

    build: Any = AutoModelForCausalLM.from_config
    with _parameters_on_meta():
        model: PreTrainedModel = build(config, dtype=dtype, trust_remote_code=trust_remote_code)
    for module in model.modules():
        for name, buffer in module._buffers.items():
            if buffer is not None:
                module._buffers[name] = buffer.to(device)
    model.train(False)
    return model


@contextmanager
def _parameters_on_meta() -> Iterator[None]:
    """Move every parameter to the meta device as it is registered; buffers, which hold rotary tables, stay real."""
    from torch import nn

    original = nn.Module.register_parameter

    def register(self: nn.Module, name: str, param: nn.Parameter | None) -> None:
        original(self, name, param)
        if param is not None and not param.is_meta:  # a tied parameter must stay one object
            self._parameters[name] = nn.Parameter(param.to("meta"), requires_grad=False)

    nn.Module.register_parameter = register  # type: ignore[method-assign]
    try:
        yield
    finally:
        nn.Module.register_parameter = original  # type: ignore[method-assign]
