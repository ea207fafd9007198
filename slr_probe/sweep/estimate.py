"""`SweepPlan`: what a sweep would do and cost, before it is run."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from slr_probe.forward.questions import padded
from slr_probe.forward.surgery import installed
from slr_probe.sweep.chunk import Reducer
from slr_probe.sweep.execute import Walk
from slr_probe.sweep.plan import Schedule

if TYPE_CHECKING:
    from slr_probe.sweep.settings import Measure
    from slr_probe.tasks.answers import Query


@dataclass(frozen=True)
class SweepPlan:
    """What `sweep(..., dry_run=True)` gives.

    Attributes:
        recipes: Number of recipes.
        prompts: Number of prompts.
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


def measure_seconds(walk: Walk, schedule: Schedule, queries: Sequence[Query], measure: Measure) -> float:
    """Estimate the time of a schedule by running a piece of it."""
    group = max((g for c in schedule.chunks for g in c.groups), key=lambda g: g.tokens)
    states = max(1, schedule.batch // group.tokens)
    prompts = [queries[i].token_ids for i in group.prompts]
    with installed(walk.weights.model, walk.weights.open_outside(("embedding",)).tensors(())):
        hidden = walk.capture.embed(torch.tensor(padded(prompts), device=walk.weights.device))
        for g in (g for c in schedule.chunks for g in c.groups):
            walk.warm(g)
    rest = hidden[None, :, group.shared :].repeat(states, 1, 1, 1)
    shared = hidden[:1, : group.shared].repeat(states, 1, 1)
    block = walk.capture.decoder.blocks[0]
    reading, tensors = _timed(lambda: walk.weights.open_block(0).tensors(()), 1)
    with installed(block, tensors):
        opening, before = _timed(lambda: walk.prefix(0, shared)[1] if group.shared else None, 2)
        inside, _ = _timed(lambda: walk.advance(0, group, rest, before), 3)
        last, answers = _timed(lambda: walk.last(0, group, rest, before), 3)
    rows = min(schedule.rows, 64)
    flat = answers.flatten(0, 1)[:1].expand(rows, -1)
    reduce = Reducer(queries, measure, walk.weights.device)
    tail = walk.weights.open_outside(("embedding", "final_norm", "head"), tables=False)
    loading, tensors = _timed(lambda: tail.tensors(()), 1)
    with installed(walk.weights.model, tensors):
        columns = torch.zeros(rows, dtype=torch.long, device=flat.device)
        head, _ = _timed(lambda: reduce(walk.readout(flat), columns), 2)
    total = 0.0
    for chunk in schedule.chunks:
        tokens, prompts_here = sum(g.tokens for g in chunk.groups), sum(len(g.prompts) for g in chunk.groups)
        *inner, end = [level.width for level in chunk.trie.levels]
        total += (sum(inner) * (inside + opening) + end * last) * tokens / (states * group.tokens)
        total += head * len(chunk.trie.reads) * prompts_here / rows
        total += 2 * reading * len(chunk.trie.levels) + 2 * loading
    return total


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
