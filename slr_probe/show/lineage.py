"""A `Lineage` as text, table and figure: when diversity was lost, and where in depth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from slr_probe.scoring.metrics import metric as describe
from slr_probe.show.charts.canvas import open_canvas
from slr_probe.show.charts.style import (
    BLACK,
    MAP,
    by_block,
    colour,
    error_bars,
    line_with_band,
    open_frame,
)
from slr_probe.show.words.format import aligned, estimate, html_table, html_text, number, short
from slr_probe.show.words.sentences import few_prompts

if TYPE_CHECKING:
    from collections.abc import Iterable

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy import ndarray

    from slr_probe.lineage.result import Lineage
    from slr_probe.stats.interval import Interval


def text(lineage: Lineage) -> str:
    """Stage losses and retained percents by the main metric, then the mean over tasks by every metric."""
    chain = list(lineage.parents) == list(range(-1, len(lineage.stages) - 1))
    lines = [f"Lineage: {(' > ' if chain else ', ').join(lineage.stages)}"]
    lines += [f"\n{describe(lineage.metric).label}: stage loss in percent of base, and what is retained"]
    lines += [aligned(_main_rows(lineage))]
    if others := _other_rows(lineage):
        mean = ", mean over tasks" if len(lineage.tasks) > 1 else ""
        lines += [f"\nother metrics: stage loss{mean}", aligned([["metric", *lineage.later], *others])]
    if any(lineage.prompt_ids) and (few := few_prompts(int(lineage.change().prompts.max()))):
        lines += [few.strip()]
    if lineage.has_depth:
        lines += ["", *(_where(lineage, stage) for stage in lineage.later)]
    return "\n".join([*lines, *(f"note: {note}" for note in lineage.notes)])


def html(lineage: Lineage) -> str:
    """The text, and the table of the main metric, for Jupyter."""
    rows = lineage.to_dataframe()
    shown = rows[rows["metric"] == lineage.metric].drop(columns="metric")
    return html_text(text(lineage)) + html_table(shown, ".1f", max_rows=None)


def figure(lineage: Lineage, **look: Any) -> Figure:
    """Retained diversity by stage, losses by metric, weight change and entropy collapse over depth.

    Bars and bands are intervals over prompts. The lower row is left out where nothing is known of the layers.

    Args:
        lineage: What was measured.
        **look: `ax`, `width` and `title`, see `open_canvas`.
    """
    panels = [_retained, _losses, *([_weights, _collapse] if lineage.has_depth else [])]
    size, heights = ((9.6, 7.2), (1.25, 1)) if lineage.has_depth else ((9.6, 4.0), (1,))
    canvas = open_canvas(len(panels), 2, size, ratios=(1.25, 1), heights=heights, **look)
    for axis, draw in zip(canvas.axes, panels, strict=True):
        draw(axis, lineage)
    return canvas.close(f"When {'and where ' if lineage.has_depth else ''}diversity was lost")


# -- text ------------------------------------------------------------------------------------------------------------


def _main_rows(lineage: Lineage) -> list[list[str]]:
    """Header and a row a task: loss and what is retained at each stage."""
    change, places = lineage.change(), range(len(lineage.later))
    rows = [["task", *(title for stage in lineage.later for title in (stage, "retained"))]]
    for t, task in enumerate(lineage.tasks):
        rows.append([task, *_cells(change.loss, change.retained, [(t, s) for s in places])])
    if len(lineage.tasks) > 1:
        rows.append(["mean", *_cells(change.mean_loss, change.mean_retained, places)])
    return rows


def _cells(loss: Interval, retained: Interval, places: Iterable[Any]) -> list[str]:
    cells = []
    for at in places:
        left = number(retained.estimate[at], ".1f")
        cells += [_loss(loss, at), left and f"{left}%"]
    return cells


def _other_rows(lineage: Lineage) -> list[list[str]]:
    """A row for each further metric of diversity: mean loss at each stage."""
    rows = []
    for name in lineage.metrics:
        if name != lineage.metric and describe(name).role == "diversity":
            mean = lineage.change(name).mean_loss
            rows.append([describe(name).label, *(_loss(mean, s) for s in range(len(lineage.later)))])
    return rows


def _loss(losses: Interval, at: Any) -> str:
    return estimate(losses, at, "+.1f", ".1f", blank="undefined")


def _where(lineage: Lineage, stage: str) -> str:
    """In which block a stage changed weights and entropy most."""
    weights, added = lineage.weight_previous[lineage.stage(stage)], lineage.collapse(stage, previous=True)
    parts = []
    if np.isfinite(weights).any():
        block = int(np.nanargmax(weights))
        parts.append(f"weights changed most in block {block} ({weights[block]:.2%})")
    if np.isfinite(added.estimate).any():
        block = int(np.nanargmax(added.estimate))
        most = estimate(added, block, "+.3f", ".3f", unit=" nats")
        parts.append(f"largest added entropy collapse {most} at block {block}")
    return f"{stage}: {'; '.join(parts)}"


# -- figure ----------------------------------------------------------------------------------------------------------


def _retained(axis: Axes, lineage: Lineage) -> None:
    """What each task retains over the stages, and the mean over tasks."""
    change = lineage.change()
    left, mean = change.retained, change.mean_retained
    series = [
        (short(task), left.estimate[t], error_bars(left, t), colour(t), 1.2) for t, task in enumerate(lineage.tasks)
    ]
    if len(lineage.tasks) > 1:
        series.append(("mean", mean.estimate, error_bars(mean), BLACK, 2.2))
    for i, (label, percents, bars, tint, width) in enumerate(series):
        places = np.arange(len(lineage.stages)) + 0.05 * (i - (len(series) - 1) / 2)  # beside each other
        values = np.array([100.0, *percents])
        for stage, parent in list(enumerate(lineage.parents))[1:]:
            step = [parent, stage]
            axis.plot(places[step], values[step], color=tint, linewidth=width)
        look: dict[str, Any] = {"fmt": "o", "color": tint, "markersize": 4, "elinewidth": 0.9, "label": label}
        axis.errorbar(places, values, yerr=np.column_stack([np.zeros(2), bars]), **look)
    axis.axhline(100, color="0.75", linewidth=0.8, linestyle="--", zorder=0)
    axis.set_ylim(bottom=min(0.0, axis.get_ylim()[0]))
    axis.set_xticks(range(len(lineage.stages)), _wrapped(lineage.stages))
    axis.set_ylabel(f"{describe(lineage.metric).label}\nretained, % of base")
    axis.legend(frameon=False, fontsize="small", loc="upper center", bbox_to_anchor=(0.5, -0.1), ncols=2)
    open_frame(axis)


def _losses(axis: Axes, lineage: Lineage) -> None:
    """Stage loss by metric and task, in numbers and colours."""
    from matplotlib.colors import TwoSlopeNorm

    rows = _loss_rows(lineage)
    if not rows:
        axis.set_visible(False)
        return
    table = np.array([losses for _, losses in rows])
    bound = max(float(np.nanmax(np.abs(table))), 1.0)
    axis.imshow(table, cmap="PuOr", norm=TwoSlopeNorm(0, -bound, bound), aspect="auto")
    for (i, j), value in np.ndenumerate(table):
        tint = "white" if abs(value) > 0.6 * bound else "black"
        axis.text(j, i, f"{value:+.0f}", ha="center", va="center", fontsize="small", color=tint)
    axis.set_xticks(range(len(lineage.later)), _wrapped(lineage.later))
    axis.set_yticks(range(len(rows)), [label for label, _ in rows], fontsize="small")
    axis.set_title("stage loss, % of base", fontsize="medium")
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)


def _loss_rows(lineage: Lineage) -> list[tuple[str, ndarray]]:
    """Mean losses by every metric of diversity, and those of each task by the main one."""
    rows = []
    for name in lineage.metrics:
        change, label = lineage.change(name), describe(name).label
        if describe(name).role != "diversity" or not change.defined.any():
            continue
        several = change.defined.sum() > 1
        if several or len(lineage.metrics) > 1:
            rows.append((f"{label} (mean)" if several else label, change.mean_loss.estimate))
        if name == lineage.metric:
            tasks = np.flatnonzero(change.defined)
            rows += [(f"{label}, {short(lineage.tasks[t])}", change.loss.estimate[t]) for t in tasks]
    return rows


def _weights(axis: Axes, lineage: Lineage) -> None:
    """Weight change of each stage by block."""
    table = np.ma.masked_invalid(100 * lineage.weight_previous[1:])
    image = axis.imshow(table, cmap=MAP, aspect="auto", vmin=0)
    axis.figure.colorbar(image, ax=axis, label="||change|| / ||stage before||, %")
    axis.set_yticks(range(len(lineage.later)), lineage.later)
    by_block(axis)
    axis.set_title("weight change of each stage", fontsize="medium")
    axis.spines[:].set_visible(False)


def _collapse(axis: Axes, lineage: Lineage) -> None:
    """Entropy collapse of each stage by block."""
    for s, stage in enumerate(lineage.later):
        look = {"color": colour(s), "label": stage, "marker": "o", "markersize": 3}
        line_with_band(axis, lineage.collapse(stage), alpha=0.18, **look)
    axis.axhline(0, color="0.6", linewidth=0.8)
    by_block(axis)
    axis.set_ylabel("entropy, base - stage (nats)")
    axis.set_title("entropy collapse (logit lens)", fontsize="medium")
    axis.legend(frameon=False, fontsize="small")
    open_frame(axis)


def _wrapped(stages: Iterable[str]) -> list[str]:
    """Names of stages, a branch's over two lines; a dollar sign is one, and begins no formula."""
    return [name.replace("/", "/\n").replace("$", r"\$") for name in stages]
