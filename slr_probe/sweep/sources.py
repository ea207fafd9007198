"""The two ways to get at weights: both models loaded, or both checkpoints streamed through an empty model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from slr_probe.errors import SweepError
from slr_probe.forward.surgery import empty_model
from slr_probe.pair.load import require_finite
from slr_probe.pair.side import Side, require_checkpoint
from slr_probe.sweep.weights import Weights

if TYPE_CHECKING:
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
    model = empty_model(pair.config, model_dtype, pair.device, trust_remote_code=pair.tuned_side.trust_remote_code)

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
