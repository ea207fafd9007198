"""The profile over depth: what changed, what collapsed and what causes it, block under block."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from markupsafe import Markup
from numpy import ndarray

from slr_probe.layers import LayerRange
from slr_probe.study.report.svg import Scale, around, el, figure, label, path, text, tip

if TYPE_CHECKING:
    from slr_probe.stats.interval import Interval
    from slr_probe.study.folder import Findings

_WIDTH, _LEFT, _RIGHT, _TOP, _PANEL, _GAP = 640.0, 62.0, 534.0, 10.0, 112.0, 34.0


@dataclass(frozen=True)
class Line:
    """One curve over depth.

    Attributes:
        name: Its label.
        cls: Its style.
        at: Places on the depth axis: the number of a block is its middle.
        values: Its values.
        low: Lower limits; None for no interval.
        high: Upper limits.
    """

    name: str
    cls: str
    at: Sequence[float]
    values: Float[ndarray, " place"]
    low: Float[ndarray, " place"] | None = None
    high: Float[ndarray, " place"] | None = None


@dataclass(frozen=True)
class Panel:
    """Curves that share a unit.

    Attributes:
        title: What is shown, with its unit.
        lines: The curves.
        zero: Whether zero must be in view.
    """

    title: str
    lines: list[Line] = field(default_factory=list)
    zero: bool = True


def panels(found: Findings) -> list[Panel]:
    """Whatever of the profile was measured, from weights to causes."""
    made = [_delta(found), *_lens(found), *_patching(found), _mask(found)]
    return [panel for panel in made if panel is not None and panel.lines]


def profile(shown: Sequence[Panel], depth: int, chosen: str | None) -> Markup:
    """All panels on one depth axis, the chosen range shaded through all of them."""
    across = Scale(-0.5, depth - 0.5, _LEFT, _RIGHT)
    bottom = _TOP + len(shown) * (_PANEL + _GAP) - 8
    parts = [el("rect", x=0, y=_TOP + 18, width=0, height=bottom - _TOP - 18, cls="ghost", data_left=_LEFT,
                data_step=(_RIGHT - _LEFT) / depth)]  # fmt: skip
    if chosen:
        layers = LayerRange(chosen)
        left, right = across(layers.start - 0.5), across(layers.stop - 0.5)
        parts.append(el("rect", tip(f"chosen range {chosen}"), x=left, y=_TOP + 18, width=right - left,
                        height=bottom - _TOP - 18, cls="shade"))  # fmt: skip
    for i, panel in enumerate(shown):
        parts.append(_panel(panel, across, _TOP + i * (_PANEL + _GAP), depth))
    step = next(s for s in (1, 2, 4, 5, 8, 10, 16, 20, 40) if depth / s <= 20)
    parts += [text(str(b), across(b), bottom + 16, cls="tick mid") for b in range(0, depth, step)]
    parts.append(text("decoder block", (_LEFT + _RIGHT) / 2, bottom + 38, cls="axis mid"))
    return figure(_WIDTH, bottom + 48, "Profile over depth: " + "; ".join(panel.title for panel in shown), *parts,
                  cls="profile")  # fmt: skip


def _panel(panel: Panel, across: Scale, top: float, depth: int) -> str:
    inner, bottom = top + 24, top + _PANEL + 6
    ends = [end for line in panel.lines for end in (line.values, line.low, line.high) if end is not None]
    up = Scale(*around(np.concatenate([np.asarray(end, dtype=float) for end in ends]).tolist(), zero=panel.zero),
               bottom, inner)  # fmt: skip
    parts = [text(panel.title, _LEFT, top + 10, cls="title")]
    for tick in up.ticks(3):
        parts.append(el("path", d=path([(_LEFT, up(tick)), (_RIGHT, up(tick))]), cls="grid" if tick else "zero"))
        parts.append(text(label(tick), _LEFT - 8, up(tick) + 4, cls="tick end"))
    for line in panel.lines:
        x = [across(at) for at in line.at]
        if line.low is not None and line.high is not None:
            keep = [i for i in range(len(x)) if np.isfinite(line.low[i]) and np.isfinite(line.high[i])]
            outline = [(x[i], up(line.high[i])) for i in keep] + [(x[i], up(line.low[i])) for i in reversed(keep)]
            parts.append(el("path", d=path(outline, close=True), cls=f"band {line.cls}"))
    for line in panel.lines:
        points = [(across(at), up(value)) for at, value in zip(line.at, line.values, strict=True)]
        parts.append(el("path", d=path(points), cls=f"line {line.cls}"))
        parts += [el("circle", cx=x, cy=y, r=2.1, cls=f"dot {line.cls}") for x, y in points if np.isfinite(y)]
    parts += _names(panel, up, inner, bottom)
    width = (_RIGHT - _LEFT) / depth
    for block in range(depth):
        said = _said(panel, block)
        if said:
            parts.append(el("rect", tip("\n".join([f"block {block}", *said])), x=across(block) - width / 2, y=inner,
                            width=width, height=bottom - inner, cls="hit"))  # fmt: skip
    return el("g", *parts)


def _said(panel: Panel, block: int) -> list[str]:
    found = []
    for line in panel.lines:
        for i, at in enumerate(line.at):
            if abs(at - block) < 0.5 and np.isfinite(line.values[i]):
                limits = ""
                if line.low is not None and line.high is not None and np.isfinite(line.low[i]):
                    limits = f" [{line.low[i]:.3g}, {line.high[i]:.3g}]"
                found.append(f"{line.name} {line.values[i]:.3g}{limits}")
                break
    return found


def _names(panel: Panel, up: Scale, top: float, bottom: float) -> list[str]:
    """Names of the curves at their right ends, pushed apart where they would overlap."""
    ends = []
    for line in panel.lines:
        finite = [float(v) for v in line.values if np.isfinite(v)]
        ends.append((up(finite[-1]) if finite else bottom, line))
    ends.sort(key=lambda item: item[0])
    room, places = 17.0, [y for y, _ in ends]
    for i in range(1, len(places)):
        places[i] = max(places[i], places[i - 1] + room)
    over = places[-1] - (bottom + 4) if places else 0
    if over > 0:
        places = [y - over for y in places]
    return [text(line.name, _RIGHT + 8, y + 4, cls=f"name {line.cls}")
            for y, (_, line) in zip(places, ends, strict=True)]  # fmt: skip


def _line(name: str, cls: str, at: Sequence[float], interval: Interval) -> Line:
    return Line(name, cls, at, interval.estimate, interval.low, interval.high)


def _delta(found: Findings) -> Panel | None:
    if found.delta is None:
        return None
    table: Any = found.delta.to_dataframe(by="group")
    lines = []
    for group, cls in (("attention", "one"), ("mlp", "two")):
        rows = table[(table["group"] == group) & (table["block"] >= 0)].sort_values("block")
        if len(rows):
            lines.append(Line(group, cls, rows["block"].tolist(), rows["relative"].to_numpy()))
    return Panel("Weight change: norm of tuned − base over norm of base", lines)


def _lens(found: Findings) -> list[Panel]:
    trace = found.lens
    if trace is None or not {"base", "tuned"} <= set(trace.models):
        return []
    at = list(range(trace.depth))
    entropy = [_line(name, name, at, trace.interval("entropy", name)) for name in ("base", "tuned")]
    return [
        Panel("Logit-lens entropy after each block (nats)", entropy),
        Panel("Entropy collapse: base − tuned (nats)", [_line("collapse", "three", at, trace.collapse())]),
    ]


def _patching(found: Findings) -> list[Panel]:
    result = found.patching
    if result is None:
        return []
    at = []
    for window in result.windows:
        layers = LayerRange(window)
        at.append((layers.start + layers.stop - 1) / 2)
    made = []
    names = {"resid": ("residual", "three"), "attn": ("attention", "one"), "mlp": ("mlp", "two")}
    for direction, title in (("base->tuned", "base into tuned"), ("tuned->base", "tuned into base")):
        if direction in result.directions:
            lines = [_line(*names[c], at, result.effect(result.main_metric, direction, c)) for c in result.components]
            made.append(Panel(f"Patching {title}: effect on answer entropy (nats)", lines))
    return made


def _mask(found: Findings) -> Panel | None:
    mask = found.mask
    if mask is None:
        return None
    blocks, each = mask.blocks(), []
    for values in mask.values:  # a mask a seed
        total = np.bincount(mask.block, weights=values * mask.size, minlength=mask.depth)
        each.append(total / np.maximum(np.bincount(mask.block, weights=mask.size, minlength=mask.depth), 1))
    spread = (np.min(each, axis=0), np.max(each, axis=0)) if len(each) > 1 else (None, None)
    line = Line("gamma", "two", list(range(mask.depth)), blocks, *spread)
    return Panel("Learned mask: how much of each block's change is needed (0 to 1)", [line])
