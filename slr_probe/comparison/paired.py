"""Every model against one reference, on every task and metric: intervals, effect sizes, adjusted p-values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from slr_probe.defaults import LEVEL, RESAMPLES
from slr_probe.stats.compare import holm, paired_effect, paired_test
from slr_probe.stats.interval import Interval, defined_alike, interval_where_defined


@dataclass(frozen=True)
class Comparisons:
    """All means and differences of a report, indexed `[task, model, metric]`; NaN where undefined.

    Attributes:
        mean: Mean over the common prompts (`common_prompts`) on which the model has the metric, with its interval.
        count: Number of those prompts.
        difference: Mean of model - reference over the same prompts, with its interval.
        pairs: Number of those prompts.
        effect: Cohen's d of the paired differences (d_z).
        p: Two-sided p-value of the paired test of the difference.
        adjusted: The p-value adjusted by Holm's method within its family.
        tests: Number of tests in the family.
    """

    mean: Interval
    count: Int[ndarray, "task model metric"]
    difference: Interval
    pairs: Int[ndarray, "task model metric"]
    effect: Float[ndarray, "task model metric"]
    p: Float[ndarray, "task model metric"]
    adjusted: Float[ndarray, "task model metric"]
    tests: Int[ndarray, "task model metric"]


def compare_scores(
    values: Float[ndarray, "task model metric prompt"],
    reference: int,
    primary: Bool[ndarray, "task model metric"],
    kinds: Sequence[Sequence[str]],
    *,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Comparisons:
    """Compare every model with the reference, paired by prompt.

    All means and differences are over common prompts, so that they belong together: a model that is silent on hard
    prompts does not gain by it. They have BCa bootstrap intervals over prompts, drawn within the kinds of a task where
    each has at least 4 prompts. Tests are those of `paired_test`. There are two families, each adjusted by Holm's
    method by itself: the primary comparisons, fixed before any result is seen, and all others.

    Args:
        values: Scores, NaN where undefined or beyond the prompts of the task.
        reference: Row of the reference among the models.
        primary: Which comparisons belong to the primary family.
        kinds: Kind of each prompt of each task.
        level: Nominal coverage.
        resamples: Bootstrap resamples.
        seed: Seed of the bootstrap and of the sign flips.
    """
    options: dict[str, Any] = {"level": level, "resamples": resamples, "seed": seed}
    shape = values.shape[:-1]
    mean, difference = _undefined(shape, level), _undefined(shape, level)
    effect, p = np.full((2, *shape), np.nan)
    count, pairs = np.zeros((2, *shape), dtype=np.int64)
    for task, labels in enumerate(kinds):
        for metric in range(shape[2]):
            at = (task, slice(None), metric)
            rows = values[task, :, metric, : len(labels)]
            rows = np.where(common_prompts(rows, reference), rows, np.nan)
            moved = rows - rows[reference]
            moved[reference] = np.nan
            count[at], pairs[at] = np.isfinite(rows).sum(axis=1), np.isfinite(moved).sum(axis=1)
            _put(mean, at, interval_where_defined(rows, labels, **options))
            _put(difference, at, interval_where_defined(moved, labels, **options))
            effect[at], p[at] = _tests(moved, seed)
    adjusted, tests = _adjust(p, primary)
    return Comparisons(mean, count, difference, pairs, effect, p, adjusted, tests)


def common_prompts(rows: Float[ndarray, "model prompt"], reference: int) -> Bool[ndarray, " prompt"]:
    """Prompts on which the reference has a metric, and so has every model that has it on at least half of these.

    A model with fewer would leave nothing to compare the others on; it alone is seen on fewer prompts (ours). Where all
    have fewer, the one with most counts, so that of two models both means are over the prompts of their difference.

    Args:
        rows: One number for each model and prompt, NaN where undefined.
        reference: Row of the reference.

    Examples:
        >>> rows = np.array([[1.0, 1, 1, 1, np.nan], [2, 2, 2, np.nan, 2], [np.nan, 3, np.nan, np.nan, 3]])
        >>> common_prompts(rows, 0).tolist()  # the last model has one of four
        [True, True, True, False, False]
        >>> common_prompts(rows[[0, 2]], 0).tolist()  # of two models, what both have
        [False, True, False, False, False]
    """
    defined = np.isfinite(rows)
    beside = defined & defined[reference]
    sizes = beside.sum(axis=1)
    most = np.delete(sizes, reference).max(initial=0)
    counted = sizes >= max(1, min(sizes[reference] / 2, most))
    return np.asarray(beside[counted].all(axis=0) & defined[reference])


def _tests(
    moved: Float[ndarray, "model prompt"], seed: int
) -> tuple[Float[ndarray, " model"], Float[ndarray, " model"]]:
    """Effect size and p-value of each model's differences; NaN below 2 prompts."""
    effect, p = np.full((2, len(moved)), np.nan)
    for members, used in defined_alike(moved):
        if used.sum() >= 2:
            rows = moved[np.ix_(members, used)]
            effect[members], p[members] = paired_effect(rows), paired_test(rows, seed=seed)
    return effect, p


def _adjust(
    p: Float[ndarray, "task model metric"], primary: Bool[ndarray, "task model metric"]
) -> tuple[Float[ndarray, "task model metric"], Int[ndarray, "task model metric"]]:
    """P-values adjusted within the primary family and within the rest, and how many tests each family has."""
    adjusted, tests = np.full(p.shape, np.nan), np.zeros(p.shape, dtype=np.int64)
    for family in (primary, ~primary):
        adjusted[family] = holm(p[family])
        tests[family] = int(np.isfinite(p[family]).sum())
    return adjusted, tests


def _undefined(shape: tuple[int, ...], level: float) -> Interval:
    estimate, low, high = np.full((3, *shape), np.nan)
    return Interval(estimate, low, high, level)


def _put(whole: Interval, at: Any, part: Interval) -> None:
    whole.estimate[at], whole.low[at], whole.high[at] = part.estimate, part.low, part.high
