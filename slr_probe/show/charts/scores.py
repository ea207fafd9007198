"""Where the rows of a ranking lie in a figure, and what a mark says of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float
from numpy import ndarray

if TYPE_CHECKING:
    from slr_probe.rank.ranking import RangeRanking
    from slr_probe.stats.interval import Interval

NAMES = {
    "tuned": "tuned",
    "base": "base, same prompts",
    "full": "all blocks restored",
    "soup": "uniform soups",
    "early": "early blocks, equal width",
    "late": "late blocks, equal width",
    "random": "random sets, equal width",
    "attention": "attention of ranges alone",
    "mlp": "MLP of ranges alone",
    "half": "ranges half restored",
}
"""What the rows of a kind are called."""


@dataclass(frozen=True)
class Scores:
    """Mean scores of every row of a ranking, with intervals, on one kind of prompts.

    Attributes:
        ranking: The ranking.
        held_out: Scores are of the held-out prompts and not of the selection prompts.
        validity: Mean validity; NaN for rows that were not measured.
        diversity: Mean diversity.
        limits: Intervals of both; NaN for a single prompt.
    """

    ranking: RangeRanking
    held_out: bool
    validity: Float[ndarray, " row"]
    diversity: Float[ndarray, " row"]
    limits: tuple[Interval, Interval]

    @classmethod
    def of(cls, ranking: RangeRanking, *, held_out: bool = False) -> Scores:
        """Scores on the selection prompts, or on the held-out prompts."""
        validity, diversity = (ranking.means(what, held_out=held_out) for what in ("validity", "diversity"))
        limits = ranking.interval("validity", held_out=held_out), ranking.interval("diversity", held_out=held_out)
        return cls(ranking, held_out, validity, diversity, limits)

    def rows(self, kind: str) -> list[int]:
        """Rows of a kind that were measured."""
        return [int(row) for row in self.ranking.rows(kind) if np.isfinite(self.validity[row])]

    def name(self, row: int) -> str:
        """What a row is called."""
        ranking, kind = self.ranking, str(self.ranking.kinds[row])
        if kind == "range":
            failed = ", ".join(ranking.excluded_by(row))
            below = " (below the floor)" if failed == "validity" else f" (excluded by {failed})" if failed else ""
            return f"blocks {ranking.ranges[row]}{below}"
        if kind == "soup":
            return f"soup, {1 - ranking.recipes[row].blocks[0].default:.0%} base"
        if kind in ("early", "late", "random"):
            blocks = ", ".join(map(str, sorted(ranking.recipes[row].restored_blocks)))
            return f"{NAMES[kind]}: blocks {blocks}"
        return NAMES[kind]

    def words(self, row: int) -> str:
        """The name of a row, and under it both scores with intervals and those of tuned."""
        tuned = self.ranking.tuned
        lines = [self.name(row)]
        for what, limits in zip(("validity", "diversity"), self.limits, strict=True):
            values = getattr(self, what)
            line = f"{what} {values[row]:.3f}"
            if np.isfinite(limits.low[row]):
                line += f" [{limits.low[row]:.3f}, {limits.high[row]:.3f}]"
            lines.append(line if row == tuned else f"{line}, tuned {values[tuned]:.3f}")
        return "\n".join(lines)
