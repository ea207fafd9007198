"""Figure of the trade-off: diversity against validity of every range, beside references, soups and controls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from slr_probe.show.style import COLOURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from slr_probe.rank.ranking import RangeRanking

VALIDITY = "validity (probability)"
DIVERSITY = "diversity (fraction of log |V|)"
_MARKS = {"tuned": "s", "base": "D", "full": "d", "early": "<", "late": ">", "random": "x"}
_BARRED = ("tuned", "base", "full", "early", "late")


def plot_trade_off(ranking: RangeRanking) -> Figure:
    """Diversity against validity with intervals: on the selection prompts and, where there are any, held-out prompts.

    Held-out prompts show the ranges, the soup and the controls that were scored on them; no choice was made there.
    """
    held = ranking.held_validity.shape[1] > 0
    figure = Figure(figsize=(10, 4.6) if held else (6, 5), layout="constrained")
    axes = figure.subplots(1, 2 if held else 1, sharex=True, sharey=True, squeeze=False)[0]
    for axis, held_out in zip(axes, (False, True), strict=False):
        points = draw_trade_off(axis, ranking, held_out=held_out, bars=_BARRED)
        prompts = (ranking.held_validity if held_out else ranking.validity).shape[1]
        axis.set_title(f"{prompts} {'held-out' if held_out else 'selection'} prompts", fontsize="medium")
        axis.label_outer()
    figure.colorbar(points, ax=axes.tolist(), label="blocks restored", shrink=0.85)
    shown = dict(zip(*reversed(axes[0].get_legend_handles_labels()), strict=True))
    figure.legend(shown.values(), shown.keys(), frameon=False, fontsize="small", loc="outside lower center", ncols=4)
    return figure


def draw_trade_off(axis: Axes, ranking: RangeRanking, *, held_out: bool = False, bars: Sequence[str] = ()) -> Any:
    """All rows that were measured, the front of the ranges and the floor; returns the points, for a colour bar.

    Args:
        axis: Where to draw.
        ranking: What was measured.
        held_out: Show scores on the held-out prompts.
        bars: Kinds of rows that get intervals over prompts; the best range always does.
    """
    validity = ranking.held_validity if held_out else ranking.validity
    diversity = ranking.held_diversity if held_out else ranking.diversity
    x, y = validity.mean(axis=1), diversity.mean(axis=1)
    limits = [ranking.interval(what, held_out=held_out) for what in ("validity", "diversity")]
    measured, n, best = np.isfinite(x), len(ranking.ranges), int(ranking.order[0])

    rows = np.flatnonzero(measured[:n])
    widths = np.array([ranking.ranges[i].width for i in rows])
    points = axis.scatter(x[rows], y[rows], c=widths, cmap="cividis", vmin=1, vmax=ranking.depth, s=13, linewidths=0,
                          label="ranges", zorder=2)  # fmt: skip
    if not held_out:  # a front of the few ranges that are held out would be that of a choice
        axis.plot(x[ranking.front], y[ranking.front], color="0.25", linewidth=1.1, label="Pareto front", zorder=3)
    soups = [i for i in ranking.rows("soup") if measured[i]]
    if soups:
        axis.plot(x[soups], y[soups], ".-", color=COLOURS["soup"], markersize=4, linewidth=0.9,
                  label="21 soups", zorder=2)  # fmt: skip
    for kind, mark in _MARKS.items():
        found = [i for i in ranking.rows(kind) if measured[i]]
        for i in found if kind in bars else ():
            _bars(axis, limits, i, COLOURS[kind])
        if found:
            axis.plot(x[found], y[found], mark, color=COLOURS[kind], markersize=6, label=_legend(kind), zorder=4)
    if bars and ranking.best_soup is not None and measured[ranking.best_soup]:
        _bars(axis, limits, ranking.best_soup, COLOURS["soup"])
    if measured[best]:
        _bars(axis, limits, best, COLOURS["best"])
        axis.plot(x[best], y[best], "*", color=COLOURS["best"], markeredgecolor="black", markersize=13,
                  label=f"best {ranking.best}", zorder=6)  # fmt: skip
    floor = float(ranking.floor * x[ranking.rows("tuned")[0]])
    axis.axvline(floor, color="0.4", linestyle="--", linewidth=1, label=f"floor, {ranking.floor:g} x tuned")
    axis.set(xlabel=VALIDITY, ylabel=DIVERSITY)
    axis.spines[["top", "right"]].set_visible(False)
    return points


def _bars(axis: Axes, limits: Sequence[Any], row: int, colour: str) -> None:
    """Intervals over prompts; none for a single prompt."""
    if not np.isfinite(limits[0].low[row]):
        return
    x, y = (found.estimate[row] for found in limits)
    ends = [np.array([[f.estimate[row] - f.low[row]], [f.high[row] - f.estimate[row]]]) for f in limits]
    axis.errorbar(x, y, xerr=np.maximum(ends[0], 0), yerr=np.maximum(ends[1], 0), color=colour, linewidth=1, zorder=5)


def _legend(kind: str) -> str:
    names = {"base": "base", "tuned": "tuned", "full": "all blocks restored", "random": "random sets of equal width"}
    return names.get(kind, f"{kind} blocks, equal width")
