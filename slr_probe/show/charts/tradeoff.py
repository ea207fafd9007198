"""Figure of the trade-off: diversity against validity of every range, beside references, soups and controls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.lines import Line2D

from slr_probe.rank.frontier import TEMPERATURES
from slr_probe.show.charts.canvas import open_canvas
from slr_probe.show.charts.marks import mark
from slr_probe.show.charts.scores import NAMES, Scores
from slr_probe.show.charts.style import COLOURS, draw_box, through

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from slr_probe.layers import LayerRange
    from slr_probe.rank.ranking import RangeRanking

VALIDITY = "validity (probability)"
DIVERSITY = "diversity (fraction of log |V|)"
BEST = "best"
_MARKERS = {"tuned": "s", "base": "D", "full": "d", "early": "<", "late": ">", "random": "x"}
_PARTS = {"attention": "1", "mlp": "2", "half": "+"}
_BARRED = ("tuned", "base", "full", "early", "late")


def plot_trade_off(
    ranking: RangeRanking, *, held_out: bool = True, chosen: LayerRange | str | None = BEST, **look: Any
) -> Figure:
    """Diversity against validity with intervals: on the selection prompts and, where there are any, held-out prompts.

    Held-out prompts show the ranges, the soup and the controls that were scored on them; no choice was made there.

    Args:
        ranking: What was measured.
        held_out: Show the held-out prompts as well.
        chosen: The range that gets a star: `"best"`, blocks such as `"8:14"`, or None for none.
        **look: `ax`, `width` and `title`, see `open_canvas`.
    """
    both = held_out and ranking.held_validity.shape[1] > 0
    panels, size = (2, (10, 4.6)) if both else (1, (5.6, 5.2))
    canvas = open_canvas(panels, panels, size, sharex=True, sharey=True, **look)
    for axis, held in zip(canvas.axes, (False, True), strict=False):
        colours = draw_trade_off(axis, ranking, held_out=held, bars=_BARRED, chosen=chosen)
        prompts = (ranking.held_validity if held else ranking.validity).shape[1]
        axis.set_title(f"{prompts} {'held-out' if held else 'selection'} prompts", fontsize="medium")
        axis.label_outer()
    canvas.figure.colorbar(colours, ax=list(canvas.axes), label="blocks restored", shrink=0.85)
    canvas.legend(canvas.axes, columns=4 if both else 2, size="medium")
    return canvas.close()


def draw_trade_off(
    axis: Axes,
    ranking: RangeRanking,
    *,
    held_out: bool = False,
    bars: Sequence[str] = (),
    chosen: LayerRange | str | None = BEST,
) -> ScalarMappable:
    """All rows that were measured, the front of the ranges and the floor; returns the colours, for a colour bar.

    Args:
        axis: Where to draw.
        ranking: What was measured.
        held_out: Show scores on the held-out prompts.
        bars: Kinds of rows that get intervals over prompts; the chosen range always does.
        chosen: The range that gets a star: `"best"`, blocks such as `"8:14"`, or None for none.
    """
    scores = Scores.of(ranking, held_out=held_out)
    star = int(ranking.order[0]) if chosen == BEST else ranking.index(chosen) if chosen else None
    if not held_out:  # a front of the few ranges that are held out would be that of a choice
        front = ranking.front
        axis.plot(scores.validity[front], scores.diversity[front], color="0.25", linewidth=1.1, label="Pareto front")
    colours = _ranges(axis, scores, star)
    _wider(axis, scores)
    _soups(axis, scores, bars)
    _warmer(axis, scores)
    for kind in _MARKERS:
        _references(axis, scores, kind, bars)
    if star is not None and np.isfinite(scores.validity[star]):
        _bars(axis, scores, star, COLOURS["best"])
        label = f"{'best' if chosen == BEST else 'chosen'} {ranking.ranges[star]}"
        style: dict[str, Any] = {"color": through(COLOURS["best"]), "markeredgecolor": "black", "zorder": 6}
        style["markersize"] = 13  # what lies under the star shows through
        _point(axis, scores, star, "*", **style)
        axis.plot([], [], "*", label=label, **style)
    floor = float(ranking.floor * scores.validity[ranking.tuned])
    axis.axvline(floor, color="0.4", linestyle="--", linewidth=1, label=f"floor, {ranking.floor:g} x tuned")
    axis.set(xlabel=VALIDITY, ylabel=DIVERSITY)
    axis.spines[["top", "right"]].set_visible(False)
    return colours


def _ranges(axis: Axes, scores: Scores, star: int | None) -> ScalarMappable:
    """A point a range, coloured by the number of blocks that it restores."""
    ranking = scores.ranking
    colours = ScalarMappable(Normalize(1, ranking.depth), "cividis")
    shades = colours.to_rgba(np.array([layers.width for layers in ranking.ranges]))
    style: dict[str, Any] = {"markersize": 3.8, "markeredgecolor": "0.5", "markeredgewidth": 0.6, "zorder": 2}
    for row in scores.rows("range"):
        if row != star:
            _point(axis, scores, row, "o", color=shades[row], **style)
    axis.plot([], [], "o", label="ranges", color=colours.cmap(0.5), **style)
    return colours


def _wider(axis: Axes, scores: Scores) -> None:
    """Families beyond whole ranges: small marks, and a larger one for the best of each."""
    look: dict[str, Any] = {"color": "0.55", "linestyle": "none", "zorder": 2}
    for found in scores.ranking.wider:
        rows, marker = scores.rows(found.family), _PARTS[found.family]
        axis.plot(
            scores.validity[rows],
            scores.diversity[rows],
            marker=marker,
            markersize=4,
            label=NAMES[found.family],
            **look,
        )
        axis.plot(scores.validity[found.row], scores.diversity[found.row], marker=marker, markersize=11, **look)


def _soups(axis: Axes, scores: Scores, bars: Sequence[str]) -> None:
    rows = scores.rows("soup")
    if not rows:
        return
    style: dict[str, Any] = {"color": COLOURS["soup"], "zorder": 2}
    axis.plot(scores.validity[rows], scores.diversity[rows], linewidth=0.9, **style)
    for row in rows:
        _point(axis, scores, row, ".", markersize=4, **style)
    axis.plot([], [], ".-", label=NAMES["soup"], markersize=4, linewidth=0.9, **style)
    best = scores.ranking.best_soup
    if bars and best in rows:
        _bars(axis, scores, best, COLOURS["soup"])


def _warmer(axis: Axes, scores: Scores) -> None:
    """Tuned and the best range over temperature; the frame does not reach for what is far from all models."""
    ranking = scores.ranking
    validity, diversity = ranking.curve_validity, ranking.curve_diversity
    if scores.held_out:
        validity, diversity = ranking.held_curve_validity, ranking.held_curve_diversity
    for row, x, y in zip(ranking.curve_rows, validity, diversity, strict=False):
        name, colour = ("tuned", COLOURS["tuned"]) if row == ranking.tuned else ("best range", COLOURS["best"])
        label = f"{name}, T {TEMPERATURES[0]:g} to {TEMPERATURES[-1]:g}"
        style: dict[str, Any] = {"marker": ".", "linestyle": ":", "linewidth": 1, "markersize": 3, "zorder": 3}
        axis.add_artist(Line2D(x.mean(axis=1), y.mean(axis=1), color=colour, label=label, **style))


def _references(axis: Axes, scores: Scores, kind: str, bars: Sequence[str]) -> None:
    rows = scores.rows(kind)
    style: dict[str, Any] = {"color": COLOURS[kind], "markersize": 6, "zorder": 4}
    if kind == "random":
        draw_box(axis, scores.validity[rows], scores.diversity[rows], COLOURS[kind])
    for row in rows:
        if kind in bars:
            _bars(axis, scores, row, COLOURS[kind])
        _point(axis, scores, row, _MARKERS[kind], **style)
    if rows:
        axis.plot([], [], _MARKERS[kind], label=NAMES[kind], **style)


def _point(axis: Axes, scores: Scores, row: int, marker: str, **style: Any) -> None:
    """One row of a ranking, with its name and what is to be said of it."""
    ranking = scores.ranking
    key = ranking.ranges[row] if row < len(ranking.ranges) else f"{ranking.kinds[row]}-{row}"
    (point,) = axis.plot(scores.validity[row], scores.diversity[row], marker, clip_on=False, **style)
    mark(point, f"{'held-out' if scores.held_out else 'trade-off'}-{key}", scores.words(row))


def _bars(axis: Axes, scores: Scores, row: int, colour: str) -> None:
    """Intervals over prompts; none for a single prompt."""
    if not np.isfinite(scores.limits[0].low[row]):
        return
    x, y = (found.estimate[row] for found in scores.limits)
    lengths = [
        np.maximum([[found.estimate[row] - found.low[row]], [found.high[row] - found.estimate[row]]], 0)
        for found in scores.limits
    ]
    axis.errorbar(x, y, xerr=lengths[0], yerr=lengths[1], color=colour, linewidth=1, zorder=5)
