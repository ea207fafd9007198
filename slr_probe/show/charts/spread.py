"""Figure of the two diversities: that of the proxy task against the spread of openings, with their Pareto front."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from slr_probe.errors import RankingError
from slr_probe.show.charts.canvas import open_canvas
from slr_probe.show.charts.style import COLOURS, open_frame, through
from slr_probe.show.charts.tradeoff import DIVERSITY

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from slr_probe.rank.ranking import RangeRanking

SPREAD = "spread of openings (nats)"


def plot_spread(ranking: RangeRanking, **look: Any) -> Figure:
    """Every range by diversity and spread; a line joins the allowed ones that no other beats in both.

    Args:
        ranking: What was measured.
        **look: `ax`, `width` and `title`, see `open_canvas`.

    Raises:
        RankingError: No replies were read.
    """
    if not ranking.has_replies:
        raise RankingError("no replies were read in this ranking; rank a pair that is not streamed, with guards")
    canvas = open_canvas(1, 1, (5.6, 4.2), **look)
    (axis,) = canvas.axes
    draw_spread(axis, ranking)
    canvas.legend(canvas.axes, columns=3)
    return canvas.close(f"two diversities, {ranking.prompts(held_out=False)} prompts")


def draw_spread(axis: Axes, ranking: RangeRanking) -> None:
    """Allowed and excluded ranges, tuned and base, the front of the allowed ones, and the best of the ranking."""
    diversity, spread, n = ranking.mean_diversity, ranking.mean_spread, len(ranking.ranges)
    allowed, measured = ranking.feasible[:n], ranking.measured[:n]
    groups = {"excluded": (measured & ~allowed, "0.75"), "allowed": (measured & allowed, "0.35")}
    for label, (rows, colour) in groups.items():
        axis.plot(diversity[:n][rows], spread[:n][rows], "o", color=colour, markersize=3.5, label=f"{label} ranges")
    front = ranking.spread_front
    axis.plot(diversity[front], spread[front], "o-", color="black", markersize=4, linewidth=1.1, label="Pareto front")
    for kind, marker in (("tuned", "s"), ("base", "D")):
        for row in ranking.rows(kind)[:1]:
            axis.plot(diversity[row], spread[row], marker, color=COLOURS[kind], markersize=6, label=kind)
    best = int(ranking.order[0])
    look: dict[str, Any] = {
        "color": through(COLOURS["best"]),
        "markeredgecolor": "black",
        "markersize": 13,
        "zorder": 5,
    }
    axis.plot(diversity[best], spread[best], "*", label=f"best {ranking.best}", **look)
    axis.set(xlabel=DIVERSITY, ylabel=SPREAD)
    open_frame(axis)
