"""slr_probe: where in depth did post-training destroy output diversity, and how to repair it without training.

The flow, from left to right:

    checkpoints -> ModelPair -> Recipe -> restored (in memory) or restore (on disk) -> hybrid -> verify_hybrid

Names load on first use, so `import slr_probe` is light.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from slr_probe.errors import SlrProbeError
    from slr_probe.layers import LayerRange
    from slr_probe.pair import ModelPair
    from slr_probe.recipe import Recipe
    from slr_probe.restoration import restore, restored, verify_hybrid

_HOMES = {
    "ModelPair": "slr_probe.pair",
    "LayerRange": "slr_probe.layers",
    "Recipe": "slr_probe.recipe",
    "restored": "slr_probe.restoration",
    "restore": "slr_probe.restoration",
    "verify_hybrid": "slr_probe.restoration",
    "SlrProbeError": "slr_probe.errors",
}

__all__ = ["LayerRange", "ModelPair", "Recipe", "SlrProbeError", "restore", "restored", "verify_hybrid"]

try:
    __version__ = version("slr-probe")
except PackageNotFoundError:  # a source tree that is not installed
    __version__ = "0"


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'slr_probe' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
