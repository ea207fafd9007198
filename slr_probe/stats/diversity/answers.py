"""Diversity and accuracy of exact answers. An answer is any hashable value; None where none could be read."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Sequence

import numpy as np


def answer_entropy(answers: Sequence[Hashable | None]) -> float:
    """Entropy in nats of how often each answer was given, from 0 (always the same) to log(number of answers).

    Of the observed shares (plug-in), so compare equal numbers of samples only. Samples without an answer are left out.

    Returns:
        NaN where no sample has an answer.

    Examples:
        >>> round(answer_entropy(["7", "7", "3", None]), 6)
        0.636514
    """
    counts = np.array(list(_counted(answers).values()), dtype=np.float64)
    if not len(counts):
        return math.nan
    shares = counts / counts.sum()
    return max(float(-(shares * np.log(shares)).sum()), 0.0)


def distinct_answers(answers: Sequence[Hashable | None]) -> int:
    """Number of different answers among the samples; those without an answer add none.

    Examples:
        >>> distinct_answers(["7", "7", "3", None])
        2
    """
    return len(_counted(answers))


def distinct_answers_at(answers: Sequence[Hashable | None], k: int) -> float:
    """Expected number of different answers in k of the samples, drawn without replacement; exact.

    The sum over answers of `1 - C(n - c, k) / C(n, k)` (hypergeometric), n samples of which c gave the answer. A sample
    without an answer takes a draw and adds nothing.

    Returns:
        NaN where k exceeds the number of samples.

    Raises:
        ValueError: k is negative.

    Examples:
        >>> distinct_answers_at(["a", "a", "b", "b"], 3)
        2.0
    """
    n = len(answers)
    if k < 0:
        raise ValueError(f"k must be 0 or more; got {k}")
    return math.fsum(pass_at_k(n, c, k) for c in _counted(answers).values()) if k <= n else math.nan


def pass_at_k(n: int, c: int, k: int) -> float:
    """Chance that at least one of k samples is correct, `1 - C(n - c, k) / C(n, k)`: unbiased (Chen et al. 2021).

    Args:
        n: Number of samples.
        c: How many of them are correct.
        k: How many are drawn.

    Returns:
        NaN where k exceeds n: no unbiased estimate exists.

    Raises:
        ValueError: k is negative, or c is not between 0 and n.

    Examples:
        >>> pass_at_k(4, 1, 2)
        0.5
    """
    if not 0 <= c <= n or k < 0:
        raise ValueError(f"pass@k needs 0 <= c <= n and k >= 0; got n={n}, c={c}, k={k}")
    if k > n:
        return math.nan
    every = math.comb(n, k)
    return (every - math.comb(n - c, k)) / every  # whole numbers until the one division


def majority_accuracy(answers: Sequence[Hashable | None], correct: Sequence[bool]) -> float:
    """Accuracy of the answer that most samples agree on.

    Of answers that tie, one is drawn: the result is the mean of their accuracies (ours). Samples without an answer
    do not vote; where nobody votes the accuracy is 0.

    Args:
        answers: One for each sample.
        correct: Whether that sample is correct.

    Returns:
        NaN where there are no samples.

    Raises:
        ValueError: The two differ in length.
    """
    right = _aligned(answers, correct)
    if not len(right):
        return math.nan
    votes = _counted(answers)
    if not votes:
        return 0.0
    most = max(votes.values())
    tied = [answer for answer, count in votes.items() if count == most]
    members = {a: [bool(r) for x, r in zip(answers, right, strict=True) if x is not None and x == a] for a in tied}
    return math.fsum(sum(rights) / len(rights) for rights in members.values()) / len(tied)


def agreement(answers: Sequence[Hashable | None]) -> float:
    """Share of the samples that give the answer which most of them give: how sure a model is of its answer.

    Samples without an answer agree with none (ours).

    Returns:
        NaN where there are no samples.

    Examples:
        >>> agreement(["7", "7", "3", None])
        0.5
    """
    return max(_counted(answers).values(), default=0) / len(answers) if len(answers) else math.nan


def majority_gain(answers: Sequence[Hashable | None], correct: Sequence[bool]) -> float:
    """Accuracy of the majority vote minus the mean accuracy of a single sample, in [-1, 1]; see `majority_accuracy`.

    Returns:
        NaN where there are no samples.

    Raises:
        ValueError: The two differ in length.

    Examples:
        >>> majority_gain(["4", "4", "5", "6"], [True, True, False, False])
        0.5
    """
    right = _aligned(answers, correct)
    return majority_accuracy(answers, correct) - float(right.mean()) if len(right) else math.nan


def _counted(answers: Sequence[Hashable | None]) -> Counter[Hashable]:
    return Counter(answer for answer in answers if answer is not None)


def _aligned(answers: Sequence[Hashable | None], correct: Sequence[bool]) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    right = np.asarray(correct, dtype=bool).reshape(-1)
    if len(right) != len(answers):
        raise ValueError(f"one verdict for each answer: got {len(answers)} answers and {len(right)} verdicts")
    return right
