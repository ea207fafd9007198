"""A `LayerTrace` as text, table for the terminal and figure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from slr_probe.pair.prompts import PLAIN_BASE
from slr_probe.show.charts.canvas import open_canvas
from slr_probe.show.charts.style import (
    BLACK,
    COLOURS,
    GREEN,
    ORANGE,
    PURPLE,
    by_block,
    line_with_band,
    open_frame,
    whole_numbers,
)
from slr_probe.show.words.format import estimate, estimates, html_table, html_text, numbers
from slr_probe.show.words.sentences import few_prompts

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from slr_probe.probes.lens.result import LayerTrace

_ROLES = {"base": "base", "tuned": "tuned", PLAIN_BASE: "full"}
OTHERS = (GREEN, PURPLE, ORANGE, BLACK)
LABELS = {
    "entropy": "entropy (nats)",
    "collapse": "entropy, base - tuned (nats)",
    "js": "JS, base and tuned (nats)",
    "kl_to_final": "KL to own last block (nats)",
    "validity": "probability of the answer set",
    "conditional_entropy": "entropy in answer set (nats)",
}
_DOTS: dict[str, Any] = {"marker": "o", "markersize": 3}


def text(trace: LayerTrace) -> str:
    """What was read, and where entropy collapses most."""
    head = f"LayerTrace: {', '.join(trace.models)}; {trace.depth} blocks, {len(trace.prompts)} prompts"
    if not _both(trace):
        return head
    collapse = trace.collapse()
    at = int(np.nanargmax(collapse.estimate))
    largest, last = estimate(collapse, at, "+.3f", unit=" nats"), estimate(collapse, -1, "+.3f")
    few = f".{said}" if (said := few_prompts(len(trace.prompts))) else ""
    return f"{head}\n  largest entropy collapse (base - tuned): {largest} at block {at}; at the last block {last}{few}"


def html(trace: LayerTrace) -> str:
    """The text and the first rows of the table, for Jupyter."""
    return html_text(text(trace)) + html_table(trace.to_dataframe())


def lines(trace: LayerTrace) -> tuple[list[str], list[list[str]]]:
    """A table for the terminal: a row a block with the entropy of each model, the collapse, and what answers tell."""
    plain = {PLAIN_BASE: "plain"}
    columns = {f"H {plain.get(name, name)}": _means(trace, "entropy", name) for name in trace.models}
    if _both(trace):
        columns["base - tuned"] = estimates(trace.collapse(), "+.2f")
        if trace.answers:
            columns["validity"] = _side_by_side(trace, "validity")
            columns["diversity"] = _side_by_side(trace, "conditional_entropy")
        else:
            columns["JS"] = _means(trace, "js")
    rows = zip(*columns.values(), strict=True)
    return ["block", *columns], [[str(block), *row] for block, row in enumerate(rows)]


def figure(trace: LayerTrace, **look: Any) -> Figure:
    """Entropy, KL to the last block and, where made, collapse, divergence and answers, over depth.

    Lines are means over prompts, bands their bootstrap intervals.

    Args:
        trace: What was read.
        **look: `ax`, `width` and `title`, see `open_canvas`.
    """
    panels = _panels(trace)
    columns = min(3, len(panels)) if len(panels) != 4 else 2
    rows = -(-len(panels) // columns)
    canvas = open_canvas(len(panels), columns, (4.0 * columns, 2.9 * rows + 0.4), sharex=True, **look)
    for axis, panel in zip(canvas.axes, panels, strict=True):
        _panel(axis, trace, panel)
    for axis in canvas.lowest:
        by_block(axis)
        axis.tick_params(labelbottom=True)
    canvas.legend(canvas.axes, columns=3 if columns < 3 else 0)
    return canvas.close(f"Logit lens, {len(trace.prompts)} prompts, bands {trace.confidence:.0%} over prompts")


def _panels(trace: LayerTrace) -> list[str]:
    between = ["collapse", "js"] if _both(trace) else []
    answers = ["validity", "conditional_entropy"] if trace.answers else []
    return ["entropy", *between, "kl_to_final", *answers]


def _panel(axis: Axes, trace: LayerTrace, panel: Any) -> None:
    if panel == "collapse":
        _collapse(axis, trace)
    elif panel == "js":
        line_with_band(axis, trace.interval("js"), color=BLACK, **_DOTS)
    else:
        for model in trace.models:
            style = "--" if model == PLAIN_BASE else "-"
            interval = trace.interval(panel, model)
            line_with_band(axis, interval, color=_colour(trace, model), label=model, linestyle=style, **_DOTS)
    if panel != "collapse":
        axis.set_ylim(bottom=0)
    axis.set_ylabel(LABELS[panel])
    whole_numbers(axis.xaxis)
    open_frame(axis)


def _collapse(axis: Axes, trace: LayerTrace) -> None:
    line_with_band(axis, trace.collapse(), color=BLACK, label="base - tuned", **_DOTS)
    if trace.answers:
        interval = trace.collapse("conditional_entropy")
        line_with_band(axis, interval, color=PURPLE, label="base - tuned, answer set", linestyle="--", **_DOTS)
    axis.axhline(0, color="0.6", linewidth=0.8)


def _colour(trace: LayerTrace, model: str) -> str:
    others = [name for name in trace.models if name not in _ROLES]
    return COLOURS[_ROLES[model]] if model in _ROLES else OTHERS[others.index(model) % len(OTHERS)]


def _both(trace: LayerTrace) -> bool:
    return {"base", "tuned"} <= set(trace.models)


def _means(trace: LayerTrace, measure: Any, model: str = "tuned") -> list[str]:
    return numbers(trace.interval(measure, model).estimate, ".2f")


def _side_by_side(trace: LayerTrace, measure: str) -> list[str]:
    """Means of base and tuned."""
    sides = [_means(trace, measure, model) for model in ("base", "tuned")]
    return ["/".join(pair) for pair in zip(*sides, strict=True)]
