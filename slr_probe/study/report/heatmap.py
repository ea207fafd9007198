"""Heat maps over all ranges: first block downwards, stop across."""

from __future__ import annotations

from typing import TYPE_CHECKING

from markupsafe import Markup

from slr_probe.study.report.svg import Scale, el, figure, label, text, tip, viridis

if TYPE_CHECKING:
    from slr_probe.rank.ranking import RangeRanking

_SIZE, _LEFT, _TOP, _PLOT = 440.0, 46.0, 8.0, 384.0


def heat_map(ranking: RangeRanking, what: str, chosen: str | None) -> Markup:
    """Mean validity or diversity of every range on the selection prompts, with its interval in the tooltip.

    Args:
        ranking: The ranking.
        what: `"validity"` or `"diversity"`.
        chosen: The range that is framed; None for none.
    """
    depth = ranking.depth
    cell = _PLOT / depth
    values = ranking.mean_validity if what == "validity" else ranking.mean_diversity
    spans = {name: ranking.interval(name) for name in ("validity", "diversity")}
    means = {"validity": ranking.mean_validity, "diversity": ranking.mean_diversity}
    shown = [values[i] for i in range(len(ranking.ranges)) if ranking.measured[i]]
    low, high = (min(shown), max(shown)) if shown else (0.0, 1.0)
    tuned = int(ranking.rows("tuned")[0])
    cells, framed = [], ""
    for i, layers in enumerate(ranking.ranges):
        if not ranking.measured[i]:
            continue
        share = (values[i] - low) / (high - low) if high > low else 0.5
        lines = [f"blocks {layers}" + ("" if ranking.feasible[i] else " (below the floor)")]
        for name, mean in means.items():
            limits = f" [{spans[name].low[i]:.3f}, {spans[name].high[i]:.3f}]"
            lines.append(f"{name} {mean[i]:.3f}{limits}, tuned {mean[tuned]:.3f}")
        place = {"x": _LEFT + (layers.stop - 1) * cell, "y": _TOP + layers.start * cell}
        cells.append(
            el(
                "rect",
                tip("\n".join(lines)),
                **place,
                width=cell,
                height=cell,
                fill=viridis(float(share)),
                cls="cell",
                data_range=str(layers),
            )
        )
        if str(layers) == chosen:
            ring = {**place, "width": cell, "height": cell, "fill": "none"}
            framed = el("rect", **ring, cls="frame-out") + el("rect", **ring, cls="frame")
    name = f"Heat map of {what}: rows are the first restored block, columns the first block not restored"
    return figure(
        _SIZE, _SIZE, name, el("g", *cells, shape_rendering="crispEdges"), _boundary(ranking, cell), framed,
        _axes(depth, cell), _bar(low, high, what), cls="heat",
    )  # fmt: skip


def _boundary(ranking: RangeRanking, cell: float) -> str:
    """A line around the ranges that meet the floor."""
    inside = {(r.start, r.stop) for i, r in enumerate(ranking.ranges) if ranking.feasible[i]}
    parts = []
    for start, stop in sorted(inside):
        left, right = _LEFT + (stop - 1) * cell, _LEFT + stop * cell
        top, bottom = _TOP + start * cell, _TOP + (start + 1) * cell
        for neighbour, (x1, y1, x2, y2) in (
            ((start - 1, stop), (left, top, right, top)),
            ((start + 1, stop), (left, bottom, right, bottom)),
            ((start, stop - 1), (left, top, left, bottom)),
            ((start, stop + 1), (right, top, right, bottom)),
        ):
            if neighbour not in inside:
                parts.append(f"M{x1:.2f} {y1:.2f}L{x2:.2f} {y2:.2f}")
    line = "".join(parts)
    return el("path", d=line, cls="floor-out") + el("path", d=line, cls="floor-in") if line else ""


def _axes(depth: int, cell: float) -> str:
    step = next(s for s in (1, 2, 4, 5, 8, 10, 16, 20, 40) if depth / s <= 12)
    bottom = _TOP + _PLOT
    marks = [text(str(i), _LEFT - 7, _TOP + (i + 0.5) * cell + 4, cls="tick end") for i in range(0, depth, step)]
    marks += [text(str(i), _LEFT + (i - 0.5) * cell, bottom + 16, cls="tick mid") for i in range(step, depth + 1, step)]
    middle = _TOP + _PLOT / 2
    marks.append(text("stop (first block not restored)", _LEFT + _PLOT / 2, bottom + 36, cls="axis mid"))
    marks.append(
        text("start (first restored block)", 13, middle, cls="axis mid", transform=f"rotate(-90 13 {middle:.1f})")
    )
    return "".join(marks)


def _bar(low: float, high: float, what: str) -> str:
    """The colour bar, in the corner where no range can be."""
    x, y, width = _LEFT + 12, _TOP + _PLOT - 44, 132.0
    steps = 44
    cells = [el("rect", x=x + i * width / steps, y=y, width=width / steps + 0.4, height=11.0,
                fill=viridis((i + 0.5) / steps)) for i in range(steps)]  # fmt: skip
    scale = Scale(low, high, x, x + width)
    ticks = [text(label(round(t, 6)), scale(t), y + 25, cls="tick mid") for t in scale.ticks(3)]
    return el("g", *cells, text(what, x, y - 7, cls="axis"), *ticks)
