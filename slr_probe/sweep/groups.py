"""Prompts in groups that are run as one batch: shared tokens first and once, little padding after them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile


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
    plans = []
    for head in (0, 2, 4, 8, 16, 32, max(map(len, prompts), default=0)):
        keys = [(tuple(prompt[:head]), len(prompt), tuple(prompt), i) for i, prompt in enumerate(prompts)]
        order = [key[-1] for key in sorted(keys)]
        plans.append(_cut([prompts[i] for i in order], order, share, limit, overhead))
    return min(plans, key=lambda groups: sum(group.tokens + overhead for group in groups))


def _cut(prompts: list[Sequence[int]], names: list[int], share: bool, limit: int | None, overhead: int) -> list[Group]:
    best: list[tuple[int, int]] = [(0, 0)]  # cost of the first j prompts, start of their last group
    for stop in range(1, len(prompts) + 1):
        options = []
        for start in range(stop - 1, -1, -1):
            group = _group(prompts[start:stop], names[start:stop], share)
            if limit is not None and group.tokens > limit and stop - start > 1:
                break
            options.append((best[start][0] + group.tokens + overhead, start))
        best.append(min(options))
    groups: list[Group] = []
    stop = len(prompts)
    while stop:
        start = best[stop][1]
        groups.append(_group(prompts[start:stop], names[start:stop], share))
        stop = start
    return groups[::-1]


def _group(prompts: list[Sequence[int]], names: list[int], share: bool) -> Group:
    lengths = tuple(len(prompt) for prompt in prompts)
    shared = 0
    if share and len(prompts) > 1:
        columns = zip(*prompts, strict=False)
        shared = min(sum(1 for _ in takewhile(lambda tokens: len(set(tokens)) == 1, columns)), min(lengths) - 1)
    return Group(tuple(names), shared, lengths)
