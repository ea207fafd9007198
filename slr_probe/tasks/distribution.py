"""The exact distribution of one model over the answers of a task, by its own forward pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from slr_probe.errors import TaskError
from slr_probe.stats import conditional_entropy, validity
from slr_probe.tasks.query import Query

if TYPE_CHECKING:
    import pandas as pd
    import torch
    from transformers import PreTrainedModel

    from slr_probe.tasks.crc import RenderedTask


@dataclass(frozen=True)
class AnswerDistribution:
    """What one model answers to each prompt.

    Attributes:
        prompts: The questions.
        answers: The valid set of each.
        logprobs: Log-probability of each answer in nats, padded with -inf.
        invalid: For each prompt, the most likely tokens outside the set with their probabilities.
    """

    prompts: tuple[str, ...]
    answers: tuple[tuple[str, ...], ...]
    logprobs: Float[ndarray, "prompt answer"]
    invalid: tuple[tuple[tuple[str, float], ...], ...]

    @property
    def sizes(self) -> Int[ndarray, " prompt"]:
        """|V|, the number of valid answers of each prompt."""
        return np.array([len(answers) for answers in self.answers])

    @property
    def validity(self) -> Float[ndarray, " prompt"]:
        """Probability mass on the valid set."""
        return validity(self.logprobs)

    @property
    def entropy(self) -> Float[ndarray, " prompt"]:
        """Diversity in nats: entropy of the distribution renormalised over the valid set."""
        return conditional_entropy(self.logprobs)

    @property
    def diversity(self) -> Float[ndarray, " prompt"]:
        """Diversity as a fraction of log |V|."""
        return np.asarray(self.entropy / np.log(self.sizes))

    def to_dataframe(self) -> pd.DataFrame:
        """One row a prompt: validity, diversity in both units, the most likely answer and the top invalid token."""
        import pandas as pd

        top = self.logprobs.argmax(axis=1)
        return pd.DataFrame(
            {
                "prompt": self.prompts,
                "answers": self.sizes,
                "validity": self.validity,
                "entropy_nats": self.entropy,
                "diversity": self.diversity,
                "top_answer": [answers[i] for answers, i in zip(self.answers, top, strict=True)],
                "top_answer_probability": np.exp(self.logprobs.max(axis=1)),
                "top_invalid": [found[0][0] if found else "" for found in self.invalid],
                "top_invalid_probability": [found[0][1] if found else 0.0 for found in self.invalid],
            }
        )


def answer_distribution(
    model: PreTrainedModel,
    task: RenderedTask,
    *,
    temperature: float = 1.0,
    min_p: float = 0.0,
    tokenizer: Any = None,
    invalid: int = 3,
) -> AnswerDistribution:
    """Score one model with plain forward passes, without the sweep engine.

    Args:
        model: Any transformers causal language model, such as a hybrid inside `restored`.
        task: Prompts as this model's tokenizer sees them.
        temperature: Applied to the logits before the softmax.
        min_p: Tokens less likely than this share of the likeliest are removed, after the temperature.
        tokenizer: Spells the invalid tokens; without it they are given by id.
        invalid: How many invalid tokens to list for each prompt.

    Raises:
        TaskError: A temperature that is not above zero, or min-p outside [0, 1].
    """
    widest = max(len(query.answers) for query in task.rendered)
    logprobs = np.full((len(task.rendered), widest), -np.inf)
    wrong = []
    for row, (query, logits) in enumerate(zip(task.rendered, next_token_logits(model, task.rendered), strict=True)):
        logs = sampling_logprobs(logits, temperature, min_p)
        for column, ids in enumerate(query.answers):
            logprobs[row, column] = logs[list(ids)].logsumexp(0).item()
        logs[[token for ids in query.answers for token in ids]] = -float("inf")
        top = logs.topk(min(invalid, len(logs)))
        wrong.append(
            tuple(
                (tokenizer.decode([token]) if tokenizer else str(token), float(np.exp(value)))
                for value, token in zip(top.values.tolist(), top.indices.tolist(), strict=True)
            )
        )
    items = task.items
    return AnswerDistribution(
        tuple(item.prompt for item in items), tuple(item.answers for item in items), logprobs, tuple(wrong)
    )


def next_token_logits(model: PreTrainedModel, queries: Sequence[Query]) -> list[Float[torch.Tensor, " vocab"]]:
    """Logits after each prompt, in float64 on the CPU; prompts of one length share a forward, so none is padded."""
    import torch

    lengths: dict[int, list[int]] = {}
    for row, query in enumerate(queries):
        lengths.setdefault(len(query.token_ids), []).append(row)
    found: dict[int, torch.Tensor] = {}
    with torch.no_grad():
        for rows in lengths.values():
            ids = torch.tensor([queries[row].token_ids for row in rows], device=model.device)
            logits = model(input_ids=ids, use_cache=False, logits_to_keep=1).logits[:, -1]
            found.update(zip(rows, logits.double().cpu(), strict=True))
    return [found[row] for row in range(len(queries))]


def sampling_logprobs(
    logits: Float[torch.Tensor, "*batch vocab"], temperature: float = 1.0, min_p: float = 0.0
) -> Float[torch.Tensor, "*batch vocab"]:
    """Log-probabilities in nats that a sampler with these settings draws from; removed tokens are -inf.

    Args:
        logits: Raw logits, in float32 or better.
        temperature: Divides the logits first.
        min_p: Removes tokens less likely than this share of the likeliest; the rest is renormalised.

    Raises:
        TaskError: A temperature that is not above zero, or min-p outside [0, 1].
    """
    import math

    if not (temperature > 0 and math.isfinite(temperature)):
        raise TaskError(f"temperature must be above zero; got {temperature}")
    if not 0 <= min_p <= 1:
        raise TaskError(f"min_p must lie between 0 and 1; got {min_p}")
    logs = (logits / temperature).log_softmax(-1)
    if min_p:
        gone = logs < logs.max(-1, keepdim=True).values + math.log(min_p)
        logs = logs.masked_fill(gone, -float("inf")).log_softmax(-1)
    return logs
