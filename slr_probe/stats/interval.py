"""`Interval`: confidence limits of a mean, a difference or a ratio over prompts, by the one bootstrap.

Intervals are BCa (Efron 1987: bias-corrected and accelerated), whose end points are moved for skew; by default its
levels are widened for few prompts (Hesterberg 2015: percentile intervals are too narrow by
sqrt((n - 1) / n) and by normal against Student's t). Both corrections can be switched off. Below `FEWEST` prompts
limits are NaN.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from slr_probe.defaults import LEVEL, RESAMPLES
from slr_probe.stats.bootstrap import (
    bca_levels,
    drawn_together,
    require_finite,
    resample_counts,
    resampled_means,
    slices,
    sorted_quantiles,
    tail_levels,
)

Method = Literal["bca", "percentile"]
FEWEST = 5
"""Below so many prompts there is an estimate, but no interval: one would cover 0.6 to 0.85 instead of 0.95 (simulated;
`docs/statistics.md`)."""


@dataclass(frozen=True)
class Interval:
    """Confidence limits of one statistic for each condition.

    Attributes:
        estimate: The statistic on the prompts as they are.
        low: Lower limit, of the same shape.
        high: Upper limit.
        level: Nominal coverage, such as 0.95.
    """

    estimate: Float[ndarray, "*condition"]
    low: Float[ndarray, "*condition"]
    high: Float[ndarray, "*condition"]
    level: float


def mean_interval(
    values: Float[ndarray, "*condition prompt"],
    *,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
    strata: Any = None,
    method: Method = "bca",
    small_sample: bool = True,
) -> Interval:
    """Interval for the mean over prompts, for each condition.

    Args:
        values: One number for each condition and prompt; conditions share the prompts.
        level: Nominal coverage.
        resamples: Bootstrap resamples.
        seed: The same seed gives the same limits.
        strata: Labels of the prompts; see `resample_counts`.
        method: `"bca"` or plain `"percentile"`.
        small_sample: Widen the levels for few prompts (see the module).

    Raises:
        ValueError: Fewer than two prompts, a value that is not finite, or an unknown method.

    Examples:
        >>> found = mean_interval(np.arange(20.0))
        >>> bool(found.low < found.estimate < found.high)
        True
    """
    return _interval(values, None, level, resamples, seed, strata, method, small_sample)


def difference_interval(
    values: Float[ndarray, "*condition prompt"], reference: Float[ndarray, "*condition prompt"], **options: Any
) -> Interval:
    """Interval for mean(values) - mean(reference) over the same prompts; options as in `mean_interval`."""
    return mean_interval(np.asarray(values, dtype=np.float64) - np.asarray(reference, dtype=np.float64), **options)


def ratio_interval(
    values: Float[ndarray, "*condition prompt"],
    reference: Float[ndarray, " prompt"],
    *,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
    strata: Any = None,
    method: Method = "bca",
    small_sample: bool = True,
    signed: bool = False,
) -> Interval:
    """Interval for mean(values) / mean(reference) over the same prompts; arguments as in `mean_interval`.

    With `signed`, single values of the reference may be negative; the caller has then made sure that its mean is
    away from zero (its own interval excludes it), as otherwise the ratio is noise. Limits are NaN where the reference
    is 0 on all prompts of some resample, so that they do not exist; the estimate is there all the same.

    Raises:
        ValueError: As for `mean_interval`, or a reference that is not above zero.
    """
    reference = np.asarray(reference, dtype=np.float64)
    if not (signed or (reference >= 0).all()) or reference.sum() <= 0:
        raise ValueError("a ratio needs a reference without negative values and with a mean above zero")
    return _interval(values, reference, level, resamples, seed, strata, method, small_sample)


def interval_where_defined(values: Float[ndarray, "row prompt"], kinds: Sequence[str], **options: Any) -> Interval:
    """Mean of each row over the prompts where it is defined, with its interval; NaN limits below 5 prompts.

    Args:
        values: One number for each row and prompt, NaN where undefined.
        kinds: Kind of each prompt; prompts are drawn within the kinds (see `resample_counts`).
        options: As for `mean_interval`.
    """
    mean, low, high = np.full((3, len(values)), np.nan)
    for members, used in defined_alike(values):
        rows = values[np.ix_(members, used)]
        if used.sum() < 2:
            mean[members] = rows[:, 0] if used.any() else np.nan
            continue
        strata = [kind for kind, keep in zip(kinds, used, strict=True) if keep]
        found = mean_interval(rows, strata=strata, **options)
        mean[members], low[members], high[members] = found.estimate, found.low, found.high
    return Interval(mean, low, high, options.get("level", LEVEL))


def interval_where_all_defined(
    values: Float[ndarray, "row prompt"], kinds: Sequence[str] = (), **options: Any
) -> Interval:
    """Mean of each row over the prompts where every row is defined, with its interval; NaN limits below 5 prompts.

    Args:
        values: One number for each row and prompt, NaN where undefined.
        kinds: Kind of each prompt, within which prompts are drawn; empty where there are none.
        options: As for `mean_interval`.
    """
    used = np.isfinite(values).all(axis=0)
    if used.sum() >= 2:
        strata = [kind for kind, keep in zip(kinds, used, strict=True) if keep] if kinds else None
        return mean_interval(values[:, used], strata=strata, **options)
    nothing = np.full(len(values), np.nan)
    mean = values[:, used].mean(axis=1) if used.any() else nothing
    return Interval(mean, nothing, nothing, options.get("level", LEVEL))


def defined_alike(
    values: Float[ndarray, "row prompt"],
) -> Iterator[tuple[Int[ndarray, " member"], Bool[ndarray, " prompt"]]]:
    """Rows that are defined on the same prompts, and those prompts."""
    patterns, group = np.unique(np.isfinite(values), axis=0, return_inverse=True)
    for i, used in enumerate(patterns):
        yield np.flatnonzero(group.reshape(-1) == i), used


def _interval(
    values: Any,
    reference: Any,
    level: float,
    resamples: int,
    seed: int,
    strata: Any,
    method: Method,
    small_sample: bool,
) -> Interval:
    """Limits of the mean of each row, or of its ratio to the mean of a reference."""
    values = np.asarray(values, dtype=np.float64)
    if method not in ("bca", "percentile"):
        raise ValueError(f"unknown bootstrap method {method!r}; expected 'bca' or 'percentile'")
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1; got {level}")
    require_finite(values, *(() if reference is None else (reference,)))
    shape, n = values.shape[:-1], values.shape[-1]
    rows = values.reshape(-1, n)
    counts = resample_counts(n, resamples, seed, strata)
    below = np.ones(resamples) if reference is None else resampled_means(reference[None], counts)[0]
    centre = 1.0 if reference is None else float(reference.mean())
    groups = drawn_together(n, strata)
    tails = tail_levels(n, len(groups), level, small_sample)
    estimate, low, high = rows.mean(axis=1) / centre, np.full(len(rows), np.nan), np.full(len(rows), np.nan)
    for part in slices(len(rows), resamples) if below.all() and n >= FEWEST else ():
        drawn = np.sort(resampled_means(rows[part], counts) / below, axis=1)
        ends = np.tile(tails, (len(drawn), 1))
        if method == "bca":
            influence = rows[part] - (0.0 if reference is None else estimate[part, None] * reference)
            ends = bca_levels(drawn, estimate[part], influence, groups, tails)
        low[part], high[part] = sorted_quantiles(drawn, ends[:, 0]), sorted_quantiles(drawn, ends[:, 1])
    return Interval(estimate.reshape(shape), low.reshape(shape), high.reshape(shape), level)
