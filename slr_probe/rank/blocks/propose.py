"""Which ranges a method proposes to measure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from slr_probe.rank.blocks.scorers import BlockScores
from slr_probe.rank.candidates import Row
from slr_probe.rank.measure import Scorer
from slr_probe.rank.order import order_by
from slr_probe.recipe import Recipe


@dataclass(frozen=True)
class Proposal:
    """What a method proposes to measure.

    Attributes:
        rows: Ranges to measure, the most promising first.
        score: Sum of block scores of each range; NaN where blocks were not scored.
        block_gain: Score of each block; likewise.
    """

    rows: list[int]
    score: Float[ndarray, " range"]
    block_gain: Float[ndarray, " block"]


def propose(
    scorer: Scorer, candidates: Sequence[Row], scores: BlockScores | None, floor: float, limit: int
) -> Proposal:
    """The ranges with the largest sums of block scores, at most `limit`; all ranges where blocks were not scored.

    Ranges that are the same hybrid are proposed once, and ranges that restore nothing only where there are no others.
    """
    depth = scorer.pair.depth
    if scores is None:
        return Proposal([*range(len(candidates))], np.full(len(candidates), np.nan), np.full(depth, np.nan))
    spans = [span for row in candidates if (span := row.recipe.layers) is not None]
    slack = 0.0 if scores.validity is None else (1 - floor) * float(scorer.validity_of_tuned().mean())
    total = scores.of_ranges(spans, slack)
    order = order_by(total, np.array([r.width for r in spans]), np.array([r.start for r in spans]))
    first: dict[Recipe, int] = {}
    for row in map(int, order):
        first.setdefault(scorer.canonical(candidates[row].recipe), row)
    first.pop(Recipe.tuned(depth), None)
    return Proposal([*first.values()][:limit] or [0], total, np.asarray(scores.gain, dtype=float))
