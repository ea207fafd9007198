"""Baselines that write more diversely than a hybrid and are as good: named before what the hybrid brings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from slr_probe.rank.order import EQUAL
from slr_probe.scoring.metrics import metric
from slr_probe.show.words.format import listed, short
from slr_probe.show.words.validation import decimals

if TYPE_CHECKING:
    from slr_probe.validation.result import ValidationReport


def ahead_in_text(report: ValidationReport, model: str) -> list[tuple[str, str]]:
    """Task and baseline wherever a baseline lies above a hybrid in diversity, and not below it in quality.

    Means over the prompts where both have the metric decide; nothing is tested.
    """
    others = [name for name, kind in zip(report.models, report.kinds, strict=True) if kind not in ("tuned", "hybrid")]
    return [
        (task, other)
        for task, (diversity, quality) in zip(report.tasks, report.primary, strict=True)
        for other in others
        if _above(report, task, other, model, diversity) > EQUAL
        and _above(report, task, other, model, quality) >= -EQUAL
    ]


def in_a_clause(report: ValidationReport, model: str) -> str:
    """Who is ahead of a hybrid on which tasks; empty where nobody is."""
    by: dict[str, list[str]] = {}
    for task, other in ahead_in_text(report, model):
        by.setdefault(other, []).append(short(task))
    whole = len(report.tasks)
    places = {other: "all tasks" if len(tasks) == whole > 1 else listed(tasks) for other, tasks in by.items()}
    return listed([f"{other} on {where}" for other, where in places.items()]) if places else ""


def beaten(report: ValidationReport) -> tuple[str, ...]:
    """A sentence for each hybrid and task on which a baseline is ahead, with its means."""
    return tuple(
        _sentence(report, task, model, [other for where, other in found if where == task])
        for model in report.hybrids
        if (found := ahead_in_text(report, model))
        for task in dict.fromkeys(where for where, _ in found)
    )


def _sentence(report: ValidationReport, task: str, model: str, others: list[str]) -> str:
    names = report.primary[report.task(task)]
    said = [f"{other} ({_means(report, task, other, names)})" for other in others]
    return (
        f"{task}: more diverse than {model} ({_means(report, task, model, names)}) by the means, and not worse: "
        f"{listed(said)}."
    )


def _means(report: ValidationReport, task: str, model: str, names: tuple[str, ...]) -> str:
    means = [report.comparisons.mean.estimate[report.at(task, model, name)] for name in names]
    return " at ".join(f"{mean:{decimals(report, task, name)}}" for mean, name in zip(means, names, strict=True))


def _above(report: ValidationReport, task: str, one: str, other: str, name: str) -> float:
    """How much better one model is than another in the mean, where both have the metric; NaN where that is nowhere."""
    moved = report.scores(task, one, name) - report.scores(task, other, name)
    both = moved[np.isfinite(moved)]
    return float(metric(name).sign * both.mean()) if len(both) else float("nan")
