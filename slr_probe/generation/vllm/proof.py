"""Proof that an engine runs the model that it should: its answers to a few questions against those of a sweep."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from slr_probe.errors import GenerationError, PromptError, SweepError, TaskError
from slr_probe.generation.vllm.engine import MOST_TOKENS
from slr_probe.recipe import Recipe
from slr_probe.sweep import SweepResult, sweep
from slr_probe.tasks.answers import Query
from slr_probe.tasks.crc import CRCTask
from slr_probe.tasks.item import CRCItem

if TYPE_CHECKING:
    from slr_probe.pair import ModelPair

TOLERANCE = {"float32": 1e-3, "float16": 2e-2, "bfloat16": 1e-1}
"""Most that the two distributions over answers may be apart, in total variation (probability), by dtype (ours). Kernels
add in another order; in bfloat16 that moves single log-probabilities by up to 0.12 nats."""
_QUESTIONS = 3
"""Each costs every hybrid a forward pass of the sweep and one of the engine. On a pair of Gemma 3 270M, models that
differ in a block or two were at least 0.019 apart on these three (on eight 0.028): 19 times what float32 is allowed."""
_SEEN = 1e-3  # models that are this far apart do not give the same answers to the last bit

Answers = Float[ndarray, "prompt answer"]
LogProbs = Callable[[Sequence[Sequence[int]], Sequence[Sequence[int]]], Sequence[Mapping[int, float]]]


@dataclass(frozen=True)
class Proof:
    """What models of a pair answer to a few questions.

    Attributes:
        queries: The questions.
        expected: Probability of each answer, and last of anything else, for each model.
        tolerance: How far an engine may be from that, in total variation: for recipes whose tensors are mixed, and for
            others.
    """

    queries: tuple[Query, ...]
    expected: Mapping[Recipe, Answers]
    tolerance: tuple[float, float]

    @property
    def longest(self) -> int:
        """Tokens of the longest question."""
        return max(len(query.token_ids) for query in self.queries)

    def including(self, pair: ModelPair, recipes: Sequence[Recipe]) -> Proof:
        """The proof, for these recipes as well; their answers are measured by one sweep."""
        missing = [recipe for recipe in dict.fromkeys(recipes) if recipe not in self.expected]
        if not missing:
            return self
        found = _measured(pair, missing, self.queries)
        answers = (_with_rest(np.exp(found.answer_logprobs[found.index(recipe)])) for recipe in missing)
        return replace(self, expected={**self.expected, **dict(zip(missing, answers, strict=True))})

    def ask(self, logprobs: LogProbs) -> Answers:
        """What an engine answers: as `expected`, of the model that it runs."""
        tokens = [[token for answer in query.answers for token in answer] for query in self.queries]
        found = logprobs([query.token_ids for query in self.queries], tokens)
        mass = np.zeros((len(self.queries), max(len(query.answers) for query in self.queries)))
        for row, query in enumerate(self.queries):
            for column, spelled in enumerate(query.answers):
                mass[row, column] = np.exp([found[row][token] for token in spelled]).sum()
        return _with_rest(mass)

    def check(self, recipe: Recipe, answers: Answers, before: tuple[Recipe, Answers] | None) -> None:
        """Check what an engine answered after it took the weights of a recipe.

        Args:
            recipe: The recipe.
            answers: What it answered.
            before: The recipe that it had before, and what it answered then.

        Raises:
            GenerationError: It runs another model.
        """
        apart, allowed = distance(answers, self.expected[recipe]), self.tolerance[not _is_mixed(recipe)]
        if not apart <= allowed:
            raise GenerationError(
                f"the live engine does not run '{recipe}': its answers to {len(self.queries)} questions are up to "
                f"{apart:.2g} (total variation) from those of a sweep, and {allowed:g} is allowed; give "
                "backend='vllm-folders', which starts an engine for each hybrid"
            )
        if before is None or not np.array_equal(answers, before[1]):
            return
        moved = distance(self.expected[recipe], self.expected[before[0]])
        if moved > _SEEN:
            raise GenerationError(
                f"the live engine still answers as '{before[0]}' after it took '{recipe}', though the two are "
                f"{moved:.2g} (total variation) apart; give backend='vllm-folders'"
            )


def make_proof(pair: ModelPair, dtype: str) -> Proof | None:
    """The questions for this pair; None where its tokenizer has no answers of one token to any.

    Args:
        pair: The pair.
        dtype: What the engine computes in.
    """
    found = [query for item in CRCTask.default().selection.items for query in _short(pair, item)]
    spread = found[:: max(1, len(found) // _QUESTIONS)][:_QUESTIONS]
    if not spread:
        return None
    # A sweep mixes in the dtype that it computes in, a hybrid on disk and in the engine in the stored one.
    stored = str(pair.tuned_side.dtype).removeprefix("torch.")
    allowed = TOLERANCE.get(dtype, max(TOLERANCE.values()))
    return Proof(tuple(spread), {}, (max(allowed, TOLERANCE.get(stored, allowed)), allowed))


def _measured(pair: ModelPair, recipes: Sequence[Recipe], queries: Sequence[Query]) -> SweepResult:
    """A sweep that reads block by block where it can: for a few questions that is less than loading two models."""
    try:
        return sweep(pair, recipes, queries, stream=True, progress=False)
    except SweepError:  # of this architecture, or of what is in memory
        return sweep(pair, recipes, queries, progress=False)


def _short(pair: ModelPair, item: CRCItem) -> tuple[Query, ...]:
    """A question as this tokenizer writes it; none where an answer is of several tokens, or it is too long."""
    try:
        queries = CRCTask((item,)).render(pair).one_token().rendered
    except (TaskError, PromptError):
        return ()
    longest = getattr(pair.config.get_text_config(decoder=True), "max_position_embeddings", None) or math.inf
    return tuple(
        query for query in queries if sum(map(len, query.answers)) <= MOST_TOKENS and len(query.token_ids) < longest
    )


def distance(one: Answers, other: Answers) -> float:
    """Total variation between two sets of distributions, of the question on which it is largest."""
    return float(np.abs(one - other).sum(axis=1).max() / 2)


def _with_rest(mass: Float[ndarray, "prompt answer"]) -> Answers:
    return np.concatenate([mass, 1.0 - mass.sum(axis=1, keepdims=True)], axis=1)


def _is_mixed(recipe: Recipe) -> bool:
    outside = (recipe.embedding, recipe.final_norm, recipe.head)
    inside = [share for block in recipe.blocks for share in (block.default, *(one for _, one in block.overrides))]
    return any(share not in (0.0, 1.0) for share in (*outside, *inside))
