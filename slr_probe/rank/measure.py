"""`Scorer`: measures recipes with the sweep engine, each distinct hybrid once; and what it asks."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from slr_probe.block_weight import TUNED
from slr_probe.defaults import MIN_P
from slr_probe.errors import TaskError
from slr_probe.files import digest
from slr_probe.pair.prompts import Format
from slr_probe.rank.guards.table import SCORES
from slr_probe.recipe import Recipe
from slr_probe.tasks.answers import Query
from slr_probe.tasks.crc import CRCTask, RenderedTask

if TYPE_CHECKING:
    from slr_probe.pair import ModelPair
    from slr_probe.rank.guards.replies import ReadReplies
    from slr_probe.sweep import SweepResult

_OPTIMISTIC = "no held-out prompts: the scores of the best range are optimistic, as it was chosen on them"
WRITING, DRAWN = (1.0, 0.0), (1.0, MIN_P)
"""Temperature and min-p at which replies are scored, and at which the entropy of what is drawn is taken."""
Scores = tuple[Float[ndarray, "recipe prompt"], Float[ndarray, "recipe prompt"]]
Measured = tuple[
    Float[ndarray, "*recipe prompt"], Float[ndarray, "*recipe prompt"], Float[ndarray, "*recipe read score"]
]


@dataclass
class Scorer:
    """Scores of recipes on one set of prompts, and on replies; what was measured is remembered.

    Attributes:
        pair: The pair.
        task: Anything with `queries(pair)`.
        changed: Blocks that differ between base and tuned; the others are the same wherever they come from.
        engine: Options of `sweep`.
        out: Beginning of the name of the folders that the sweeps write to; a hash of the recipes follows, so that the
            same recipes are found again. None keeps results in memory only.
        replies: Replies that are read in the same walk; None for none.
        evaluations: Block evaluations so far, times prompts and replies.
        timed: Seconds of the sweeps that know their share of the device's matrix rate, and these times that share.
    """

    pair: ModelPair
    task: Any
    changed: frozenset[int]
    engine: dict[str, Any] = field(default_factory=dict)
    out: Path | None = None
    replies: ReadReplies | None = None
    evaluations: int = 0
    timed: tuple[float, float] = (0.0, 0.0)
    _known: dict[Recipe, Measured] = field(default_factory=dict)

    def __call__(self, recipes: Iterable[Recipe]) -> Scores:
        """Validity and diversity (fraction of log |V|) of each recipe and prompt.

        A prompt on which a hybrid has no valid mass at all (min-p can remove it) has no diversity; it counts as 0.
        """
        validity, diversity, _ = self.measured(recipes)
        return validity, diversity

    def measured(self, recipes: Iterable[Recipe]) -> Measured:
        """Validity, diversity, and scores of the replies (`SCORES`) of each recipe."""
        wanted = [self.canonical(recipe) for recipe in recipes]
        new = [recipe for recipe in dict.fromkeys(wanted) if recipe not in self._known]
        if new:
            self._measure(new)
        validity, diversity, replies = zip(*(self._known[recipe] for recipe in wanted), strict=True)
        return np.array(validity), np.array(diversity), np.array(replies)

    def ended(self, recipes: Sequence[Recipe]) -> Float[ndarray, "recipe prompt"]:
        """Probability that the reply is nothing but an answer, given and ended; NaN for base under its own config.

        It is read off a position more for each spelling and closing mark.
        """
        from slr_probe.generation.decode import end_tokens

        task = CRCTask(self.task.items).render(self.pair, self.task.format, ends=end_tokens(self.pair))
        out = None if self.out is None else self.out.with_name(f"{self.out.name}-ended")
        base = self.canonical(Recipe.base(self.pair.depth, blocks_only=False))
        wanted = [self.canonical(recipe) for recipe in recipes]
        distinct = [one for one in dict.fromkeys(wanted) if one != base or not self.pair.base_fields]
        found = replace(self, task=task, out=out, replies=None).sweep(distinct).ended_validity
        assert found is not None
        missing = np.full(found.shape[1], np.nan)
        return np.stack([found[distinct.index(one)] if one in distinct else missing for one in wanted])

    def canonical(self, recipe: Recipe) -> Recipe:
        """Its weights, with every block that is the same in base and tuned taken from tuned."""
        blocks = tuple(block if i in self.changed else TUNED for i, block in enumerate(recipe.blocks))
        return replace(recipe, blocks=blocks, name="", end_bias=())

    @property
    def seen(self) -> int:
        """Number of distinct hybrids measured so far."""
        return len(self._known)

    @property
    def sampling(self) -> dict[str, float]:
        """Temperature and min-p of the distributions that are scored, where they were given."""
        return {name: self.engine[name] for name in ("temperature", "min_p") if name in self.engine}

    @property
    def categories(self) -> tuple[str, ...]:
        """Category of each prompt; empty for a task without."""
        return self.task.categories if isinstance(self.task, RenderedTask) else ()

    def validity_of_tuned(self) -> Float[ndarray, " prompt"]:
        """Validity of tuned on each prompt."""
        return np.asarray(self([Recipe.tuned(self.pair.depth)])[0][0])

    @property
    def rows(self) -> int:
        """Number of prompts and replies."""
        return len(self.queries) + (0 if self.replies is None else len(self.replies.written))

    @property
    def queries(self) -> Sequence[Query]:
        """The questions."""
        found: Sequence[Query] = self.task.queries(self.pair)
        return found

    def sweep(self, recipes: Sequence[Recipe], **options: Any) -> SweepResult:
        """One sweep over the prompts and the replies; its folder is named by all that is asked."""
        return self._swept(self.pair, {recipe: recipe for recipe in recipes}, self.task, **options)

    def expected_seconds(self, recipes: Iterable[Recipe]) -> float | None:
        """Seconds that measuring recipes takes, estimated from a piece of it; None where that is not possible."""
        from slr_probe.sweep import sweep

        asked = {} if self.replies is None else {"replies": self.replies.replies, "grid": [WRITING, DRAWN]}
        distinct = list(dict.fromkeys(map(self.canonical, recipes)))
        found = sweep(self.pair, distinct, self.task, dry_run=True, **{**self.engine, **asked})
        return found.seconds

    def work(self, recipes: Iterable[Recipe]) -> int:
        """Blocks to run for each prompt, those of a beginning that several recipes share once."""
        distinct = {self.canonical(recipe).blocks for recipe in recipes}
        return len({blocks[:stop] for blocks in distinct for stop in range(1, len(blocks) + 1)})

    def _measure(self, recipes: list[Recipe]) -> None:
        base = self.canonical(Recipe.base(self.pair.depth, blocks_only=False))
        apart = base in recipes and bool(self.pair.base_fields)
        if apart:  # its weights under the tuned config would be another model
            alone = Recipe.tuned(self.pair.depth)
            self._remember(self.pair.base_alone(), {alone: base}, list(self.queries))
        self._remember(self.pair, {one: one for one in recipes if not (apart and one == base)}, self.task)

    def _remember(self, pair: ModelPair, recipes: Mapping[Recipe, Recipe], task: Any) -> None:
        """Measure recipes of a pair, and remember them under those that they stand for."""
        if not recipes:
            return
        result = self._swept(pair, recipes, task, **({} if self.replies is None else {"grid": [WRITING, DRAWN]}))
        self.evaluations += result.settings["block_evaluations"] * self.rows
        replies = reply_scores(result)
        if pair is not self.pair:  # it was compared with itself
            replies[..., SCORES.index("drift")] = np.nan
        for at, recipe in enumerate(recipes.values()):
            diversity = np.nan_to_num(result.diversity[at], nan=0.0)
            self._known[recipe] = (result.validity[at], diversity, replies[at])

    def _swept(self, pair: ModelPair, recipes: Mapping[Recipe, Recipe], task: Any, **options: Any) -> SweepResult:
        from slr_probe.sweep import sweep

        replies = None if self.replies is None else self.replies.replies
        asked = {"recipes": [recipe.to_dict() for recipe in recipes.values()], **options}
        if replies is not None:
            asked["replies"] = asdict(replies)
            options = {"replies": replies, **options}
        name = digest(asked if len(asked) > 1 else asked["recipes"])[:12]
        out = None if self.out is None else self.out.with_name(f"{self.out.name}-{name}")
        found: SweepResult = sweep(pair, list(recipes), task, out=out, **{**self.engine, **options})
        if "matmul_share" in found.settings:
            seconds, share = found.settings["seconds"], found.settings["matmul_share"]
            self.timed = self.timed[0] + seconds, self.timed[1] + seconds * share
        return found


def reply_scores(result: SweepResult) -> Float[ndarray, "recipe read score"]:
    """`SCORES` of the replies of a sweep: at temperature 1, and the entropy after min-p as text is generated."""
    count = len(result.reply_reads)
    if not count:
        return np.zeros((len(result.recipes), 0, len(SCORES)))
    reply, position = result.reply_reads.T
    written, drawn = result.at(*WRITING).replies, result.at(*DRAWN).replies
    assert written is not None
    assert drawn is not None
    scores = (written.given, written.end, written.kl_to, drawn.entropy)
    return np.stack([score[:, reply, position] for score in scores], axis=-1)


@dataclass(frozen=True)
class Prompts:
    """What is asked.

    Attributes:
        selection: Prompts that choices are made on; anything with `queries(pair)`.
        held_out: Prompts that no choice is made on; None where there are none.
        notes: What a reader should know, such as dropped prompts.
    """

    selection: Any
    held_out: Any
    notes: tuple[str, ...]


def read_prompts(pair: ModelPair, task: Any, format: Format | None) -> Prompts:
    """The prompts of a task as the pair's tokenizer sees them.

    Args:
        pair: The pair.
        task: A `CRCTask`, the path of one, a list of its items, or anything with `queries(pair)`, which has no held-out
            prompts; None for the built-in one.
        format: Prompt format; None for the pair's default.

    Raises:
        TaskError: It is none of these, or no prompt can be used.
    """
    read = _read_task(task)
    if not isinstance(read, CRCTask):
        return Prompts(read, None, (_OPTIMISTIC,))
    selection = read.selection.render(pair, format)
    held_out = read.held_out.render(pair, format) if read.held_out else None
    notes = (*selection.notes, *((_OPTIMISTIC,) if held_out is None else held_out.notes))
    return Prompts(selection, held_out, notes)


def _read_task(task: Any) -> Any:
    if task is None:
        return CRCTask.default()
    if isinstance(task, (str, os.PathLike)):
        return CRCTask.load(task)
    if isinstance(task, CRCTask) or hasattr(task, "queries"):
        return task
    if isinstance(task, Iterable):
        return CRCTask.of(task)
    raise TaskError(f"a task is a CRCTask, its file, its items, or has queries(pair); got {type(task).__name__}")
