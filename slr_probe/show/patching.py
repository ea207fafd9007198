"""A `PatchingResult` as text, table for the terminal and figure."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from slr_probe.show.charts.canvas import open_canvas
from slr_probe.show.charts.style import BLACK, BLUE, VERMILION, line_with_band, whole_numbers
from slr_probe.show.words.format import estimate, estimates, html_table, html_text, numbers
from slr_probe.show.words.sentences import few_prompts

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from slr_probe.probes.patching.result import PatchingResult

COLOURS = {"resid": BLACK, "attn": BLUE, "mlp": VERMILION}
MARKERS = {"resid": "s", "attn": "o", "mlp": "^"}
LABELS = {"resid": "residual stream", "attn": "attention output", "mlp": "MLP output"}
UNITS = {
    "validity": "validity (probability)",
    "conditional_entropy": "diversity (nats)",
    "diversity": "diversity (share of log |V|)",
    "entropy": "entropy (nats)",
}
GREY = "0.35"


def text(result: PatchingResult) -> str:
    """The largest effect in each direction, and where recovered fractions mean nothing."""
    sizes = f"{len(result.components)} components x {len(result.windows)} windows, {len(result.prompts)} prompts"
    lines = [f"PatchingResult: {', '.join(result.directions)}; {sizes}, {result.positions} position(s)"]
    for direction in result.directions:
        lines.append(f"  {direction}: {_largest(result, direction)}")
        if reason := result.undefined(result.main_metric, direction):
            lines.append(f"    recovered fractions are undefined: {reason}")
    if result.self_change is not None:
        lines.append(f"  patching a model with itself changes its logits by at most {result.self_change.max():.2g}")
    if few := few_prompts(len(result.prompts)):
        lines.append(f" {few}")
    return "\n".join(lines)


def html(result: PatchingResult) -> str:
    """The text and the first rows of the table, for Jupyter."""
    return html_text(text(result)) + html_table(result.to_dataframe())


def lines(result: PatchingResult) -> tuple[list[str], list[list[str]]]:
    """A table for the terminal: what each patch does to the main metric, and to validity where there is one."""
    title = {"conditional_entropy": "diversity"}.get(result.main_metric, result.main_metric)
    columns = ["direction", "part", "blocks", f"change in {title}", "recovered"]
    columns += ["random"] if result.random is not None else []
    columns += ["validity"] if "validity" in result.metrics else []
    rows = []
    for direction in result.directions:
        for component in result.components:
            cells = _cells(result, direction, component)
            rows += [[direction, component, *row] for row in zip(result.windows, *cells, strict=True)]
    return columns, rows


def figure(result: PatchingResult, metric: str | None = None, **look: Any) -> Figure:
    """Effect of every patch over depth, a column a direction; with answers, diversity above and validity below.

    Lines are means over prompts of patched minus unpatched recipient, bands their bootstrap intervals, dotted lines the
    random direction. The dashed line is the unpatched donor; the right axis gives the recovered fraction where the
    two models can be told apart.

    Args:
        result: What was measured.
        metric: Show this metric alone.
        **look: `ax`, `width` and `title`, see `open_canvas`.
    """
    metrics = [metric or result.main_metric]
    metrics += ["validity"] if metric is None and "validity" in result.metrics else []
    columns = len(result.directions)
    size = (5.0 * columns, 2.9 * len(metrics) + 0.5)
    canvas = open_canvas(len(metrics) * columns, columns, size, sharex=True, **look)
    panels = list(product(metrics, result.directions))
    for axis, (name, direction) in zip(canvas.axes, panels, strict=True):
        _panel(axis, result, name, direction)
        if name == metrics[0] or canvas.columns < columns:
            donor, recipient = direction.split("->")
            axis.set_title(f"{donor} activations into {recipient}", fontsize="medium")
    for axis in canvas.lowest:
        axis.set_xlabel(_depth_label(result))
    canvas.legend(canvas.axes[:1], place="outside upper center")
    return canvas.close()


def _largest(result: PatchingResult, direction: str) -> str:
    """The window and component with the largest effect on the main metric."""
    effects = {component: result.effect(result.main_metric, direction, component) for component in result.components}
    sizes = {name: np.nan_to_num(np.abs(effect.estimate)) for name, effect in effects.items()}
    component = max(sizes, key=lambda name: float(sizes[name].max()))
    at = int(sizes[component].argmax())
    effect = estimate(effects[component], at, "+.3f", blank="undefined")
    return f"largest effect on {result.main_metric} is {effect} by {component} of blocks {result.windows[at]}"


def _cells(result: PatchingResult, direction: str, component: str) -> list[list[str]]:
    metric = result.main_metric
    cells = [
        estimates(result.effect(metric, direction, component), "+.2f"),
        numbers(result.recovered(metric, direction, component).estimate, ".2f"),
    ]
    if result.random is not None:
        cells.append(numbers(result.effect(metric, direction, component, "random").estimate, "+.2f"))
    if "validity" in result.metrics:
        cells.append(numbers(result.effect("validity", direction, component).estimate, "+.2f"))
    return cells


def _panel(axis: Axes, result: PatchingResult, metric: str, direction: str) -> None:
    _effects(axis, result, metric, direction)
    gap = float(result.gap(metric, direction).estimate[0])
    axis.axhline(0, color="0.6", linewidth=0.8)
    axis.axhline(gap, color=GREY, linewidth=1.0, linestyle="--", label="unpatched donor")
    axis.set_ylabel(f"change in {UNITS.get(metric, metric)}")
    whole_numbers(axis.xaxis)
    axis.spines["top"].set_visible(False)
    if result.undefined(metric, direction):
        axis.spines["right"].set_visible(False)
        axis.text(0.02, 0.02, "recovered fraction undefined", transform=axis.transAxes, fontsize="small", color=GREY)
    else:
        scales: Any = (lambda change: change / gap, lambda fraction: fraction * gap)
        axis.secondary_yaxis("right", functions=scales).set_ylabel("recovered fraction")


def _effects(axis: Axes, result: PatchingResult, metric: str, direction: str) -> None:
    """A line and a band for each component over the centres of its windows; random directions dotted and fainter."""
    centres = np.array([(start + stop - 1) / 2 for start, stop in _bounds(result)])
    for component in result.components:
        effect, colour = result.effect(metric, direction, component), COLOURS[component]
        look = {"color": colour, "marker": MARKERS[component], "markersize": 3.5, "label": LABELS[component]}
        line_with_band(axis, effect, centres, alpha=0.18, **look)
        if result.random is not None:
            control = result.effect(metric, direction, component, "random")
            line_with_band(axis, control, centres, alpha=0.08, color=colour, linestyle=":", linewidth=1.2)
    if result.random is not None:
        axis.plot([], [], ":", color=GREY, linewidth=1.2, label="random direction, as long")


def _bounds(result: PatchingResult) -> list[tuple[int, int]]:
    """First and last block plus one of each window."""
    return [(int(start), int(stop)) for start, stop in (window.split(":") for window in result.windows)]


def _depth_label(result: PatchingResult) -> str:
    widths = {stop - start for start, stop in _bounds(result)}
    where = "answer position" if result.positions == "answer" else "all positions"
    return f"patched decoder block, {where}" if widths == {1} else f"centre of patched blocks, {where}"
