"""What is said of the cost at equal entropy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slr_probe.show.words.format import number, places, with_limits

if TYPE_CHECKING:
    from slr_probe.rank.findings.entropy_cost import EntropyCost
    from slr_probe.rank.ranking import RangeRanking


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
    said = {
        1: "the range costs more",
        -1: "the range costs less",
        0: "neither is shown to cost less",
    }
    return f"{said[cost.sign]} ({found})"
