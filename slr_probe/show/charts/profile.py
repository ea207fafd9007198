"""Figure of the profile over depth: what changed, what collapsed and what causes it, block under block."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from slr_probe.layers import LayerRange
from slr_probe.show.charts.marks import mark
from slr_probe.show.charts.style import BLACK, BLUE, COLOURS, VERMILION, by_block, grid, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from slr_probe.probes.lens.result import LayerTrace
    from slr_probe.probes.mask.result import LayerMask
    from slr_probe.probes.patching.result import PatchingResult
    from slr_probe.probes.weights.result import WeightDelta
    from slr_probe.stats.interval import Interval

_GROUPS = {"attention": BLUE, "mlp": VERMILION}
_COMPONENTS = {"resid": ("residual", BLACK), "attn": ("attention", BLUE), "mlp": ("mlp", VERMILION)}
_DIRECTIONS = {"base->tuned": "base into tuned", "tuned->base": "tuned into base"}


@dataclass(frozen=True)
class Line:
    """One curve over depth.

    Attributes:
        name: Its label.
        colour: Its colour.
        blocks: The blocks of each value, such as `"3:4"`.
        values: Its values.
        limits: Lower and upper limits; None for no interval.
    """

    name: str
    colour: str
    blocks: Sequence[LayerRange]
    values: Float[ndarray, " place"]
    limits: tuple[Float[ndarray, " place"], Float[ndarray, " place"]] | None = None

    @property
    def middles(self) -> list[float]:
        """Places on the depth axis, where the number of a block is its middle."""
        return [(layers.start + layers.stop - 1) / 2 for layers in self.blocks]


@dataclass(frozen=True)
class Panel:
    """Curves that share a unit; `name` is short and `title` says what is shown, with its unit."""

    name: str
    title: str
    lines: Sequence[Line]


def plot_profile(
    *,
    delta: WeightDelta | None = None,
    lens: LayerTrace | None = None,
    patching: PatchingResult | None = None,
    mask: LayerMask | None = None,
    layers: LayerRange | str | None = None,
) -> Figure:
    """Whatever was measured over depth, a panel under a panel: weight change, entropy, patching and mask.

    Lines are estimates and bands their intervals; for a mask learned with several seeds, the band holds all of them.

    Args:
        delta: Weight change.
        lens: Logit lens of base and tuned.
        patching: Activation patching.
        mask: Learned mask.
        layers: A range to shade, such as the restored one.

    Raises:
        ValueError: There is nothing to show.
    """
    shown = [*_delta(delta), *_lens(lens), *_patching(patching), *_mask(mask)]
    if not shown:
        raise ValueError("a profile needs at least one of delta, lens (of base and tuned), patching and mask")
    depth = max(blocks.stop for panel in shown for line in panel.lines for blocks in line.blocks)
    figure = new_figure(5.2, 0.5 + 1.35 * len(shown))
    figure.set_layout_engine("constrained", h_pad=0.08)
    axes = figure.subplots(len(shown), 1, sharex=True, squeeze=False)[:, 0]
    for axis, panel in zip(axes, shown, strict=True):
        _draw(axis, panel)
        if layers is not None:
            inside = LayerRange(layers)
            axis.axvspan(inside.start - 0.5, inside.stop - 0.5, color=COLOURS["best"], alpha=0.14, linewidth=0)
    axes[-1].set_xlim(-0.5, depth - 0.5)
    by_block(axes[-1])
    return figure


def _draw(axis: Axes, panel: Panel) -> None:
    axis.set_title(panel.title, fontsize="medium", fontweight="bold", loc="left")
    for line in panel.lines:
        if line.limits is not None:
            axis.fill_between(line.middles, *line.limits, color=line.colour, alpha=0.18, linewidth=0)
        axis.plot(line.middles, line.values, color=line.colour, marker="o", markersize=2.8, markerfacecolor="white")
    axis.axhline(0, color="0.6", linewidth=0.8, zorder=0)
    grid(axis, "y")
    _name_lines(axis, panel.lines)
    _mark_blocks(axis, panel)


def _name_lines(axis: Axes, lines: Sequence[Line]) -> None:
    """Names of the curves at their right ends, pushed apart where they would overlap."""
    low, high = axis.get_ylim()
    room = 0.2  # height of a name, as a share of the panel
    ends = sorted(((_last(line) - low) / (high - low), line.name, line.colour) for line in lines)
    places = np.array([end for end, _, _ in ends])
    for i in range(1, len(places)):
        places[i] = max(places[i], places[i - 1] + room)
    places -= max(places[-1] - 0.9, 0)  # the title of the panel stands above
    for place, (_, name, colour) in zip(places, ends, strict=True):
        axis.text(1.02, place, name, color=colour, fontweight="bold", va="center", transform=axis.transAxes)


def _last(line: Line) -> float:
    finite = line.values[np.isfinite(line.values)]
    return float(finite[-1]) if len(finite) else 0.0


def _mark_blocks(axis: Axes, panel: Panel) -> None:
    """An invisible bar over each block, which says the values of all curves there."""
    from matplotlib.patches import Rectangle

    low, high = axis.get_ylim()
    said: dict[LayerRange, list[str]] = {}
    for line in panel.lines:
        for i, blocks in enumerate(line.blocks):
            if np.isfinite(line.values[i]):
                said.setdefault(blocks, []).append(_words(line, i))
    for blocks, words in said.items():
        bar = Rectangle((blocks.start - 0.5, low), blocks.width, high - low, fill=False, linewidth=0, clip_on=False)
        axis.add_patch(bar)
        title = f"block {blocks.start}" if blocks.width == 1 else f"blocks {blocks}"
        mark(bar, f"{panel.name}-{blocks}", "\n".join([title, *words]))
    axis.set_ylim(low, high)


def _words(line: Line, at: int) -> str:
    said = f"{line.name} {line.values[at]:.3g}"
    if line.limits is None or not np.isfinite(line.limits[0][at]):
        return said
    low, high = line.limits
    return f"{said} [{low[at]:.3g}, {high[at]:.3g}]"


def _line(name: str, colour: str, blocks: Sequence[LayerRange], found: Interval) -> Line:
    return Line(name, colour, blocks, found.estimate, (found.low, found.high))


def _each(depth: int) -> list[LayerRange]:
    return [LayerRange(block, block + 1) for block in range(depth)]


def _delta(delta: WeightDelta | None) -> list[Panel]:
    if delta is None:
        return []
    table = delta.to_dataframe(by="group")
    lines = []
    for group, colour in _GROUPS.items():
        rows = table[(table["group"] == group) & (table["block"] >= 0)].sort_values("block")
        blocks = [LayerRange(block, block + 1) for block in rows["block"]]
        lines.append(Line(group, colour, blocks, rows["relative"].to_numpy()))
    lines = [line for line in lines if line.blocks]
    return [Panel("weights", "Weight change: norm of tuned − base over norm of base", lines)] if lines else []


def _lens(trace: LayerTrace | None) -> list[Panel]:
    if trace is None or not {"base", "tuned"} <= set(trace.models):
        return []
    blocks = _each(trace.depth)
    entropy = [_line(name, COLOURS[name], blocks, trace.interval("entropy", name)) for name in ("base", "tuned")]
    collapse = _line("collapse", COLOURS["best"], blocks, trace.collapse())
    return [
        Panel("entropy", "Logit-lens entropy after each block (nats)", entropy),
        Panel("collapse", "Entropy collapse: base − tuned (nats)", [collapse]),
    ]


def _patching(result: PatchingResult | None) -> list[Panel]:
    if result is None:
        return []
    windows = [LayerRange(window) for window in result.windows]
    panels = []
    for direction, words in _DIRECTIONS.items():
        if direction in result.directions:
            lines = [
                _line(*_COMPONENTS[component], windows, result.effect(result.main_metric, direction, component))
                for component in result.components
            ]
            name, title = words.replace(" ", "-"), f"Patching {words}: effect on answer entropy (nats)"
            panels.append(Panel(name, title, lines))
    return panels


def _mask(mask: LayerMask | None) -> list[Panel]:
    if mask is None:
        return []
    sizes = np.bincount(mask.block, weights=mask.size, minlength=mask.depth)
    of_seeds = [
        np.bincount(mask.block, weights=values * mask.size, minlength=mask.depth) / np.maximum(sizes, 1)
        for values in mask.values
    ]
    limits = (np.min(of_seeds, axis=0), np.max(of_seeds, axis=0)) if len(of_seeds) > 1 else None
    line = Line("gamma", _GROUPS["mlp"], _each(mask.depth), mask.blocks(), limits)
    return [Panel("mask", "Learned mask: how much of each block's change is needed (0 to 1)", [line])]
