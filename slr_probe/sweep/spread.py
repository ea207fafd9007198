"""A sweep as work for an executor: cut into blocks of rows, by content, each swept over all recipes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch

from slr_probe.forward.budget import spans
from slr_probe.forward.device import many_shapes
from slr_probe.pair.travel import gpus_for
from slr_probe.sweep.measure import Piece, how, measured
from slr_probe.sweep.prepare import Engine, bytes_to_load
from slr_probe.sweep.reads.rows import Asked
from slr_probe.sweep.settings import Request

BLOCK = 16
"""Rows of one kind in a part (ours): prompts that are batched together, and so rounded together."""
Rows = tuple[int, ...]


def blocks(asked: Asked) -> list[Rows]:
    """The parts of a sweep: `BLOCK` rows of one kind each, in the order in which they are asked."""
    kinds = asked.kinds(range(len(asked.rows)))
    return [tuple(kind[some]) for kind in kinds for some in spans(len(kind), BLOCK)]


@dataclass(frozen=True)
class Block:
    """What one part gave.

    Attributes:
        pieces: All recipes on its rows.
        how: How they were measured.
    """

    pieces: tuple[Piece, ...]
    how: dict[str, Any]


@dataclass(frozen=True)
class SweepWork:
    """A sweep whose parts are rows; each is swept over all recipes.

    Attributes:
        request: The sweep.
        limit: Bytes that each worker may use.
        stream: Whether weights are read block by block; None decides by the limit.
        to_load: Bytes that models count for, whether or not a worker holds them by now: what is run at once follows
            from it, and so does rounding.
    """

    request: Request
    limit: int
    stream: bool | None
    to_load: int

    @classmethod
    def of(cls, request: Request, limit: int, stream: bool | None) -> SweepWork:
        """A sweep, to be cut."""
        return cls(request, limit, stream, bytes_to_load(request.pair, ever=True))

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel without what was derived from the request."""
        return type(self), (replace(self.request), self.limit, self.stream, self.to_load)

    @property
    def gpus(self) -> int:
        """One, where the pair runs on GPUs."""
        return gpus_for(self.request.pair)

    @contextmanager
    def open(self) -> Iterator[Callable[[Rows], Block]]:
        """The pair, open for the sweep; one for all parts."""
        with torch.no_grad(), many_shapes():
            engine = Engine.open(self.request, self.limit, self.stream, self.to_load)
        recipes = list(range(len(self.request.recipes)))

        def do(rows: Rows) -> Block:
            with torch.no_grad(), many_shapes():
                ready = engine.cut(recipes if rows else [], list(rows), pieces=1)
                pieces = measured(self.request, ready, recipes, list(rows), lambda _: None) if rows else ()
                return Block(tuple(pieces), how(self.request, ready))

        yield do
