"""What is said of the cost at equal entropy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slr_probe.show.words.format import number, p_clause, places, with_limits
from slr_probe.stats.compare import State

if TYPE_CHECKING:
    from slr_probe.rank.findings.entropy_cost import EntropyCost
    from slr_probe.rank.ranking import RangeRanking

_SAID: dict[State, str] = {
    "more": "the range costs more",
    "less": "the range costs less",
    "more?": "that the range costs more is not confirmed",
    "less?": "that the range costs less is not confirmed",
    "same": "neither is shown to cost less",
    "undefined": "with so few prompts neither is shown to cost less",
}


def cost_sentence(ranking: RangeRanking) -> str:
    """One sentence on how far the best range and a warmer tuned write from tuned; empty where that was not measured."""
    cost = ranking.cost
    if cost is None:
        return ""
    spec = f".{places(max(cost.hybrid, cost.tuned), figures=2)}f"
    return (
        f"At equal entropy inside replies ({cost.entropy:.2f} nats a token), {ranking.ranges[cost.row]} lies "
        f"{number(cost.hybrid, spec)} nats a token from tuned, and tuned sampled at temperature "
        f"{cost.temperature:.2f} lies {number(cost.tuned, spec)} from itself: {_verdict(cost, spec)}."
    )


def _verdict(cost: EntropyCost, spec: str) -> str:
    found = with_limits(cost.difference, *cost.limits, f"+{spec}")
    few = f"; exploratory: {cost.prompts} prompts" if cost.exploratory else ""
    return f"{_SAID[cost.state]} ({found}, {p_clause(cost.p)}{few})"
