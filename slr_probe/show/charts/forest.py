"""How far each model of a report is from the reference, on the measures that were fixed for each task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from slr_probe.scoring.metrics import metric
from slr_probe.show.charts.canvas import open_canvas
from slr_probe.show.charts.marks import mark
from slr_probe.show.charts.style import COLOURS, grid
from slr_probe.show.words.format import estimate, short
from slr_probe.stats.interval import FEWEST

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from slr_probe.comparison.report import ScoreReport

_ROLES = {"better": "soup", "worse": "tuned"}
_UNCLEAR = "0.5"


def plot_differences(report: ScoreReport, **place: Any) -> Figure:
    """Differences to the reference with intervals: a row of panels a task, one for each primary metric.

    The chosen models stand first. Green is better, red worse, grey not shown to differ: the interval holds zero or,
    for chosen models, the difference does not survive the adjustment for many comparisons.

    Args:
        report: The report.
        **place: `ax`, `width` and `title`; see `open_canvas`.
    """
    models = [*report.chosen, *(name for name in report.models[1:] if name not in report.chosen)]
    shown = [(task, name) for task, names in zip(report.tasks, report.primary, strict=True) for name in names]
    beside = max(map(len, report.primary))
    size = (2.9 * beside, 0.3 + (0.75 + 0.26 * len(models)) * len(report.tasks))
    canvas = open_canvas(len(shown), beside, size, sharey=True, **place)
    for axis, (task, name) in zip(canvas.axes, shown, strict=True):
        _panel(axis, report, task, name, models)
        if axis in canvas.axes[:: canvas.columns]:
            _name_rows(axis, report, models)
        if name == report.primary[report.task(task)][0]:
            axis.set_title(short(task), fontsize="medium", fontweight="bold", loc="left")
    canvas.axes[0].set_ylim(len(models) - 0.5, -0.5)
    canvas.figure.supxlabel(f"difference to {report.reference}", fontsize="medium")
    return canvas.close()


def _name_rows(axis: Axes, report: ScoreReport, models: Sequence[str]) -> None:
    """Names of the models; the chosen ones stand out where there are others."""
    axis.set_yticks(range(len(models)), models)
    if len(report.chosen) < len(models):
        for label in axis.get_yticklabels()[: len(report.chosen)]:
            label.set(color=COLOURS["best"], fontweight="bold")


def _panel(axis: Axes, report: ScoreReport, task: str, name: str, models: Sequence[str]) -> None:
    found = report.comparisons.difference
    for i, model in enumerate(models):
        at = (report.task(task), report.model(model), report.metrics.index(name))
        if not np.isfinite(found.estimate[at]):
            axis.annotate("undefined", (0, i), (6, 0), textcoords="offset points", va="center", fontstyle="italic")
            continue
        role = _ROLES.get(report.compared(task, model, name))
        colour = COLOURS[role] if role else _UNCLEAR
        size = 6.5 if model in report.chosen else 5
        axis.plot([found.low[at], found.high[at]], [i, i], color=colour, linewidth=1.8)
        axis.plot(found.estimate[at], i, "o", color=colour, markersize=size)
    axis.axvline(0, color="0.6", linewidth=0.8, zorder=0)
    grid(axis, "x")
    axis.set_xlabel(metric(name).label)
    _mark_rows(axis, report, task, name, models)


def _mark_rows(axis: Axes, report: ScoreReport, task: str, name: str, models: Sequence[str]) -> None:
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
        reference = found.mean.estimate[t, 0, column]
        lines = [
            f"{model}, {task}",
            f"{metric(name).label} {found.mean.estimate[at]:.3g}, {report.reference} {reference:.3g}",
            f"difference {estimate(found.difference, at, '+.3g', '.3g')}",
            _outcome(report, task, model, name),
        ]
        mark(bar, f"difference-{t}-{side}-{i}", "\n".join(lines))
    axis.set_xlim(low, high)


def _outcome(report: ScoreReport, task: str, model: str, name: str) -> str:
    found = report.compared(task, model, name)
    if found == "undefined":
        return f"not compared: fewer than {FEWEST} prompts"
    return f"{found} than {report.reference}" if found in ("better", "worse") else "not shown to differ"
