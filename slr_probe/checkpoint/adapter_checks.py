"""What an adapter must be to count: whole, of numbers, and a change that its base can hold."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from slr_probe.checkpoint.adapter_settings import CONFIG, MERGE, AdapterSettings
from slr_probe.checkpoint.folder import Checkpoint
from slr_probe.checkpoint.names import foreign_part, is_head
from slr_probe.checkpoint.shard import TensorInfo, read_tensor
from slr_probe.errors import CheckpointError


def check_changes(file: Path, changes: Iterable[tuple[TensorInfo, float]]) -> None:
    """An adapter that was trained changes something: PEFT begins with a factor B of zeros.

    Args:
        file: Its weights.
        changes: Factor B of each change, read up to the first that is not zero, and its scaling.

    Raises:
        CheckpointError: Every change is zero.
    """
    if not any(scaling != 0 and bool(read_tensor(b).any()) for b, scaling in changes):
        raise CheckpointError(
            f"{file} changes nothing: every lora_B in it, or lora_alpha, is zero; was it saved before it was trained?"
        )


def check_tied(targets: set[str], base: Checkpoint, folder: Path) -> None:
    """PEFT changes the embedding or the head alone; a base that stores one tensor for both cannot hold that.

    Raises:
        CheckpointError: That is so.
    """
    outside = [name for name in targets if len(base.tensors[name].shape) == 2 and not re.search(r"\.\d+\.", name)]
    if outside and not any(is_head(name) for name in base.tensors):
        raise CheckpointError(
            f"{folder} changes '{outside[0]}', which {base.path} shares between embedding and head; {MERGE}"
        )


def check_whole(settings: AdapterSettings, changed: set[str], base: Checkpoint) -> None:
    """An adapter must change every module that its settings name: PEFT would leave the others at their first values.

    Raises:
        CheckpointError: It does not.
    """
    modules = {
        name.removesuffix(".weight"): name
        for name, info in base.tensors.items()
        if name.endswith(".weight") and len(info.shape) == 2 and foreign_part(name) is None
    }
    missing = [name for name in settings.targets(modules) if modules[name] not in changed]
    if missing:
        raise CheckpointError(
            f"{settings.path} is incomplete: nothing in it changes '{missing[0]}' ({len(missing)} in all), "
            f"which target_modules in {CONFIG} names"
        )
