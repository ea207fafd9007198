"""Reading the weights of the next block while this one runs."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

from slr_probe.sweep.weights import OpenTensors, Weights


class BlocksInTurn:
    """The blocks of both sides, one after the other; the first is begun at once.

    Reading, checking and converting happen in a thread, which leaves Python's lock to the walk for nearly all of it. At
    most two blocks are held: the one that was given last, and the next. Entered and left by `with`.

    Args:
        weights: Where they come from.
        variants: The shares that each block is wanted with.
        ahead: Whether to read ahead; else tensors are read when they are first needed.
    """

    def __init__(self, weights: Weights, variants: Sequence[Sequence[Hashable]], *, ahead: bool) -> None:
        self._weights, self._variants = weights, variants
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="weights") if ahead else None

    def __enter__(self) -> Iterator[OpenTensors]:
        return self._blocks(self._begin(0))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._thread is not None:
            self._thread.shutdown(cancel_futures=True)

    def _blocks(self, coming: Future[OpenTensors] | None) -> Iterator[OpenTensors]:
        for block in range(len(self._variants)):
            if coming is None:
                yield self._weights.open_block(block)
            else:
                opened = coming.result()
                coming = self._begin(block + 1)
                yield opened
                del opened  # before the one after the next is begun

    def _begin(self, block: int) -> Future[OpenTensors] | None:
        if self._thread is None or block >= len(self._variants):
            return None
        return self._thread.submit(lambda: self._weights.open_block(block).fetch(self._variants[block]))
