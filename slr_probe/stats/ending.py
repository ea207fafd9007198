"""The probability that a reply ends, and what one number added to the logits of the end tokens makes of it.

With p the probability of all end tokens together, adding b to the logit of each turns it into

    p' = p e^b / (1 - p + p e^b)

whatever the other tokens are (ours). So the effect of any b on probabilities that were read out is known exactly, and
nothing has to be run again.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy import ndarray

LARGEST_BIAS = 30.0
"""End biases are looked for between minus and plus this: e^30 is a factor of 10^13."""
_STEPS = 60  # halvings: 60 / 2^60 is below what a double tells apart


def log_odds(logs: Float[ndarray, "*read"]) -> Float[ndarray, "*read"]:
    """log(p / (1 - p)) of probabilities given as logs; rounding above 0 counts as certain.

    Examples:
        >>> log_odds(np.log([0.5, 0.2])).round(3).tolist()
        [0.0, -1.386]
    """
    logs = np.minimum(np.asarray(logs, dtype=np.float64), 0.0)
    with np.errstate(divide="ignore"):
        return np.asarray(logs - np.log(-np.expm1(logs)))


def with_bias(logs: Float[ndarray, "*read"], bias: float) -> Float[ndarray, "*read"]:
    """Probability of ending once `bias` is added to the logit of each end token.

    Args:
        logs: Log of the probability of all end tokens together, in nats.
        bias: What is added, in nats.

    Examples:
        >>> with_bias(np.log([0.5, 0.01]), float(np.log(3.0))).round(3).tolist()
        [0.75, 0.029]
    """
    from scipy.special import expit

    return np.asarray(expit(log_odds(logs) + bias))


def bias_to_reach(
    logs: Float[ndarray, " read"], target: float, weights: Float[ndarray, " read"] | None = None
) -> float:
    """The bias at which the mean probability of ending is `target`, found by bisection; NaN where none is.

    Args:
        logs: Log of the probability of all end tokens at each read, in nats.
        target: Mean probability that is wanted.
        weights: Share of each read in the mean; default: all alike.

    Examples:
        >>> round(bias_to_reach(np.log(np.array([0.2, 0.2])), 0.5), 6)  # log 4
        1.386294
    """
    if not len(logs):
        return float("nan")

    def mean(bias: float) -> float:
        return float(np.average(with_bias(logs, bias), weights=weights))

    low, high = -LARGEST_BIAS, LARGEST_BIAS
    if not mean(low) < target < mean(high):
        return float("nan")
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if mean(middle) < target else (low, middle)
    return (low + high) / 2


def log_rest(logs: Float[ndarray, "*read"], bias: float) -> Float[ndarray, "*read"]:
    """Log of what the bias divides every probability by: log(1 - p + p e^b), in nats.

    The log-probability of a token that ends nothing falls by it; that of an end token rises by b and falls by it.

    Examples:
        >>> float(log_rest(np.log(np.array(0.5)), float(np.log(3.0))).round(6))  # log 2
        0.693147
    """
    logs = np.minimum(np.asarray(logs, dtype=np.float64), 0.0)
    with np.errstate(divide="ignore"):
        return np.asarray(np.logaddexp(np.log(-np.expm1(logs)), logs + bias))


def separation(true: Float[ndarray, " read"], other: Float[ndarray, " read"]) -> float:
    """Area under the ROC curve: how often a true place scores above another one, ties counted as half.

    0.5 tells nothing apart, 1 everything; NaN where there are no places of one sort (Mann and Whitney 1947).

    Examples:
        >>> separation(np.array([0.9, 0.5]), np.array([0.5, 0.1]))
        0.875
    """
    from scipy.stats import rankdata

    n, m = len(true), len(other)
    if not n or not m:
        return float("nan")
    ranks = rankdata(np.concatenate([true, other]))
    return float((ranks[:n].sum() - n * (n + 1) / 2) / (n * m))
