"""`each`: calls of one function as work for an executor, such as of one that loads models."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic

from slr_probe.executor.executor import Executor, Found, Part
from slr_probe.executor.named import opened


@dataclass(frozen=True)
class Calls(Generic[Part, Found]):
    """Calls of one function, which is sent by its name.

    Attributes:
        function: What does a part.
        gpus: GPUs that it needs.
    """

    function: Callable[[Part], Found]
    gpus: int

    @contextmanager
    def open(self) -> Iterator[Callable[[Part], Found]]:
        """Nothing is made ready."""
        yield self.function


def each(
    executor: Executor | str | None, function: Callable[[Part], Found], parts: Sequence[Part], gpus: int
) -> list[Found]:
    """What a function gives for each part, in their order; called here where there is no executor.

    Args:
        executor: Who calls it, as `opened` takes it.
        function: A function of a module, or a `partial` of one.
        parts: Its arguments.
        gpus: GPUs that a call needs.
    """
    with opened(executor) as workers:
        if workers is None:
            return [function(part) for part in parts]
        found = dict(workers.run(Calls(function, gpus), parts))
    return [found[number] for number in range(len(parts))]
