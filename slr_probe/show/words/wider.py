"""What is said of wider families than whole ranges."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slr_probe.rank.findings.wider import Wider
from slr_probe.show.words.format import p_clause, with_limits

if TYPE_CHECKING:
    from slr_probe.rank.ranking import RangeRanking

FAMILIES = {"attention": "attention alone", "mlp": "MLP alone", "half": "blocks half restored"}


def wider_lines(ranking: RangeRanking) -> list[str]:
    """The best of each family beside the best range, a line each."""
    return [f"  wider   {_best(ranking, found)}" for found in ranking.wider]


def _best(ranking: RangeRanking, found: Wider) -> str:
    gap = found.gap
    difference = gap.difference
    more = with_limits(-difference.value, -difference.high, -difference.low, "+.3f")
    standing = "" if found.allowed else "none is allowed; nearest "
    said = {"less": "confirmed to be more diverse", "more": "confirmed to be less diverse"}.get(
        gap.state, "no confirmed difference"
    )
    return (
        f"{FAMILIES[found.family]}: {standing}{_where(found)}, diversity {more} beside {ranking.best} "
        f"({p_clause(gap.p, 'adjusted p')}), {said}; keeps {gap.kept:.2f} of validity"
    )


def _where(found: Wider) -> str:
    blocks = found.recipe.restored_blocks
    return f"{blocks[0]}:{blocks[-1] + 1}"
