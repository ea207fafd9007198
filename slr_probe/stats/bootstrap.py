"""The one bootstrap: prompts are resampled, and all conditions are recomputed on the same resampled prompts.

Sharing the resampled prompts is what makes it paired: a prompt that is hard for every hybrid moves all of them
together and cancels in differences, ratios and in the choice of the best. Intervals are made from these draws in
`slr_probe.stats.interval`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from slr_probe.defaults import RESAMPLES

_FEWEST_IN_STRATUM = 4
_CHUNK = 4_000_000  # numbers of one temporary array: 32 MB


def resample_counts(
    n: int, resamples: int = RESAMPLES, seed: int = 0, strata: Any = None
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
    for group in drawn_together(n, strata):
        size = len(group)
        counts[:, group] = rng.multinomial(size, np.full(size, 1 / size), size=resamples)
    return counts


def resampled_means(
    values: Float[ndarray, "condition prompt"], counts: Int[ndarray, "resample prompt"]
) -> Float[ndarray, "condition resample"]:
    """Mean over prompts of each condition in each resample."""
    return np.asarray(np.asarray(values, dtype=np.float64) @ counts.T.astype(np.float64) / values.shape[-1])


def winner_share(
    objective: Float[ndarray, "candidate prompt"],
    constrained: Float[ndarray, "candidate prompt"],
    reference: Float[ndarray, " prompt"],
    floor: float,
    *,
    priority: Float[ndarray, " candidate"] | None = None,
    gains: Float[ndarray, "candidate resample"] | None = None,
    allowed: Bool[ndarray, "candidate resample"] | None = None,
    resamples: int = RESAMPLES,
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
        gains: What is maximised in each resample, where that is not the mean `objective`.
        allowed: Which candidates meet other conditions in each resample; default: all.
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
    require_finite(objective, constrained, reference)
    order = np.arange(len(objective)) if priority is None else np.argsort(priority, kind="stable")
    if not len(objective):
        return np.zeros(0), 1.0
    counts = resample_counts(objective.shape[-1], resamples, seed, strata)
    wins, none = np.zeros(len(objective)), 0
    for rows in slices(resamples, len(objective)):
        drawn = counts[rows]
        gain = resampled_means(objective[order], drawn) if gains is None else gains[order, rows].copy()
        required = floor * resampled_means(reference[None], drawn)[0]
        kept = resampled_means(constrained[order], drawn)
        gain[(kept < required - tolerance) | (required <= 0)] = -np.inf
        if allowed is not None:
            gain[~allowed[order, rows]] = -np.inf
        best = gain.max(axis=0, initial=-np.inf)
        met = np.isfinite(best)
        none += int((~met).sum())
        winners = (gain >= best - tolerance)[:, met].argmax(axis=0)  # ties go to the first
        np.add.at(wins, order[winners], 1)
    return wins / resamples, none / resamples


def tail_levels(n: int, strata: int, level: float, small_sample: bool) -> Float[ndarray, "2"]:
    """Levels of the two limits of a percentile interval.

    Args:
        n: Number of prompts.
        strata: Number of groups that are drawn from separately.
        level: Nominal coverage.
        small_sample: Widen for few prompts (Hesterberg 2015): by sqrt(n / (n - strata)), and by Student's t.
    """
    from scipy.stats import norm, t

    tail = (1 - level) / 2
    if small_sample and n > strata:
        degrees = n - strata
        tail = float(norm.cdf(np.sqrt(n / degrees) * t.ppf(tail, degrees)))
    tail = max(tail, 1e-10)  # with two or three prompts the level leaves what a double can hold
    return np.array([tail, 1 - tail])


def bca_levels(
    drawn: Float[ndarray, "condition resample"],
    estimate: Float[ndarray, " condition"],
    influence: Float[ndarray, "condition prompt"],
    groups: list[Int[ndarray, " member"]],
    tails: Float[ndarray, "2"],
) -> Float[ndarray, "condition 2"]:
    """Levels of the limits after correcting for bias and acceleration (Efron 1987)."""
    from scipy.stats import norm

    centre = estimate[:, None]
    margin = 1e-12 * np.maximum(1.0, np.abs(centre))
    below, equal = drawn < centre - margin, np.abs(drawn - centre) <= margin
    share = below.mean(axis=1) + equal.mean(axis=1) / 2  # equal up to rounding counts as half
    half = 0.5 / drawn.shape[1]
    bias = norm.ppf(np.clip(share, half, 1 - half))
    centred = np.empty_like(influence)
    for group in groups:
        centred[:, group] = influence[:, group] - influence[:, group].mean(axis=1, keepdims=True)
    spread = (centred**2).sum(axis=1)
    skew = np.divide((centred**3).sum(axis=1), 6 * spread**1.5, out=np.zeros(len(spread)), where=spread > 0)
    z = bias[:, None] + norm.ppf(tails)
    return np.asarray(norm.cdf(bias[:, None] + z / np.maximum(1 - skew[:, None] * z, 1e-6)))


def sorted_quantiles(
    drawn: Float[ndarray, "condition resample"], levels: Float[ndarray, " condition"]
) -> Float[ndarray, " condition"]:
    """Interpolated quantile of each sorted row, each at its own level."""
    place = levels * (drawn.shape[1] - 1)
    left = np.floor(place).astype(int)
    right = np.minimum(left + 1, drawn.shape[1] - 1)
    rows = np.arange(len(drawn))
    return np.asarray(drawn[rows, left] + (place - left) * (drawn[rows, right] - drawn[rows, left]))


def drawn_together(n: int, strata: Any) -> list[Int[ndarray, " member"]]:
    """Places of the prompts that are drawn together (see `resample_counts`)."""
    if strata is None:
        return [np.arange(n)]
    labels = np.asarray(strata)
    if labels.shape != (n,):
        raise ValueError(f"strata needs one label for each of {n} prompts; got shape {labels.shape}")
    groups = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    return groups if min(map(len, groups)) >= _FEWEST_IN_STRATUM else [np.arange(n)]


def require_finite(*arrays: Any) -> None:
    """Check values before they are resampled.

    Raises:
        ValueError: One is NaN or infinite.
    """
    for array in arrays:
        if not np.isfinite(array).all():
            raise ValueError(
                f"{int((~np.isfinite(array)).sum())} values are NaN or infinite; decide what they count as before "
                "the bootstrap (a prompt without valid mass has no diversity: rank_layers counts it as 0)"
            )


def slices(total: int, width: int) -> Iterator[slice]:
    """Parts of `total` rows of `width` numbers each, as many rows at once as one temporary array may hold."""
    step = max(1, _CHUNK // max(width, 1))
    for start in range(0, total, step):
        yield slice(start, min(total, start + step))
