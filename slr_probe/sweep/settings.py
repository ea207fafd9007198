"""What a sweep measures and how; checked before any work is done."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import torch

from slr_probe.errors import PromptError, SweepError, TaskError
from slr_probe.layers import LayerRange
from slr_probe.recipe import Recipe
from slr_probe.tasks.answers import Query

if TYPE_CHECKING:
    from slr_probe.pair import ModelPair

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40}


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
        invalid: How many tokens outside the answers are kept.

    Raises:
        SweepError: A value out of its range.
    """

    temperature: float = 1.0
    min_p: float = 0.0
    invalid: int = 5

    def __post_init__(self) -> None:
        if not (math.isfinite(self.temperature) and self.temperature > 0):
            raise SweepError(f"temperature must be above 0; got {self.temperature!r}")
        if not 0 <= self.min_p <= 1:
            raise SweepError(f"min_p must lie in [0, 1]; got {self.min_p!r}")


def parse_bytes(memory: str | int) -> int:
    """Bytes of a size such as `"4GB"`, `"512MiB"` or `4_000_000_000`.

    Raises:
        SweepError: It is not a size.

    Examples:
        >>> parse_bytes("4GB"), parse_bytes("1.5 GiB"), parse_bytes(1000)
        (4000000000, 1610612736, 1000)
    """
    if isinstance(memory, int) and not isinstance(memory, bool) and memory > 0:
        return memory
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?i?)b?\s*", str(memory).lower())
    if match is None or match[2] not in _UNITS or float(match[1]) == 0:
        raise SweepError(f"memory must be a size such as '4GB' or '512MiB'; got {memory!r}")
    return int(float(match[1]) * _UNITS[match[2]])


def as_dtype(dtype: torch.dtype | str | None) -> torch.dtype | None:
    """A floating dtype from its name.

    Raises:
        SweepError: There is no such dtype.
    """
    found = getattr(torch, dtype, None) if isinstance(dtype, str) else dtype
    if found is None and dtype is None:
        return None
    if not isinstance(found, torch.dtype) or not found.is_floating_point:
        raise SweepError(f"unknown dtype {dtype!r}; expected float32, bfloat16 or float16")
    return found


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
        raise SweepError(f"recipes must be recipes or ranges such as '8:14'; got {type(recipes).__name__} (the task "
                         "comes third)")  # fmt: skip
    found = tuple(pair.recipe(recipe) for recipe in recipes)
    if not found:
        raise SweepError("no recipes to sweep; give at least one, or leave recipes out for every contiguous range")
    return found


def as_queries(pair: ModelPair, task: Task | Iterable[Query]) -> tuple[Query, ...]:
    """The questions, checked.

    Raises:
        TaskError: No prompts, fewer than two answers, or a token that stands twice among the answers.
        PromptError: A prompt without tokens, too long for the model, or with ids outside its vocabulary.
    """
    queries: tuple[Any, ...] = tuple(task.queries(pair) if isinstance(task, Task) else task)
    if not queries:
        raise TaskError("the task has no prompts; give at least one")
    text = pair.config.get_text_config(decoder=True)
    rows, longest = int(text.vocab_size), getattr(text, "max_position_embeddings", None)
    for number, query in enumerate(queries):
        if not isinstance(query, Query):
            raise TaskError(f"expected a task or a sequence of Query; item {number} is a {type(query).__name__}")
        if len(query.answers) < 2:
            raise TaskError(f"prompt {number} has {len(query.answers)} answer(s); a choice needs at least two")
        tokens = [token for answer in query.answers for token in answer]
        empty = [i for i, answer in enumerate(query.answers) if not answer]
        if empty:
            raise TaskError(f"answer {empty[0]} of prompt {number} has no token; give the ids of all its spellings")
        twice = sorted({token for token in tokens if tokens.count(token) > 1})
        if twice:
            raise TaskError(f"token id {twice[0]} stands twice among the answers of prompt {number}; each id may "
                            "belong to one answer only")  # fmt: skip
        if not query.token_ids:
            raise PromptError(f"prompt {number} has no tokens")
        if isinstance(longest, int) and len(query.token_ids) > longest:
            raise PromptError(
                f"prompt {number} has {len(query.token_ids)} tokens, but the model takes at most {longest}; shorten it"
            )
        outside = [token for token in (*query.token_ids, *tokens) if not 0 <= token < rows]
        if outside:
            raise PromptError(f"prompt {number} uses token id {outside[0]}, but the model has {rows} embedding rows")
    return queries
