"""Figure of a `Lineage`: when diversity was lost, and where in depth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from slr_probe.scoring.metrics import metric
from slr_probe.show.style import MAP, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from slr_probe.lineage.result import Lineage

_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Okabe and Ito's palette."""


def plot_lineage(lineage: Lineage) -> Figure:
    """Retained diversity by stage, losses by metric, weight change and entropy collapse over depth.

    Bars and bands are intervals over prompts. The lower row is left out where nothing is known of the layers.
    """
    rows = 2 if lineage.has_depth else 1
    figure = Figure(figsize=(9.6, 4.0 if rows == 1 else 7.2), layout="constrained")
    # Each row is a figure of its own, so that long names in one do not squeeze the other.
    parts: Any = figure.subfigures(rows, 1, height_ratios=(1.25, 1)[:rows], squeeze=False)[:, 0]
    first, second = parts[0].subplots(1, 2, width_ratios=(1.25, 1))
    _retained(first, lineage)
    _metrics(second, lineage)
    if lineage.has_depth:
        first, second = parts[1].subplots(1, 2, width_ratios=(1.25, 1))
        _weights(first, lineage)
        _collapse(second, lineage)
    figure.suptitle(f"When {'and where ' if lineage.has_depth else ''}diversity was lost", fontsize=11)
    return figure


def _retained(axis: Axes, lineage: Lineage) -> None:
    found = lineage.change()
    left = found.retained
    lines = [(short(task), left.estimate[t], left.low[t], left.high[t], _COLOURS[t % 6], 1.2)
             for t, task in enumerate(lineage.tasks)]  # fmt: skip
    if len(lineage.tasks) > 1:
        mean = found.mean_retained
        lines.append(("mean", mean.estimate, mean.low, mean.high, "black", 2.2))
    places = _places(lineage)
    for i, (label, value, low, high, colour, width) in enumerate(lines):
        shift = 0.05 * (i - (len(lines) - 1) / 2)
        x = [place + shift for place in places]
        y = [100.0, *value]
        for s, parent in enumerate(lineage.parents):
            if parent >= 0:
                axis.plot([x[parent], x[s]], [y[parent], y[s]], color=colour, linewidth=width, label=None)
        limits = np.nan_to_num(np.array([value - low, high - value])).clip(min=0)
        axis.errorbar(x, y, yerr=np.column_stack([np.zeros(2), limits]), fmt="o", color=colour, markersize=4,
                      elinewidth=0.9, label=label)  # fmt: skip
    axis.axhline(100, color="0.75", linewidth=0.8, linestyle="--", zorder=0)
    axis.set_ylim(bottom=min(0.0, axis.get_ylim()[0]))
    axis.set_xticks(places, [_wrapped(stage) for stage in lineage.stages])
    axis.set_ylabel(f"{metric(lineage.metric).label}\nretained, % of base")
    axis.legend(frameon=False, fontsize="small", loc="upper center", bbox_to_anchor=(0.5, -0.1), ncols=2)
    axis.spines[["top", "right"]].set_visible(False)


def _metrics(axis: Axes, lineage: Lineage) -> None:
    """Stage loss by metric and task, in numbers and colours."""
    rows, labels = [], []
    for name in lineage.metrics:
        found = lineage.change(name)
        if metric(name).role != "diversity" or not found.defined.any():
            continue
        if found.defined.sum() > 1 or len(lineage.metrics) > 1:
            rows.append(found.mean_loss.estimate)
            labels.append(metric(name).label + (" (mean)" if found.defined.sum() > 1 else ""))
        if name == lineage.metric:
            for t in np.flatnonzero(found.defined):
                rows.append(found.loss.estimate[t])
                labels.append(f"{metric(name).label}, {short(lineage.tasks[t])}")
    if not rows:
        axis.set_visible(False)
        return
    table = np.array(rows)
    bound = max(float(np.nanmax(np.abs(table))), 1.0)
    axis.imshow(table, cmap="PuOr", norm=TwoSlopeNorm(0, -bound, bound), aspect="auto")
    for (i, j), value in np.ndenumerate(table):
        axis.text(j, i, f"{value:+.0f}", ha="center", va="center", fontsize="small",
                  color="white" if abs(value) > 0.6 * bound else "black")  # fmt: skip
    axis.set_xticks(range(len(lineage.later)), [_wrapped(stage) for stage in lineage.later])
    axis.set_yticks(range(len(labels)), labels, fontsize="small")
    axis.set_title("stage loss, % of base", fontsize="medium")
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)


def _weights(axis: Axes, lineage: Lineage) -> None:
    table = 100 * lineage.weight_previous[1:]
    image = axis.imshow(np.ma.masked_invalid(table), cmap=MAP, aspect="auto", vmin=0)
    _figure(axis).colorbar(image, ax=axis, label="||change|| / ||stage before||, %")
    axis.set_yticks(range(len(lineage.later)), lineage.later)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.set_xlabel("decoder block")
    axis.set_title("weight change of each stage", fontsize="medium")
    axis.spines[:].set_visible(False)


def _collapse(axis: Axes, lineage: Lineage) -> None:
    for s, stage in enumerate(lineage.later):
        found = lineage.collapse(stage)
        blocks, colour = np.arange(len(found.estimate)), _COLOURS[s % 6]
        axis.plot(blocks, found.estimate, marker="o", markersize=3, color=colour, label=stage)
        axis.fill_between(blocks, found.low, found.high, color=colour, alpha=0.18, linewidth=0)
    axis.axhline(0, color="0.6", linewidth=0.8)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.set(xlabel="decoder block", ylabel="entropy, base - stage (nats)")
    axis.set_title("entropy collapse (logit lens)", fontsize="medium")
    axis.legend(frameon=False, fontsize="small")
    axis.spines[["top", "right"]].set_visible(False)


def _places(lineage: Lineage) -> list[float]:
    """Where each stage stands on the axis: in order, so that stages of a branch are beside each other."""
    return [float(i) for i in range(len(lineage.stages))]


def _wrapped(name: str) -> str:
    return name.replace("/", "/\n")


def _figure(axis: Axes) -> Any:
    return axis.get_figure(root=True)
