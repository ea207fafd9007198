"""From next-token logits to log-probabilities of answers. Everything is exact, over the whole vocabulary."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

    from slr_probe.tasks.answers import Query

_SPAN = 512


@dataclass(frozen=True)
class AnswerTable:
    """The answers of some prompts as tensors.

    Attributes:
        tokens: Token ids that spell each answer, padded.
        valid: Which of them are not padding.
    """

    tokens: Int[torch.Tensor, "prompt answer spelling"]
    valid: Bool[torch.Tensor, "prompt answer spelling"]

    @classmethod
    def of(cls, queries: Sequence[Query], device: torch.device, answers: int | None = None) -> AnswerTable:
        """The table of these queries, padded to `answers` answers each."""
        answers = answers or max(len(query.answers) for query in queries)
        spellings = max(len(group) for query in queries for group in query.answers)
        tokens = torch.zeros(len(queries), answers, spellings, dtype=torch.long)
        valid = torch.zeros(len(queries), answers, spellings, dtype=torch.bool)
        for i, query in enumerate(queries):
            for j, group in enumerate(query.answers):
                tokens[i, j, : len(group)] = torch.tensor(group)
                valid[i, j, : len(group)] = True
        return cls(tokens.to(device), valid.to(device))

    def rows(self, prompts: Int[torch.Tensor, " row"]) -> AnswerTable:
        """The answers of one prompt for every row."""
        return AnswerTable(self.tokens[prompts], self.valid[prompts])


def warped(
    logits: Float[torch.Tensor, "row vocab"], temperature: float = 1.0, min_p: float = 0.0
) -> Float[torch.Tensor, "row vocab"]:
    """Logits in float32 as sampling sees them: divided by temperature, -inf for the tokens that min-p drops."""
    scores = logits.float()
    if temperature != 1.0:
        scores = scores / temperature
    if min_p > 0.0:
        floor = scores.detach().amax(-1, keepdim=True) + math.log(min_p)
        scores = scores.masked_fill(scores < floor, -torch.inf)
    return scores


def reduce_logits(
    logits: Float[torch.Tensor, "row vocab"],
    answers: AnswerTable,
    *,
    temperature: float = 1.0,
    min_p: float = 0.0,
    invalid: int = 5,
) -> tuple[Float[torch.Tensor, "row answer"], Int[torch.Tensor, "row invalid"], Float[torch.Tensor, "row invalid"]]:
    """Log-probabilities (nats) of answers, and the likeliest tokens that are no answer.

    Logits are widened to float32 first. Temperature divides them; min-p then drops every token less likely than
    `min_p` times the likeliest, and what is left is renormalised, as sampling does it. An answer's probability is the
    sum over its spellings.

    Args:
        logits: Next-token logits, any floating dtype.
        answers: The answers, one entry a row.
        temperature: Above 0.
        min_p: From 0 (off) to 1.
        invalid: How many tokens outside the answers to return.
    """
    scores = warped(logits, temperature, min_p)
    if scores.data_ptr() == logits.data_ptr():
        scores = scores.clone()
    top = scores.amax(-1, keepdim=True)
    total = (scores - top).exp_().sum(-1).log() + top[:, 0]
    flat = answers.tokens.flatten(1)
    spelled = scores.gather(1, flat).view_as(answers.tokens).masked_fill(~answers.valid, -torch.inf)
    logprobs = spelled.logsumexp(-1) - total[:, None]
    # Padding repeats token 0: only real answers are taken out.
    outside = torch.where(answers.valid.flatten(1), -torch.inf, scores.gather(1, flat))
    scores.scatter_reduce_(1, flat, outside, "amin")
    tops, tokens = _top(scores, min(invalid, scores.shape[1]))
    return logprobs, tokens, tops - total[:, None]


def _top(scores: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The largest entries of every row. The k largest lie in the k spans with the largest maxima."""
    width = scores.shape[1]
    if width < 4 * _SPAN or count == 0:
        top = scores.topk(count)
        return top.values, top.indices
    whole = width - width % _SPAN
    spans = scores[:, :whole].view(len(scores), -1, _SPAN)
    best = spans.amax(-1).topk(min(count, spans.shape[1])).indices
    offsets = (best[..., None] * _SPAN + torch.arange(_SPAN, device=scores.device)).flatten(1)
    tail = torch.arange(whole, width, device=scores.device).expand(len(scores), -1)
    candidates = torch.cat([offsets, tail], 1)
    top = scores.gather(1, candidates).topk(count)
    return top.values, candidates.gather(1, top.indices)
