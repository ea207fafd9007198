"""Swap-and-forward, one prompt at a time: what the sweep must equal."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from slr_probe import LayerRange, ModelPair, Recipe, restored
from slr_probe.sweep.replies import ReplyScores
from slr_probe.tasks.answers import Query
from slr_probe.tasks.replies import Replies, Reply

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


def make_replies(ends: tuple[int, ...] = (30, 31)) -> Replies:
    """Replies of unequal length: two to one prompt, one that ended, one read in part, one read beyond its end."""
    rng = random.Random(1)
    prompts = [(11, 12, 13, *(rng.randrange(10, 120) for _ in range(n))) for n in (5, 2)] + [(60,)]
    given = [tuple(rng.randrange(10, 120) for _ in range(n)) for n in (6, 9, 4, 1)]
    return Replies(
        (
            Reply(prompts[0], given[0]),
            Reply(prompts[0], (*given[1], 30)),
            Reply(prompts[1], given[2], read=(1, 4)),
            Reply(prompts[2], (*given[3], 31), read=(0, 1, 2)),
        ),
        ends,
    )


@torch.no_grad()
def naive_replies(
    pair: ModelPair,
    recipes: Sequence[Recipe],
    replies: Replies,
    reference: Recipe,
    temperature: float = 1.0,
    min_p: float = 0.0,
) -> dict[str, np.ndarray[Any, Any]]:
    """The fields of `ReplyScores` in float64: every hybrid reads every reply by itself, whole and unpadded."""

    def logs_of(recipe: Recipe) -> list[torch.Tensor]:
        with restored(pair, recipe) as model:
            inputs = [torch.tensor([reply.prompt + reply.tokens], device=model.device) for reply in replies.replies]
            return [model(input_ids=ids, use_cache=False).logits[0].double() for ids in inputs]

    shape = (len(recipes), len(replies.replies), replies.positions)
    out = {name: np.full(shape, np.nan) for name in ("given", "end", "entropy", "kl_to", "kl_from")}
    against = [logits.log_softmax(-1) for logits in logs_of(reference)]
    for i, recipe in enumerate(recipes):
        for j, (reply, logits) in enumerate(zip(replies.replies, logs_of(recipe), strict=True)):
            for k in reply.read:
                at = len(reply.prompt) - 1 + k
                p, q = (logits[at] / temperature).softmax(-1), against[j][at].exp()
                p = torch.where(p >= min_p * p.max(), p, 0.0)
                p /= p.sum()
                if k < len(reply.tokens):
                    out["given"][i, j, k] = p[reply.tokens[k]].log()
                out["end"][i, j, k] = p[list(replies.ends)].sum().log()
                out["entropy"][i, j, k] = -torch.xlogy(p, p).sum()
                out["kl_to"][i, j, k] = (torch.xlogy(p, p) - torch.xlogy(p, q)).sum()
                out["kl_from"][i, j, k] = (torch.xlogy(q, q) - torch.xlogy(q, p)).sum()
    return out


def assert_same_replies(found: ReplyScores, expected: dict[str, np.ndarray[Any, Any]], atol: float = 1e-5) -> None:
    """Equal where finite; infinite and not a number in the same places."""
    for name, array in expected.items():
        np.testing.assert_allclose(getattr(found, name), array, rtol=0, atol=atol, err_msg=name)
