"""The two ways to get at weights: both models loaded, or both checkpoints streamed through an empty model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from slr_probe.errors import SweepError
from slr_probe.pair.load import require_finite
from slr_probe.pair.side import Side, require_checkpoint
from slr_probe.sweep.weights import Weights

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from slr_probe.pair import ModelPair

_PROBE = 1024


def resident(pair: ModelPair, dtype: torch.dtype | None = None) -> Weights:
    """Weights of the loaded models; nothing is copied unless `dtype` differs from theirs.

    Raises:
        SweepError: The two models lie on different devices or in different dtypes.
    """
    models = {"base": pair.base, "tuned": pair.tuned}
    one, other = ((model.dtype, model.device) for model in models.values())
    if one != other:
        raise SweepError(f"base is {one} and tuned {other}; load the pair with one dtype= and device=")
    states: dict[str, dict[str, torch.Tensor]] = {role: model.state_dict() for role, model in models.items()}

    def read(side: Side, name: str) -> torch.Tensor:
        return states[side.role][name]

    def same(base: str, tuned: str) -> bool:
        one, other = states["base"][base], states["tuned"][tuned]
        if one.shape != other.shape:
            return False
        ends = (one.reshape(-1)[:_PROBE], other.reshape(-1)[:_PROBE])
        return torch.equal(*ends) and torch.equal(one, other)

    sides = [Side(role, role, model=model) for role, model in models.items()]
    dtype = None if dtype == pair.tuned.dtype else dtype
    return Weights(pair.tuned, sides[0], sides[1], read, same, dtype, pair.tuned.device)


def streamed(pair: ModelPair, dtype: torch.dtype | None = None) -> Weights:
    """Weights read from the two checkpoint folders when they are needed; no model is loaded.

    Raises:
        SlrProbeError: A side is not a checkpoint folder.
        SweepError: The names in the folder are not those of the model.
    """
    for side in (pair.base_side, pair.tuned_side):
        require_checkpoint(side)
    model_dtype = stored_dtype(pair)
    model = empty_model(pair, model_dtype)

    def read(side: Side, name: str) -> torch.Tensor:
        tensor = require_checkpoint(side).read(name)
        require_finite(tensor, side, name)
        return tensor.to(pair.device, model_dtype if tensor.is_floating_point() else tensor.dtype)

    dtype = dtype or model_dtype
    return Weights(model, pair.base_side, pair.tuned_side, read, lambda base, tuned: False, dtype, pair.device)


def stored_dtype(pair: ModelPair) -> torch.dtype:
    """The dtype that loading the tuned side would give."""
    found = pair.dtype or pair.tuned_side.dtype or pair.config.dtype or pair.config.get_text_config(decoder=True).dtype
    if isinstance(found, torch.dtype):
        return found
    checkpoint = require_checkpoint(pair.tuned_side)
    return next((t.dtype for t in map(checkpoint.read, checkpoint.tensors) if t.is_floating_point()), torch.float32)


def empty_model(pair: ModelPair, dtype: torch.dtype) -> PreTrainedModel:
    """The tuned model with every parameter on the meta device, which takes no memory, and real buffers."""
    from transformers import AutoModelForCausalLM

    build: Any = AutoModelForCausalLM.from_config
    with _parameters_on_meta():
        model: PreTrainedModel = build(pair.config, dtype=dtype, trust_remote_code=pair.tuned_side.trust_remote_code)
    for module in model.modules():
        for name, buffer in module._buffers.items():
            if buffer is not None:
                module._buffers[name] = buffer.to(pair.device)
    model.train(False)
    return model


@contextmanager
def _parameters_on_meta() -> Iterator[None]:
    """Move every parameter to the meta device as it is registered; buffers, which hold rotary tables, stay real."""
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
