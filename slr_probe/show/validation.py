"""A `ValidationReport` as text, table and figure."""

from __future__ import annotations

import textwrap
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from slr_probe.scoring.metrics import metric
from slr_probe.show.charts.canvas import open_canvas
from slr_probe.show.charts.style import COLOURS, draw_box, error_bars, open_frame, through
from slr_probe.show.comparison import heading, lines
from slr_probe.show.words.ahead import beaten
from slr_probe.show.words.format import aligned, html_rows, short
from slr_probe.show.words.unmeasured import not_measured, of_text
from slr_probe.show.words.validation import carry_over, correct_only, endings, verdicts, warmer
from slr_probe.validation.result import METHOD
from slr_probe.validation.rivals import RIVALS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from slr_probe.validation.result import ValidationReport

__all__ = ["carry_over", "correct_only", "endings", "figure", "html", "text", "verdicts", "warmer"]

_LOOK = {
    "tuned": ("s", "tuned", 7),
    "hybrid": ("*", "best", 14),
    "early": ("<", "early", 6),
    "late": (">", "late", 6),
    "random": ("x", "random", 6),
    "soup": ("o", "soup", 6),
    "temperature": (".", "tuned", 6),
    "hybrid_temperature": (".", "best", 6),
    "min_p": (".", "min_p", 6),
    "prompt": ("P", "tuned", 7),
    "base": ("D", "base", 6),
    "base_plain": ("d", "full", 7),
    "verbalized": ("v", "rival", 6),
    "string_seed": ("^", "rival", 6),
    "routing": ("H", "rival", 6),
}
_HYBRIDS = ("best", "rival", "base", "soup")
"""Roles whose colours several hybrids take, in order."""
_MAY_BE_FAR = ("prompt", "base", "base_plain", *RIVALS)
_NOTE = 46
"""Letters in a line of what is not drawn."""
_CURVES = ("temperature", "min_p", "hybrid_temperature")
_NAMES = {
    "random": "random ranges of equal width",
    "temperature": "tuned, by temperature",
    "min_p": "tuned, by min-p",
    "hybrid_temperature": "hybrid, by temperature",
    "prompt": "tuned, diversity prompt",
}


# -- text ------------------------------------------------------------------------------------------------------------


def text(report: ValidationReport) -> str:
    """A compact table a task, and the verdicts."""
    parts = [heading(report)]
    for task in report.tasks:
        columns, rows = lines(report, task)
        parts.append(f"\n{task}\n" + aligned([columns, *rows], left=(1,)))
    return "\n".join([*parts, "\n" + "\n".join(_sentences(report))])


def html(report: ValidationReport) -> str:
    """For Jupyter: verdicts, then a table a task."""
    said = "".join(f"<li>{escape(line)}</li>" for line in _sentences(report))
    parts = [f"<b>ValidationReport</b><ul>{said}</ul>"]
    for task in report.tasks:
        parts.append(f"<b>{escape(task)}</b>{html_rows(*lines(report, task))}")
    return "".join([*parts, f"<small>{escape(METHOD)}</small>"])


def _sentences(report: ValidationReport) -> tuple[str, ...]:
    """All that is said about the chosen hybrids, and what was not measured."""
    said = (*report.verdicts, *report.warmer, *beaten(report), *report.endings, *report.carry_over)
    said += report.correct_only
    return (*said, *not_measured(of_text(report)))


# -- figure ----------------------------------------------------------------------------------------------------------


