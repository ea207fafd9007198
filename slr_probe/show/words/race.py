"""A race in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from slr_probe.rank.ranking import RangeRanking


def race_lines(ranking: RangeRanking) -> list[str]:
    """How many ranges left a race, why and when, and how sure it is that the best did not; nothing without a race."""
    race = ranking.raced
    if race is None:
        return []
    prompts = [one.prompts for one in race.exits if one is not None]
    if not prompts:
        return ["  race    no range left early"]
    why = ", ".join(f"{reason} {count}" for reason, count in race.left_by().items())
    first, last = min(prompts), max(prompts)
    when = f"after {first} to {last} prompts" if first < last else f"after {first} prompts"
    return [
        f"  race    {len(prompts)} of {len(race.exits)} ranges left {when}: {why}",
        f"          a clear best range leaves with a probability of at most {race.error:.2g}; "
        f"{race.share:.0%} of the block evaluations of measuring all on everything",
    ]
