"""Every model against one reference, on every task and metric: intervals, effect sizes, adjusted p-values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from slr_probe.stats.compare import holm, paired_effect, sign_flip_test
from slr_probe.stats.interval import Interval, defined_alike, interval_where_defined


@dataclass(frozen=True)
class Comparisons:
    """All means and differences of a report, indexed `[task, model, metric]`; NaN where undefined.

    Attributes:
        mean: Mean over the prompts on which the model has the metric, with its interval.
        count: Number of those prompts.
        difference: Mean of model - reference over the prompts on which both have the metric, with its interval.
        pairs: Number of those prompts.
        effect: Cohen's d of the paired differences (d_z).
        p: Two-sided p-value of the sign-flip test of the difference.
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


def compare(
    values: Float[ndarray, "task model metric prompt"],
    reference: int,
    primary: Bool[ndarray, "task model metric"],
    kinds: Sequence[Sequence[str]],
    *,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Comparisons:
    """Compare every model with the reference, paired by prompt.

    Means and differences have BCa bootstrap intervals over prompts, drawn within the kinds of a task where each has at
    least 4 prompts. Tests are sign-flip tests. There are two families, each adjusted by Holm's method by itself:
    the primary comparisons, fixed before any result is seen, and all others.

    Args:
        values: Scores, NaN where undefined or beyond the prompts of the task.
        reference: Row of the reference among the models.
        primary: Which comparisons belong to the primary family.
        kinds: Kind of each prompt of each task.
        level: Nominal coverage.
        resamples: Bootstrap resamples.
        seed: Seed of the bootstrap and of the sign flips.
    """
    shape = values.shape[:-1]
    numbers = {name: np.full(shape, np.nan) for name in ("m", "ml", "mh", "d", "dl", "dh", "effect", "p")}
    count, pairs = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
    options: dict[str, Any] = {"level": level, "resamples": resamples, "seed": seed}
    for task, labels in enumerate(kinds):
        part = values[task, :, :, : len(labels)]
        for metric in range(shape[2]):
            at = (task, slice(None), metric)
            rows = part[:, metric]
            count[at] = np.isfinite(rows).sum(axis=1)
            found = interval_where_defined(rows, labels, **options)
            numbers["m"][at], numbers["ml"][at], numbers["mh"][at] = found.estimate, found.low, found.high
            moved = rows - rows[reference]
            moved[reference] = np.nan
            pairs[at] = np.isfinite(moved).sum(axis=1)
            found = interval_where_defined(moved, labels, **options)
            numbers["d"][at], numbers["dl"][at], numbers["dh"][at] = found.estimate, found.low, found.high
            for members, used in defined_alike(moved):
                if used.sum() >= 2:
                    numbers["effect"][task, members, metric] = paired_effect(moved[np.ix_(members, used)])
                    numbers["p"][task, members, metric] = sign_flip_test(moved[np.ix_(members, used)], seed=seed)
    adjusted, tests = np.full(shape, np.nan), np.zeros(shape, dtype=np.int64)
    for family in (primary, ~primary):
        adjusted[family] = holm(numbers["p"][family])
        tests[family] = int(np.isfinite(numbers["p"][family]).sum())
    return Comparisons(
        mean=Interval(numbers["m"], numbers["ml"], numbers["mh"], level),
        count=count,
        difference=Interval(numbers["d"], numbers["dl"], numbers["dh"], level),
        pairs=pairs,
        effect=numbers["effect"],
        p=numbers["p"],
        adjusted=adjusted,
        tests=tests,
    )
