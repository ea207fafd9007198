"""Figures of a `RangeRanking` and a `SweepResult`: start-by-stop heat maps and the trade-off."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from numpy import ndarray

from slr_probe.layers import LayerRange
from slr_probe.plots.style import COLOURS, MAP

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from slr_probe.rank.ranking import RangeRanking
    from slr_probe.sweep.result import SweepResult

_VALIDITY = "validity (probability)"
_DIVERSITY = "diversity (fraction of log |V|)"
_MARKS = {"tuned": "s", "base": "D", "full": "d", "early": "<", "late": ">", "random": "x"}


def plot_ranking(ranking: RangeRanking) -> Figure:
    """Heat maps of validity and diversity over start and stop, and the trade-off with its Pareto front.

    The white line in the maps bounds the ranges that meet the floor; the frame marks the best. For methods that score
    blocks, the maps are replaced by the block scores and the summed score of each range.
    """
    figure = Figure(figsize=(13.5, 4.6), layout="constrained")
    first, second, third = figure.subplots(1, 3, width_ratios=(1, 1, 1.25))
    n = len(ranking.ranges)
    if ranking.measured[:n].all():
        feasible = ranking.feasible[:n]
        for axis, values, label in (
            (first, ranking.mean_validity, _VALIDITY),
            (second, ranking.mean_diversity, _DIVERSITY),
        ):
            _map(axis, ranking.ranges, values[:n], ranking.depth, label)
            _boundary(axis, ranking.ranges, feasible, ranking.depth)
            _frame(axis, ranking.best)
    else:
        _bars(first, ranking)
        _map(second, ranking.ranges, ranking.score[:n], ranking.depth, "summed block score")
        _frame(second, ranking.best)
    _trade_off(third, ranking)
    figure.suptitle(
        f"{_name(ranking.settings.get('base'))} to {_name(ranking.settings.get('tuned'))}: method '{ranking.method}', "
        f"{ranking.validity.shape[1]} prompts, best {ranking.best}"
        + ("" if ranking.meets_floor else " (floor not met)")
    )
    return figure


def plot_sweep(result: SweepResult) -> Figure:
    """Heat maps of mean validity and diversity over start and stop of the restored range."""
    rows = {recipe.layers: i for i, recipe in enumerate(result.recipes) if recipe.layers is not None}
    figure = Figure(figsize=(9, 4.1), layout="constrained")
    for axis, values, label in zip(
        figure.subplots(1, 2), (result.validity, result.diversity), (_VALIDITY, _DIVERSITY), strict=True
    ):
        means = values.mean(axis=1)[list(rows.values())]
        _map(axis, tuple(rows), means, result.recipes[0].depth, label)
    return figure


def _map(axis: Axes, ranges: Any, values: Float[ndarray, " range"], depth: int, label: str) -> None:
    grid = np.full((depth, depth), np.nan)
    for layers, value in zip(ranges, values, strict=True):
        grid[layers.start, layers.stop - 1] = value
    # Cell edges lie between whole numbers: the row is the first block, the column the last one plus one.
    image = axis.imshow(
        np.ma.masked_invalid(grid),
        cmap=MAP,
        origin="upper",
        extent=(0.5, depth + 0.5, depth - 0.5, -0.5),
        aspect="equal",
    )
    axis.figure.colorbar(image, ax=axis, label=label, shrink=0.85)
    axis.set(xlabel="stop (first block not restored)", ylabel="start (first restored block)")
    for direction in (axis.xaxis, axis.yaxis):
        direction.set_major_locator(MaxNLocator(integer=True))
    axis.spines[["top", "right", "left", "bottom"]].set_visible(False)


def _boundary(axis: Axes, ranges: Any, inside: Bool[ndarray, " range"], depth: int) -> None:
    """A line around all cells that are inside."""
    cells = {(layers.start, layers.stop) for layers, kept in zip(ranges, inside, strict=True) if kept}
    if len(cells) == len(inside):
        return
    lines = []
    for start, stop in cells:
        left, right, top, bottom = stop - 0.5, stop + 0.5, start - 0.5, start + 0.5
        for neighbour, line in (
            ((start - 1, stop), [(left, top), (right, top)]),
            ((start + 1, stop), [(left, bottom), (right, bottom)]),
            ((start, stop - 1), [(left, top), (left, bottom)]),
            ((start, stop + 1), [(right, top), (right, bottom)]),
        ):
            if neighbour not in cells:
                lines.append(line)
    axis.add_collection(LineCollection(lines, colors="black", linewidths=2.6, capstyle="projecting"))
    axis.add_collection(LineCollection(lines, colors="white", linewidths=1.2, capstyle="projecting"))


def _frame(axis: Axes, best: LayerRange) -> None:
    place = (best.stop - 0.5, best.start - 0.5)
    axis.add_patch(Rectangle(place, 1, 1, fill=False, edgecolor="black", linewidth=3.2, zorder=4))
    axis.add_patch(Rectangle(place, 1, 1, fill=False, edgecolor=COLOURS["best"], linewidth=1.8, zorder=5))
    axis.text(0.04, 0.06, f"framed: best, {best}", transform=axis.transAxes, fontsize="small")


def _bars(axis: Axes, ranking: RangeRanking) -> None:
    blocks = np.arange(ranking.depth)
    inside = np.isin(blocks, list(ranking.best))
    colours = np.where(inside, COLOURS["best"], "0.6")
    axis.bar(blocks, ranking.block_gain, color=colours.tolist())
    axis.axhline(0, color="0.4", linewidth=0.8)
    axis.set(xlabel="decoder block", ylabel=f"block score, method '{ranking.settings.get('scorer') or ranking.method}'")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.spines[["top", "right"]].set_visible(False)


def _trade_off(axis: Axes, ranking: RangeRanking) -> None:
    x, y = ranking.mean_validity, ranking.mean_diversity
    n = len(ranking.ranges)
    rows = np.flatnonzero(ranking.measured[:n])
    widths = np.array([ranking.ranges[i].width for i in rows])
    points = axis.scatter(x[rows], y[rows], c=widths, cmap="cividis", vmin=1, vmax=ranking.depth, s=13, linewidths=0,
                          label="ranges", zorder=2)  # fmt: skip
    axis.figure.colorbar(points, ax=axis, label="blocks restored", shrink=0.85)
    axis.plot(x[ranking.front], y[ranking.front], color="0.25", linewidth=1.1, label="Pareto front", zorder=3)
    soups = [i for i in ranking.rows("soup") if ranking.measured[i]]
    if soups:
        axis.plot(
            x[soups], y[soups], ".-", color=COLOURS["soup"], markersize=4, linewidth=0.9, label="21 soups", zorder=2
        )
    for kind, mark in _MARKS.items():
        found = [i for i in ranking.rows(kind) if ranking.measured[i]]
        if found:
            axis.plot(x[found], y[found], mark, color=COLOURS[kind], markersize=6, label=_legend(kind), zorder=4)
    best = int(ranking.order[0])
    limits = [ranking.interval(what) for what in ("validity", "diversity")]
    if ranking.measured[best]:
        if np.isfinite(limits[0].low[best]):
            bars = [np.array([[f.estimate[best] - f.low[best]], [f.high[best] - f.estimate[best]]]) for f in limits]
            axis.errorbar(x[best], y[best], xerr=np.maximum(bars[0], 0), yerr=np.maximum(bars[1], 0),
                          color=COLOURS["best"], linewidth=1, zorder=5)  # fmt: skip
        axis.plot(x[best], y[best], "*", color=COLOURS["best"], markeredgecolor="black", markersize=13,
                  label=f"best {ranking.best}", zorder=6)  # fmt: skip
    axis.axvline(ranking.bar, color="0.4", linestyle="--", linewidth=1, label=f"floor, {ranking.floor:g} x tuned")
    axis.set(xlabel=_VALIDITY, ylabel=_DIVERSITY)
    axis.spines[["top", "right"]].set_visible(False)
    figure = axis.get_figure(root=True)
    assert figure is not None
    figure.legend(frameon=False, fontsize="small", loc="outside lower center", ncols=6)


def _legend(kind: str) -> str:
    names = {"base": "base", "tuned": "tuned", "full": "all blocks restored", "random": "random sets of equal width"}
    return names.get(kind, f"{kind} blocks, equal width")


def _name(label: Any) -> str:
    """The last part of a path or hub id, with the folder above where that part alone says too little."""
    parts = [part for part in str(label or "?").split("/") if part]
    return "/".join(parts[-2:]) if parts and parts[-1] in ("base", "tuned", "sft", "dpo") else (parts or ["?"])[-1]
