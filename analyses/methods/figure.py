"""Figure of how cheap methods compare with the exhaustive sweep."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from slr_probe.show.charts.style import colour, error_bars, new_figure, open_frame

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from slr_probe.stats.interval import Interval

MARKS = ("o", "s", "^", "D", "v", "P")
TICKS = (1, 2, 5, 10, 20, 50, 100, 200, 500)


def plot_agreement(
    spearman: Mapping[str, Interval],
    regret: Mapping[str, Float[ndarray, " range"]],
    random: Float[ndarray, " range"],
    auc: Mapping[str, Mapping[str, float]] | None = None,
) -> Figure:
    """Rank correlation of each method, how planted blocks show in it, and regret by how many ranges are measured.

    Args:
        spearman: Correlation of each method's order with that of the sweep, with its interval over prompts.
        regret: Diversity that each method loses where only its first k ranges are measured, k = 1, 2, ...
        random: The same for ranges drawn at random.
        auc: For each planted range, each method's area under the ROC curve for its blocks; None leaves it out.
    """
    widths = (1, 1, 1.6) if auc else (1, 1.6)
    figure = new_figure(10 if auc else 7.5, 4.0)
    axes = figure.subplots(1, len(widths), width_ratios=widths)
    looks = {name: (colour(i), MARKS[i % len(MARKS)]) for i, name in enumerate(spearman)}
    _correlations(axes[0], spearman, looks)
    if auc:
        _areas(axes[1], auc, looks)
        axes[1].sharey(axes[0])
        axes[1].tick_params(labelleft=False)
    _regrets(axes[-1], regret, random, looks)
    for letter, axis in zip("abc", axes, strict=False):
        axis.set_title(letter, loc="left", fontweight="bold", fontsize="medium")
        open_frame(axis)
    handles, labels = axes[-1].get_legend_handles_labels()
    figure.legend(handles, labels, frameon=False, fontsize="small", loc="outside lower center", ncols=len(labels))
    return figure


def _correlations(axis: Axes, spearman: Mapping[str, Interval], looks: Mapping[str, Any]) -> None:
    for row, (name, found) in enumerate(spearman.items()):
        tint, mark = looks[name]
        bars = error_bars(found)[:, None]
        axis.errorbar(float(found.estimate), row, xerr=bars, fmt=mark, color=tint, markersize=5, elinewidth=1)
    axis.axvline(0, color="0.6", linewidth=0.8)
    axis.set_yticks(range(len(spearman)), list(spearman))
    axis.set(xlabel="Spearman, with the sweep", xlim=(-1.05, 1.05), ylim=(len(spearman) - 0.4, -0.6))
    axis.tick_params(axis="y", length=0)


def _regrets(axis: Axes, regret: Mapping[str, Any], random: Any, looks: Mapping[str, Any]) -> None:
    from matplotlib.ticker import ScalarFormatter

    count = np.arange(1, len(random) + 1)
    axis.plot(count, random, "--", color="0.5", linewidth=1.2, label="drawn at random")
    for name, lost in regret.items():
        tint, mark = looks[name]
        look = {"color": tint, "linewidth": 1.3, "marker": mark, "markersize": 5, "markevery": [0], "clip_on": False}
        axis.step(count, lost, where="post", label=name, **look)  # a regret holds until a better range is measured
    axis.set_xscale("log")
    axis.xaxis.set_major_formatter(ScalarFormatter())
    axis.set_xticks([k for k in TICKS if k <= len(random)])
    axis.minorticks_off()
    axis.set(xlabel=f"ranges measured, of {len(random)}", ylabel="diversity lost (fraction of log |V|)")
    axis.set_xlim(1, len(random))
    axis.set_ylim(bottom=0)


def _areas(axis: Axes, auc: Mapping[str, Mapping[str, float]], looks: Mapping[str, Any]) -> None:
    """A mark a method and planted range; ranges are told apart by how marks are filled."""
    shifts = np.linspace(-0.22, 0.22, len(auc)) if len(auc) > 1 else [0.0]
    for place, (span, shift) in enumerate(zip(auc, shifts, strict=True)):
        for row, (name, (tint, mark)) in enumerate(looks.items()):
            face = ("white", "0.8", tint)[place % 3]
            area = auc[span][name]
            axis.plot(area, row + shift, mark, color=tint, markerfacecolor=face, markersize=5, clip_on=False)
        face = ("white", "0.8", "0.2")[place % 3]
        axis.plot([], [], "o", color="0.2", markerfacecolor=face, markersize=5, label=span)
    axis.axvline(0.5, color="0.6", linewidth=0.8)
    axis.set(xlabel="ROC area, planted blocks", xlim=(0, 1.03))
    axis.tick_params(axis="y", length=0)
    axis.legend(frameon=False, fontsize="small", loc="center left", title="planted", title_fontsize="small")
