"""Prompts in groups that are run as one batch: shared tokens first and once, little padding after them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy import ndarray

if TYPE_CHECKING:
    from jaxtyping import Int

_HEADS = (0, 2, 4, 8, 16, 32)
"""First tokens by which prompts are sorted; ours. Every prompt's whole length is tried as well."""


@dataclass(frozen=True)
class Group:
    """Prompts that are run together.

    Attributes:
        prompts: Indices of the queries.
        shared: Number of leading tokens that all of them share and that are run once for all; less than the
            shortest length, so that every answer position comes after them.
        lengths: Number of tokens of every prompt.
    """

    prompts: tuple[int, ...]
    shared: int
    lengths: tuple[int, ...]

    @property
    def padded(self) -> int:
        """Tokens of every prompt after the shared ones, padding included."""
        return max(self.lengths) - self.shared

    @property
    def tokens(self) -> int:
        """Tokens that one state holds for this group."""
        return self.shared + len(self.prompts) * self.padded

    def prefix(self, prompts: Sequence[Sequence[int]]) -> tuple[int, ...]:
        """The tokens that its prompts share, given the token ids of all prompts."""
        return tuple(prompts[self.prompts[0]][: self.shared])


def group_prompts(
    prompts: Sequence[Sequence[int]], *, share: bool = True, limit: int | None = None, overhead: int = 4
) -> list[Group]:
    """Split prompts into groups with the fewest tokens to run.

    Padding stands on the right, where causal models never look at it; it costs time only. Prompts are sorted by
    some of their first tokens and then by length, and cut into runs by dynamic programming; the cheapest order wins.

    Args:
        prompts: Token ids of every prompt.
        share: Run leading tokens that a group shares only once.
        limit: Most tokens a group may hold; a single prompt may exceed it.
        overhead: What one more group costs, in tokens.

    Examples:
        >>> group_prompts([(1, 2, 3), (1, 2, 4), (9,)], overhead=0)
        [Group(prompts=(2,), shared=0, lengths=(1,)), Group(prompts=(0, 1), shared=2, lengths=(3, 3))]
    """
    arrays = [np.asarray(prompt, dtype=np.int64) for prompt in prompts]
    cheapest: list[Group] = []
    least = np.inf
    for order in _orders(prompts):
        groups = _cut([arrays[i] for i in order], order, share, limit, overhead)
        cost = sum(group.tokens + overhead for group in groups)
        if cost < least:
            cheapest, least = groups, cost
    return cheapest


def _orders(prompts: Sequence[Sequence[int]]) -> Iterator[tuple[int, ...]]:
    """Different orders of the prompts: by their first tokens, then by length, then by all their tokens."""
    whole = [tuple(prompt) for prompt in prompts]
    seen: set[tuple[int, ...]] = set()
    for head in (*_HEADS, max(map(len, prompts), default=0)):
        keys = sorted((prompt[:head], len(prompt), prompt, i) for i, prompt in enumerate(whole))
        order = tuple(key[-1] for key in keys)
        if order not in seen:
            seen.add(order)
            yield order


def _cut(
    prompts: list[Int[ndarray, " token"]], names: Sequence[int], share: bool, limit: int | None, overhead: int
) -> list[Group]:
    """The cheapest cut of sorted prompts into runs; ties go to the longest last run.

    `cost[stop]` is that of the first `stop` prompts. All starts of the last run are looked at together. A run only
    gains tokens when it is extended at either end, so a start that is too far away for one stop is so for all later.
    """
    lengths = np.array([len(prompt) for prompt in prompts], dtype=np.int64)
    alike = _shared_with_previous(prompts) if share else np.zeros(len(prompts), dtype=np.int64)
    # For the run from each start to the current stop: its longest and shortest prompt, and what all of it shares.
    longest, shortest, shared = lengths.copy(), lengths.copy(), lengths.copy()
    cost = np.zeros(len(prompts) + 1, dtype=np.int64)
    starts = [0] * (len(prompts) + 1)
    first = 0
    for last in range(len(prompts)):
        window = slice(first, last + 1)
        longest[window] = np.maximum(longest[window], lengths[last])
        shortest[window] = np.minimum(shortest[window], lengths[last])
        shared[first:last] = np.minimum(shared[first:last], alike[last])
        once = np.minimum(shared[window], shortest[window] - 1)
        once[-1] = 0  # a prompt by itself shares nothing
        tokens = once + np.arange(last + 1 - first, 0, -1) * (longest[window] - once)
        if limit is not None:
            too_large = int((tokens[:-1] > limit).sum())
            first, tokens = first + too_large, tokens[too_large:]
        total = cost[first : last + 1] + tokens + overhead
        starts[last + 1] = first + int(total.argmin())
        cost[last + 1] = total.min()
    return [_group(prompts, names, alike, start, stop) for start, stop in _runs(starts)]


def _runs(starts: list[int]) -> list[tuple[int, int]]:
    """Start and stop of every run, given the start of the last run before each stop."""
    runs: list[tuple[int, int]] = []
    stop = len(starts) - 1
    while stop:
        runs.append((starts[stop], stop))
        stop = starts[stop]
    return runs[::-1]


def _group(
    prompts: list[Int[ndarray, " token"]], names: Sequence[int], alike: Int[ndarray, " prompt"], start: int, stop: int
) -> Group:
    lengths = tuple(len(prompt) for prompt in prompts[start:stop])
    shared = min(int(alike[start + 1 : stop].min()), min(lengths) - 1) if stop - start > 1 else 0
    return Group(tuple(names[start:stop]), shared, lengths)


def _shared_with_previous(prompts: list[Int[ndarray, " token"]]) -> Int[ndarray, " prompt"]:
    """Number of leading tokens that each prompt has in common with the one before it; 0 for the first."""
    alike = np.zeros(len(prompts), dtype=np.int64)
    for i in range(1, len(prompts)):
        length = min(len(prompts[i - 1]), len(prompts[i]))
        differs = prompts[i - 1][:length] != prompts[i][:length]
        alike[i] = int(differs.argmax()) if differs.any() else length
    return alike
