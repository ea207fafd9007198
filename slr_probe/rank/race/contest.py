"""Where a race of ranges gets its numbers: sweeps over some prompts, and the ranking's own scores on all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from slr_probe.rank.guards.bounds import Guard, Guards
from slr_probe.rank.guards.judge import Judge
from slr_probe.rank.guards.table import Place, ReplyTable
from slr_probe.rank.measure import Scorer
from slr_probe.rank.race.hurdles import Columns
from slr_probe.recipe import Recipe
from slr_probe.tasks.answers import Query

if TYPE_CHECKING:
    from slr_probe.pair import ModelPair
    from slr_probe.rank.guards.replies import ReadReplies


@dataclass(frozen=True)
class Questions:
    """Some questions, as a task.

    Attributes:
        some: The questions.
    """

    some: tuple[Query, ...]

    def queries(self, pair: ModelPair) -> Sequence[Query]:
        """The questions."""
        return self.some


@dataclass
class SweptContest:
    """A race of recipes.

    Attributes:
        selection: Scores recipes on everything; what it measures of leaders is not measured again later.
        recipes: Distinct hybrids.
        guards: Bounds on what is said to replies; None where nothing is asked.
        seed: Seed of the order of the prompts: sweeps on disk are kept apart by it.
    """

    selection: Scorer
    recipes: Sequence[Recipe]
    guards: Guards | None
    seed: int
    _parts: list[Scorer] = field(default_factory=list)

    @cached_property
    def tuned(self) -> Columns:
        """What tuned gives on everything."""
        return self._columns(self.selection, [Recipe.tuned(self.selection.pair.depth)])

    @cached_property
    def bounds(self) -> Mapping[Guard, tuple[float, float]]:
        """What each guard that is asked lets pass."""
        if self.selection.replies is None:
            return {}
        *_, scores = self.selection.measured([Recipe.tuned(self.selection.pair.depth)])
        judge = Judge(_table(self.selection.replies, scores), self.guards, 0)
        return {guard: judge.bounds(guard) for guard in judge.asked}

    @property
    def evaluations(self) -> int:
        """Block evaluations times prompts and replies of all parts."""
        return sum(part.evaluations for part in self._parts)

    def part(self, rows: Sequence[int], questions: Sequence[int], replies: Sequence[int]) -> Columns:
        """Some recipes on some questions and prompts of replies, in this order."""
        every = self.selection
        read = None if every.replies is None or not len(replies) else _finished(every.replies, replies)
        out = None if every.out is None else every.out.with_name(f"race-{self.seed}-{len(self._parts) + 1}")
        some = Questions(tuple(every.queries[i] for i in questions))
        scorer = Scorer(every.pair, some, every.changed, every.engine, out, read)
        self._parts.append(scorer)
        columns = self._columns(scorer, [self.recipes[row] for row in rows])
        place = np.argsort(np.argsort(replies))  # a table has prompts in order
        asked = ("validity", "diversity")
        return {name: values if name in asked else values[:, place] for name, values in columns.items()}

    def whole(self, rows: Sequence[int]) -> Columns:
        """Some recipes on everything."""
        return self._columns(self.selection, [self.recipes[row] for row in rows])

    def _columns(self, scorer: Scorer, recipes: Sequence[Recipe]) -> Columns:
        validity, diversity, scores = scorer.measured(recipes)
        columns: dict[Any, Any] = {"validity": validity, "diversity": diversity}
        if scorer.replies is not None:
            table = _table(scorer.replies, scores)
            columns |= {"ending": table.ending, "surprise": table.surprise, "drift": table.drift}
        return columns


def _table(replies: ReadReplies, scores: Any) -> ReplyTable:
    return ReplyTable(replies.prompt, replies.place, scores)


def _finished(replies: ReadReplies, wanted: Sequence[int]) -> ReadReplies:
    """The finished replies to some of the prompts that have any, in the order of the prompts."""
    has_end = np.unique(replies.prompt[(replies.place & Place.END) > 0])
    return replies.of_prompts(frozenset(has_end[list(wanted)].tolist()))
