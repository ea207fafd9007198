"""What is said of guards, and of sampling tuned warmer instead."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slr_probe.rank.guards.bounds import Guard
from slr_probe.show.words.format import listed, with_limits

if TYPE_CHECKING:
    from slr_probe.layers import LayerRange
    from slr_probe.rank.compare import Choice
    from slr_probe.rank.ranking import RangeRanking


def guard_lines(ranking: RangeRanking) -> list[str]:
    """What is asked of ranges beside validity, how many that excludes, and how the best one stands; none without."""
    if not ranking.judge.asked:
        return []
    n = len(ranking.ranges)
    count = {
        guard: int((~ranking.judge.passes(guard)[:n])[ranking.measured[:n]].sum()) for guard in ranking.judge.asked
    }
    failed = ", ".join(f"{guard} {number}" for guard, number in count.items())
    out = int((ranking.keeps_floor & ~ranking.feasible)[:n].sum())
    asked = f"on {ranking.judge.table.ends} replies of tuned"
    return [
        f"  guards  {asked}; they exclude {out} of the {int(ranking.keeps_floor[:n].sum())} ranges that keep the floor",
        f"          ranges that fail: {failed}; {ranking.best}: {shares(ranking, ranking.best)}",
    ]


def shares(ranking: RangeRanking, layers: LayerRange) -> str:
    """How a range stands to each guard, with intervals."""
    row = ranking.index(layers)
    said = []
    for guard in ranking.judge.asked:
        found = ranking.guard_interval(guard, [row])
        unit = " nats" if guard == "drift" else ""
        said.append(f"{guard} {with_limits(found.estimate[0], found.low[0], found.high[0], '.2f', unit=unit)}")
    return ", ".join(said)


def excluded(ranking: RangeRanking, choice: Choice) -> str:
    """The range that validity alone would choose, and which guards exclude it; empty where it is the same."""
    if choice.excluded is None:
        return ""
    return (
        f"By validity alone it would be {choice.excluded}, which {listed(choice.excluded_by)} "
        f"exclude{'s' if len(choice.excluded_by) == 1 else ''} ({shares(ranking, choice.excluded)} of tuned's)"
        f"{_repair(ranking, choice)}"
    )


def _repair(ranking: RangeRanking, choice: Choice) -> str:
    """Whether one number on the end tokens would bring back a range that fails the ending alone."""
    found = ranking.end_bias(choice.excluded) if choice.excluded_by == ("ending",) else None
    if found is None:
        return ""
    if not found.offered:
        return f"; a bias on the end tokens cannot repair that ({found.state})"
    where = "held-out replies" if found.held_out else "the same replies"
    return (
        f"; a bias of {found.bias:+.2f} on the end tokens would bring its ending from {found.ending[0]:.2f} to "
        f"{found.ending[1]:.2f} on {where}, and early ends from {found.early[1]:.2g} to {found.early[2]:.2g} a token"
    )


def instead(ranking: RangeRanking) -> str:
    """What sampling tuned warmer gives instead; empty where that was not measured."""
    found = ranking.warmest
    if found is None:
        return ""
    before = ranking.means("diversity")[ranking.tuned]
    return (
        f"use temperature: tuned at {found.temperature:.2f} reaches diversity {found.diversity.mean():.3f} "
        f"(without {before:.3f}) and keeps {ranking.floor:g} of its validity"
    )


def named(guards: tuple[Guard, ...]) -> str:
    """The guards that exclude a row, for a cell of a table."""
    return ", ".join(guards)
