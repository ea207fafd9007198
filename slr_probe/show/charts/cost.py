"""Figure of what entropy costs: divergence from tuned against entropy, over temperature."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from slr_probe.errors import RankingError
from slr_probe.rank.frontier import TEMPERATURES
from slr_probe.show.charts.canvas import open_canvas
from slr_probe.show.charts.style import COLOURS, open_frame

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from slr_probe.rank.ranking import RangeRanking


def plot_cost(ranking: RangeRanking, *, warmest: float = 2.0, **look: Any) -> Figure:
    """Tuned and the best range over temperature, inside replies; a point at temperature 1.

    What lies lower at the same entropy stays nearer to tuned.

    Args:
        ranking: What was measured.
        warmest: The highest temperature that is drawn.
        **look: `ax`, `width` and `title`, see `open_canvas`.

    Raises:
        RankingError: No replies were read.
    """
    if not ranking.curve_entropy.shape[-1]:
        raise RankingError("no replies were read in this ranking; rank a pair that is not streamed, with guards")
    canvas = open_canvas(1, 1, (5.6, 3.9), **look)
    (axis,) = canvas.axes
    some, one = np.array(TEMPERATURES) <= warmest, TEMPERATURES.index(1.0)
    for row, entropy, drift in zip(ranking.curve_rows, ranking.curve_entropy, ranking.curve_drift, strict=True):
        tuned = row == ranking.tuned
        name = "tuned" if tuned else f"blocks {ranking.ranges[row]}"
        colour = COLOURS["tuned" if tuned else "best"]
        x, y = entropy.mean(axis=1), drift.mean(axis=1)
        label = f"{name}, T {TEMPERATURES[0]:g} to {max(np.array(TEMPERATURES)[some]):g}"
        axis.plot(x[some], y[some], ".-", color=colour, linewidth=1.2, markersize=4, label=label)
        style: dict[str, Any] = {"color": colour, "markeredgecolor": "black", "markersize": 9, "clip_on": False}
        axis.plot(x[one], y[one], "s" if tuned else "*", zorder=4, **style)
    if ranking.cost is not None:
        axis.axvline(ranking.cost.entropy, color="0.6", linewidth=0.8, linestyle="--", zorder=1)
    axis.set(xlabel="entropy of the next token (nats)", ylabel="KL to tuned at T = 1 (nats a token)")
    axis.set_ylim(bottom=0)
    open_frame(axis)
    canvas.legend(canvas.axes, columns=2)
    return canvas.close(f"what entropy costs inside replies, {ranking.curve_entropy.shape[-1]} prompts")
