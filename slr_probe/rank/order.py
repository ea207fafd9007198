"""Orders with ties, and how far two orders agree: numbers that are equal up to rounding are equal."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from slr_probe.errors import RankingError
from slr_probe.layers import LayerRange

EQUAL = 1e-9
"""Scores that differ by no more than this are the same score."""


def order_by(
    key: Float[ndarray, " item"], *ties: Int[ndarray, " item"], tolerance: float = EQUAL
) -> Int[ndarray, " item"]:
    """Indices by falling key; items whose keys tie with the largest left are ordered by rising `ties`.

    Examples:
        >>> order_by(np.array([0.5, 0.7, 0.7 + 1e-12]), np.array([1, 2, 9]))
        array([1, 2, 0])
    """
    left = np.argsort(-key, kind="stable")
    found: list[int] = []
    while len(left):
        equal = key[left] >= key[left[0]] - tolerance
        group = left[equal]
        found += group[np.lexsort(tuple(tie[group] for tie in reversed(ties)) or (group,))].tolist()
        left = left[~equal]
    return np.array(found, dtype=int)


def front(x: Float[ndarray, " item"], y: Float[ndarray, " item"], tolerance: float = EQUAL) -> Int[ndarray, " member"]:
    """Indices of items that no other beats in one coordinate without losing in the other, by falling `x`.

    Of items that are equal in both the first is taken.

    Examples:
        >>> front(np.array([3.0, 2.0, 2.0, 1.0]), np.array([1.0, 2.0, 2.0, 0.5]))
        array([0, 1])
    """
    members: list[int] = []
    for i in range(len(x)):
        no_worse = (x >= x[i] - tolerance) & (y >= y[i] - tolerance)
        better = no_worse & ((x > x[i] + tolerance) | (y > y[i] + tolerance))
        twin = no_worse & ~better
        if not better.any() and np.flatnonzero(twin)[0] == i:
            members.append(i)
    return np.array(sorted(members, key=lambda i: (-x[i], y[i])), dtype=int)


def best_allowed(
    diversity: Float[ndarray, " item"], validity: Float[ndarray, " item"], required_validity: float
) -> int:
    """Index of the most diverse item among those with enough validity; where none has, of the most valid.

    Ties go to the first. Where nothing is required (tuned has no validity), there is no floor to keep either.

    Examples:
        >>> best_allowed(np.array([0.2, 0.9, 0.4]), np.array([0.9, 0.1, 0.8]), 0.7)
        2
    """
    allowed = (validity >= required_validity - EQUAL) & (required_validity > 0)
    return int(np.where(allowed, diversity, -1.0).argmax() if allowed.any() else validity.argmax())


@dataclass(frozen=True)
class Agreement:
    """Agreement of two methods on all ranges of a model.

    Attributes:
        spearman: Spearman's rank correlation, -1 to 1; NaN where one method gives all ranges one score.
        kendall: Kendall's tau-b, which allows for ties.
        overlap: Share of the first `k` ranges that both have.
        k: How many ranges were compared for the overlap.
        count: Number of ranges.
    """

    spearman: float
    kendall: float
    overlap: float
    k: int
    count: int


def agreement(
    one: Float[ndarray, " range"],
    other: Float[ndarray, " range"],
    top_one: Collection[LayerRange],
    top_other: Collection[LayerRange],
) -> Agreement:
    """Compare two orders of the same ranges.

    Raises:
        RankingError: They are not of the same ranges.
    """
    from scipy.stats import kendalltau, spearmanr

    if len(one) != len(other):
        raise RankingError(f"the rankings have {len(one)} and {len(other)} ranges; compare models of one depth")
    one, other = np.round(one, 9), np.round(other, 9)
    flat = np.ptp(one) == 0 or np.ptp(other) == 0
    rho = np.nan if flat else float(spearmanr(one, other).statistic)
    tau = np.nan if flat else float(kendalltau(one, other).statistic)
    k = max(len(top_one), 1)
    return Agreement(rho, tau, len(set(top_one) & set(top_other)) / k, k, len(one))
