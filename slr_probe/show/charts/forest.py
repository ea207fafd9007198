"""Figure of a `ValidationReport`: how far each model is from tuned, on the two measures fixed for each task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from slr_probe.scoring.metrics import metric
from slr_probe.show.charts.marks import mark
from slr_probe.show.charts.style import COLOURS, grid, new_figure
from slr_probe.show.words.format import short

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from slr_probe.validation.result import ValidationReport

_COLOURS = {"better": COLOURS["soup"], "worse": COLOURS["tuned"], "unclear": "0.5", "undefined": "0.5"}
_WORDS = {
    "better": "better than tuned",
    "worse": "worse than tuned",
    "unclear": "not shown to differ",
    "undefined": "not shown to differ",
}


def plot_differences(report: ValidationReport) -> Figure:
    """Differences to tuned with intervals: a row of panels a task, diversity on the left and quality on the right.

    Hybrids stand first. Green is better, red worse, grey not shown to differ: the interval holds zero or, for the
    hybrid, the difference does not survive the adjustment for many comparisons.
    """
    baselines = [model for model in report.models if model != "tuned" and model not in report.hybrids]
    models = [*report.hybrids, *baselines]
    height = (0.75 + 0.26 * len(models)) * len(report.tasks)
    figure = new_figure(5.8, 0.3 + height)
    figure.set_layout_engine("constrained", h_pad=0.08, w_pad=0.08)
    axes = figure.subplots(len(report.tasks), 2, sharey=True, squeeze=False)
    for row, task in zip(axes, report.tasks, strict=True):
        for axis, name in zip(row, report.primary[report.task(task)], strict=True):
            _panel(axis, report, task, name, models)
        row[0].set_yticks(range(len(models)), models)
        for label in row[0].get_yticklabels()[: len(report.hybrids)]:
            label.set(color=COLOURS["best"], fontweight="bold")
        row[0].set_ylim(len(models) - 0.5, -0.5)
        row[1].xaxis.label.set(horizontalalignment="right", x=1.0)
        row[0].set_title(short(task), fontsize="medium", fontweight="bold", loc="left")
    figure.supxlabel("difference to tuned", fontsize="medium")
    return figure


def _panel(axis: Axes, report: ValidationReport, task: str, name: str, models: Sequence[str]) -> None:
    found = report.comparisons.difference
    for i, model in enumerate(models):
        at = (report.task(task), report.model(model), report.metrics.index(name))
        if not np.isfinite(found.estimate[at]):
            axis.annotate("undefined", (0, i), (6, 0), textcoords="offset points", va="center", fontstyle="italic")
            continue
        colour = _COLOURS[report.compared(task, model, name)]
        size = 6.5 if model in report.hybrids else 5
        axis.plot([found.low[at], found.high[at]], [i, i], color=colour, linewidth=1.8)
        axis.plot(found.estimate[at], i, "o", color=colour, markersize=size)
    axis.axvline(0, color="0.6", linewidth=0.8, zorder=0)
    grid(axis, "x")
    axis.set_xlabel(metric(name).label)
    _mark_rows(axis, report, task, name, models)


def _mark_rows(axis: Axes, report: ValidationReport, task: str, name: str, models: Sequence[str]) -> None:
    """An invisible bar over each row, which says the values there."""
    from matplotlib.patches import Rectangle

    low, high = axis.get_xlim()
    found, t, column = report.comparisons, report.task(task), report.metrics.index(name)
    side = report.primary[t].index(name)
    for i, model in enumerate(models):
        at = (t, report.model(model), column)
        if not np.isfinite(found.difference.estimate[at]):
            continue
        bar = Rectangle((low, i - 0.5), high - low, 1, fill=False, linewidth=0, clip_on=False)
        axis.add_patch(bar)
        limits = f"[{found.difference.low[at]:.3g}, {found.difference.high[at]:.3g}]"
        tuned = found.mean.estimate[t, report.model("tuned"), column]
        lines = [
            f"{model}, {task}",
            f"{metric(name).label} {found.mean.estimate[at]:.3g}, tuned {tuned:.3g}",
            f"difference {found.difference.estimate[at]:+.3g} {limits}",
            _WORDS[report.compared(task, model, name)],
        ]
        mark(bar, f"difference-{t}-{side}-{i}", "\n".join(lines))
    axis.set_xlim(low, high)
