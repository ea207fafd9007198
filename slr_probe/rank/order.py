"""Orders with ties: numbers that are equal up to rounding are equal."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

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
