"""Does one score of recipes order them as another does? Correlations, and how much of them noise leaves room for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from slr_probe.defaults import LEVEL, RESAMPLES
from slr_probe.stats.bootstrap import resample_counts, resampled_means
from slr_probe.stats.interval import Interval

FEWEST = 0.8
"""A recipe with an outcome on fewer of the prompts has no mean that others could be compared with (ours)."""
POWER = 0.8


@dataclass(frozen=True)
class Means:
    """One number a recipe and prompt, on prompts that all recipes with enough of them share.

    Attributes:
        values: Of each recipe that is kept.
        kept: Which recipes these are.
    """

    values: Float[ndarray, "kept prompt"]
    kept: Bool[ndarray, " recipe"]

    @classmethod
    def of(cls, values: Float[ndarray, "recipe prompt"]) -> Means:
        """Leave out recipes that are rarely defined, then prompts on which some other recipe is not."""
        defined = np.isfinite(values)
        kept = defined.mean(axis=1) >= FEWEST
        return cls(values[kept][:, defined[kept].all(axis=0)], kept)


@dataclass(frozen=True)
class Association:
    """How one score orders recipes as another does.

    Attributes:
        spearman: Rank correlation with its interval.
        p: Two-sided p-value of no association, for the recipes as a sample.
        recipes: Recipes that have both.
    """

    spearman: Interval
    p: float
    recipes: int


def associate(
    proxy: Float[ndarray, "recipe prompt"],
    outcome: Float[ndarray, "recipe other"],
    *,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Association:
    """Spearman's correlation of two mean scores over recipes.

    Percentile bootstrap over all that was drawn: recipes, and the prompts of either score, independently of each other.
    A score of a single column has no prompts to draw.

    Args:
        proxy: One number a recipe and prompt, NaN where undefined.
        outcome: Another, on other prompts.
        level: Nominal coverage.
        resamples: Bootstrap resamples.
        seed: Seed of the bootstrap.
    """
    from scipy.stats import spearmanr

    both = Means.of(proxy).kept & Means.of(outcome).kept
    sides = [Means.of(side[both]).values for side in (proxy, outcome)]
    n = int(both.sum())
    if n < 4 or any(not side.shape[1] or np.ptp(side.mean(axis=1)) == 0 for side in sides):
        nothing = np.array(np.nan)
        return Association(Interval(nothing, nothing, nothing, level), float("nan"), n)
    found = spearmanr(*(side.mean(axis=1) for side in sides))
    drawn = [_drawn_means(side, resamples, seed + number) for number, side in enumerate(sides)]
    rows = np.random.default_rng(seed + len(sides)).integers(n, size=(resamples, n))
    again = row_spearman(*(np.take_along_axis(means.T, rows, axis=1) for means in drawn))
    low, high = np.nanquantile(again, [(1 - level) / 2, (1 + level) / 2])
    return Association(Interval(np.array(found.statistic), low, high, level), float(found.pvalue), n)


def row_spearman(
    one: Float[ndarray, "resample recipe"], other: Float[ndarray, "resample recipe"]
) -> Float[ndarray, " resample"]:
    """Spearman's correlation of each row with the same row of another array; NaN where one of them is constant.

    Examples:
        >>> row_spearman(np.array([[1.0, 2, 3]]), np.array([[10.0, 30, 20]])).tolist()
        [0.5]
    """
    from scipy.stats import rankdata

    ranks = [rankdata(np.round(side, 9), axis=1) for side in (one, other)]
    left, right = (rank - rank.mean(axis=1, keepdims=True) for rank in ranks)
    with np.errstate(invalid="ignore", divide="ignore"):
        norms = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
        return np.asarray((left * right).sum(axis=1) / norms)


def split_half(values: Float[ndarray, "recipe prompt"], *, splits: int = 200, seed: int = 0) -> float:
    """How far two halves of the prompts order the recipes alike: mean Spearman's correlation over random halves.

    NaN below 4 prompts, and where all recipes are alike.
    """
    means = Means.of(values).values
    prompts = means.shape[1]
    if prompts < 4 or np.ptp(means, axis=0).max(initial=0) == 0:
        return float("nan")
    rng = np.random.default_rng(seed)
    halves = np.stack([rng.permutation(prompts) for _ in range(splits)])
    first, second = (means[:, part].mean(axis=2).T for part in (halves[:, : prompts // 2], halves[:, prompts // 2 :]))
    return float(np.nanmean(row_spearman(first, second)))


def reliability(half: float) -> float:
    """What a correlation between halves is for the whole (Spearman 1910, Brown 1910).

    Examples:
        >>> round(reliability(0.5), 3)
        0.667
    """
    return 2 * half / (1 + half)


def smallest_difference(values: Float[ndarray, "recipe prompt"], reference: int = 0, level: float = LEVEL) -> float:
    """The true difference from a reference that a paired test over these prompts finds with a chance of 80 %.

    (z_{1 - alpha / 2} + z_{0.8}) s / sqrt(n) for the standard deviation s of the differences, the median over recipes;
    a normal approximation, for one comparison.

    Args:
        values: One number a recipe and prompt, NaN where undefined.
        reference: Row of the reference, such as tuned.
        level: 1 - alpha.
    """
    from scipy.stats import norm

    moved = np.delete(values - values[reference], reference, axis=0)
    count = np.isfinite(moved).sum(axis=1)
    rows = moved[count >= 2]
    if not len(rows):
        return float("nan")
    errors = np.nanstd(rows, axis=1, ddof=1) / np.sqrt(count[count >= 2])
    return float((norm.ppf((1 + level) / 2) + norm.ppf(POWER)) * np.median(errors))


def _drawn_means(
    values: Float[ndarray, "recipe prompt"], resamples: int, seed: int
) -> Float[ndarray, "recipe resample"]:
    if values.shape[1] < 2:
        return np.repeat(values, resamples, axis=1)
    return resampled_means(values, resample_counts(values.shape[1], resamples, seed))
