"""The one progress bar: alone, or a part of the course that runs."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

from slr_probe.progress.course import Course, course, running
from slr_probe.progress.line import tqdm_class, visible


class Ticks:
    """Counts the steps of one thing, and tells the course that it is part of.

    Attributes:
        n: Steps that are done.
    """

    def __init__(self, of: Course, total: float, what: str, done: float = 0) -> None:
        self.n: float = done
        self._of, self._total, self._what = of, max(total, 1), what
        self._kept = self._share
        self.refresh()

    @property
    def _share(self) -> float:
        return min(1.0, self.n / self._total)

    def update(self, n: float = 1) -> None:
        """Some steps more are done."""
        self.n += n
        self.refresh()

    def refresh(self) -> None:
        """Tell how far it is."""
        self._of.advance(self._share, self._kept, self._what)

    def close(self) -> None:
        """Nothing to do: the course goes on."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Alone(Ticks):
    """Ticks with a course of their own: where there is no terminal, a line every 30 seconds."""

    def __init__(self, total: float, what: str, done: float, show: bool | None) -> None:
        self._course = course(what, {"": 1.0}, show=show)
        own = self._course.__enter__()
        self._step = own.step("")
        self._step.__enter__()
        super().__init__(own, total, "", done)

    def close(self) -> None:
        """End the step and its course."""
        self._step.__exit__(None, None, None)
        self._course.__exit__(None, None, None)


def progress_bar(
    total: float, what: str, *, unit: str = "it", show: bool | None = None, bytes: bool = False, done: float = 0
) -> Any:
    """Steps of one thing: part of the course that runs; alone, a bar or a line every 30 s.

    Args:
        total: Number of steps, or bytes.
        what: What is being done.
        unit: Name of a step.
        show: True for a bar, False for nothing; None for a bar on a terminal and in Jupyter, elsewhere a line every 30
            seconds, and nothing where `TQDM_DISABLE` is set.
        bytes: Scale the numbers as bytes.
        done: Steps that an earlier call has done.
    """
    of = running()
    if of is not None:
        return Ticks(of, total, what, done)
    if not visible(show):
        return _Alone(total, what, done, show)
    options: dict[str, Any] = {"unit_scale": True, "unit_divisor": 1024} if bytes else {}
    return tqdm_class()(total=total, desc=what, initial=done, unit="B" if bytes else unit, leave=False, **options)
