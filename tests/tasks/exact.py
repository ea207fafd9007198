"""Reference: the exact distribution of one model over the answers of a task, by its own forward pass."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from slr_probe.errors import TaskError
from slr_probe.stats import conditional_entropy, validity


@dataclass(frozen=True)
class AnswerDistribution:
    """What one model answers to each prompt.

    Attributes:
        sizes: |V|, the number of valid answers of each prompt.
        logprobs: (prompt, answer) log-probability of each answer in nats, padded with -inf.
    """

    sizes: np.ndarray
    logprobs: np.ndarray

    @property
    def validity(self):
        """Probability mass on the valid set."""
        return validity(self.logprobs)

    @property
    def entropy(self):
        """Diversity in nats: entropy of the distribution renormalised over the valid set."""
        return conditional_entropy(self.logprobs)

    @property
    def diversity(self):
        """Diversity as a fraction of log |V|."""
        return self.entropy / np.log(self.sizes)


def answer_distribution(model, task, *, temperature=1.0, min_p=0.0):
    """Score one model on a rendered task with plain forward passes, without the sweep engine."""
    queries = task.rendered
    sizes = np.array([len(query.answers) for query in queries])
    logprobs = np.full((len(queries), sizes.max()), -np.inf)
    for row, (query, logits) in enumerate(zip(queries, next_token_logits(model, queries), strict=True)):
        logs = sampling_logprobs(logits, temperature, min_p)
        for column, ids in enumerate(query.answers):
            logprobs[row, column] = logs[list(ids)].logsumexp(0).item()
    return AnswerDistribution(sizes, logprobs)


def next_token_logits(model, queries):
    """Logits after each prompt, in float64 on the CPU; prompts of one length share a forward, so none is padded."""
    lengths = {}
    for row, query in enumerate(queries):
        lengths.setdefault(len(query.token_ids), []).append(row)
    logits = {}
    with torch.no_grad():
        for rows in lengths.values():
            ids = torch.tensor([queries[row].token_ids for row in rows], device=model.device)
            last = model(input_ids=ids, use_cache=False, logits_to_keep=1).logits[:, -1]
            logits.update(zip(rows, last.double().cpu(), strict=True))
    return [logits[row] for row in range(len(queries))]


def sampling_logprobs(logits, temperature=1.0, min_p=0.0):
    """Log-probabilities in nats that a sampler with these settings draws from; removed tokens are -inf."""
    if not (temperature > 0 and math.isfinite(temperature)):
        raise TaskError(f"temperature must be above zero; got {temperature}")
    if not 0 <= min_p <= 1:
        raise TaskError(f"min_p must lie between 0 and 1; got {min_p}")
    logs = (logits / temperature).log_softmax(-1)
    if min_p:
        removed = logs < logs.max(-1, keepdim=True).values + math.log(min_p)
        logs = logs.masked_fill(removed, -float("inf")).log_softmax(-1)
    return logs
