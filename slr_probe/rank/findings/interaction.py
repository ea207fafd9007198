"""Do early and late blocks work together? The interaction of restoring both, at every split (ours)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from slr_probe.errors import RankingError
from slr_probe.layers import LayerRange
from slr_probe.rank.scores import RangeScores
from slr_probe.stats import Interval, mean_interval
from slr_probe.stats.compare import State, adjusted_tests, difference_state


def interactions(scores: RangeScores) -> Float[ndarray, "split prompt"]:
    """D(0:L) - D(0:k) - D(k:L) + D(tuned) for every split k from 1 to L - 1, on each selection prompt.

    D is diversity as a fraction of log |V|. 0 says that what the first k blocks bring and what the others bring add up;
    above 0 they bring more together. The same table as the ranking, so nothing is run. (The factorial of arXiv
    2605.07282 is a neighbour.)

    Raises:
        RankingError: One of these ranges was not measured.
    """
    depth, place = scores.depth, {layers: row for row, layers in enumerate(scores.ranges)}
    whole = scores.diversity[place[LayerRange(0, depth)]]
    first = scores.diversity[[place[LayerRange(0, split)] for split in range(1, depth)]]
    last = scores.diversity[[place[LayerRange(split, depth)] for split in range(1, depth)]]
    found = whole - first - last + scores.diversity[scores.tuned]
    if not np.isfinite(found).all():
        raise RankingError(f"method '{scores.method}' did not measure every range; rank with method='sweep'")
    return np.asarray(found)


def interaction_interval(scores: RangeScores) -> Interval:
    """Their means over the selection prompts, with paired intervals.

    Raises:
        RankingError: A range was not measured, or there is a single prompt.
    """
    found = interactions(scores)
    if found.shape[1] < 2:
        raise RankingError("an interval over prompts needs at least 2 of them; the ranking has 1")
    return mean_interval(found, **scores.bootstrap(held_out=False))


@dataclass(frozen=True)
class SplitInteraction:
    """What both sides of one split bring beyond the sum of both.

    Attributes:
        split: The first block of the late part.
        value: Mean interaction, as a fraction of log |V|.
        low: Lower limit of its paired interval.
        high: Upper limit.
        p: P-value, adjusted by Holm's method over the splits.
        state: What interval and test together say; `"less"` where both bring less together than their sum.
    """

    split: int
    value: float
    low: float
    high: float
    p: float
    state: State


def split_interactions(scores: RangeScores) -> tuple[SplitInteraction, ...]:
    """The interaction at every split; nothing where a range was not measured, or there is a single prompt or block."""
    if scores.depth < 2 or scores.diversity.shape[1] < 2 or not scores.measured[: len(scores.ranges)].all():
        return ()
    found, limits = interactions(scores), interaction_interval(scores)
    adjusted = adjusted_tests(list(found), seed=scores.seed)
    rows = np.stack([limits.estimate, limits.low, limits.high, adjusted], axis=1).tolist()
    return tuple(
        SplitInteraction(split, value, low, high, p, difference_state(low, high, p, scores.level))
        for split, (value, low, high, p) in enumerate(rows, 1)
    )
