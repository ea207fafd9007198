"""Beyond whole ranges: the best recipe of each wider family under the rule of the ranking, beside the best range."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from slr_probe.rank.candidates import WIDER
from slr_probe.rank.compare import Gap, gaps_between
from slr_probe.rank.scores import RangeScores
from slr_probe.recipe import Recipe


@dataclass(frozen=True)
class Wider:
    """The best recipe of a family. It was found on the selection prompts; the gap is held out where it can be.

    Attributes:
        family: `"attention"`, `"mlp"` or `"half"`.
        row: Its row.
        recipe: What `restore`, `restored` and `validate` take.
        allowed: Whether it keeps the floor and passes all guards; where no recipe of the family does, it comes nearest.
        gap: The best range's diversity above it; p-values are adjusted for the number of families.
    """

    family: str
    row: int
    recipe: Recipe
    allowed: bool
    gap: Gap


def wider(scores: RangeScores) -> tuple[Wider, ...]:
    """The best of each family that was measured."""
    rows = {family: leader(scores, family) for family in WIDER if len(scores.rows(family))}
    best = int(scores.order[0])
    found = gaps_between(scores, best, list(rows.items()))
    return tuple(
        Wider(family, row, scores.recipes[row], bool(scores.feasible[row]), gap)
        for (family, row), gap in zip(rows.items(), found, strict=True)
    )


def leader(scores: RangeScores, family: str) -> int:
    """Row of the best recipe of a family."""
    return leaders(scores, family, 1)[0]


def leaders(scores: RangeScores, family: str, count: int) -> list[int]:
    """Rows of the best recipes of a family, best first; of equal ones the first, which starts first."""
    rows = scores.rows(family)
    return [int(row) for row in rows[np.argsort(-scores.standing[rows], kind="stable")][:count]]
