"""What is said of order and shape."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slr_probe.show.words.format import with_limits

if TYPE_CHECKING:
    from slr_probe.rank.ranking import RangeRanking

NAMES = {
    "order": "order (area under the curve, answers above other tokens)",
    "cut-off": "valid mass at an oracle cut-off",
    "shape": "shape (evenness on the answers)",
}


def split_lines(ranking: RangeRanking) -> list[str]:
    """How much of the change from tuned is order and how much shape; none where it was not read."""
    found = ranking.split
    if found is None:
        return []
    where = f"{found.prompts} {'held-out' if found.held_out else 'selection'} prompts of one-token answers"
    lines = [f"  split   {ranking.ranges[found.row]} beside tuned, {where}:"]
    for part in found.parts:
        change = with_limits(part.change.value, part.change.low, part.change.high, "+.3f")
        lines.append(f"          {NAMES[part.name]} {part.hybrid:.3f} instead of {part.tuned:.3f}, {change}")
    return lines
