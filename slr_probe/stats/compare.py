"""Paired comparisons of two conditions on the same prompts: a test, an effect size, and many tests at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from jaxtyping import Float
from numpy import ndarray

State = Literal["more", "more?", "same", "less?", "less", "undefined"]
"""What the numbers say of a difference: more or less, either with `?` where it is not confirmed, or not shown."""

FEWEST_PROMPTS = 10
"""Results of fewer prompts are exploratory: neither intervals nor tests keep their level on skewed differences."""
_CELLS = 8_000_000  # signs of one temporary array: 64 MB


def sign_flip_test(
    differences: Float[ndarray, "*condition prompt"], *, flips: int = 20_000, seed: int = 0
) -> Float[ndarray, "*condition"]:
    """Two-sided p-value of a mean paired difference, from flipping the signs of the differences (Fisher 1935).

    If the two conditions do not differ, each difference is as likely to have the other sign. The p-value is the share
    of sign patterns whose mean is at least as far from 0 as the one found: all 2^n patterns where these are no
    more than `flips`, else `flips` random ones, with the pattern found counted among them so that p is never 0
    (Phipson and Smyth 2010).

    Args:
        differences: One difference for each prompt; conditions share the prompts and the sign patterns.
        flips: Random patterns, and the largest number that is enumerated.
        seed: The same seed gives the same p-values.

    Raises:
        ValueError: No prompts, or a difference that is not finite.

    Examples:
        >>> float(sign_flip_test(np.array([1.0, 1.0, 1.0])))  # + + + and - - - of 8 patterns
        0.25
    """
    values = np.asarray(differences, dtype=np.float64)
    n = values.shape[-1]
    if n == 0 or not np.isfinite(values).all():
        raise ValueError("a sign-flip test needs at least one prompt and finite differences")
    rows = values.reshape(-1, n)
    found = np.abs(rows.sum(axis=1)) - 1e-12 * np.abs(rows).sum(axis=1)  # sums that differ by rounding are equal
    exact = n < 63 and 2**n <= flips
    total = 2**n if exact else flips
    rng = np.random.default_rng(seed)
    hits = np.zeros(len(rows))
    step = max(1, _CELLS // max(n, len(rows)))
    for start in range(0, total, step):
        count = min(step, total - start)
        if exact:
            signs = 1.0 - 2.0 * ((np.arange(start, start + count)[:, None] >> np.arange(n)) & 1)
        else:
            signs = 1.0 - 2.0 * rng.integers(0, 2, size=(count, n))
        hits += (np.abs(signs @ rows.T) >= found).sum(axis=0)
    p = hits / total if exact else (hits + 1) / (total + 1)
    return np.asarray(p.reshape(values.shape[:-1]))


def skew_corrected_t_test(differences: Float[ndarray, "*condition prompt"]) -> Float[ndarray, "*condition"]:
    """Two-sided p-value of a mean paired difference, from Student's t corrected for skew (Hall 1992).

    Of skewed differences the mean and its standard error go up and down together, so that t is skewed the other way.
    Hall's cubic transformation takes the skew out; it is used with the skewness that is unbiased for normal data
    (ours), and the result is compared with Student's t.

    Args:
        differences: One difference for each prompt, at least 3 of them.

    Raises:
        ValueError: Fewer than 3 prompts, or a difference that is not finite.

    Examples:
        >>> float(skew_corrected_t_test(np.array([-1.0, 0.0, 1.0])))
        1.0
    """
    from scipy.stats import t as student

    values = np.asarray(differences, dtype=np.float64)
    n = values.shape[-1]
    if n < 3 or not np.isfinite(values).all():
        raise ValueError("a t test that is corrected for skew needs at least 3 prompts and finite differences")
    mean, spread = values.mean(axis=-1), values.std(axis=-1, ddof=1)
    flat = np.ptp(values, axis=-1) == 0
    scale = np.where(flat, 1.0, spread)
    third = ((values - mean[..., None]) ** 3).mean(axis=-1) / scale**3
    skew = third * (n / (n - 1)) ** 1.5 * np.sqrt(n * (n - 1)) / (n - 2)
    size = mean / scale
    corrected = np.sqrt(n) * (size + skew * size**2 / 3 + skew**2 * size**3 / 27 + skew / (6 * n))
    p = 2 * student.sf(np.abs(corrected), n - 1)
    return np.asarray(np.where(flat, np.where(mean == 0, 1.0, 0.0), p))


def paired_test(
    differences: Float[ndarray, "*condition prompt"], *, flips: int = 20_000, seed: int = 0
) -> Float[ndarray, "*condition"]:
    """Two-sided p-value of a mean paired difference: the larger of a sign-flip test and a t test corrected for skew.

    Sign flips are exact where differences are symmetric, and too eager where they are skewed; the corrected t test is
    the other way round. Both must agree (ours); `docs/statistics.md` shows how often they are wrong together. With
    fewer than 3 prompts there are sign flips alone, whose p is then at least 0.5.

    Args:
        differences: One difference for each prompt; conditions share the prompts and the sign patterns.
        flips: Random sign patterns, and the largest number that is enumerated.
        seed: The same seed gives the same p-values.

    Raises:
        ValueError: No prompts, or a difference that is not finite.
    """
    flipped = sign_flip_test(differences, flips=flips, seed=seed)
    if np.shape(differences)[-1] < 3:
        return flipped
    return np.asarray(np.maximum(flipped, skew_corrected_t_test(differences)))


def smallest_p(n: int, flips: int = 20_000) -> float:
    """The least p-value that `paired_test` can give with `n` prompts."""
    return 2.0 ** (1 - n) if n < 63 and 2**n <= flips else 1 / (flips + 1)


def holm(p: Float[ndarray, " test"]) -> Float[ndarray, " test"]:
    """P-values adjusted for their number (Holm 1979): the chance of any false finding among them stays below level.

    Tests that were not made (NaN) do not count and stay NaN.

    Examples:
        >>> holm(np.array([0.01, 0.04, 0.03])).tolist()
        [0.03, 0.06, 0.06]
    """
    p = np.asarray(p, dtype=np.float64)
    adjusted = np.full(p.shape, np.nan)
    made = np.flatnonzero(~np.isnan(p))
    order = made[np.argsort(p[made], kind="stable")]
    steps = p[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted


def adjusted_tests(differences: Sequence[Float[ndarray, " prompt"]], *, seed: int = 0) -> Float[ndarray, " test"]:
    """Tests of several comparisons, each on the prompts where it is defined, adjusted by Holm's method.

    Args:
        differences: One difference for each prompt, NaN where undefined; prompts may differ between comparisons.
        seed: Seed of the sign flips.

    Returns:
        Adjusted p-values; NaN for a comparison without prompts.
    """
    defined = [values[np.isfinite(values)] for values in differences]
    raw = [float(paired_test(values, seed=seed)) if len(values) else np.nan for values in defined]
    return holm(np.array(raw))


def is_confirmed(adjusted: float, level: float) -> bool:
    """Whether an adjusted p-value is small enough: at most `1 - level`, up to rounding; never where it is NaN."""
    return bool(adjusted <= 1 - level + 1e-12)


def difference_state(low: float, high: float, adjusted: float, level: float) -> State:
    """What interval and test together support of a difference.

    An interval that holds zero shows nothing. One that leaves zero out says more or less, and the adjusted p-value of
    the test must confirm it.

    Args:
        low: Lower limit of the difference; NaN where there is none.
        high: Upper limit.
        adjusted: P-value of the test, adjusted for the number of comparisons.
        level: Nominal coverage of the interval; the test is made at `1 - level`.

    Examples:
        >>> difference_state(0.1, 0.4, 0.02, 0.95), difference_state(0.1, 0.4, 0.2, 0.95)
        ('more', 'more?')
        >>> difference_state(-0.4, -0.1, 0.02, 0.95), difference_state(-0.1, 0.4, 0.02, 0.95)
        ('less', 'same')
    """
    if not np.isfinite([low, high]).all():
        return "undefined"
    if low <= 0 <= high:
        return "same"
    if is_confirmed(adjusted, level):
        return "more" if low > 0 else "less"
    return "more?" if low > 0 else "less?"


def paired_effect(differences: Float[ndarray, "*condition prompt"]) -> Float[ndarray, "*condition"]:
    """Cohen's d of paired differences, d_z: their mean over their standard deviation (n - 1) across prompts.

    0 where all differences are 0, infinite where all are one other number, NaN for fewer than two prompts.

    Examples:
        >>> float(paired_effect(np.array([1.0, 2.0, 3.0])))
        2.0
    """
    values = np.asarray(differences, dtype=np.float64)
    if values.shape[-1] < 2:
        return np.full(values.shape[:-1], np.nan)
    mean, spread = values.mean(axis=-1), values.std(axis=-1, ddof=1)
    flat = np.ptp(values, axis=-1) == 0
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.where(flat, np.sign(mean) * np.inf, mean / np.where(flat, 1.0, spread))
    return np.asarray(np.where(flat & (mean == 0), 0.0, found))
