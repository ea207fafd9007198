"""Rows of tokens in groups that are run as one batch: shared tokens first and once, little padding after them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy import ndarray

from slr_probe.sweep.reads.rows import Row

if TYPE_CHECKING:
    from jaxtyping import Int

_HEADS = (0, 2, 4, 8, 16, 32)
"""First tokens by which rows are sorted; ours. Every row's whole length is tried as well."""


@dataclass(frozen=True)
class Group:
    """Rows that are run together.

    Attributes:
        rows: Their indices.
        shared: Number of leading tokens that all of them share and that are run once for all; every position that is
            read comes after them.
        lengths: Number of tokens of every row.
        reads: The positions that are read, of every row.
    """

    rows: tuple[int, ...]
    shared: int
    lengths: tuple[int, ...]
    reads: tuple[tuple[int, ...], ...]

    @property
    def padded(self) -> int:
        """Tokens of every row after the shared ones, padding included."""
        return max(self.lengths) - self.shared

    @property
    def tokens(self) -> int:
        """Tokens that one state holds for this group."""
        return self.shared + len(self.rows) * self.padded

    @property
    def held(self) -> int:
        """Tokens that one state holds at most; reads beyond one a row are held beside what they are read from."""
        return self.tokens + self.count - len(self.rows)

    @property
    def reads_most(self) -> bool:
        """Whether more than half of the tokens after the shared ones are read."""
        return 2 * self.count > len(self.rows) * self.padded

    @property
    def count(self) -> int:
        """Number of reads."""
        return sum(map(len, self.reads))

    @cached_property
    def places(self) -> Int[ndarray, "2 read"]:
        """For every read, which of the group's rows it is of, and its position in the row."""
        found = [(i, position) for i, positions in enumerate(self.reads) for position in positions]
        return np.array(found, dtype=np.int64).T

    def prefix(self, rows: Sequence[Row]) -> tuple[int, ...]:
        """The tokens that its rows share, given all rows."""
        return rows[self.rows[0]].token_ids[: self.shared]


def group_rows(rows: Sequence[Row], *, share: bool = True, limit: int | None = None, overhead: int = 4) -> list[Group]:
    """Split rows into groups with the fewest tokens to run.

    Padding stands on the right, where causal models never look at it; it costs time only. Rows are sorted by
    some of their first tokens and then by length, and cut into runs by dynamic programming; the cheapest order wins.

    Args:
        rows: The rows.
        share: Run leading tokens that a group shares only once.
        limit: Most tokens a group may hold; a single row may exceed it.
        overhead: What one more group costs, in tokens.

    Examples:
        >>> groups = group_rows([Row.last((1, 2, 3)), Row.last((1, 2, 4)), Row.last((9,))], overhead=0)
        >>> [(group.rows, group.shared) for group in groups]
        [((2,), 0), ((0, 1), 2)]
    """
    arrays = [np.asarray(row.token_ids, dtype=np.int64) for row in rows]
    cheapest: list[Group] = []
    least = np.inf
    for order in _orders(rows):
        runs = _cut([arrays[i] for i in order], [rows[i].reads[0] for i in order], share, limit, overhead)
        groups = [_group([(i, rows[i]) for i in order[start:stop]], shared) for start, stop, shared in runs]
        cost = sum(group.tokens + overhead for group in groups)
        if cost < least:
            cheapest, least = groups, cost
    return cheapest


def _orders(rows: Sequence[Row]) -> Iterator[tuple[int, ...]]:
    """Different orders of the rows: by their first tokens, then by length, then by all their tokens."""
    whole = [row.token_ids for row in rows]
    seen: set[tuple[int, ...]] = set()
    for head in (*_HEADS, max(map(len, whole), default=0)):
        keys = sorted((tokens[:head], len(tokens), tokens, i) for i, tokens in enumerate(whole))
        order = tuple(key[-1] for key in keys)
        if order not in seen:
            seen.add(order)
            yield order


def _cut(
    rows: list[Int[ndarray, " token"]], firsts: Sequence[int], share: bool, limit: int | None, overhead: int
) -> list[tuple[int, int, int]]:
    """The cheapest cut of sorted rows into runs: start, stop and number of shared tokens of each.

    Ties go to the longest last run. `cost[stop]` is that of the first `stop` rows. All starts of the last run are
    looked at together. A run only gains tokens when it is extended at either end, so a start that is too far away for
    one stop is so for all later.
    """
    lengths = np.array([len(row) for row in rows], dtype=np.int64)
    alike = _shared_with_previous(rows) if share else np.zeros(len(rows), dtype=np.int64)
    # For the run from each start to the current stop: its longest row, its first read, and what all of it shares.
    longest, first_read, shared = lengths.copy(), np.array(firsts, dtype=np.int64), lengths.copy()
    cost = np.zeros(len(rows) + 1, dtype=np.int64)
    starts = [0] * (len(rows) + 1)
    first = 0
    for last in range(len(rows)):
        window = slice(first, last + 1)
        longest[window] = np.maximum(longest[window], lengths[last])
        first_read[window] = np.minimum(first_read[window], firsts[last])
        shared[first:last] = np.minimum(shared[first:last], alike[last])
        once = np.minimum(shared[window], first_read[window])
        once[-1] = 0  # a row by itself shares nothing
        tokens = once + np.arange(last + 1 - first, 0, -1) * (longest[window] - once)
        if limit is not None:
            too_large = int((tokens[:-1] > limit).sum())
            first, tokens = first + too_large, tokens[too_large:]
        total = cost[first : last + 1] + tokens + overhead
        starts[last + 1] = first + int(total.argmin())
        cost[last + 1] = total.min()
    return [(a, b, min(*alike[a + 1 : b], *firsts[a:b]) if b - a > 1 else 0) for a, b in _runs(starts)]


def _runs(starts: list[int]) -> list[tuple[int, int]]:
    """Start and stop of every run, given the start of the last run before each stop."""
    runs: list[tuple[int, int]] = []
    stop = len(starts) - 1
    while stop:
        runs.append((starts[stop], stop))
        stop = starts[stop]
    return runs[::-1]


def _group(rows: Sequence[tuple[int, Row]], shared: int) -> Group:
    names, members = zip(*rows, strict=True)
    return Group(names, int(shared), tuple(len(row.token_ids) for row in members), tuple(row.reads for row in members))


def _shared_with_previous(rows: list[Int[ndarray, " token"]]) -> Int[ndarray, " prompt"]:
    """Number of leading tokens that each row has in common with the one before it; 0 for the first."""
    alike = np.zeros(len(rows), dtype=np.int64)
    for i in range(1, len(rows)):
        length = min(len(rows[i - 1]), len(rows[i]))
        differs = rows[i - 1][:length] != rows[i][:length]
        alike[i] = int(differs.argmax()) if differs.any() else length
    return alike
