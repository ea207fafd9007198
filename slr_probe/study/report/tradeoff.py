"""The trade-off: diversity against validity of every range, of references, soups and controls."""

from __future__ import annotations

from typing import TYPE_CHECKING

from markupsafe import Markup

from slr_probe.study.report.svg import Scale, around, el, figure, label, mark, path, text, tip

if TYPE_CHECKING:
    from slr_probe.rank.ranking import RangeRanking
    from slr_probe.stats.interval import Interval

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 640.0, 470.0, 62.0, 624.0, 14.0, 416.0

_BARRED = ("chosen", "tuned", "base", "full", "early", "late")

MARKS = {
    "range": ("circle", "range", "ranges that keep the floor"),
    "below": ("circle", "below", "ranges below the floor"),
    "chosen": ("star", "chosen", "chosen range"),
    "tuned": ("square", "tuned", "tuned"),
    "base": ("diamond", "base", "base, same prompts"),
    "full": ("diamond", "full", "all blocks restored"),
    "soup": ("circle", "soup", "uniform soups"),
    "early": ("left", "control", "early blocks, equal width"),
    "late": ("right", "control", "late blocks, equal width"),
    "random": ("cross", "control", "random sets, equal width"),
}
"""Shape, class and meaning of each kind of point."""


def trade_off(ranking: RangeRanking, chosen: str | None) -> Markup:
    """Every row of a ranking, with intervals on those that have a name."""
    x, y = ranking.mean_validity, ranking.mean_diversity
    spans = ranking.interval("validity"), ranking.interval("diversity")
    rows = [i for i in range(len(ranking.kinds)) if ranking.measured[i]]
    barred = [i for i in rows if _kind(ranking, i, chosen) in _BARRED]
    ends = [[float(end) for i in barred for end in (span.low[i], span.high[i])] for span in spans]
    across = Scale(
        *around([*(float(x[i]) for i in rows), ranking.required_validity, *ends[0]], share=0.03), _LEFT, _RIGHT
    )
    up = Scale(*around([*(float(y[i]) for i in rows), *ends[1]], share=0.03), _BOTTOM, _TOP)
    n = len(ranking.ranges)
    points: dict[str, list[str]] = {"below": [], "range": [], "soup": [], "control": [], "named": []}
    labels = []
    for i in rows:
        kind = _kind(ranking, i, chosen)
        shape, cls, meaning = MARKS[kind]
        name = f"blocks {ranking.ranges[i]}" if i < n else _other(ranking, i, meaning)
        place = across(x[i]), up(y[i])
        size = {"range": 3.4, "below": 2.8, "soup": 2.6, "chosen": 7.5}.get(kind, 5.6)
        point = mark(shape, *place, size, cls=f"pt {cls}", inside=(tip(f"{name}\n{_scores(spans, x, y, i)}"),),
                     data_range=str(ranking.ranges[i]) if i < n else None)  # fmt: skip
        named = kind in ("chosen", "tuned", "base", "full", "early", "late", "random")
        layer = "named" if kind in ("chosen", "tuned", "base", "full") else "control" if named else kind
        points[layer].append((_whiskers(spans, i, across, up, cls) if i in barred else "") + point)
        if kind in ("chosen", "tuned", "base"):
            labels.append(_label(chosen if kind == "chosen" and chosen else kind, *place, cls))
    soups = [i for i in ranking.rows("soup") if ranking.measured[i]]
    lines = [
        el("path", d=path([(across(x[i]), up(y[i])) for i in soups]), cls="line soup"),
        el("path", d=path([(across(x[i]), up(y[i])) for i in ranking.front]), cls="line front"),
    ]
    layers = [el("g", *found) for found in points.values()]
    return figure(
        _WIDTH, _HEIGHT, "Trade-off between validity and diversity of every range, references and controls",
        _frame(across, up), _floor(ranking, across), *lines, *layers, *labels, cls="trade near",
    )  # fmt: skip


