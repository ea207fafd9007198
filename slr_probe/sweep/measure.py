"""Measuring what a prepared sweep is asked, piece by piece."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from slr_probe.sweep.prepare import Prepared, weights_of
from slr_probe.sweep.reads.rows import Arrays, Row
from slr_probe.sweep.settings import Request
from slr_probe.sweep.walk.chunk import run_chunk, run_reference
from slr_probe.sweep.walk.finite import explain, without_numbers
from slr_probe.sweep.walk.plainly import reference_logits, run_plainly
from slr_probe.sweep.walk.rate import count_flops, matmul_rate

_WORTH = 20.0
"""A shorter sweep, in seconds, measures no rate."""


@dataclass(frozen=True)
class Piece:
    """Some recipes on some rows, measured.

    Attributes:
        recipes: Indices of the recipes.
        rows: Indices of the rows.
        arrays: `[recipe, read, ...]` by name.
    """

    recipes: Sequence[int]
    rows: Sequence[int]
    arrays: Arrays


def measured(
    request: Request, ready: Prepared, recipes: list[int], rows: list[int], done: Callable[[int], Any]
) -> Iterator[Piece]:
    """Pieces as they are measured, until all is.

    Args:
        request: The sweep.
        ready: How it is run.
        recipes: Recipes that are left to do, which `ready` was made for.
        rows: Rows likewise.
        done: Called with the number of block evaluations made.

    Raises:
        SweepError: Scores are no numbers; the block whose output is NaN or infinite is named.
    """
    for piece in _pieces(request, ready, recipes, rows, done):
        bad = without_numbers(piece.arrays)
        if bad is not None:
            weights = weights_of(request.pair, request.dtype, ready.streamed)
            likely = [request.recipes[piece.recipes[bad]], request.reference]
            raise explain(weights, likely, [request.asked.rows[row] for row in piece.rows])
        yield piece


def _pieces(
    request: Request, ready: Prepared, recipes: list[int], rows: list[int], done: Callable[[int], Any]
) -> Iterator[Piece]:
    pair, asked = request.pair, request.asked
    if ready.runner is not None and ready.schedule is not None:
        chunks, most = ready.schedule.chunks, ready.schedule.rows
        beside = None if ready.reference is None else run_reference(ready.runner, ready.reference, asked)
        for chunk in chunks:
            yield Piece(chunk.recipes, chunk.rows, run_chunk(ready.runner, chunk, asked, most, done, beside))
    elif ready.runner is None:
        compared = asked.compared(rows)
        against = reference_logits(pair, request.reference, compared, asked, ready.rows) if compared else None
        for i in recipes:
            yield Piece([i], rows, run_plainly(pair, request.recipes[i], rows, asked, ready.rows, done, against))


def steps_of(request: Request, ready: Prepared, recipes: list[int], rows: list[int]) -> int:
    """Block evaluations that measuring takes."""
    if ready.runner is None:
        return len(recipes) * len(rows) * request.pair.depth
    return sum(chunk.steps for chunk in ready.schedule.chunks) if ready.schedule else 0


def how(request: Request, ready: Prepared) -> dict[str, Any]:
    """How it is measured, for the settings of the result."""
    return {
        "dtype": str(ready.dtype).removeprefix("torch."),
        "method": ready.method,
        "streamed": ready.streamed,
        **({"read_ahead": ready.runner is not None and ready.runner.ahead} if ready.streamed else {}),
        "block_evaluations": ready.evaluations,
        "naive_block_evaluations": len(request.recipes) * request.pair.depth,
        "notes": list(ready.notes),
    }


def matmul_share(
    ready: Prepared,
    rows: Sequence[Row],
    seconds: float,
    rate_of: Callable[[torch.device, torch.dtype], float] | None = None,
) -> float | None:
    """Share of the rate of matrix products that a sweep reached; 1 where it took no time beside them.

    Args:
        ready: How it was run.
        rows: All rows.
        seconds: How long it took.
        rate_of: Operations a second of a device and dtype; default: measured once a process.

    Returns:
        The share, from 0 to about 1; None for a sweep of less than 20 s, and where hybrids are run one by one.
    """
    if ready.runner is None or ready.schedule is None or seconds < _WORTH:
        return None
    weights, schedules = ready.runner.weights, (ready.schedule, ready.reference)
    chunks = [chunk for schedule in schedules if schedule is not None for chunk in schedule.chunks]
    done = count_flops(weights, chunks, rows, split=ready.runner.split)
    return round(done / seconds / (rate_of or matmul_rate)(weights.device, ready.dtype), 3)
