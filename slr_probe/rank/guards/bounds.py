"""`Guards`: what a range must keep of tuned's own replies, beside validity (ours)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from numbers import Integral, Real
from typing import Any, Literal

from slr_probe.defaults import ENDING, SURPRISE
from slr_probe.errors import RankingError

Guard = Literal["validity", "ending", "surprise", "drift"]
GUARDS: tuple[Guard, ...] = ("validity", "ending", "surprise", "drift")
"""What can exclude a range: the floor on validity, then what its replies are held to."""
REPLY_GUARDS: tuple[Guard, ...] = GUARDS[1:]


@dataclass(frozen=True)
class Guards:
    """Bounds on how a range deals with replies that tuned wrote, and how many of them are read.

    The replies are sampled once from tuned and given to every range token by token (teacher forcing).

    Attributes:
        ending: Least and most probability of ending the turn where tuned did, as shares of tuned's own. Two-sided:
            ending too early is a fault too.
        surprise: Most surprise at tuned's replies (mean negative log-likelihood of their tokens), as a share of
            tuned's own; None for no bound. Where tuned knows few replies by heart, whatever is diverse is surprised.
        drift: Most divergence from tuned at the same places, KL(range || tuned) in nats a token; None for no bound.
        replies: Finished replies that are read on each kind of prompts.
        places: Further places that are read in each of them, drawn at random before its end.
        openings: Open prompts, for each of which the first four tokens of a reply of tuned and of one of base are read.
        max_tokens: Tokens that a reply may have; one that has not ended by then is not read to its end.
        seed: Seed of the replies and of the places.

    Raises:
        RankingError: A bound that is none, or a number below 1.

    Examples:
        >>> Guards(surprise=1.2).ending
        (0.9, 1.1)
    """

    ending: tuple[float, float] = ENDING
    surprise: float | None = SURPRISE
    drift: float | None = None
    replies: int = 24
    places: int = 2
    openings: int = 6
    max_tokens: int = 64
    seed: int = 0

    def __post_init__(self) -> None:
        ending = tuple(self.ending) if isinstance(self.ending, (tuple, list)) else ()
        if len(ending) != 2 or not all(map(_real, ending)) or not 0 <= ending[0] < 1 < ending[1]:
            raise RankingError(
                f"ending must be two shares of tuned's, the least below 1 and the most above it, such as (0.9, 1.1); "
                f"got {self.ending!r}"
            )
        object.__setattr__(self, "ending", ending)
        if self.surprise is not None and (not _real(self.surprise) or self.surprise < 1):
            raise RankingError(
                "surprise must be a share of tuned's of at least 1, such as 1.1, or None for no bound; got "
                f"{self.surprise!r}"
            )
        if self.drift is not None and (not _real(self.drift) or self.drift <= 0):
            raise RankingError(f"drift must be nats above 0, or None for no bound; got {self.drift!r}")
        for name in ("replies", "places", "openings", "max_tokens", "seed"):
            value, least = getattr(self, name), int(name != "seed")
            if not isinstance(value, Integral) or isinstance(value, bool) or value < least:
                raise RankingError(f"{name} of guards must be a whole number of at least {least}; got {value!r}")

    def bounds(self, guard: Guard) -> tuple[float, float]:
        """The least and the most that a guard lets pass; infinite where there is no bound."""
        if guard == "ending":
            return self.ending
        if guard == "surprise":
            return -math.inf, math.inf if self.surprise is None else self.surprise
        if guard == "drift":
            return -math.inf, math.inf if self.drift is None else self.drift
        raise ValueError(f"{guard!r} is not a guard on replies")

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {**asdict(self), "ending": list(self.ending)}

    @classmethod
    def of(cls, guards: Any) -> Guards | None:
        """What `rank_layers` takes: the bounds, True for those that are usual, None or False for none.

        Raises:
            RankingError: It is none of these.
        """
        if guards is None or guards is False:
            return None
        if guards is True:
            return cls()
        if isinstance(guards, cls):
            return guards
        if isinstance(guards, Mapping):
            return cls.from_dict(guards)
        raise RankingError(f"guards are Guards(...), True for the usual ones or None for none; got {guards!r}")

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Guards:
        """Rebuild from `to_dict`.

        Raises:
            RankingError: A name is unknown or a value out of its range.
        """
        try:
            return cls(**data)
        except TypeError as error:
            raise RankingError(f"unknown guard among {', '.join(map(str, data))}: {error}") from error


def _real(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
