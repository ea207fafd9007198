"""Figure of a `ValidationReport`: diversity against quality, and distinct answers against the number of samples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from slr_probe.scoring.metrics import metric
from slr_probe.show.format import short
from slr_probe.show.style import COLOURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from slr_probe.validation.result import ValidationReport

_LOOK = {
    "tuned": ("s", COLOURS["tuned"], 7),
    "hybrid": ("*", COLOURS["best"], 14),
    "early": ("<", COLOURS["early"], 6),
    "late": (">", COLOURS["late"], 6),
    "random": ("x", COLOURS["random"], 6),
    "soup": ("o", COLOURS["soup"], 6),
    "temperature": (".", COLOURS["tuned"], 6),
    "hybrid_temperature": (".", COLOURS["best"], 6),
    "min_p": (".", "0.35", 6),
    "prompt": ("P", COLOURS["tuned"], 7),
    "base": ("D", COLOURS["base"], 6),
    "base_plain": ("d", COLOURS["full"], 7),
}
_HYBRIDS = (COLOURS["best"], "#000000", COLOURS["base"], COLOURS["soup"])
_CURVES = ("temperature", "min_p", "hybrid_temperature")
_NAMES = {"random": "random ranges of equal width", "temperature": "tuned, by temperature",
          "min_p": "tuned, by min-p", "hybrid_temperature": "hybrid, by temperature"}  # fmt: skip


def plot_validation(report: ValidationReport) -> Figure:
    """The diversity-quality plane of each task on its primary metrics, and the curve of distinct answers beside it.

    Crosses are intervals over prompts. A method's curve joins its settings, starting from where it is in the
    comparison itself. The dashed lines through tuned divide the plane: up and to the right is better in both.
    """
    counted = [task for t, task in enumerate(report.tasks) if np.isfinite(report.curves[t]).any()]
    panels = [*report.tasks, *counted]
    columns = 2 if len(panels) == 4 else min(len(panels), 3)
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(4.1 * columns, 3.4 * rows + 0.9), layout="constrained")
    axes = np.atleast_1d(figure.subplots(rows, columns)).ravel()
    shown: dict[str, Any] = {}
    for axis, task in zip(axes, report.tasks, strict=False):
        _plane(axis, report, task, shown)
    for axis, task in zip(axes[len(report.tasks) :], counted, strict=False):
        _curve(axis, report, task)
    for axis in axes[len(panels) :]:
        axis.set_visible(False)
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
    figure.legend(shown.values(), shown.keys(), frameon=False, fontsize="small", loc="outside lower center",
                  ncols=2 * columns)  # fmt: skip
    figure.suptitle(_title(report), fontsize=11)
    return figure


def _plane(axis: Axes, report: ValidationReport, task: str, shown: dict[str, Any]) -> None:
    found, t = report.comparisons.mean, report.task(task)
    at = [report.metrics.index(name) for name in report.primary[t]]
    y, x = (found.estimate[t, :, i] for i in at)
    both = (np.array([found.estimate - found.low, found.high - found.estimate])[:, t, :, i] for i in at)
    bars = [np.nan_to_num(limits).clip(min=0) for limits in both]
    axis.axvline(x[0], color="0.75", linewidth=0.8, linestyle="--", zorder=0)
    axis.axhline(y[0], color="0.75", linewidth=0.8, linestyle="--", zorder=0)
    far = _outside(report, x, metric(report.primary[t][1]).sign)
    for label in dict.fromkeys(filter(None, report.curve_labels)):
        _join(axis, report, label, x, y)
    for m, kind in enumerate(report.kinds):
        mark, colour, size = _look(report, m)
        single = kind not in _CURVES
        place = (np.nan, np.nan) if m in far else (x[m], y[m])
        drawn = axis.errorbar(
            place[0],
            place[1],
            xerr=bars[1][:, [m]] if single else None,
            yerr=bars[0][:, [m]] if single else None,
            fmt=mark,
            color=colour,
            markersize=size,
            elinewidth=0.8,
            zorder=5 if kind == "hybrid" else 3,
            markeredgecolor="black" if kind in ("hybrid", "tuned") else colour,
            markeredgewidth=(1.2 if kind == "random" else 0.7) if single else 0,
        )
        label = "tuned, diversity prompt" if kind == "prompt" else _NAMES.get(kind, report.models[m])
        shown.setdefault(label, drawn)
    if far:
        said = "\n".join(f"{report.models[m]} ({x[m]:.2g}, {y[m]:.2g})" for m in far)
        axis.text(0.02, 0.02, f"not drawn, below half of tuned's quality:\n{said}", transform=axis.transAxes,
                  fontsize=6.5, color="0.35")  # fmt: skip
    diversity, quality = (metric(name) for name in report.primary[t])
    axis.set(xlabel=f"quality: {quality.label}", ylabel=f"diversity: {diversity.label}")
    if quality.sign < 0:
        axis.invert_xaxis()
    axis.margins(0.12)
    drawn_from = f"{len(report.prompt_ids[t])} prompts x {report.samples[t]} samples"
    axis.set_title(f"{short(task)}\n{drawn_from}", fontsize="medium")


def _outside(report: ValidationReport, x: Any, sign: int) -> list[int]:
    """Baselines so much worse than tuned that drawing them would crush all others into a corner."""
    if sign < 0 or not x[0] > 0:
        return []
    return [m for m, kind in enumerate(report.kinds) if kind in ("prompt", "base", "base_plain") and x[m] < x[0] / 2]


def _look(report: ValidationReport, m: int) -> tuple[str, str, int]:
    """Mark, colour and size of a model; several hybrids have colours of their own."""
    mark, colour, size = _LOOK[report.kinds[m]]
    own = report.curve_labels[m].rsplit(",", 1)[0] or report.models[m]
    if own in report.hybrids:
        colour = _HYBRIDS[report.hybrids.index(own) % len(_HYBRIDS)]
    return mark, colour, size


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
            axis.annotate(f"{'T' if by == 'temperature' else 'min-p'} {settings.get(report.models[m], 0):g}",
                          (x[m], y[m]), (4, 2), textcoords="offset points", fontsize=6.5, color=colour)  # fmt: skip


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
