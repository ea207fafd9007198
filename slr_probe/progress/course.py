"""`course`: several steps told as one line, with the share that is done and the time that is left."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from functools import wraps
from typing import ParamSpec, TypeVar, cast

from slr_probe.progress.duration import spell
from slr_probe.progress.line import Line, open_line

P = ParamSpec("P")
R = TypeVar("R")

_ACTIVE: ContextVar[Course | None] = ContextVar("course", default=None)
_PRIOR = 0.1
"""So much of the whole counts as if it had gone at the pace that was expected (ours)."""
_KEPT = 0.05
"""A step that takes less than this share of what was expected was done by an earlier call (ours)."""


class Course:
    """The steps of something long, of which one is running.

    Shares are of the expected time: a step counts as much of the whole as its seconds are of all seconds. What an
    earlier call did counts as done, and tells nothing of the pace.

    Args:
        what: What runs.
        steps: Seconds of each step, or any numbers in their proportion.
        seconds: Seconds of the whole, where they are known.

    Attributes:
        begun: Called once, when the work of a step begins: after whatever can be refused was refused.
    """

    def __init__(self, what: str, steps: Mapping[str, float], seconds: float | None = None) -> None:
        self.what, self.seconds = what, seconds
        self.begun: Callable[[], None] | None = None
        total = sum(steps.values()) or 1.0
        self._weights = {name: weight / total for name, weight in steps.items()}
        self._step, self._inside = "", ""
        self._finished = self._within = 0.0
        self._kept_before = self._kept_within = 0.0
        self._began = time.monotonic()
        self._line: Line | None = None
        self._above: Course | None = None

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Run a step; one that was not foreseen counts for nothing."""
        weight, began = self._weights.get(name, 0.0), time.monotonic()
        self._step = name
        self._told()
        try:
            yield
        finally:
            expected = weight * (self.seconds or 0.0)
            at_once = time.monotonic() - began < _KEPT * expected
            self._finished += weight
            self._kept_before += weight if at_once else self._kept_within
            self._within = self._kept_within = 0.0
            self._step, self._inside = "", ""
            self._told()

    def advance(self, share: float, kept: float = 0.0, label: str = "") -> None:
        """Tell how much of the running step is done, how much of it an earlier call did, and where it is."""
        if self.begun is not None:
            begun, self.begun = self.begun, None
            begun()
        weight = self._weights.get(self._step, 0.0)
        self._within = max(self._within, share * weight)  # a second bar of one step begins where the first ended
        self._kept_within, self._inside = kept * weight, label
        self._told()

    @property
    def share(self) -> float:
        """How much is done, 0 to 1."""
        return min(1.0, self._finished + self._within)

    @property
    def kept(self) -> float:
        """How much of the whole an earlier call did."""
        return self._kept_before + self._kept_within

    @property
    def label(self) -> str:
        """What runs now."""
        return ": ".join(part for part in (self._step, self._inside) if part)

    @property
    def left(self) -> float | None:
        """Seconds that are left; None while nothing is known."""
        elapsed, worked = time.monotonic() - self._began, self.share - self.kept
        prior = _PRIOR if self.seconds else 0.0
        if worked + prior <= 0.01:
            return None
        return (elapsed + prior * (self.seconds or 0.0)) / (worked + prior) * (1 - self.share)

    def __str__(self) -> str:
        left = self.left
        label = self.label if self.label != self.what else ""
        parts = (self.what, label, f"{self.share:.0%}", "" if left is None else f"about {spell(left)} left")
        return ", ".join(part for part in parts if part)

    def _told(self) -> None:
        if self._above is not None:
            self._above.advance(self.share, self.kept, self.label)
        if self._line is not None:
            self._line.show(self.share)


@contextmanager
def course(
    what: str, steps: Mapping[str, float], *, seconds: float | None = None, show: bool | None = None
) -> Iterator[Course]:
    """Tell several steps as one: a line on a terminal or in Jupyter, elsewhere a line every 30 s.

    Inside another course it is told as part of the step that runs there; so is a progress bar.

    Args:
        what: What runs.
        steps: Seconds of each step, or any numbers in their proportion.
        seconds: Seconds of the whole, where they are known.
        show: False tells nothing; see `slr_probe.progress.line.open_line`.

    Examples:
        >>> with course("rank", {"ranges": 90, "controls": 10}, show=False) as steps:
        ...     with steps.step("ranges"):
        ...         pass
        ...     steps.share
        0.9
    """
    own = Course(what, steps, seconds)
    above = _ACTIVE.get()
    own._above = above
    own._line = open_line(lambda: str(own), show) if above is None else None
    token = _ACTIVE.set(own)
    try:
        yield own
    finally:
        _ACTIVE.reset(token)
        if own._line is not None:
            own._line.close()


def told(what: str, steps: Mapping[str, float] | None = None) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let a whole function run as one course, models that it loads included, told as its `progress=` says.

    Nothing is told as begun before a step is, so that what the function refuses is refused without it.

    Args:
        what: What runs.
        steps: As `course` takes them; default: one step.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @wraps(function)
        def run(*args: P.args, **options: P.kwargs) -> R:
            show = cast("bool | None", options.get("progress"))
            with course(what, steps or {"": 1.0}, show=show):
                return function(*args, **options)

        return run

    return decorate


def running() -> Course | None:
    """The innermost course that runs."""
    return _ACTIVE.get()


@contextmanager
def step(name: str) -> Iterator[None]:
    """Run a step of the course that runs, if one does; also for whole functions, as a decorator.

    Examples:
        >>> @step("ranges")
        ... def measure():
        ...     return 3
        >>> measure()
        3
    """
    of = running()
    with nullcontext() if of is None else of.step(name):
        yield
