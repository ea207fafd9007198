"""`BesideWarmer`: is a hybrid more diverse than a tuned model that is only sampled warmer and is as good?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from slr_probe.comparison.paired import common_prompts
from slr_probe.scoring.metrics import metric
from slr_probe.stats.compare import State, adjusted_tests, difference_state
from slr_probe.stats.interval import interval_where_defined

if TYPE_CHECKING:
    from slr_probe.comparison.report import ScoreReport


@dataclass(frozen=True)
class BesideWarmer:
    """One hybrid on one task beside tuned at the temperature that is fairest to tuned.

    That is the most diverse tuned, at any temperature that was asked for, whose quality is no lower than the hybrid's;
    where each has lower quality, the one of highest (ours). It is picked on the prompts that it is compared on, which
    is in tuned's favour.

    Attributes:
        task: The task.
        hybrid: The hybrid.
        warmer: What it stands beside.
        diversity: Mean primary diversity of the hybrid and of the other, over common prompts.
        quality: Mean primary quality, likewise.
        difference: Difference in diversity.
        low: Lower limit of its interval.
        high: Upper limit.
        p: P-value, adjusted over hybrids and tasks by Holm's method.
        state: What interval and test say together.
    """

    task: str
    hybrid: str
    warmer: str
    diversity: tuple[float, float]
    quality: tuple[float, float]
    difference: float
    low: float
    high: float
    p: float
    state: State


def beside_warmer(report: ScoreReport, hybrids: Sequence[str], tuned: Sequence[str]) -> tuple[BesideWarmer, ...]:
    """Every hybrid on every task; nothing where tuned was sampled at one temperature only.

    Args:
        report: Scores of all of them.
        hybrids: Names of the hybrids.
        tuned: Names of tuned at each temperature.
    """
    if len(tuned) < 2:
        return ()
    cells = [(task, hybrid, _fairest(report, task, hybrid, tuned)) for task in report.tasks for hybrid in hybrids]
    moved = [_moved(report, *cell) for cell in cells]
    adjusted = adjusted_tests(moved, seed=report.seed)
    return tuple(
        _beside(report, cell, values, float(p)) for cell, values, p in zip(cells, moved, adjusted, strict=True)
    )


def _fairest(report: ScoreReport, task: str, hybrid: str, tuned: Sequence[str]) -> str:
    diversity, quality = report.primary[report.task(task)]
    sign = metric(quality).sign

    def mean(model: str, name: str) -> float:
        return float(np.nan_to_num(report.comparisons.mean.estimate[report.at(task, model, name)], nan=-np.inf))

    as_good = [name for name in tuned if sign * mean(name, quality) >= sign * mean(hybrid, quality)]
    if as_good:
        return max(as_good, key=lambda name: mean(name, diversity))
    return max(tuned, key=lambda name: sign * mean(name, quality))


def _moved(report: ScoreReport, task: str, hybrid: str, other: str) -> Float[ndarray, " prompt"]:
    """Difference in diversity on each common prompt; NaN elsewhere."""
    name = report.primary[report.task(task)][0]
    rows = np.stack([report.scores(task, model, name) for model in report.models])
    return np.where(
        common_prompts(rows, 0), report.scores(task, hybrid, name) - report.scores(task, other, name), np.nan
    )


def _beside(
    report: ScoreReport, cell: tuple[str, str, str], moved: Float[ndarray, " prompt"], p: float
) -> BesideWarmer:
    task, hybrid, other = cell
    t, means = report.task(task), report.comparisons.mean.estimate
    found = interval_where_defined(
        moved[None], report.categories[t], level=report.level, resamples=report.resamples, seed=report.seed
    )
    low, high = float(found.low[0]), float(found.high[0])
    diversity, quality = (
        (float(means[report.at(task, hybrid, name)]), float(means[report.at(task, other, name)]))
        for name in report.primary[t]
    )
    state = difference_state(low, high, p, report.level)
    return BesideWarmer(task, hybrid, other, diversity, quality, float(found.estimate[0]), low, high, p, state)
