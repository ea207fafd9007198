"""What a sweep is asked for; checked before any work is done."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, astuple, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from slr_probe.errors import RecipeError, SweepError, TaskError
from slr_probe.files import digest
from slr_probe.forward.questions import check_query
from slr_probe.layers import LayerRange
from slr_probe.pair.side import state_of
from slr_probe.recipe import Recipe
from slr_probe.restoration.plan import plan_hybrid
from slr_probe.sweep.reads.answers import AnswerReader, Setting
from slr_probe.sweep.reads.paths import PathReader, PathTrie
from slr_probe.sweep.reads.replies import ReplyReader
from slr_probe.sweep.reads.rows import Asked
from slr_probe.tasks.answers import Query
from slr_probe.tasks.replies import Replies

if TYPE_CHECKING:
    import torch

    from slr_probe.pair import ModelPair


@runtime_checkable
class Task(Protocol):
    """Anything that turns into questions with single-token answers."""

    def queries(self, pair: ModelPair) -> Sequence[Query]:
        """The questions for this pair's tokenizer."""


@dataclass(frozen=True)
class Measure:
    """How logits become log-probabilities.

    Attributes:
        temperature: Divides the logits.
        min_p: Tokens less likely than this share of the likeliest are dropped; 0 is off.
        grid: Other pairs of temperature and min-p to read out besides.
        invalid: How many tokens outside the answers are kept.
        order: Whether is read as well how answers are ranked above other tokens.

    Raises:
        SweepError: A value out of its range, or a grid that is none.
    """

    temperature: float = 1.0
    min_p: float = 0.0
    invalid: int = 5
    grid: tuple[Setting, ...] = ()
    order: bool = False

    def __post_init__(self) -> None:
        try:
            grid = tuple((float(temperature), float(min_p)) for temperature, min_p in self.grid)
        except (TypeError, ValueError) as error:
            raise SweepError(f"a grid is pairs of temperature and min-p such as (1.3, 0); got {self.grid!r}") from error
        object.__setattr__(self, "grid", grid)
        for temperature, min_p in self.settings:
            if not (math.isfinite(temperature) and temperature > 0):
                raise SweepError(f"temperature must be above 0; got {temperature!r}")
            if not 0 <= min_p <= 1:
                raise SweepError(f"min_p must lie in [0, 1]; got {min_p!r}")

    @property
    def settings(self) -> tuple[Setting, ...]:
        """Every pair of temperature and min-p, each once; the first is the sweep's own."""
        return tuple(dict.fromkeys(((self.temperature, self.min_p), *self.grid)))


@dataclass(frozen=True)
class Request:
    """One sweep: everything that its numbers depend on.

    Attributes:
        pair: The pair.
        recipes: The recipes, for this pair.
        queries: The questions, for this pair's tokenizer.
        measure: How logits become log-probabilities.
        dtype: Dtype to compute in; None for the pair's.
        replies: Replies to score; None for none.
        reference: What they are compared with.
    """

    pair: ModelPair
    recipes: tuple[Recipe, ...]
    queries: tuple[Query, ...]
    measure: Measure
    dtype: torch.dtype | None
    replies: Replies | None
    reference: Recipe

    @cached_property
    def asked(self) -> Asked:
        """All questions as rows to run."""
        measure, at_prompts = self.measure, [trie.at_prompt for trie in self.path_reader.tries]
        answers = AnswerReader(at_prompts, measure.settings, measure.invalid, self.pair.device, order=measure.order)
        readers = (answers, self.path_reader)
        return Asked(readers if self.reply_reader is None else (*readers, self.reply_reader))

    @cached_property
    def path_reader(self) -> PathReader:
        """What reads how answers of several tokens go on, and replies after their answers end."""
        return PathReader(tuple(map(PathTrie, self.queries)), self.measure.settings, self.pair.device)

    @cached_property
    def reply_reader(self) -> ReplyReader | None:
        """What reads the replies; None without them."""
        return None if self.replies is None else ReplyReader(self.replies, self.measure.settings, self.pair.device)

    def check_recipes(self) -> None:
        """Plan one recipe of every kind.

        Raises:
            RecipeError: A recipe does not fit the pair, or has an end bias.
        """
        for recipe in self.recipes:
            if recipe.end_bias:
                raise RecipeError(f"a sweep scores weights; '{recipe}' has an end bias: leave it out")
        kinds = {(frozenset(r.blocks), r.embedding, r.final_norm, r.head): r for r in self.recipes}
        for recipe in (*kinds.values(), self.reference):
            plan_hybrid(self.pair.base_side, self.pair.tuned_side, recipe)

    def identity(self) -> dict[str, Any]:
        """Everything that the numbers depend on, as plain data for a manifest."""
        import torch
        import transformers

        from slr_probe.version import __version__

        recipes = [{k: v for k, v in recipe.to_dict().items() if k != "name"} for recipe in self.recipes]
        return {
            "base": state_of(self.pair.base_side),
            "tuned": state_of(self.pair.tuned_side),
            "recipes": digest(recipes),
            "prompts": digest([astuple(query) for query in self.queries]),
            **self._identity_of_replies(),
            "measure": {**asdict(self.measure), "grid": list(self.measure.grid)},
            "compute": f"{self.dtype} of {self.pair.dtype} on {self.pair.device.type}",
            "versions": f"slr_probe {__version__}, torch {torch.__version__}, transformers {transformers.__version__}",
        }

    def _identity_of_replies(self) -> dict[str, Any]:
        if self.replies is None:
            return {}
        reference = {k: v for k, v in self.reference.to_dict().items() if k != "name"}
        return {"replies": digest(asdict(self.replies)), "reference": digest(reference)}


