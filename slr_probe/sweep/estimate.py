"""`SweepPlan`: what a sweep would do and cost, before it is run."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from slr_probe.forward.budget import runs
from slr_probe.forward.questions import padded
from slr_probe.forward.surgery import installed
from slr_probe.sweep.plan import Chunk, Schedule
from slr_probe.sweep.prefixes.groups import Group
from slr_probe.sweep.prefixes.trie import schedule
from slr_probe.sweep.prepare import Prepared
from slr_probe.sweep.reads.rows import Asked, Part, Row
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

    def __repr__(self) -> str:
        return str(self)

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
class _Line:
    """Seconds of one call by the tokens that it runs: a part that every call takes, and one for each token."""

    call: float
    token: float

    @classmethod
    def through(cls, few: tuple[int, float], many: tuple[int, float]) -> _Line:
        """The line through two timings, of tokens and seconds."""
        token = max(0.0, many[1] - few[1]) / max(many[0] - few[0], 1)
        return cls(max(0.0, many[1] - token * many[0]), token)

    def __call__(self, calls: int, tokens: int) -> float:
        return self.call * calls + self.token * tokens


@dataclass(frozen=True)
class _Timings:
    """Seconds of the parts of a sweep.

    Attributes:
        block: A call of one block but the last.
        last: A call of the last block for a group.
        heads: Head and reduction of each kind of question, for one read of one state.
        reading: Reading the weights of one side of a block.
        loading: Reading those of the head.
    """

    block: _Line
    last: _Line
    heads: Mapping[int, float]
    reading: float
    loading: float

    def of_chunk(self, chunk: Chunk, asked: Asked, runner: BlockRunner) -> float:
        """Seconds of one chunk."""
        prefixes = {prefix: len(prefix) for group in chunk.groups if (prefix := group.prefix(asked.rows))}
        levels, blocks = chunk.trie.levels, 0.0
        for number, level in enumerate(levels):
            line = self.last if number == len(levels) - 1 else self.block
            for _, children in schedule(level):
                calls = sum(_calls(runner, children, size) for size in prefixes.values())
                blocks += self.block(calls, len(children) * sum(prefixes.values()))
                calls = sum(_calls(runner, children, group.tokens) for group in chunk.groups)
                blocks += line(calls, len(children) * sum(_own(group) for group in chunk.groups))
        reads = sum(self.heads[id(part.reader)] * len(part.reads) for part in asked.parts(chunk.rows))
        return blocks + reads * len(chunk.trie.reads) + 2 * self.reading * len(levels) + 2 * self.loading


def _own(group: Group) -> int:
    """Tokens of a group that are not shared."""
    return group.tokens - group.shared


def _calls(runner: BlockRunner, children: list[int], tokens: int) -> int:
    """Calls of a block for some states of so many tokens each."""
    return sum(1 for _ in runs(children, runner.batch // tokens, binary=runner.weights.device.type == "cpu"))


def _measured_seconds(runner: BlockRunner, cut: Schedule, asked: Asked) -> float:
    """Estimate the time of a schedule by running a piece of it."""
    timings = _measure(runner, cut, asked)
    return sum(timings.of_chunk(chunk, asked, runner) for chunk in cut.chunks)


def _measure(runner: BlockRunner, cut: Schedule, asked: Asked) -> _Timings:
    weights = runner.weights
    every_group = [group for chunk in cut.chunks for group in chunk.groups]
    largest, smallest = (find(every_group, key=lambda group: group.tokens) for find in (max, min))
    reading, tensors = _timed(lambda: weights.open_block(0).tensors(()), 1)
    many = _Piece.of(runner, asked, largest, max(1, cut.batch // largest.tokens), every_group)
    few = _Piece.of(runner, asked, smallest, 1, ())
    with installed(runner.capture.decoder.blocks[0], tensors):
        inside = _Line.through(few.inside(runner), many.inside(runner))
        of_few, _ = few.last(runner)
        of_many, last = many.last(runner)
    tail = weights.open_outside(OUTSIDE, tables=False)
    loading, tensors = _timed(lambda: tail.tensors(()), 1)
    with installed(weights.model, tensors):
        states_read = min(cut.rows, _STATES_READ)
        hidden = last.flatten(0, 1)[:1].expand(states_read, 1, -1)
        every = asked.parts(range(len(asked.rows)))
        heads = {id(part.reader): _head(runner, part, hidden) for part in every}
    return _Timings(inside, _Line.through(of_few, of_many), heads, reading, loading)


@dataclass(frozen=True)
class _Piece:
    """Some states of one group, ready to be run through a block.

    Attributes:
        group: The group.
        rest: Their tokens after the shared ones.
        shared: The shared ones.
    """

    group: Group
    rest: torch.Tensor
    shared: torch.Tensor

    @classmethod
    def of(cls, runner: BlockRunner, asked: Asked, group: Group, states: int, warmed: Sequence[Group]) -> _Piece:
        """Embed the rows of a group, and capture what some groups need while the embedding holds weights."""
        weights = runner.weights
        ids = torch.tensor(padded([asked.rows[i].token_ids for i in group.rows]), device=weights.device)
        with installed(weights.model, weights.open_outside(("embedding",)).tensors(())):
            hidden = runner.capture.embed(ids)
            for some in (group, *warmed):
                runner.warm(some)
        rest = hidden[None, :, group.shared :].repeat(states, 1, 1, 1)
        return cls(group, rest, hidden[:1, : group.shared].repeat(states, 1, 1))

    @property
    def tokens(self) -> int:
        """Tokens that are not shared, of all states."""
        return len(self.rest) * _own(self.group)

    def before(self, runner: BlockRunner) -> Any:
        """Keys of the shared tokens."""
        return runner.prefix(0, self.shared)[1] if self.group.shared else None

    def inside(self, runner: BlockRunner) -> tuple[int, float]:
        """Tokens, and seconds of a block."""
        before = self.before(runner)
        return self.tokens, _timed(lambda: runner.advance(0, self.group, self.rest, before), 3)[0]

    def last(self, runner: BlockRunner) -> tuple[tuple[int, float], torch.Tensor]:
        """Tokens and seconds of the last block, and what leaves it."""
        before = self.before(runner)
        seconds, last = _timed(lambda: runner.last(0, self.group, self.rest, before), 3)
        return (self.tokens, seconds), last


def _head(runner: BlockRunner, part: Part, hidden: torch.Tensor) -> float:
    """Seconds of head and reduction for one read of one state."""
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
