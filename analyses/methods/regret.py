"""How good is a cheap order of ranges against the exhaustive sweep, and do its block scores find planted blocks?"""

from __future__ import annotations

from collections.abc import Collection
from math import comb
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from slr_probe.errors import RankingError
from slr_probe.stats.bootstrap import resample_counts, resampled_means
from slr_probe.stats.interval import Interval

if TYPE_CHECKING:
    from slr_probe.rank.ranking import RangeRanking


def regret_curve(exhaustive: RangeRanking, order: Int[ndarray, " range"]) -> Float[ndarray, " range"]:
    """Diversity that is lost when only the first k ranges of an order are measured, for k = 1, 2, ... all (ours).

    With k measured, the most diverse that meets the floor is restored; where none is better than tuned, nothing is.

    Args:
        exhaustive: Where every range was measured.
        order: Rows of all ranges, most promising first, such as `order` of a cheap method's ranking.

    Returns:
        Fraction of log |V|, mean over the selection prompts; 0 as soon as the best range is among the k.

    Raises:
        RankingError: Not every range was measured, or the order is not one of all ranges.
    """
    worth = _worth(exhaustive)
    if sorted(np.asarray(order).tolist()) != list(range(len(worth))):
        raise RankingError(f"an order must hold each of the {len(worth)} ranges once; got {len(order)} entries")
    return np.asarray(worth.max() - np.maximum.accumulate(worth[order]))


def random_regret(exhaustive: RangeRanking) -> Float[ndarray, " range"]:
    """Exact mean of `regret_curve` over all orders: what measuring k ranges drawn at random would lose.

    Of n ranges, C(n - i, k) of the C(n, k) sets of k hold none of the i best.
    """
    worth = np.sort(_worth(exhaustive))[::-1]
    n = len(worth)
    steps = worth[:-1] - worth[1:]  # lost on passing from the i-th best to the next
    curve = np.zeros(n)
    for k in range(1, n + 1):
        missed = [comb(n - i, k) / comb(n, k) for i in range(1, n)]  # chance that none of the i best is among k
        curve[k - 1] = np.dot(steps, missed)
    return curve


def spearman_interval(exhaustive: RangeRanking, cheap: RangeRanking) -> Interval:
    """Spearman's rank correlation of a cheap order with the exhaustive one, which is drawn again with its prompts.

    Percentile bootstrap over the selection prompts of the sweep; the cheap scores, and what guards say of replies, stay
    as they are. NaN where the cheap method gives all ranges one score.

    Raises:
        RankingError: The two are of models of different depth, or not every range was measured.
    """
    from scipy.stats import rankdata

    _worth(exhaustive)
    estimate = np.array(cheap.agreement(exhaustive).spearman)
    n, prompts = len(exhaustive.ranges), exhaustive.validity.shape[1]
    if not np.isfinite(estimate) or prompts < 2:
        return Interval(estimate, np.array(np.nan), np.array(np.nan), exhaustive.level)
    counts = resample_counts(prompts, exhaustive.resamples, exhaustive.seed, exhaustive.categories or None)
    validity, diversity = (resampled_means(v[:n], counts) for v in (exhaustive.validity, exhaustive.diversity))
    tuned = resampled_means(exhaustive.validity[exhaustive.rows("tuned")[:1]], counts)
    least = exhaustive.floor * tuned
    judge, nearest = exhaustive.judge, validity
    passed = np.ones(n, dtype=bool)
    for guard in judge.asked:  # of replies, which are not drawn again
        passed &= judge.passes(guard)[:n]
    if judge.asked:
        nearest = np.where(exhaustive.feasible[:n, None], validity / least, exhaustive.standing[:n, None])
    keys = np.where((validity >= least - 1e-9) & passed[:, None], 2 + diversity, nearest)
    drawn = _correlations(rankdata(np.round(keys, 9), axis=0).T, rankdata(np.round(cheap.key, 9)))
    tail = (1 - exhaustive.level) / 2
    low, high = np.quantile(drawn, (tail, 1 - tail))
    return Interval(estimate, low, high, exhaustive.level)


def roc_auc(scores: Float[ndarray, " block"], blocks: Collection[int]) -> float:
    """Area under the ROC curve: the chance that a block of `blocks` scores above one that is not; ties count half.

    Args:
        scores: One number a block.
        blocks: The blocks that should score high, such as those of a planted range; neither none nor all.

    Raises:
        RankingError: All blocks or none are meant.

    Examples:
        >>> roc_auc(np.array([0.1, 0.9, 0.8, 0.1]), {1, 2})
        1.0
    """
    inside = np.isin(np.arange(len(scores)), list(blocks))
    if inside.all() or not inside.any():
        raise RankingError(f"the ROC curve needs blocks inside and outside; got {sorted(blocks)} of {len(scores)}")
    above = scores[inside][:, None] - scores[~inside][None]
    return float((above > 0).mean() + (above == 0).mean() / 2)


def _correlations(
    rows: Float[ndarray, "resample range"], other: Float[ndarray, " range"]
) -> Float[ndarray, " resample"]:
    """Pearson's correlation of each row with one vector."""
    rows, other = rows - rows.mean(axis=1, keepdims=True), other - other.mean()
    return np.asarray(rows @ other / (np.linalg.norm(rows, axis=1) * np.linalg.norm(other)))


def _worth(exhaustive: RangeRanking) -> Float[ndarray, " range"]:
    """Diversity of each range; that of tuned, which stays in its place, where it misses the floor or has less."""
    n = len(exhaustive.ranges)
    if not exhaustive.measured[:n].all():
        raise RankingError(f"method '{exhaustive.method}' did not measure every range; rank with method='sweep'")
    tuned = exhaustive.mean_diversity[exhaustive.rows("tuned")[0]]
    found = np.where(exhaustive.feasible[:n], exhaustive.mean_diversity[:n], tuned)
    return np.asarray(np.maximum(found, tuned))
