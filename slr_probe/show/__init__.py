"""Figures: one function each, returning a `matplotlib` figure. A leaf that results load when they are plotted."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from slr_probe.show.agreement import plot_agreement
    from slr_probe.show.ranking import plot_map, plot_maps, plot_ranking, plot_sweep
    from slr_probe.show.tradeoff import plot_trade_off

_HOMES = {
    "plot_agreement": "slr_probe.show.agreement",
    "plot_map": "slr_probe.show.ranking",
    "plot_maps": "slr_probe.show.ranking",
    "plot_ranking": "slr_probe.show.ranking",
    "plot_sweep": "slr_probe.show.ranking",
    "plot_trade_off": "slr_probe.show.tradeoff",
}

__all__ = ["plot_agreement", "plot_map", "plot_maps", "plot_ranking", "plot_sweep", "plot_trade_off"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'slr_probe.show' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


if "IPython" in sys.modules:
    from slr_probe.show.jupyter import show_figures

    show_figures()
