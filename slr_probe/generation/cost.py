"""What writing outputs costs: measured on a few steps, extended to all of them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from numpy import ndarray

from slr_probe.forward.device import wait
from slr_probe.generation.decode import BATCH_TOKENS, Request, batches, prefill, random_numbers
from slr_probe.generation.draw import draw
from slr_probe.generation.sampling import Sampling
from slr_probe.generation.state import RoutedState, State, may_be_padded

_STEPS = 3  # that are timed, after one that is not
_ROWS = 8  # that are written to see where they end


@dataclass(frozen=True)
class Pace:
    """How fast a model writes, and how long.

    Attributes:
        token: Seconds for each token of a prompt.
        step: Seconds of a step, whatever it holds.
        row: Seconds that each row adds to a step.
        lengths: Tokens of some outputs, as far as they were followed.
        ended: Which of these had ended by then.
    """

    token: float
    step: float
    row: float
    lengths: Int[ndarray, " output"]
    ended: Int[ndarray, " output"]

    def expected_length(self, limit: int) -> float:
        """Mean tokens of an output that may have `limit`.

        As far as outputs were followed, their mean. Beyond, those that are left end at the rate at which outputs ended
        in the second half of what was seen: their lengths are exponential, cut at the limit (ours).
        """
        seen = int(self.lengths.max())
        if seen >= limit:
            return float(np.minimum(self.lengths, limit).mean())
        rest = limit - seen
        beyond = rest if self.rate == 0 else (1 - np.exp(-self.rate * rest)) / self.rate
        return float(self.lengths.mean() + (1 - self.ended.mean()) * beyond)

    def ending_share(self, limit: int) -> float:
        """Share of outputs that end within `limit` tokens, likewise."""
        rest = max(limit - int(self.lengths.max()), 0)
        early = float((self.ended * (self.lengths <= limit)).mean())
        return early + (1 - early) * float(1 - np.exp(-self.rate * rest))

    @property
    def rate(self) -> float:
        """Outputs that end, a token, in the second half of what was seen."""
        late = np.maximum(self.lengths - int(self.lengths.max()) // 2, 0)
        return float((self.ended * (late > 0)).sum() / max(late.sum(), 1))

    def seconds(self, requests: Sequence[Request], sampling: Sampling, batch_tokens: int = BATCH_TOKENS) -> float:
        """Seconds that one model takes for all samples."""
        total, limit = 0.0, sampling.max_tokens
        length = self.expected_length(limit)
        longest = limit if self.ended.mean() < 1 else min(limit, int(self.lengths.max()))
        for batch in batches(requests, sampling, batch_tokens):
            rows = sum(len(request.samples) for request in batch)
            width = max(len(request.ids) for request in batch)
            total += self.token * width * len(batch) + self.step * longest + self.row * rows * length
        return total


def measure_pace(
    model: Any,
    requests: Sequence[Request],
    sampling: Sampling,
    *,
    ends: Iterable[int],
    seconds: float,
    like: Pace | None = None,
) -> Pace:
    """Run some steps of a full batch, and follow a few outputs for so many seconds.

    Args:
        model: A causal language model of transformers.
        requests: What is to be written.
        sampling: How.
        ends: Tokens that end an output.
        seconds: How long outputs are followed at most.
        like: The pace of a model of the same architecture at the same requests; then only lengths are looked at.
    """
    batch = next(iter(batches(requests, sampling, BATCH_TOKENS, padded=may_be_padded(model))))
    few = [replace(request, samples=request.samples[:1]) for request in batch[:_ROWS]]
    lengths, ended, of_few = _follow(model, few, sampling, torch.tensor(sorted(set(ends))), seconds)
    if like is not None:
        return replace(like, lengths=lengths, ended=ended)
    reading = float("inf")
    for _ in range(2):  # the first may have to warm up
        began = time.perf_counter()
        state = prefill(model, batch)
        wait(model.device)
        reading = min(reading, time.perf_counter() - began)
    rows = len(state.logits)
    of_batch = _step_seconds(state, [(r.id, n) for r in batch for n in r.samples], sampling)
    row = max(0.0, of_batch - of_few) / (rows - len(few)) if rows > len(few) else of_few / len(few)
    tokens = max(len(request.ids) for request in batch) * len(batch)
    return Pace(reading / tokens, max(0.0, of_few - row * len(few)), row, lengths, ended)


def _step_seconds(state: State | RoutedState, owners: list[tuple[str, int]], sampling: Sampling) -> float:
    """Seconds of one step of a batch: the shortest of a few."""
    numbers = random_numbers(owners, replace(sampling, max_tokens=1))[:, 0].to(state.logits.device)
    taken = []
    for _ in range(_STEPS + 1):
        began = time.perf_counter()
        state.step(draw(state.logits, numbers, sampling))
        wait(state.logits.device)
        taken.append(time.perf_counter() - began)
    return min(taken[1:])


def _follow(
    model: Any, few: list[Request], sampling: Sampling, ends: torch.Tensor, seconds: float
) -> tuple[Int[ndarray, " output"], Int[ndarray, " output"], float]:
    """Lengths of a few outputs, which of them ended, and the seconds of a step: of quick ones, as others may run."""
    began = time.perf_counter()
    state, limit = prefill(model, few), sampling.max_tokens
    numbers = random_numbers([(r.id, r.samples[0]) for r in few], sampling).to(model.device)
    lengths, ended = np.zeros(len(few), dtype=int), np.zeros(len(few), dtype=int)
    taken: list[float] = []
    for step in range(limit):
        at = time.perf_counter()
        drawn = draw(state.logits, numbers[:, step], sampling)
        over = torch.isin(drawn, ends.to(drawn.device)).cpu().numpy()
        lengths += 1 - ended
        ended |= over
        if ended.all() or step == limit - 1 or (at - began > seconds and len(taken) > _STEPS):
            break
        state.step(drawn)
        wait(model.device)
        taken.append(time.perf_counter() - at)
    return lengths, ended, float(np.quantile(taken[1:] or taken or [0.0], 0.25))