def figure(report: ValidationReport, **place: Any) -> Figure:
    """The diversity-quality plane of each task on its primary metrics, and the curve of distinct answers beside it.

    Crosses are intervals over prompts. A method's curve joins its settings, starting from where it is in the
    comparison itself; random ranges lie in a box. The dashed lines through tuned divide the plane: up and to the
    right is better in both.

    Args:
        report: The report.
        **place: `ax`, `width` and `title`, see `open_canvas`.
    """
    counted = [task for t, task in enumerate(report.tasks) if np.isfinite(report.curves[t]).any()]
    panels = len(report.tasks) + len(counted)
    columns = 2 if panels == 4 else min(panels, 3)
    canvas = open_canvas(panels, columns, (4.1 * columns, 3.4 * -(-panels // columns) + 0.9), **place)
    shown: dict[str, Any] = {}
    for axis, task in zip(canvas.axes, report.tasks, strict=False):
        _plane(axis, report, task, shown)
    for axis, task in zip(canvas.axes[len(report.tasks) :], counted, strict=True):
        _curve(axis, report, task)
    for axis in canvas.axes:
        open_frame(axis)
    canvas.legend_of(shown, columns=2 * canvas.columns)
    return canvas.close(_title(report))


def _plane(axis: Axes, report: ValidationReport, task: str, shown: dict[str, Any]) -> None:
    """Every model by its two primary scores; `shown` collects one handle a label for the legend."""
    t = report.task(task)
    diversity, quality = (report.metrics.index(name) for name in report.primary[t])
    mean = report.comparisons.mean
    x, y = mean.estimate[t, :, quality], mean.estimate[t, :, diversity]
    axis.axvline(x[0], color="0.75", linewidth=0.8, linestyle="--", zorder=0)
    axis.axhline(y[0], color="0.75", linewidth=0.8, linestyle="--", zorder=0)
    far = _outside(report, x, metric(report.primary[t][1]).sign)
    random = [m for m, kind in enumerate(report.kinds) if kind == "random"]
    draw_box(axis, x[random], y[random], COLOURS["random"])
    for label in dict.fromkeys(filter(None, report.curve_labels)):
        _join(axis, report, label, x, y)
    for m, kind in enumerate(report.kinds):
        bars: dict[str, Any] = {}
        if kind not in _CURVES:
            places = {"xerr": (t, [m], quality), "yerr": (t, [m], diversity)}
            bars = {name: error_bars(mean, at) for name, at in places.items()}
        drawn = _point(axis, report, m, (np.nan, np.nan) if m in far else (x[m], y[m]), bars)
        shown.setdefault(_NAMES.get(kind, report.models[m]), drawn)
    _name_plane(axis, report, t, [f"{report.models[m]} ({x[m]:.2g}, {y[m]:.2g})" for m in far])


def _point(axis: Axes, report: ValidationReport, m: int, place: tuple[float, float], bars: dict[str, Any]) -> Any:
    mark, colour, size = _look(report, m)
    kind = report.kinds[m]
    edge = {"color": colour, "width": 0.7 if bars else 0.0}
    face = through(colour) if kind == "hybrid" else colour  # what lies under the star stays visible
    if kind in ("hybrid", "tuned"):
        edge["color"] = "black"
    if kind == "random":  # a cross, which is all edge
        edge["width"] = 1.2
    return axis.errorbar(
        *place,
        **bars,
        fmt=mark,
        color=colour,
        markerfacecolor=face,
        markersize=size,
        elinewidth=0.8,
        zorder=5 if kind == "hybrid" else 3,
        markeredgecolor=edge["color"],
        markeredgewidth=edge["width"],
    )


def _name_plane(axis: Axes, report: ValidationReport, t: int, far: list[str]) -> None:
    """Labels; what is too far to be drawn is said below the panel, where it covers nothing."""
    diversity, quality = (metric(name) for name in report.primary[t])
    below = f"\nnot drawn, below half of tuned's quality:\n{textwrap.fill(', '.join(far), _NOTE)}" if far else ""
    axis.set(xlabel=f"quality: {quality.label}{below}", ylabel=f"diversity: {diversity.label}")
    if quality.sign < 0:
        axis.invert_xaxis()
    axis.margins(0.12)
    axis.locator_params(axis="x", nbins=5)
    drawn_from = f"{len(report.prompt_ids[t])} prompts x {report.samples[t]} samples"
    axis.set_title(f"{short(report.tasks[t])}\n{drawn_from}", fontsize="medium")


def _outside(report: ValidationReport, x: Any, sign: int) -> list[int]:
    """Baselines so much worse than tuned that drawing them would crush all others into a corner."""
    if sign < 0 or not x[0] > 0:
        return []
    return [m for m, kind in enumerate(report.kinds) if kind in _MAY_BE_FAR and x[m] < x[0] / 2]


def _look(report: ValidationReport, m: int) -> tuple[str, str, int]:
    """Mark, colour and size of a model; several hybrids have colours of their own."""
    mark, role, size = _LOOK[report.kinds[m]]
    own = report.curve_labels[m].rsplit(",", 1)[0] or report.models[m]
    if own in report.hybrids:
        role = _HYBRIDS[report.hybrids.index(own) % len(_HYBRIDS)]
    return mark, COLOURS[role] if role in COLOURS else "0.35", size


def _join(axis: Axes, report: ValidationReport, label: str, x: Any, y: Any) -> None:
    """The line of one curve, by rising setting; the method's own place in the comparison is one of its points."""
    members = [m for m, found in enumerate(report.curve_labels) if found == label]
    colour, style = _look(report, members[0])[1], ":" if report.kinds[members[0]] == "min_p" else "-"
    by = "min_p" if report.kinds[members[0]] == "min_p" else "temperature"
    own = label.rsplit(",", 1)[0]
    if own in report.models:
        members.append(report.models.index(own))
    settings = {method["name"]: method["sampling"][by] for method in report.settings.get("methods", ())}
    members.sort(key=lambda m: settings.get(report.models[m], 0.0))
    axis.plot(x[members], y[members], style, color=colour, linewidth=1, alpha=0.8, zorder=2)
    for m in {members[0], members[-1]}:
        if report.curve_labels[m]:
            said = f"{'T' if by == 'temperature' else 'min-p'} {settings.get(report.models[m], 0):g}"
            axis.annotate(said, (x[m], y[m]), (4, 2), textcoords="offset points", fontsize="x-small", color=colour)


def _curve(axis: Axes, report: ValidationReport, task: str) -> None:
    for model, kind in zip(report.models, report.kinds, strict=True):
        if kind in (*_CURVES, "prompt", "random"):
            continue
        found = report.distinct(task, model)
        if not np.isfinite(found.estimate).any():
            continue
        mark, colour, size = _look(report, report.model(model))
        style = "--" if kind in ("base", "base_plain") else "-"
        axis.plot(
            report.curve_at,
            found.estimate,
            style,
            marker=mark,
            color=colour,
            markersize=size * 0.6,
            linewidth=1.2,
            zorder=5 if kind == "hybrid" else 3,
        )
        if kind in ("tuned", "hybrid"):
            axis.fill_between(report.curve_at, found.low, found.high, color=colour, alpha=0.18, linewidth=0)
    axis.set_xscale("log", base=2)
    axis.set_xticks(report.curve_at, [str(k) for k in report.curve_at])
    axis.minorticks_off()
    axis.set(xlabel="samples a prompt", ylabel="distinct accepted answers", ylim=(0, None))
    axis.set_title(f"{short(task)}\ndistinct answers by samples", fontsize="medium")


def _title(report: ValidationReport) -> str:
    sides = [str(report.settings.get(side, {}).get("checkpoint", "?")) for side in ("base", "tuned")]
    sides = ["/".join(side.split("/")[-2:]) for side in sides]
    return f"{sides[0]} to {sides[1]}: {', '.join(report.hybrids)}; bars {report.level:.0%} over prompts"
