"""The numbers of a validation for `log=`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from slr_probe.validation.result import ValidationReport


def points(report: ValidationReport) -> tuple[dict[str, float], ...]:
    """One point: the mean of every metric for every model on every task, as tables print it."""
    means = report.comparisons.mean.estimate
    cells = [(task, model, name) for task in report.tasks for model in report.models for name in report.metrics]
    return ({f"validate/{'/'.join(cell)}": float(means[report.at(*cell)]) for cell in cells},)
