"""The whole investigation of one pair: stages with settings, kept in one folder, from headers to report."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from slr_probe.study.run import run_study
    from slr_probe.study.settings import PRESETS, Settings

_HOMES = {"run_study": "run", "PRESETS": "settings", "Settings": "settings"}

__all__ = ["PRESETS", "Settings", "run_study"]


def __getattr__(name: str) -> Any:
    """Loaded when it is asked for: a folder is checked before torch is loaded."""
    if name not in _HOMES:
        raise AttributeError(f"module 'slr_probe.study' has no attribute {name!r}")
    return getattr(import_module(f"slr_probe.study.{_HOMES[name]}"), name)
