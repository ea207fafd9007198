"""What a ranking says to restore, if anything."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from slr_probe.rank.ranking import RangeRanking


@dataclass(frozen=True)
class Choice:
    """The range to restore, or why there is none.

    Attributes:
        layers: Blocks, such as `"8:14"`; None for nothing to restore.
        why: The reason, as a clause.
    """

    layers: str | None
    why: str


def choose_range(ranking: RangeRanking, named: str = "") -> Choice:
    """The best range of a ranking, where it keeps the floor and gains anything; `named` overrules it.

    Both are judged on the selection prompts alone, so that held-out prompts play no part in any choice.
    """
    if named:
        return Choice(named, "named in the settings, whatever the ranking says")
    best, tuned = int(ranking.order[0]), int(ranking.rows("tuned")[0])
    floor = f"at least {ranking.floor:g} of tuned's validity"
    if not ranking.meets_floor:
        return Choice(None, f"no range keeps {floor}; {ranking.best} comes nearest")
    if not ranking.mean_diversity[best] > ranking.mean_diversity[tuned]:
        return Choice(None, f"no range that keeps {floor} is more diverse than tuned")
    allowed = int(ranking.feasible[: len(ranking.ranges)].sum())
    return Choice(str(ranking.best), f"the most diverse of the {allowed} ranges that keep {floor}")
