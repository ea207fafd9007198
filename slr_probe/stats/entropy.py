"""Validity and diversity of a next-token distribution over a known set of answers.

Both are read from `answer_logprobs`: for each valid answer, the log of the probability (nats) of all tokens that
spell it. They are kept apart (arXiv 2602.06665): validity is how much mass falls on the set at all, diversity how
evenly that mass is spread within it.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray


def log_validity(answer_logprobs: Float[ndarray, "*batch answer"]) -> Float[ndarray, "*batch"]:
    """Log of the probability mass on the valid set, in nats; -inf where there is none."""
    logs = np.asarray(answer_logprobs, dtype=np.float64)
    if logs.ndim == 0 or logs.shape[-1] == 0:
        raise ValueError(f"answer log-probabilities need a last axis of at least one answer; got shape {logs.shape}")
    top = logs.max(axis=-1, keepdims=True)
    shift = np.where(np.isfinite(top), top, 0.0)
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(np.exp(logs - shift).sum(axis=-1)) + shift[..., 0])


def validity(answer_logprobs: Float[ndarray, "*batch answer"]) -> Float[ndarray, "*batch"]:
    """Probability mass on the valid set, in [0, 1].

    Args:
        answer_logprobs: Log-probability of each answer, in nats. Sets of different sizes are padded with -inf.

    Examples:
        >>> validity(np.log([0.25, 0.5]))
        array(0.75)
    """
    return np.asarray(np.exp(log_validity(answer_logprobs)))


def conditional_entropy(answer_logprobs: Float[ndarray, "*batch answer"]) -> Float[ndarray, "*batch"]:
    """Entropy in nats of the distribution renormalised over the valid set: 0 (one answer) to log |V| (uniform).

    Computed from logs, so it is exact for sets whose mass would underflow. Where the set has no mass at all (every
    entry -inf, which min-p can bring about) there is no distribution and the result is NaN.

    Args:
        answer_logprobs: Log-probability of each answer, in nats. Sets of different sizes are padded with -inf.

    Examples:
        >>> conditional_entropy(np.log([[0.1, 0.1], [0.8, 1e-300]])).round(6)
        array([0.693147, 0.      ])
    """
    logs = np.asarray(answer_logprobs, dtype=np.float64)
    mass = log_validity(logs)
    held = np.isfinite(mass)
    logs = logs - np.where(held, mass, 0.0)[..., None]
    terms = np.where(np.isfinite(logs), np.exp(logs) * np.where(np.isfinite(logs), logs, 0.0), 0.0)
    return np.asarray(np.where(held, np.maximum(-terms.sum(axis=-1), 0.0), np.nan))


def normalised_diversity(
    answer_logprobs: Float[ndarray, "*batch answer"], sizes: Int[ndarray, "*batch"] | int
) -> Float[ndarray, "*batch"]:
    """Conditional entropy as a fraction of log |V|: 0 for one answer, 1 for the uniform distribution.

    Args:
        answer_logprobs: Log-probability of each answer, in nats, padded with -inf.
        sizes: |V|, the number of valid answers of each prompt, at least 2; it must be given because padding and an
            answer of probability zero look alike.

    Raises:
        ValueError: A set with fewer than two answers, on which diversity is not defined.

    Examples:
        >>> round(float(normalised_diversity(np.log([0.2, 0.2, 0.2, 1e-300]), 4)), 4)
        0.7925
    """
    sizes = np.asarray(sizes)
    if np.any(sizes < 2):
        raise ValueError(f"diversity needs valid sets of at least two answers; got sizes down to {sizes.min()}")
    return np.asarray(conditional_entropy(answer_logprobs) / np.log(sizes))
