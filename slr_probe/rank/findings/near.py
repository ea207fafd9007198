"""Ranges that the prompts cannot tell from the best one, and the steadiest of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from slr_probe.layers import LayerRange
from slr_probe.rank.scores import RangeScores

TOGETHER = 0.8
"""Share of the decided resamples in which one of the group is best (ours)."""


@dataclass(frozen=True)
class NearEqual:
    """The fewest ranges one of which is best in most resamples: a choice among them is a matter of the prompts drawn.

    Attributes:
        layers: The ranges, steadiest first.
        shares: Share of resamples in which each is best.
        none: Share of resamples in which no range keeps the floor and passes the guards.
        shared: The blocks that all of them restore, as a range; None where there are none.
    """

    layers: tuple[LayerRange, ...]
    shares: tuple[float, ...]
    none: float
    shared: LayerRange | None

    @property
    def steadiest(self) -> LayerRange:
        """The range that is best in most resamples."""
        return self.layers[0]

    @property
    def together(self) -> float:
        """Share of resamples in which one of the group is best."""
        return sum(self.shares)


def near_equal(scores: RangeScores) -> NearEqual | None:
    """The group of the ranking; None where the choice was not drawn again, or no resample has a best range.

    Ranges enter by falling share of resamples, ties in ranked order, until together they are best in `TOGETHER` of
    those resamples that have a best range at all. Floor, guards and objective are part of each draw.
    """
    order = np.array([row for row in scores.order if np.isfinite(scores.p_best[row])], dtype=int)
    decided = 1 - scores.p_none
    if not len(order) or not decided > 0:
        return None
    rows = order[np.argsort(-scores.p_best[order], kind="stable")]
    shares = scores.p_best[rows]
    count = int(np.searchsorted(np.cumsum(shares), TOGETHER * decided - 1e-9)) + 1
    layers = tuple(scores.ranges[row] for row in rows[:count])
    start, stop = max(one.start for one in layers), min(one.stop for one in layers)
    shared = LayerRange(start, stop) if start < stop else None
    return NearEqual(layers, tuple(map(float, shares[:count])), float(scores.p_none), shared)