def as_recipes(pair: ModelPair, recipes: Iterable[Recipe | LayerRange | str] | None) -> tuple[Recipe, ...]:
    """The recipes to sweep; by default every contiguous range and the tuned model.

    Raises:
        LayerRangeError: A range is malformed, empty or out of bounds.
        RecipeError: A recipe is for another depth.
        SweepError: There are none.
    """
    if recipes is None:
        ranges = [Recipe.restore(layers, pair.depth) for layers in LayerRange.all(pair.depth)]
        return (Recipe.tuned(pair.depth), *ranges)
    if isinstance(recipes, (str, LayerRange, Recipe)):
        recipes = [recipes]
    if not isinstance(recipes, Iterable):
        kind = type(recipes).__name__
        raise SweepError(f"recipes must be recipes or ranges such as '8:14'; got {kind} (the task comes third)")
    read = tuple(pair.recipe(recipe) for recipe in recipes)
    if not read:
        raise SweepError("no recipes to sweep; give at least one, or leave recipes out for every contiguous range")
    return read


def as_queries(pair: ModelPair, task: Task | Iterable[Query], *, needed: bool = True) -> tuple[Query, ...]:
    """The questions, checked; where they are not `needed`, there may be none.

    Raises:
        TaskError: No prompts, fewer than two answers, or a token that is listed twice among the answers.
        PromptError: A prompt without tokens, too long for the model, or with ids outside its vocabulary.
    """
    queries: tuple[Any, ...] = tuple(task.queries(pair) if isinstance(task, Task) else task)
    if not queries and needed:
        raise TaskError("the task has no prompts; give at least one")
    for number, query in enumerate(queries):
        if not isinstance(query, Query):
            raise TaskError(f"expected a task or a sequence of Query; item {number} is a {type(query).__name__}")
        _check_answers(query, f"prompt {number}")
        check_query(query, pair.config, f"prompt {number}")
        trie = PathTrie(query)
        wanted = tuple(dict.fromkeys(token for tokens in trie.targets.values() for some in tokens for token in some))
        for row, _ in trie.rows:
            check_query(Query(row.token_ids, (wanted,)), pair.config, f"prompt {number} with an answer")
    return queries


def check_replies(pair: ModelPair, replies: Replies | None) -> None:
    """Check that a model can be run on replies.

    Raises:
        TaskError: They are no replies.
        PromptError: A prompt with its reply is longer than the context, or has ids outside the vocabulary.
    """
    if replies is None:
        return
    if not isinstance(replies, Replies):
        raise TaskError(f"replies must be Replies; got {type(replies).__name__}")
    for number, reply in enumerate(replies.replies):
        given = (tuple(token for token in reply.given if token is not None),)
        check_query(Query(reply.token_ids, given), pair.config, f"reply {number}")
    check_query(Query(replies.replies[0].prompt, (replies.ends,)), pair.config, "the set of end tokens")


def _check_answers(query: Query, name: str) -> None:
    if len(query.answers) < 2:
        raise TaskError(f"{name} has {len(query.answers)} answer(s); a choice needs at least two")
    longer = query.longer or ((),) * len(query.answers)
    if len(longer) != len(query.answers):
        raise TaskError(f"{name} has {len(query.answers)} answers, but longer spellings of {len(longer)}")
    seen: set[tuple[int, ...]] = set()
    for number, (tokens, paths) in enumerate(zip(query.answers, longer, strict=True)):
        if not tokens and not paths:
            raise TaskError(f"answer {number} of {name} has no token; give the ids of all its spellings")
        if any(len(path) < 2 for path in paths):
            raise TaskError(f"a longer spelling of answer {number} of {name} has fewer than two tokens: {paths}")
        for path in (*((token,) for token in tokens), *paths):
            if path in seen:
                what = f"token id {path[0]}" if len(path) == 1 else f"the tokens {path}"
                raise TaskError(
                    f"{what} is listed twice among the answers of {name}; each spelling may belong to one answer only"
                )
            seen.add(path)
    _check_ending(query, {token for path in seen for token in path}, name)


def _check_ending(query: Query, tokens: set[int], name: str) -> None:
    if query.ending is None:
        return
    if not query.ending.ends or not all(query.ending.marks):
        raise TaskError(f"{name} asks whether the reply ends, but has no end token, or an empty closing mark")
    within = tokens | {token for mark in query.ending.marks for token in mark}
    if not within.isdisjoint(query.ending.ends):
        raise TaskError(f"an answer or a closing mark of {name} holds an end token; a reply cannot go on after it")
