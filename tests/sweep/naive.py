"""Swap-and-forward, one prompt at a time: what the sweep must equal."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from slr_probe import LayerRange, ModelPair, Recipe, restored
from slr_probe.tasks.answers import Query

ANSWERS = ((20, 21), (22,), (23, 24, 25))


def make_queries(shared: int = 3) -> list[Query]:
    """Prompts of unequal length, most with some opening tokens in common; longer than any sliding window."""
    rng = random.Random(0)
    opening = [11, 12, 13][:shared]
    prompts = [opening + [rng.randrange(10, 120) for _ in range(n)] for n in (4, 4, 9, 6)] + [[50, 60], [70]]
    return [Query(tuple(p), ANSWERS[: 2 + i % 2]) for i, p in enumerate(prompts)]


def all_kinds(depth: int, *, tied_vocabulary: bool = True) -> list[Recipe]:
    """Tuned, every contiguous range, and one recipe of every other kind."""
    return [
        Recipe.tuned(depth),
        *(Recipe.restore(layers, depth) for layers in LayerRange.all(depth)),
        Recipe.soup(0.3, depth),
        Recipe.soup(0.7, depth, blocks_only=True),
        Recipe.ramp(0.1, 0.8, depth),
        Recipe.restore("1:3", depth, only="attention"),
        Recipe.restore({0, depth - 1}, depth, only=["mlp"]),
        Recipe.restore({0, 2}, depth),
        Recipe.base(depth, blocks_only=False),
    ]


@torch.no_grad()
def naive_logprobs(
    pair: ModelPair, recipes: Sequence[Recipe], queries: Sequence[Query], temperature: float = 1.0, min_p: float = 0.0
) -> np.ndarray[Any, Any]:
    """Answer log-probabilities `[recipe, prompt, answer]`, padded with -inf, in float64 from the model's logits."""
    out = np.full((len(recipes), len(queries), max(len(q.answers) for q in queries)), -np.inf)
    for i, recipe in enumerate(recipes):
        with restored(pair, recipe) as model:
            for j, query in enumerate(queries):
                ids = torch.tensor([query.token_ids], device=model.device)
                logs = (model(input_ids=ids, use_cache=False).logits[0, -1].double() / temperature).log_softmax(-1)
                if min_p:
                    kept = logs.exp() >= min_p * logs.exp().max()
                    logs = torch.where(kept, logs, -torch.inf).log_softmax(-1)
                for k, group in enumerate(query.answers):
                    out[i, j, k] = logs[list(group)].logsumexp(0)
    return out


def assert_same(found: np.ndarray[Any, Any], expected: np.ndarray[Any, Any], atol: float = 1e-5) -> None:
    """Equal where finite, and infinite in the same places."""
    assert found.shape == expected.shape
    finite = np.isfinite(expected)
    assert np.array_equal(np.isfinite(found), finite)
    np.testing.assert_allclose(found[finite], expected[finite], rtol=0, atol=atol)
