"""A model over several GPUs: each block whole on one of them, in order, as `device_map="auto"` of transformers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slr_probe.errors import CheckpointError, foreign

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_SHARE = 0.45  # of the free memory of each GPU, for one of two models; the rest is left to activations (ours)


def device_count() -> int:
    """How many GPUs torch sees."""
    import torch

    return torch.cuda.device_count()


def free_memory() -> dict[int, int]:
    """Free bytes of each GPU, by number."""
    import torch

    return {i: torch.cuda.mem_get_info(i)[0] for i in range(torch.cuda.device_count())}


def place(model: PreTrainedModel, kind: str = "cuda") -> dict[str, str]:
    """The device of each module, for two models of this size.

    Args:
        model: One of them, on the processor.
        kind: The kind of device.

    Raises:
        CheckpointError: They do not fit.
    """
    from accelerate import infer_auto_device_map
    from accelerate.utils import get_balanced_memory

    whole = list(model._no_split_modules or [])
    room: dict[int | str, int] = {i: int(_SHARE * free) for i, free in free_memory().items()}
    balanced = get_balanced_memory(model, room | {"cpu": 0}, no_split_module_classes=whole)
    found = infer_auto_device_map(model, balanced, no_split_module_classes=whole)
    if not all(isinstance(device, int) for device in found.values()):
        size = sum(parameter.nbytes for parameter in model.parameters())
        free = ", ".join(f"{amount / 1e9:.1f} GB" for amount in room.values())
        raise CheckpointError(
            f"the two models do not fit into {len(room)} GPUs: each may take {free} there, and has "
            f"{size / 1e9:.1f} GB; load them in bfloat16, or stream them (sweeps, masks)"
        )
    return {module: f"{kind}:{device}" for module, device in found.items()}


def spread(model: PreTrainedModel, places: dict[str, str]) -> None:
    """Move the modules of a model to their devices; what enters and leaves it lies on the first.

    Raises:
        CheckpointError: A module has no device.
    """
    from accelerate import dispatch_model

    with foreign(CheckpointError, f"{type(model).__name__} cannot be spread over several devices"):
        dispatch_model(model, places, force_hooks=True)


def is_spread(model: PreTrainedModel) -> bool:
    """Whether the parameters of a model lie on several devices."""
    return len({parameter.device for parameter in model.parameters()}) > 1
