"""Entropies, divergences and ranks of full-vocabulary distributions: pure functions on blocks of rows, in float32."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor


def distribution(
    logits: Float[Tensor, "*row vocab"],
) -> tuple[Float[Tensor, "*row vocab"], Float[Tensor, "*row vocab"]]:
    """Probabilities and their logs in nats, in float32 whatever the dtype of the logits.

    A bf16 softmax is no measurement, and torch's float32 log-softmax on a CPU adds up a large vocabulary term by term:
    over 262,144 tokens it was seen to be off by 3e-5, and the entropy by 2e-4. What the probabilities sum to tells by
    how much, and is put right here.
    """
    log_p = logits.log_softmax(dim=-1, dtype=torch.float32)
    p = log_p.exp()
    total = p.sum(dim=-1, keepdim=True)  # summed in a cascade, exact to 1e-7
    return p.div_(total), log_p.sub_(total.log())


def entropy(p: Float[Tensor, "*row vocab"], log_p: Float[Tensor, "*row vocab"]) -> Float[Tensor, "*row"]:
    """Entropy -sum p log p in nats, from 0 (one token) to log V (uniform)."""
    return -_dot(p, log_p)


def kl(
    p: Float[Tensor, "*row vocab"], log_p: Float[Tensor, "*row vocab"], log_q: Float[Tensor, "*row vocab"]
) -> Float[Tensor, "*row"]:
    """Kullback-Leibler divergence KL(p || q) = sum p (log p - log q) in nats; 0 only where p equals q."""
    return _dot(p, log_p - log_q).clamp_min(0)


def jensen_shannon(
    p: Float[Tensor, "*row vocab"],
    log_p: Float[Tensor, "*row vocab"],
    q: Float[Tensor, "*row vocab"],
    log_q: Float[Tensor, "*row vocab"],
) -> Float[Tensor, "*row"]:
    """Jensen-Shannon divergence in nats: the mean KL of p and q to their mixture, from 0 (equal) to log 2 (disjoint).

    The two terms are summed rather than taken as a difference of entropies, which would lose the small values.
    """
    log_m = (p + q).mul_(0.5).clamp_min_(torch.finfo(p.dtype).tiny).log_()
    apart = _dot(p, log_p - log_m) + _dot(q, log_q - log_m)
    return (apart / 2).clamp_min(0)


def answer_log_probs(
    log_p: Float[Tensor, "*row vocab"], tokens: Int[Tensor, "*row answer variant"]
) -> Float[Tensor, "*row answer"]:
    """Log-probability of each answer in nats, all its tokens together.

    Args:
        log_p: Log-probabilities.
        tokens: Ids of the tokens that spell each answer; -1 where an answer has fewer, or a row has fewer answers
            (an answer without tokens has log-probability -inf).
    """
    return _taken(log_p, tokens).logsumexp(dim=-1)


def answer_ranks(
    log_p: Float[Tensor, "*row vocab"], tokens: Int[Tensor, "*row answer variant"]
) -> Int[Tensor, "*row answer"]:
    """Tokens of the vocabulary that are likelier than the likeliest token of each answer: 0 is the top, -1 no token."""
    best = _taken(log_p, tokens).amax(dim=-1)
    above = torch.empty_like(log_p)
    # One answer at a time: comparing all at once would need answers x vocabulary numbers a row. Ones are summed as
    # floats, exactly below 2^24 tokens, as that is nine times as fast as summing booleans.
    ranks = torch.stack(
        [torch.gt(log_p, best[..., i, None], out=above).sum(dim=-1) for i in range(tokens.shape[-2])], dim=-1
    ).long()
    return ranks.masked_fill(tokens.amax(dim=-1) < 0, -1)


def _taken(
    log_p: Float[Tensor, "*row vocab"], tokens: Int[Tensor, "*row answer variant"]
) -> Float[Tensor, "*row answer variant"]:
    found = log_p.gather(-1, tokens.clamp_min(0).flatten(-2)).reshape(tokens.shape)
    return found.masked_fill(tokens < 0, -torch.inf)


def _dot(one: Float[Tensor, "*row vocab"], other: Float[Tensor, "*row vocab"]) -> Float[Tensor, "*row"]:
    found: Tensor = torch.linalg.vecdot(one, other)  # no product array, unlike (one * other).sum(-1)
    return found