def legend(ranking: RangeRanking, chosen: str | None) -> list[tuple[Markup, str]]:
    """Symbol and meaning of each kind of point that is there."""
    kinds = {_kind(ranking, i, chosen) for i in range(len(ranking.kinds)) if ranking.measured[i]}
    found = []
    for kind, (shape, cls, meaning) in MARKS.items():
        if kind in kinds:
            size = 4.6 if kind != "chosen" else 5.5
            symbol = el("svg", mark(shape, 8.0, 8.0, size, cls=f"pt {cls}"), viewBox="0 0 16 16", aria_hidden="true",
                        cls="key")  # fmt: skip
            found.append((Markup(symbol), f"chosen range, {chosen}" if kind == "chosen" else meaning))
    return found


def _kind(ranking: RangeRanking, row: int, chosen: str | None) -> str:
    if row >= len(ranking.ranges):
        return str(ranking.kinds[row])
    if str(ranking.ranges[row]) == chosen:
        return "chosen"
    return "range" if ranking.feasible[row] else "below"


def _other(ranking: RangeRanking, row: int, meaning: str) -> str:
    kind = str(ranking.kinds[row])
    recipe = ranking.recipes[row]
    if kind == "soup":
        return f"soup, {1 - recipe.blocks[0].default:.0%} base" if hasattr(recipe.blocks[0], "default") else str(recipe)
    if kind in ("early", "late", "random"):
        return f"{meaning}: blocks {', '.join(map(str, sorted(recipe.restored_blocks)))}"
    return meaning


def _scores(spans: tuple[Interval, Interval], x: object, y: object, i: int) -> str:
    lines = []
    for name, values, span in (("validity", x, spans[0]), ("diversity", y, spans[1])):
        lines.append(f"{name} {values[i]:.3f} [{span.low[i]:.3f}, {span.high[i]:.3f}]")  # type: ignore[index]
    return "\n".join(lines)


def _whiskers(spans: tuple[Interval, Interval], i: int, across: Scale, up: Scale, cls: str) -> str:
    one, other = spans
    centre = across(one.estimate[i]), up(other.estimate[i])
    ends = [
        [(across(one.low[i]), centre[1]), (across(one.high[i]), centre[1])],
        [(centre[0], up(other.low[i])), (centre[0], up(other.high[i]))],
    ]
    return "".join(el("path", d=path(pair), cls=f"whisker {cls}") for pair in ends)


def _label(content: str, x: float, y: float, cls: str) -> str:
    left = x > (_LEFT + _RIGHT) / 2
    return text(content, x - 12 if left else x + 12, y - 9, cls=f"name {cls}" + (" end" if left else ""))


def _frame(across: Scale, up: Scale) -> str:
    parts = []
    for tick in across.ticks(6):
        at = across(tick)
        parts.append(el("path", d=path([(at, _TOP), (at, _BOTTOM)]), cls="grid"))
        parts.append(text(label(tick), at, _BOTTOM + 18, cls="tick mid"))
    for tick in up.ticks(6):
        at = up(tick)
        parts.append(el("path", d=path([(_LEFT, at), (_RIGHT, at)]), cls="grid"))
        parts.append(text(label(tick), _LEFT - 8, at + 4, cls="tick end"))
    middle = (_TOP + _BOTTOM) / 2
    parts.append(text("validity (probability of a valid answer)", (_LEFT + _RIGHT) / 2, _BOTTOM + 42, cls="axis mid"))
    parts.append(text("diversity (share of log |V|)", 15, middle, cls="axis mid", transform=f"rotate(-90 15 {middle})"))
    return "".join(parts)


def _floor(ranking: RangeRanking, across: Scale) -> str:
    at = across(ranking.required_validity)
    room = el("rect", x=_LEFT, y=_TOP, width=max(at - _LEFT, 0.0), height=_BOTTOM - _TOP, cls="outside")
    line = el("path", d=path([(at, _TOP), (at, _BOTTOM)]), cls="floor")
    return room + line + text(f"floor, {ranking.floor:g} × tuned", at - 6, _BOTTOM - 8, cls="tick end note")
