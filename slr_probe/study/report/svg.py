"""Vector graphics as text: elements, scales, ticks, colours, marks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Any

from markupsafe import Markup

_VIRIDIS = (
    "440154 471063 481f70 472d7b 443983 404688 3b528b 365d8d 31688e 2c728e 287c8e 24868e 21918c "
    "1f9a8a 20a486 28ae80 35b779 48c16e 5ec962 75d054 90d743 addc30 c8e020 e5e419 fde725"
).split()
"""Equally spaced colours of matplotlib's viridis, between which we interpolate."""


def el(name: str, *children: str, **attributes: Any) -> str:
    """An element. `cls` is class, underscores in names are hyphens; None leaves an attribute out.

    Examples:
        >>> el("rect", x=1.0, width=2.3456, cls="cell", data_tip='a "b"')
        '<rect x="1" width="2.35" class="cell" data-tip="a &quot;b&quot;"/>'
    """
    parts = [name]
    for key, value in attributes.items():
        if value is not None:
            key = "class" if key == "cls" else key.replace("_", "-")
            parts.append(f'{key}="{escape(num(value) if isinstance(value, float) else str(value))}"')
    inner = "".join(children)
    return f"<{' '.join(parts)}>{inner}</{name}>" if inner else f"<{' '.join(parts)}/>"


def text(content: str, x: float, y: float, **attributes: Any) -> str:
    """A line of text, escaped."""
    return el("text", escape(content), x=float(x), y=float(y), **attributes)


def tip(content: str) -> str:
    """The tooltip of the element that it is put into."""
    return f"<title>{escape(content)}</title>"


def num(value: float) -> str:
    """A coordinate: two decimals, no trailing zeros."""
    return f"{value:.2f}".rstrip("0").rstrip(".") if "." in f"{value:.2f}" else f"{value:.2f}"


def path(points: Sequence[tuple[float, float]], *, close: bool = False) -> str:
    """Path data of a line through points; points that are not finite break it."""
    parts, pen = [], "M"
    for x, y in points:
        if not (math.isfinite(x) and math.isfinite(y)):
            pen = "M"
            continue
        parts.append(f"{pen}{num(x)} {num(y)}")
        pen = "L"
    return "".join(parts) + ("Z" if close and parts else "")


def figure(width: float, height: float, label: str, *children: str, cls: str = "") -> Markup:
    """A whole drawing with an accessible name; it can be walked with the arrow keys."""
    return Markup(
        el(
            "svg",
            *children,
            viewBox=f"0 0 {num(width)} {num(height)}",
            role="group",
            aria_label=label,
            tabindex="0",
            cls=f"plot {cls}".strip(),
            xmlns="http://www.w3.org/2000/svg",
        )
    )


class Scale:
    """A linear map from data to coordinates.

    Examples:
        >>> Scale(0, 1, 100, 0)(0.25)
        75.0
    """

    def __init__(self, low: float, high: float, start: float, stop: float) -> None:
        self.low, self.high = float(low), float(high) if high > low else float(low) + 1.0
        self.start, self.stop = float(start), float(stop)

    def __call__(self, value: float) -> float:
        """The coordinate of a value."""
        return self.start + (float(value) - self.low) / (self.high - self.low) * (self.stop - self.start)

    def ticks(self, count: int = 5) -> list[float]:
        """Round values inside the scale, about `count` of them.

        Examples:
            >>> Scale(0.03, 0.98, 0, 1).ticks(5)
            [0.2, 0.4, 0.6, 0.8]
        """
        raw = (self.high - self.low) / max(count, 1)
        size = 10.0 ** math.floor(math.log10(raw))
        step = next(size * m for m in (1, 2, 5, 10) if size * m >= raw * 0.65)
        first = math.ceil(self.low / step - 1e-9)
        return [round(i * step, 12) for i in range(first, math.floor(self.high / step + 1e-9) + 1)]


def around(values: Sequence[float], *, share: float = 0.06, zero: bool = False) -> tuple[float, float]:
    """Limits that hold all finite values with some room."""
    finite = [float(v) for v in values if math.isfinite(v)] + ([0.0] if zero else [])
    if not finite:
        return 0.0, 1.0
    low, high = min(finite), max(finite)
    room = (high - low) * share or max(abs(high), 1.0) * share
    return low - room, high + room


def label(value: float) -> str:
    """A number on an axis, short.

    Examples:
        >>> [label(v) for v in (0.0, 0.2, -1.5, 0.015)]
        ['0', '0.2', '−1.5', '0.015']
    """
    return f"{value:.6g}".replace("-", "−")


def viridis(share: float) -> str:
    """The colour at a share of the map from 0 to 1.

    Examples:
        >>> viridis(0.0), viridis(1.0)
        ('#440154', '#fde725')
    """
    at = min(max(share, 0.0), 1.0) * (len(_VIRIDIS) - 1)
    i = min(int(at), len(_VIRIDIS) - 2)
    one, other = ([int(c[k : k + 2], 16) for k in (0, 2, 4)] for c in _VIRIDIS[i : i + 2])
    return "#" + "".join(f"{round(a + (b - a) * (at - i)):02x}" for a, b in zip(one, other, strict=True))


def mark(kind: str, x: float, y: float, size: float, **attributes: Any) -> str:
    """A marker: circle, square, diamond, left, right, cross or star."""
    if kind == "circle":
        return el("circle", *attributes.pop("inside", ()), cx=x, cy=y, r=size, **attributes)
    shapes: dict[str, list[tuple[float, float]]] = {
        "square": [(-0.85, -0.85), (0.85, -0.85), (0.85, 0.85), (-0.85, 0.85)],
        "diamond": [(0, -1.2), (1.2, 0), (0, 1.2), (-1.2, 0)],
        "left": [(-1.1, 0), (0.8, -1), (0.8, 1)],
        "right": [(1.1, 0), (-0.8, -1), (-0.8, 1)],
        "cross": [(0, -0.35), (0.7, -1.05), (1.05, -0.7), (0.35, 0), (1.05, 0.7), (0.7, 1.05), (0, 0.35),
                  (-0.7, 1.05), (-1.05, 0.7), (-0.35, 0), (-1.05, -0.7), (-0.7, -1.05)],
        "star": [(r * math.sin(i * math.pi / 5), -r * math.cos(i * math.pi / 5))
                 for i in range(10) for r in [1.5 if i % 2 == 0 else 0.64]],
    }  # fmt: skip
    outline = path([(x + size * a, y + size * b) for a, b in shapes[kind]], close=True)
    return el("path", *attributes.pop("inside", ()), d=outline, **attributes)
