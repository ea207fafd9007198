"""Figures of a `RangeRanking` and a `SweepResult`: start-by-stop heat maps and the trade-off."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from numpy import ndarray

from slr_probe.errors import RankingError
from slr_probe.layers import LayerRange
from slr_probe.show.style import COLOURS, MAP
from slr_probe.show.tradeoff import DIVERSITY, VALIDITY, draw_trade_off

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from slr_probe.rank.ranking import RangeRanking
    from slr_probe.sweep.result import SweepResult


def plot_ranking(ranking: RangeRanking) -> Figure:
    """Heat maps of validity and diversity over start and stop, and the trade-off with its Pareto front.

    The white line in the maps bounds the ranges that meet the floor; the frame marks the best. For methods that score
    blocks, the maps are replaced by the block scores and the summed score of each range.
    """
    figure = Figure(figsize=(13.5, 4.6), layout="constrained")
    first, second, third = figure.subplots(1, 3, width_ratios=(1, 1, 1.25))
    n = len(ranking.ranges)
    if ranking.measured[:n].all():
        _maps((first, second), ranking)
    else:
        _bars(first, ranking)
        _map(second, ranking.ranges, ranking.score[:n], ranking.depth, "summed block score")
        _frame(second, ranking.best)
    points = draw_trade_off(third, ranking)
    figure.colorbar(points, ax=third, label="blocks restored", shrink=0.85)
    figure.legend(frameon=False, fontsize="small", loc="outside lower center", ncols=6)
    figure.suptitle(
        f"{_name(ranking.settings.get('base'))} to {_name(ranking.settings.get('tuned'))}: method '{ranking.method}', "
        f"{ranking.validity.shape[1]} prompts, best {ranking.best}"
        + ("" if ranking.meets_floor else " (floor not met)")
    )
    return figure


def plot_maps(ranking: RangeRanking) -> Figure:
    """Heat maps of validity and diversity over start and stop; a line bounds what meets the floor, a frame the best.

    Raises:
        RankingError: Not every range was measured.
    """
    if not ranking.measured[: len(ranking.ranges)].all():
        raise RankingError(f"method '{ranking.method}' did not measure every range; rank with method='sweep'")
    figure = Figure(figsize=(9, 4.1), layout="constrained")
    _maps(figure.subplots(1, 2), ranking)
    return figure


def plot_sweep(result: SweepResult) -> Figure:
    """Heat maps of mean validity and diversity over start and stop of the restored range."""
    rows = {recipe.layers: i for i, recipe in enumerate(result.recipes) if recipe.layers is not None}
    figure = Figure(figsize=(9, 4.1), layout="constrained")
    for axis, values, label in zip(
        figure.subplots(1, 2), (result.validity, result.diversity), (VALIDITY, DIVERSITY), strict=True
    ):
        means = values.mean(axis=1)[list(rows.values())]
        _map(axis, tuple(rows), means, result.recipes[0].depth, label)
    return figure


def _maps(axes: Iterable[Axes], ranking: RangeRanking) -> None:
    n = len(ranking.ranges)
    for axis, values, label in zip(
        axes, (ranking.mean_validity, ranking.mean_diversity), (VALIDITY, DIVERSITY), strict=True
    ):
        _map(axis, ranking.ranges, values[:n], ranking.depth, label)
        _boundary(axis, ranking.ranges, ranking.feasible[:n], ranking.depth)
        _frame(axis, ranking.best)


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
    axis.add_collection(LineCollection(lines, colors="black", linewidths=2.6, capstyle="projecting", clip_on=False))
    axis.add_collection(LineCollection(lines, colors="white", linewidths=1.2, capstyle="projecting", clip_on=False))


def _frame(axis: Axes, best: LayerRange) -> None:
    place = (best.stop - 0.5, best.start - 0.5)
    for colour, width in (("black", 3.2), (COLOURS["best"], 1.8)):
        axis.add_patch(Rectangle(place, 1, 1, fill=False, edgecolor=colour, linewidth=width, zorder=4, clip_on=False))
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


def _name(label: Any) -> str:
    """The last part of a path or hub id, with the folder above where that part alone says too little."""
    parts = [part for part in str(label or "?").split("/") if part]
    return "/".join(parts[-2:]) if parts and parts[-1] in ("base", "tuned", "sft", "dpo") else (parts or ["?"])[-1]
