"""Figure of how cheap methods compare with the exhaustive sweep."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from matplotlib.ticker import ScalarFormatter
from numpy import ndarray

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from slr_probe.stats.interval import Interval

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Okabe and Ito's palette."""
MARKS = ("o", "s", "^", "D", "v", "P")


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
    figure = Figure(figsize=(10 if auc else 7.5, 4.0), layout="constrained")
    axes = figure.subplots(1, 3 if auc else 2, width_ratios=(1, 1, 1.6) if auc else (1, 1.6))
    looks = {name: (COLOURS[i % 6], MARKS[i % 6]) for i, name in enumerate(spearman)}
    _correlations(axes[0], spearman, looks)
    if auc:
        _areas(axes[1], auc, looks)
        axes[1].sharey(axes[0])
        axes[1].tick_params(labelleft=False)
    _regrets(axes[-1], regret, random, looks)
    for letter, axis in zip("abc", axes, strict=False):
        axis.set_title(letter, loc="left", fontweight="bold", fontsize="medium")
        axis.spines[["top", "right"]].set_visible(False)
    handles, labels = axes[-1].get_legend_handles_labels()
    figure.legend(handles, labels, frameon=False, fontsize="small", loc="outside lower center", ncols=len(labels))
    return figure


def _correlations(axis: Axes, spearman: Mapping[str, Interval], looks: Mapping[str, Any]) -> None:
    for row, (name, found) in enumerate(spearman.items()):
        colour, mark = looks[name]
        value, ends = float(found.estimate), np.array([[found.estimate - found.low], [found.high - found.estimate]])
        axis.errorbar(value, row, xerr=np.nan_to_num(ends).clip(min=0), fmt=mark, color=colour, markersize=5,
                      elinewidth=1)  # fmt: skip
    axis.axvline(0, color="0.6", linewidth=0.8)
    axis.set_yticks(range(len(spearman)), list(spearman))
    axis.set(xlabel="Spearman, with the sweep", xlim=(-1.05, 1.05), ylim=(len(spearman) - 0.4, -0.6))
    axis.tick_params(axis="y", length=0)


def _regrets(axis: Axes, regret: Mapping[str, Any], random: Any, looks: Mapping[str, Any]) -> None:
    count = np.arange(1, len(random) + 1)
    axis.plot(count, random, "--", color="0.5", linewidth=1.2, label="drawn at random")
    for name, lost in regret.items():
        colour, mark = looks[name]
        # Steps, as a regret holds until a better range is measured.
        axis.step(count, lost, where="post", color=colour, linewidth=1.3, marker=mark, markersize=5, markevery=[0],
                  label=name, clip_on=False)  # fmt: skip
    axis.set_xscale("log")
    axis.xaxis.set_major_formatter(ScalarFormatter())
    axis.set_xticks([k for k in (1, 2, 5, 10, 20, 50, 100, 200, 500) if k <= len(random)])
    axis.minorticks_off()
    axis.set(xlabel=f"ranges measured, of {len(random)}", ylabel="diversity lost (fraction of log |V|)")
    axis.set_xlim(1, len(random))
    axis.set_ylim(bottom=0)


def _areas(axis: Axes, auc: Mapping[str, Mapping[str, float]], looks: Mapping[str, Any]) -> None:
    names = list(looks)
    shifts = np.linspace(-0.22, 0.22, len(auc)) if len(auc) > 1 else [0.0]
    faces = ("none", "0.75", "full")
    for place, (span, areas), shift in zip(range(len(auc)), auc.items(), shifts, strict=True):
        for row, name in enumerate(names):
            colour, mark = looks[name]
            face = {"none": "white", "0.75": "0.8", "full": colour}[faces[place % 3]]
            axis.plot(areas[name], row + shift, mark, color=colour, markerfacecolor=face, markersize=5, clip_on=False)
        face = {"none": "white", "0.75": "0.8", "full": "0.2"}[faces[place % 3]]
        axis.plot([], [], "o", color="0.2", markerfacecolor=face, markersize=5, label=span)
    axis.axvline(0.5, color="0.6", linewidth=0.8)
    axis.set(xlabel="ROC area, planted blocks", xlim=(0, 1.03))
    axis.tick_params(axis="y", length=0)
    axis.legend(frameon=False, fontsize="small", loc="center left", title="planted", title_fontsize="small")
