"""One palette and one look for all figures. matplotlib is loaded when a figure is drawn."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from io import BytesIO
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from slr_probe.errors import SlrProbeError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from slr_probe.stats.interval import Interval

BLACK, ORANGE, SKY, GREEN = "#000000", "#e69f00", "#56b4e9", "#009e73"
BLUE, VERMILION, PURPLE = "#0072b2", "#d55e00", "#cc79a7"
PALETTE = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY)
"""Okabe and Ito's colours, which colour-blind readers can tell apart, as series take them; black is left for means."""
ROLES = {
    "base": BLUE,
    "tuned": VERMILION,
    "best": PURPLE,
    "soup": GREEN,
    "full": SKY,
    "early": ORANGE,
    "late": ORANGE,
    "random": ORANGE,
    "rival": BLACK,
}
"""The library's own colour of each role."""
_OWN: ContextVar[Mapping[str, Any]] = ContextVar("palette")


class _Colours(Mapping[str, Any]):
    """One colour a role in every figure: that of the palette that is asked for, else the library's."""

    def __getitem__(self, role: str) -> Any:
        return _OWN.get({}).get(role, ROLES[role])

    def __iter__(self) -> Iterator[str]:
        return iter(ROLES)

    def __len__(self) -> int:
        return len(ROLES)


COLOURS = _Colours()
"""One colour a role in every figure."""
MAP = "viridis"
COMPONENTS = ("q", "k", "v", "qkv", "o", "router", "gate", "up", "gate_up", "down")
"""Order of the matrices of a block, from its input to its output."""
_DPI = 100
_SCREEN = "image/png"


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of a size in inches.

    It is made without pyplot, which would keep it alive and choose a backend for the whole process.
    """
    from matplotlib.figure import Figure

    show_figures()
    return Figure(figsize=(width, height), layout="constrained")


@contextmanager
def use_palette(palette: Mapping[str, Any] | None) -> Iterator[None]:
    """Figures drawn inside have other colours.

    Args:
        palette: Colours by role (see `ROLES`), as matplotlib takes them; roles that are left out keep theirs.

    Raises:
        SlrProbeError: An unknown role, or what matplotlib does not know as a colour.
    """
    if palette:
        from matplotlib.colors import is_color_like

        if not isinstance(palette, Mapping):
            raise SlrProbeError(f"palette gives colours by role, such as {{'tuned': 'black'}}; got {palette!r}")
        wrong = [role for role, colour in palette.items() if role not in ROLES or not is_color_like(colour)]
        if wrong:
            raise SlrProbeError(
                f"palette gives colours by role, such as {{'tuned': 'black'}}; got {wrong[0]!r}: "
                f"{palette[wrong[0]]!r}; roles are {', '.join(ROLES)}"
            )
    token = _OWN.set(palette or {})
    try:
        yield
    finally:
        _OWN.reset(token)


def colour(index: int) -> str:
    """The colour of a series by its place."""
    return PALETTE[index % len(PALETTE)]


def in_order(components: Any) -> list[str]:
    """Names of components, each once: matrices from a block's input to its output, then others as they come."""
    names = list(dict.fromkeys(components))
    return [name for name in COMPONENTS if name in names] + [name for name in names if name not in COMPONENTS]


def by_block(axis: Axes, label: str = "decoder block") -> None:
    """Whole blocks from left to right."""
    axis.set_xlabel(label)
    whole_numbers(axis.xaxis)


def whole_numbers(direction: Any) -> None:
    """Ticks at whole numbers alone, along one axis."""
    from matplotlib.ticker import MaxNLocator

    direction.set_major_locator(MaxNLocator(integer=True))


def percent(direction: Any) -> None:
    """Ticks in percent, along one axis."""
    from matplotlib.ticker import PercentFormatter

    direction.set_major_formatter(PercentFormatter(1.0))


def open_frame(axis: Axes) -> None:
    """No lines above and on the right."""
    axis.spines[["top", "right"]].set_visible(False)


def grid(axis: Axes, direction: Literal["x", "y"]) -> None:
    """Faint lines at a few values along one axis, in place of a frame."""
    axis.locator_params(axis=direction, nbins=4)
    axis.grid(axis=direction, color="0.9", linewidth=0.6)
    axis.set_axisbelow(True)
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)


def draw_box(axis: Axes, x: Any, y: Any, colour: Any, label: str = "") -> None:
    """A faint box around points, such as those of random controls; nothing for fewer than two."""
    from matplotlib.patches import Rectangle

    inside = np.isfinite(x) & np.isfinite(y)
    if inside.sum() < 2:
        return
    (left, low), (right, high) = ((f(x[inside]), f(y[inside])) for f in (np.min, np.max))
    look: dict[str, Any] = {"facecolor": colour, "edgecolor": colour, "alpha": 0.18, "linewidth": 1, "zorder": 0.5}
    axis.add_patch(Rectangle((left, low), right - left, high - low, joinstyle="round", label=label, **look))


def through(colour: Any) -> tuple[float, float, float, float]:
    """A colour through which marks below can be seen: for the star of what was chosen."""
    from matplotlib.colors import to_rgba

    return to_rgba(colour, 0.5)


def line_with_band(axis: Axes, interval: Interval, places: Any = None, *, alpha: float = 0.2, **style: Any) -> None:
    """A line through estimates, and a band between their limits.

    Args:
        axis: Where to draw.
        interval: Estimates and limits.
        places: Where each stands, in any order; default: 0, 1, 2, ...
        alpha: Opacity of the band.
        **style: Of the line; the band takes its colour.
    """
    x = np.arange(len(interval.estimate)) if places is None else np.asarray(places)
    order = np.argsort(x, kind="stable")
    x, low, high = x[order], interval.low[order], interval.high[order]
    axis.plot(x, interval.estimate[order], **style)
    axis.fill_between(x, low, high, color=style["color"], alpha=alpha, linewidth=0)


def error_bars(interval: Interval, at: Any = ...) -> Any:
    """Lengths of the bars below and above estimates, for `Axes.errorbar`; 0 where there are no limits."""
    lengths = np.array([interval.estimate[at] - interval.low[at], interval.high[at] - interval.estimate[at]])
    return np.nan_to_num(lengths).clip(min=0)


def show_figures() -> None:
    """Let Jupyter show a figure as an image, which it does by itself only after pyplot; the user's own way stays."""
    from matplotlib.figure import Figure

    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    formatters = getattr(getattr(shell, "display_formatter", None), "formatters", {})
    if _SCREEN in formatters and Figure not in formatters[_SCREEN]:
        formatters[_SCREEN].for_type(Figure, png)


def png(figure: Figure) -> bytes:
    """The figure as a PNG file."""
    data = BytesIO()
    figure.savefig(data, format="png", dpi=_DPI, metadata={"Software": None})
    return data.getvalue()
