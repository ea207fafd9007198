"""`Executor`: who does the parts of a piece of work, and the one that needs nothing but this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Protocol, TypeVar

Part = TypeVar("Part")
Found = TypeVar("Found")
_Part = TypeVar("_Part", contravariant=True)
_Found = TypeVar("_Found", covariant=True)


class Work(Protocol[_Part, _Found]):
    """Work that is cut into parts.

    What a part gives follows from the work and the part alone, never from who does it, what was done there before, or
    how many do it: so one worker and eight give the same bytes. A work travels to its workers, so it holds data and
    pairs that are checkpoints on disk.
    """

    @property
    def gpus(self) -> int:
        """GPUs that one worker needs, all of one machine."""

    def open(self) -> AbstractContextManager[Callable[[_Part], _Found]]:
        """Load what parts have in common, such as models or a live engine, and give what does a part."""


class Executor(Protocol):
    """Does the parts of a piece of work, in any order and wherever it likes."""

    def run(self, work: Work[Part, Found], parts: Sequence[Part]) -> Iterator[tuple[int, Found]]:
        """The number of each part and what it gave, as parts are finished.

        Args:
            work: What is to be done.
            parts: Its parts.

        Raises:
            ExecutorError: There is nobody to do it, or one part ends every worker that tries it.
        """

    def close(self) -> None:
        """Let workers go."""


class LocalExecutor:
    """Does one part after the other in this process.

    Examples:
        >>> from contextlib import nullcontext
        >>> from types import SimpleNamespace
        >>> double = SimpleNamespace(gpus=0, open=lambda: nullcontext(lambda part: 2 * part))
        >>> list(LocalExecutor().run(double, [3, 4]))
        [(0, 6), (1, 8)]
    """

    def run(self, work: Work[Part, Found], parts: Sequence[Part]) -> Iterator[tuple[int, Found]]:
        """The number of each part and what it gave, in order."""
        if not parts:
            return
        with work.open() as do:
            for number, part in enumerate(parts):
                yield number, do(part)

    def close(self) -> None:
        """Nothing is held."""

    def __repr__(self) -> str:
        return "LocalExecutor()"
