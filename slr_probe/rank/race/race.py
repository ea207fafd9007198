"""The race (ours): blocks of prompts of growing size, after each of which ranges leave that cannot be chosen.

The prompts come in random order. After each block the most promising ranges are scored on everything, and the most
diverse of those that keep all floors becomes the one to beat. A range leaves when what has been seen speaks against it
at a hurdle: that it keeps the floors, or that it is more diverse than the one to beat, by more than `MARGIN`. Each test
is a paired t-test without replacement (`slr_probe.stats.part`).

The error budget: a range that keeps all floors on all prompts and is more diverse there than all others, by more than
the margin, clears every hurdle, whatever the others are. It is tested once a block and hurdle, at
`error / (blocks x hurdles)` each, so it leaves with a probability of at most `error`, as far as t-tests of so few
prompts keep their level: `benchmarks/race.py` measures how often it does. Where another comes closer than the margin,
either may be chosen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from slr_probe.rank.guards.bounds import Guard
from slr_probe.rank.order import EQUAL
from slr_probe.rank.race.hurdles import Columns, Hurdle, Reason, hurdles_of_questions, hurdles_of_replies
from slr_probe.rank.race.record import Exit, Heat

BLOCKS = (0.15, 0.25, 0.4, 0.65)
"""Share of the prompts that has been seen after each block. Replies, which cost more, are read from the second on."""
LEADERS = 2
"""Ranges that are scored on everything after each block."""
MARGIN = 0.01
"""A range that is no more diverse than this above another, as a fraction of log |V|, is no loss."""


class Contest(Protocol):
    """Where the numbers come from.

    Rows are the hybrids that race.
    """

    @property
    def tuned(self) -> Columns:
        """What tuned gives on everything, one row."""

    @property
    def bounds(self) -> Mapping[Guard, tuple[float, float]]:
        """What each guard that is asked lets pass; see `Judge.bounds`."""

    def part(self, rows: Sequence[int], questions: Sequence[int], replies: Sequence[int]) -> Columns:
        """Some hybrids on some questions and prompts of replies, in this order."""

    def whole(self, rows: Sequence[int]) -> Columns:
        """Some hybrids on everything."""


@dataclass
class _Lane:
    """One kind of prompts.

    Attributes:
        order: The prompts, in random order.
        hurdles: What is asked on them; references are in this order.
        values: What hybrids gave on those that have been seen, by column; NaN for hybrids that had left.
        seen: How many.
    """

    order: Int[ndarray, " prompt"]
    hurdles: list[Hurdle]
    values: dict[Reason, Float[ndarray, "row seen"]] = field(default_factory=dict)
    seen: int = 0

    def next(self, share: float) -> list[int]:
        """The prompts up to some share of all; none where nothing is asked on them."""
        stop = max(self.seen, int(np.ceil(share * len(self.order)))) if self.hurdles else 0
        new: list[int] = self.order[self.seen : stop].tolist()
        return new

    def see(self, rows: Int[ndarray, " row"], columns: Columns, new: int, total: int) -> None:
        """Take in what some of all hybrids gave on the next prompts."""
        self.seen += new
        for name, values in columns.items():
            if values.shape[1] == new > 0:
                whole = np.full((total, new), np.nan)
                whole[rows] = values
                self.values[name] = np.concatenate([self.values.get(name, np.empty((total, 0))), whole], axis=1)


class Race:
    """A race of distinct hybrids.

    Args:
        contest: Where the numbers come from.
        rows: How many hybrids race.
        floor: Share of tuned's validity that must be kept.
        error: Bound on the probability that the best one leaves.
        seed: Seed of the order of the prompts.
        diversity: Whether diversity is what is maximised; else floors alone make ranges leave.

    Attributes:
        exits: When and why each left; None for those that stayed and for the leaders.
        heats: The rounds so far.
    """

    def __init__(
        self, contest: Contest, rows: int, floor: float, error: float, seed: int, *, diversity: bool = True
    ) -> None:
        self._contest, tuned = contest, contest.tuned
        rng = np.random.default_rng(seed)
        questions = rng.permutation(tuned["validity"].shape[1])
        replies = rng.permutation(max((tuned[guard].shape[1] for guard in contest.bounds), default=0))
        named: Columns = {name: values[:, questions] for name, values in tuned.items() if name in _ASKED}
        self._questions = _Lane(questions, hurdles_of_questions(named, floor))
        named = {guard: tuned[guard][:, replies] for guard in contest.bounds}
        self._replies = _Lane(replies, hurdles_of_replies(named, contest.bounds))
        self._best = Hurdle("diversity", 1, tuned["diversity"][0][questions], MARGIN)
        self._beaten_leave = diversity
        self._threshold = error / (len(BLOCKS) * (int(diversity) + 1 + len(contest.bounds)))
        self._racing = np.ones(rows, dtype=bool)
        self.exits: list[Exit | None] = [None] * rows
        self.heats: list[Heat] = []

    @property
    def stayed(self) -> list[int]:
        """Those that did not leave, and the leaders, which have been scored anyway."""
        return [row for row, left in enumerate(self.exits) if left is None]

    def run(self) -> Race:
        """Run all rounds, or as many as there is anything to decide in; gives the race itself."""
        for number, share in enumerate(BLOCKS):
            rows = np.flatnonzero(self._racing)
            if len(rows) <= LEADERS:
                break
            questions, replies = self._questions.next(share), self._replies.next(share if number else 0.0)
            if questions or replies:  # of few prompts, a share may hold no more than the one before
                self._heat(rows, questions, replies)
        return self

    def _heat(self, rows: Int[ndarray, " row"], questions: list[int], replies: list[int]) -> None:
        columns = self._contest.part(rows.tolist(), questions, replies)
        asked: Columns = {name: columns[name] for name in _ASKED}
        guarded: Columns = {guard: columns[guard] for guard in self._contest.bounds if guard in columns}
        self._questions.see(rows, asked, len(questions), len(self.exits))
        self._replies.see(rows, guarded, len(replies), len(self.exits))
        self._stop()
        leaders = self._leaders()
        self._score(leaders)
        self._stop()
        left = len(rows) - len(leaders) - int(self._racing.sum())
        self.heats.append(Heat(len(rows), self._questions.seen, self._replies.seen, len(leaders), left))

    def _floors(self) -> list[tuple[Hurdle, Float[ndarray, "row seen"]]]:
        """Every floor, with what has been seen of it."""
        lanes = (self._questions, self._replies)
        return [(hurdle, lane.values[hurdle.name]) for lane in lanes if lane.seen for hurdle in lane.hurdles]

    def _stop(self) -> None:
        """Let those leave that cannot be chosen."""
        beaten = [(self._best, self._questions.values["diversity"])] if self._beaten_leave else []
        for hurdle, values in (*self._floors(), *beaten):
            rows = np.flatnonzero(self._racing)
            for row in rows[hurdle.p(values[rows]) <= self._threshold].tolist():
                self._racing[row] = False
                self.exits[row] = Exit(len(self.heats) + 1, hurdle.name, self._questions.seen)

    def _leaders(self) -> list[int]:
        """The most diverse that seem to keep the floors; where none does, those of most validity."""
        rows = np.flatnonzero(self._racing)
        well = np.ones(len(rows), dtype=bool)
        for hurdle, values in self._floors():
            well &= hurdle.cleared(values[rows]) >= -EQUAL
        key = self._questions.values["diversity" if well.any() else "validity"]
        rows = rows[well] if well.any() else rows
        leaders: list[int] = rows[np.argsort(-key[rows].mean(axis=1), kind="stable")[:LEADERS]].tolist()
        return leaders

    def _score(self, leaders: list[int]) -> None:
        """Score some on everything; the most diverse of those that keep all floors is the one to beat."""
        if not leaders:
            return
        columns = self._contest.whole(leaders)
        self._racing[leaders] = False
        kept = np.ones(len(leaders), dtype=bool)
        for lane in (self._questions, self._replies):
            for hurdle in lane.hurdles:
                kept &= hurdle.cleared(columns[hurdle.name][:, lane.order]) >= -EQUAL
        for diversity in columns["diversity"][kept][:, self._questions.order]:
            if diversity.mean() > self._best.reference.mean():
                self._best = Hurdle("diversity", 1, diversity, self._best.margin)


_ASKED: tuple[Reason, Reason] = ("validity", "diversity")
