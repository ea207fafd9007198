"""An `OutputComparison` as text, table and figure; and what a `ValidationReport` shows alike."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from slr_probe.scoring.metrics import metric
from slr_probe.show.charts.forest import plot_differences
from slr_probe.show.words.format import aligned, estimate, html_rows, html_text, number, p_value, with_limits
from slr_probe.show.words.samples import side_by_side
from slr_probe.show.words.sentences import few_prompts
from slr_probe.show.words.validation import decimals
from slr_probe.stats.compare import is_confirmed

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from slr_probe.comparison import OutputComparison, ScoreReport

_METHOD = (
    "Means and differences have {level:.0%} bootstrap intervals over prompts, paired. p is adjusted by\n"
    "Holm's method: for all comparisons of the first metrics (*), and apart from them for all others."
)


def text(report: OutputComparison) -> str:
    """A table of all metrics for each task, and samples side by side."""
    parts = [heading(report)]
    for task in report.tasks:
        columns, rows = every_line(report, task)
        parts.append(f"\n{task}\n" + aligned([columns, *rows], left=(0, 1)))
        if few := few_prompts(report.fewest(task)):
            parts.append(few.strip())
    parts += ["", _METHOD.format(level=report.level), *(f"note: {note}" for note in report.notes)]
    for example in report.examples:
        samples = dict(zip(report.models, zip(example.texts, example.finished, strict=True), strict=True))
        parts.append("\n" + side_by_side(example.prompt, samples))
    return "\n".join(parts)


def html(report: OutputComparison) -> str:
    """For Jupyter: a table a task."""
    parts = [html_text(heading(report))]
    for task in report.tasks:
        parts.append(f"<b>{escape(task)}</b>{html_rows(*every_line(report, task))}")
    return "".join([*parts, f"<small>{escape(_METHOD.format(level=report.level))}</small>"])


def figure(report: OutputComparison, **options: Any) -> Figure:
    """Differences to the reference on the first metrics of each task, with intervals."""
    return plot_differences(report, **options)


def heading(report: ScoreReport) -> str:
    """How many models and how much text."""
    sizes = zip(report.tasks, report.prompt_ids, report.samples, strict=True)
    tasks = ", ".join(
        f"{task} ({len(ids)} prompts x {samples})" if samples else f"{task} ({len(ids)} prompts, scores alone)"
        for task, ids, samples in sizes
    )
    return f"{type(report).__name__}: {len(report.models)} models, {tasks}"


def every_line(report: ScoreReport, task: str) -> tuple[list[str], list[list[str]]]:
    """Columns and rows of the table of one task: every metric, under it every model, and last the empty outputs."""
    found, t = report.comparisons, report.task(task)
    rows = []
    for i, name in enumerate(report.metrics):
        label = metric(name).label + (" *" if name in report.primary[t] else "")
        for m in np.flatnonzero(found.count[t, :, i]):
            at = (t, int(m), i)
            mean = estimate(found.mean, at, decimals(report, task, name))
            p = p_value(found.adjusted[at]) if np.isfinite(found.adjusted[at]) else ""
            rows.append([label, report.models[m], mean, difference(report, at, task), p, str(found.count[at])])
            label = ""
    if report.any_silent(task):
        for model in report.models:
            label = metric("empty").label if model == report.reference else ""
            share = f"{report.silent(task, model):.2f}"
            rows.append([label, model, share, "", "", str(len(report.prompt_ids[t]))])
    return ["metric", "model", "mean", f"against {report.reference}", "adjusted p", "prompts"], rows


def lines(report: ScoreReport, task: str) -> tuple[list[str], list[list[str]]]:
    """Columns and rows of a table with a line a model: the primary metrics, more of diversity, and silent outputs.

    A mean over fewer prompts than the task has says over how many.
    """
    counts, t = report.comparisons.count, report.task(task)
    primary = report.primary[t]
    more = [name for name in report.metrics if report.about(name).printed and name not in primary]
    shown = [name for name in (*primary, *more) if counts[t, :, report.metrics.index(name)].any()]
    columns = ["", "model"]
    for name in shown:
        columns += [metric(name).label, *([f"against {report.reference}"] if name in primary else [])]
    calibration = report.calibration(task)
    if calibration is not None:
        columns.append("calibration error (ECE)")
    empty = report.any_silent(task)
    rows = []
    for model in report.models:
        row = ["*" if model in report.chosen else "", model]
        for name in shown:
            at = report.at(task, model, name)
            row.append(_mean(report, at, task))
            if name in primary:
                star = "*" if is_confirmed(float(report.comparisons.adjusted[at]), report.level) else ""
                row.append(difference(report, at, task) + star)
        if calibration is not None:
            row.append(number(calibration.estimate[report.model(model)], ".2f"))
        rows.append([*row, *([number(report.silent(task, model), ".2f")] if empty else [])])
    return [*columns, *([metric("empty").label] if empty else [])], rows


def _mean(report: ScoreReport, at: tuple[int, int, int], task: str) -> str:
    """A mean, with the number of its prompts where these are not all of the task."""
    said = number(report.comparisons.mean.estimate[at], decimals(report, task, report.metrics[at[2]]))
    prompts = int(report.comparisons.count[at])
    return f"{said} (n={prompts})" if 0 < prompts < len(report.prompt_ids[at[0]]) else said


def difference(report: ScoreReport, at: tuple[int, int, int], task: str) -> str:
    """The difference to the reference at a place, with its interval where it has one."""
    found = report.comparisons.difference
    if not np.isfinite(found.estimate[at]):
        return ""
    ends = (found.estimate[at], found.low[at], found.high[at])
    value, low, high = (0.0 if abs(end) < 1e-12 else end for end in ends)  # rounding of a mean is no difference
    return with_limits(value, low, high, f"+{decimals(report, task, report.metrics[at[2]])}")
