"""What is said of wider families than whole ranges."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slr_probe.rank.findings.wider import Wider
from slr_probe.show.words.format import p_clause, with_limits
from slr_probe.stats.compare import State

if TYPE_CHECKING:
    from slr_probe.rank.ranking import RangeRanking

FAMILIES = {"attention": "attention alone", "mlp": "MLP alone", "half": "blocks half restored"}
_SAME = "no confirmed difference"
SAID: dict[State, str] = {
    "less": "confirmed to be more diverse",
    "more": "confirmed to be less diverse",
    **dict.fromkeys(("more?", "less?", "same", "undefined"), _SAME),  # type: ignore[dict-item]
}
"""What is said of a family by the state of the best range's diversity above it."""


def wider_lines(ranking: RangeRanking) -> list[str]:
    """The best of each family beside the best range, a line each."""
    return [f"  wider   {_best(ranking, found)}" for found in ranking.wider]


def more_diverse(found: Wider) -> str:
    """How much more diverse the best of a family is than the best range, with its interval."""
    difference = found.gap.difference
    return with_limits(-difference.value, -difference.high, -difference.low, "+.3f")


def blocks_said(found: Wider) -> str:
    """The blocks that the best of a family restores in part."""
    blocks = found.recipe.restored_blocks
    return f"{blocks[0]}:{blocks[-1] + 1}"


def _best(ranking: RangeRanking, found: Wider) -> str:
    gap = found.gap
    standing = "" if found.allowed else "none is allowed; nearest "
    return (
        f"{FAMILIES[found.family]}: {standing}{blocks_said(found)}, diversity {more_diverse(found)} beside "
        f"{ranking.best} ({p_clause(gap.p, 'adjusted p')}), {SAID[gap.state]}; keeps {gap.kept:.2f} of validity"
    )
