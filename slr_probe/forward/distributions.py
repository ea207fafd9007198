"""Entropies and divergences of full-vocabulary distributions: pure functions on blocks of rows, in float32."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from slr_probe.stats import conditional_entropy, validity

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from slr_probe.tasks.crc import RenderedTask


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


def _dot(one: Float[Tensor, "*row vocab"], other: Float[Tensor, "*row vocab"]) -> Float[Tensor, "*row"]:
    dot: Tensor = torch.linalg.vecdot(one, other)  # no product array, unlike (one * other).sum(-1)
    return dot


@dataclass(frozen=True)
class AnswerDistribution:
    """What one model answers to each prompt; deprecated, `slr_probe.sweep.sweep` gives the same.

    Attributes:
        sizes: How many answers each prompt has.
        logprobs: Log-probability of each answer in nats, padded with -inf.
    """

    sizes: Float[ndarray, " prompt"]
    logprobs: Float[ndarray, "prompt answer"]

    @property
    def validity(self) -> Float[ndarray, " prompt"]:
        """Probability mass on the valid set."""
        return validity(self.logprobs)

    @property
    def entropy(self) -> Float[ndarray, " prompt"]:
        """Entropy in nats of the distribution renormalised over the valid set."""
        return conditional_entropy(self.logprobs)

    @property
    def diversity(self) -> Float[ndarray, " prompt"]:
        """Entropy as a fraction of the log of the number of answers."""
        return np.asarray(self.entropy / np.log(self.sizes))


def answer_distribution(model: PreTrainedModel, task: RenderedTask) -> AnswerDistribution:
    """Score one model by plain forwards, a prompt at a time, in float64; deprecated as is `AnswerDistribution`.

    Args:
        model: Any causal language model.
        task: A task whose prompts are rendered: `task.render(pair)`.
    """
    queries = task.rendered
    sizes = np.array([len(query.answers) for query in queries], dtype=np.float64)
    logprobs = np.full((len(queries), int(sizes.max())), -np.inf)
    with torch.no_grad():
        for row, query in enumerate(queries):
            ids = torch.tensor([query.token_ids], device=model.device)
            logs = model(input_ids=ids, use_cache=False).logits[0, -1].double().cpu().log_softmax(-1)
            for column, tokens in enumerate(query.answers):
                logprobs[row, column] = logs[list(tokens)].logsumexp(0).item()
    return AnswerDistribution(sizes, logprobs)
