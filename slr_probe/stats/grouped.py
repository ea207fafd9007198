"""Bootstrap interval of a mean over tasks of ratios, each task with prompts of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from slr_probe.defaults import LEVEL, RESAMPLES
from slr_probe.stats.bootstrap import (
    bca_levels,
    drawn_together,
    resample_counts,
    resampled_means,
    sorted_quantiles,
)
from slr_probe.stats.interval import FEWEST, Interval, ratio_interval


def mean_of_ratios_interval(
    values: Sequence[Float[ndarray, "condition prompt"]],
    references: Sequence[Float[ndarray, " prompt"]],
    *,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
    strata: Sequence[Any] | None = None,
) -> Interval:
    """Interval for the mean over tasks of mean(values) / mean(reference), for each condition.

    Prompts are resampled within each task, independently of the other tasks; within a task, values and reference
    share the resampled prompts. With one task it is `ratio_interval`. With more, the limits are BCa and their distances
    from the estimate are then stretched for few prompts: every group of prompts counts with its unbiased variance, and
    Student's t with the degrees of freedom of Welch and Satterthwaite takes the place of the normal. So a task of 5
    prompts beside one of 100 is not taken for 105; the limits may leave the range of the values. They are NaN below
    `FEWEST` prompts of all tasks together, and where the reference is 0 on all prompts of some resample, so that they
    do not exist.

    Args:
        values: For each task, one number for each condition and prompt.
        references: For each task, what is divided by.
        level: Nominal coverage.
        resamples: Bootstrap resamples.
        seed: The same seed gives the same limits.
        strata: For each task, labels of its prompts or None; see `resample_counts`.

    Raises:
        ValueError: No task, a level outside (0, 1), a task with fewer than two prompts, a value that is not finite, a
            reference with a negative value or a mean that is not above zero.
    """
    if not values:
        raise ValueError("a mean over tasks needs at least one task")
    labels = list(strata) if strata is not None else [None] * len(values)
    if len(values) == 1:
        options: dict[str, Any] = {"level": level, "resamples": resamples, "seed": seed, "strata": labels[0]}
        return ratio_interval(values[0], references[0], **options)
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1; got {level}")
    drawn, ratios, influence = [], [], []
    for place, (rows, reference, label) in enumerate(zip(values, references, labels, strict=True)):
        rows, reference = _checked(rows, reference)
        counts = resample_counts(len(reference), resamples, seed + place, label)
        below = resampled_means(reference[None], counts)
        with np.errstate(divide="ignore", invalid="ignore"):
            drawn.append(np.where(below == 0, np.nan, resampled_means(rows, counts) / below))
        ratio = rows.mean(axis=1) / reference.mean()
        ratios.append(ratio)
        # What one prompt moves the mean over tasks by, to first order.
        weight = reference.mean() * len(reference) * len(values)
        influence.append((rows - ratio[:, None] * reference) / weight)
    groups = _groups([moved.shape[1] for moved in influence], labels)
    return _limits(np.mean(drawn, axis=0), np.mean(ratios, axis=0), np.concatenate(influence, axis=1), groups, level)


def _groups(sizes: Sequence[int], labels: Sequence[Any]) -> list[Int[ndarray, " member"]]:
    """Places of the prompts that are drawn together, counted through all tasks."""
    groups, offset = [], 0
    for size, label in zip(sizes, labels, strict=True):
        groups += [offset + group for group in drawn_together(size, label)]
        offset += size
    return groups


def _limits(
    means: Float[ndarray, "condition resample"],
    estimate: Float[ndarray, " condition"],
    influence: Float[ndarray, "condition prompt"],
    groups: list[Int[ndarray, " member"]],
    level: float,
) -> Interval:
    if np.isnan(means).any() or influence.shape[1] < FEWEST:
        nothing = np.full_like(estimate, np.nan)
        return Interval(estimate, nothing, nothing, level)
    means.sort(axis=1)
    tail = (1 - level) / 2
    ends = bca_levels(means, estimate, influence, groups, np.array([tail, 1 - tail]))
    stretch = _stretch(influence, groups, tail)
    low, high = (estimate + stretch * (sorted_quantiles(means, ends[:, end]) - estimate) for end in (0, 1))
    return Interval(estimate, low, high, level)


def _checked(
    rows: Float[ndarray, "condition prompt"], reference: Float[ndarray, " prompt"]
) -> tuple[Float[ndarray, "condition prompt"], Float[ndarray, " prompt"]]:
    rows, reference = np.asarray(rows, dtype=np.float64), np.asarray(reference, dtype=np.float64)
    if not (np.isfinite(rows).all() and np.isfinite(reference).all()):
        raise ValueError("values and references of a ratio must be finite")
    if (reference < 0).any() or reference.mean() <= 0:
        raise ValueError("a ratio needs a reference without negative values and with a mean above zero")
    return rows, reference


def _stretch(
    influence: Float[ndarray, "condition prompt"], groups: list[Int[ndarray, " member"]], tail: float
) -> Float[ndarray, " condition"]:
    """How much farther than resampling says the limits lie: a t quantile over the normal one, and n / (n - 1)."""
    from scipy.stats import norm, t

    drawn = np.stack([len(group) * influence[:, group].var(axis=1) for group in groups])
    sizes = np.array([len(group) for group in groups])[:, None]
    unbiased = drawn * sizes / (sizes - 1)
    total = unbiased.sum(axis=0)
    with np.errstate(invalid="ignore"):  # nothing varies: there is nothing to stretch
        degrees = total**2 / (unbiased**2 / (sizes - 1)).sum(axis=0)
        found = np.sqrt(total / drawn.sum(axis=0)) * t.ppf(tail, degrees) / norm.ppf(tail)
    return np.where(total > 0, found, 1.0)
