"""Heat maps of ranges: a cell a range, its first block down and its stop across."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from jaxtyping import Bool, Float
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from numpy import ndarray

from slr_probe.errors import RankingError
from slr_probe.layers import LayerRange
from slr_probe.show.charts.canvas import open_canvas
from slr_probe.show.charts.marks import mark
from slr_probe.show.charts.scores import Scores
from slr_probe.show.charts.style import COLOURS, MAP
from slr_probe.show.charts.tradeoff import BEST, DIVERSITY, VALIDITY

STRIPES = {"ending": "////", "surprise": "\\\\\\\\", "drift": "----"}
"""Stripes over ranges that a guard excludes."""

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from slr_probe.rank.ranking import RangeRanking


def plot_maps(ranking: RangeRanking, **look: Any) -> Figure:
    """Heat maps of validity and diversity over start and stop; a line bounds what meets the floor, a frame the best.

    Stripes lie over ranges that keep the floor and are excluded by a guard.

    Args:
        ranking: What was measured.
        **look: `ax`, `width` and `title`, see `open_canvas`.

    Raises:
        RankingError: Not every range was measured.
    """
    if not ranking.measured[: len(ranking.ranges)].all():
        raise RankingError(f"method '{ranking.method}' did not measure every range; rank with method='sweep'")
    canvas = open_canvas(2, 2, (9, 4.1), **look)
    draw_maps(canvas.axes, ranking)
    if canvas.axes[0].get_legend_handles_labels()[0]:
        canvas.legend(canvas.axes)
    return canvas.close()


def plot_map(ranking: RangeRanking, what: str, *, chosen: LayerRange | str | None = BEST, **look: Any) -> Figure:
    """Heat map of one score of every range that was measured.

    Args:
        ranking: What was measured.
        what: `"validity"` or `"diversity"`.
        chosen: The range that is framed: `"best"`, blocks such as `"8:14"`, or None for none.
        **look: `ax`, `width` and `title`, see `open_canvas`.
    """
    canvas = open_canvas(1, 1, (4.9, 4.6), **look)
    _scores(canvas.axes[0], Scores.of(ranking), what, chosen)
    return canvas.close()


def draw_maps(axes: Iterable[Axes], ranking: RangeRanking) -> None:
    """Validity and diversity of every range, on two axes."""
    scores = Scores.of(ranking)
    for axis, what in zip(axes, ("validity", "diversity"), strict=True):
        _scores(axis, scores, what, BEST)


def _scores(axis: Axes, scores: Scores, what: str, chosen: LayerRange | str | None) -> None:
    """The map of one score, its cells marked, with the line of the floor and the frame."""
    ranking, rows = scores.ranking, scores.rows("range")
    ranges = [ranking.ranges[row] for row in rows]
    label = VALIDITY if what == "validity" else DIVERSITY
    cells = draw_map(axis, ranges, getattr(scores, what)[rows], ranking.depth, label)
    for cell, row in zip(cells, rows, strict=True):
        mark(cell, f"{what}-{ranking.ranges[row]}", scores.words(row))
    _boundary(axis, ranges, ranking.keeps_floor[rows])
    _failures(axis, ranking, rows)
    if chosen:
        draw_frame(axis, ranking.best if chosen == BEST else LayerRange(chosen))


def _failures(axis: Axes, ranking: RangeRanking, rows: list[int]) -> None:
    """Stripes over ranges that keep the floor and fail a guard on replies; each guard has a direction of its own."""
    said: set[str] = set()
    for row in rows:
        layers = ranking.ranges[row]
        for guard in ranking.excluded_by(row) if ranking.keeps_floor[row] else ():
            label = "" if guard in said else f"fails {guard}"
            said.add(guard)
            corner = (layers.stop - 0.5, layers.start - 0.5)
            style: dict[str, Any] = {"hatch": STRIPES[guard], "edgecolor": "0.35", "linewidth": 0, "label": label}
            axis.add_patch(Rectangle(corner, 1, 1, fill=False, clip_on=False, **style))


def draw_map(axis: Axes, ranges: Any, values: Float[ndarray, " range"], depth: int, label: str) -> list[Rectangle]:
    """A cell a range: the row is its first block, the column its stop; returns the cells."""
    colours = ScalarMappable(cmap=MAP)
    colours.set_array(values)
    colours.autoscale()
    cells = []
    for layers, colour in zip(ranges, colours.to_rgba(values), strict=True):
        corner = (layers.stop - 0.5, layers.start - 0.5)
        # Smoothed edges would leave thin lines between the cells.
        cell = Rectangle(corner, 1, 1, facecolor=colour, linewidth=0, antialiased=False, clip_on=False)
        axis.add_patch(cell)
        cells.append(cell)
    axis.set(xlim=(0.5, depth + 0.5), ylim=(depth - 0.5, -0.5), aspect="equal")
    axis.set(xlabel="stop (first block not restored)", ylabel="start (first restored block)")
    # No range stops before it starts, so that this corner is free.
    free = axis.inset_axes((0.03, 0.12, 0.36, 0.03))
    bar = axis.figure.colorbar(colours, cax=free, orientation="horizontal")
    bar.ax.set_title(label, fontsize="medium", loc="left")
    bar.outline.set_visible(False)
    bar.locator = MaxNLocator(3)
    for direction in (axis.xaxis, axis.yaxis):
        direction.set_major_locator(MaxNLocator(integer=True))
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    return cells


def _boundary(axis: Axes, ranges: Any, inside: Bool[ndarray, " range"]) -> None:
    """A line around all cells that are inside."""
    cells = {(layers.start, layers.stop) for layers, kept in zip(ranges, inside, strict=True) if kept}
    if len(cells) == len(inside):
        return
    lines = []
    for start, stop in sorted(cells):
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


def draw_frame(axis: Axes, best: LayerRange) -> None:
    """A frame around one cell."""
    place = (best.stop - 0.5, best.start - 0.5)
    for colour, width in (("black", 4.0), (COLOURS["best"], 2.4)):
        axis.add_patch(Rectangle(place, 1, 1, fill=False, edgecolor=colour, linewidth=width, zorder=4, clip_on=False))
