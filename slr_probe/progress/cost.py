"""`Cost`: how long something will take, part by part, told before it begins."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from slr_probe.errors import SlrProbeError
from slr_probe.progress.duration import spell

LONG = 20 * 60.0
"""Seconds beyond which a quicker way is named (ours)."""
_SHARE_TO_NAME = 0.05  # of the whole; parts below are not listed


@dataclass(frozen=True)
class Cost:
    """Seconds that something takes on this machine while nothing else runs, estimated.

    Attributes:
        parts: Seconds of each part, by name, in the order in which they run.
        unknown: Names of parts whose time could not be estimated.

    Examples:
        >>> print(Cost({"ranges": 300.0, "soups": 40.0, "figure": 1.0}))
        about 5.7 min (ranges 5.0 min, soups 40 s)
    """

    parts: Mapping[str, float] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()

    @classmethod
    def of(cls, estimate: Callable[[], Cost]) -> Cost | None:
        """What an estimate says; None where it fails: the work itself will say what is wrong."""
        try:
            return estimate()
        except (SlrProbeError, RuntimeError, MemoryError):
            return None

    @property
    def seconds(self) -> float:
        """All parts together."""
        return sum(self.parts.values())

    @property
    def long(self) -> bool:
        """Whether a quicker way should be named."""
        return self.seconds > LONG

    def __str__(self) -> str:
        named = {name: seconds for name, seconds in self.parts.items() if seconds >= _SHARE_TO_NAME * self.seconds}
        listed = ", ".join(f"{name} {spell(seconds)}" for name, seconds in named.items())
        beside = f", and {', '.join(self.unknown)} of unknown length" if self.unknown else ""
        return (
            f"about {spell(self.seconds)} ({listed}){beside}"
            if len(named) > 1
            else f"about {spell(self.seconds)}{beside}"
        )
