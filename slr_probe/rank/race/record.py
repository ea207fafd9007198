"""`RaceRecord`: which range left a race when and why, and how sure it is that the best one did not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from slr_probe.rank.race.hurdles import Reason


@dataclass(frozen=True)
class Heat:
    """One round of a race.

    Attributes:
        ranges: Distinct hybrids that were measured on more prompts.
        prompts: Selection prompts that they had been seen on afterwards.
        replies: Prompts of replies, likewise.
        scored: Those that were then scored on everything: the leaders.
        left: How many left at the end.
    """

    ranges: int
    prompts: int
    replies: int
    scored: int
    left: int


@dataclass(frozen=True)
class Exit:
    """A range that left a race.

    Attributes:
        heat: After which round, from 1.
        by: The hurdle: a guard, or `"diversity"` where a better range is known.
        prompts: Selection prompts that it had been seen on.
    """

    heat: int
    by: Reason
    prompts: int


@dataclass(frozen=True)
class RaceRecord:
    """What a race did.

    Attributes:
        error: Bound on the probability, over the order of the prompts, that the range which is best on all of
            them left.
        heats: The rounds.
        exits: When and why each range left; None for those that were scored on all prompts.
        evaluations: Block evaluations times prompts and replies, of the race and of scoring the ranges that stayed.
        exhaustive: The same for all ranges on everything.
    """

    error: float
    heats: tuple[Heat, ...]
    exits: tuple[Exit | None, ...]
    evaluations: int = 0
    exhaustive: int = 0

    @property
    def share(self) -> float:
        """Block evaluations as a share of those of an exhaustive search."""
        return self.evaluations / max(self.exhaustive, 1)

    def left_by(self) -> Mapping[Reason, int]:
        """How many ranges each hurdle stopped."""
        found: dict[Reason, int] = {}
        for one in self.exits:
            if one is not None:
                found[one.by] = found.get(one.by, 0) + 1
        return found

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> RaceRecord:
        """Rebuild from `to_dict`."""
        heats: Sequence[Mapping[str, Any]] = data["heats"]
        exits: Sequence[Mapping[str, Any] | None] = data["exits"]
        read = {
            "heats": tuple(Heat(**heat) for heat in heats),
            "exits": tuple(None if one is None else Exit(**one) for one in exits),
        }
        return cls(**{**data, **read})
