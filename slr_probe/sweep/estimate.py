"""`SweepPlan`: what a sweep would do and cost, before it is run."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from slr_probe.forward.questions import padded
from slr_probe.forward.surgery import installed
from slr_probe.sweep.plan import Chunk, Schedule
from slr_probe.sweep.prepare import Prepared
from slr_probe.sweep.reads.rows import Asked, Part, Reader, Row
from slr_probe.sweep.settings import Request
from slr_probe.sweep.walk.execute import BlockRunner
from slr_probe.sweep.weights import OUTSIDE

_STATES_READ = 64  # that the head is timed with, at most


@dataclass(frozen=True)
class SweepPlan:
    """What `sweep(..., dry_run=True)` gives.

    Attributes:
        recipes: Number of recipes.
        prompts: Number of prompts; each reply is one.
        block_evaluations: Block evaluations a prompt, each distinct prefix once.
        naive_block_evaluations: The same when every hybrid is run by itself.
        tokens: Tokens that each block evaluation runs, all prompts together, shared tokens counted once.
        naive_tokens: The same with every prompt padded to the longest.
        chunks: Chunks that the sweep is cut into to fit the memory limit.
        memory: Bytes that it takes at its peak beyond loaded models, estimated.
        memory_limit: Bytes that it may take.
        streamed: Whether weights are streamed from the checkpoints.
        method: `"wavefront"`, or `"swap"` where blocks cannot be replayed.
        seconds: Time it takes, estimated from a short measurement; None where that was not possible.
    """

    recipes: int
    prompts: int
    block_evaluations: int
    naive_block_evaluations: int
    tokens: int
    naive_tokens: int
    chunks: int
    memory: int
    memory_limit: int
    streamed: bool
    method: str
    seconds: float | None

    def __str__(self) -> str:
        fewer = self.naive_block_evaluations * self.naive_tokens / max(self.block_evaluations * self.tokens, 1)
        seconds = "unknown" if self.seconds is None else f"about {self.seconds:,.1f} s"
        where = "streamed from the checkpoints" if self.streamed else "weights loaded"
        return "\n".join(
            [
                f"sweep of {self.recipes} recipes over {self.prompts} prompts ({self.method}, {where})",
                f"  block evaluations  {self.block_evaluations:,} a prompt instead of {self.naive_block_evaluations:,}",
                f"  tokens             {self.tokens:,} a block evaluation instead of {self.naive_tokens:,} padded: "
                f"{fewer:.1f} times less work in all",
                f"  memory             about {self.memory / 1e6:,.0f} MB of {self.memory_limit / 1e6:,.0f} MB, "
                f"{self.chunks} chunk(s)",
                f"  time               {seconds}",
            ]
        )


def make_plan(request: Request, ready: Prepared, limit: int) -> SweepPlan:
    """What a prepared sweep would do; its time is measured on a piece of it."""
    schedule, asked = ready.schedule, request.asked
    lengths = [len(row.token_ids) for row in asked.rows]
    tokens, seconds = sum(lengths), None
    if schedule is not None and ready.runner is not None:
        tokens = _tokens_to_run(schedule, asked.rows)
        seconds = _measured_seconds(ready.runner, schedule, asked)
    return SweepPlan(
        recipes=len(request.recipes),
        prompts=len(lengths),
        block_evaluations=ready.evaluations,
        naive_block_evaluations=len(request.recipes) * request.pair.depth,
        tokens=tokens,
        naive_tokens=len(lengths) * max(lengths),
        chunks=len(schedule.chunks) if schedule is not None else len(request.recipes),
        memory=schedule.needed if schedule is not None else 0,
        memory_limit=limit,
        streamed=ready.streamed,
        method=ready.method,
        seconds=seconds,
    )


def _tokens_to_run(schedule: Schedule, rows: Sequence[Row]) -> int:
    """Tokens that one block evaluation runs over all chunks; shared ones once a chunk."""
    groups_of_chunks = {chunk.rows: chunk.groups for chunk in schedule.chunks}
    total = 0
    for groups in groups_of_chunks.values():
        shared_prefixes = {group.prefix(rows) for group in groups}
        total += sum(group.tokens - group.shared for group in groups) + sum(map(len, shared_prefixes))
    return total


@dataclass(frozen=True)
class _Timings:
    """Seconds of the parts of a sweep.

    Attributes:
        block: One block but the last, for `tokens` tokens.
        last: The last block, for as many.
        tokens: See `block`.
        heads: Head and reduction of each kind of question, for one read of one state.
        reading: Reading the weights of one side of a block.
        loading: Reading those of the head.
    """

    block: float
    last: float
    tokens: int
    heads: Mapping[int, float]
    reading: float
    loading: float

    def of_chunk(self, chunk: Chunk, asked: Asked) -> float:
        """Seconds of one chunk."""
        tokens = sum(group.tokens for group in chunk.groups)
        *inner, last = [level.width for level in chunk.trie.levels]
        blocks = (sum(inner) * self.block + last * self.last) * tokens / self.tokens
        reads = sum(self.heads[id(part.reader)] * len(part.reads) for part in asked.parts(chunk.rows))
        return blocks + reads * len(chunk.trie.reads) + 2 * self.reading * len(chunk.trie.levels) + 2 * self.loading


def _measured_seconds(runner: BlockRunner, schedule: Schedule, asked: Asked) -> float:
    """Estimate the time of a schedule by running a piece of it."""
    timings = _measure(runner, schedule, asked)
    return sum(timings.of_chunk(chunk, asked) for chunk in schedule.chunks)


def _measure(runner: BlockRunner, schedule: Schedule, asked: Asked) -> _Timings:
    weights = runner.weights
    every_group = [group for chunk in schedule.chunks for group in chunk.groups]
    group = max(every_group, key=lambda group: group.tokens)
    states = max(1, schedule.batch // group.tokens)
    ids = torch.tensor(padded([asked.rows[i].token_ids for i in group.rows]), device=weights.device)
    with installed(weights.model, weights.open_outside(("embedding",)).tensors(())):
        hidden = runner.capture.embed(ids)
        for some in every_group:
            runner.warm(some)
    rest = hidden[None, :, group.shared :].repeat(states, 1, 1, 1)
    shared = hidden[:1, : group.shared].repeat(states, 1, 1)
    reading, tensors = _timed(lambda: weights.open_block(0).tensors(()), 1)
    with installed(runner.capture.decoder.blocks[0], tensors):
        prefix, before = _timed(lambda: runner.prefix(0, shared)[1] if group.shared else None, 2)
        inside, _ = _timed(lambda: runner.advance(0, group, rest, before), 3)
        last_block, last = _timed(lambda: runner.last(0, group, rest, before), 3)
    tail = weights.open_outside(OUTSIDE, tables=False)
    loading, tensors = _timed(lambda: tail.tensors(()), 1)
    with installed(weights.model, tensors):
        states_read = min(schedule.rows, _STATES_READ)
        hidden = last.flatten(0, 1)[:1].expand(states_read, 1, -1)
        heads = {id(reader): _head(runner, reader, asked, hidden) for reader in asked.readers}
    return _Timings(inside + prefix, last_block, states * group.tokens, heads, reading, loading)


def _head(runner: BlockRunner, reader: Reader, asked: Asked, hidden: torch.Tensor) -> float:
    """Seconds of head and reduction for one read of one state."""
    first = next(row for row in range(len(asked.rows)) if asked.reader(row) is reader)
    (part,) = asked.parts([first])
    one, readout = Part(part.reader, part.columns[:1], part.reads[:1]), runner.readout
    seconds, _ = _timed(lambda: one.read(readout, hidden, len(hidden), lambda _: readout(hidden[:1, 0])), 2)
    return seconds / len(hidden)


def _timed(work: Callable[[], Any], times: int) -> tuple[float, Any]:
    """Shortest of some runs, in seconds, and what the last one gave."""
    best, out = float("inf"), None
    for _ in range(times):
        start = time.perf_counter()
        out = work()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - start)
    return best, out
