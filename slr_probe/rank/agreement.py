"""How far two rankings agree."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from slr_probe.errors import RankingError
from slr_probe.layers import LayerRange


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
