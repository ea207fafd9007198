"""Figure of a `PatchingResult`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from slr_probe.probes.patching.result import PatchingResult

COLOURS = {"resid": "#000000", "attn": "#0072b2", "mlp": "#d55e00"}  # Okabe and Ito: colour-blind safe
MARKERS = {"resid": "s", "attn": "o", "mlp": "^"}
LABELS = {"resid": "residual stream", "attn": "attention output", "mlp": "MLP output"}
UNITS = {
    "validity": "validity (probability)",
    "conditional_entropy": "diversity (nats)",
    "diversity": "diversity (share of log |V|)",
    "entropy": "entropy (nats)",
}


def plot_patching(result: PatchingResult, metric: str | None = None) -> Figure:
    """Effect of every patch over depth, a column a direction; with answers, diversity above and validity below.

    Lines are means over prompts of patched minus unpatched recipient, bands their bootstrap intervals, dotted lines the
    random direction. The dashed line is the unpatched donor; the right axis gives the recovered fraction where the
    two models can be told apart.
    """
    metrics = [metric] if metric else [result.main_metric]
    metrics += ["validity"] if metric is None and "validity" in result.metrics else []
    columns = len(result.directions)
    figure = Figure(figsize=(5.0 * columns, 2.9 * len(metrics) + 0.5), layout="constrained")
    axes = np.asarray(figure.subplots(len(metrics), columns, squeeze=False, sharex=True))
    for row, name in enumerate(metrics):
        for column, direction in enumerate(result.directions):
            _panel(axes[row, column], result, name, direction)
    for column, direction in enumerate(result.directions):
        donor, recipient = direction.split("->")
        axes[0, column].set_title(f"{donor} activations into {recipient}", fontsize="medium")
        axes[-1, column].set_xlabel(_depth_label(result))
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels), frameon=False, fontsize="small")
    return figure


def _panel(axis: Axes, result: PatchingResult, metric: str, direction: str) -> None:
    depth = np.array([sum(map(int, window.split(":"))) - 1 for window in result.windows]) / 2
    order = np.argsort(depth, kind="stable")
    for component in result.components:
        found, colour = result.effect(metric, direction, component), COLOURS[component]
        label, marker = LABELS[component], MARKERS[component]
        axis.plot(depth[order], found.estimate[order], color=colour, marker=marker, markersize=3.5, label=label)
        axis.fill_between(depth[order], found.low[order], found.high[order], color=colour, alpha=0.18, linewidth=0)
        if result.random is not None:
            control = result.effect(metric, direction, component, "random").estimate
            axis.plot(depth[order], control[order], ":", color=colour, linewidth=1.2)
    if result.random is not None:
        axis.plot([], [], ":", color="0.35", linewidth=1.2, label="random direction, as long")
    gap = float(result.gap(metric, direction).estimate[0])
    axis.axhline(0, color="0.6", linewidth=0.8)
    axis.axhline(gap, color="0.35", linewidth=1.0, linestyle="--", label="unpatched donor")
    axis.set_ylabel(f"change in {UNITS.get(metric, metric)}")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.spines["top"].set_visible(False)
    if result.undefined(metric, direction):
        axis.spines["right"].set_visible(False)
        axis.text(0.02, 0.02, "recovered fraction undefined", transform=axis.transAxes, fontsize=8, color="0.35")
    else:
        scales: Any = (lambda change: change / gap, lambda fraction: fraction * gap)
        right = axis.secondary_yaxis("right", functions=scales)
        right.set_ylabel("recovered fraction")


def _depth_label(result: PatchingResult) -> str:
    widths = {stop - start for start, stop in (map(int, window.split(":")) for window in result.windows)}
    where = "answer position" if result.positions == "answer" else "all positions"
    return f"patched decoder block, {where}" if widths == {1} else f"centre of patched blocks, {where}"
