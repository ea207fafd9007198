"""What a part of the prompts says of the mean over all of them."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy import ndarray

_SAME = 1e-9  # means that differ by no more are equal


def p_not_below(moved: Float[ndarray, "condition seen"], prompts: int) -> Float[ndarray, " condition"]:
    """P-value of the claim that a mean over all prompts is not below 0, from some of them that were drawn at random.

    Student's t with the variance of a mean without replacement, `s^2 / n (1 - n / N)`: once all prompts are seen, the
    claim is decided. Where nothing varies, it is decided too; from one prompt nothing is.

    Args:
        moved: Paired differences on the prompts that have been seen.
        prompts: How many there are in all, N.

    Examples:
        >>> p_not_below(np.array([[-0.2, -0.3, -0.1, -0.2], [-0.2, 0.3, 0.1, 0.2]]), 10).round(3)
        array([0.004, 0.841])
    """
    from scipy.stats import t

    seen = moved.shape[1]
    if seen < 2:
        return np.ones(len(moved))
    means = moved.mean(axis=1)
    spread = moved.std(axis=1, ddof=1) * np.sqrt((1 - seen / prompts) / seen)
    decided = np.where(means < -_SAME, -np.inf, np.inf)
    with np.errstate(divide="ignore", invalid="ignore"):
        score = np.where(spread > _SAME, means / spread, decided)
    return np.asarray(t.cdf(score, seen - 1))
