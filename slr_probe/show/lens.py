"""Figure of a `LayerTrace`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from slr_probe.probes.lens.result import LayerTrace
    from slr_probe.stats.interval import Interval

COLOURS = {"base": "#0072b2", "tuned": "#d55e00", "base (plain)": "#56b4e9"}  # Okabe and Ito: colour-blind safe
OTHERS = ("#009e73", "#cc79a7", "#e69f00", "#000000")
LABELS = {
    "entropy": "entropy (nats)",
    "kl_to_final": "KL to own last block (nats)",
    "validity": "probability of the answer set",
    "conditional_entropy": "entropy in answer set (nats)",
}


def plot_lens(trace: LayerTrace) -> Figure:
    """Entropy, KL to the last block and, where made, collapse, divergence and answers, over depth.

    Lines are means over prompts, bands their bootstrap intervals.
    """
    both = {"base", "tuned"} <= set(trace.models)
    panels: list[Any] = ["entropy", *(["collapse", "js"] if both else []), "kl_to_final"]
    panels += ["validity", "conditional_entropy"] if trace.answers else []
    columns = min(3, len(panels)) if len(panels) != 4 else 2
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(4.0 * columns, 2.9 * rows + 0.4), layout="constrained")
    axes = np.atleast_1d(figure.subplots(rows, columns, sharex=True)).ravel()
    for axis, panel in zip(axes, panels, strict=False):
        if panel == "collapse":
            _collapse(axis, trace)
        elif panel == "js":
            _line(axis, trace.interval("js"), "#000000", "_js")
            axis.set_ylabel("JS, base and tuned (nats)")
        else:
            for model in trace.models:
                style = "--" if model == "base (plain)" else "-"
                _line(axis, trace.interval(panel, model), _colour(trace, model), model, style)
            axis.set_ylabel(LABELS[panel])
        if panel != "collapse":
            axis.set_ylim(bottom=0)
    for axis in axes[: len(panels)]:
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.spines[["top", "right"]].set_visible(False)
    for axis in axes[len(panels) :]:
        axis.set_visible(False)
    for axis in axes[max(0, len(panels) - columns) : len(panels)]:
        axis.set_xlabel("decoder block")
        axis.tick_params(labelbottom=True)
    shown: dict[str, Any] = {}
    for axis in axes[: len(panels)]:
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
            shown.setdefault(label, handle)
    figure.legend(shown.values(), shown.keys(), loc="outside lower center", ncols=3 if columns < 3 else len(shown),
                  frameon=False, fontsize="small")  # fmt: skip
    figure.suptitle(f"Logit lens, {len(trace.prompts)} prompts, bands {trace.confidence:.0%} over prompts", fontsize=11)
    return figure


def _collapse(axis: Axes, trace: LayerTrace) -> None:
    _line(axis, trace.collapse(), "#000000", "base - tuned")
    if trace.answers:
        _line(axis, trace.collapse("conditional_entropy"), "#cc79a7", "base - tuned, answer set", "--")
    axis.axhline(0, color="0.6", linewidth=0.8)
    axis.set_ylabel("entropy, base - tuned (nats)")


def _line(axis: Axes, found: Interval, colour: str, label: str, style: str = "-") -> None:
    blocks = np.arange(len(found.estimate))
    axis.plot(blocks, found.estimate, style, color=colour, marker="o", markersize=3, label=label)
    axis.fill_between(blocks, found.low, found.high, color=colour, alpha=0.2, linewidth=0)


def _colour(trace: LayerTrace, model: str) -> str:
    others = [name for name in trace.models if name not in COLOURS]
    return COLOURS[model] if model in COLOURS else OTHERS[others.index(model) % len(OTHERS)]
