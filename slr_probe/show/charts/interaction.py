"""Figure of the interaction of early and late restoration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from slr_probe.show.charts.canvas import open_canvas
from slr_probe.show.charts.style import COLOURS, open_frame, whole_numbers

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from slr_probe.rank.ranking import RangeRanking


def plot_interaction(ranking: RangeRanking, **look: Any) -> Figure:
    """What restoring blocks on both sides of a split brings beyond the sum of both, with paired intervals.

    Args:
        ranking: What was measured.
        **look: `ax`, `width` and `title`, see `open_canvas`.

    Raises:
        RankingError: Not every range was measured, or there is a single prompt.
    """
    found = ranking.interaction()
    canvas = open_canvas(1, 1, (5.6, 3.6), **look)
    (axis,) = canvas.axes
    splits = np.arange(1, ranking.depth)
    axis.axhline(0, color="0.4", linewidth=0.8)
    axis.fill_between(splits, found.low, found.high, color=COLOURS["best"], alpha=0.25, linewidth=0)
    axis.plot(splits, found.estimate, "o-", color=COLOURS["best"], markersize=3.5, linewidth=1.2)
    axis.set(xlabel="split k (first block of the late part)", ylabel="D(0:L) - D(0:k) - D(k:L) + D(tuned)")
    whole_numbers(axis.xaxis)
    open_frame(axis)
    return canvas.close(f"interaction of early and late blocks, {ranking.prompts(held_out=False)} prompts")
