"""Figures: one function each, returning a `matplotlib` figure. A leaf that results load when they are plotted."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from slr_probe.plots.ranges import plot_ranking, plot_sweep

_HOMES = {
    "plot_ranking": "slr_probe.plots.ranges",
    "plot_sweep": "slr_probe.plots.ranges",
}

__all__ = ["plot_ranking", "plot_sweep"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'slr_probe.plots' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
