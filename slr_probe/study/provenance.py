"""Where results come from: checkpoints, versions, machine."""

from __future__ import annotations

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slr_probe.files import digest, read_regular

if TYPE_CHECKING:
    from slr_probe.pair import ModelPair
    from slr_probe.pair.side import Side

_PACKAGES = ("slr-probe", "torch", "transformers", "transformer-lens", "tokenizers", "numpy", "scipy", "matplotlib")
_TEXTS = ("*.json", "*.jinja", "*.model", "*.txt")


def contents(side: Side) -> str:
    """Hash of a checkpoint's fingerprint and of its config, tokenizer and chat template."""
    from slr_probe.checkpoint import combined_hash
    from slr_probe.pair.side import require_checkpoint

    folder = side.path
    files = [path for pattern in _TEXTS for path in (folder.glob(pattern) if folder else ())]
    return combined_hash(require_checkpoint(side).fingerprint(), {file.name: file.read_bytes() for file in files})


def describe_pair(pair: ModelPair) -> dict[str, dict[str, str]]:
    """Source, folder, fingerprint of the weights, and hash of all contents of both sides."""
    from slr_probe.pair.side import recorded

    return {
        side.role: {
            "source": side.label,
            "path": str(side.path),
            "fingerprint": recorded(side)["fingerprint"],
            "contents": contents(side),
        }
        for side in (pair.base_side, pair.tuned_side)
    }


def describe_file(path: str) -> str:
    """Hash of a file's bytes; empty where none is named."""
    return digest(read_regular(Path(path))) if path else ""


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that results depend on."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def machine(pair: ModelPair) -> dict[str, Any]:
    """What the study ran on."""
    import torch

    device = str(pair.device)
    if pair.device.type == "cuda":
        device += f" ({torch.cuda.get_device_name(pair.device)})"
    return {
        "platform": f"{platform.system()} {platform.machine()}",
        "processors": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": device,
        "command": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]),
    }
