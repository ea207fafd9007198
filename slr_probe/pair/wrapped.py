"""The transformers model inside an object of another tool: a TransformerLens bridge, or a model of nnsight."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from slr_probe.errors import IncompatiblePairError, foreign

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_BRIDGED = "._original_component"


def unwrap(role: str, source: Any) -> Any:
    """The model inside; anything that is no such object is returned as it is.

    Args:
        role: `"base"` or `"tuned"`, for messages.
        source: What the user gave as a side.

    Raises:
        IncompatiblePairError: Its weights are not those of a checkpoint, or not loaded.
    """
    if isinstance(vars(type(source)).get("original_model"), property) or hasattr(source, "original_model"):
        return _of_bridge(role, source)
    inner = getattr(source, "_model", None)
    if hasattr(inner, "state_dict") and hasattr(inner, "config"):
        return _of_nnsight(role, source, inner)
    return source


def _of_bridge(role: str, bridge: Any) -> PreTrainedModel:
    """A model of its own with a copy of the bridge's weights; the bridge stays as it is.

    A bridge puts its components between a module and its parameters (`._original_component`) and adds names of its
    own. The model is built anew from the config, by the class that the bridge was booted from.
    """
    if getattr(bridge, "compatibility_mode", False):
        raise IncompatiblePairError(
            f"{role} is a TransformerLens bridge in compatibility mode, whose weights are folded; boot it anew, or "
            "give its folder"
        )
    original = bridge.original_model
    weights = {name.replace(_BRIDGED, ""): tensor for name, tensor in original.state_dict().items()}
    config = copy.deepcopy(original.config)
    config._attn_implementation = None  # a bridge sets eager; transformers chooses again
    dtype, device = original.dtype, original.device
    with foreign(IncompatiblePairError, f"{role}: no transformers model can be made of the bridge; give its folder"):
        model, report = type(original).from_pretrained(
            None, config=config, state_dict=weights, dtype=dtype, output_loading_info=True
        )
    missing = sorted(report["missing_keys"])
    if missing:
        raise IncompatiblePairError(
            f"{role}: the bridge has no tensor '{missing[0]}' of {type(original).__name__} (and {len(missing) - 1} "
            "more); give its folder"
        )
    return model.to(device)  # type: ignore[no-any-return]


def _of_nnsight(role: str, wrapper: Any, inner: Any) -> Any:
    """The model that nnsight wraps, once its weights are there."""
    if any(tensor.is_meta for tensor in inner.state_dict().values()):
        raise IncompatiblePairError(
            f"{role} is a {type(wrapper).__name__} whose weights are not loaded yet; load it with dispatch=True"
        )
    return inner
