"""The one bootstrap: prompts are resampled, and all conditions are recomputed on the same resampled prompts.

Sharing the resampled prompts is what makes it paired: a prompt that is hard for every hybrid moves all of them
together and cancels in differences, ratios and in the choice of the best.

Intervals are BCa (Efron 1987: bias-corrected and accelerated), whose end points are moved for skew; by default its
levels are widened for few prompts (Hesterberg 2015: percentile intervals are too narrow by
sqrt((n - 1) / n) and by normal against Student's t). Both corrections can be switched off.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

Method = Literal["bca", "percentile"]
_FEWEST_IN_STRATUM = 4
_CHUNK = 4_000_000  # numbers of one temporary array: 32 MB


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


def resample_counts(
    n: int, resamples: int = 2000, seed: int = 0, strata: Any = None
) -> Int[ndarray, "resample prompt"]:
    """How often each of `n` prompts is drawn in each resample; every row sums to `n`.

    Args:
        n: Number of prompts.
        resamples: Number of resamples.
        seed: The same seed gives the same draws.
        strata: A label for each prompt, such as its category; prompts are then drawn within each label, as many
            as it has, which is how a task with a fixed number of prompts a category was made. Where a label has
            fewer than 4 prompts, labels do not count: drawn from one prompt alone, nothing would ever vary.

    Raises:
        ValueError: Fewer than two prompts, no resamples, or labels of another length.
    """
    if n < 2:
        raise ValueError(f"a bootstrap over prompts needs at least 2 of them; got {n}")
    if resamples < 1:
        raise ValueError(f"resamples must be at least 1; got {resamples}")
    rng = np.random.default_rng(seed)
    counts = np.zeros((resamples, n), dtype=np.int64)
    for group in _members(n, strata):
        size = len(group)
        counts[:, group] = rng.multinomial(size, np.full(size, 1 / size), size=resamples)
    return counts


def resampled_means(
    values: Float[ndarray, "condition prompt"], counts: Int[ndarray, "resample prompt"]
) -> Float[ndarray, "condition resample"]:
    """Mean over prompts of each condition in each resample."""
    return np.asarray(np.asarray(values, dtype=np.float64) @ counts.T.astype(np.float64) / values.shape[-1])


def mean_interval(
    values: Float[ndarray, "*condition prompt"],
    *,
    level: float = 0.95,
    resamples: int = 2000,
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
    level: float = 0.95,
    resamples: int = 2000,
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


def winner_share(
    objective: Float[ndarray, "candidate prompt"],
    constrained: Float[ndarray, "candidate prompt"],
    reference: Float[ndarray, " prompt"],
    floor: float,
    *,
    priority: Float[ndarray, " candidate"] | None = None,
    resamples: int = 2000,
    seed: int = 0,
    strata: Any = None,
    tolerance: float = 1e-9,
) -> tuple[Float[ndarray, " candidate"], float]:
    """How often each candidate is the best one when the prompts are drawn anew.

    In every resample the winner is the candidate with the largest mean `objective` among those whose mean
    `constrained` is at least `floor` times the mean `reference`, which must be above 0 for there to be a floor.

    Args:
        objective: What is maximised, for each candidate and prompt.
        constrained: What must stay above the floor.
        reference: The condition that the floor refers to, on the same prompts.
        floor: Share of the reference that must be kept.
        priority: Among candidates that tie, the smallest priority wins; by default the first.
        resamples: Bootstrap resamples.
        seed: The same seed gives the same shares.
        strata: Labels of the prompts; see `resample_counts`.
        tolerance: Means that differ by no more than this are equal.

    Returns:
        Share of resamples that each candidate wins, and the share in which no candidate meets the floor; together
        they sum to 1.
    """
    objective, constrained = (np.asarray(v, dtype=np.float64) for v in (objective, constrained))
    reference = np.asarray(reference, dtype=np.float64)
    _check_finite(objective, constrained, reference)
    order = np.arange(len(objective)) if priority is None else np.argsort(priority, kind="stable")
    counts = resample_counts(objective.shape[-1], resamples, seed, strata)
    wins, none = np.zeros(len(objective)), 0
    for rows in _chunks(resamples, len(objective)):
        drawn = counts[rows]
        gain = resampled_means(objective[order], drawn)
        bar = floor * resampled_means(reference[None], drawn)[0]
        gain[(resampled_means(constrained[order], drawn) < bar - tolerance) | (bar <= 0)] = -np.inf
        best = gain.max(axis=0, initial=-np.inf)
        met = np.isfinite(best)
        none += int((~met).sum())
        winners = (gain >= best - tolerance)[:, met].argmax(axis=0)  # the first of equals
        np.add.at(wins, order[winners], 1)
    return wins / resamples, none / resamples


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
    values = np.asarray(values, dtype=np.float64)
    if method not in ("bca", "percentile"):
        raise ValueError(f"unknown bootstrap method {method!r}; expected 'bca' or 'percentile'")
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1; got {level}")
    shape, n = values.shape[:-1], values.shape[-1]
    _check_finite(values, *(() if reference is None else (reference,)))
    rows = values.reshape(-1, n)
    counts = resample_counts(n, resamples, seed, strata)
    below = np.ones(resamples) if reference is None else resampled_means(reference[None], counts)[0]
    centre = 1.0 if reference is None else float(reference.mean())
    groups = _members(n, strata)
    tails = _tails(n, len(groups), level, small_sample)
    low, high = np.full(len(rows), np.nan), np.full(len(rows), np.nan)
    for part in _chunks(len(rows), resamples) if below.all() else ():
        drawn = resampled_means(rows[part], counts) / below
        drawn.sort(axis=1)
        estimate = rows[part].mean(axis=1) / centre
        influence = rows[part] - (0.0 if reference is None else estimate[:, None] * reference)
        ends = _bca(drawn, estimate, influence, groups, tails) if method == "bca" else np.tile(tails, (len(drawn), 1))
        low[part], high[part] = _quantiles(drawn, ends[:, 0]), _quantiles(drawn, ends[:, 1])
    return Interval((rows.mean(axis=1) / centre).reshape(shape), low.reshape(shape), high.reshape(shape), level)


def _tails(n: int, strata: int, level: float, small_sample: bool) -> Float[ndarray, "2"]:
    """Levels of the two limits."""
    from scipy.stats import norm, t

    tail = (1 - level) / 2
    if small_sample and n > strata:
        degrees = n - strata
        tail = float(norm.cdf(np.sqrt(n / degrees) * t.ppf(tail, degrees)))
    tail = max(tail, 1e-10)  # with two or three prompts the level leaves what a double can hold
    return np.array([tail, 1 - tail])


def _bca(
    drawn: Float[ndarray, "condition resample"],
    estimate: Float[ndarray, " condition"],
    influence: Float[ndarray, "condition prompt"],
    groups: list[Int[ndarray, " member"]],
    tails: Float[ndarray, "2"],
) -> Float[ndarray, "condition 2"]:
    """Levels of the limits after correcting for bias and acceleration (Efron 1987)."""
    from scipy.stats import norm

    margin = 1e-12 * np.maximum(1.0, np.abs(estimate))[:, None]  # equal up to rounding counts as half
    share = (drawn < estimate[:, None] - margin).mean(axis=1) + (np.abs(drawn - estimate[:, None]) <= margin).mean(
        1
    ) / 2
    bias = norm.ppf(np.clip(share, 0.5 / drawn.shape[1], 1 - 0.5 / drawn.shape[1]))
    centred = np.empty_like(influence)
    for group in groups:
        centred[:, group] = influence[:, group] - influence[:, group].mean(axis=1, keepdims=True)
    spread = (centred**2).sum(axis=1)
    skew = np.divide((centred**3).sum(axis=1), 6 * spread**1.5, out=np.zeros(len(spread)), where=spread > 0)
    z = bias[:, None] + norm.ppf(tails)
    return np.asarray(norm.cdf(bias[:, None] + z / np.maximum(1 - skew[:, None] * z, 1e-6)))


def _quantiles(
    drawn: Float[ndarray, "condition resample"], levels: Float[ndarray, " condition"]
) -> Float[ndarray, " condition"]:
    """Interpolated quantile of each sorted row, each at its own level."""
    place = levels * (drawn.shape[1] - 1)
    left = np.floor(place).astype(int)
    right = np.minimum(left + 1, drawn.shape[1] - 1)
    rows = np.arange(len(drawn))
    return np.asarray(drawn[rows, left] + (place - left) * (drawn[rows, right] - drawn[rows, left]))


def _members(n: int, strata: Any) -> list[Int[ndarray, " member"]]:
    """Places of the prompts that are drawn together (see `resample_counts`)."""
    if strata is None:
        return [np.arange(n)]
    labels = np.asarray(strata)
    if labels.shape != (n,):
        raise ValueError(f"strata needs one label for each of {n} prompts; got shape {labels.shape}")
    groups = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    return groups if min(map(len, groups)) >= _FEWEST_IN_STRATUM else [np.arange(n)]


def _check_finite(*arrays: Any) -> None:
    for array in arrays:
        if not np.isfinite(array).all():
            raise ValueError(
                f"{int((~np.isfinite(array)).sum())} values are NaN or infinite; decide what they count as before "
                "the bootstrap (a prompt without valid mass has no diversity: rank_layers counts it as 0)"
            )


def _chunks(total: int, width: int) -> Iterator[slice]:
    step = max(1, _CHUNK // max(width, 1))
    for start in range(0, total, step):
        yield slice(start, min(total, start + step))
