"""What is said of early and late blocks together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slr_probe.show.words.format import p_clause, with_limits

if TYPE_CHECKING:
    from slr_probe.rank.ranking import RangeRanking


def interaction_sentence(ranking: RangeRanking) -> str:
    """One sentence on whether both sides of a split bring what their sum is; empty where that is unknown."""
    found = ranking.interactions
    if not found:
        return ""
    counts = {state: sum(one.state == state for one in found) for state in ("more", "less")}
    said = " and ".join(f"{state} at {count}" for state, count in counts.items() if count)
    most = max(found, key=lambda one: abs(one.value))
    shown = f"{with_limits(most.value, most.low, most.high, '+.3f')}, {p_clause(most.p, 'adjusted p')}"
    head = f"Early and late blocks together bring {said or 'neither more nor less at any'} of {len(found)} splits"
    return f"{head} than the sum of both, as far as is confirmed; most at split {most.split} ({shown})."
