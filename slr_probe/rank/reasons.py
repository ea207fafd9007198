"""Why a range is chosen or none is, as a clause."""

from __future__ import annotations

from typing import Literal

from slr_probe.rank.scores import VERIFIED, RangeScores

_AIMS = {
    "crc": ("the most diverse", "more diverse"),
    "spread": ("the one of most spread", "of more spread"),
    "both": ("the best in diversity and spread together", "better in diversity and spread together"),
}
"""What the best range is and what it must be beside tuned, by objective."""


def reason(scores: RangeScores, outcome: Literal["unmet", "no gain", "best"]) -> str:
    """Why there is a choice, or none."""
    first, kept = scores.ranges[int(scores.order[0])], conditions(scores)
    most, more = _AIMS[scores.objective]
    if scores.method in VERIFIED:
        allowed = f"{int(scores.feasible[: len(scores.ranges)].sum())} ranges"
        allowed += " left in the race" if scores.race is not None else ""
        return {
            "unmet": f"no range keeps {kept}; {first} comes nearest",
            "no gain": f"no range that keeps {kept} is {more} than tuned",
            "best": f"{most} of the {allowed} that keep {kept}",
        }[outcome]
    only = f"{first} is the only range that '{scores.method}' measures"
    return {
        "unmet": f"{only}, and it does not keep {kept}",
        "no gain": f"{only}; it keeps {kept} and is not {more} than tuned",
        "best": f"the first by '{scores.method}', and it keeps {kept}",
    }[outcome]


def conditions(scores: RangeScores) -> str:
    """What a range must keep, as the end of a sentence."""
    said = [f"at least {scores.floor:g} of tuned's validity"]
    for guard in scores.judge.asked:
        low, high = scores.judge.bounds(guard)
        if guard == "ending":
            said.append(f"{low:g} to {high:g} of its ending")
        elif guard == "surprise":
            said.append(f"at most {high:.3g} of its surprise")
        else:
            said.append(f"at most {high:g} nats from it")
    return said[0] if len(said) == 1 else ", ".join(said[:-1]) + " and " + said[-1]
